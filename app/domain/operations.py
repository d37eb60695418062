"""What operators have said, as the board keeps it: open incidents, planned work, statuses set by hand and who
is on what.

A status by hand counts before that of an open incident, that before maintenance, and all of them before what
probes found: who looks knows more than a probe. Only where an incident gives a component no status of its
own do the probes go on speaking.
"""

from collections.abc import Iterable
from typing import Generic, TypeVar

from msgspec import Struct

from app.domain.events import (
    Acknowledgement,
    IncidentChange,
    MaintenanceChange,
    Operation,
    Override,
)
from app.domain.incident import Incident
from app.domain.maintenance import UNDER_WAY, Maintenance
from app.domain.status import Status, worst

T = TypeVar("T", Incident, Maintenance)
E = TypeVar("E")


class Story(Struct, Generic[T], frozen=True):
    """An incident or a maintenance that became another. `became` is None if it was taken back, `was` if it
    was not on the board before."""

    became: T | None
    was: T | None

    @property
    def is_news(self) -> bool:
        """False for what was said before, and for the end of what nobody saw."""
        return self.became != self.was


class Taken(Struct, frozen=True, kw_only=True):
    """What an event has touched: the slugs of components, and the stories that it tells."""

    slugs: set[str]
    incidents: tuple[Story[Incident], ...] = ()
    maintenances: tuple[Story[Maintenance], ...] = ()


class Operations:
    def __init__(self) -> None:
        self.incidents: dict[str, Incident] = {}
        self.maintenances: dict[str, Maintenance] = {}
        self.overrides: dict[str, Override] = {}
        self.acknowledgements: dict[str, Acknowledgement] = {}

    def take(self, event: Operation) -> "Taken":
        match event:
            case IncidentChange(incident=incident):
                story = Story(None if event.removed else incident, self.incidents.get(incident.id))
                _keep(self.incidents, incident.id, None if ends(event) else incident)
                told = (story.was, incident)
                slugs = {each.slug for one in told if one is not None for each in one.components}
                return Taken(slugs=slugs, incidents=(story,) if story.is_news else ())
            case MaintenanceChange(maintenance=work):
                tale = Story(None if event.removed else work, self.maintenances.get(work.id))
                _keep(self.maintenances, work.id, None if ends(event) else work)
                touched = {slug for one in (tale.was, work) if one is not None for slug in one.components}
                return Taken(slugs=touched, maintenances=(tale,) if tale.is_news else ())
            case Override():
                _keep(self.overrides, event.component, None if ends(event) else event)
            case Acknowledgement():
                _keep(self.acknowledgements, event.component, None if ends(event) else event)
        return Taken(slugs={event.component})

    def said(self) -> dict[str, Operation]:
        """All that is on the board, by the key of each, as the events that would say it."""
        events: list[Operation] = [
            *(IncidentChange(at=each.updated, incident=each) for each in self.incidents.values()),
            *(MaintenanceChange(at=each.starts, maintenance=each) for each in self.maintenances.values()),
            *self.overrides.values(),
            *self.acknowledgements.values(),
        ]
        return {key_of(event): event for event in events}

    def status(self, slug: str) -> tuple[Status, str] | None:
        """What a component is whatever its probes say, and why. None if these have the word."""
        if (override := self.overrides.get(slug)) is not None and override.status is not None:
            return override.status, "by hand"
        told = [status for incident in self.incidents.values() for status in _told(incident, slug)]
        if told:
            return worst(told), "incident"
        if any(slug in each.components for each in self._under_way()):
            return Status.MAINTENANCE, "maintenance"
        return None

    def is_by_hand(self, slug: str) -> bool:
        return slug in self.overrides

    def note(self, slug: str) -> str:
        """What was said when it was set by hand."""
        return override.note if (override := self.overrides.get(slug)) is not None else ""

    def acknowledgement(self, slug: str) -> str:
        """Who is on it or on an incident that is about it, in their words; empty if nobody is."""
        if (found := self.acknowledgements.get(slug)) is not None:
            return found.words
        said = (
            one.acknowledged
            for one in self.incidents.values()
            if any(slug == its.slug for its in one.components)
        )
        return next(filter(None, said), "")

    def _under_way(self) -> Iterable[Maintenance]:
        return (each for each in self.maintenances.values() if each.status in UNDER_WAY)


def key_of(event: Operation) -> str:
    """Of the events with one key, the last one says all."""
    match event:
        case IncidentChange(incident=incident):
            return f"incident/{incident.id}"
        case MaintenanceChange(maintenance=maintenance):
            return f"maintenance/{maintenance.id}"
        case Override():
            return f"override/{event.component}"
        case Acknowledgement():
            return f"acknowledgement/{event.component}"


def ends(event: Operation) -> bool:
    """True if nothing of it is left on the board."""
    match event:
        case IncidentChange():
            return event.removed or not event.incident.is_open
        case MaintenanceChange():
            return event.removed or event.maintenance.is_over
        case Override():
            return event.status is None
        case Acknowledgement():
            return not event.words


def _told(incident: Incident, slug: str) -> Iterable[Status]:
    return (each.status for each in incident.components if each.slug == slug and each.status is not None)


def _keep(held: dict[str, E], key: str, value: E | None) -> None:
    if value is None:
        held.pop(key, None)
    else:
        held[key] = value
