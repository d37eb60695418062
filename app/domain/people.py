"""Who may do something: people with a role, sessions of people, tokens of programs, and tokens of walls.

None of these structs holds a secret, so each may be shown to an administrator and noted in the audit log as
it is.
"""

from enum import StrEnum

from msgspec import Struct

from app.domain.instant import Instant


class Role(StrEnum):
    """A viewer sees what is not public, an operator changes what is watched and what is said of it, an admin
    also decides who may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class User(Struct, frozen=True, kw_only=True):
    """`totp`: a second factor is asked for. `provider`: they sign in by OIDC."""

    id: str
    email: str
    name: str
    role: Role
    created: Instant
    password: bool = False
    totp: bool = False
    provider: bool = False


class Session(Struct, frozen=True, kw_only=True):
    """One browser in which somebody has signed in."""

    id: str
    user: User
    created: Instant
    seen: Instant
    address: str
    browser: str


class Token(Struct, frozen=True, kw_only=True):
    """Of a program. `pages` and `addresses` bound it where they name something: to pages by their slugs, and
    to networks that it may come from."""

    id: str
    name: str
    scopes: tuple[str, ...]
    pages: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    created: Instant
    expires: Instant | None = None
    last_used: Instant | None = None
    made_by: str = ""


class Wall(Struct, frozen=True, kw_only=True):
    """A screen that shows one page for as long as nobody revokes its token. No `page` is the first one."""

    id: str
    name: str
    page: str = ""
    created: Instant
    last_seen: Instant | None = None
    made_by: str = ""
