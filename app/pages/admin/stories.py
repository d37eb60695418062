"""What incidents and maintenances have alike at /admin: a list, a form for a new one, and for each its own
page with a form for every verb."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from litestar import get, post
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from app.domain.audience import Audience
from app.domain.board import Board
from app.domain.incident import Incident
from app.domain.maintenance import Maintenance
from app.domain.pages import MAIN
from app.domain.refused import Refused
from app.pages.admin.desk import Asking, Desk, Form, Page, done, found, path
from app.pages.stories import show as shown_to

Verb = Callable[[Asking, Form, str], Awaitable[str]]


class Pages(Protocol):
    """Each of `verbs` is given the id, and returns what is to be said then, a word of DONE."""

    verbs: dict[str, Verb]

    async def list(self, request: Asking) -> Page: ...
    async def blank(
        self, request: Asking, form: Form | None = None, refused: Refused | None = None
    ) -> Page: ...
    async def make(self, request: Asking, form: Form) -> str | Page: ...
    async def show(
        self, request: Asking, id: str, form: Form | None = None, refused: Refused | None = None
    ) -> Page: ...


def routes(desk: Desk, pages: Pages, name: str, begins: str, ends: str) -> list[HTTPRouteHandler]:
    """`name` is that of the resource, in addresses and scopes; `begins` is the verb by which there is one,
    and `ends` the one after which it has no page any more."""
    may_read, may_write = {"scope": f"{name}:read"}, {"scope": f"{name}:write"}

    async def show(
        request: Asking, id: str, form: Form | None = None, refused: Refused | None = None
    ) -> Page:
        try:
            return await pages.show(request, id, form, refused)
        except Refused as gone:
            raise found(gone) from None

    @get(f"/admin/{name}", opt=may_read)
    async def list_all(request: Asking) -> Page:
        return await pages.list(request)

    @get(f"/admin/{name}/new", opt=may_write)
    async def begin(request: Asking) -> Page:
        return await pages.blank(request)

    @post(f"/admin/{name}/new", opt=may_write, status_code=200)
    async def make(request: Asking) -> Page:
        return await desk.take(request, begins, pages.make, pages.blank)

    @get(f"/admin/{name}/{{id:str}}", opt=may_read)
    async def show_one(request: Asking, id: FromPath[str]) -> Page:
        return await show(request, id)

    @post(f"/admin/{name}/{{id:str}}/{{verb:str}}", opt=may_write, status_code=200)
    async def change(request: Asking, id: FromPath[str], verb: FromPath[str]) -> Page:
        work = pages.verbs.get(verb)
        if work is None:
            raise NotFoundException("There is no such verb.")

        async def go_on(request: Asking, form: Form) -> str:
            word = await work(request, form, id)
            return done(f"/admin/{name}" if verb == ends else path(name, id), word)

        return await desk.take(request, verb, go_on, lambda request, *why: show(request, id, *why))

    return [list_all, begin, make, show_one, change]


def seen_at(told: Incident | Maintenance, board: Board) -> list[tuple[str, str]]:
    """The name of each page that shows it, and its address there."""
    kind = "incidents" if isinstance(told, Incident) else "maintenances"
    homes = [(MAIN, "", board.catalog.page.name)]
    homes += [(page.slug, f"/p/{page.slug}", page.name) for page in board.catalog.pages]
    return [
        (name, f"{home}/{kind}/{told.id}")
        for slug, home, name in homes
        if shown_to(told, board, Audience(page=slug)) is not None
    ]
