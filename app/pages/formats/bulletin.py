"""What one page says to programs, taken in one instant: each format is made of this and of nothing else, so
what is on no page is in no format either.

A program cannot see that a page has turned grey. While nothing is heard, a bulletin says of every component
that it is unknown.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from app.config import Config
from app.domain.audience import Audience, show_incident, show_maintenance
from app.domain.board import Board
from app.domain.events import order
from app.domain.incident import Incident
from app.domain.instant import from_ms
from app.domain.maintenance import Maintenance
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

_EVER: Final = datetime(2000, 1, 1, tzinfo=UTC)

Told: TypeAlias = PublicIncident | PublicMaintenance


class Bulletin(Struct, frozen=True, kw_only=True):
    """`root` is the address of the page, without a slash at its end. The newest incident comes first, and of
    the maintenances the one that starts last. `first_seen` knows no component that nothing was ever heard
    of. Without the database it is not `whole`: what is over is missing."""

    page: Page
    root: str
    status: Status
    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    incidents: Sequence[PublicIncident]
    maintenances: Sequence[PublicMaintenance]
    first_seen: dict[str, datetime]
    changed: datetime
    whole: bool

    @property
    def where(self) -> ZoneInfo:
        return zone(self.page.time_zone)

    @property
    def language(self) -> Language:
        known = languages()
        return known.get(self.page.language, known[DEFAULT])

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


def _same(some: _Parts, others: _Parts) -> bool:
    """The same objects: what is read or seen anew is another one."""
    return (
        some.feed == others.feed
        and some.seen is others.seen
        and some.begun is others.begun
        and some.first_seen is others.first_seen
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
        name = " ".join(["all besides", *sorted(told.incidents), *sorted(told.maintenances)])
        begun = await front.past.begun(name, _EVER, now, now)
        first_seen = await front.past.first_seen(now)
        # From here on nothing awaits, so all of it is of one instant.
        parts = _Parts(front.views.seen(), self._hub.feed_state, begun, first_seen)
        slug = parts.seen.page.slug
        before, made = self._made.get(slug, (None, None))
        if made is None or before is None or not _same(parts, before):
            made = self._make(parts)
            self._made = {slug: its for slug, its in self._made.items() if self._hub.board.page(slug)}
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
            whole=parts.begun is not None,
            changed=_newest(rows, (*incidents, *maintenances), from_ms(order(board.id)[0])),
        )


def changed(told: Told) -> str:
    """When something was last said of it. Of a maintenance of which nothing was said yet, its begin."""
    if isinstance(told, PublicIncident):
        return told.updated
    return told.updates[0].at if told.updates else told.starts


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
    shown = [show_incident(each, audience) for each in newest]
    planned = [show_maintenance(each, audience) for each in latest]
    return [each for each in shown if each is not None], [each for each in planned if each is not None]


def _newest(rows: Sequence[Row], told: Sequence[Told], otherwise: datetime) -> datetime:
    changes = [row.since for row in rows]
    changes += (datetime.fromisoformat(changed(each)) for each in told)
    return max((at for at in changes if at <= otherwise), default=otherwise)


def _unknown(row: Row) -> Row:
    return replace(row, status=Status.UNKNOWN)


def _blind(group: Group) -> Group:
    return replace(group, rows=tuple(_unknown(row) for row in group.rows))


def _root(page: Page, main: Page, config: Config) -> str:
    if page.url is not None:
        return page.url.rstrip("/")
    root = (main.url or config.url).rstrip("/")
    return root if page.slug == MAIN else f"{root}/p/{page.slug}"
