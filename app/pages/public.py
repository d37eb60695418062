"""The page at `/`: how everything stands, complete and readable before any script has run.

The words say now, the bars and charts say the past. That comes from the database, and a page must not need
one: without it they are missing, the page says so, and the rest stands.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from typing import Any, Final, TypeAlias

from litestar import HttpMethod, Request, Response, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from msgspec import Struct

from app.config import Config
from app.db.history import History
from app.domain.status import Status
from app.live.hub import Hub
from app.pages import calendar, component, story
from app.pages.charts import DAY, STRETCHES, Chart, Point, Stretch, chart, halved
from app.pages.drawing import zone
from app.pages.formats import routes as formats
from app.pages.front import Fronts, paths
from app.pages.past import Days, Past
from app.pages.rows import Row, Seen, began, weighed
from app.pages.sentences import headline, summary, tally
from app.pages.stories import Story
from app.pages.view import View, hero
from app.security.entrance import Entrance

# From best to worst, and last what is none of it.
LEGEND: Final = (
    Status.OPERATIONAL,
    Status.DEGRADED,
    Status.PARTIAL,
    Status.MAJOR,
    Status.MAINTENANCE,
    Status.UNKNOWN,
)
# Charts on the page, and how many components are looked at to find them.
CHARTS: Final = 3
_ASKED: Final = 8


Measured: TypeAlias = tuple[Row, list[Point | None]]


class Speed(Struct, frozen=True):
    row: Row
    chart: Chart


def routes(hub: Hub, config: Config, history: History, entrance: Entrance) -> list[HTTPRouteHandler]:
    fronts = Fronts(hub, config, history, entrance)

    @route(paths("/"), http_method=[HttpMethod.GET, HttpMethod.HEAD], opt={"scope": "public"})
    async def page(request: Request[Any, Any, Any], range: FromQuery[str] = DAY.name) -> Response[Any]:
        if isinstance(front := await fronts.open(request), Response):
            return front
        views, past, stretch = front.views, front.past, STRETCHES.get(range, DAY)
        # What awaits comes first: after it, all is of one instant.
        where = zone(views.seen().page.time_zone)
        days = await past.days(views.seen().groups, hub.now(), where)
        speeds = await measured(past, views.seen(), stretch, hub.now())
        told = await calendar.lately(past, views.view(request))
        view = views.view(request)
        lately = calendar.told_of(told or (), view, fronts.hub.board)
        key = (days and days.at, stretch.name, [(row.slug, points) for row, points in speeds], lately)
        return await front.answer(
            request, "page.html", view, key, lambda: shown(view, days, stretch, speeds, lately)
        )

    others = (component.routes(fronts), calendar.routes(fronts), story.routes(fronts))
    return [page, *chain(*others, formats.routes(fronts, config))]


async def measured(past: Past, seen: Seen, stretch: Stretch, now: datetime) -> list[Measured]:
    """Of a few components, one from each group before a second from any: these are the same each time."""
    firsts = [group.rows[0] for group in seen.groups]
    taken = {row.slug for row in firsts}
    others = [row for row in seen.rows if row.slug not in taken]
    found: list[Measured] = []
    for row in [*firsts, *others][:_ASKED]:
        points = await past.speed(row.slug, stretch, now)
        if points and any(points) and len(found) < CHARTS:
            found.append((row, points))
    return sorted(found, key=lambda its: seen.rows.index(its[0]))


def shown(
    view: View, days: Days | None, stretch: Stretch, speeds: Sequence[Measured], lately: Sequence[Story]
) -> dict[str, Any]:
    rows, groups, told, language = view.seen.rows, view.seen.groups, view.seen.stories, view.language
    bars = days.bars(groups, language) if days else None
    return {
        **hero(
            view,
            weighed(rows, told)[0],
            headline(rows, language, told),
            tally(rows, language, told),
            began(rows, told),
        ),
        "stories": told,
        "groups": [(group, summary(group, language)) for group in groups],
        "bars": bars.components if bars else {},
        "group_bars": bars.groups if bars else {},
        "first_day": days.first if days else None,
        "lost_past": days is None and bool(rows),
        "legend": LEGEND,
        "lately": calendar.days_of(lately, view),
        "stretch": stretch,
        "stretches": STRETCHES.values(),
        "speeds": [Speed(row, drawn) for row, points in speeds if (drawn := chart(halved(points)))],
    }
