"""The past ninety days of every component, as the page draws them: read from the database once a minute at
the most, however many ask.

A page must not need the database. What was read before stands while it is away, and before anything was
read there is simply no past.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, tzinfo

import structlog
from msgspec import Struct

from app.db.engine import DatabaseDown
from app.db.history import History
from app.domain.uptime import Uptime
from app.pages.bars import Bar, component_bar, group_bar
from app.pages.rows import Group

log = structlog.get_logger("pages")

DAYS = 90
KEEP = timedelta(minutes=1)
AGAIN = timedelta(seconds=5)  # after a failure, and while something has only begun to be watched
PATIENCE = 1.0  # seconds a visitor waits for bars at the most


class Drawn(Struct, frozen=True):
    """Bars by slug, and by name for the groups. `at` is when their days end."""

    at: datetime
    first: date
    components: Mapping[str, Bar]
    groups: Mapping[str, Bar]


class Past:
    def __init__(self, history: History) -> None:
        self._history = history
        self._drawn: Drawn | None = None
        self._next: datetime | None = None
        self._reading = asyncio.Lock()

    async def bars(self, groups: Sequence[Group], now: datetime, zone: tzinfo) -> Drawn | None:
        """None if the database has not yet answered."""
        async with self._reading:
            if self._next is None or now >= self._next:
                await self._read(groups, now, zone)
        return self._drawn

    async def _read(self, groups: Sequence[Group], now: datetime, zone: tzinfo) -> None:
        names = {row.slug: row.name for group in groups for row in group.rows}
        self._next = now + AGAIN
        try:
            async with asyncio.timeout(PATIENCE):
                days = await self._history.days(list(names), now, DAYS, zone)
        except (DatabaseDown, TimeoutError) as error:
            log.warning("the page has no bars", problem=str(error) or "the database is slow")
            return
        if not names:
            return
        first = next(iter(days.values()))[0].date
        uptimes = {slug: [day.uptime for day in its] for slug, its in days.items()}
        # In a thread, for a wide page takes a tenth of a second, and the event loop has frames to push.
        self._drawn = await asyncio.to_thread(_draw, now, first, names, uptimes, groups)
        if all(any(day.counted for day in its) for its in uptimes.values()):
            self._next = now + KEEP


def _draw(
    now: datetime,
    first: date,
    names: Mapping[str, str],
    uptimes: Mapping[str, Sequence[Uptime]],
    groups: Sequence[Group],
) -> Drawn:
    components = {slug: component_bar(names[slug], days) for slug, days in uptimes.items()}
    of_groups = {group.name: group_bar(group, uptimes) for group in groups if group.name is not None}
    return Drawn(now, first, components, {name: bar for name, bar in of_groups.items() if bar is not None})
