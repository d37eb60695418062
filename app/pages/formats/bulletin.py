"""What one page says to programs, taken in one instant: each format is made of this and of nothing else, so
what is on no page is in no format either.

A program cannot see that a page has turned grey. While nothing is heard, a bulletin says of every component
that it is unknown.
"""

import asyncio
from collections.abc import Callable, Container, Iterable, Sequence
from datetime import datetime
from typing import Final, TypeAlias, TypeVar
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from app.config import Config
from app.domain.audience import Audience, show_incident, show_maintenance
from app.domain.board import Board
from app.domain.events import order
from app.domain.incident import Incident
from app.domain.instant import from_ms, rfc3339
from app.domain.maintenance import Maintenance, MaintenanceStatus
from app.domain.monitor import Page
from app.domain.pages import MAIN
from app.domain.status import Status
from app.domain.told import PublicIncident, PublicMaintenance
from app.live.hub import Hub
from app.pages.drawing import zone
from app.pages.front import Front
from app.pages.language import DEFAULT, Language, languages
from app.pages.rows import Group, Row, Seen, weighed
from app.pages.stale import WHY

MOST: Final = 50  # of what is over, as Statuspage has it

Told: TypeAlias = PublicIncident | PublicMaintenance
Kept = TypeVar("Kept", Incident, Maintenance)
Shown = TypeVar("Shown", PublicIncident, PublicMaintenance)


class Bulletin(Struct, frozen=True, kw_only=True):
    """`root` is the address of the page, without a slash at its end. The newest incident comes first, and of
    the maintenances the one that starts last: all that go on, and the newest of those that are over.
    `first_seen` knows no component that nothing was ever heard of, `first_told` has the planned work. The
    server has `heard` all until then. Without the database it is not `whole`: what is over is missing."""

    page: Page
    root: str
    status: Status
    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    incidents: Sequence[PublicIncident]
    maintenances: Sequence[PublicMaintenance]
    first_seen: dict[str, datetime]
    first_told: dict[str, datetime]
    heard: datetime
    whole: bool

    @property
    def where(self) -> ZoneInfo:
        return zone(self.page.time_zone)

    @property
    def language(self) -> Language:
        known = languages()
        return known.get(self.page.language, known[DEFAULT])

    @property
    def changed(self) -> datetime:
        """When anything on it did so last."""
        told: list[Told] = [*self.incidents, *self.maintenances]
        changes = [*(row.since for row in self.rows), *(self.instant(self.latest(each)) for each in told)]
        return max((at for at in changes if at <= self.heard), default=self.heard)

    def announced(self, told: Told) -> str:
        """When it began, or was planned: most readers hide what bears a date that is still to come. Only if
        the database has not said when, the begin of planned work stands for it."""
        if isinstance(told, PublicIncident):
            return told.since
        at = self.first_told.get(told.id)
        return told.starts if at is None else rfc3339(at)

    def latest(self, told: Told) -> str:
        """When something was last said of it, or it went on by itself."""
        if isinstance(told, PublicIncident):
            return told.updated
        begun = told.status != MaintenanceStatus.SCHEDULED
        moments = [self.announced(told), *(each.at for each in told.updates[:1])]
        moments += [told.starts] * begun + [told.ends] * (told.status == MaintenanceStatus.COMPLETED)
        return max(moments)

    def link(self, told: Told) -> str:
        kind = "incidents" if isinstance(told, PublicIncident) else "maintenances"
        return f"{self.root}/{kind}/{told.id}"

    def instant(self, at: str) -> datetime:
        """As the clocks of the page show it."""
        return datetime.fromisoformat(at).astimezone(self.where)


class _Parts(Struct, frozen=True):
    """`begun` is None if the database was never read."""

    seen: Seen
    feed: str
    begun: Sequence[Incident | Maintenance] | None
    first_seen: dict[str, datetime] | None
    first_told: dict[str, datetime] | None


