"""People in their table. What proves who somebody is leaves it only as Credentials, for whoever checks it.

An address for mail is kept in lower case, and is the name that people sign in with.
"""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from app.db.engine import Transaction
from app.db.tables import UserRow
from app.domain.instant import from_ms, to_ms
from app.domain.people import Role, User

_PROVEN_BY: Final = ("password", "totp", "provider")


class Credentials(Struct, frozen=True, kw_only=True):
    """`password` is a hash, `totp` a sealed seed; None where there is none."""

    user: User
    password: str | None
    totp: str | None
    totp_step: int


async def list_users(transaction: Transaction, after: str, limit: int) -> list[User]:
    """In the order of their ids, from behind `after` on."""
    query = UserRow.select().where(UserRow.id > after).order_by(UserRow.id).limit(limit)
    return [user_of(row) for row in await transaction.fetch(query)]


async def find_user(transaction: Transaction, id: str) -> User | None:
    rows = await transaction.fetch(UserRow.select().where(UserRow.id == id))
    return user_of(rows[0]) if rows else None


async def find_credentials(transaction: Transaction, *, email: str = "", id: str = "") -> Credentials | None:
    where = UserRow.id == id if id else UserRow.email == email.lower()
    return _credentials(await transaction.fetch(UserRow.select().where(where)))


async def find_by_provider(transaction: Transaction, provider: str) -> User | None:
    rows = await transaction.fetch(UserRow.select().where(UserRow.provider == provider))
    return user_of(rows[0]) if rows else None


async def write_user(transaction: Transaction, user: User) -> None:
    """What proves who it is stays as it was."""
    await transaction.execute(
        "INSERT INTO users (id, email, name, role, totp_step, created) VALUES ({}, {}, {}, {}, 0, {})"
        " ON CONFLICT (id) DO UPDATE SET email = excluded.email, name = excluded.name, role = excluded.role",
        user.id,
        user.email,
        user.name,
        user.role.value,
        to_ms(user.created),
    )


async def is_taken(transaction: Transaction, email: str, by_another_than: str = "") -> bool:
    rows = await transaction.fetch(UserRow.select(UserRow.id).where(UserRow.email == email))
    return any(row["id"] != by_another_than for row in rows)


async def write_proof(transaction: Transaction, id: str, what: str, value: str | None) -> None:
    """`what` is password (its hash), totp (the sealed seed) or provider (issuer and subject)."""
    if what not in _PROVEN_BY:
        raise ValueError(f"{what} proves nothing")
    await transaction.execute(f"UPDATE users SET {what} = {{}} WHERE id = {{}}", value, id)


async def use_step(transaction: Transaction, id: str, step: int) -> bool:
    """False if a code of that step, or of a later one, has been used before."""
    return bool(
        await transaction.execute(
            "UPDATE users SET totp_step = {} WHERE id = {} AND totp_step < {}", step, id, step
        )
    )


async def remove_user(transaction: Transaction, id: str) -> None:
    """And their sessions."""
    await transaction.execute("DELETE FROM users WHERE id = {}", id)


async def count_users(transaction: Transaction, role: Role | None = None) -> int:
    rows = await transaction.fetch("SELECT role FROM users")
    return sum(role is None or row["role"] == role for row in rows)


async def sealed_seeds(transaction: Transaction) -> list[tuple[str, str]]:
    """(user, sealed seed) of each who has a second factor."""
    rows = await transaction.fetch("SELECT id, totp FROM users WHERE totp IS NOT NULL")
    return [(row["id"], row["totp"]) for row in rows]


def user_of(row: dict[str, Any]) -> User:
    return User(
        id=row["id"],
        email=row["email"],
        name=row["name"],
        role=Role(row["role"]),
        created=from_ms(row["created"]),
        password=row["password"] is not None,
        totp=row["totp"] is not None,
        provider=row["provider"] is not None,
    )


def _credentials(rows: Sequence[dict[str, Any]]) -> Credentials | None:
    if not rows:
        return None
    row = rows[0]
    return Credentials(
        user=user_of(row), password=row["password"], totp=row["totp"], totp_step=row["totp_step"]
    )
