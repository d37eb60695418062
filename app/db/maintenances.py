"""Maintenances in the database, and the verbs of operators for all doors: schedule, update, begin, complete,
edit, cancel. Each is one change: stored, noted in the audit log and told. What is wrong raises Refused.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from secrets import token_hex
from typing import Any, Final

from app.db.change import Change, Changes, difference
from app.db.engine import Transaction
from app.db.tables import MaintenanceComponentRow, MaintenanceRow
from app.db.updates import (
    may_be_id,
    newest_behind,
    read_updates,
    refuse_stale,
    refuse_unknown,
    write_updates,
)
from app.domain import maintenance as domain
from app.domain.actor import Actor
from app.domain.events import MaintenanceChange
from app.domain.instant import from_ms, to_ms
from app.domain.maintenance import (
    Maintenance,
    MaintenanceEdit,
    MaintenanceStatus,
    NewMaintenance,
    NewMaintenanceUpdate,
)
from app.domain.refused import Refused

# Each is on every screen.
MOST_AHEAD: Final = 100
_CLOCK: Final = Actor("rule", "schedule")


class Maintenances:
    def __init__(self, changes: Changes) -> None:
        self._changes = changes

    # The verbs

    async def schedule(self, actor: Actor, at: datetime, new: NewMaintenance) -> Maintenance:
        maintenance = domain.scheduled(token_hex(5), new, at)
        async with self._changes.by(actor, at) as change:
            await refuse_unknown(change.transaction, maintenance.components)
            await _refuse_too_many(change.transaction)
            await _add(change, "maintenance.schedule", maintenance)
        return maintenance

    async def update(
        self, actor: Actor, at: datetime, id: str, new: NewMaintenanceUpdate, version: int | None = None
    ) -> Maintenance:
        become = partial(domain.updated, new=new, now=at, author=actor.origin)
        return await self._change(actor, at, "maintenance.update", id, become, version)

    async def begin(self, actor: Actor, at: datetime, id: str) -> Maintenance:
        return await self._move(actor, at, "maintenance.begin", id, MaintenanceStatus.IN_PROGRESS)

    async def verify(self, actor: Actor, at: datetime, id: str) -> Maintenance:
        return await self._move(actor, at, "maintenance.verify", id, MaintenanceStatus.VERIFYING)

    async def complete(self, actor: Actor, at: datetime, id: str) -> Maintenance:
        return await self._move(actor, at, "maintenance.complete", id, MaintenanceStatus.COMPLETED)

    async def edit(
        self, actor: Actor, at: datetime, id: str, edit: MaintenanceEdit, version: int | None = None
    ) -> Maintenance:
        become = partial(domain.edited, edit=edit, now=at)
        return await self._change(actor, at, "maintenance.edit", id, become, version)

    async def cancel(self, actor: Actor, at: datetime, id: str, *, series: bool = False) -> None:
        """Take one back. With `series` none comes after it; without, the next one takes its place."""
        async with self._changes.by(actor, at) as change:
            maintenance = await _need(change.transaction, id)
            await _remove(change, maintenance)
            if not series and maintenance.status is MaintenanceStatus.SCHEDULED:
                await _add_following(change, maintenance)

    async def advance(self, id: str, at: datetime) -> Maintenance | None:
        """What has come due of itself: it begins, or ends. None if another server was first."""
        async with self._changes.by(_CLOCK, at) as change:
            before = await find_maintenance(change.transaction, id)
            status = None if before is None else domain.due(before, at)
            if before is None or status is None:
                return None
            after = domain.moved(before, status, at)
            verb = "complete" if status is MaintenanceStatus.COMPLETED else "begin"
            return await _keep(change, f"maintenance.{verb}", before, after)

    # Reading: private notes too, so what is shown to the public passes `public()`

    async def find(self, id: str) -> Maintenance:
        async with self._changes.database.reading() as transaction:
            return await _need(transaction, id)

    async def recent(self, limit: int, before: datetime | None = None) -> list[Maintenance]:
        """The latest first, those that are still to come included; begun earlier than `before`."""
        query = MaintenanceRow.select().order_by(MaintenanceRow.starts, MaintenanceRow.id, ascending=False)
        if before is not None:
            query = query.where(MaintenanceRow.starts < to_ms(before))
        async with self._changes.database.reading() as transaction:
            return await _whole(transaction, await transaction.fetch(query.limit(limit)))

    async def _move(
        self, actor: Actor, at: datetime, verb: str, id: str, status: MaintenanceStatus
    ) -> Maintenance:
        def become(maintenance: Maintenance) -> Maintenance:
            if maintenance.is_over or maintenance.status is status:
                raise Refused("id", f"This maintenance is {maintenance.status} already.", "conflict")
            return domain.moved(maintenance, status, at)

        return await self._change(actor, at, verb, id, become)

    async def _change(
        self,
        actor: Actor,
        at: datetime,
        verb: str,
        id: str,
        become: Callable[[Maintenance], Maintenance],
        version: int | None = None,
    ) -> Maintenance:
        async with self._changes.by(actor, at) as change:
            before = await _need(change.transaction, id)
            refuse_stale(before.version, version)
            return await _keep(change, verb, before, become(before))


async def find_maintenance(transaction: Transaction, id: str) -> Maintenance | None:
    """Private notes too."""
    if not may_be_id(id):
        return None
    rows = await transaction.fetch(MaintenanceRow.select().where(MaintenanceRow.id == id))
    return (await _whole(transaction, rows))[0] if rows else None


async def list_maintenances(
    transaction: Transaction, before: tuple[int, str], limit: int
) -> list[Maintenance]:
    """The latest first, behind the one that starts at that millisecond and has that id."""
    query = newest_behind(MaintenanceRow, MaintenanceRow.starts, before, limit)
    return await _whole(transaction, await transaction.fetch(query))


async def read_ahead(transaction: Transaction) -> list[Maintenance]:
    """Those that are not over."""
    over = MaintenanceStatus.COMPLETED.value
    rows = await transaction.fetch(MaintenanceRow.select().where(MaintenanceRow.status != over))
    return await _whole(transaction, rows)


async def read_maintenances_begun(
    transaction: Transaction, start: datetime, end: datetime, most: int
) -> list[Maintenance]:
    """The newest first. What is only planned has not begun, whatever the clock says."""
    query = MaintenanceRow.select().where(
        MaintenanceRow.starts >= to_ms(start),
        MaintenanceRow.starts < to_ms(end),
        MaintenanceRow.status != MaintenanceStatus.SCHEDULED.value,
    )
    query = query.order_by(MaintenanceRow.starts, MaintenanceRow.id, ascending=False).limit(most)
    return await _whole(transaction, await transaction.fetch(query))


async def _keep(change: Change, verb: str, before: Maintenance, after: Maintenance) -> Maintenance:
    transaction, subject = change.transaction, f"maintenance/{after.id}"
    if after.components != before.components:
        # One that has left the catalog since may stay.
        await refuse_unknown(transaction, set(after.components).difference(before.components))
        await transaction.execute("DELETE FROM maintenance_components WHERE maintenance = {}", after.id)
        await _write_components(transaction, after)
    await transaction.execute(
        "UPDATE maintenances SET title = {}, status = {}, words = {}, starts = {}, ends = {}, version = {}"
        " WHERE id = {}",
        *(after.title, after.status.value, after.words, to_ms(after.starts), to_ms(after.ends)),
        *(after.version, after.id),
    )
    await write_updates(transaction, subject, before.updates, after.updates)
    await change.note(verb, subject, *difference(before, after))
    if before.public() != after.public():
        await change.tell(MaintenanceChange(at=change.at, maintenance=after.public()))
    if before.status is MaintenanceStatus.SCHEDULED and after.status is not before.status:
        await _add_following(change, before)
    return after


async def _add_following(change: Change, maintenance: Maintenance) -> None:
    """The next of a series is announced as soon as one begins."""
    following = domain.following(maintenance, change.at)
    if following is not None and await find_maintenance(change.transaction, following.id) is None:
        await _add(change, "maintenance.schedule", following)


async def _add(change: Change, verb: str, maintenance: Maintenance) -> None:
    await change.transaction.execute(
        "INSERT INTO maintenances (id, series, title, status, words, starts, ends, recurrence, time_zone,"
        f" first, lasts, version) VALUES ({', '.join(['{}'] * 12)})",
        maintenance.id,
        maintenance.series,
        maintenance.title,
        maintenance.status.value,
        maintenance.words,
        to_ms(maintenance.starts),
        to_ms(maintenance.ends),
        maintenance.recurrence,
        maintenance.time_zone,
        to_ms(maintenance.first),
        maintenance.lasts,
        maintenance.version,
    )
    await _write_components(change.transaction, maintenance)
    await change.note(verb, f"maintenance/{maintenance.id}", None, maintenance)
    await change.tell(MaintenanceChange(at=change.at, maintenance=maintenance.public()))


async def _remove(change: Change, maintenance: Maintenance) -> None:
    subject = f"maintenance/{maintenance.id}"
    await write_updates(change.transaction, subject, maintenance.updates, ())
    await change.transaction.execute("DELETE FROM maintenances WHERE id = {}", maintenance.id)
    await change.note("maintenance.cancel", subject, maintenance, None)
    await change.tell(MaintenanceChange(at=change.at, maintenance=maintenance.public(), removed=True))


async def _write_components(transaction: Transaction, maintenance: Maintenance) -> None:
    await transaction.execute_many(
        "INSERT INTO maintenance_components (maintenance, component, position) VALUES ({}, {}, {})",
        [(maintenance.id, slug, n) for n, slug in enumerate(maintenance.components)],
    )


async def _need(transaction: Transaction, id: str) -> Maintenance:
    found = await find_maintenance(transaction, id)
    if found is None:
        raise Refused("id", f"There is no maintenance `{id[:40]}`.", "missing")
    return found


async def _whole(transaction: Transaction, rows: list[dict[str, Any]]) -> list[Maintenance]:
    if not rows:
        return []
    ids = [row["id"] for row in rows]
    updates = await read_updates(transaction, [f"maintenance/{id}" for id in ids])
    named = await transaction.fetch(
        MaintenanceComponentRow.select()
        .where(MaintenanceComponentRow.maintenance.is_in(ids))
        .order_by(MaintenanceComponentRow.position)
    )
    return [
        Maintenance(
            id=row["id"],
            series=row["series"],
            title=row["title"],
            status=MaintenanceStatus(row["status"]),
            words=row["words"],
            starts=from_ms(row["starts"]),
            ends=from_ms(row["ends"]),
            recurrence=row["recurrence"],
            time_zone=row["time_zone"],
            first=from_ms(row["first"]),
            lasts=row["lasts"],
            version=row["version"],
            components=tuple(each["component"] for each in named if each["maintenance"] == row["id"]),
            updates=updates.get(f"maintenance/{row['id']}", ()),
        )
        for row in rows
    ]


async def _refuse_too_many(transaction: Transaction) -> None:
    [row] = await transaction.fetch(
        "SELECT COUNT(*) AS ahead FROM maintenances WHERE status <> {}", MaintenanceStatus.COMPLETED.value
    )
    if row["ahead"] >= MOST_AHEAD:
        raise Refused(
            "title", f"{MOST_AHEAD} maintenances are ahead: cancel one before you schedule another."
        )
