"""Which page a visitor wants, by its slug or by the name of the host, and whether they may see it.

A page with a password is open to whoever holds the cookie that the right password was answered with, and, as
one for those who are signed in, to people and tokens that may see it.
"""

import hmac
from datetime import datetime, timedelta
from typing import Final

from litestar.types import Scope

from app.domain.instant import from_ms, to_ms
from app.domain.monitor import Catalog, Page
from app.domain.pages import MAIN, of_host
from app.security.callers import Caller, Callers, NotRecognised, cookie
from app.security.secrets import Secrets

OPEN_FOR: Final = timedelta(days=7)


def page_of(catalog: Catalog, asked: str | None, scope: Scope) -> str:
    """The slug that is asked for, else that of the host name."""
    if asked:
        return asked
    if not catalog.pages:
        return MAIN
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    return of_host(catalog, host.decode("latin-1"))


def cookie_name(page: Page) -> str:
    return f"statuswire-page-{page.slug}"


class Entrance:
    def __init__(self, secrets: Secrets, callers: Callers) -> None:
        self._secrets = secrets
        self._callers = callers

    async def admits(self, page: Page, scope: Scope, caller: Caller | None = None) -> bool:
        """False also for whoever shows what is over. Raises DatabaseDown for a page that is not public."""
        if page.access == "public":
            return True
        if page.access == "password" and self._is_open(page, scope):
            return True
        return self._may(caller or await self._caller(scope), page)

    def ticket(self, page: Page, now: datetime) -> str:
        """The value of the cookie. It is over with the password for which it was given."""
        until = str(to_ms(now + OPEN_FOR))
        return f"{until}.{self._signed(page, until)}"

    async def _caller(self, scope: Scope) -> Caller | None:
        try:
            return await self._callers.recognise(scope)
        except NotRecognised:
            return None

    @staticmethod
    def _may(caller: Caller | None, page: Page) -> bool:
        """Whoever is signed in, or has a token, unless it is bound to other pages."""
        return caller is not None and caller.may_see(page.slug)

    def _is_open(self, page: Page, scope: Scope) -> bool:
        given = cookie(scope, cookie_name(page), self._callers.visitor(scope).tls)
        until, _, signed = given.partition(".")
        # Signed by us, before it is read as a time: there are numbers that are none.
        if not hmac.compare_digest(signed, self._signed(page, until)):
            return False
        return self._callers.now() <= from_ms(int(until))

    def _signed(self, page: Page, until: str) -> str:
        key = self._secrets.derive(f"page {page.slug} {page.password_hash}")
        return hmac.digest(key.encode(), until.encode(), "sha256").hex()
