"""Pages at /v1/pages: what each public is shown, and how. The one at `/` has no slug, and is called `_main`
here: it is always there, and removing it makes it the one that it is without a word.
"""

from collections.abc import Sequence
from typing import ClassVar, Final

from msgspec import Struct

from app.api.v1.catalog import InCatalog, Place, page_of
from app.api.v1.problem import Answered
from app.api.v1.resource import Asked
from app.api.v1.words import Name, Slug
from app.db.change import Change
from app.db.engine import Transaction
from app.domain.credentials import MASK
from app.domain.merge import with_page, without_page
from app.domain.monitor import Link, Page
from app.domain.refused import Refused

ID_OF_MAIN: Final = "_main"


class PageAltered(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`groups` and `components` name what is on it, in its order; null for both is all that is not hidden.
    `hosts` are the names under which it is at `/`. `access` is public, password or signed-in; the hash of a
    password is what `statuswire config password` prints."""

    name: Name = "Status"
    url: str | None = None
    time_zone: str = "UTC"
    hosts: tuple[str, ...] = ()
    groups: tuple[str, ...] | None = None
    components: tuple[str, ...] | None = None
    access: str = "public"
    password_hash: str = ""
    language: str = "en"
    logo: str | None = None
    accent: str | None = None
    links: tuple[Link, ...] = ()
    footer: str = ""


class PageGiven(PageAltered, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page beside the one at `/`, at /<slug>."""

    slug: Slug


class PageShown(PageAltered, frozen=True, kw_only=True):
    """A `password_hash` that is there is shown as ***. `origin` is the place in the config file, or
    `database`."""

    id: str
    slug: str
    origin: str


class Pages(InCatalog[PageShown, PageGiven]):
    name, words = "pages", "a page"
    shown, given, altered = PageShown, PageGiven, PageAltered
    example: ClassVar = {"slug": "internal", "name": "Acme, inside", "access": "signed-in"}

    async def list(
        self, transaction: Transaction, asked: Asked, after: str, limit: int
    ) -> Sequence[PageShown]:
        at = await self.place(transaction)
        found = _by_id(at)
        return [_shown(at, found[id]) for id in page_of(found, after, limit)]

    async def find(self, transaction: Transaction, asked: Asked, id: str) -> PageShown | None:
        at = await self.place(transaction)
        found = _by_id(at).get(id)
        return None if found is None else _shown(at, found)

    async def make(self, change: Change, asked: Asked, given: PageGiven) -> PageShown:
        _refuse_bound(asked)
        if given.slug in _by_id(await self.place(change.transaction)):
            raise Refused("slug", f"There is a page `{given.slug}` already: change that one.", "conflict")
        await self.edit(change, with_page(_page(given.slug, given, "")), given)
        return await self.need(change, asked, given.slug)

    async def alter(self, change: Change, asked: Asked, old: PageShown, given: PageAltered) -> PageShown:
        _refuse_bound(asked)
        known = _by_id(await self.place(change.transaction))[old.id]
        await self.edit(change, with_page(_page(old.slug, given, known.password_hash)), given)
        return await self.need(change, asked, old.id)

    async def remove(self, change: Change, asked: Asked, old: PageShown) -> None:
        _refuse_bound(asked)
        await self.refuse_ruled(change, "page", old.slug)
        await self.edit(change, without_page(old.slug))

    def is_seen(self, asked: Asked, item: PageShown) -> bool:
        return asked.caller.may_see(item.slug)


def _refuse_bound(asked: Asked) -> None:
    """Who could put anything on their page would see all there is."""
    if asked.caller.pages is not None:
        raise Answered(403, "This token is for some pages: it can look at them, and not change them.")


def _by_id(at: Place) -> dict[str, Page]:
    return {page.slug or ID_OF_MAIN: page for page in (at.running.page, *at.running.pages)}


def _page(slug: str, given: PageAltered, known_hash: str) -> Page:
    said = {name: getattr(given, name) for name in PageAltered.__struct_fields__}
    if given.password_hash == MASK:
        said["password_hash"] = known_hash
    return Page(slug=slug, **said)


def _shown(at: Place, page: Page) -> PageShown:
    said = {name: getattr(page, name) for name in PageAltered.__struct_fields__}
    said["password_hash"] = MASK if page.password_hash else ""
    return PageShown(id=page.slug or ID_OF_MAIN, slug=page.slug, origin=at.origin("page", page.slug), **said)
