"""The audit log, read: who changed what, from where, and what was there before and after. It is written by
the change itself (`app/db/change.py`), and nothing changes or removes a line of it.
"""

from typing import Any

import msgspec
from msgspec import Struct

from app.db.engine import Transaction
from app.domain.instant import Instant, from_ms


class Entry(Struct, frozen=True, kw_only=True):
    """`kind` and `name` are the actor's; `verb` is `incident.post`, `subject` is `incident/3f2a91`."""

    id: str
    at: Instant
    kind: str
    name: str
    address: str
    verb: str
    subject: str
    before: Any = None
    after: Any = None


async def list_entries(transaction: Transaction, before: int | None, limit: int) -> list[Entry]:
    """The newest first."""
    rows = await transaction.fetch(
        "SELECT * FROM audit_log WHERE id < {} ORDER BY id DESC LIMIT {}",
        (1 << 62) if before is None else before,
        limit,
    )
    return [_entry(row) for row in rows]


async def find_entry(transaction: Transaction, id: int) -> Entry | None:
    rows = await transaction.fetch("SELECT * FROM audit_log WHERE id = {}", id)
    return _entry(rows[0]) if rows else None


def _entry(row: dict[str, Any]) -> Entry:
    return Entry(
        id=str(row["id"]),
        at=from_ms(row["at"]),
        kind=row["kind"],
        name=row["name"],
        address=row["address"],
        verb=row["verb"],
        subject=row["subject"],
        before=_value(row["before"]),
        after=_value(row["after"]),
    )


def _value(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)
