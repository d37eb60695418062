"""Sessions in their table, by the hash of their cookie: who reads the database cannot sign in with it."""

from datetime import datetime, timedelta
from typing import Any, Final

from app.db.engine import Transaction
from app.db.users import user_of
from app.domain.instant import from_ms, to_ms
from app.domain.people import Session

IDLE: Final = timedelta(hours=12)
LONGEST: Final = timedelta(days=7)
PER_USER: Final = 50  # beyond which the one that was used longest ago ends

_COLUMNS = (
    "SELECT s.id AS session, s.created AS began, s.seen, s.address, s.browser, u.* FROM sessions s"
    ' JOIN users u ON u.id = s."user"'
)


async def open_session(transaction: Transaction, session: Session, hash: str) -> None:
    """Those that are over go, so that the table does not grow."""
    now = session.created
    await transaction.execute(
        "DELETE FROM sessions WHERE seen < {} OR created < {}", to_ms(now - IDLE), to_ms(now - LONGEST)
    )
    await transaction.execute(
        'INSERT INTO sessions (id, hash, "user", created, seen, address, browser)'
        " VALUES ({}, {}, {}, {}, {}, {}, {})",
        session.id, hash, session.user.id, to_ms(session.created), to_ms(session.seen), session.address,
        session.browser,
    )  # fmt: skip
    await transaction.execute(
        'DELETE FROM sessions WHERE "user" = {} AND id NOT IN'
        ' (SELECT id FROM sessions WHERE "user" = {} ORDER BY seen DESC, id LIMIT {})',
        session.user.id, session.user.id, PER_USER,
    )  # fmt: skip


async def find_session(transaction: Transaction, hash: str, now: datetime) -> Session | None:
    rows = await transaction.fetch(f"{_COLUMNS} WHERE s.hash = {{}}", hash)
    return next((session for row in rows if not is_over(session := _session(row), now)), None)


async def sessions_of(transaction: Transaction, user: str, now: datetime) -> list[Session]:
    """The newest first."""
    rows = await transaction.fetch(f'{_COLUMNS} WHERE s."user" = {{}} ORDER BY s.created DESC', user)
    return [session for row in rows if not is_over(session := _session(row), now)]


async def see_session(transaction: Transaction, id: str, now: datetime) -> None:
    await transaction.execute("UPDATE sessions SET seen = {} WHERE id = {}", to_ms(now), id)


async def close_session(transaction: Transaction, user: str, id: str) -> bool:
    """False if that user has no such session."""
    return bool(await transaction.execute('DELETE FROM sessions WHERE id = {} AND "user" = {}', id, user))


def ends(session: Session) -> datetime:
    """When it is over, if it is not used until then."""
    return min(session.seen + IDLE, session.created + LONGEST)


def is_over(session: Session, now: datetime) -> bool:
    return ends(session) <= now


def _session(row: dict[str, Any]) -> Session:
    return Session(
        id=row["session"],
        user=user_of(row),
        created=from_ms(row["began"]),
        seen=from_ms(row["seen"]),
        address=row["address"],
        browser=row["browser"],
    )
