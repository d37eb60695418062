"""What was: patches, spans, uptime and latency, read back as domain structs.

Uptime is the domain's arithmetic; here spans only find their way to it. What no span covers is unknown.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, tzinfo
from itertools import pairwise
from operator import itemgetter
from typing import Final

import msgspec
from msgspec import Struct

from app.db import latency
from app.db.catalog import read_cursor, read_past_changed, read_whole_since
from app.db.engine import Database, Transaction
from app.db.incidents import read_incident, read_incidents_begun
from app.db.maintenances import find_maintenance, read_maintenances_begun
from app.db.measured import Remembered
from app.domain.board import Patch
from app.domain.days import Day, Stretch, days_of, edges_of
from app.domain.events import order
from app.domain.histogram import Histogram
from app.domain.incident import Incident
from app.domain.instant import from_ms, to_ms
from app.domain.maintenance import Maintenance
from app.domain.status import Status
from app.domain.uptime import Span, Uptime, uptime

_decode_patch = msgspec.json.Decoder(Patch).decode

# Components of which the days that are over are worked out at once; if that is given up on the way, those
# before need not be done again.
_DAYS_AT_ONCE: Final = 500
_TOLD: Final = 300  # incidents, and as many maintenances, that are told of one time
# Postgres takes 32,767 values in a statement.
_MOST_VALUES: Final = 10_000


class Point(Struct, frozen=True):
    """Of a chart of latency: the part of its window that begins with `at`. Half of the `samples` took at most
    `median` milliseconds, and from there to `p95` is the band in which the next 45 % lie."""

    at: datetime
    samples: int
    median: float | None
    p95: float | None


class History:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._remembered = Remembered()
        self._over: tuple[tuple[object, ...], dict[str, list[Day]]] = (), {}

    async def recent(self, limit: int) -> tuple[str | None, list[Patch]]:
        """The last patches that were news, oldest first, and the id after which they lack nothing. None if
        there was never a catalog."""
        async with self._database.reading() as transaction:
            whole_since = await read_whole_since(transaction)
            rows = await transaction.fetch(
                "SELECT event, patch FROM patches ORDER BY id DESC LIMIT {}", limit + 1
            )
        if whole_since is None:
            return None, []
        for row in rows[limit:]:
            whole_since = max(whole_since, row["event"], key=order)
        kept = [row["patch"] for row in reversed(rows[:limit]) if order(row["event"]) > order(whole_since)]
        return whole_since, [_decode_patch(patch) for patch in kept]

    async def incident(self, id: str) -> Incident | None:
        """A public one; what of it is for everybody, `domain/audience.py` knows."""
        async with self._database.reading() as transaction:
            return await read_incident(transaction, id)

    async def maintenance(self, id: str) -> Maintenance | None:
        async with self._database.reading() as transaction:
            return await find_maintenance(transaction, id)

    async def begun(self, start: datetime, end: datetime) -> list[Incident | Maintenance]:
        """What was told of that time, the newest first."""
        async with self._database.reading() as transaction:
            incidents = await read_incidents_begun(transaction, start, end, _TOLD)
            maintenances = await read_maintenances_begun(transaction, start, end, _TOLD)
        return [*incidents, *maintenances]

    async def first_seen(self) -> dict[str, datetime]:
        async with self._database.reading() as transaction:
            rows = await transaction.fetch(
                "SELECT component, MIN(since) AS first FROM spans GROUP BY component"
            )
        return {row["component"]: from_ms(row["first"]) for row in rows}

    async def spans(self, component: str, start: datetime, end: datetime) -> list[Span]:
        """All that touch the window, oldest first. The first and the last may reach beyond it."""
        return await self.spans_of([component], start, end)

    async def spans_of(self, components: Sequence[str], start: datetime, end: datetime) -> list[Span]:
        """The same of several components, one after the other."""
        async with self._database.reading() as transaction:
            stretches = await _stretches(transaction, components, to_ms(start), to_ms(end))
        return [
            Span(
                component=component,
                status=Status(status),
                since=from_ms(since),
                until=None if until is None else from_ms(until),
            )
            for component, status, since, until in sorted(stretches, key=itemgetter(0, 2))
        ]

    async def uptime(self, component: str, start: datetime, end: datetime) -> Uptime:
        return uptime(await self.spans(component, start, end), start, end)

    async def days(
        self, components: Sequence[str], now: datetime, n: int, zone: tzinfo
    ) -> dict[str, list[Day]]:
        """The last `n` days of each component as they are in `zone`, today last, and today until `now`.

        `day.uptime` has whole milliseconds that add up to the day; "99.98 % of 97.2 % observed" is its
        `percent` of its `coverage`, each None where there is nothing to take it of.
        """
        dates, edges = edges_of(now, n, zone)
        async with self._database.reading() as transaction:
            long_ago = order(await read_cursor(transaction))[0] - 2 * latency.DAY * 1000
            changed = await read_past_changed(transaction)
            # The days before this one are over, and change only if we are told so.
            first = max(0, min(bisect_right(edges, long_ago), n) - 1)
            over = self._days_over((changed, zone, dates[0], first))
            missing = [slug for slug in components if slug not in over] if first else []
            for at in range(0, len(missing), _DAYS_AT_ONCE):
                some = missing[at : at + _DAYS_AT_ONCE]
                rows = await _stretches(transaction, some, edges[0], edges[first])
                over |= await asyncio.to_thread(days_of, some, rows, dates[:first], edges[: first + 1])
            rows = await _stretches(transaction, components, edges[first], edges[-1])
        # In a thread: with many spans it takes 50 ms, which a push must not wait.
        young = await asyncio.to_thread(days_of, components, rows, dates[first:], edges[first:])
        return {slug: [*over.get(slug, ()), *days] for slug, days in young.items()}

    async def latency(self, component: str, start: datetime, end: datetime) -> Histogram:
        """From which any percentile can be read, as it is for latencies()."""
        return (await self.latencies([component], start, end))[component]

    async def latencies(
        self, components: Sequence[str], start: datetime, end: datetime
    ) -> dict[str, Histogram]:
        """Milliseconds of each component's first monitor, from all its regions: `.percentile(99)`, `.count`.

        By whole minutes for two days back, whole hours for three months, whole days before: those that begin
        within the window. Samples that were taken while the worker itself lagged are left out.
        """
        edges = [_up_to_minute(to_ms(start)), _up_to_minute(to_ms(end))]
        async with self._database.reading() as transaction:
            measured = await self._remembered.read(transaction, components, edges)
        return await asyncio.to_thread(
            lambda: {component: measured.histogram(component, *edges) for component in components}
        )

    async def speed(self, component: str, start: datetime, end: datetime, points: int) -> list[Point]:
        """What a chart draws: the window in `points` parts of the same length, oldest first, each with the
        median and the 95th percentile in milliseconds, both None where nothing was measured.

        Parts begin with a whole minute. Of a time of which only hours, or days, are kept, a whole one counts
        for the part in which it begins: ask for no more points than there are.
        """
        begin, whole = to_ms(start), to_ms(end) - to_ms(start)
        edges = [_up_to_minute(begin + whole * n // points) for n in range(points + 1)]
        async with self._database.reading() as transaction:
            measured = await self._remembered.read(transaction, [component], edges)
        parts = [measured.histogram(component, *some) for some in pairwise(edges)]
        return [
            Point(from_ms(at), part.count, part.percentile(50), part.percentile(95))
            for at, part in zip(edges, parts, strict=False)
        ]

    def _days_over(self, key: tuple[object, ...]) -> dict[str, list[Day]]:
        """What is known already of the days that are over. It is not kept in the database: the next day, or
        with another time zone, it would be of no more use."""
        if self._over[0] != key:
            self._over = key, {}
        return self._over[1]


async def _stretches(
    transaction: Transaction, components: Sequence[str], start: int, end: int
) -> list[Stretch]:
    """In any order: to sort ten thousand takes longer than to add them up."""
    found: list[Stretch] = []
    for first in range(0, len(components), _MOST_VALUES):
        some = components[first : first + _MOST_VALUES]
        asked = (
            "SELECT component, status, since, until FROM spans"
            f" WHERE component IN ({', '.join(['{}'] * len(some))}) AND since < {{}}"
        )
        # Not one query with OR: SQLite would then read all that ever was.
        found += await transaction.fetch_tuples(
            f"{asked} AND until > {{}} UNION ALL {asked} AND until IS NULL", *some, end, start, *some, end
        )
    return found


def _up_to_minute(ms: int) -> int:
    """The first instant from there on at which a minute begins."""
    return -(-ms // 60_000) * 60_000
