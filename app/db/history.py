"""What was: spans, uptime and latency, read back as domain structs.

Uptime is the domain's arithmetic; here spans only find their way to it. What no span covers is unknown.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from itertools import groupby
from typing import Any, Final

from msgspec import Struct

from app.db import latency
from app.db.catalog import read_whole_since
from app.db.engine import Database
from app.db.tables import SpanRow
from app.domain.board import Change, Patch
from app.domain.events import order
from app.domain.histogram import Histogram
from app.domain.instant import from_ms, to_ms
from app.domain.status import Status
from app.domain.uptime import Span, Uptime, uptime

# Where in a list of sums each status stands: a dict of statuses takes five times as long.
_PLACE: Final = {status.value: n for n, status in enumerate(Status)}
# Of one event there may be many changes; with more than this on average, fewer patches are told.
_CHANGES_PER_PATCH: Final = 4
# Postgres takes 32,767 values in a statement.
_MOST_VALUES: Final = 10_000


class Day(Struct, frozen=True):
    """One bar of a component. The day that is not over yet has fewer milliseconds."""

    date: date
    uptime: Uptime


class History:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def recent(self, limit: int) -> tuple[str | None, list[Patch]]:
        """The last patches with changes, oldest first, and the id after which they lack nothing. None if
        there was never a catalog."""
        rows = limit * _CHANGES_PER_PATCH
        async with self._database.reading() as transaction:
            whole_since = await read_whole_since(transaction)
            spans = await transaction.fetch(
                SpanRow.select().order_by(SpanRow.id, ascending=False).limit(rows)
            )
        if whole_since is None:
            return None, []
        spans.reverse()
        patches = [_patch(event, list(some)) for event, some in groupby(spans, key=lambda row: row["event"])]
        if len(spans) == rows:
            # Of the oldest event we may not have all.
            whole_since = max(whole_since, patches.pop(0).id, key=order)
        if len(patches) > limit:
            whole_since = max(whole_since, patches[-limit - 1].id, key=order)
        return whole_since, [patch for patch in patches if order(patch.id) > order(whole_since)]

    async def spans(self, component: str, start: datetime, end: datetime) -> list[Span]:
        """All that touch the window, oldest first. The first and the last may reach beyond it."""
        return await self.spans_of([component], start, end)

    async def spans_of(self, components: Sequence[str], start: datetime, end: datetime) -> list[Span]:
        """The same of several components, one after the other, in one query."""
        return [
            Span(
                component=row["component"],
                status=Status(row["status"]),
                since=from_ms(row["since"]),
                until=None if row["until"] is None else from_ms(row["until"]),
            )
            for row in await self._rows(components, to_ms(start), to_ms(end))
        ]

    async def uptime(self, component: str, start: datetime, end: datetime) -> Uptime:
        return uptime(await self.spans(component, start, end), start, end)

    async def days(
        self, components: Sequence[str], now: datetime, n: int, zone: tzinfo
    ) -> dict[str, list[Day]]:
        """The last `n` days of each component as they are in `zone`, today last, and today until `now`. One
        query, however many components."""
        dates, edges = _edges(now, n, zone)
        rows = await self._rows(components, edges[0], edges[-1])
        # In a thread: with many spans it takes 50 ms, which a push must not wait.
        return await asyncio.to_thread(_bars, components, rows, dates, edges)

    async def latency(self, component: str, start: datetime, end: datetime) -> Histogram:
        """From which any percentile can be read. Whole minutes for two days back, whole hours for three
        months, whole days before: those that begin within the window."""
        async with self._database.reading() as transaction:
            return await latency.read_histogram(transaction, component, start, end)

    async def _rows(self, components: Sequence[str], start: int, end: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        async with self._database.reading() as transaction:
            for first in range(0, len(components), _MOST_VALUES):
                some = components[first : first + _MOST_VALUES]
                asked = (
                    "SELECT component, status, since, until FROM spans"
                    f" WHERE component IN ({', '.join(['{}'] * len(some))}) AND since < {{}}"
                )
                # Not one query with OR: SQLite would then read all that ever was.
                found += await transaction.fetch(
                    f"{asked} AND until > {{}} UNION ALL {asked} AND until IS NULL ORDER BY component, since",
                    *(*some, end, start),
                    *(*some, end),
                )
        return found


def _patch(event: str, rows: Iterable[dict[str, Any]]) -> Patch:
    changes = sorted(rows, key=lambda row: row["n"])
    return Patch(
        id=event,
        at=from_ms(changes[0]["at"]),
        changes=tuple(
            Change(
                slug=row["component"],
                status=Status(row["status"]),
                was=Status(row["was"]),
                since=from_ms(row["since"]),
                monitor=row["monitor"],
                reason=row["reason"],
            )
            for row in changes
        ),
        trace=changes[0]["trace"],
    )


def _edges(now: datetime, n: int, zone: tzinfo) -> tuple[list[date], list[int]]:
    """The days, and the instants between them. A day has 23 or 25 hours when the clocks change."""
    today = now.astimezone(zone).date()
    dates = [today - timedelta(days=back) for back in reversed(range(n))]
    midnights = [to_ms(datetime.combine(day, time(), zone)) for day in dates]
    return dates, [*midnights, to_ms(now)]


def _bars(
    components: Sequence[str], rows: Iterable[dict[str, Any]], dates: list[date], edges: list[int]
) -> dict[str, list[Day]]:
    sums = {slug: [[0] * len(_PLACE) for _ in dates] for slug in components}
    for row in rows:
        _share_out(row, edges, sums[row["component"]])
    # Most days are like others: 45,000 bars of 500 components are made of a few hundred.
    made: dict[tuple[int, ...], Day] = {}
    return {
        slug: [_day(i, tuple(of_day), dates, edges, made) for i, of_day in enumerate(days)]
        for slug, days in sums.items()
    }


def _share_out(row: dict[str, Any], edges: list[int], days: list[list[int]]) -> None:
    """Add a span to each of the days it touches."""
    place = _PLACE[row["status"]]
    since = max(row["since"], edges[0])
    until = edges[-1] if row["until"] is None else min(row["until"], edges[-1])
    day = bisect_right(edges, since) - 1
    while since < until:
        end = min(until, edges[day + 1])
        days[day][place] += end - since
        since, day = end, day + 1


def _day(
    i: int, sums: tuple[int, ...], dates: list[date], edges: list[int], made: dict[tuple[int, ...], Day]
) -> Day:
    if (day := made.get((i, *sums))) is None:
        known = dict(zip(_PLACE, sums, strict=True))
        del known[Status.UNKNOWN.value]
        elapsed = edges[i + 1] - edges[i]
        day = made[(i, *sums)] = Day(
            dates[i],
            Uptime(
                operational=known[Status.OPERATIONAL],
                degraded=known[Status.DEGRADED],
                partial=known[Status.PARTIAL],
                major=known[Status.MAJOR],
                maintenance=known[Status.MAINTENANCE],
                unknown=elapsed - sum(known.values()),
            ),
        )
    return day
