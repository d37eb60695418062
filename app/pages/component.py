"""The page of one component at `/components/{slug}`: how it stands, its uptime over five windows, how fast it
answered, and what became of it lately.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from litestar import HttpMethod, Request, Response, route
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from app.domain.uptime import Span, uptime
from app.pages.bars import uptime_text
from app.pages.charts import DAY, STRETCHES, Point, Stretch, chart
from app.pages.front import Fronts, paths
from app.pages.language import Language
from app.pages.past import Days, Past
from app.pages.rows import WORD, Row, Seen, began
from app.pages.view import View, hero

WINDOWS: Final = {1: "24 hours", 7: "7 days", 30: "30 days", 90: "90 days", 365: "365 days"}
_CHANGES: Final = 30  # the last ones, which are told


class Window(Struct, frozen=True):
    """Its uptime in words, and how long it was down, in words too; nothing where it was not."""

    words: str
    uptime: str
    down: str


class Change(Struct, frozen=True):
    span: Span
    lasted: str


class Moment(Struct, frozen=True):
    """One row of the chart as a table."""

    at: datetime
    point: Point | None


def routes(fronts: Fronts) -> list[HTTPRouteHandler]:
    hub = fronts.hub
    here = paths("/components/{slug:str}")

    @route(here, http_method=[HttpMethod.GET, HttpMethod.HEAD], opt={"scope": "public"})
    async def component(
        request: Request[Any, Any, Any], slug: FromPath[str], range: FromQuery[str] = DAY.name
    ) -> Response[Any]:
        if isinstance(front := await fronts.open(request), Response):
            return front
        views, past = front.views, front.past
        _find(views.seen(), slug)
        stretch, now = STRETCHES.get(range, DAY), hub.now()
        seen = views.seen()
        days = await past.days(seen.groups, now, views.view(request).where)
        points = await past.speed(slug, stretch, now)
        spans = await life(past, slug, now)
        view = views.view(request)
        row = _find(view.seen, slug)
        return await front.answer(
            request,
            "component.html",
            view,
            (slug, days and days.at, stretch.name, points, spans),
            lambda: shown(view, row, days, stretch, points, spans),
        )

    return [component]


async def life(past: Past, slug: str, now: datetime) -> list[Span] | None:
    return await past.spans(f"life of {slug}", [slug], now - timedelta(days=max(WINDOWS)), now, now)


def _find(seen: Seen, slug: str) -> Row:
    row = next((row for row in seen.rows if row.slug == slug), None)
    if row is None:
        raise NotFoundException("There is no such component.")
    return row


def shown(
    view: View,
    row: Row,
    days: Days | None,
    stretch: Stretch,
    points: Sequence[Point | None] | None,
    spans: Sequence[Span] | None,
) -> dict[str, Any]:
    language = view.language
    sentence = language.say(
        "{component}: {status}", component=row.name, status=language.say(WORD[row.status])
    )
    bars = days.bars(view.seen.groups, language) if days else None
    return {
        **hero(view, row.status, sentence, row.group or "", began([row])),
        "row": row,
        "bars": bars.components if bars else {},
        "first_day": days.first if days else None,
        "lost_past": spans is None,
        "windows": [_window(n, spans, view) for n in WINDOWS] if spans else [],
        "changes": _changes(spans or (), view),
        "stretch": stretch,
        "stretches": STRETCHES.values(),
        "chart": chart(points or ()),
        "table": [Moment(*its) for its in zip(stretch.edges(view.now)[:-1], points or (), strict=False)],
    }


def _window(days: int, spans: Sequence[Span], view: View) -> Window:
    spent = uptime(spans, view.now - timedelta(days=days), view.now)
    down = spent.partial + spent.major
    said = view.language.say("{time} down", time=view.language.long(down / 1000)) if down else ""
    return Window(view.language.say(WINDOWS[days]), uptime_text([spent], view.language), said)


def _changes(spans: Sequence[Span], view: View) -> list[Change]:
    return [Change(span, _lasted(span, view.now, view.language)) for span in reversed(spans[-_CHANGES:])]


def _lasted(span: Span, now: datetime, language: Language) -> str:
    lasted = language.long(((span.until or now) - span.since).total_seconds())
    return lasted if span.until else language.say("{time} so far", time=lasted)
