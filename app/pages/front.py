"""Which page a visitor is shown, and what it is drawn with. Each page of the installation has views and a
past of its own, made when somebody first comes; none of them knows of the others.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Request, Response
from msgspec import Struct

from app.config import Config
from app.db.history import History
from app.domain.monitor import Catalog, Page
from app.live.hub import Hub
from app.pages.door import enter, knock
from app.pages.past import Past
from app.pages.view import View, Views
from app.security.entrance import Entrance


class Front(Struct, frozen=True):
    """What one answer is made of. The visitor was let in to `page`, and `enter` asks anew whether they are;
    `is_here` tells whether the catalog is still the one in which it was found, under this name and at this
    host."""

    views: Views
    past: Past
    page: Page
    is_here: Callable[[], bool]
    enter: Callable[[], Awaitable[Page | Response[str]]]

    async def refusal(self, shown: Page) -> Response[str] | None:
        """What stands in place of what would be `shown`, if the page has been closed since: between the door
        and the view the past is read, for a second perhaps."""
        if shown == self.page or not isinstance(instead := await self.enter(), Response):
            return None
        return instead

    async def answer(
        self,
        request: Request[Any, Any, Any],
        template: str,
        view: View,
        key: tuple[object, ...],
        shown: Callable[[], dict[str, Any]],
    ) -> Response[Any]:
        """`key` is what `shown` depends on besides the view: where that is something of the past, it is the
        same until `past.until`."""
        if (refusal := await self.refusal(view.seen.page)) is not None:
            return refusal
        until = self.past.until
        return await self.views.answer(request, template, view, key, shown, until, self.is_here)


class Fronts:
    def __init__(self, hub: Hub, config: Config, history: History, entrance: Entrance) -> None:
        self.hub = hub
        self._config = config
        self._history = history
        self._entrance = entrance
        self._made: dict[str, tuple[Views, Past]] = {}
        self._catalog: Catalog | None = None
        self._catalogs = 0

    async def open(self, request: Request[Any, Any, Any]) -> Front | Response[str]:
        """Or what stands in its place for whoever may not see it. Raises NotFoundException."""
        catalog = self._number()
        page = await knock(request, request.path_params.get("page"), self.hub, self._entrance)
        if isinstance(page, Response):
            return page
        if page.slug not in self._made:
            # Those of pages that are none any more are let go.
            self._made = {slug: its for slug, its in self._made.items() if self.hub.board.page(slug)}
            self._made[page.slug] = Views(self.hub, self._config, page.slug), Past(self._history)
        views, past = self._made[page.slug]
        return Front(
            views,
            past.for_one(),
            page,
            lambda: self._number() == catalog,
            lambda: enter(request, page.slug, self.hub, self._entrance),
        )

    def _number(self) -> int:
        """Of the catalog that is now: who remembers this does not hold a catalog for it."""
        if (catalog := self.hub.board.catalog) is not self._catalog:
            self._catalog = catalog
            self._catalogs += 1
        return self._catalogs


def paths(path: str) -> list[str]:
    """Of something that each page has: for the one at `/`, or of the host name, and for one by its slug."""
    return [path, f"/p/{{page:str}}{path.rstrip('/')}"]
