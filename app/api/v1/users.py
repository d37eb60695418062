"""People at /v1/users. A new one has no password: they come from the OIDC provider, or the admin gives them
one on the command line.
"""

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct

from app.api.v1.resource import Asked, Resource
from app.api.v1.words import Email, Name
from app.db import users
from app.db.change import Change
from app.db.engine import Transaction
from app.domain.people import Role, User
from app.security import accounts
from app.security.accounts import UserWords
from app.security.scopes import ADMIN


class UserGiven(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody, and what they may do."""

    email: Email
    name: Name
    role: Role = Role.VIEWER


class Users(Resource[User, UserGiven]):
    name, words = "users", "a person"
    shown, given = User, UserGiven
    reads = writes = ADMIN
    example: ClassVar = {"email": "mei@acme.example", "name": "Mei", "role": "operator"}

    async def list(self, transaction: Transaction, asked: Asked, after: str, limit: int) -> Sequence[User]:
        return await users.list_users(transaction, after, limit)

    async def find(self, transaction: Transaction, asked: Asked, id: str) -> User | None:
        return await users.find_user(transaction, id)

    async def make(self, change: Change, asked: Asked, given: UserGiven) -> User:
        return await accounts.add_user(change, _words(given))

    async def alter(self, change: Change, asked: Asked, old: User, given: UserGiven) -> User:
        return await accounts.alter_user(change, old, _words(given))

    async def remove(self, change: Change, asked: Asked, old: User) -> None:
        await accounts.remove_user(change, old)


def _words(given: UserGiven) -> UserWords:
    return UserWords(email=given.email, name=given.name, role=given.role)
