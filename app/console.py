"""What the command line does about tokens and people: the same functions as behind REST and the pages, on the
same database. Running servers hear of it by the outbox.
"""

import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from msgspec import Struct

from app.config import Config
from app.db import sessions, tokens, users
from app.db.change import Change, Changes
from app.db.engine import connect
from app.domain.actor import Actor
from app.domain.instant import from_seconds
from app.domain.people import Role
from app.domain.plain import plain
from app.domain.refused import Refused
from app.security import accounts, issuing, second_factor
from app.security.accounts import UserWords
from app.security.heartbeats import reseal_secret
from app.security.issuing import TokenWords
from app.security.passwords import Passwords
from app.security.secrets import Unreadable, read_secrets
from app.security.signin import end_session
from app.security.tokens import some_letters

T = TypeVar("T")

MOST = 10_000  # in one list


class Words(Struct, frozen=True, kw_only=True):
    """Of `statuswire token create`."""

    name: str
    scopes: tuple[str, ...]
    pages: tuple[str, ...]
    addresses: tuple[str, ...]
    lasts: float | None  # seconds
    wall: bool


async def create_token(config: Config, actor: Actor, words: Words) -> dict[str, Any]:
    """With the text of the token, or the path of the wall. Raises Refused, or DatabaseDown."""

    async def create(change: Change) -> dict[str, Any]:
        if words.wall:
            wall, text = await issuing.issue_wall(change, words.name, "".join(words.pages[:1]))
            return {**plain(wall), "path": f"/wall/{text}"}
        given = TokenWords(
            name=words.name,
            scopes=words.scopes,
            pages=words.pages,
            addresses=words.addresses,
            expires=None if words.lasts is None else change.at + timedelta(seconds=words.lasts),
        )
        token, text = await issuing.issue_token(change, given)
        return {**plain(token), "token": text}

    return await _change(config, actor, create)


async def list_tokens(config: Config) -> list[dict[str, Any]]:
    """Those of programs, and those of walls."""
    database = await connect(config)
    try:
        async with database.reading() as transaction:
            programs = await tokens.list_tokens(transaction, "", MOST)
            walls = await tokens.list_walls(transaction, "", MOST)
    finally:
        await database.close()
    kinds = (("token", programs), ("wall", walls))
    return [{"kind": kind, **plain(each)} for kind, found in kinds for each in found]


async def revoke_token(config: Config, actor: Actor, id: str) -> None:
    async def revoke(change: Change) -> None:
        if (token := await tokens.find_token(change.transaction, id)) is not None:
            await issuing.revoke_token(change, token[0])
        elif (wall := await tokens.find_wall(change.transaction, id)) is not None:
            await issuing.revoke_wall(change, wall[0])
        else:
            raise Refused("id", f"There is no token {id!r}; `statuswire token list` names them.", "missing")

    await _change(config, actor, revoke)


async def add_user(config: Config, actor: Actor, email: str, name: str, role: str) -> str:
    """The password that they sign in with for the first time."""
    password = some_letters(20)
    hash = await Passwords().hash(password)

    async def add(change: Change) -> str:
        await accounts.add_user(change, UserWords(email=email, name=name or email, role=Role(role)), hash)
        return password

    return await _change(config, actor, add)


async def reset_user(config: Config, actor: Actor, email: str) -> str:
    """A new password for somebody who has lost theirs, or their second factor, which is taken away."""
    password = some_letters(20)
    hash = await Passwords().hash(password)

    async def reset(change: Change) -> str:
        found = await users.find_credentials(change.transaction, email=email)
        if found is None:
            raise Refused("email", f"There is nobody with the address {email!r}.", "missing")
        await accounts.set_password(change, found.user, hash)
        await accounts.set_second_factor(change, found.user, None)
        # Whoever has come in meanwhile is out.
        for session in await sessions.sessions_of(change.transaction, found.user.id, change.at):
            await end_session(change, session)
        return password

    return await _change(config, actor, reset)


async def rotate_secrets(config: Config, actor: Actor) -> tuple[int, int]:
    """Seal anew by the first key what is sealed by another: how many, and how many cannot be opened."""
    secrets = read_secrets(config)

    async def rotate(change: Change) -> tuple[int, int]:
        sealed, lost = 0, 0
        for user, seed in await users.sealed_seeds(change.transaction):
            try:
                resealed = secrets.reseal(seed, second_factor.purpose(user))
                await users.write_proof(change.transaction, user, "totp", resealed)
                sealed += 1
            except Unreadable:
                lost += 1
        try:
            await reseal_secret(change.transaction, secrets)
            sealed += 1
        except Unreadable:
            lost += 1
        await change.note("secrets.rotate", "secrets", None, {"sealed": sealed, "unreadable": lost})
        return sealed, lost

    return await _change(config, actor, rotate)


async def _change(config: Config, actor: Actor, work: Callable[[Change], Awaitable[T]]) -> T:
    database = await connect(config)
    try:
        async with Changes(database).by(actor, _now()) as change:
            return await work(change)
    finally:
        await database.close()


def _now() -> datetime:
    return from_seconds(time.time())
