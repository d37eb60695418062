"""What pages show of the past, read from the database once a minute at the most, however many ask.

A page must not need the database. What was read before stands while it is away, and before anything was
read there is simply no past, which a page says.
"""

import asyncio
import copy
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, Final, Self, TypeVar

import structlog
from msgspec import Struct

from app.db.engine import DatabaseDown
from app.db.history import History
from app.domain.incident import Incident
from app.domain.maintenance import Maintenance
from app.domain.uptime import Span, Uptime
from app.pages.bars import Bar, component_bar, group_bar
from app.pages.charts import Point, Stretch
from app.pages.hours import DAY, Hours, hours
from app.pages.language import Language
from app.pages.rows import Group

log = structlog.get_logger("pages")

T = TypeVar("T")

DAYS: Final = 90
KEEP: Final = timedelta(minutes=1)
AGAIN: Final = timedelta(seconds=5)  # after a failure, and while something has only begun to be watched
PATIENCE: Final = 1.0  # seconds a visitor waits for the past at the most
_EVER: Final = datetime(2000, 1, 1, tzinfo=UTC)
_AT_ONCE: Final = datetime.min.replace(tzinfo=UTC)
_KEPT: Final = 256  # things that were read: one for each component's page that somebody looks at, say


class Bars(Struct, frozen=True):
    """By slug, and by name for the groups."""

    components: Mapping[str, Bar]
    groups: Mapping[str, Bar]


class Days:
    """The days of all components, which end at `at`; drawn once for each language that asks."""

    def __init__(self, at: datetime, first: date, uptimes: Mapping[str, Sequence[Uptime]]) -> None:
        self.at = at
        self.first = first
        self.uptimes = uptimes
        self._drawn: dict[str, Bars] = {}

    def bars(self, groups: Sequence[Group], language: Language) -> Bars:
        """In a thread: a wide page takes a tenth of a second."""
        if (drawn := self._drawn.get(language.code)) is None:
            drawn = self._drawn[language.code] = _draw(self.uptimes, groups, language)
        return drawn


