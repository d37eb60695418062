"""The door of a page that is not for everybody: a form that asks for its password, and the cookie that opens
it from then on."""

from typing import Any, Final
from urllib.parse import quote

from litestar import Request, Response, post
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from app.domain.monitor import Page
from app.live.hub import Hub
from app.pages.sheet import Dress, cookie_for, dress_of, go, read_form, sheet
from app.security.callers import Callers
from app.security.entrance import OPEN_FOR, Entrance, cookie_name, page_of
from app.security.passwords import BUSY, Busy, Passwords
from app.security.throttling import Requests
from app.security.visitor import customer

# Of passwords for one page from one network: ten at once, and then one in six seconds.
_TRIES_PER_SECOND: Final = 1 / 6
_BURST: Final = 10.0


async def knock(
    request: Request[Any, Any, Any], slug: str | None, hub: Hub, entrance: Entrance
) -> Page | Response[str]:
    """The page that is asked for, or what stands in its place for whoever may not see it. Raises
    NotFoundException."""
    return await enter(request, page_of(hub.board.catalog, slug, request.scope), hub, entrance)


async def enter(
    request: Request[Any, Any, Any], slug: str, hub: Hub, entrance: Entrance
) -> Page | Response[str]:
    """As `knock`, of the page with this slug; also to ask again after something was waited for. Raises
    NotFoundException."""
    if (at := hub.board.page(slug)) is None:
        raise NotFoundException("There is no such page.")
    if await entrance.admits(at.page, request.scope):
        return at.page
    path, dress = request.scope["path"], dress_of(at.page, request)
    if at.page.access == "password":
        return _form(at.page, dress, path)
    asked = f"&lang={dress.asked}" if dress.asked else ""
    return go(f"/login?then={quote(dress.address(path))}{asked}")


def routes(hub: Hub, entrance: Entrance, callers: Callers, passwords: Passwords) -> list[HTTPRouteHandler]:
    tries = Requests(_TRIES_PER_SECOND, _BURST)

    @post("/p/{slug:str}/password", opt={"scope": "public"}, status_code=200)
    async def give_password(request: Request[Any, Any, Any], slug: FromPath[str]) -> Response[str]:
        at = hub.board.page(slug)
        if at is None or at.page.access != "password":
            raise NotFoundException("There is no such page.")
        page, visitor, dress = at.page, callers.visitor(request.scope), dress_of(at.page, request)
        say = dress.language.say
        given = await read_form(request, "password", "then")
        wait = tries.take(f"{slug} {customer(visitor.address)}", hub.now().timestamp())
        try:
            if wait:
                time = dress.language.long(wait + 1)
                wrong = say("Too many tries; come back in {time}.", time=time)
                return _form(page, dress, given["then"], wrong, 429)
            if not await passwords.is_right(given["password"], page.password_hash):
                return _form(page, dress, given["then"], say("This is not the password."), 403)
        except Busy:
            return _form(page, dress, given["then"], say(BUSY), 503)
        ticket = entrance.ticket(page, hub.now())
        cookie = cookie_for(cookie_name(page), ticket, visitor.tls, OPEN_FOR.total_seconds())
        return go(dress.address("/" if given["then"] == "/" else f"/p/{slug}"), cookie)

    return [give_password]


def _form(page: Page, dress: Dress, then: str, wrong: str = "", status: int = 401) -> Response[str]:
    """Not a word of what is on the page: not even how it stands."""
    values = {"slug": page.slug, "then": then}
    return sheet("password.html", page.name, values, status=status, wrong=wrong, dress=dress)
