"""What went wrong, month by month and day by day, at `/history`. Days on which nothing did are folded."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from litestar import HttpMethod, Request, Response, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from msgspec import Struct

from app.domain.status import SEVERITY, Status
from app.domain.uptime import Span
from app.pages.front import Fronts, paths
from app.pages.past import Past
from app.pages.rows import Row
from app.pages.view import View, title

LEAST: Final = timedelta(minutes=1)  # that something lasted, to be told
_TOLD: Final = 300  # outages of a month
_FIRST: Final = date(2020, 1, 1)


class Outage(Struct, frozen=True):
    """`at` is the time of day at which it began."""

    row: Row
    span: Span
    at: str
    lasted: str


class Stretch(Struct, frozen=True):
    """A day with what went wrong on it, or several together on which nothing did."""

    words: str
    outages: Sequence[Outage]


def routes(fronts: Fronts) -> list[HTTPRouteHandler]:
    @route(paths("/history"), http_method=[HttpMethod.GET, HttpMethod.HEAD], opt={"scope": "public"})
    async def history(request: Request[Any, Any, Any], month: FromQuery[str] = "") -> Response[Any]:
        if isinstance(front := await fronts.open(request), Response):
            return front
        views, past = front.views, front.past
        view = views.view(request)
        today = view.now.astimezone(view.where).date()
        first = _first(month, today)
        spans = await month_of(past, view, first)
        view = views.view(request)
        return await views.answer(
            request, "history.html", view, (first, today, spans), lambda: shown(view, first, today, spans)
        )

    return [history]


async def month_of(past: Past, view: View, first: date) -> list[Span] | None:
    start, end = (_midnight(day, view.where) for day in (first, _next(first)))
    slugs = [row.slug for row in view.seen.rows]
    return await past.spans(f"month of {first}", slugs, start, end, view.now)


def _first(month: str, today: date) -> date:
    """The first day of the month that is asked for, else of this one."""
    try:
        asked = datetime.strptime(f"{month}-01", "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        asked = today
    return max(_FIRST, min(asked, today)).replace(day=1)


def _next(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


def _midnight(day: date, where: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), where)


def shown(view: View, first: date, today: date, spans: Sequence[Span] | None) -> dict[str, Any]:
    before = (first - timedelta(days=1)).replace(day=1)
    heading = view.language.say("History")
    return {
        "title": title(view, heading),
        "status": Status.UNKNOWN,
        "heading": heading,
        "lost_past": spans is None,
        "month": view.language.month(first),
        "stretches": [] if spans is None else _fold(_by_day(spans, view), first, today, view),
        "earlier": f"{before:%Y-%m}" if before >= _FIRST else "",
        "later": f"{_next(first):%Y-%m}" if _next(first) <= today else "",
    }


def _by_day(spans: Sequence[Span], view: View) -> Mapping[date, list[Outage]]:
    """Each on the day on which it began, the last first."""
    rows = {row.slug: row for row in view.seen.rows}
    days: dict[date, list[Outage]] = {}
    wrong = [span for span in spans if _is_told(span, view.now) and span.component in rows]
    for span in sorted(wrong, key=lambda span: span.since, reverse=True)[:_TOLD]:
        lasted = view.language.long(((span.until or view.now) - span.since).total_seconds())
        began = span.since.astimezone(view.where)
        outage = Outage(rows[span.component], span, f"{began:%H:%M}", lasted)
        days.setdefault(began.date(), []).append(outage)
    return days


def _is_told(span: Span, now: datetime) -> bool:
    known = span.status is Status.MAINTENANCE or SEVERITY[span.status] >= SEVERITY[Status.DEGRADED]
    return known and (span.until or now) - span.since >= LEAST


def _fold(days: Mapping[date, list[Outage]], first: date, today: date, view: View) -> list[Stretch]:
    """The last day first."""
    day = min(today, _next(first) - timedelta(days=1))
    stretches = []
    while day >= first:
        if outages := days.get(day):
            stretches.append(Stretch(view.language.day(day), outages))
            day -= timedelta(days=1)
            continue
        last = day
        while day >= first and day not in days:
            day -= timedelta(days=1)
        begin = day + timedelta(days=1)
        stretches.append(Stretch(view.language.days(begin, last), ()))
    return stretches
