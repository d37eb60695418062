"""The one mechanism that lets a request in. Each route names a scope; a route that names none keeps the
server from starting, and whoever does not hold what a route names is turned away.

Whatever could change something must come from our own pages if it comes from a browser, and with a session it
must bring the token of a form besides: the browser sends the cookie along with anybody's form.
"""

import hmac
import time
from collections.abc import Callable, Iterable
from urllib.parse import quote

from litestar import Litestar, Request, Router
from litestar.connection import ASGIConnection
from litestar.exceptions import (
    HTTPException,
    NotAuthorizedException,
    NotFoundException,
    PermissionDeniedException,
)
from litestar.handlers import HTTPRouteHandler
from litestar.handlers.base import BaseRouteHandler
from litestar.routes import HTTPRoute
from litestar.types import Scope

from app.security import scopes
from app.security.callers import Caller, Callers, NotRecognised
from app.security.origin import is_from_elsewhere
from app.security.throttling import Requests
from app.security.visitor import customer

FORM_TOKEN = "form_token"
_SAFE = ("GET", "HEAD", "OPTIONS")
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class Guard:
    def __init__(self, callers: Callers, page_url: Callable[[], str | None], requests: Requests) -> None:
        self._callers = callers
        self._page_url = page_url
        self._requests = requests

    def before(self, routes: Iterable[Router | HTTPRouteHandler]) -> list[Router | HTTPRouteHandler]:
        """On each of them: out of a router around them Litestar would copy them all, which is a quarter of
        what an application costs, and on the application it would stand before the streams too."""
        guarded = list(routes)
        for each in guarded:
            each.guards = [*(each.guards or ()), self.admit]
        return guarded

    async def admit(self, connection: ASGIConnection, handler: BaseRouteHandler) -> None:  # type: ignore[type-arg]
        """What Litestar calls before each route."""
        needed = str(handler.opt.get("scope", ""))
        scope = connection.scope
        if "\0" in scope["path"]:
            # Nothing here has one in its name, and Postgres refuses even to look.
            raise NotFoundException
        method = str(scope.get("method", "GET"))
        if method not in _SAFE:
            self._refuse_other_sites(connection)
        if needed == scopes.PUBLIC or (method == "OPTIONS" and not needed):
            return
        caller = await self._recognised(scope, method)
        if not caller.may(needed):
            raise PermissionDeniedException(f"This takes the scope {needed}, and yours are: {_held(caller)}.")
        if caller.pages is not None and not handler.opt.get("of_pages"):
            raise PermissionDeniedException("This token is for some pages alone, and this is of the whole.")
        if caller.session is not None and method not in _SAFE:
            await _refuse_other_forms(connection, caller)
        connection.state.caller = caller

    def __deepcopy__(self, _: object) -> "Guard":
        # Litestar copies a route with all that belongs to it, and there is one database and one count.
        return self

    async def _recognised(self, scope: Scope, method: str) -> Caller:
        try:
            caller = await self._callers.recognise(scope)
        except NotRecognised as no:
            self._count(f"address/{customer(self._callers.visitor(scope).address)}")
            raise self._unauthorised(scope, method, str(no)) from None
        if caller is None:
            self._count(f"address/{customer(self._callers.visitor(scope).address)}")
            raise self._unauthorised(scope, method, "Sign in, or send a token.")
        self._count(caller.key)
        return caller

    def _count(self, who: str) -> None:
        wait = self._requests.take(who, time.monotonic())
        if wait:
            after = str(int(wait) + 1)
            raise HTTPException(
                status_code=429,
                detail=f"Too many requests; come back in {after} s.",
                headers={"retry-after": after},
            )

    def _unauthorised(self, scope: Scope, method: str, sentence: str) -> HTTPException:
        if method in ("GET", "HEAD") and _is_a_person(scope):
            path = scope["path"]
            if query := scope["query_string"].decode("latin-1"):
                path = f"{path}?{query}"
            return HTTPException(
                status_code=303, detail=sentence, headers={"location": f"/login?then={quote(path)}"}
            )
        return NotAuthorizedException(sentence, headers={"www-authenticate": 'Bearer realm="statuswire"'})

    def _refuse_other_sites(self, connection: ASGIConnection) -> None:  # type: ignore[type-arg]
        headers = connection.headers
        elsewhere = is_from_elsewhere(headers.get("origin"), headers.get("host", ""), self._page_url())
        if elsewhere or headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            raise PermissionDeniedException("This was sent by another web site, and changes nothing here.")


def caller_of(request: Request) -> Caller:  # type: ignore[type-arg]
    """Whom the guard has let in."""
    caller: Caller = request.state.caller
    return caller


def refuse_unscoped(app: Litestar) -> None:
    """Default deny: a route that does not say who may use it, or that nobody guards, keeps the server from
    starting."""
    wrong = []
    for route in app.routes:
        handlers = route.route_handlers if isinstance(route, HTTPRoute) else [route.route_handler]
        for handler in handlers:
            # Litestar answers OPTIONS by itself, with the list of methods and nothing else.
            if "scope" not in handler.opt and getattr(handler, "http_methods", None) == {"OPTIONS"}:
                continue
            scope = handler.opt.get("scope")
            if scope not in scopes.KNOWN:
                wrong.append(f"{route.path} (it says {scope!r})")
            elif scope != scopes.PUBLIC and not handler.resolve_guards():
                wrong.append(f"{route.path} (nobody guards it)")
    if wrong:
        raise RuntimeError(f"these routes do not declare a scope: {', '.join(sorted(wrong))}")


async def _refuse_other_forms(connection: ASGIConnection, caller: Caller) -> None:  # type: ignore[type-arg]
    given = connection.headers.get("x-form-token", "")
    kind = connection.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not given and kind in _FORMS and isinstance(connection, Request):
        given = str((await connection.form()).get(FORM_TOKEN, ""))
    if not hmac.compare_digest(given.encode(), caller.form_token.encode()):
        raise PermissionDeniedException("This form is too old, or not ours; load the page again.")


def _is_a_person(scope: Scope) -> bool:
    """Somebody in front of a browser who wants to see a page, and is better off with one to sign in at."""
    wanted = b"".join(value for name, value in scope["headers"] if name == b"accept")
    named = any(name == b"authorization" for name, _ in scope["headers"])
    return b"text/html" in wanted and not named and not scope["path"].startswith("/v1")


def _held(caller: Caller) -> str:
    return ", ".join(sorted(caller.scopes - {scopes.PERSON})) or "none"
