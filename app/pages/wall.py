"""The wall at `/wall`: every component on one screen, for a kiosk browser. The server draws it once; from
then on frames change it, for months.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from litestar import HttpMethod, Request, Response, route
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery

from app.config import Config
from app.domain.monitor import Page
from app.domain.status import SEVERITY, Status
from app.live.hub import Hub
from app.pages import stale
from app.pages.answer import Press
from app.pages.door import knock
from app.pages.drawing import EDITION, draw, zone
from app.pages.rows import SIGN, WORD, Row, Seen, Sight, weighed
from app.pages.static import style
from app.pages.stories import Story
from app.security.callers import Callers, NotRecognised
from app.security.entrance import Entrance

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


def routes(hub: Hub, config: Config, callers: Callers, entrance: Entrance) -> list[HTTPRouteHandler]:
    look = style("tokens.css", "wall.css", beat=config.beat)
    presses = {theme: Press(look) for theme in THEMES.values()}
    sights: dict[str, Sight] = {}

    @route("/wall", http_method=[HttpMethod.GET, HttpMethod.HEAD], opt={"scope": "public"})
    async def wall(request: Request[Any, Any, Any], theme: FromQuery[str] = "dark") -> Response[Any]:
        return await show(request, None, theme)

    @route("/p/{slug:str}/wall", http_method=[HttpMethod.GET, HttpMethod.HEAD], opt={"scope": "public"})
    async def wall_of_page(
        request: Request[Any, Any, Any], slug: FromPath[str], theme: FromQuery[str] = "dark"
    ) -> Response[Any]:
        return await show(request, slug, theme)

    @route("/wall/{token:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD], opt={"scope": "public"})
    async def wall_by_token(
        request: Request[Any, Any, Any], token: FromPath[str], theme: FromQuery[str] = "dark"
    ) -> Response[bytes]:
        """For a screen on which nobody signs in. Its stream names the token too, and ends with it."""
        try:
            its, _ = await callers.recognise_wall(token, callers.visitor(request.scope))
        except NotRecognised as no:
            raise NotFoundException(str(no)) from None
        if (at := hub.board.page(its.page)) is None:
            raise NotFoundException("The page of this wall is not there any more.")
        return await drawn(request, at.page, theme, closed=True)

    async def show(request: Request[Any, Any, Any], slug: str | None, theme: str) -> Response[Any]:
        door = await knock(request, slug, hub, entrance)
        return (
            door if isinstance(door, Response) else await drawn(request, door, theme, door.access != "public")
        )

    async def drawn(request: Request[Any, Any, Any], page: Page, theme: str, closed: bool) -> Response[bytes]:
        # Dark unless asked otherwise: walls hang in dim rooms, and white burns in.
        chosen = THEMES.get(theme, "dark")
        sight = sights.setdefault(page.slug, Sight(speed=True, page=page.slug))
        seen, id, feed, now = sight.of(hub.board), hub.board.id, hub.feed_state, hub.now()
        known, bad_file = stale.last_word(hub), hub.bad_file
        minute = now.replace(second=0, microsecond=0)
        key = (EDITION, config.beat, chosen, feed, minute, seen.mark, bad_file)
        return await presses[chosen].answer(
            request,
            key,
            lambda: draw(
                "wall.html",
                **{"style": look, "beat": config.beat, "pulse": config.beat, "id": id, "build": EDITION},
                **{"theme": chosen, "bad_file": bad_file},
                **_shown(seen, feed, known, now),
            ),
            closed,
        )

    return [wall, wall_of_page, wall_by_token]


def _shown(seen: Seen, feed: str, known: datetime, now: datetime) -> dict[str, Any]:
    live = feed == "ok"
    status, _ = weighed(seen.rows, seen.stories)
    heading, detail = say(seen.rows, seen.stories) if live else ("No live data", stale.WHY[feed].capitalize())
    return {
        "title": f"{SIGN[status] if live else stale.SIGN} {heading} · {seen.page.name}",
        "live": live,
        "feed": feed,
        "known": known,
        "now": now,
        "page": seen.page,
        "zone": zone(seen.page.time_zone),
        "status": status,
        "heading": heading,
        "detail": detail,
        "counted": COUNTED,
        "counts": Counter(row.status for row in seen.rows),
        "groups": seen.groups,
        "stories": seen.stories,
        "large": len(seen.rows) <= LARGE,
    }


def say(rows: Sequence[Row], told: Iterable[Story] = ()) -> tuple[str, str]:
    """The sentence of the wall and the line below it."""
    incidents = [each for each in told if each.kind == "incident"]
    if not rows and not incidents:
        return "Nothing is watched yet", "What is named in the config file appears here"
    problems = sorted(
        (row for row in rows if SEVERITY[row.status] > SEVERITY[Status.MAINTENANCE]),
        key=lambda row: (not row.acknowledged, SEVERITY[row.status], row.since),
        reverse=True,
    )
    if problems:
        waiting, first = sum(not row.acknowledged for row in problems), problems[0]
        verb = "needs" if waiting == 1 else "need"
        heading = f"{waiting} {verb} attention" if waiting else f"{len(problems)} in hand"
        said = (f"{first.name}: {WORD[first.status].lower()}", first.acknowledged)
        return heading, ", ".join(filter(None, said))
    if incidents:
        number = len(incidents)
        return "Open incident" if number == 1 else f"{number} open incidents", incidents[0].title
    resting = sum(row.status is Status.MAINTENANCE for row in rows)
    if resting:
        return "Nothing needs attention", f"{len(rows) - resting} operational, {resting} in maintenance"
    return f"All {len(rows)} operational", "Nothing needs attention"
