"""What a screen shows of the board: a row for each component, in groups. Pages and templates see nothing
else of it, so what is not in a Row is on no page.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct

from app.domain.audience import PUBLIC, visible
from app.domain.board import Board
from app.domain.status import SEVERITY, Status, worst

WORD = {
    Status.OPERATIONAL: "Operational",
    Status.DEGRADED: "Degraded",
    Status.PARTIAL: "Partial outage",
    Status.MAJOR: "Major outage",
    Status.MAINTENANCE: "Maintenance",
    Status.UNKNOWN: "No data",
}

# What the title of a browser tab begins with: a tab has room for little more.
SIGN = {
    Status.OPERATIONAL: "✓",
    Status.DEGRADED: "▲",
    Status.PARTIAL: "◆",
    Status.MAJOR: "✕",
    Status.MAINTENANCE: "▣",
    Status.UNKNOWN: "?",
}
STALE_SIGN = "◷"

# What Hub.feed_state means to people; live.js says the same.
WHY_STALE = {"stale": "no word from the probes", "down": "the server has lost its feed"}


class Row(Struct, frozen=True, kw_only=True):
    slug: str
    name: str
    group: str | None
    status: Status
    since: datetime
    latency: float | None


class Group(Struct, frozen=True, kw_only=True):
    """`name` is None for the components that belong to no group."""

    name: str | None
    rows: tuple[Row, ...]

    @property
    def status(self) -> Status:
        return worst(row.status for row in self.rows)

    @property
    def open(self) -> bool:
        """Whether something in it is worth a look."""
        return SEVERITY[self.status] > SEVERITY[Status.MAINTENANCE]

    @property
    def summary(self) -> str:
        return count(self.rows) if self.open and len(self.rows) > 1 else WORD[self.status]

    @property
    def problems(self) -> int:
        return sum(SEVERITY[row.status] > SEVERITY[Status.MAINTENANCE] for row in self.rows)


def rows(board: Board) -> tuple[Row, ...]:
    return tuple(
        Row(
            slug=component.slug,
            name=component.name,
            group=component.group,
            status=shown.status,
            since=shown.since,
            latency=shown.latency,
        )
        for component, shown in visible(board, PUBLIC)
    )


def groups(board: Board) -> tuple[Group, ...]:
    """In the order of the catalog; those without a group come last."""
    members: dict[str | None, list[Row]] = {name: [] for name in board.catalog.groups}
    ungrouped: list[Row] = []
    for row in rows(board):
        if row.group is None:
            ungrouped.append(row)
        else:
            members.setdefault(row.group, []).append(row)
    members[None] = ungrouped
    return tuple(Group(name=name, rows=tuple(its)) for name, its in members.items() if its)


def count(rows: Sequence[Row]) -> str:
    """`2 of 5 affected`: how many, and by the worst of what ails them."""
    affected = _number(rows, Status.DEGRADED, Status.PARTIAL, Status.MAJOR)
    unknown = _number(rows, Status.UNKNOWN)
    if affected:
        return f"{affected} of {len(rows)} affected"
    if unknown:
        return f"{unknown} of {len(rows)} unknown"
    return f"{_number(rows, Status.MAINTENANCE)} of {len(rows)} in maintenance"


def tally(rows: Sequence[Row]) -> str:
    """The line below the sentence that sums up the page."""
    if not rows:
        return "No component has been added"
    components = "component" if len(rows) == 1 else "components"
    if worst(row.status for row in rows) is Status.OPERATIONAL:
        return f"All {len(rows)} components work" if len(rows) > 1 else "The one component works"
    return count(rows).replace(f"of {len(rows)}", f"of {len(rows)} {components}")


def began(rows: Iterable[Row]) -> datetime | None:
    """Since when the page has been as bad as it is. None if nothing is wrong."""
    bad = [row for row in rows if SEVERITY[row.status] > SEVERITY[Status.MAINTENANCE]]
    status = worst(row.status for row in bad)
    return min((row.since for row in bad if row.status is status), default=None)


def _number(rows: Iterable[Row], *statuses: Status) -> int:
    return sum(row.status in statuses for row in rows)
