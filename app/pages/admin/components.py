"""Components, their monitors and groups at /admin: how each stands, where it comes from, and what a person
says of it. What the file rules is shown and cannot be changed here, and it is said on which line it stands.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from litestar import get, post
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from app.db.interventions import Interventions
from app.domain.credentials import restored_component, shown, shown_component
from app.domain.merge import (
    with_component,
    with_group,
    with_pause,
    without_component,
    without_group,
    without_pause,
)
from app.domain.monitor import Component, Monitor
from app.domain.refused import Refused
from app.domain.standing import State
from app.domain.status import Status
from app.feed import Feed, FeedDown
from app.model import DATABASE
from app.pages.admin.choices import SPANS, in_span
from app.pages.admin.desk import Asking, Desk, Form, Page, done, path
from app.pages.admin.incidents import on_it
from app.run_now import ask_workers, is_probed, run_now
from app.security.guard import caller_of
from app.statusfile.single import monitors_text, read_component
from app.statusfile.values import slug_of

_READ: Final = {"scope": "components:read"}
_WRITE: Final = {"scope": "components:write"}
_BY_HAND: Final = (Status.OPERATIONAL, Status.DEGRADED, Status.PARTIAL, Status.MAJOR, Status.MAINTENANCE)

Verb = Callable[[Asking, Form, Component], Awaitable[str]]


class Watched(Struct, frozen=True, kw_only=True):
    """A monitor as its component's page has it."""

    monitor: Monitor
    verdict: State
    origin: str
    paused: bool
    probed: bool  # by workers, who may be asked to look now


class Pages:
    def __init__(self, desk: Desk, feed: Feed) -> None:
        self._desk = desk
        self._feed = feed
        self._interventions = Interventions(desk.changes)
        self.verbs: dict[str, Verb] = {
            "status": self._set_status,
            "release": self._release,
            "acknowledge": self._acknowledge,
            "unacknowledge": self._unacknowledge,
            "pause": self._pause,
            "resume": self._resume,
            "run": self._run,
            "edit": self._edit,
            "remove": self._remove,
        }

    async def list(self, request: Asking, form: Form | None = None, refused: Refused | None = None) -> Page:
        board, origins = self._desk.hub.board, self._origins()
        groups = [*board.catalog.groups, None]
        values = {
            "groups": [(name, [c for c in board.catalog.components if c.group == name]) for name in groups],
            "shown": board.shown,
            "origins": origins,
            "in_file": _is_in_file,
        }
        return self._desk.page(request, "components.html", "Components", values, form, refused)

    async def blank(self, request: Asking, form: Form | None = None, refused: Refused | None = None) -> Page:
        values = {"groups": self._desk.hub.board.catalog.groups, "component": None, "monitors": ""}
        return self._desk.page(request, "component_new.html", "Add a component", values, form, refused)

    async def show(
        self, request: Asking, slug: str, form: Form | None = None, refused: Refused | None = None
    ) -> Page:
        component, board, origins = self.need(slug), self._desk.hub.board, self._origins()
        values = {
            "component": component,
            "shown": board.shown[slug],
            "note": board.shown[slug].note,
            "watched": [self._watched(each, origins) for each in component.monitors],
            "origin": origins.get(("component", slug), DATABASE),
            "in_file": _is_in_file,
            "by_hand": _BY_HAND,
            "spans": SPANS,
            "monitors": monitors_text(shown_component(component)),
            "groups": board.catalog.groups,
        }
        return self._desk.page(request, "component.html", component.name, values, form, refused)

    def need(self, slug: str) -> Component:
        found = self._desk.hub.board.component(slug)
        if found is None:
            raise NotFoundException("There is no such component.")
        return found

    async def add(self, request: Asking, form: Form) -> str:
        slug = form.one("slug").strip() or slug_of(form.one("name"))
        if self._desk.hub.board.component(slug) is not None:
            raise Refused(
                "slug", f"There is a component with the slug `{slug[:60]}` already: give it another."
            )
        await self._define(request, form, slug)
        await self._desk.until_shown(lambda board: board.component(slug) is not None)
        return done(path("components", slug), "changed")

    async def change_group(self, request: Asking, form: Form) -> str:
        name = form.one("name").strip()
        if form.has("remove"):
            await self._desk.model.change(caller_of(request).actor, self._desk.hub.now(), without_group(name))
            return done("/admin/components", "removed")
        if not name:
            raise Refused("name", "`name` is empty: give the group one.")
        await self._desk.model.change(caller_of(request).actor, self._desk.hub.now(), with_group(name))
        await self._desk.until_shown(lambda board: name in board.catalog.groups)
        return done("/admin/components", "changed")

    async def _define(self, request: Asking, form: Form, slug: str) -> None:
        given = Component(
            slug=slug,
            name=form.one("name").strip(),
            description=form.one("description").strip(),
            group=form.one("group").strip() or None,
            hidden=form.has("hidden"),
        )
        board = self._desk.hub.board
        component = read_component(given, form.one("monitors"), board.catalog)
        component = restored_component(component, board.component(slug))
        actor = caller_of(request).actor
        await self._desk.model.change(actor, self._desk.hub.now(), with_component(component))

    async def _edit(self, request: Asking, form: Form, component: Component) -> str:
        await self._define(request, form, component.slug)
        return "changed"

    async def _remove(self, request: Asking, form: Form, component: Component) -> str:
        edit = without_component(component.slug)
        self._desk.refuse_ruled("component", component.slug, "component")
        await self._desk.model.change(caller_of(request).actor, self._desk.hub.now(), edit)
        await self._desk.until_shown(lambda board: board.component(component.slug) is None)
        return "removed"

    async def _set_status(self, request: Asking, form: Form, component: Component) -> str:
        status = form.chosen("status", Status)
        if status is None:
            raise Refused("status", "`status` is empty: choose one.")
        actor = caller_of(request).actor
        now, note = self._desk.hub.now(), form.one("note")
        await self._interventions.override(actor, now, component.slug, status, note)
        await self._desk.until_shown(
            lambda board: (
                board.shown[component.slug].status is status
                and board.operations.note(component.slug) == note.strip()
            )
        )
        return "set"

    async def _release(self, request: Asking, form: Form, component: Component) -> str:
        slug = component.slug
        await self._interventions.release(caller_of(request).actor, self._desk.hub.now(), slug)
        await self._desk.until_shown(lambda board: not board.operations.is_by_hand(slug))
        return "released"

    async def _acknowledge(self, request: Asking, form: Form, component: Component) -> str:
        now, words = self._desk.hub.now(), form.one("words") or on_it(request)
        until = in_span(form, "until", now)
        await self._interventions.acknowledge(caller_of(request).actor, now, component.slug, words, until)
        await self._desk.until_shown(lambda board: bool(board.operations.acknowledgement(component.slug)))
        return "acknowledged"

    async def _unacknowledge(self, request: Asking, form: Form, component: Component) -> str:
        actor, now = caller_of(request).actor, self._desk.hub.now()
        await self._interventions.unacknowledge(actor, now, component.slug)
        await self._desk.until_shown(lambda board: not board.operations.acknowledgement(component.slug))
        return "changed"

    async def _pause(self, request: Asking, form: Form, component: Component) -> str:
        key = self._monitor(form, component).key
        await self._desk.model.change(caller_of(request).actor, self._desk.hub.now(), with_pause(key))
        await self._desk.until_shown(lambda board: key in board.catalog.paused)
        return "paused"

    async def _resume(self, request: Asking, form: Form, component: Component) -> str:
        monitor = self._monitor(form, component)
        key = monitor.key
        await self._desk.model.change(caller_of(request).actor, self._desk.hub.now(), without_pause(key))
        await self._desk.until_shown(lambda board: key not in board.catalog.paused)
        # A worker that was away meanwhile knows of no pause, and would look in its own time.
        with suppress(*FeedDown):
            await ask_workers(self._feed, monitor)
        return "resumed"

    async def _run(self, request: Asking, form: Form, component: Component) -> str:
        await run_now(self._feed, self._desk.hub.board.catalog, self._monitor(form, component))
        return "asked"

    def _monitor(self, form: Form, component: Component) -> Monitor:
        for monitor in component.monitors:
            if monitor.key == form.one("monitor"):
                return monitor
        raise Refused("monitor", "This component has no such monitor any more.", "missing")

    def _watched(self, monitor: Monitor, origins: dict[tuple[str, str], str]) -> Watched:
        board = self._desk.hub.board
        return Watched(
            monitor=shown(monitor),
            verdict=board.verdict(monitor),
            origin=origins.get(("monitor", monitor.key), DATABASE),
            paused=monitor.key in board.catalog.paused,
            probed=is_probed(monitor),
        )

    def _origins(self) -> dict[tuple[str, str], str]:
        return self._desk.model.origins()


