"""Accounts of people are made, changed and removed, by whichever door.

There is always an admin: the last one can be neither removed nor made less. Whoever may do less than before,
or nothing, is signed out everywhere.
"""

import re
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from app.db import users as rows
from app.db.change import Change
from app.domain.events import Revoked
from app.domain.people import Role, User
from app.domain.refused import Refused, title
from app.security import passwords
from app.security.tokens import some_letters

EMAIL: Final = r"^[^@\s\x00-\x1f\x7f\"<>()\[\],;:\\]{1,64}@[A-Za-z0-9.-]{1,190}$"


class UserWords(Struct, frozen=True, kw_only=True):
    """What is said of an account."""

    email: str
    name: str
    role: Role = Role.VIEWER


async def add_user(change: Change, given: UserWords, password_hash: str | None = None) -> User:
    """Without a password they can only come from the OIDC provider, until they have one."""
    words = await _checked(change, given)
    user = User(
        id=some_letters(8),
        email=words.email,
        name=words.name,
        role=words.role,
        created=change.at,
        password=password_hash is not None,
    )
    await rows.write_user(change.transaction, user)
    if password_hash is not None:
        await rows.write_proof(change.transaction, user.id, "password", password_hash)
    await change.note("user.add", f"user/{user.id}", None, user)
    return user


async def alter_user(change: Change, old: User, given: UserWords) -> User:
    words = await _checked(change, given, old.id)
    if old.role is Role.ADMIN and words.role is not Role.ADMIN:
        await _keep_an_admin(change, "role")
    new = replace(old, email=words.email, name=words.name, role=words.role)
    await rows.write_user(change.transaction, new)
    await change.note("user.change", f"user/{old.id}", old, new)
    if new.role is not old.role:
        await change.tell(Revoked(at=change.at, owner=f"user/{old.id}"))
    return new


async def remove_user(change: Change, user: User) -> None:
    if user.role is Role.ADMIN:
        await _keep_an_admin(change, "id")
    await rows.remove_user(change.transaction, user.id)
    await change.note("user.remove", f"user/{user.id}", user)
    await change.tell(Revoked(at=change.at, owner=f"user/{user.id}"))


async def set_password(change: Change, user: User, password_hash: str | None) -> None:
    await rows.write_proof(change.transaction, user.id, "password", password_hash)
    await change.note("user.password", f"user/{user.id}", user, replace(user, password=bool(password_hash)))


async def set_second_factor(change: Change, user: User, sealed_seed: str | None) -> None:
    await rows.write_proof(change.transaction, user.id, "totp", sealed_seed)
    await change.note("user.second_factor", f"user/{user.id}", user, replace(user, totp=bool(sealed_seed)))


def refuse_bad_password(password: str, field: str = "password") -> None:
    if why := passwords.refusal(password):
        raise Refused(field, why)


async def _checked(change: Change, given: UserWords, id: str = "") -> UserWords:
    email = given.email.strip().lower()
    if not re.fullmatch(EMAIL, email):
        raise Refused("email", f"{given.email!r} is no address for mail: write such as mei@example.org.")
    if await rows.is_taken(change.transaction, email, id):
        raise Refused("email", f"There is an account with the address {email} already.", "conflict")
    return UserWords(email=email, name=title(given.name, "name"), role=given.role)


async def _keep_an_admin(change: Change, field: str) -> None:
    if await rows.count_users(change.transaction, Role.ADMIN) <= 1:
        raise Refused(
            field,
            "This is the only admin, and there must be one: make somebody else admin first.",
            "conflict",
        )
