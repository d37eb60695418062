"""To sign in at `/login`, by password or at the OIDC provider, and to set up at `/setup`, once.

Visitors come to `/login` too, from a page for those who are signed in: it has the looks and the language of
the page at `/` of its host, and not of the one that they want, of which it shall tell nothing.
"""

from typing import Any, Final
from urllib.parse import urlsplit

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery

from app.config import Config
from app.domain.people import Role
from app.domain.refused import Refused
from app.live.hub import Hub
from app.pages.sheet import BROWSER, Dress, cookie_for, cookies_of, dress_of, go, read_form, sheet
from app.security.accounts import UserWords
from app.security.callers import COOKIE, Callers, cookie
from app.security.entrance import page_of
from app.security.oidc import SECONDS_TO_SIGN_IN, NotProven, OpenId
from app.security.scopes import PUBLIC
from app.security.signin import NotSignedIn, Proof, SignIn

HOME: Final = "/admin"
_PENDING: Final = f"{COOKIE}-oidc"
_PUBLIC: Final = {"scope": PUBLIC}

Asking = Request[Any, Any, Any]


def routes(
    signin: SignIn, callers: Callers, openid: OpenId | None, config: Config, hub: Hub
) -> list[HTTPRouteHandler]:
    provider = urlsplit(config.oidc.issuer).hostname if config.oidc else None
    new_as = Role(config.oidc.role) if config.oidc and config.oidc.role else None

    def login(
        request: Asking, then: str, wrong: Exception | None = None, status: int = 200, email: str = ""
    ) -> Response[str]:
        board = hub.board
        at = board.page(page_of(board.catalog, None, request.scope))
        dress = dress_of(at.page if at else None, request)
        after = wrong.after if isinstance(wrong, NotSignedIn) else 0
        headers = {"Retry-After": str(int(after) + 1)} if after else {}
        values = {"then": _ours(then), "email": email, "provider": provider}
        title, said = dress.language.say("Sign in"), _said(wrong, dress)
        return sheet("login.html", title, values, status, headers, said, dress=dress)

    @get("/login", opt=_PUBLIC)
    async def show_login(request: Asking, then: FromQuery[str] = HOME) -> Response[str]:
        # Who was added before there is an admin signs in here all the same.
        if not await signin.has_people():
            return go("/setup")
        return login(request, then)

    @post("/login", opt=_PUBLIC)
    async def sign_in(request: Asking) -> Response[str]:
        typed = await read_form(request, "email", "password", "code", "then")
        visitor = callers.visitor(request.scope)
        known = cookie(request.scope, BROWSER, visitor.tls)
        proof = Proof(typed["email"].strip(), typed["password"], typed["code"], known)
        try:
            opened = await signin.by_password(proof, visitor, request.headers.get("user-agent", ""))
        except NotSignedIn as no:
            status = 429 if no.after else 403
            return login(request, typed["then"], no, status, typed["email"])
        return go(_ours(typed["then"]), *cookies_of(opened, visitor.tls))

    @get("/setup", opt=_PUBLIC)
    async def show_setup() -> Response[str]:
        if not await signin.is_open_for_set_up():
            return go("/login")
        return sheet("setup.html", "Set up Statuswire", {"token": "", "name": "", "email": ""})

    @post("/setup", opt=_PUBLIC)
    async def set_up(request: Asking) -> Response[str]:
        typed = await read_form(request, "token", "name", "email", "password")
        visitor = callers.visitor(request.scope)
        given = UserWords(email=typed["email"], name=typed["name"])
        try:
            opened = await signin.set_up(typed["token"], given, typed["password"], visitor)
        except (NotSignedIn, Refused) as no:
            status = 409 if isinstance(no, Refused) and no.kind == "conflict" else 422
            shown = {name: typed[name] for name in ("token", "name", "email")}
            return sheet("setup.html", "Set up Statuswire", shown, status, wrong=str(no))
        return go(HOME, *cookies_of(opened, visitor.tls))

    @get("/login/oidc", opt=_PUBLIC)
    async def begin(request: Asking, then: FromQuery[str] = HOME) -> Response[str]:
        if openid is None:
            return go("/login")
        visitor = callers.visitor(request.scope)
        try:
            url, sealed = await openid.begin(_back(request, visitor.tls), _ours(then))
        except NotProven as no:
            return login(request, then, no, 502)
        return go(url, cookie_for(_PENDING, sealed, visitor.tls, SECONDS_TO_SIGN_IN))

    @get("/login/oidc/back", opt=_PUBLIC)
    async def finish(request: Asking) -> Response[str]:
        # By hand: `state` is a word that Litestar keeps for itself.
        said = request.query_params
        code, state = said.get("code", ""), said.get("state", "")
        if openid is None:
            return go("/login")
        visitor = callers.visitor(request.scope)
        try:
            if not code:
                raise NotProven("Your provider did not let you in.")
            pending = cookie(request.scope, _PENDING, visitor.tls)
            claims, then = await openid.finish(code, state, pending, _back(request, visitor.tls))
            browser = request.headers.get("user-agent", "")
            opened = await signin.by_provider(claims, new_as, visitor, browser)
        except (NotProven, NotSignedIn) as no:
            return login(request, HOME, no, 403)
        gone = cookie_for(_PENDING, "", visitor.tls, 0)
        return go(then, *cookies_of(opened, visitor.tls), gone)

    return [show_login, sign_in, show_setup, set_up, begin, finish]


def _said(wrong: Exception | None, dress: Dress) -> str:
    """What an admin has to mend at the provider is in no catalogue, and stays English."""
    if isinstance(wrong, NotSignedIn):
        return dress.language.say(wrong.sentence, time=dress.language.long(wrong.after))
    return dress.language.say(str(wrong)) if wrong else ""


def _ours(then: str) -> str:
    """Where to go after signing in: never to another site, whatever the address says."""
    is_path = then.startswith("/") and not then.startswith(("//", "/\\"))
    return then if is_path and then.isprintable() and len(then) <= 500 else HOME


def _back(request: Asking, tls: bool) -> str:
    """Where the provider sends the browser to. It must know the address, so a forged Host leads nowhere."""
    return f"{'https' if tls else 'http'}://{request.headers.get('host', '')}/login/oidc/back"
