"""What all pages for visitors share: the view of one instant that they are drawn of, their style, and the
cache they leave by. `/wall` is none of them.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from litestar import Request, Response
from markupsafe import Markup
from msgspec import Struct

from app.config import Config
from app.domain.monitor import Page
from app.domain.pages import MAIN
from app.domain.status import Status
from app.live.hub import PAGE_BEATS, Hub
from app.pages import stale
from app.pages.answer import Press, content_policy
from app.pages.branding import accent_style
from app.pages.drawing import EDITION, draw, zone
from app.pages.kept import offer
from app.pages.language import NAMES, Language, choose
from app.pages.rows import SIGN, Seen, Sight
from app.pages.static import style, texts, url
from app.security.near import comes_from_near

# What is not on the first page a visitor sees would only make it later.
_STYLES: Final = {
    "page.html": ("tokens.css", "page.css", "stories.css", "days.css"),
    "component.html": ("tokens.css", "page.css", "component.css"),
    "history.html": ("tokens.css", "page.css", "component.css", "days.css"),
    "story.html": ("tokens.css", "page.css", "stories.css", "story.css"),
}

# Those of which a page says words.
_SCRIPTS: Final = ("page.js", "news.js", "bars.js")


class View(Struct, frozen=True, kw_only=True):
    """All that a page is drawn of, taken in one instant. `asked` is the language of the address, if it has
    one: links within the page keep it. A copy is a page among plain files, which has none of our server's
    addresses: `root` leads from it to its folder, and it is old after `until`."""

    seen: Seen
    id: str
    feed: str
    now: datetime
    known: datetime
    near: bool
    bad_file: bool
    language: Language
    asked: str = ""
    root: str = "/"
    base: str = ""  # what stands before the paths of a page that is not at `/`
    copy: bool = False
    until: datetime | None = None

    @property
    def where(self) -> ZoneInfo:
        return zone(self.seen.page.time_zone)

    @property
    def minute(self) -> datetime:
        return self.now.replace(second=0, microsecond=0)

    @property
    def live(self) -> bool:
        return self.feed == "ok"

    def mark(self) -> tuple[object, ...]:
        """Equal for views of which the same is drawn. Minutes are the least that a page tells."""
        said = (self.near and self.bad_file, self.language.code, self.asked)
        return (self.feed, self.minute, self.seen.mark, self.near, self.base, *said)

    def link(self, path: str, **query: str) -> str:
        if self.copy:
            return f"{self.root}{path.strip('/')}/index.html".replace("//", "/").removeprefix("/")
        query = {name: value for name, value in {**query, "lang": self.asked}.items() if value}
        whole = (self.base + path).rstrip("/") or "/"
        return f"{whole}?{urlencode(query)}" if query else whole


class Face:
    """How a page looks, for as long as its accent and its logo stay what they are."""

    def __init__(self, page: Page, beat: float) -> None:
        self.page = page
        self.looks = {
            name: Markup(style(*files, beat=beat) + accent_style(page.accent))
            for name, files in _STYLES.items()
        }
        self.presses = {name: Press(look, page.logo) for name, look in self.looks.items()}

    def is_of(self, page: Page) -> bool:
        return (page.accent, page.logo) == (self.page.accent, self.page.logo)


class Views:
    def __init__(self, hub: Hub, config: Config, page: str = MAIN) -> None:
        self._hub = hub
        self._pulse = config.beat
        self._beat = round(PAGE_BEATS * config.beat, 3)
        self._face: Face | None = None
        # Not the latency: it is not drawn here, and changes each second.
        self._sight = Sight(speed=False, page=page)
        self._script = texts(*_SCRIPTS)

    def seen(self) -> Seen:
        return self._sight.of(self._hub.board)

    def view(self, request: Request[Any, Any, Any]) -> View:
        """Without awaiting, so that board and feed are those of one instant."""
        hub = self._hub
        asked = request.query_params.get("lang", "")
        return View(
            seen=self.seen(),
            id=hub.board.id,
            feed=hub.feed_state,
            now=hub.now(),
            known=stale.last_word(hub),
            near=comes_from_near(request),
            bad_file=hub.bad_file,
            language=choose(request, self.seen().page.language),
            asked=asked if asked in NAMES else "",
            base=f"/p/{slug}" if (slug := request.path_params.get("page")) else "",
        )

    async def answer(
        self,
        request: Request[Any, Any, Any],
        template: str,
        view: View,
        key: tuple[object, ...],
        shown: Callable[[], dict[str, Any]],
        until: datetime,
        is_here: Callable[[], bool],
    ) -> Response[bytes]:
        """`key` is what `shown` depends on besides the view. It is the same `until` then, on a page that
        `is_here`."""
        press, is_public = self._face_of(view).presses[template], view.seen.page.access == "public"
        response = await press.answer(
            request,
            (EDITION, self._beat, template, view.mark(), key),
            lambda: self.draw(template, view, shown()),
            not is_public,
            self._is_now(view),
        )
        if is_public:
            packings, is_now = press.packings, self._is_now(view, until)
            offer(request, lambda: press.packings == packings and is_here() and is_now())
        return response

    def _is_now(self, view: View, until: datetime | None = None) -> Callable[[], bool]:
        """Whether a view of now has the same mark, if it is the same that is asked for. It holds nothing of
        the view, which is a whole board."""
        hub, begins, ends = self._hub, view.minute, view.minute + timedelta(minutes=1)
        mark, feed, bad_file = view.seen.mark, view.feed, view.bad_file
        ends = min(ends, until or ends)

        def is_now() -> bool:
            return (
                begins <= hub.now() < ends
                and hub.feed_state == feed
                and hub.bad_file == bad_file
                and self.seen().mark == mark
            )

        return is_now

    def draw(self, template: str, view: View, shown: dict[str, Any]) -> str:
        return draw(template, **self._frame(template, view), **shown)

    def _face_of(self, view: View) -> Face:
        page = view.seen.page
        if self._face is None or not self._face.is_of(page):
            self._face = Face(page, self._beat)
        return self._face

    def _frame(self, template: str, view: View) -> dict[str, Any]:
        language, look = view.language, self._face_of(view).looks[template]
        return {
            "style": look,
            "beat": self._beat,
            "pulse": self._pulse,
            "view": view,
            "page": view.seen.page,
            "live": view.live,
            "zone": view.where,
            "language": language,
            "languages": NAMES,
            "say": language.say,
            "count": language.count,
            "link": view.link,
            "static": lambda name: view.root + url(name).removeprefix("/"),
            "policy": _policy_of_copy(look, view.seen.page.logo) if view.copy else "",
            "moment": lambda at: language.moment(at, view.where),
            "words": language.spoken_in(self._script),
        }


def _policy_of_copy(look: str, logo: str | None) -> str:
    """A page cannot say of itself who may frame it: only a header can."""
    return content_policy(look, logo).removesuffix(";frame-ancestors 'none'")


def hero(view: View, status: Status, sentence: str, tally: str, began: datetime | None) -> dict[str, Any]:
    """The head of a page: one sentence, what it is about, and whether it is still true. A stale one brings
    what it says when it is fresh again."""
    at = view.language.recent(view.known, view.now, view.where)
    heading = unlive(view) or sentence
    return {
        "title": title(view, heading, SIGN[status] if view.live else stale.SIGN),
        "status": status,
        "heading": heading,
        "tally": tally if view.live else stale.last_known(status, sentence, at, view.language),
        "sign": SIGN[status],
        "about": sentence,
        "below": tally,
        "began": began,
    }


def unlive(view: View) -> str:
    """Why what it shows may not be true any more; nothing while it is live."""
    say = view.language.say
    return "" if view.live else say("Not live: {reason}", reason=say(stale.WHY[view.feed]))


def title(view: View, heading: str, sign: str = "") -> str:
    return f"{sign} {heading} · {view.seen.page.name}".strip()
