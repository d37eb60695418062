"""Which page a visitor is shown, and what it is drawn with. Each page of the installation has views and a
past of its own, made when somebody first comes; none of them knows of the others.
"""

from typing import Any

from litestar import Request, Response
from msgspec import Struct

from app.config import Config
from app.db.history import History
from app.live.hub import Hub
from app.pages.door import knock
from app.pages.past import Past
from app.pages.view import Views
from app.security.entrance import Entrance


class Front(Struct, frozen=True):
    views: Views
    past: Past


class Fronts:
    def __init__(self, hub: Hub, config: Config, history: History, entrance: Entrance) -> None:
        self.hub = hub
        self._config = config
        self._history = history
        self._entrance = entrance
        self._made: dict[str, Front] = {}

    async def open(self, request: Request[Any, Any, Any]) -> Front | Response[str]:
        """Or what stands in its place for whoever may not see it. Raises NotFoundException."""
        page = await knock(request, request.path_params.get("page"), self.hub, self._entrance)
        if isinstance(page, Response):
            return page
        if page.slug not in self._made:
            # Those of pages that are none any more are let go.
            self._made = {slug: its for slug, its in self._made.items() if self.hub.board.page(slug)}
            views = Views(self.hub, self._config, page.slug)
            self._made[page.slug] = Front(views, Past(self._history))
        return self._made[page.slug]


def paths(path: str) -> list[str]:
    """Of something that each page has: for the one at `/`, or of the host name, and for one by its slug."""
    return [path, f"/p/{{page:str}}{path.rstrip('/')}"]
