"""Tokens are issued, changed and revoked, by whichever door: REST, the admin's pages, the command line.

What is told of a revoked one closes its streams on every server. Nobody is told a token twice: what these
return as text is nowhere else.
"""

from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_network
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from app.db import tokens as rows
from app.db.change import Change
from app.domain.events import Revoked
from app.domain.people import Token, Wall
from app.domain.refused import Refused, later, title
from app.security import tokens
from app.security.scopes import ADMIN, SCOPES

AT_MOST: Final = 100  # pages, or networks, of one token


class TokenWords(Struct, frozen=True, kw_only=True):
    """What is said of a token."""

    name: str
    scopes: tuple[str, ...]
    pages: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    expires: datetime | None = None


async def issue_token(change: Change, given: TokenWords) -> tuple[Token, str]:
    """The token, and its text."""
    words = _checked(given, change.at)
    text = tokens.new(tokens.PROGRAM)
    token = Token(
        id=text.id,
        name=words.name,
        scopes=words.scopes,
        pages=words.pages,
        addresses=words.addresses,
        created=change.at,
        expires=words.expires,
        made_by=change.actor.origin,
    )
    await rows.write_token(change.transaction, token, text.hash)
    await change.note("token.issue", f"token/{token.id}", None, token)
    return token, str(text)


async def alter_token(change: Change, old: Token, given: TokenWords) -> Token:
    words = _checked(given, change.at)
    new = replace(
        old,
        name=words.name,
        scopes=words.scopes,
        pages=words.pages,
        addresses=words.addresses,
        expires=words.expires,
    )
    await rows.write_token(change.transaction, new)
    await change.note("token.change", f"token/{old.id}", old, new)
    # Streams that are open were let in by what was said before; they come back and are judged anew.
    await change.tell(Revoked(at=change.at, owner=f"token/{old.id}"))
    return new


async def revoke_token(change: Change, token: Token) -> None:
    await rows.remove_token(change.transaction, token.id)
    await change.note("token.revoke", f"token/{token.id}", token)
    await change.tell(Revoked(at=change.at, owner=f"token/{token.id}"))


async def issue_wall(change: Change, name: str, page: str = "") -> tuple[Wall, str]:
    """The wall, and the text of its token, which is the end of its address: /wall/<text>."""
    text = tokens.new(tokens.WALL)
    wall = Wall(
        id=text.id,
        name=title(name, "name"),
        page=page,
        created=change.at,
        made_by=change.actor.origin,
    )
    await rows.write_wall(change.transaction, wall, text.hash)
    await change.note("wall.issue", f"wall/{wall.id}", None, wall)
    return wall, str(text)


async def alter_wall(change: Change, old: Wall, name: str, page: str) -> Wall:
    new = replace(old, name=title(name, "name"), page=page)
    await rows.write_wall(change.transaction, new)
    await change.note("wall.change", f"wall/{old.id}", old, new)
    if new.page != old.page:
        await change.tell(Revoked(at=change.at, owner=f"wall/{old.id}"))
    return new


async def revoke_wall(change: Change, wall: Wall) -> None:
    await rows.remove_wall(change.transaction, wall.id)
    await change.note("wall.revoke", f"wall/{wall.id}", wall)
    await change.tell(Revoked(at=change.at, owner=f"wall/{wall.id}"))


def _checked(given: TokenWords, now: datetime) -> TokenWords:
    if not given.scopes:
        raise Refused("scopes", f"`scopes` is empty: name what it may do, some of {', '.join(SCOPES)}.")
    for scope in given.scopes:
        if scope not in SCOPES:
            raise Refused("scopes", f"There is no scope {scope!r}: there are {', '.join(SCOPES)}.")
    if given.pages and ADMIN in given.scopes:
        raise Refused("pages", "An admin's token is for all pages: leave `pages` out, or `admin`.")
    if given.expires is not None:
        later(given.expires, now, "expires", "now")
    if max(len(given.pages), len(given.addresses)) > AT_MOST:
        raise Refused("pages", f"A token takes {AT_MOST} pages and {AT_MOST} networks at the most.")
    return replace(
        given,
        name=title(given.name, "name"),
        scopes=tuple(dict.fromkeys(given.scopes)),
        pages=tuple(dict.fromkeys(given.pages)),
        addresses=_networks(given.addresses),
    )


def _networks(given: Sequence[str]) -> tuple[str, ...]:
    found = []
    for each in given:
        try:
            found.append(str(ip_network(each.strip(), strict=False)))
        except ValueError:
            raise Refused(
                "addresses",
                f"{each!r} is no address and no network: write such as 192.0.2.7 or 2001:db8::/32.",
            ) from None
    return tuple(dict.fromkeys(found))
