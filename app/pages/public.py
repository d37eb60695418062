"""The page at `/`: how everything stands, complete and readable before any script has run.

The words say now, the bars say the past ninety days. The bars come from the database, and a page must not
need one: without it they are missing and the rest stands.
"""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from litestar import HttpMethod, Request, Response, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from markupsafe import Markup

from app.config import Config
from app.db.history import History
from app.domain.monitor import Page
from app.domain.status import Status, overall
from app.live.hub import PAGE_BEATS, Hub
from app.pages import stale
from app.pages.answer import Press
from app.pages.door import knock
from app.pages.drawing import EDITION, draw, zone
from app.pages.past import Drawn, Past
from app.pages.rows import SIGN, Seen, Sight, began, tally
from app.pages.static import style
from app.security.entrance import Entrance
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


class Face:
    """How one page is drawn, for as long as its looks stay what they are."""

    def __init__(self, page: Page, beat: float, history: History) -> None:
        self.page = page
        self.look = Markup(style("tokens.css", "page.css", "stories.css", beat=beat) + accent(page))
        self.presses = {near: Press(self.look, page.logo) for near in (True, False)}
        self.past = Past(history)
        # Not the latency: it is not drawn here, and changes each second.
        self.sight = Sight(speed=False, page=page.slug)


def routes(hub: Hub, config: Config, history: History, entrance: Entrance) -> list[HTTPRouteHandler]:
    beat = round(PAGE_BEATS * config.beat, 3)
    faces: dict[str, Face] = {}

    def face_of(page: Page) -> Face:
        if (face := faces.get(page.slug)) is None or face.page != page:
            # Those of pages that are none any more are let go.
            known = {slug: each for slug, each in faces.items() if hub.board.page(slug) is not None}
            faces.clear()
            faces.update(known)
            face = faces[page.slug] = Face(page, beat, history)
        return face

    @route("/", http_method=[HttpMethod.GET, HttpMethod.HEAD], opt={"scope": "public"})
    async def page(request: Request[Any, Any, Any]) -> Response[Any]:
        return await show(request, None)

    @route("/p/{slug:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD], opt={"scope": "public"})
    async def page_by_slug(request: Request[Any, Any, Any], slug: FromPath[str]) -> Response[Any]:
        return await show(request, slug)

    async def show(request: Request[Any, Any, Any], slug: str | None) -> Response[Any]:
        door = await knock(request, slug, hub, entrance)
        return door if isinstance(door, Response) else await drawn(request, face_of(door))

    async def drawn(request: Request[Any, Any, Any], face: Face) -> Response[bytes]:
        # What awaits comes first: after it, board and feed are those of one instant.
        where = zone(face.page.time_zone)
        bars = await face.past.bars(face.sight.of(hub.board).groups, hub.now(), where)
        seen, id, feed, now = face.sight.of(hub.board), hub.board.id, hub.feed_state, hub.now()
        known, near, bad_file = stale.last_word(hub), comes_from_near(request), hub.bad_file
        minute = now.replace(second=0, microsecond=0)
        key = (EDITION, beat, feed, minute, seen.mark, bars and bars.at, near, near and bad_file)
        return await face.presses[near].answer(
            request,
            key,
            lambda: draw(
                "page.html",
                **{"style": face.look, "beat": beat, "pulse": config.beat, "id": id},
                **{"near": near, "bad_file": bad_file},
                **_shown(seen, feed, known, now, where, bars),
            ),
        )

    return [page, page_by_slug]


def accent(page: Page) -> str:
    """Digits of a colour and nothing else: that is seen to where a page is defined."""
    return f":root{{--accent:{page.accent}}}.brand{{color:var(--accent)}}" if page.accent else ""


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
        "page_link": f"/p/{seen.page.slug}" if seen.page.slug else "/",
        "wall_link": f"/p/{seen.page.slug}/wall" if seen.page.slug else "/wall",
        "stream_link": f"/events?page={seen.page.slug}" if seen.page.slug else "/events",
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
