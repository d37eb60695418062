"""What went wrong, month by month and day by day, at `/history`, and what was told of the last days at `/`.
Days on which nothing happened are folded.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from litestar import HttpMethod, Request, Response, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from msgspec import Struct

from app.domain.audience import Audience
from app.domain.board import Board
from app.domain.incident import Incident
from app.domain.maintenance import Maintenance
from app.domain.status import SEVERITY, Status
from app.domain.uptime import Span
from app.pages import stale
from app.pages.front import Fronts, paths
from app.pages.past import Past
from app.pages.rows import Row
from app.pages.stories import Story, show
from app.pages.view import View, title, unlive

LEAST: Final = timedelta(minutes=1)  # that something lasted, to be told
_TOLD: Final = 300  # outages of a month
LATELY: Final = 14  # days of which `/` tells
_FIRST: Final = date(2020, 1, 1)

Begun: TypeAlias = Sequence[Incident | Maintenance]


class Outage(Struct, frozen=True):
    """`at` is the time of day at which it began."""

    row: Row
    span: Span
    at: str
    lasted: str


class Tale(Struct, frozen=True):
    """An incident or a maintenance on the day on which it began."""

    story: Story
    at: str
    lasted: str


class Stretch(Struct, frozen=True):
    """A day with what went wrong on it, or several together on which nothing did."""

    words: str
    tales: Sequence[Tale]
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
        spans, told = await month_of(past, view, first)
        view = views.view(request)
        stories = told_of(told or (), view, fronts.hub.board)
        return await front.answer(
            request,
            "history.html",
            view,
            (first, today, spans, stories),
            lambda: shown(view, first, today, spans, stories),
        )

    return [history]


async def month_of(past: Past, view: View, first: date) -> tuple[list[Span] | None, Begun | None]:
    """Outages, and what was told."""
    start, end = (_midnight(day, view.where) for day in (first, _next(first)))
    slugs = [row.slug for row in view.seen.rows]
    spans = await past.spans(f"month of {first}", slugs, start, end, view.now)
    return spans, await past.begun(f"told in {first}", start, end, view.now)


async def lately(past: Past, view: View) -> Begun | None:
    first = this_day(view) - timedelta(days=LATELY - 1)
    return await past.begun("told lately", _midnight(first, view.where), view.now, view.now)


def told_of(told: Begun, view: View, board: Board) -> tuple[Story, ...]:
    """What of it is for the visitors of this page."""
    audience = Audience(page=view.seen.page.slug)
    return tuple(story for each in told if (story := show(each, board, audience)) is not None)


def days_of(stories: Sequence[Story], view: View) -> list[Stretch]:
    """The last days with what is over: what goes on is at the head of the page."""
    today = this_day(view)
    tales = _tales([story for story in stories if story.over], view)
    return _fold({}, tales, today - timedelta(days=LATELY - 1), today, view)


def this_day(view: View) -> date:
    return view.now.astimezone(view.where).date()


def this_month(view: View) -> date:
    """Its first day."""
    return this_day(view).replace(day=1)


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


def shown(
    view: View, first: date, today: date, spans: Sequence[Span] | None, stories: Sequence[Story]
) -> dict[str, Any]:
    before, last = (first - timedelta(days=1)).replace(day=1), _next(first) - timedelta(days=1)
    heading = view.language.say("History")
    return {
        "title": title(view, heading, "" if view.live else stale.SIGN),
        "status": Status.UNKNOWN,
        "heading": heading,
        "unlive": unlive(view),
        "lost_past": spans is None,
        "month": view.language.month(first),
        "stretches": []
        if spans is None
        else _fold(_by_day(spans, view), _tales(stories, view), first, min(today, last), view),
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


def _tales(stories: Sequence[Story], view: View) -> Mapping[date, list[Tale]]:
    """Each on the day on which it began, the last first."""
    days: dict[date, list[Tale]] = {}
    for story in sorted(stories, key=lambda story: story.starts, reverse=True):
        began = story.starts.astimezone(view.where)
        lasted = view.language.long(((story.ends or view.now) - story.starts).total_seconds())
        days.setdefault(began.date(), []).append(Tale(story, f"{began:%H:%M}", lasted))
    return days


def _is_told(span: Span, now: datetime) -> bool:
    known = span.status is Status.MAINTENANCE or SEVERITY[span.status] >= SEVERITY[Status.DEGRADED]
    return known and (span.until or now) - span.since >= LEAST


def _fold(
    outages: Mapping[date, list[Outage]],
    tales: Mapping[date, list[Tale]],
    first: date,
    last: date,
    view: View,
) -> list[Stretch]:
    """The last day first."""
    day, stretches = last, []
    while day >= first:
        if day in outages or day in tales:
            words = view.language.day(day)
            stretches.append(Stretch(words, tales.get(day, ()), outages.get(day, ())))
            day -= timedelta(days=1)
            continue
        end = day
        while day >= first and day not in outages and day not in tales:
            day -= timedelta(days=1)
        stretches.append(Stretch(view.language.days(day + timedelta(days=1), end), (), ()))
    return stretches
