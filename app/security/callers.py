"""Who asks: a person by the cookie of a session, a program by its token, a wall by its own.

All of it is looked up in the database at each request, so that what is revoked is over at once, on every
server. Streams that stay open are told by the feed.
"""

import hmac
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Final

from litestar.types import Scope
from msgspec import Struct

from app.db import sessions, tokens
from app.db.engine import Database, DatabaseDown
from app.domain.actor import Actor
from app.domain.people import Session, Token, Wall
from app.security import scopes
from app.security import tokens as texts
from app.security.visitor import Network, Visitor, is_in, visitor_of

COOKIE: Final = "statuswire"
# With this prefix browsers take a cookie over TLS only, and from no neighbouring host.
HOST: Final = "__Host-"
SEEN_EVERY: Final = timedelta(minutes=1)
_BEARER: Final = re.compile(r"bearer +(\S{1,200}) *", re.IGNORECASE)


class NotRecognised(Exception):
    """What was shown is none of ours, or is over. One sentence that says no more than the sender knows."""


class Caller(Struct, frozen=True, kw_only=True):
    """`owners`: revoke one of these, and the caller's streams end. `pages`: the only ones it may see; None:
    all. `until`: when it is over by itself."""

    actor: Actor
    scopes: frozenset[str]
    owners: frozenset[str]
    pages: frozenset[str] | None = None
    until: datetime | None = None
    session: Session | None = None
    form_token: str = ""

    def may(self, scope: str) -> bool:
        return scopes.covers(self.scopes, scope)

    def may_see(self, page: str) -> bool:
        return self.pages is None or page in self.pages

    @property
    def key(self) -> str:
        return min(self.owners)


class Callers:
    def __init__(self, database: Database, proxies: Iterable[Network], now: Callable[[], datetime]) -> None:
        self.now = now
        self._database = database
        self._proxies = tuple(proxies)

    def visitor(self, scope: Scope) -> Visitor:
        return visitor_of(scope, self._proxies)

    async def recognise(self, scope: Scope) -> Caller | None:
        """None if the request names nobody. Raises NotRecognised, or DatabaseDown."""
        visitor = self.visitor(scope)
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if given:
            match = _BEARER.fullmatch(given[-1].decode("latin-1"))
            if match is None:
                raise NotRecognised("Send the token as `Authorization: Bearer sw_...`.")
            return await self._by_token(match[1], visitor)
        if secret := cookie(scope, COOKIE, visitor.tls):
            return await self._by_cookie(secret, visitor)
        return None

    async def recognise_wall(self, text: str, visitor: Visitor) -> tuple[Wall, Caller]:
        """Raises NotRecognised, or DatabaseDown."""
        given, now = texts.parse(text), self.now()
        if given is not None and given.kind == texts.WALL:
            async with self._database.reading() as transaction:
                found = await tokens.find_wall(transaction, given.id)
            if found is not None and texts.is_hash_of(given.secret, found[1]):
                wall = found[0]
                await self._note_use("wall", wall.id, wall.last_seen, now)
                return wall, Caller(
                    actor=Actor("token", wall.name, visitor.address),
                    scopes=frozenset(),
                    owners=frozenset((f"wall/{wall.id}",)),
                    pages=frozenset((wall.page,)),
                )
        raise NotRecognised("There is no such wall, or its token was revoked.")

    async def _by_token(self, text: str, visitor: Visitor) -> Caller:
        given, now = texts.parse(text), self.now()
        if given is not None and given.kind == texts.WALL:
            return (await self.recognise_wall(text, visitor))[1]
        found = None
        if given is not None:
            async with self._database.reading() as transaction:
                found = await tokens.find_token(transaction, given.id)
        if given is None or found is None or not texts.is_hash_of(given.secret, found[1]):
            raise NotRecognised("This token is not known: it was revoked, or is not written in full.")
        token = found[0]
        _refuse_unfit(token, visitor, now)
        await self._note_use("token", token.id, token.last_used, now)
        return Caller(
            actor=Actor("token", token.name, visitor.address),
            scopes=frozenset(token.scopes),
            owners=frozenset((f"token/{token.id}",)),
            pages=frozenset(token.pages) or None,
            until=token.expires,
        )

    async def _by_cookie(self, secret: str, visitor: Visitor) -> Caller:
        now = self.now()
        async with self._database.reading() as transaction:
            session = await sessions.find_session(transaction, texts.hash_of(secret), now)
        if session is None:
            raise NotRecognised("You are not signed in any more; sign in again.")
        await self._note_use("session", session.id, session.seen, now)
        user = session.user
        return Caller(
            actor=Actor("user", user.email, visitor.address),
            scopes=scopes.OF_ROLE[user.role],
            owners=frozenset((f"session/{session.id}", f"user/{user.id}")),
            # A stream that is open is no use of it.
            until=sessions.ends(session),
            session=session,
            form_token=form_token(secret),
        )

    async def _note_use(self, kind: str, id: str, last: datetime | None, now: datetime) -> None:
        """Once a minute at the most, and never in the way of what was asked for."""
        if last is not None and now - last < SEEN_EVERY:
            return
        see = {"wall": tokens.see_wall, "token": tokens.use_token, "session": sessions.see_session}[kind]
        with suppress(DatabaseDown):
            async with self._database.writing() as transaction:
                await see(transaction, id, now)


def form_token(secret: str) -> str:
    """What a form must bring along: another site's form does not know it, though the browser would send the
    cookie with it."""
    return hmac.digest(secret.encode(), b"form", "sha256").hex()[:32]


def cookie(scope: Scope, name: str, tls: bool) -> str:
    """The value of a cookie of ours; empty if it is not there."""
    wanted = HOST + name if tls else name
    for header, value in scope["headers"]:
        if header == b"cookie":
            for part in value.decode("latin-1").split(";"):
                its_name, _, its_value = part.strip().partition("=")
                # Within quotes, if there is a sign in it that some would take for the end.
                match = re.fullmatch(r'"?([A-Za-z0-9_=.-]{1,1000})"?', its_value)
                if its_name == wanted and match is not None:
                    return match[1]
    return ""


def _refuse_unfit(token: Token, visitor: Visitor, now: datetime) -> None:
    if token.expires is not None and token.expires <= now:
        raise NotRecognised("This token has expired.")
    if token.addresses and not is_in(visitor.address, map(ip_network, token.addresses)):
        raise NotRecognised("This token may not be used from your address.")
