"""The audit log at /v1/audit, the newest first. It can be read, and nothing else."""

from collections.abc import Sequence

from msgspec import Struct

from app.api.v1.resource import Asked, Resource
from app.db import audit
from app.db.audit import Entry
from app.db.engine import Transaction
from app.security.scopes import ADMIN


class Audit(Resource[Entry, Struct]):
    name, words = "audit", "an entry of the audit log"
    shown = Entry
    reads = ADMIN

    async def list(self, transaction: Transaction, asked: Asked, after: str, limit: int) -> Sequence[Entry]:
        return await audit.list_entries(transaction, _number(after), limit)

    async def find(self, transaction: Transaction, asked: Asked, id: str) -> Entry | None:
        number = _number(id)
        return None if number is None else await audit.find_entry(transaction, number)


def _number(id: str) -> int | None:
    """None for what no entry can be called."""
    return int(id) if id.isascii() and id.isdecimal() and len(id) <= 18 else None
