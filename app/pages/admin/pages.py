"""The pages of the installation at /admin: slug and name by themselves, all else in the words of the file."""

from collections.abc import Awaitable, Callable
from typing import Final

from litestar import get, post
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from app.domain import monitor
from app.domain.merge import with_page, without_page
from app.domain.pages import MAIN
from app.domain.refused import Refused
from app.model import DATABASE
from app.pages.admin.desk import Asking, Desk, Form, Page, done, path
from app.security.guard import caller_of
from app.statusfile.single import page_text, read_page

_READ: Final = {"scope": "pages:read"}
_WRITE: Final = {"scope": "pages:write"}
# The page at `/` has no slug, and an address needs one; no slug may be this.
_FRONT: Final = "-"

# What is asked of the page of that name.
OfOne = Callable[[Asking, str, Form], Awaitable[str]]


class Pages:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def list(self, request: Asking) -> Page:
        catalog = self._desk.hub.board.catalog
        values = {
            "pages": [(_FRONT, catalog.page), *((page.slug, page) for page in catalog.pages)],
            "origins": self._desk.model.origins(),
        }
        return self._desk.page(request, "pages.html", "Pages", values)

    async def show(
        self, request: Asking, name: str, form: Form | None = None, refused: Refused | None = None
    ) -> Page:
        page = None if name == "new" else self._need(name)
        origin = DATABASE
        if page is not None:
            origin = self._desk.model.origins().get(("page", page.slug), DATABASE)
        values = {
            "page": page,
            "address": name,
            "origin": origin,
            "in_file": origin != DATABASE,
            "words": "" if page is None else page_text(page),
        }
        title = "Add a page" if page is None else page.name
        return self._desk.page(request, "page_form.html", title, values, form, refused)

    async def save(self, request: Asking, name: str, form: Form) -> str:
        if name == "new":
            slug = form.one("slug").strip()
            if not slug or self._find(slug) is not None:
                raise Refused("slug", "`slug` is empty, or taken: give one such as `internal`.")
        else:
            slug = self._need(name).slug
        desk = self._desk
        page = read_page(slug, form.one("name").strip(), form.one("words"), desk.hub.board.catalog)
        await desk.model.change(caller_of(request).actor, desk.hub.now(), with_page(page))
        await desk.until_shown(lambda board: board.page(slug) is not None)
        return done(path("pages", slug or _FRONT), "changed")

    async def remove(self, request: Asking, name: str, form: Form) -> str:
        page, desk = self._need(name), self._desk
        await desk.model.change(caller_of(request).actor, desk.hub.now(), without_page(page.slug))
        return done("/admin/pages", "removed")

    def _need(self, name: str) -> monitor.Page:
        page = self._find(MAIN if name == _FRONT else name)
        if page is None:
            raise NotFoundException("There is no such page.")
        return page

    def _find(self, slug: str) -> monitor.Page | None:
        at = self._desk.hub.board.page(slug)
        return None if at is None else at.page


def routes(desk: Desk) -> list[HTTPRouteHandler]:
    pages = Pages(desk)

    async def take(request: Asking, form: str, name: str, work: OfOne) -> Page:
        return await desk.take(
            request,
            form,
            lambda request, form: work(request, name, form),
            lambda request, *why: pages.show(request, name, *why),
        )

    @get("/admin/pages", opt=_READ)
    async def list_pages(request: Asking) -> Page:
        return await pages.list(request)

    @get("/admin/pages/{name:str}", opt=_READ)
    async def show_page(request: Asking, name: FromPath[str]) -> Page:
        return await pages.show(request, name)

    @post("/admin/pages/{name:str}", opt=_WRITE, status_code=200)
    async def save_page(request: Asking, name: FromPath[str]) -> Page:
        return await take(request, "page", name, pages.save)

    @post("/admin/pages/{name:str}/remove", opt=_WRITE, status_code=200)
    async def remove_page(request: Asking, name: FromPath[str]) -> Page:
        return await take(request, "remove", name, pages.remove)

    return [list_pages, show_page, save_page, remove_page]
