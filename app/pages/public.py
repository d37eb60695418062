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
from app.domain.status import Status, overall
from app.live.hub import PAGE_BEATS, Hub
from app.pages.answer import Press
from app.pages.drawing import EDITION, draw, known, zone
from app.pages.past import Drawn, Past
from app.pages.rows import SIGN, STALE_SIGN, WHY_STALE, Seen, Sight, began, tally
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
    # Not the latency: it is not drawn here, and changes each second.
    sight = Sight(speed=False)

    @route("/", http_method=[HttpMethod.GET, HttpMethod.HEAD], opt={"scope": "public"})
    async def page(request: Request[Any, Any, Any]) -> Response[bytes]:
        # What awaits comes first: after it, board and feed are those of one instant.
        where = zone(hub.board.catalog.page.time_zone)
        bars = await past.bars(sight.of(hub.board).groups, hub.now(), where)
        seen, id, feed, now = sight.of(hub.board), hub.board.id, hub.feed_state, hub.now()
        minute = now.replace(second=0, microsecond=0)
        key = (EDITION, beat, feed, minute, seen.mark, bars and bars.at)
        return await press.answer(
            request,
            key,
            lambda: draw("page.html", style=look, beat=beat, **_shown(seen, id, feed, now, where, bars)),
        )

    return [page]


def _shown(
    seen: Seen, id: str, feed: str, now: datetime, where: ZoneInfo, bars: Drawn | None
) -> dict[str, Any]:
    live = feed == "ok"
    summed_up = overall((row.name, row.status) for row in seen.rows)
    heading = summed_up.description if live else f"Not live: {WHY_STALE[feed]}"
    return {
        "title": f"{SIGN[summed_up.status] if live else STALE_SIGN} {heading} · {seen.page.name}",
        "live": live,
        "id": id,
        "known": now if live else known(id, now),
        "now": now,
        "page": seen.page,
        "zone": where,
        "status": summed_up.status,
        "sentence": summed_up.description,
        "heading": heading,
        "tally": tally(seen.rows),
        "began": began(seen.rows),
        "groups": seen.groups,
        "bars": bars.components if bars else {},
        "group_bars": bars.groups if bars else {},
        "first_day": bars.first if bars else None,
        "legend": LEGEND,
    }