def _same(some: _Parts, others: _Parts) -> bool:
    """What is read anew, which it is every few seconds, is mostly as it was; what is seen anew is not."""
    return (
        some.seen is others.seen
        and some.feed == others.feed
        and some.first_seen == others.first_seen
        and some.first_told == others.first_told
        and some.begun == others.begun
    )


class Bulletins:
    """The last one of each page, for as long as nothing in it has changed."""

    def __init__(self, hub: Hub, config: Config) -> None:
        self._hub = hub
        self._config = config
        self._made: dict[str, tuple[_Parts, Bulletin]] = {}

    async def of(self, front: Front) -> Bulletin:
        told, now = self._hub.board.operations, self._hub.now()
        # Read anew as soon as something is over: else it would be open for some seconds more.
        begun = await front.past.ever([*sorted(told.incidents), *sorted(told.maintenances)], now)
        works = {each.id for each in begun or () if isinstance(each, Maintenance)} | set(told.maintenances)
        first_told, first_seen = await asyncio.gather(
            front.past.announced(sorted(works), now), front.past.first_seen(now)
        )
        # From here on nothing awaits, so all of it is of one instant.
        parts = _Parts(front.views.seen(), self._hub.feed_state, begun, first_seen, first_told)
        slug = parts.seen.page.slug
        before, made = self._made.get(slug, (None, None))
        if made is None or before is None or not _same(parts, before):
            made = self._make(parts)
            self._made = {slug: its for slug, its in self._made.items() if self._hub.board.page(slug)}
        # Also if it is the same: the next who asks compares with these very objects, which takes no time.
        self._made[slug] = parts, made
        return made

    def _make(self, parts: _Parts) -> Bulletin:
        seen, board, why = parts.seen, self._hub.board, WHY.get(parts.feed)
        incidents, maintenances = _told(parts.begun or (), board, Audience(page=seen.page.slug))
        rows = seen.rows if why is None else tuple(_unknown(row) for row in seen.rows)
        return Bulletin(
            page=seen.page,
            root=_root(seen.page, board.catalog.page, self._config),
            status=weighed(rows, seen.stories)[0] if why is None else Status.UNKNOWN,
            rows=rows,
            groups=seen.groups if why is None else tuple(_blind(group) for group in seen.groups),
            incidents=incidents,
            maintenances=maintenances,
            first_seen=parts.first_seen or {},
            first_told=parts.first_told or {},
            heard=from_ms(order(board.id)[0]),
            whole=parts.begun is not None,
        )


def _told(
    begun: Sequence[Incident | Maintenance], board: Board, audience: Audience
) -> tuple[list[PublicIncident], list[PublicMaintenance]]:
    """What is on the board is newer than what was read."""
    audience = audience.at(board)
    told = board.operations
    problems = {each.id: each for each in begun if isinstance(each, Incident)} | told.incidents
    works = {each.id: each for each in begun if isinstance(each, Maintenance)} | told.maintenances
    newest = sorted(problems.values(), key=lambda each: (each.since, each.id), reverse=True)
    latest = sorted(works.values(), key=lambda each: (each.starts, each.id), reverse=True)
    return (
        _shown(newest, told.incidents, lambda each: show_incident(each, audience)),
        _shown(latest, told.maintenances, lambda each: show_maintenance(each, audience)),
    )


def _shown(
    newest: Iterable[Kept], going_on: Container[str], show: Callable[[Kept], Shown | None]
) -> list[Shown]:
    found: list[Shown] = []
    over = 0
    for each in newest:
        goes_on = each.id in going_on
        if (goes_on or over < MOST) and (shown := show(each)) is not None:
            found.append(shown)
            over += not goes_on
    return found


def _unknown(row: Row) -> Row:
    return replace(row, status=Status.UNKNOWN)


def _blind(group: Group) -> Group:
    return replace(group, rows=tuple(_unknown(row) for row in group.rows))


def _root(page: Page, main: Page, config: Config) -> str:
    if page.url is not None:
        return page.url.rstrip("/")
    root = (main.url or config.url).rstrip("/")
    return root if page.slug == MAIN else f"{root}/p/{page.slug}"
