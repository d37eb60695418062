"""The six words a viewer reads, which of them is worse, and the one sentence that sums up a page.

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


def worst(statuses: Iterable[Status]) -> Status:
    """An empty page has seen nothing, so it is unknown and not operational."""
    return max(statuses, key=SEVERITY.__getitem__, default=Status.UNKNOWN)


class Tally:
    """The statuses of some components, counted, so that the sentence about all of them costs the same
    however many they are."""

    def __init__(
        self, components: Iterable[tuple[str, str, Status]], empty: str = "Nothing is watched yet"
    ) -> None:
        """(slug, name, status) in the order in which they are to be named. `empty` is the sentence if there
        are none."""
        self._empty = empty
        self._names: dict[str, tuple[int, str]] = {}
        self._slugs: dict[Status, set[str]] = {status: set() for status in Status}
        self._status: dict[str, Status] = {}
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

    def overall(self) -> Overall:
        if not self._names:
            return Overall(_INDICATOR[Status.UNKNOWN], self._empty, Status.UNKNOWN)
        status = worst(status for status, slugs in self._slugs.items() if slugs)
        if status is Status.OPERATIONAL:
            return Overall(_INDICATOR[status], "All systems operational", status)
        return Overall(_INDICATOR[status], f"{_SENTENCE[status]}: {self._spell(self._slugs[status])}", status)

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
