"""The page of one incident at `/incidents/{id}` and of one maintenance at `/maintenances/{id}`: what
happened, since when, and all that was said of it. Live, and there for as long as the database has it.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from litestar import HttpMethod, Request, Response, route
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from app.db.engine import DatabaseDown
from app.domain.audience import Audience
from app.domain.incident import Incident
from app.domain.maintenance import Maintenance
from app.domain.status import SEVERITY, Status
from app.pages.front import Front, Fronts, paths
from app.pages.stories import Story, show
from app.pages.view import View, hero

_READ: Final = [HttpMethod.GET, HttpMethod.HEAD]

Told = Incident | Maintenance | None


def routes(fronts: Fronts) -> list[HTTPRouteHandler]:
    hub = fronts.hub

    @route(paths("/incidents/{id:str}"), http_method=_READ, opt={"scope": "public"})
    async def incident(request: Request[Any, Any, Any], id: FromPath[str]) -> Response[Any]:
        if isinstance(front := await fronts.open(request), Response):
            return front
        told = await _find(front.past.incident, hub.board.operations.incidents, id)
        return await page(request, front, told)

    @route(paths("/maintenances/{id:str}"), http_method=_READ, opt={"scope": "public"})
    async def maintenance(request: Request[Any, Any, Any], id: FromPath[str]) -> Response[Any]:
        if isinstance(front := await fronts.open(request), Response):
            return front
        told = await _find(front.past.maintenance, hub.board.operations.maintenances, id)
        return await page(request, front, told)

    async def page(request: Request[Any, Any, Any], front: Front, told: Told) -> Response[Any]:
        view = front.views.view(request)
        audience = Audience(page=view.seen.page.slug)
        story = None if told is None else show(told, hub.board, audience)
        if story is None:
            # The same for what is not there, is a draft, or is another page's: nobody learns which.
            raise NotFoundException("There is no such incident or maintenance.")
        return await front.answer(request, "story.html", view, (story,), lambda: shown(view, story))

    return [incident, maintenance]


async def _find(read: Callable[[str], Awaitable[Told]], held: dict[str, Any], id: str) -> Told:
    """What goes on is on the board too, should the database be away."""
    try:
        return await read(id)
    except DatabaseDown:
        if id in held:
            found: Told = held[id]
            return found
        raise


def shown(view: View, story: Story) -> dict[str, Any]:
    is_problem = SEVERITY[story.stands] > SEVERITY[Status.MAINTENANCE]
    began = story.starts if is_problem else None
    return {
        **hero(view, story.stands, story.title, view.language.say(story.stage), began),
        "story_id": story.id,
        "stories": (story,),
    }
