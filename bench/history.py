"""What was, read back: ninety days of bars and percentiles over any window for five hundred components, on
SQLite and on Postgres; and how much of the disk a thousand monitors take in a year.

The year is reckoned from a week that is measured: recorded sample by sample, rolled up as it goes, and
weighed after each level of it was let go.
"""

import argparse
import itertools
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]

from app.db.engine import Database, Statement
from app.db.history import History
from app.db.latency import LEVELS, Fresh, Level, roll_up
from app.db.recorder import Recorder
from app.domain.events import CatalogChange, Logged, Sample, Samples, StateChange
from app.domain.histogram import Histogram, bucket_of
from app.domain.instant import to_ms
from app.domain.monitor import DEFAULT_REGION, Catalog, Component, Monitor
from app.domain.result import Outcome
from app.domain.sheet import Sheet, counts_of, number_of
from app.domain.standing import Standing, State
from app.feed import Heard
from bench import cores, report
from tests.rows import a_database, rows
from tests.services import Postgres

ENGINES = ("sqlite", "postgres")
COMPONENTS, DAYS = 500, 90
SPANS = 20  # of each component in that time
READS = 15  # of which the median counts
MONITORS, QUICK_MONITORS = 60, 6  # in the week that is recorded
TIMES, QUICK_TIMES = 10, 100  # that what they left is there in the end, or pages would weigh more than rows
EVERY = 30
OUTAGES_EVERY = 4 * 7 * 24  # hours, of a monitor
NOW = datetime(2026, 6, 15, 15, 23, tzinfo=UTC)
QUICK_SECONDS, SECONDS = 44, 300

READ = ("bars", "percentiles_90_days", "percentiles_24_hours", "percentiles_odd")
REACH = {f"{what}_ms_{engine}": 20 for what in READ for engine in ENGINES} | {
    f"mb_per_1000_monitors_and_year_{engine}": 60 for engine in ENGINES
}
# Until now, the last one apart, which is cut by both of its ends in the middle of an hour.
WINDOWS = {
    "90_days": (NOW - timedelta(days=90), NOW),
    "24_hours": (NOW - timedelta(hours=24), NOW),
    "odd": (NOW - timedelta(hours=46, minutes=17), NOW - timedelta(hours=3, minutes=41)),
}


