"""One's own account at `/account`: password, second factor, and where one is signed in."""

from collections.abc import Awaitable
from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler

from app.domain.people import Session
from app.domain.refused import Refused
from app.pages.sheet import cookie_for, go, read_form, sheet
from app.security import second_factor
from app.security.callers import COOKIE, Caller, Callers
from app.security.guard import caller_of
from app.security.scopes import PERSON
from app.security.signin import Enrolment, NotSignedIn, SignIn

_PERSON: Final = {"scope": PERSON}

Asking = Request[Any, Any, Any]


class Pages:
    """The page, and what its forms do. Each is shown again with what was wrong with it."""

    def __init__(self, signin: SignIn, callers: Callers) -> None:
        self._signin = signin
        self._callers = callers

    async def show(
        self, request: Asking, wrong: str = "", good: str = "", after: float = 0.0
    ) -> Response[str]:
        caller, session = _signed_in(request)
        seed, sealed = self._signin.offer(session.user)
        status = 200 if not wrong else 429 if after else 422
        values = {
            "user": session.user,
            "session": session.id,
            "sessions": await self._signin.sessions_of(session.user),
            "form_token": caller.form_token,
            "seed": seed,
            "sealed": sealed,
            "uri": second_factor.uri(seed, session.user.email),
        }
        headers = {"Retry-After": str(int(after) + 1)} if after else {}
        return sheet("account.html", "Your account", values, status, headers, wrong, good)

    async def change_password(self, request: Asking) -> Response[str]:
        typed = await read_form(request, "old", "new")
        _, session = _signed_in(request)
        visitor = self._callers.visitor(request.scope)
        work = self._signin.change_password(session, typed["old"], typed["new"], visitor)
        return await self._refused(request, work) or await self.show(
            request, good="The password is changed, and all other sessions have ended."
        )

    async def enrol(self, request: Asking) -> Response[str]:
        typed = await read_form(request, "seed", "code", "password", "present_code")
        _, session = _signed_in(request)
        given = Enrolment(typed["seed"], typed["code"], typed["password"], typed["present_code"])
        work = self._signin.enrol(session, given, self._callers.visitor(request.scope))
        return await self._refused(request, work) or go("/account")

    async def end_another(self, request: Asking) -> Response[str]:
        typed = await read_form(request, "id")
        _, session = _signed_in(request)
        await self._signin.sign_out(session, typed["id"], self._callers.visitor(request.scope))
        return go("/account")

    async def sign_out(self, request: Asking) -> Response[str]:
        _, session = _signed_in(request)
        visitor = self._callers.visitor(request.scope)
        await self._signin.sign_out(session, session.id, visitor)
        return go("/", cookie_for(COOKIE, "", visitor.tls, 0))

    async def _refused(self, request: Asking, work: Awaitable[object]) -> Response[str] | None:
        """The page with why not; None if it is done."""
        try:
            await work
        except Refused as refused:
            return await self.show(request, str(refused))
        except NotSignedIn as no:
            return await self.show(request, str(no), after=no.after)
        return None


def routes(signin: SignIn, callers: Callers) -> list[HTTPRouteHandler]:
    pages = Pages(signin, callers)

    @get("/account", opt=_PERSON)
    async def show(request: Asking) -> Response[str]:
        return await pages.show(request)

    return [
        show,
        post("/account/password", opt=_PERSON)(pages.change_password),
        post("/account/second-factor", opt=_PERSON)(pages.enrol),
        post("/account/sessions/end", opt=_PERSON)(pages.end_another),
        post("/logout", opt=_PERSON)(pages.sign_out),
    ]


def _signed_in(request: Asking) -> tuple[Caller, Session]:
    caller = caller_of(request)
    assert caller.session is not None, "the scope lets nobody else in"
    return caller, caller.session
