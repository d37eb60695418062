"""What a screen shows of the board: a row for each component, in groups. Pages and templates see nothing
else of it, so what is not in a Row is on no page.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256

import msgspec
from msgspec import Struct

from app.domain.audience import Audience, spell, visible
from app.domain.board import Board
from app.domain.monitor import Page
from app.domain.pages import MAIN, NOTHING
from app.domain.status import FELT, SEVERITY, Status, weigh, worst
from app.pages.stories import Story, stories

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


class Row(Struct, frozen=True, kw_only=True):
    slug: str
    name: str
    description: str = ""
    group: str | None
    status: Status
    since: datetime
    latency: float | None
    note: str = ""  # what is to be said beside the status
    acknowledged: str = ""  # who is on it: the end of the note


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
    def problems(self) -> int:
        return sum(SEVERITY[row.status] > SEVERITY[Status.MAINTENANCE] for row in self.rows)


class Seen(Struct, frozen=True, kw_only=True):
    """All that a screen shows of a board, taken in one instant. `mark` is equal where all of it is, on
    whichever server."""

    page: Page
    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    stories: tuple[Story, ...]
    mark: bytes


class Sight:
    """What is to be seen, looked at once for all who ask. To look at ten thousand components for each visitor
    held up the frames of all viewers for a tenth of a second.

    Without `speed` a measurement is no change, and its rows may hold an old one: they come each second.
    """

    def __init__(self, *, speed: bool, page: str = MAIN) -> None:
        self._speed = speed
        self._audience = Audience(page=page)
        self._board: Board | None = None
        self._id = ""
        self._states: list[object] = []
        self._seen: Seen | None = None

    def of(self, board: Board) -> Seen:
        if self._seen is not None and board is self._board and board.id == self._id:
            return self._seen
        at = board.page(self._audience.page) or NOTHING
        told = board.operations
        states: list[object] = [at.page, at.groups]
        states += (*told.incidents.values(), *told.maintenances.values())
        for component, shown in visible(board, self._audience):
            # The component itself: the next catalog has new ones, whether they have changed or not.
            speed = shown.latency if self._speed else None
            states += (component, shown.status, shown.since, shown.note, speed)
        if self._seen is None or not _same(states, self._states):
            self._seen = _see(board, self._audience.at(board), self._speed)
        self._board, self._id, self._states = board, board.id, states
        return self._seen


def _same(states: Sequence[object], others: Sequence[object]) -> bool:
    """Mostly they are the same objects, and to compare components field by field would take too long."""
    return len(states) == len(others) and all(
        one is other or (not isinstance(one, Struct) and one == other)
        for one, other in zip(states, others, strict=True)
    )


def _see(board: Board, audience: Audience, speed: bool) -> Seen:
    rows = tuple(
        Row(
            slug=component.slug,
            name=component.name,
            description=component.description,
            group=component.group,
            status=shown.status,
            since=shown.since,
            latency=shown.latency,
            note=spell(shown.note, audience),
            acknowledged=shown.note.acknowledged,
        )
        for component, shown in visible(board, audience)
    )
    at = board.page(audience.page) or NOTHING
    shown = (
        rows
        if speed
        else [
            (row.group, row.slug, row.name, row.description, row.status, row.since, row.note) for row in rows
        ]
    )
    told = stories(board, audience)
    mark = sha256(msgspec.msgpack.encode((at.page, at.groups, shown, told))).digest()
    groups = _grouped(at.groups, rows)
    return Seen(page=at.page, rows=rows, groups=groups, stories=told, mark=mark)


def _grouped(names: Iterable[str], rows: Iterable[Row]) -> tuple[Group, ...]:
    """In the order of the page; those without a group come last."""
    members: dict[str | None, list[Row]] = {name: [] for name in names}
    ungrouped: list[Row] = []
    for row in rows:
        if row.group is None:
            ungrouped.append(row)
        else:
            members.setdefault(row.group, []).append(row)
    members[None] = ungrouped
    return tuple(Group(name=name, rows=tuple(its)) for name, its in members.items() if its)


def weighed(rows: Sequence[Row], told: Iterable[Story]) -> tuple[Status, tuple[Story, ...]]:
    """How a page stands, and the open incidents if they say so rather than its rows."""
    incidents = tuple(each for each in told if each.kind == "incident")
    components = worst(row.status for row in rows) if rows else None
    status, by_incidents = weigh(components, (each.impact for each in incidents))
    return status, incidents if by_incidents else ()


def began(rows: Sequence[Row], told: Iterable[Story] = ()) -> datetime | None:
    """Since when the page has been as bad as it is. None if nothing is wrong."""
    status, incidents = weighed(rows, told)
    if SEVERITY[status] <= SEVERITY[Status.MAINTENANCE]:
        return None
    since = [row.since for row in rows if row.status is status]
    since += (each.starts for each in incidents if FELT[each.impact] is status)
    return min(since, default=None)
