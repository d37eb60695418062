"""The page at `/`: how everything stands, complete and readable before any script has run.

The words say now, the bars say the past ninety days. The bars come from the database, and a page must not
need one: without it they are missing and the rest stands.
"""

from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from app.config import Config
from app.db.history import History
from app.domain.audience import PUBLIC, sum_up
from app.domain.status import Status
from app.live.hub import PAGE_BEATS, Hub
from app.pages.answer import Press
from app.pages.drawing import EDITION, draw, known, zone
from app.pages.past import Past
from app.pages.rows import SIGN, STALE_SIGN, began, groups, rows, tally
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
    beat = PAGE_BEATS * config.beat
    look = style("tokens.css", "page.css", beat=beat)
    press = Press(look)
    past = Past(history)

    @get("/", opt={"scope": "public"})
    async def page(request: Request[Any, Any, Any]) -> Response[bytes]:
        # What awaits comes first: after it, board and feed are those of one instant.
        where = zone(hub.board.catalog.page.time_zone)
        bars = await past.bars(groups(hub.board), hub.now(), where)
        board, now, live = hub.board, hub.now(), hub.feed_state == "ok"
        drawn = groups(board)
        everything = rows(board)
        overall = sum_up(board, PUBLIC)
        last_known = now if live else known(board, now)
        sentence = overall.description if live else "Not live: no word from the probes"
        sign = SIGN[overall.status] if live else STALE_SIGN
        values = {
            "title": f"{sign} {sentence} · {board.catalog.page.name}",
            "style": look,
            "live": live,
            "beat": beat,
            "id": board.id,
            "known": last_known,
            "now": now,
            "page": board.catalog.page,
            "zone": where,
            "status": overall.status,
            "sentence": overall.description,
            "heading": sentence,
            "tally": tally(everything),
            "began": began(everything),
            "groups": drawn,
            "bars": bars.components if bars else {},
            "group_bars": bars.groups if bars else {},
            "first_day": bars.first if bars else None,
            "legend": LEGEND,
        }
        minute = now.replace(second=0, microsecond=0)
        key = ("page", EDITION, beat, live, minute, board.catalog.page, drawn, bars and bars.at)
        return await press.answer(request, key, lambda: draw("page.html", **values))

    return [page]
