"""Who may, at /admin: tokens of programs, screens on walls, and people. What proves who somebody is, is shown
once, on the page that answers the form, and is nowhere else.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from litestar import get, post
from litestar.handlers import HTTPRouteHandler

from app.db import tokens, users
from app.db.change import Change
from app.db.engine import Transaction
from app.domain.people import Role, User
from app.domain.refused import Refused
from app.pages.admin.desk import Asking, Desk, Draw, Form, Page, done
from app.security import accounts, issuing
from app.security.accounts import UserWords
from app.security.guard import caller_of
from app.security.issuing import TokenWords
from app.security.passwords import BUSY, Busy, Passwords
from app.security.scopes import SCOPES

_SHOWN: Final = 500
_DAYS: Final = {"": "never", "30": "in 30 days", "90": "in 90 days", "365": "in a year"}

Work = Callable[[Change, Form], Awaitable[str | Page]]


class Pages:
    def __init__(self, desk: Desk, passwords: Passwords) -> None:
        self._desk = desk
        self._passwords = passwords

    async def tokens(
        self,
        request: Asking,
        form: Form | None = None,
        refused: Refused | None = None,
        issued: str = "",
    ) -> Page:
        async with self._desk.changes.database.reading() as transaction:
            found = await tokens.list_tokens(transaction, "", _SHOWN)
        values = {"tokens": found, "scopes": SCOPES, "days": _DAYS, "issued": issued}
        return self._desk.page(request, "tokens.html", "Tokens", values, form, refused)

    async def walls(
        self,
        request: Asking,
        form: Form | None = None,
        refused: Refused | None = None,
        issued: str = "",
    ) -> Page:
        async with self._desk.changes.database.reading() as transaction:
            found = await tokens.list_walls(transaction, "", _SHOWN)
        # The address as the operator's own browser knows it.
        origin = f"{request.url.scheme}://{request.url.netloc}"
        values = {
            "walls": found,
            "pages": self._desk.hub.board.catalog.pages,
            "issued": f"{origin}/wall/{issued}" if issued else "",
        }
        return self._desk.page(request, "walls.html", "Walls", values, form, refused)

    async def users(self, request: Asking, form: Form | None = None, refused: Refused | None = None) -> Page:
        async with self._desk.changes.database.reading() as transaction:
            found = await users.list_users(transaction, "", _SHOWN)
        values = {"users": found, "roles": tuple(Role)}
        return self._desk.page(request, "users.html", "People", values, form, refused)

    async def issue_token(self, request: Asking, form: Form) -> Page:
        now = self._desk.hub.now()
        days = form.one("expires")
        words = TokenWords(
            name=form.one("name"),
            scopes=form.all("scopes"),
            pages=form.lines("pages"),
            addresses=form.lines("addresses"),
            expires=now + timedelta(days=int(days)) if days in _DAYS and days else None,
        )
        async with self._desk.changes.by(caller_of(request).actor, now) as change:
            _, text = await issuing.issue_token(change, words)
        return await self.tokens(request, issued=text)

    async def issue_wall(self, request: Asking, form: Form) -> Page:
        page = form.one("page")
        if self._desk.hub.board.page(page) is None:
            raise Refused("page", "There is no such page: choose one of those that are offered.")
        async with self._desk.changes.by(caller_of(request).actor, self._desk.hub.now()) as change:
            _, text = await issuing.issue_wall(change, form.one("name"), page)
        return await self.walls(request, issued=text)

    async def add_user(self, request: Asking, form: Form) -> str:
        password, hashed = form.one("password"), None
        if password:
            accounts.refuse_bad_password(password)
            try:
                hashed = await self._passwords.hash(password)
            except Busy:
                raise Refused("password", BUSY) from None
        words = UserWords(
            email=form.one("email"), name=form.one("name"), role=form.chosen("role", Role, Role.VIEWER)
        )
        async with self._desk.changes.by(caller_of(request).actor, self._desk.hub.now()) as change:
            await accounts.add_user(change, words, hashed)
        return done("/admin/users", "changed")

    async def change_user(self, change: Change, form: Form) -> str:
        user = await _need_user(change.transaction, form)
        if form.has("remove"):
            await accounts.remove_user(change, user)
            return done("/admin/users", "removed")
        if form.has("second_factor"):
            await accounts.set_second_factor(change, user, None)
        else:
            role = form.chosen("role", Role, user.role)
            await accounts.alter_user(change, user, UserWords(email=user.email, name=user.name, role=role))
        return done("/admin/users", "changed")


async def _need_user(transaction: Transaction, form: Form) -> User:
    user = await users.find_user(transaction, form.one("id"))
    if user is None:
        raise Refused("id", "There is no such person any more.", "missing")
    return user


async def _revoke_token(change: Change, form: Form) -> str:
    found = await tokens.find_token(change.transaction, form.one("id"))
    if found is None:
        raise Refused("id", "There is no such token any more.", "missing")
    await issuing.revoke_token(change, found[0])
    return done("/admin/tokens", "removed")


async def _revoke_wall(change: Change, form: Form) -> str:
    found = await tokens.find_wall(change.transaction, form.one("id"))
    if found is None:
        raise Refused("id", "There is no such wall any more.", "missing")
    await issuing.revoke_wall(change, found[0])
    return done("/admin/walls", "removed")


def routes(desk: Desk, passwords: Passwords) -> list[HTTPRouteHandler]:
    pages = Pages(desk, passwords)
    admin, walls = {"scope": "admin"}, {"scope": "walls:write"}

    async def within(request: Asking, name: str, work: Work, again: Draw) -> Page:
        """In one transaction."""

        async def go_on(request: Asking, form: Form) -> str | Page:
            async with desk.changes.by(caller_of(request).actor, desk.hub.now()) as change:
                return await work(change, form)

        return await desk.take(request, name, go_on, again)

    @get("/admin/tokens", opt=admin)
    async def list_tokens(request: Asking) -> Page:
        return await pages.tokens(request)

    @post("/admin/tokens", opt=admin, status_code=200)
    async def issue_token(request: Asking) -> Page:
        return await desk.take(request, "issue", pages.issue_token, pages.tokens)

    @post("/admin/tokens/revoke", opt=admin, status_code=200)
    async def revoke_token(request: Asking) -> Page:
        return await within(request, "revoke", _revoke_token, pages.tokens)

    @get("/admin/walls", opt={"scope": "walls:read"})
    async def list_walls(request: Asking) -> Page:
        return await pages.walls(request)

    @post("/admin/walls", opt=walls, status_code=200)
    async def issue_wall(request: Asking) -> Page:
        return await desk.take(request, "issue", pages.issue_wall, pages.walls)

    @post("/admin/walls/revoke", opt=walls, status_code=200)
    async def revoke_wall(request: Asking) -> Page:
        return await within(request, "revoke", _revoke_wall, pages.walls)

    @get("/admin/users", opt=admin)
    async def list_users(request: Asking) -> Page:
        return await pages.users(request)

    @post("/admin/users", opt=admin, status_code=200)
    async def add_user(request: Asking) -> Page:
        return await desk.take(request, "add", pages.add_user, pages.users)

    @post("/admin/users/change", opt=admin, status_code=200)
    async def change_user(request: Asking) -> Page:
        return await within(request, "change", pages.change_user, pages.users)

    return [
        *(list_tokens, issue_token, revoke_token, list_walls, issue_wall, revoke_wall),
        *(list_users, add_user, change_user),
    ]
