"""The six words a viewer reads, which of them is worse, and the one sentence that sums up a page.

The words are Atlassian Statuspage's, so that tools which read that page read ours; `unknown` is our own:
what we have not seen is never called operational.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from msgspec import Struct


class Status(StrEnum):
    OPERATIONAL = "operational"
    MAINTENANCE = "under_maintenance"
    UNKNOWN = "unknown"
    DEGRADED = "degraded_performance"
    PARTIAL = "partial_outage"
    MAJOR = "major_outage"


# Maintenance is below every problem: planned work must not hide an outage beside it.
SEVERITY = {status: rank for rank, status in enumerate(Status)}


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


def overall(components: Iterable[tuple[str, Status]]) -> Overall:
    """Sum up (name, status) pairs. One or two names are spelled out, more are counted."""
    named = list(components)
    status = worst(status for _, status in named)
    if not named:
        description = "Nothing is watched yet"
    elif status is Status.OPERATIONAL:
        description = "All systems operational"
    else:
        names = [name for name, its in named if its is status]
        description = f"{_SENTENCE[status]}: {_spell(names, len(named))}"
    return Overall(_INDICATOR[status], description, status)


def _spell(names: Sequence[str], of: int) -> str:
    if len(names) <= 2:
        return " and ".join(names)
    return f"all {of} components" if len(names) == of else f"{len(names)} components"
