"""What operators say of a single component: a status by hand, which holds until it is released, and who is on
it. Each is one change: stored, noted in the audit log and told. What is wrong raises Refused.
"""

from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from app.db.change import Changes
from app.db.engine import Transaction
from app.db.incidents import acknowledgement
from app.db.updates import may_be_id, refuse_unknown
from app.domain import refused
from app.domain.actor import Actor
from app.domain.events import Acknowledgement, Override
from app.domain.instant import Instant, from_ms, to_ms
from app.domain.refused import Refused
from app.domain.status import Status

# It stands beside a status, also on a wall.
MOST_NOTE: Final = 100


class ByHand(Struct, frozen=True, kw_only=True):
    """The status that an operator has given to a component, until it is released. `note` is what all who see
    it may read."""

    component: str
    status: Status
    note: str = ""
    at: Instant
    author: str


class OnIt(Struct, frozen=True, kw_only=True):
    """Who is on it, in their words, and until when they have said so."""

    words: str
    at: Instant
    until: Instant | None = None
    author: str


class Interventions:
    def __init__(self, changes: Changes) -> None:
        self._changes = changes

    async def override(
        self, actor: Actor, at: datetime, component: str, status: Status, note: str = ""
    ) -> None:
        """It has this status whatever its probes find, until it is released. The note stands beside it."""
        said = refused.line(note, "note", MOST_NOTE)
        if status is Status.UNKNOWN:
            raise Refused("status", "`status` by hand says what you know: give it one other than unknown.")
        async with self._changes.by(actor, at) as change:
            await refuse_unknown(change.transaction, [component], "component")
            before = await _find(change.transaction, "overrides", component)
            await change.transaction.execute(
                "INSERT INTO overrides (component, status, at, author, note) VALUES ({}, {}, {}, {}, {})"
                " ON CONFLICT (component) DO UPDATE SET status = excluded.status, at = excluded.at,"
                " author = excluded.author, note = excluded.note",
                *(component, status.value, to_ms(at), actor.origin, said),
            )
            after = {"status": status, "note": said}
            await change.note("component.override", f"component/{component}", before, after)
            await change.tell(Override(at=at, component=component, status=status, note=said))

    async def release(self, actor: Actor, at: datetime, component: str) -> None:
        """Its probes have the word again."""
        async with self._changes.by(actor, at) as change:
            before = await _find(change.transaction, "overrides", component)
            if before is None:
                raise Refused("component", f"`{component[:64]}` has no status by hand.", "conflict")
            await change.transaction.execute("DELETE FROM overrides WHERE component = {}", component)
            await change.note("component.release", f"component/{component}", before, None)
            await change.tell(Override(at=at, component=component))

    async def acknowledge(
        self, actor: Actor, at: datetime, component: str, words: str = "", until: datetime | None = None
    ) -> str:
        """What is shown beside its trouble. It goes by itself at `until`, or when the trouble does."""
        said = acknowledgement(actor, words)
        end = None if until is None else refused.later(until, at, "until", "now")
        async with self._changes.by(actor, at) as change:
            await refuse_unknown(change.transaction, [component], "component")
            before = await _find(change.transaction, "acknowledgements", component)
            await change.transaction.execute(
                "INSERT INTO acknowledgements (component, words, at, until, author)"
                " VALUES ({}, {}, {}, {}, {}) ON CONFLICT (component) DO UPDATE SET words = excluded.words,"
                " at = excluded.at, until = excluded.until, author = excluded.author",
                *(component, said, to_ms(at), None if end is None else to_ms(end), actor.origin),
            )
            after = {"words": said, "until": end}
            await change.note("component.acknowledge", f"component/{component}", before, after)
            await change.tell(Acknowledgement(at=at, component=component, words=said, until=end))
        return said

    async def unacknowledge(self, actor: Actor, at: datetime, component: str) -> None:
        async with self._changes.by(actor, at) as change:
            before = await _find(change.transaction, "acknowledgements", component)
            if before is None:
                raise Refused("component", f"Nobody is on `{component[:64]}`.", "conflict")
            await change.transaction.execute("DELETE FROM acknowledgements WHERE component = {}", component)
            await change.note("component.unacknowledge", f"component/{component}", before, None)
            await change.tell(Acknowledgement(at=at, component=component))

    async def lapse(self, component: str, said_at: datetime, at: datetime) -> None:
        """Take back what was said at `said_at`, if nothing newer was."""
        async with self._changes.by(Actor("rule", "expiry"), at) as change:
            before = await _find(change.transaction, "acknowledgements", component)
            if before is not None and before["at"] == to_ms(said_at):
                await change.transaction.execute(
                    "DELETE FROM acknowledgements WHERE component = {}", component
                )
                await change.note("component.unacknowledge", f"component/{component}", before, None)
                await change.tell(Acknowledgement(at=at, component=component))


async def find_override(transaction: Transaction, component: str) -> ByHand | None:
    row = await _find(transaction, "overrides", component)
    if row is None:
        return None
    return ByHand(
        component=component,
        status=Status(row["status"]),
        note=row["note"],
        at=from_ms(row["at"]),
        author=row["author"],
    )


async def find_acknowledgement(transaction: Transaction, component: str) -> OnIt | None:
    row = await _find(transaction, "acknowledgements", component)
    if row is None:
        return None
    until = None if row["until"] is None else from_ms(row["until"])
    return OnIt(words=row["words"], at=from_ms(row["at"]), until=until, author=row["author"])


async def _find(transaction: Transaction, table: str, component: str) -> dict[str, Any] | None:
    if not may_be_id(component):
        return None
    rows = await transaction.fetch(f"SELECT * FROM {table} WHERE component = {{}}", component)
    return rows[0] if rows else None
