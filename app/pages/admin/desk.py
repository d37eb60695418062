"""What every page of /admin stands on: the form that was sent, what was wrong with it, and the frame around.

A form that is refused is drawn again, with all that was typed, and with the sentence beside the field that it
is about. One that is taken leads on by 303, so that to load the page again does not send it again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from litestar import Request, Response
from litestar.exceptions import NotFoundException
from markupsafe import Markup
from msgspec import Struct

from app.config import Config
from app.db.change import Changes
from app.domain.board import Board
from app.domain.refused import Refused
from app.live.hub import PAGE_BEATS, Hub
from app.model import DATABASE, Model
from app.pages import stale
from app.pages.answer import SECURITY, content_policy
from app.pages.drawing import draw, zone
from app.pages.sheet import go
from app.pages.static import style
from app.security.callers import Caller
from app.security.guard import caller_of

Asking = Request[Any, Any, Any]
Page = Response[str]

# What is said on the page to which a form leads. The address names one of these, so that nobody's link can
# say anything else there.
DONE: Final = {
    "posted": "The incident is public, on every screen.",
    "kept": "The draft is kept. Nobody else sees it.",
    "told": "It is said, on every screen.",
    "noted": "The note is kept, for operators alone.",
    "resolved": "The incident is resolved.",
    "acknowledged": "Everybody sees that somebody is on it.",
    "changed": "It is changed.",
    "removed": "It is removed.",
    "scheduled": "It is scheduled, and announced.",
    "paused": "Nobody looks at it until it is resumed. It is unknown meanwhile, and counted as not observed.",
    "resumed": "It is looked at again.",
    "asked": "The workers are asked to look now. What they find is here within seconds.",
    "set": "It has this status until you release it, whatever its probes find.",
    "released": "Its probes have the word again.",
}
# (address, name, scope)
_ROOMS: Final = (
    ("/admin", "Now", "incidents:read"),
    ("/admin/incidents", "Incidents", "incidents:read"),
    ("/admin/maintenances", "Maintenance", "maintenances:read"),
    ("/admin/rules", "Rules", "incidents:read"),
    ("/admin/components", "Components", "components:read"),
    ("/admin/pages", "Pages", "pages:read"),
    ("/admin/templates", "Templates", "templates:read"),
    ("/admin/walls", "Walls", "walls:read"),
    ("/admin/tokens", "Tokens", "admin"),
    ("/admin/users", "People", "admin"),
    ("/admin/audit", "Audit", "admin"),
)


_WAIT: Final = 0.02  # seconds
_WAITS: Final = 75


class Form(Struct, frozen=True):
    """What was typed into one form of a page; a page may have several."""

    name: str = ""
    given: Mapping[str, tuple[str, ...]] = {}

    def one(self, field: str) -> str:
        return (self.given.get(field) or ("",))[0]

    def all(self, field: str) -> tuple[str, ...]:
        return self.given.get(field, ())

    def has(self, field: str) -> bool:
        return field in self.given

    def lines(self, field: str) -> tuple[str, ...]:
        """Of a field that takes several things, one a line or with commas between."""
        parts = self.one(field).replace(",", "\n").splitlines()
        return tuple(part.strip() for part in parts if part.strip())

    def instant(self, field: str, where: ZoneInfo) -> datetime | None:
        """As `<input type=datetime-local>` writes it, by the clocks of `where`."""
        text = self.one(field).strip()
        if not text:
            return None
        try:
            at = datetime.fromisoformat(text)
            return (at if at.tzinfo else at.replace(tzinfo=where)).astimezone(UTC)
        except (ValueError, OverflowError):
            raise Refused(field, f"`{field}` is no date and time: write such as 2026-11-24T13:30.") from None

    def need_instant(self, field: str, where: ZoneInfo) -> datetime:
        at = self.instant(field, where)
        if at is None:
            raise Refused(field, f"`{field}` is empty: give a date and a time.")
        return at

    def chosen(self, field: str, words: type[StrEnum], default: Any = None) -> Any:
        """A word of an enumeration; `default` for none."""
        text = self.one(field)
        if not text:
            return default
        try:
            return words(text)
        except ValueError:
            raise Refused(field, f"`{field}` is none of {', '.join(words)}: choose one of them.") from None


class Paper:
    """What templates ask of the form that was sent: what was typed, and what is wrong."""

    def __init__(self, form: Form, refused: Refused | None) -> None:
        self._form = form
        self._refused = refused
        self._is_told = False

    def typed(self, form: str, field: str, default: object = "") -> str:
        if form != self._form.name:
            return "" if default is None else str(default)
        return self._form.one(field)

    def is_ticked(self, form: str, field: str, value: str, default: bool = False) -> bool:
        return value in self._form.all(field) if form == self._form.name else default

    def wrong(self, form: str, field: str) -> str:
        """Said once: what was said beside its field is not said again above."""
        if self._refused is None or form != self._form.name or field != self._refused.field:
            return ""
        self._is_told = True
        return str(self._refused)

    @property
    def rest(self) -> str:
        """What is wrong and has no field. To be asked when all fields are drawn."""
        return "" if self._refused is None or self._is_told else str(self._refused)


# What a form asks for, and the page drawn again with what was refused.
Work = Callable[[Asking, Form], Awaitable[str | Page]]
Draw = Callable[[Asking, Form, Refused], Awaitable[Page]]


class Desk:
    def __init__(self, changes: Changes, hub: Hub, model: Model, config: Config) -> None:
        self.changes = changes
        self.hub = hub
        self.model = model
        self._beat = config.beat * PAGE_BEATS
        self._pulse = config.beat
        self._style = style("tokens.css", "form.css", "admin.css", beat=self._beat)
        self._headers = {
            **SECURITY,
            "Content-Security-Policy": content_policy(self._style),
            "Cache-Control": "no-store",
        }

    @property
    def where(self) -> ZoneInfo:
        """Whose clocks times are read and written by."""
        return zone(self.hub.board.catalog.page.time_zone)

    def page(
        self,
        request: Asking,
        template: str,
        title: str,
        values: Mapping[str, object],
        form: Form | None = None,
        refused: Refused | None = None,
    ) -> Page:
        caller, paper = caller_of(request), Paper(form or Form(), refused)
        given = {
            "may": caller.may,
            "form_token": caller.form_token,
            "user": caller.session.user.name if caller.session else caller.actor.name,
            "paper": paper,
            "now": self.hub.now(),
            "where": self.where,
            **values,
        }
        # The fields first: they say what is wrong with them, and the frame has the rest.
        body = Markup(draw(f"admin/{template}", **given))
        said = DONE.get(request.query_params.get("done", ""), "")
        html = draw(
            "admin/frame.html", body=body, title=title, said=said, **given, **self._frame(caller, request)
        )
        status = 200 if refused is None else {"missing": 404, "conflict": 409}.get(refused.kind, 422)
        return Response(html, status_code=status, media_type="text/html", headers=self._headers)

    async def take(self, request: Asking, name: str, work: Work, again: Draw) -> Page:
        """Do what a form asks for, and go where `work` says; or draw the page `again`."""
        form = await read(request, name)
        try:
            done = await work(request, form)
        except Refused as refused:
            return await again(request, form, refused)
        return go(done) if isinstance(done, str) else done

    def refuse_ruled(self, kind: str, name: str, field: str) -> None:
        """What the file has cannot be taken away here."""
        origin = self.model.origins().get((kind, name), DATABASE)
        if origin != DATABASE:
            sentence = f"It is ruled by the file {origin}: take it out of the file."
            raise Refused(field, sentence, "conflict")

    async def until_shown(self, is_so: Callable[[Board], bool]) -> None:
        """A change comes back to us by the feed. Whoever made it is not to be shown what was before; but
        nobody is kept waiting for a Redis that is away."""
        for _ in range(_WAITS):
            if is_so(self.hub.board):
                return
            await asyncio.sleep(_WAIT)

    def _frame(self, caller: Caller, request: Asking) -> dict[str, object]:
        hub, here = self.hub, request.url.path
        return {
            "style": self._style,
            "rooms": [room for room in _ROOMS if caller.may(room[2])],
            "here": max((room[0] for room in _ROOMS if here.startswith(room[0])), key=len, default=""),
            "page_name": hub.board.catalog.page.name,
            "beat": self._beat,
            "pulse": self._pulse,
            "id": hub.board.id,
            "feed": hub.feed_state,
            "known": stale.last_word(hub),
            "bad_file": hub.bad_file,
        }


async def read(request: Asking, name: str) -> Form:
    given: dict[str, tuple[str, ...]] = {}
    for field, value in (await request.form()).multi_items():
        if isinstance(value, str):
            text = value.replace("\r\n", "\n").replace("\0", "\N{REPLACEMENT CHARACTER}")
            given[field] = (*given.get(field, ()), text)
    return Form(name, given)


def done(where: str, word: str) -> str:
    return f"{where}?done={word}"


def found(refused: Refused) -> NotFoundException:
    """For what is looked at and is not there: a page of its own, and no form drawn again."""
    return NotFoundException(str(refused))


def path(*parts: str) -> str:
    return "/admin/" + "/".join(quote(part, safe="") for part in parts)
