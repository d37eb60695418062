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
from app.pages import stale
from app.pages.answer import Press
from app.pages.drawing import EDITION, draw, zone
from app.pages.past import Drawn, Past
from app.pages.rows import SIGN, Seen, Sight, began, tally
from app.pages.static import style
from app.security.near import comes_from_near

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
    look = style("tokens.css", "page.css", "stories.css", beat=beat)
    presses = {near: Press(look) for near in (True, False)}
    past = Past(history)
    # Not the latency: it is not drawn here, and changes each second.
    sight = Sight(speed=False)

    @route("/", http_method=[HttpMethod.GET, HttpMethod.HEAD], opt={"scope": "public"})
    async def page(request: Request[Any, Any, Any]) -> Response[bytes]:
        # What awaits comes first: after it, board and feed are those of one instant.
        where = zone(hub.board.catalog.page.time_zone)
        bars = await past.bars(sight.of(hub.board).groups, hub.now(), where)
        seen, id, feed, now = sight.of(hub.board), hub.board.id, hub.feed_state, hub.now()
        known, near, bad_file = stale.last_word(hub), comes_from_near(request), hub.bad_file
        minute = now.replace(second=0, microsecond=0)
        key = (EDITION, beat, feed, minute, seen.mark, bars and bars.at, near, near and bad_file)
        return await presses[near].answer(
            request,
            key,
            lambda: draw(
                "page.html",
                **{"style": look, "beat": beat, "pulse": config.beat, "id": id},
                **{"near": near, "bad_file": bad_file},
                **_shown(seen, feed, known, now, where, bars),
            ),
        )

    return [page]


def _shown(
    seen: Seen, feed: str, known: datetime, now: datetime, where: ZoneInfo, bars: Drawn | None
) -> dict[str, Any]:
    live = feed == "ok"
    summed_up = overall((row.name, row.status) for row in seen.rows)
    heading = summed_up.description if live else f"Not live: {stale.WHY[feed]}"
    return {
        "title": f"{SIGN[summed_up.status] if live else stale.SIGN} {heading} · {seen.page.name}",
        "live": live,
        "feed": feed,
        "known": known,
        "now": now,
        "page": seen.page,
        "zone": where,
        "status": summed_up.status,
        "sentence": summed_up.description,
        "heading": heading,
        "tally": tally(seen.rows) if live else stale.last_known(summed_up, known, now, where),
        "began": began(seen.rows),
        "groups": seen.groups,
        "stories": seen.stories,
        "bars": bars.components if bars else {},
        "group_bars": bars.groups if bars else {},
        "first_day": bars.first if bars else None,
        "legend": LEGEND,
    }
