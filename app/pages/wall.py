"""The wall at `/wall`: every component on one screen, for a kiosk browser. The server draws it once; from
then on frames change it, for months.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from app.config import Config
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

    @get("/wall", opt={"scope": "public"})
    async def wall(request: Request[Any, Any, Any], theme: str = "dark") -> Response[bytes]:
        # Dark unless asked otherwise: walls hang in dim rooms, and white burns in.
        chosen = THEMES.get(theme, "dark")
        board, now, live = hub.board, hub.now(), hub.feed_state == "ok"
        drawn = groups(board)
        everything = rows(board)
        status = worst(row.status for row in everything)
        where = zone(board.catalog.page.time_zone)
        heading, detail = say(everything)
        sentence = heading if live else "No live data"
        values = {
            "title": f"{SIGN[status] if live else STALE_SIGN} {sentence} · {board.catalog.page.name}",
            "style": look,
            "live": live,
            "beat": config.beat,
            "id": board.id,
            "known": now if live else known(board, now),
            "now": now,
            "page": board.catalog.page,
            "zone": where,
            "theme": chosen,
            "status": status,
            "heading": heading,
            "detail": detail,
            "counted": COUNTED,
            "counts": Counter(row.status for row in everything),
            "groups": drawn,
            "large": len(everything) <= LARGE,
        }
        key = ("wall", EDITION, chosen, live, now.replace(second=0, microsecond=0), board.catalog.page, drawn)
        return await presses[chosen].answer(request, key, lambda: draw("wall.html", **values))

    return [wall]


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