class Latency:
    """Of one target: mostly alike, a few much slower."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._usual = self._dice.uniform(20, 400)

    def next(self) -> float:
        slow = 5.0 if self._dice.random() < 0.01 else 1.0
        return self._usual * slow * self._dice.lognormvariate(0, 0.2)


class Past:
    """Ninety days as they stand in the database, written without a recorder: that would take hours."""

    def __init__(self) -> None:
        # Twenty targets stand for all.
        self._made = [Latency(n) for n in range(20)]
        self._sheets: dict[tuple[int, int, int], tuple[int, bytes]] = {}

    def statements(self) -> Iterator[Statement]:
        for level in LEVELS:
            yield (
                "INSERT INTO latency_sheets (component, length, start, sealed, samples, totals)"
                " VALUES ({}, {}, {}, {}, {}, {})",
                [row for n in range(COMPONENTS) for row in self._rows(n, level)],
            )
        yield "UPDATE feed_cursor SET at = {}", [(f"{to_ms(NOW)}-0",)]
        fresh = Fresh()
        for n, minute in itertools.product(range(COMPONENTS), range(10)):
            fresh.add(f"c{n}", NOW - timedelta(minutes=minute), self._made[n % 20].next())
        yield fresh.statement
        yield (
            "INSERT INTO spans (component, status, was, since, until, event, n, at, monitor, reason, trace)"
            " VALUES ({}, {}, '', {}, {}, {}, 0, 0, '', '', '')",
            [row for n in range(COMPONENTS) for row in self._spans(n)],
        )

    def _rows(self, n: int, level: Level) -> Iterator[tuple[object, ...]]:
        end = to_ms(NOW)
        start = level.sheet_of(to_ms(NOW - (level.kept or timedelta(days=DAYS))))
        while start < end:
            over = min(level.pieces, (end - start) // (level.length * 1000))
            samples, raw = self._sheet(n % 20, level, over)
            if samples:
                is_sealed = level is LEVELS[-1] or over == level.pieces
                yield f"c{n}", level.length, start, is_sealed, samples, raw
            start += level.stretch

    def _sheet(self, n: int, level: Level, over: int) -> tuple[int, bytes]:
        key = n, level.length, over
        if key not in self._sheets:
            sheet = Sheet()
            for piece in range(over):
                for _ in range(min(level.length // EVERY, 400)):
                    sheet.add(piece, {bucket_of(self._made[n].next()): max(1, level.length // EVERY // 400)})
            self._sheets[key] = sum(sheet.total.values()), sheet.encode()
        return self._sheets[key]

    def _spans(self, n: int) -> Iterator[tuple[object, ...]]:
        dice = random.Random(n)
        begin = to_ms(NOW - timedelta(days=DAYS + 5))
        cuts = sorted(dice.randrange(begin, to_ms(NOW)) for _ in range(SPANS - 1))
        for i, (since, until) in enumerate(itertools.pairwise([begin, *cuts, None])):
            status = "major_outage" if i % 2 else "operational"
            yield f"c{n}", status, since, until, f"{n}-{i}"


class Week:
    """What is said of some monitors within seven days."""

    def __init__(self, monitors: int) -> None:
        self.begin = NOW.replace(hour=0, minute=0) - timedelta(days=7)
        self._keys = [f"production-component-{n:04}/http" for n in range(monitors)]
        self._latency = [Latency(n) for n in range(monitors)]
        self._ids = itertools.count(1)

    async def record(self, database: Database) -> None:
        recorder = Recorder(database)
        await recorder.record([self._heard(self._catalog())])
        for hour in range(7 * 24):
            at = self.begin + timedelta(hours=hour)
            await recorder.record([self._heard(event) for event in self._hour(hour, at)])
            await roll_up(database, at + timedelta(hours=1))

    def _heard(self, event: Logged) -> Heard:
        return Heard(f"{next(self._ids)}-0", event)

    def _catalog(self) -> CatalogChange:
        components = tuple(
            Component(
                slug=key.removesuffix("/http"),
                name=key,
                monitors=(Monitor(key=key, kind="http", target="http://127.0.0.1:1/", every=EVERY),),
            )
            for key in self._keys
        )
        catalog = Catalog(components=components)
        return CatalogChange(at=self.begin, revision=catalog.revision, catalog=catalog)

    def _hour(self, hour: int, at: datetime) -> Iterator[Logged]:
        for n, key in enumerate(self._keys):
            # Down for the last ten seconds before a sample that is well again.
            if (hour + 111 * n) % OUTAGES_EVERY == 0:
                down = at - timedelta(seconds=10)
                standing = Standing(monitor=key, region=DEFAULT_REGION, state=State.DOWN, since=down)
                yield StateChange(trace="0" * 16, at=down, worker="w", was=State.UP, standing=standing)
        for second in range(0, 3600, EVERY):
            now = at + timedelta(seconds=second)
            samples = tuple(
                Sample(key, now, Outcome.OK, State.UP, self._latency[n].next())
                for n, key in enumerate(self._keys)
            )
            yield Samples(at=now, worker="w", region=DEFAULT_REGION, samples=samples)


class Bench:
    def __init__(self, monitors: int, times: int) -> None:
        self.figures: dict[str, float] = {}
        self._monitors = monitors
        self._times = times

    async def run(self) -> None:
        core, others = cores.split()
        async with AsyncExitStack() as stack:
            with cores.on(others):
                postgres = stack.enter_context(Postgres()).start()
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            cores.pin(core)
            past = Past()
            for engine in ENGINES:
                urls = [f"sqlite:///{folder / name}.db" for name in ("past", "week")]
                if engine == "postgres":
                    urls = [await postgres.create_database() for _ in urls]
                async with a_database(urls[0]) as database:
                    await self._read(engine, database, past)
                async with a_database(urls[1]) as database:
                    await self._grow(engine, database, urls[1])

    async def _read(self, engine: str, database: Database, past: Past) -> None:
        async with database.writing() as transaction:
            await transaction.execute_all(past.statements())
            await transaction.execute("ANALYZE")
        slugs = [f"c{n}" for n in range(COMPONENTS)]
        history = History(database)
        await self._time(f"bars_ms_{engine}", lambda: history.days(slugs, NOW, DAYS, UTC))
        for name, window in WINDOWS.items():
            # As if nobody had asked this process before: the first of these reads all of the sheets.
            history = History(database)

            async def percentiles(
                history: History = history, window: tuple[datetime, datetime] = window
            ) -> None:
                found = await history.latencies(slugs, *window)
                assert all(its.percentile(percent) for its in found.values() for percent in (50, 95, 99))

            await self._time(f"percentiles_{name}_ms_{engine}", percentiles)
        await self._time(f"chart_ms_{engine}", lambda: history.speed("c0", *WINDOWS["24_hours"], 96))

    async def _time(self, name: str, job: Callable[[], Awaitable[object]]) -> None:
        took, used = [], []
        for _ in range(READS):
            before = time.perf_counter(), time.process_time()
            await job()
            took.append((time.perf_counter() - before[0]) * 1000)
            used.append((time.process_time() - before[1]) * 1000)
        self.figures[name] = statistics.median(took)
        # What of it is ours: on a machine that does something else, the rest is waiting.
        self.figures[name.replace("_ms_", "_cpu_ms_")] = statistics.median(used)
        self.figures[name.replace("_ms_", "_first_cpu_ms_")] = used[0]

    async def _grow(self, engine: str, database: Database, url: str) -> None:
        empty = await weigh(url)
        week = Week(self._monitors)
        await week.record(database)
        await fill_the_month(database)
        await multiply(database, self._times)
        sizes = []
        for days in 0, 3, 100:
            await roll_up(database, week.begin + timedelta(days=7 + days))
            sizes.append(await weigh(url))
        [spans] = await rows(database, "SELECT count(*) AS n FROM spans")
        async with database.writing() as transaction:
            await transaction.execute("DELETE FROM spans")
        sizes.append(await weigh(url))
        monitors = self._monitors * self._times
        per_thousand = 1000 / monitors / 1e6
        # The first span of each is there from its beginning.
        changes = (sizes[2] - sizes[3]) * (1 - monitors / spans["n"]) / 7 * 365 * per_thousand
        days = (sizes[3] - empty) / LEVELS[-1].pieces * 365 * per_thousand
        self.figures |= {
            f"mb_per_1000_monitors_and_year_{engine}": days + changes,
            f"mb_of_spans_in_that_{engine}": changes,
            f"mb_of_minutes_at_any_time_{engine}": (sizes[0] - sizes[1]) * per_thousand,
            f"mb_of_hours_at_any_time_{engine}": (sizes[1] - sizes[2]) / 7 * 90 * per_thousand,
        }


async def fill_the_month(database: Database) -> None:
    """The week's days again and again, until each of their sheets is full: one with seven days in it weighs
    more for each."""
    full = []
    for row in await rows(database, "SELECT id, start, totals FROM latency_sheets WHERE length = 86400"):
        sheet = Sheet()
        first = (to_ms(NOW) - row["start"]) // 86_400_000 - 7
        for piece in range(LEVELS[-1].pieces):
            like = first + (piece - first) % 7
            counts = counts_of(number_of(row["totals"], like, like + 1))
            sheet.add(piece, Histogram.of(counts).counts)
        full.append((sum(sheet.total.values()), sheet.encode(), row["id"]))
    async with database.writing() as transaction:
        await transaction.execute_many(
            "UPDATE latency_sheets SET samples = {}, totals = {} WHERE id = {}", full
        )


async def multiply(database: Database, times: int) -> None:
    """As if there were so many times as many monitors."""
    columns = {
        "latency_sheets": "length, start, sealed, samples, totals",
        "latency_fresh": "start, samples, said",
        "spans": "status, was, since, until, event, n, at, monitor, reason, trace",
    }
    async with database.writing() as transaction:
        for table, others in columns.items():
            for n in range(1, times):
                await transaction.execute(
                    f"INSERT INTO {table} (component, {others})"
                    f" SELECT component || '-{n}', {others} FROM {table} WHERE component LIKE '%-____'"
                )


async def weigh(url: str) -> int:
    """Bytes, without what could be used again."""
    if not url.startswith("sqlite"):
        connection = await asyncpg.connect(url)
        await connection.execute("VACUUM FULL")
        asked = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relnamespace ="
        size = await connection.fetchval(f"{asked} 'public'::regnamespace")
        await connection.close()
        return int(size)
    file = Path(url.removeprefix("sqlite:///"))
    tight = file.with_suffix(".tight")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("VACUUM INTO ?", (str(tight),))
    size = tight.stat().st_size
    tight.unlink()
    return size


def main() -> int:
    parser = argparse.ArgumentParser(prog="statuswire bench history", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer monitors in the week, within 45 s")
    quick = parser.parse_args().quick
    bench = Bench(QUICK_MONITORS, QUICK_TIMES) if quick else Bench(MONITORS, TIMES)
    print(f"{COMPONENTS} components, {DAYS} days, {SPANS} spans each; load average {cores.load()}")
    if not report.ran(bench.run(), QUICK_SECONDS if quick else SECONDS):
        return 1
    print(f"load average {cores.load()}")
    report.close("history", bench.figures, REACH)
    return 0


if __name__ == "__main__":
    sys.exit(main())
