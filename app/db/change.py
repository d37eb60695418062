"""The write path of operators: whatever changes, by whichever door, changes within `Changes.by`.

That is one transaction, in which the rows are written, what is noted in the audit log, and the events to be
told put into the outbox. So no change is stored that is not told, and none is told that is not stored,
wherever the server dies: what is in the outbox is said on the feed after the commit (`app/outbox.py`), by
whichever server is there.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from secrets import token_hex
from typing import Any, Final

import msgspec
import structlog
from msgspec import Struct

from app.db.engine import Database, Transaction
from app.db.tables import OutboxRow
from app.domain.actor import Actor
from app.domain.events import Logged
from app.domain.instant import to_ms

# Any number, as long as nobody else in the same Postgres database takes it.
_ADVISORY_LOCK: Final = 7_283_447_296

log = structlog.get_logger("change")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Logged).decode


class Untold(Struct, frozen=True):
    """An event of the outbox, and the key that makes it one event on the feed however often it is said."""

    row: int
    key: str
    event: Logged


class Change:
    """One change by one actor, as long as its transaction lasts."""

    def __init__(self, transaction: Transaction, actor: Actor, at: datetime) -> None:
        self.transaction = transaction
        self.actor = actor
        self.at = at
        self.is_noted = False
        self.is_told = False
        self._then: list[Callable[[], None]] = []

    async def note(self, verb: str, subject: str, before: object = None, after: object = None) -> None:
        """Into the audit log: `incident.post`, `incident/3f2a91`, and what was there before and after.
        Secrets must be masked in both. Each change is noted once, whatever rows it takes."""
        self.is_noted = True
        await self.transaction.execute(
            "INSERT INTO audit_log (at, kind, name, address, verb, subject, before, after)"
            " VALUES ({}, {}, {}, {}, {}, {}, {}, {})",
            to_ms(self.at), self.actor.kind, self.actor.name, self.actor.address, verb, subject,
            _text(before), _text(after),
        )  # fmt: skip

    async def tell(self, event: Logged) -> None:
        """Say it on the feed once this is stored, behind all that was stored before."""
        self.is_told = True
        await _put(self.transaction, event)

    def then(self, done: Callable[[], None]) -> None:
        """Called once this is stored, and never if it is not."""
        self._then.append(done)

    def stored(self) -> None:
        for done in self._then:
            done()


class Changes:
    """`stored` is set by each commit, and cleared by whoever empties the outbox."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.stored = asyncio.Event()

    @asynccontextmanager
    async def by(self, actor: Actor, at: datetime) -> AsyncIterator[Change]:
        """All of it is stored, noted and told, or, if anything is raised within, nothing."""
        async with self.database.writing() as transaction:
            if not transaction.sqlite:
                # SQLite has one writer anyway. Ids are given before the commit: of two changes at once, the
                # later could be told first.
                await transaction.execute(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
            change = Change(transaction, actor, at)
            yield change
            if change.is_told and not change.is_noted:
                raise RuntimeError("a change is told that is not in the audit log")
        self.stored.set()
        change.stored()

    async def tell_again(self, events: Sequence[Logged]) -> None:
        """What the feed has lost, and was noted when it was changed."""
        async with self.database.writing() as transaction:
            for event in events:
                await _put(transaction, event)
        self.stored.set()

    async def untold(self, limit: int) -> list[Untold]:
        """What is in the outbox, oldest first."""
        async with self.database.reading() as transaction:
            rows = await transaction.fetch(OutboxRow.select().order_by(OutboxRow.id).limit(limit))
        return [Untold(row["id"], row["key"], _decode(row["event"])) for row in rows]

    async def forget(self, told: Sequence[Untold]) -> None:
        """Take out of the outbox what the feed has taken."""
        async with self.database.writing() as transaction:
            # By the key too: SQLite may have given the id to another since.
            await transaction.execute_many(
                "DELETE FROM outbox WHERE id = {} AND key = {}", [(each.row, each.key) for each in told]
            )


class Within(Changes):
    """For a verb that is a part of a change which is under way, and is stored with it or not at all. It can
    only change: what is read meanwhile is read in the same transaction."""

    def __init__(self, change: Change) -> None:
        self._change = change

    @asynccontextmanager
    async def by(self, actor: Actor, at: datetime) -> AsyncIterator[Change]:
        yield self._change


async def _put(transaction: Transaction, event: Logged) -> None:
    await transaction.execute(
        "INSERT INTO outbox (key, event) VALUES ({}, {})", f"outbox/{token_hex(8)}:1", _text(event)
    )


def difference(before: Struct, after: Struct) -> tuple[dict[str, Any], dict[str, Any]]:
    """What of two versions of one thing is not the same, for the audit log: of lists only what the other
    does not have."""
    was, now = msgspec.to_builtins(before), msgspec.to_builtins(after)
    names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    return _only(names, was, now), _only(names, now, was)


def _only(names: list[str], one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    found = {name: one[name] for name in names if name in one}
    for name, value in found.items():
        if isinstance(value, list) and isinstance(theirs := other.get(name), list):
            found[name] = [each for each in value if each not in theirs]
    return found


def _text(value: Any) -> str | None:
    return None if value is None else _encode(value).decode()
