"""What is on a page: which components, in which order, under which groups; and which page a host name means.

A component that is hidden is on those pages alone that name it by its slug, so that nothing new is ever shown
on a page by being put into a group.
"""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from app.domain.monitor import Catalog, Component, Page


class OnPage(Struct, frozen=True):
    """A page, and what of a catalog is on it."""

    page: Page
    groups: tuple[str, ...]
    components: tuple[Component, ...]
    slugs: frozenset[str]


NOTHING: Final = OnPage(Page(), (), (), frozenset())
MAIN: Final = ""  # the slug of the page at `/`


def on_pages(catalog: Catalog) -> dict[str, OnPage]:
    """By slug."""
    found = {}
    for page in (catalog.page, *catalog.pages):
        components = components_of(catalog, page)
        slugs = frozenset(component.slug for component in components)
        found[page.slug] = OnPage(page, groups_of(catalog, page), components, slugs)
    return found


def of_host(catalog: Catalog, host: str) -> str:
    """The slug of the page that is at `/` for those who come by this name, as a Host header has it."""
    name = host.lower().rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host.lower()
    bare = name.rstrip(".")
    return next((page.slug for page in catalog.pages if bare in page.hosts), MAIN)


def components_of(catalog: Catalog, page: Page) -> tuple[Component, ...]:
    """In the page's own order. Of what it names and is not there nothing is said."""
    if page.groups is None and page.components is None:
        return tuple(component for component in catalog.components if not component.hidden)
    return tuple({component.slug: component for component in _named(catalog, page)}.values())


def groups_of(catalog: Catalog, page: Page) -> tuple[str, ...]:
    """Those that have something on the page, in its order."""
    shown = [component.group for component in components_of(catalog, page)]
    is_whole = page.groups is None and page.components is None
    order = catalog.groups if is_whole else (*(page.groups or ()), *shown)
    return tuple(dict.fromkeys(name for name in order if name is not None and name in shown))


def _named(catalog: Catalog, page: Page) -> Iterator[Component]:
    for group in page.groups or ():
        yield from (each for each in catalog.components if each.group == group and not each.hidden)
    by_slug = {component.slug: component for component in catalog.components}
    yield from (by_slug[slug] for slug in page.components or () if slug in by_slug)
