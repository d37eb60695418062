"""The public API of Atlassian Statuspage, version 2, read-only: whatever reads such a page reads ours.

Its words are fewer than ours. It has none for what is not known, and a client that is strict about them
breaks at a new one, so `unknown` is told as `degraded_performance`: the mildest of those that are not well.
What nobody has measured is never operational.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from string import ascii_lowercase, digits
from typing import Final

from msgspec import UNSET, Struct, UnsetType
from msgspec.json import encode

from app.domain.incident import OVER, IncidentStatus
from app.domain.maintenance import UNDER_WAY, MaintenanceStatus
from app.domain.status import Status
from app.domain.told import PublicIncident, PublicMaintenance, PublicUpdate
from app.pages.formats.bulletin import MOST, Bulletin, Told
from app.pages.rows import Group, Row

_DIGITS: Final = digits + ascii_lowercase

_INDICATOR: Final = {
    Status.OPERATIONAL: ("none", "All Systems Operational"),
    Status.MAINTENANCE: ("none", "Service Under Maintenance"),
    Status.UNKNOWN: ("minor", "State Unknown"),
    Status.DEGRADED: ("minor", "Partially Degraded Service"),
    Status.PARTIAL: ("major", "Partial System Outage"),
    Status.MAJOR: ("critical", "Major Service Outage"),
}


class PageObject(Struct, frozen=True):
    id: str
    name: str
    url: str
    time_zone: str
    updated_at: str


class ComponentObject(Struct, frozen=True, kw_only=True):
    """Of a component, or of a group: that one names its `components`."""

    id: str
    name: str
    status: str
    created_at: str
    updated_at: str
    position: int
    description: str | None = None
    showcase: bool = False
    start_date: None = None
    group_id: str | None = None
    page_id: str
    group: bool = False
    only_show_if_degraded: bool = False
    components: list[str] | UnsetType = UNSET


class UpdateObject(Struct, frozen=True, kw_only=True):
    id: str
    status: str
    body: str
    incident_id: str
    created_at: str
    updated_at: str
    display_at: str
    affected_components: None = None
    deliver_notifications: bool = True
    custom_tweet: None = None
    tweet_id: None = None


class IncidentObject(Struct, frozen=True, kw_only=True):
    """Of an incident, or of a maintenance: that one is `scheduled_for` a time."""

    id: str
    name: str
    status: str
    created_at: str
    updated_at: str
    monitoring_at: str | None
    resolved_at: str | None
    impact: str
    shortlink: str
    started_at: str
    page_id: str
    incident_updates: list[UpdateObject]
    components: list[ComponentObject]
    scheduled_for: str | UnsetType = UNSET
    scheduled_until: str | UnsetType = UNSET


class StatusObject(Struct, frozen=True):
    indicator: str
    description: str


def summary(said: Bulletin) -> bytes:
    wire = _Wire(said)
    return encode(
        {
            "page": wire.page,
            "components": wire.components,
            "incidents": wire.incidents(_open(said)),
            "scheduled_maintenances": wire.maintenances([*_upcoming(said), *_active(said)]),
            "status": wire.status,
        }
    )


def status(said: Bulletin) -> bytes:
    wire = _Wire(said)
    return encode({"page": wire.page, "status": wire.status})


def components(said: Bulletin) -> bytes:
    wire = _Wire(said)
    return encode({"page": wire.page, "components": wire.components})


def incidents(said: Bulletin) -> bytes:
    return _of_incidents(said, said.incidents[:MOST])


def unresolved(said: Bulletin) -> bytes:
    return _of_incidents(said, _open(said))


def maintenances(said: Bulletin) -> bytes:
    return _of_maintenances(said, said.maintenances[:MOST])


def upcoming(said: Bulletin) -> bytes:
    return _of_maintenances(said, _upcoming(said))


def active(said: Bulletin) -> bytes:
    return _of_maintenances(said, _active(said))


def _of_incidents(said: Bulletin, told: Iterable[PublicIncident]) -> bytes:
    wire = _Wire(said)
    return encode({"page": wire.page, "incidents": wire.incidents(told)})


def _of_maintenances(said: Bulletin, told: Iterable[PublicMaintenance]) -> bytes:
    wire = _Wire(said)
    return encode({"page": wire.page, "scheduled_maintenances": wire.maintenances(told)})


def _open(said: Bulletin) -> list[PublicIncident]:
    return [each for each in said.incidents if each.status not in OVER]


def _upcoming(said: Bulletin) -> list[PublicMaintenance]:
    return [each for each in said.maintenances if each.status == MaintenanceStatus.SCHEDULED]


def _active(said: Bulletin) -> list[PublicMaintenance]:
    return [each for each in said.maintenances if each.status in UNDER_WAY]


class _Wire:
    """A bulletin in the objects of that API."""

    def __init__(self, said: Bulletin) -> None:
        self._said = said
        # A slug such as `api` is in many installations, and who reads two of them must tell theirs apart. The
        # scheme stays out: to go to https is not to move.
        self._place = said.root.partition("://")[2]
        self._page = self._id("page", said.page.slug)
        self.components = list(self._components())
        self._by_id = {each.id: each for each in self.components}
        self.page = PageObject(
            self._page,
            said.page.name,
            said.root,
            {"UTC": "Etc/UTC"}.get(said.page.time_zone, said.page.time_zone),
            self._time(said.changed),
        )
        self.status = StatusObject(*_INDICATOR[said.status])

    def incidents(self, told: Iterable[PublicIncident]) -> list[IncidentObject]:
        return [self._incident(each) for each in told]

    def maintenances(self, told: Iterable[PublicMaintenance]) -> list[IncidentObject]:
        return [self._maintenance(each) for each in told]

    def _components(self) -> Iterator[ComponentObject]:
        place = 0
        for group in self._said.groups:
            if group.name is None:
                yield from (self._component(row, place + n, None) for n, row in enumerate(group.rows, 1))
                continue
            place += 1
            id = self._id("group", group.name)
            yield self._group(group, id, place)
            yield from (self._component(row, n, id) for n, row in enumerate(group.rows, 1))

    def _component(self, row: Row, place: int, group_id: str | None) -> ComponentObject:
        return ComponentObject(
            id=self._id("component", row.slug),
            name=row.name,
            status=_word(row.status),
            created_at=self._time(self._said.first_seen.get(row.slug, row.since)),
            updated_at=self._time(row.since),
            position=place,
            description=row.description or None,
            group_id=group_id,
            page_id=self._page,
        )

    def _group(self, group: Group, id: str, place: int) -> ComponentObject:
        first = [self._said.first_seen.get(row.slug, row.since) for row in group.rows]
        return ComponentObject(
            id=id,
            name=group.name or "",
            status=_word(group.status),
            created_at=self._time(min(first)),
            updated_at=self._time(max(row.since for row in group.rows)),
            position=place,
            page_id=self._page,
            group=True,
            components=[self._id("component", row.slug) for row in group.rows],
        )

    def _incident(self, told: PublicIncident) -> IncidentObject:
        monitoring = [each.at for each in told.updates if each.status == IncidentStatus.MONITORING]
        return IncidentObject(
            id=self._id("incident", told.id),
            name=told.title,
            status=told.status,
            created_at=self._time(told.since),
            updated_at=self._time(told.updated),
            monitoring_at=self._time(monitoring[-1]) if monitoring else None,
            resolved_at=None if told.resolved is UNSET else self._time(told.resolved),
            impact=told.impact,
            shortlink=self._said.link(told),
            started_at=self._time(told.since),
            page_id=self._page,
            incident_updates=self._updates(told, told.updates),
            components=self._affected(told),
        )

    def _maintenance(self, told: PublicMaintenance) -> IncidentObject:
        at = self._said.announced(told)
        planned = PublicUpdate(at=at, status="scheduled", words=told.words, html=told.html)
        updates = [*told.updates, planned] if told.words else told.updates
        return IncidentObject(
            id=self._id("maintenance", told.id),
            name=told.title,
            status=told.status,
            created_at=self._time(at),
            updated_at=self._time(self._said.latest(told)),
            monitoring_at=None,
            resolved_at=self._time(told.ends) if told.status == MaintenanceStatus.COMPLETED else None,
            impact="maintenance",
            shortlink=self._said.link(told),
            started_at=self._time(told.starts),
            page_id=self._page,
            incident_updates=self._updates(told, updates),
            components=self._affected(told),
            scheduled_for=self._time(told.starts),
            scheduled_until=self._time(told.ends),
        )

    def _updates(self, told: Told, updates: Sequence[PublicUpdate]) -> list[UpdateObject]:
        """Those of one millisecond and one status are counted from the oldest: a later one changes none."""
        found: list[UpdateObject] = []
        known: Counter[tuple[str, str]] = Counter()
        for each in reversed(updates):
            known[each.at, each.status] += 1
            found.append(self._update(told, each, known[each.at, each.status]))
        return found[::-1]

    def _update(self, told: Told, update: PublicUpdate, which: int) -> UpdateObject:
        at = self._time(update.at)
        return UpdateObject(
            id=self._id("update", f"{told.id} {update.at} {update.status} {which}"),
            status=update.status,
            body=update.words,
            incident_id=self._id("incident" if isinstance(told, PublicIncident) else "maintenance", told.id),
            created_at=at,
            updated_at=at,
            display_at=at,
        )

    def _affected(self, told: Told) -> list[ComponentObject]:
        ids = (self._id("component", each.slug) for each in told.components)
        return [self._by_id[id] for id in ids if id in self._by_id]

    def _id(self, kind: str, name: str) -> str:
        """Twelve letters and digits, the same for as long as the name and the address of the page are."""
        number = int.from_bytes(sha256(f"{self._place} {kind} {name}".encode()).digest())
        return "".join(_DIGITS[number // 36**n % 36] for n in range(12))

    def _time(self, at: str | datetime) -> str:
        """In the time zone of the page."""
        there = self._said.instant(at) if isinstance(at, str) else at.astimezone(self._said.where)
        text = there.isoformat(timespec="milliseconds")
        return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


def _word(status: Status) -> str:
    return Status.DEGRADED if status is Status.UNKNOWN else status
