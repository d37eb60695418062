"""Where programs ask: each address belongs to a page, as that of its HTML does.

Whoever may not see the page is told so in one sentence, and not by a form. Any web site may read what is
public: it learns no more than its own server could ask for.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final

from litestar import HttpMethod, Request, Response, route
from litestar.exceptions import NotAuthorizedException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from app.config import Config
from app.db.engine import DatabaseDown
from app.pages.answer import Packed, matches, pack
from app.pages.formats import feeds, statuspage
from app.pages.formats.badge import badge, badge_of_all
from app.pages.formats.bulletin import Bulletin, Bulletins
from app.pages.front import Fronts, paths

_JSON: Final = "application/json"
_SVG: Final = "image/svg+xml"
_STATUSPAGE: Final[Mapping[str, Callable[[Bulletin], bytes]]] = {
    "summary.json": statuspage.summary,
    "status.json": statuspage.status,
    "components.json": statuspage.components,
    "incidents.json": statuspage.incidents,
    "incidents/unresolved.json": statuspage.unresolved,
    "scheduled-maintenances.json": statuspage.maintenances,
    "scheduled-maintenances/upcoming.json": statuspage.upcoming,
    "scheduled-maintenances/active.json": statuspage.active,
}
_FEEDS: Final = {
    "/history.atom": (feeds.atom, "application/atom+xml; charset=utf-8"),
    "/history.rss": (feeds.rss, "application/rss+xml; charset=utf-8"),
    "/maintenance.ics": (feeds.calendar, "text/calendar; charset=utf-8"),
}
_OF_THE_PAST: Final = {"/api/v2/incidents.json", "/api/v2/scheduled-maintenances.json", *_FEEDS}


class Leaf(Struct, frozen=True):
    """What one address answers."""

    packed: Packed
    headers: dict[str, str]


class Formats:
    def __init__(self, fronts: Fronts, config: Config) -> None:
        self._fronts = fronts
        self._bulletins = Bulletins(fronts.hub, config)
        # Of each page what was made of its last bulletin, by name.
        self._leaves: dict[str, tuple[Bulletin, dict[str, Leaf]]] = {}
        self._making: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def said(self, request: Request[Any, Any, Any]) -> Bulletin:
        if isinstance(front := await self._fronts.open(request), Response):
            raise _closed()
        said = await self._bulletins.of(front)
        if await front.refusal(said.page) is not None:
            raise _closed()
        return said

    async def answer(
        self, request: Request[Any, Any, Any], name: str, media_type: str, make: Callable[[Bulletin], bytes]
    ) -> Response[bytes]:
        said = await self.said(request)
        if name in _OF_THE_PAST and not said.whole:
            # From a feed that lacks it, it would be taken to be removed.
            raise DatabaseDown("What is over cannot be read.", "does not answer")
        leaf = await self._leaf(said, name, media_type, make)
        if matches(request, leaf.headers["etag"]):
            return Response(b"", status_code=304, headers=leaf.headers)
        return leaf.packed.answer(request, "", leaf.headers)

    async def _leaf(
        self, said: Bulletin, name: str, media_type: str, make: Callable[[Bulletin], bytes]
    ) -> Leaf:
        """Once for all who ask, and in a thread: the event loop has frames to push. What one page has much to
        say of keeps no other waiting."""
        of, leaves = self._leaves.get(said.page.slug, (None, {}))
        if of is said and name in leaves:
            return leaves[name]
        async with self._making[said.page.slug]:
            of, leaves = self._leaves.get(said.page.slug, (None, {}))
            if of is not said:
                leaves = {}
                self._leaves[said.page.slug] = said, leaves
            if name not in leaves:
                leaves[name] = await asyncio.to_thread(lambda: _leaf(said, media_type, make(said)))
            return leaves[name]


def routes(fronts: Fronts, config: Config) -> list[HTTPRouteHandler]:
    formats = Formats(fronts, config)

    @_read("/badge.svg")
    async def badge_of_page(request: Request[Any, Any, Any]) -> Response[bytes]:
        return await formats.answer(request, "/badge.svg", _SVG, badge_of_all)

    @_read("/badge/{file:str}")
    async def badge_of_component(request: Request[Any, Any, Any], file: FromPath[str]) -> Response[bytes]:
        def drawn(said: Bulletin) -> bytes:
            row = next((row for row in said.rows if f"{row.slug}.svg" == file), None)
            if row is None:
                raise NotFoundException("There is no such component on this page.")
            return badge(said, row.name, row.status)

        return await formats.answer(request, f"/badge/{file}", _SVG, drawn)

    documents = [_document(formats, f"/api/v2/{name}", _JSON, made) for name, made in _STATUSPAGE.items()]
    feeds = [_document(formats, name, media_type, made) for name, (made, media_type) in _FEEDS.items()]
    return [badge_of_page, badge_of_component, *documents, *feeds]


def _document(
    formats: Formats, path: str, media_type: str, make: Callable[[Bulletin], bytes]
) -> HTTPRouteHandler:
    @_read(path)
    async def document(request: Request[Any, Any, Any]) -> Response[bytes]:
        return await formats.answer(request, path, media_type, make)

    return document


def _read(path: str) -> Callable[..., HTTPRouteHandler]:
    methods = [HttpMethod.GET, HttpMethod.HEAD]
    return route(paths(path), http_method=methods, opt={"scope": "public", "cors": True})


def _closed() -> NotAuthorizedException:
    headers = {"www-authenticate": 'Bearer realm="statuswire"'}
    return NotAuthorizedException("This page takes a token that may see it.", headers=headers)


def _leaf(said: Bulletin, media_type: str, content: bytes) -> Leaf:
    headers = {
        "content-type": media_type,
        "etag": f'W/"{sha256(content).hexdigest()[:20]}"',
        # Kept, but never shown without asking, as the page is.
        "cache-control": "no-cache" if said.page.access == "public" else "private, no-cache",
        "vary": "Accept-Encoding",
    }
    if said.page.access == "public":
        # A badge is an image on other sites.
        headers["cross-origin-resource-policy"] = "cross-origin"
    return Leaf(pack(content), headers)
