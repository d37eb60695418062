"""The wall at `/wall`: every component on one screen, for a kiosk browser. The server draws it once; from
then on frames change it, for months.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from litestar import HttpMethod, Request, Response, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery

from app.config import Config
from app.domain.board import Board
from app.domain.status import SEVERITY, Status, worst
from app.live.hub import Hub
from app.pages.answer import Press
from app.pages.drawing import EDITION, draw, known, zone
from app.pages.rows import SIGN, STALE_SIGN, WORD, Row, groups, rows
from app.pages.static import style

LARGE = 40  # tiles at the most for the kind that has room for milliseconds and a line: as in layout.js
THEMES = {"dark": "dark", "light": "light", "auto": ""}
COUNTED = (
    (Status.MAJOR, "major"),
    (Status.PARTIAL, "partial"),
    (Status.DEGRADED, "degraded"),
    (Status.MAINTENANCE, "maint."),
    (Status.UNKNOWN, "no data"),
    (Status.OPERATIONAL, "ok"),
)


def routes(hub: Hub, config: Config) -> list[HTTPRouteHandler]:
    look = style("tokens.css", "wall.css", beat=config.beat)
    presses = {theme: Press(look) for theme in THEMES.values()}

    @route("/wall", http_method=[HttpMethod.GET, HttpMethod.HEAD], opt={"scope": "public"})
    async def wall(request: Request[Any, Any, Any], theme: FromQuery[str] = "dark") -> Response[bytes]:
        # Dark unless asked otherwise: walls hang in dim rooms, and white burns in.
        chosen = THEMES.get(theme, "dark")
        shown = _shown(hub.board, hub.feed_state == "ok", hub.now())
        minute = hub.now().replace(second=0, microsecond=0)
        key = (EDITION, config.beat, chosen, hub.feed_state, minute, shown["page"], shown["groups"])
        return await presses[chosen].answer(
            request, key, lambda: draw("wall.html", style=look, beat=config.beat, theme=chosen, **shown)
        )

    return [wall]


def _shown(board: Board, live: bool, now: datetime) -> dict[str, Any]:
    everything = rows(board)
    status = worst(row.status for row in everything)
    heading, detail = say(everything) if live else ("No live data", "Colours are off until data is back")
    return {
        "title": f"{SIGN[status] if live else STALE_SIGN} {heading} · {board.catalog.page.name}",
        "live": live,
        "id": board.id,
        "known": now if live else known(board, now),
        "now": now,
        "page": board.catalog.page,
        "zone": zone(board.catalog.page.time_zone),
        "status": status,
        "heading": heading,
        "detail": detail,
        "counted": COUNTED,
        "counts": Counter(row.status for row in everything),
        "groups": groups(board),
        "large": len(everything) <= LARGE,
    }


def say(rows: Sequence[Row]) -> tuple[str, str]:
    """The sentence of the wall and the line below it."""
    if not rows:
        return "Nothing is watched yet", "What is named in the config file appears here"
    problems = sorted(
        (row for row in rows if SEVERITY[row.status] > SEVERITY[Status.MAINTENANCE]),
        key=lambda row: (SEVERITY[row.status], row.since),
        reverse=True,
    )
    if problems:
        verb = "needs" if len(problems) == 1 else "need"
        first = problems[0]
        return f"{len(problems)} {verb} attention", f"{first.name}: {WORD[first.status].lower()}"
    resting = sum(row.status is Status.MAINTENANCE for row in rows)
    if resting:
        return "Nothing needs attention", f"{len(rows) - resting} operational, {resting} in maintenance"
    return f"All {len(rows)} operational", "Nothing needs attention"
