"""The six words a viewer reads, which of them is worse, and the one sentence that sums up a page: its
components and its open incidents, whichever are worse.

The words are Atlassian Statuspage's, so that tools which read that page read ours; `unknown` is our own:
what we have not seen is never called operational.
"""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct


class Status(StrEnum):
    """From the best to the worst."""

    OPERATIONAL = "operational"
    MAINTENANCE = "under_maintenance"
    UNKNOWN = "unknown"
    DEGRADED = "degraded_performance"
    PARTIAL = "partial_outage"
    MAJOR = "major_outage"


# Maintenance is below every problem: planned work must not hide an outage beside it.
SEVERITY = {status: rank for rank, status in enumerate(Status)}

# Something that is meant to be there is not, for some or for all.
OUT = frozenset({Status.PARTIAL, Status.MAJOR})


class Overall(Struct, frozen=True):
    """The head of a page: `indicator` for programs, `description` for people, `status` for its colour and
    shape."""

    indicator: str
    description: str
    status: Status


_INDICATOR = {
    Status.OPERATIONAL: "none",
    Status.MAINTENANCE: "none",
    Status.UNKNOWN: "minor",
    Status.DEGRADED: "minor",
    Status.PARTIAL: "major",
    Status.MAJOR: "critical",
}

_SENTENCE = {
    Status.MAINTENANCE: "Maintenance",
    Status.UNKNOWN: "State unknown",
    Status.DEGRADED: "Degraded performance",
    Status.PARTIAL: "Partial outage",
    Status.MAJOR: "Major outage",
}


# How bad it is for a page that an incident of this impact is open.
FELT = {
    "none": Status.OPERATIONAL,
    "minor": Status.DEGRADED,
    "major": Status.PARTIAL,
    "critical": Status.MAJOR,
}


def worst(statuses: Iterable[Status]) -> Status:
    """An empty page has seen nothing, so it is unknown and not operational."""
    return max(statuses, key=SEVERITY.__getitem__, default=Status.UNKNOWN)


def weigh(components: Status | None, impacts: Iterable[str]) -> tuple[Status, bool]:
    """How a page stands, and whether its open incidents say so rather than its components: if one is worse
    than all of these, and if these have nothing to say. `components` is their worst; None if there are
    none."""
    stands = Status.UNKNOWN if components is None else components
    felt = [FELT[impact] for impact in impacts]
    status = worst([stands, *felt])
    return status, bool(felt) and (status is not stands or components in (None, Status.OPERATIONAL))


class Tally:
    """The statuses of some components, counted, so that the sentence about all of them costs the same
    however many they are; and the open incidents beside them."""

    def __init__(
        self, components: Iterable[tuple[str, str, Status]], empty: str = "Nothing is watched yet"
    ) -> None:
        """(slug, name, status) in the order in which they are to be named. `empty` is the sentence if there
        are none."""
        self._empty = empty
        self._names: dict[str, tuple[int, str]] = {}
        self._slugs: dict[Status, set[str]] = {status: set() for status in Status}
        self._status: dict[str, Status] = {}
        self._incidents: dict[str, tuple[str, str]] = {}
        for place, (slug, name, status) in enumerate(components):
            self._names[slug] = place, name
            self._status[slug] = status
            self._slugs[status].add(slug)

    def move(self, slug: str, status: Status) -> None:
        """One that is not counted here is passed over."""
        if (before := self._status.get(slug)) is not None:
            self._slugs[before].discard(slug)
            self._slugs[status].add(slug)
            self._status[slug] = status

    def tell(self, id: str, title: str, impact: str) -> None:
        """An incident is open."""
        self._incidents[id] = title, impact

    def forget(self, id: str) -> None:
        self._incidents.pop(id, None)

    def overall(self) -> Overall:
        components = worst(status for status, slugs in self._slugs.items() if slugs) if self._names else None
        status, by_incidents = weigh(components, (impact for _, impact in self._incidents.values()))
        return Overall(_INDICATOR[status], self._say(status, by_incidents), status)

    def _say(self, status: Status, by_incidents: bool) -> str:
        if by_incidents:
            titles = [title for title, _ in self._incidents.values()]
            return f"Open incident: {titles[0]}" if len(titles) == 1 else f"{len(titles)} open incidents"
        if not self._names:
            return self._empty
        if status is Status.OPERATIONAL:
            return "All systems operational"
        return f"{_SENTENCE[status]}: {self._spell(self._slugs[status])}"

    def _spell(self, slugs: set[str]) -> str:
        """One or two names are spelled out, more are counted."""
        if len(slugs) <= 2:
            return " and ".join(name for _, name in sorted(self._names[slug] for slug in slugs))
        return (
            f"all {len(slugs)} components" if len(slugs) == len(self._names) else f"{len(slugs)} components"
        )


def overall(components: Iterable[tuple[str, Status]]) -> Overall:
    """Sum up (name, status) pairs."""
    return Tally((str(n), name, status) for n, (name, status) in enumerate(components)).overall()
