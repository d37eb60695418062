"""The wall at `/wall`: every component on one screen, for a kiosk browser. The server draws it once; from
then on frames change it, for months.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from litestar import HttpMethod, Request, Response, route
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from app.config import Config
from app.db.history import History
from app.domain.status import SEVERITY, Status
from app.live.hub import Hub
from app.pages import stale
from app.pages.answer import Press
from app.pages.door import enter, knock
from app.pages.drawing import EDITION, draw, zone
from app.pages.hours import Hours
from app.pages.language import Language, choose
from app.pages.past import Past
from app.pages.rows import SIGN, WORD, Row, Seen, Sight, weighed
from app.pages.static import style, texts
from app.pages.stories import Story
from app.security.callers import Callers, NotRecognised
from app.security.entrance import Entrance

_READ: Final = [HttpMethod.GET, HttpMethod.HEAD]
_PUBLIC: Final = {"scope": "public"}
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


class Moment(Struct, frozen=True):
    """All that a wall says, of one instant."""

    seen: Seen
    hours: Hours | None
    id: str
    feed: str
    known: datetime
    now: datetime
    bad_file: bool
    unfit: dict[str, int]

    @property
    def mark(self) -> object:
        """The same as long as the same is drawn of it."""
        minute = self.now.replace(second=0, microsecond=0)
        return self.feed, minute, self.seen.mark, self.bad_file, self.unfit, self.hours


class Walls:
    """Those of all pages, each drawn once for whoever asks for the same."""

    def __init__(self, hub: Hub, config: Config, history: History) -> None:
        self._hub = hub
        self._history = history
        self._beat = config.beat
        self._style = style("tokens.css", "wall.css", beat=config.beat)
        self._script = texts("wall.js")
        self._presses = {theme: Press(self._style) for theme in THEMES.values()}
        self._sights: dict[str, Sight] = {}
        self._pasts: dict[str, Past] = {}

    async def show(
        self, request: Request[Any, Any, Any], moment: Moment, theme: str, closed: bool
    ) -> Response[bytes]:
        # Dark unless asked otherwise: walls hang in dim rooms, and white burns in.
        chosen, language = THEMES.get(theme, "dark"), choose(request, moment.seen.page.language)
        key = (EDITION, self._beat, chosen, language.code, moment.mark)
        return await self._presses[chosen].answer(
            request, key, lambda: self._draw(moment, chosen, language), closed
        )

    async def now(self, slug: str) -> Moment:
        hub, sight = self._hub, self._sights.setdefault(slug, Sight(speed=True, page=slug))
        past = self._pasts.setdefault(slug, Past(self._history))
        # What awaits comes first: after it, all is of one instant.
        hours = await past.hours([row.slug for row in sight.of(hub.board).rows], hub.now())
        return Moment(
            seen=sight.of(hub.board),
            hours=hours,
            id=hub.board.id,
            feed=hub.feed_state,
            known=stale.last_word(hub),
            now=hub.now(),
            bad_file=hub.bad_file,
            unfit=hub.unfit,
        )

    def _draw(self, moment: Moment, theme: str, language: Language) -> str:
        return draw(
            "wall.html",
            **{"style": self._style, "beat": self._beat, "pulse": self._beat, "build": EDITION},
            **{"theme": theme, "words": language.spoken_in(self._script)},
            **_shown(moment, language),
        )


def routes(
    hub: Hub, config: Config, history: History, callers: Callers, entrance: Entrance
) -> list[HTTPRouteHandler]:
    walls = Walls(hub, config, history)

    async def behind_door(request: Request[Any, Any, Any], slug: str | None, theme: str) -> Response[Any]:
        page = await knock(request, slug, hub, entrance)
        if isinstance(page, Response):
            return page
        moment = await walls.now(page.slug)
        # It may have been closed while the past was read.
        if moment.seen.page != page:
            page = await enter(request, page.slug, hub, entrance)
            if isinstance(page, Response):
                return page
        return await walls.show(request, moment, theme, closed=moment.seen.page.access != "public")

    @route("/wall", http_method=_READ, opt=_PUBLIC)
    async def wall(request: Request[Any, Any, Any], theme: FromQuery[str] = "dark") -> Response[Any]:
        return await behind_door(request, None, theme)

    @route("/p/{slug:str}/wall", http_method=_READ, opt=_PUBLIC)
    async def wall_of_page(
        request: Request[Any, Any, Any], slug: FromPath[str], theme: FromQuery[str] = "dark"
    ) -> Response[Any]:
        return await behind_door(request, slug, theme)

    @route("/wall/{token:str}", http_method=_READ, opt=_PUBLIC)
    async def wall_by_token(
        request: Request[Any, Any, Any], token: FromPath[str], theme: FromQuery[str] = "dark"
    ) -> Response[bytes]:
        """For a screen on which nobody signs in. Its stream names the token too, and ends with it."""
        try:
            its, _ = await callers.recognise_wall(token, callers.visitor(request.scope))
        except NotRecognised as no:
            raise NotFoundException(str(no)) from None
        if hub.board.page(its.page) is None:
            raise NotFoundException("The page of this wall is not there any more.")
        return await walls.show(request, await walls.now(its.page), theme, closed=True)

    return [wall, wall_of_page, wall_by_token]


def _shown(moment: Moment, language: Language) -> dict[str, Any]:
    seen, feed, live, say = moment.seen, moment.feed, moment.feed == "ok", language.say
    status, _ = weighed(seen.rows, seen.stories)
    heading, detail = sentence(seen.rows, language, seen.stories)
    if not live:
        why = say(stale.WHY[feed])
        heading, detail = say("No live data"), why[0].upper() + why[1:]
    return {
        "title": f"{SIGN[status] if live else stale.SIGN} {heading} · {seen.page.name}",
        **{"live": live, "feed": feed, "id": moment.id, "known": moment.known, "now": moment.now},
        **{"page": seen.page, "zone": zone(seen.page.time_zone), "language": language, "say": say},
        **{"status": status, "heading": heading, "detail": detail, "hours": moment.hours},
        **{"bad_file": moment.bad_file, "unfit": say_unfit(moment.unfit, language)},
        **{"counted": COUNTED, "counts": Counter(row.status for row in seen.rows)},
        **{"groups": seen.groups, "stories": seen.stories, "large": len(seen.rows) <= LARGE},
    }


def sentence(rows: Sequence[Row], language: Language, told: Iterable[Story] = ()) -> tuple[str, str]:
    """The sentence of the wall and the line below it."""
    say = language.say
    incidents = [each for each in told if each.kind == "incident"]
    if not rows and not incidents:
        return say("Nothing is watched yet"), say("What is named in the config file appears here")
    problems = sorted(
        (row for row in rows if SEVERITY[row.status] > SEVERITY[Status.MAINTENANCE]),
        key=lambda row: (not row.acknowledged, SEVERITY[row.status], row.since),
        reverse=True,
    )
    if problems:
        return _of_problems(problems, language)
    if number := len(incidents):
        many = language.count(number, "{number} open incident", "{number} open incidents")
        return say("Open incident") if number == 1 else many, language.isolated(incidents[0].title)
    resting = sum(row.status is Status.MAINTENANCE for row in rows)
    calm, well = say("Nothing needs attention"), len(rows) - resting
    if resting:
        return calm, say("{number} operational, {resting} in maintenance", number=well, resting=resting)
    return say("All {number} operational", number=well), calm


def _of_problems(problems: Sequence[Row], language: Language) -> tuple[str, str]:
    """The first is the one that waits most for somebody."""
    waiting, first = sum(not row.acknowledged for row in problems), problems[0]
    if waiting:
        heading = language.count(waiting, "{number} needs attention", "{number} need attention")
    else:
        heading = language.say("{number} in hand", number=len(problems))
    status = language.say(WORD[first.status])
    said = language.say("{component}: {status}", component=first.name, status=status)
    return heading, ", ".join(filter(None, (said, language.isolated(first.acknowledged))))


def say_unfit(unfit: Mapping[str, int], language: Language) -> str:
    """Of which regions workers say that what they find now is no verdict."""
    if not unfit:
        return ""
    return language.count(
        sum(unfit.values()),
        "{number} worker is not fit to judge: {regions}",
        "{number} workers are not fit to judge: {regions}",
        regions=", ".join(unfit),
    )