class Past:
    """`until` is when the first of all that was asked for is to be read again."""

    until = datetime.max.replace(tzinfo=UTC)

    def __init__(self, history: History) -> None:
        self._history = history
        self._kept: OrderedDict[object, _Kept] = OrderedDict()

    def for_one(self) -> Self:
        """The same past, with an `until` for one answer alone."""
        its = copy.copy(self)
        its.until = Past.until
        return its

    async def days(self, groups: Sequence[Group], now: datetime, zone: tzinfo) -> Days | None:
        slugs = [row.slug for group in groups for row in group.rows]

        async def read() -> Days:
            days = await self._history.days(slugs, now, DAYS, zone)
            first = next(iter(days.values()))[0].date
            return Days(now, first, {slug: [day.uptime for day in its] for slug, its in days.items()})

        def settled(days: Days) -> bool:
            return all(any(day.counted for day in its) for its in days.uptimes.values())

        if not slugs:
            return None
        return await self._get("days", now, read, settled)

    async def speed(self, slug: str, stretch: Stretch, now: datetime) -> list[Point | None] | None:
        """The points of a chart; those in which no answer was measured are None."""

        async def read() -> list[Point | None]:
            edges = stretch.edges(now)
            parts = await self._history.speed(slug, edges[0], edges[-1], stretch.points)
            return [
                None if part.median is None or part.p95 is None else Point(part.median, part.p95)
                for part in parts
            ]

        return await self._get((slug, stretch.name), now, read, any)

    async def spans(
        self, name: str, slugs: Sequence[str], start: datetime, end: datetime, now: datetime
    ) -> list[Span] | None:
        """`name` tells what is read from all else that is."""
        return await self._get((name,), now, lambda: self._history.spans_of(slugs, start, end))

    async def hours(self, slugs: Sequence[str], now: datetime) -> Hours | None:
        async def read() -> Hours:
            spans = await self._history.spans_of(slugs, now - DAY, now)
            return await asyncio.to_thread(hours, spans, now)

        # Asked for again sooner than the rest: a wall that has just loaded goes on from it.
        return await self._get("hours", now, read, lambda _: False) if slugs else hours((), now)

    async def begun(
        self, name: str, start: datetime, end: datetime, now: datetime
    ) -> list[Incident | Maintenance] | None:
        """Incidents and maintenances of that time. Asked for again sooner than the rest: what was resolved
        just now has left the head of the page."""
        return await self._get((name,), now, lambda: self._history.begun(start, end), lambda _: False)

    async def ever(self, open: Sequence[str], now: datetime) -> list[Incident | Maintenance] | None:
        """All that has begun. `open` are the ids of what is not over: as soon as they change, what was read
        is let go. Only a postmortem may be a minute late."""

        async def read() -> list[Incident | Maintenance]:
            return await self._history.begun(_EVER, now)

        return await self._get("ever", now, read, of=open)

    async def announced(self, ids: Sequence[str], now: datetime) -> dict[str, datetime] | None:
        """When each maintenance was first told of, by its id."""
        return await self._get("announced", now, lambda: self._history.announced(ids), of=ids)

    async def first_seen(self, now: datetime) -> dict[str, datetime] | None:
        """Of each component that anything was ever heard of, by slug."""
        return await self._get("first seen", now, self._history.first_seen)

    async def incident(self, id: str) -> Incident | None:
        """Not kept, or made-up ids would drive out what is. Raises DatabaseDown."""
        self.until = _AT_ONCE
        return await _soon(self._history.incident(id))

    async def maintenance(self, id: str) -> Maintenance | None:
        self.until = _AT_ONCE
        return await _soon(self._history.maintenance(id))

    async def _get(
        self,
        key: object,
        now: datetime,
        read: Callable[[], Awaitable[T]],
        settled: Callable[[T], bool] = lambda _: True,
        of: object = None,
    ) -> T | None:
        """None if the database has not yet answered. What was read `of` something else is let go."""
        kept = self._kept.get(key)
        if kept is None or kept.of != of:
            kept = self._kept[key] = _Kept(of)
        self._kept.move_to_end(key)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        if kept.is_due(now) or kept.reading.locked():
            async with kept.reading:
                if kept.is_due(now):
                    await kept.read(now, read, settled)
        self.until = min(self.until, kept.next or _AT_ONCE)
        value: T | None = kept.value
        return value


class _Kept:
    """One thing that was read, and when it is to be read again."""

    def __init__(self, of: object) -> None:
        self.of = of
        self.value: Any = None
        self.next: datetime | None = None
        self.reading = asyncio.Lock()

    def is_due(self, now: datetime) -> bool:
        """Also before it was read: a clock that was set back would keep it for as long as it was set back."""
        return self.next is None or not self.next - KEEP <= now < self.next

    async def read(
        self, now: datetime, read: Callable[[], Awaitable[T]], settled: Callable[[T], bool]
    ) -> None:
        self.next = now + AGAIN
        try:
            async with asyncio.timeout(PATIENCE):
                self.value = value = await read()
        except (DatabaseDown, TimeoutError) as error:
            log.warning("the page cannot read the past", problem=str(error) or "the database is slow")
            return
        if settled(value):
            self.next = now + KEEP


async def _soon(asked: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(PATIENCE):
            return await asked
    except TimeoutError:
        raise DatabaseDown("The database is slow.", "is slow") from None


def _draw(uptimes: Mapping[str, Sequence[Uptime]], groups: Sequence[Group], language: Language) -> Bars:
    names = {row.slug: row.name for group in groups for row in group.rows}
    components = {
        slug: component_bar(names[slug], days, language) for slug, days in uptimes.items() if slug in names
    }
    of_groups = {
        group.name: group_bar(group, uptimes, language) for group in groups if group.name is not None
    }
    return Bars(components, {name: bar for name, bar in of_groups.items() if bar is not None})
