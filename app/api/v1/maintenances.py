"""Planned work at /v1/maintenances, what is said of it, and the series that it may belong to.

To begin or end one by hand is to give it another status; it is cancelled by being removed, with all that
would come after it if its series is.
"""

from collections.abc import Sequence
from typing import ClassVar

import msgspec
from msgspec import Struct

from app.api.v1.problem import Answered
from app.api.v1.resource import Asked, G, Resource, S
from app.api.v1.stories import UpdateShown, changed, of_updates, opened, place
from app.db.change import Change, Within
from app.db.engine import Transaction
from app.db.maintenances import Maintenances as Verbs
from app.db.maintenances import find_maintenance, list_maintenances
from app.domain.instant import Instant, to_ms
from app.domain.maintenance import (
    Maintenance,
    MaintenanceEdit,
    MaintenanceStatus,
    NewMaintenance,
    NewMaintenanceUpdate,
)
from app.domain.refused import Refused


class MaintenanceShown(Maintenance, frozen=True, kw_only=True, omit_defaults=False):
    """One occurrence. `series` is the id of its first one, which began at `first`; `lasts` is its length in
    milliseconds by the clock on the wall of its time zone."""

    updates: tuple[UpdateShown, ...] = ()


class MaintenanceAltered(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of this one occurrence; the series goes on as it was. By its status it is begun (`in_progress`),
    verified (`verifying`) or ended (`completed`) now."""

    title: str
    words: str = ""
    starts: Instant
    ends: Instant
    components: tuple[str, ...]
    status: MaintenanceStatus = MaintenanceStatus.SCHEDULED


class Maintenances(Resource[MaintenanceShown, NewMaintenance]):
    name, words = "maintenances", "a maintenance"
    shown, given, altered = MaintenanceShown, NewMaintenance, MaintenanceAltered
    example: ClassVar = {
        "title": "Database upgrade",
        "words": "Payments are slower for a few minutes.",
        "starts": "2027-03-28T00:30:00Z",
        "ends": "2027-03-28T02:00:00Z",
        "components": ["payments-api"],
        "recurrence": "FREQ=WEEKLY;BYDAY=SU",
        "time_zone": "Europe/Berlin",
    }

    async def list(
        self, transaction: Transaction, asked: Asked, after: str, limit: int
    ) -> Sequence[MaintenanceShown]:
        return [_shown(each) for each in await list_maintenances(transaction, opened(after), limit)]

    async def find(self, transaction: Transaction, asked: Asked, id: str) -> MaintenanceShown | None:
        found = await find_maintenance(transaction, id)
        return None if found is None else _shown(found)

    async def make(self, change: Change, asked: Asked, given: NewMaintenance) -> MaintenanceShown:
        return _shown(await _verbs(change).schedule(change.actor, change.at, given))

    async def alter(
        self, change: Change, asked: Asked, old: MaintenanceShown, given: MaintenanceAltered
    ) -> MaintenanceShown:
        said = changed(self.said_of(old), given)
        status = said.pop("status", None)
        verbs, new = _verbs(change), None
        if said:
            new = await verbs.edit(change.actor, change.at, old.id, MaintenanceEdit(**said))
        if status is MaintenanceStatus.SCHEDULED:
            raise Refused("status", "This maintenance has begun: schedule another.", "conflict")
        if status is not None:
            move = {
                MaintenanceStatus.IN_PROGRESS: verbs.begin,
                MaintenanceStatus.VERIFYING: verbs.verify,
                MaintenanceStatus.COMPLETED: verbs.complete,
            }[status]
            new = await move(change.actor, change.at, old.id)
        return old if new is None else _shown(new)

    async def remove(self, change: Change, asked: Asked, old: MaintenanceShown) -> None:
        await _verbs(change).cancel(change.actor, change.at, old.id)

    def place_of(self, item: MaintenanceShown) -> str:
        return place(to_ms(item.starts), item.id)

    def is_seen(self, asked: Asked, item: MaintenanceShown) -> bool:
        return asked.sees_all(item.components)


class _OfOne(Resource[S, G]):
    """What belongs to one maintenance is seen by whoever sees that."""

    of_pages = True
    parent = "maintenances"
    reads, writes = "maintenances:read", "maintenances:write"

    async def maintenance(self, transaction: Transaction, asked: Asked) -> Maintenance:
        found = await find_maintenance(transaction, asked.parent)
        if found is None or not asked.sees_all(found.components):
            raise Answered(404, "There is no such thing among the maintenances.")
        return found


class MaintenanceUpdates(_OfOne[UpdateShown, NewMaintenanceUpdate]):
    name, words = "updates", "an update of a maintenance"
    shown, given = UpdateShown, NewMaintenanceUpdate
    example: ClassVar = {"words": "The upgrade is done; we watch it.", "status": "verifying"}

    async def list(
        self, transaction: Transaction, asked: Asked, after: str, limit: int
    ) -> Sequence[UpdateShown]:
        return of_updates((await self.maintenance(transaction, asked)).updates, after)[:limit]

    async def find(self, transaction: Transaction, asked: Asked, id: str) -> UpdateShown | None:
        said = (await self.maintenance(transaction, asked)).updates
        return next((each for each in of_updates(said) if str(each.n) == id), None)

    async def make(self, change: Change, asked: Asked, given: NewMaintenanceUpdate) -> UpdateShown:
        old = await self.maintenance(change.transaction, asked)
        new = await _verbs(change).update(change.actor, change.at, old.id, given)
        return max(of_updates(new.updates), key=lambda each: each.n)

    def id_of(self, item: UpdateShown) -> str:
        return str(item.n)


class SeriesShown(Struct, frozen=True, kw_only=True):
    """What a maintenance comes again by: an RRULE, read in the time zone, from `first` on."""

    id: str
    recurrence: str
    time_zone: str
    first: Instant


class Series(_OfOne[SeriesShown, Struct]):
    name, words = "series", "the series of a maintenance"
    shown = SeriesShown
    single = True

    async def find(self, transaction: Transaction, asked: Asked, id: str) -> SeriesShown | None:
        found = await self.maintenance(transaction, asked)
        if not found.recurrence:
            return None
        return SeriesShown(
            id=found.series, recurrence=found.recurrence, time_zone=found.time_zone, first=found.first
        )

    async def remove(self, change: Change, asked: Asked, old: SeriesShown) -> None:
        """This occurrence is cancelled, and none comes after it."""
        await _verbs(change).cancel(change.actor, change.at, asked.parent, series=True)


def _shown(maintenance: Maintenance) -> MaintenanceShown:
    return msgspec.convert(maintenance, MaintenanceShown, from_attributes=True)


def _verbs(change: Change) -> Verbs:
    return Verbs(Within(change))
