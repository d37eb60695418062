"""Planned work: a Maintenance, when it begins and ends by itself, and what each verb makes of it. Pure: the
room that keeps them is `app/db/maintenances.py`.

What comes again is a series of occurrences. The next one is there as soon as one begins, so that it is
always announced ahead.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from app.domain import recurrence, refused
from app.domain.incident import MOST_COMPONENTS, MOST_UPDATES, TOLD_UPDATES, Update
from app.domain.instant import Instant, to_ms
from app.domain.refused import Refused

LONGEST: Final = timedelta(days=90)


class MaintenanceStatus(StrEnum):
    """How far it has come. It is `under_maintenance` from `in_progress` on, until it is `completed`."""

    SCHEDULED = "scheduled"
    IN_PROGRESS = "in_progress"
    VERIFYING = "verifying"
    COMPLETED = "completed"


UNDER_WAY: Final = frozenset({MaintenanceStatus.IN_PROGRESS, MaintenanceStatus.VERIFYING})


class Maintenance(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One occurrence. `series` is the id of its first one, which began at `first`; `lasts` is its length in
    milliseconds by the clock on the wall of its time zone."""

    id: str
    series: str
    title: str
    status: MaintenanceStatus
    words: str
    starts: Instant
    ends: Instant
    components: tuple[str, ...] = ()
    updates: tuple[Update, ...] = ()
    recurrence: str = ""
    time_zone: str = "UTC"
    first: Instant
    lasts: int
    version: int = 1

    @property
    def is_over(self) -> bool:
        return self.status is MaintenanceStatus.COMPLETED

    def public(self) -> "Maintenance":
        said = [replace(update, author="") for update in self.updates if not update.private]
        return replace(self, updates=tuple(said[-TOLD_UPDATES:]), version=1)


class NewMaintenance(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What scheduling one takes. `recurrence` is an RRULE such as FREQ=WEEKLY;BYDAY=SU, read in
    `time_zone`."""

    title: str
    words: str = ""
    starts: Instant
    ends: Instant
    components: tuple[str, ...]
    recurrence: str = ""
    time_zone: str = "UTC"


class NewMaintenanceUpdate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With a status it begins, is verified or ends by it. A private one is a note among operators."""

    words: str
    status: MaintenanceStatus | None = None
    private: bool = False


class MaintenanceEdit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of this one occurrence; the series goes on as it was."""

    title: str | UnsetType = UNSET
    words: str | UnsetType = UNSET
    starts: Instant | UnsetType = UNSET
    ends: Instant | UnsetType = UNSET
    components: tuple[str, ...] | UnsetType = UNSET


def scheduled(id: str, new: NewMaintenance, now: datetime) -> Maintenance:
    starts, ends = _window(new.starts, new.ends, now)
    recurrence.zone(new.time_zone)
    again = recurrence.check(new.recurrence, new.time_zone, starts) if new.recurrence.strip() else ""
    lasts = recurrence.lasts(starts, ends, new.time_zone)
    return Maintenance(
        id=id,
        series=id,
        title=refused.title(new.title),
        status=MaintenanceStatus.SCHEDULED,
        words=refused.words(new.words, may_be_empty=True),
        starts=starts,
        ends=ends,
        components=_distinct(new.components),
        recurrence=again,
        time_zone=new.time_zone,
        first=starts,
        lasts=lasts // timedelta(milliseconds=1),
    )


def following(maintenance: Maintenance, now: datetime) -> Maintenance | None:
    """The next occurrence of its series that is not over yet. None if there is none."""
    if not maintenance.recurrence:
        return None
    at = max(maintenance.starts, now - timedelta(milliseconds=maintenance.lasts))
    starts = recurrence.after(maintenance.recurrence, maintenance.time_zone, maintenance.first, at)
    if starts is None:
        return None
    lasts = timedelta(milliseconds=maintenance.lasts)
    return replace(
        maintenance,
        id=f"{maintenance.series}-{to_ms(starts) // 60_000:x}",
        status=MaintenanceStatus.SCHEDULED,
        starts=starts,
        ends=recurrence.ends(starts, lasts, maintenance.time_zone),
        updates=(),
        version=1,
    )


def due(maintenance: Maintenance, now: datetime) -> MaintenanceStatus | None:
    """What it becomes by itself at `now`. None if it stays what it is."""
    if maintenance.is_over:
        return None
    if now >= maintenance.ends:
        return MaintenanceStatus.COMPLETED
    if now >= maintenance.starts and maintenance.status is MaintenanceStatus.SCHEDULED:
        return MaintenanceStatus.IN_PROGRESS
    return None


def moved(maintenance: Maintenance, status: MaintenanceStatus, now: datetime) -> Maintenance:
    """One that is begun early or ended early was that long, and no longer."""
    starts, ends = maintenance.starts, maintenance.ends
    if status in UNDER_WAY and maintenance.status is MaintenanceStatus.SCHEDULED:
        starts = min(starts, now)
    if status is MaintenanceStatus.COMPLETED:
        ends = max(min(ends, now), min(starts, now))
        starts = min(starts, ends)
    return replace(maintenance, status=status, starts=starts, ends=ends, version=maintenance.version + 1)


def updated(maintenance: Maintenance, new: NewMaintenanceUpdate, now: datetime, author: str) -> Maintenance:
    if len(maintenance.updates) >= MOST_UPDATES:
        raise Refused("words", f"A maintenance has {MOST_UPDATES} updates at the most.")
    status = new.status or maintenance.status
    if maintenance.is_over and status is not maintenance.status:
        raise Refused("status", "This maintenance is over: schedule another.", "conflict")
    update = Update(
        n=1 + max((each.n for each in maintenance.updates), default=0),
        at=now,
        status=status,
        words=refused.words(new.words),
        private=new.private,
        author=author,
    )
    said = replace(maintenance, updates=(*maintenance.updates, update))
    if new.private or status is maintenance.status:
        return replace(said, version=maintenance.version + 1)
    return moved(said, status, now)


def edited(maintenance: Maintenance, edit: MaintenanceEdit, now: datetime) -> Maintenance:
    if maintenance.is_over:
        raise Refused("id", "This maintenance is over: it stays as it was.", "conflict")
    starts = maintenance.starts if edit.starts is UNSET else edit.starts
    ends = maintenance.ends if edit.ends is UNSET else edit.ends
    if (starts, ends) != (maintenance.starts, maintenance.ends):
        # Only then: one that was begun long before its time can be longer, and have another title.
        starts, ends = _window(starts, ends, now)
    components = maintenance.components if edit.components is UNSET else _distinct(edit.components)
    return replace(
        maintenance,
        title=maintenance.title if edit.title is UNSET else refused.title(edit.title),
        words=maintenance.words if edit.words is UNSET else refused.words(edit.words, may_be_empty=True),
        starts=starts,
        ends=ends,
        components=components,
        version=maintenance.version + 1,
    )


def _window(starts: datetime, ends: datetime, now: datetime) -> tuple[datetime, datetime]:
    refused.later(ends, now, "ends", "now")
    refused.later(ends, starts, "ends", "`starts`")
    if ends - starts > LONGEST:
        raise Refused("ends", f"A maintenance lasts {LONGEST.days} days at the most.")
    return refused.cut(starts), refused.cut(ends)


def _distinct(components: tuple[str, ...]) -> tuple[str, ...]:
    distinct = tuple(dict.fromkeys(components))
    if not distinct:
        raise Refused("components", "`components` is empty: name what is worked on.")
    if len(distinct) > MOST_COMPONENTS:
        raise Refused("components", f"A maintenance names {MOST_COMPONENTS} components at the most.")
    return distinct