def routes(desk: Desk, feed: Feed) -> list[HTTPRouteHandler]:
    pages = Pages(desk, feed)

    @get("/admin/components", opt=_READ)
    async def list_components(request: Asking) -> Page:
        return await pages.list(request)

    @get("/admin/components/new", opt=_WRITE)
    async def begin_component(request: Asking) -> Page:
        return await pages.blank(request)

    @post("/admin/components/new", opt=_WRITE, status_code=200)
    async def add_component(request: Asking) -> Page:
        return await desk.take(request, "edit", pages.add, pages.blank)

    @post("/admin/groups", opt={"scope": "groups:write"}, status_code=200)
    async def change_group(request: Asking) -> Page:
        return await desk.take(request, "group", pages.change_group, pages.list)

    @get("/admin/components/{slug:str}", opt=_READ)
    async def show_component(request: Asking, slug: FromPath[str]) -> Page:
        return await pages.show(request, slug)

    @post("/admin/components/{slug:str}/{verb:str}", opt=_WRITE, status_code=200)
    async def change_component(request: Asking, slug: FromPath[str], verb: FromPath[str]) -> Page:
        component, work = pages.need(slug), pages.verbs.get(verb)
        if work is None:
            raise NotFoundException("There is no such verb.")

        async def go_on(request: Asking, form: Form) -> str:
            word = await work(request, form, component)
            return done("/admin/components" if verb == "remove" else path("components", slug), word)

        return await desk.take(request, verb, go_on, lambda request, *why: pages.show(request, slug, *why))

    return [
        list_components, begin_component, add_component, change_group, show_component, change_component,
    ]  # fmt: skip


def _is_in_file(origin: str) -> bool:
    return origin != DATABASE
