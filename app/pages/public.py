"""The page at `/`: how everything stands, complete and readable before any script has run.

The words say now, the bars say the past ninety days. The bars come from the database, and a page must not
need one: without it they are missing and the rest stands.
"""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from litestar import HttpMethod, Request, Response, route
from litestar.handlers import HTTPRouteHandler

from app.config import Config
from app.db.history import History
from app.domain.audience import PUBLIC, sum_up
from app.domain.board import Board
from app.domain.status import Status
from app.live.hub import PAGE_BEATS, Hub
from app.pages.answer import Press
from app.pages.drawing import EDITION, draw, known, zone
from app.pages.past import Drawn, Past
from app.pages.rows import SIGN, STALE_SIGN, WHY_STALE, began, groups, rows, tally
from app.pages.static import style

# From best to worst, and last what is none of it.
LEGEND = (
    Status.OPERATIONAL,
    Status.DEGRADED,
    Status.PARTIAL,
    Status.MAJOR,
    Status.MAINTENANCE,
    Status.UNKNOWN,
)


def routes(hub: Hub, config: Config, history: History) -> list[HTTPRouteHandler]:
    beat = round(PAGE_BEATS * config.beat, 3)
    look = style("tokens.css", "page.css", beat=beat)
    press = Press(look)
    past = Past(history)

    @route("/", http_method=[HttpMethod.GET, HttpMethod.HEAD], opt={"scope": "public"})
    async def page(request: Request[Any, Any, Any]) -> Response[bytes]:
        # What awaits comes first: after it, board and feed are those of one instant.
        where = zone(hub.board.catalog.page.time_zone)
        bars = await past.bars(groups(hub.board), hub.now(), where)
        shown = _shown(hub.board, hub.feed_state, hub.now(), where, bars)
        # Not the latency: it is not drawn here, and changes each second.
        said = [(row.group, row.slug, row.name, row.status, row.since) for row in rows(hub.board)]
        catalog = hub.board.catalog
        minute = hub.now().replace(second=0, microsecond=0)
        key = (EDITION, beat, hub.feed_state, minute, catalog.page, catalog.groups, said, bars and bars.at)
        return await press.answer(request, key, lambda: draw("page.html", style=look, beat=beat, **shown))

    return [page]


def _shown(board: Board, feed: str, now: datetime, where: ZoneInfo, bars: Drawn | None) -> dict[str, Any]:
    live = feed == "ok"
    overall = sum_up(board, PUBLIC)
    heading = overall.description if live else f"Not live: {WHY_STALE[feed]}"
    return {
        "title": f"{SIGN[overall.status] if live else STALE_SIGN} {heading} · {board.catalog.page.name}",
        "live": live,
        "id": board.id,
        "known": now if live else known(board, now),
        "now": now,
        "page": board.catalog.page,
        "zone": where,
        "status": overall.status,
        "sentence": overall.description,
        "heading": heading,
        "tally": tally(rows(board)),
        "began": began(rows(board)),
        "groups": groups(board),
        "bars": bars.components if bars else {},
        "group_bars": bars.groups if bars else {},
        "first_day": bars.first if bars else None,
        "legend": LEGEND,
    }
