"""How much a recorder takes in: samples that are folded, and state changes that are stored exactly once.

Everything waits in the log of a real Valkey; a recorder then reads, folds and writes it, on SQLite and on
Postgres by turns. It has one core to itself, Valkey and Postgres share the other.
"""

import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.db.engine import Database
from app.db.recorder import Recorder
from app.domain.events import CatalogChange, Logged, Sample, Samples, StateChange
from app.domain.monitor import DEFAULT_REGION, Catalog, Component, Monitor
from app.domain.result import Outcome
from app.domain.standing import Standing, State
from app.feed import Feed, Heard
from bench import cores, report
from tests.rows import a_database, rows
from tests.services import Postgres, Valkey

ENGINES = ("sqlite", "postgres")
MONITORS = 2000  # each a component of its own
EVERY = 30.0
SAMPLES, QUICK_SAMPLES = 400_000, 100_000  # of a round
CHANGES, QUICK_CHANGES = 20_000, 5_000
SINGLE = 200  # changes that are recorded one by one
IN_AN_EVENT = 1000  # samples
AT_ONCE = 500  # events that are said at once
ROUNDS = 3
QUICK_SECONDS, SECONDS = 42, 240

AT_LEAST = {f"{what}_{engine}": least for engine in ENGINES for what, least in (
    ("samples_per_s", 20_000), ("changes_per_s", 2_000),
)}  # fmt: skip
REACH = {f"{what}_{engine}": 0 for engine in ENGINES for what in ("samples_wrong", "changes_wrong")}


class Story:
    """What happens to two thousand monitors, in the order of their clock."""

    def __init__(self) -> None:
        self._at = datetime.now(UTC) - timedelta(days=1)
        self._samples = itertools.count()
        self._changes = itertools.count()

    def beginning(self) -> CatalogChange:
        monitors = [Monitor(key=f"c{n}/http", kind="http", target="http://127.0.0.1:1/", every=EVERY)
                    for n in range(MONITORS)]  # fmt: skip
        catalog = Catalog(
            components=tuple(
                Component(slug=f"c{n}", name=f"C {n}", monitors=(monitor,))
                for n, monitor in enumerate(monitors)
            )
        )
        return CatalogChange(at=self._at, revision=catalog.revision, catalog=catalog)

    def samples(self, count: int) -> Iterator[Samples]:
        for _ in range(count // IN_AN_EVENT):
            some = tuple(self._sample() for _ in range(IN_AN_EVENT))
            yield Samples(at=self._at, worker="bench", region=DEFAULT_REGION, samples=some)

    def changes(self, count: int) -> Iterator[StateChange]:
        for _ in range(count):
            n = next(self._changes)
            self._pass()
            is_up = n // MONITORS % 2 == 1
            yield StateChange(
                trace=f"{n:016x}",
                at=self._at,
                worker="bench",
                was=State.DOWN if is_up else State.UP,
                standing=Standing(
                    monitor=f"c{n % MONITORS}/http",
                    region=DEFAULT_REGION,
                    state=State.UP if is_up else State.DOWN,
                    since=self._at,
                    reason="" if is_up else "timeout",
                ),
            )

    def _sample(self) -> Sample:
        n = next(self._samples)
        self._pass()
        return Sample(f"c{n % MONITORS}/http", self._at, Outcome.OK, State.UP, 40.0 + n * 7919 % 100)

    def _pass(self) -> None:
        self._at += timedelta(milliseconds=EVERY * 1000 / MONITORS)


class Ingest:
    def __init__(self, samples: int, changes: int) -> None:
        self.figures: dict[str, float] = {}
        self._samples = samples
        self._changes = changes
        self._seen: dict[str, list[float]] = {}

    async def run(self) -> None:
        core, others = cores.split()
        async with AsyncExitStack() as stack:
            with cores.on(others):
                valkey = stack.enter_context(Valkey()).start()
                postgres = stack.enter_context(Postgres()).start()
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            cores.pin(core)
            for n in range(ROUNDS):
                for engine in ENGINES:
                    url = f"sqlite:///{Path(folder) / str(n)}.db"
                    if engine == "postgres":
                        url = await postgres.create_database()
                    valkey.flush()
                    async with a_database(url) as database:
                        await self._round(engine, database, valkey.url)
        self.figures |= {name: statistics.median(values) for name, values in self._seen.items()}

    async def _round(self, engine: str, database: Database, redis_url: str) -> None:
        story = Story()
        feed = Feed(redis_url)
        recorder = Recorder(database)
        said = Saying(feed)
        try:
            async with running(recorder, feed):
                await until(recorder, await said.all([story.beginning()]))
            for name, events, count in (
                ("samples", list(story.samples(self._samples)), self._samples),
                ("changes", list(story.changes(self._changes)), self._changes),
            ):
                last = await said.all(events)
                took, used = time.perf_counter(), time.process_time()
                async with running(recorder, feed):
                    await until(recorder, last)
                took, used = time.perf_counter() - took, time.process_time() - used
                self._note(f"{name}_per_s_{engine}", count / took)
                self._note(f"{name[:-1]}_cpu_us_{engine}", used / count * 1e6)
            await self._one_by_one(engine, recorder, story)
            await self._count(engine, database)
        finally:
            await feed.close()

    async def _one_by_one(self, engine: str, recorder: Recorder, story: Story) -> None:
        """What the recorder uses for a change that comes alone, as most do: to fold and to write it."""
        ms, _, _ = recorder.cursor.partition("-")
        events = [Heard(f"{int(ms) + n}-0", event) for n, event in enumerate(story.changes(SINGLE), 1)]
        await recorder.load()
        used = time.process_time()
        for heard in events:
            assert await recorder.record([heard])
        self._note(f"single_change_cpu_us_{engine}", (time.process_time() - used) / SINGLE * 1e6)

    async def _count(self, engine: str, database: Database) -> None:
        """How far what is stored is from what was said."""
        [spans] = await rows(database, "SELECT count(*) AS n FROM spans WHERE was <> status")
        stored = sum(row["samples"] for row in await rows(database, SAMPLES_STORED))
        self._note(f"changes_wrong_{engine}", abs(spans["n"] - self._expected_spans()))
        self._note(f"samples_wrong_{engine}", abs(stored - self._samples))

    def _expected_spans(self) -> int:
        """With their first sample all components have become operational."""
        return self._changes + SINGLE + MONITORS

    def _note(self, name: str, value: float) -> None:
        self._seen.setdefault(name, []).append(value)


SAMPLES_STORED = "SELECT samples FROM latency_fresh"


class Saying:
    """Events, with keys."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._counter = itertools.count(1)

    async def all(self, events: list[CatalogChange] | list[Samples] | list[StateChange]) -> str:
        """The id of the last one."""
        last = ""
        for first in range(0, len(events), AT_ONCE):
            some: list[tuple[str, Logged]] = [
                (f"bench:{next(self._counter)}", event) for event in events[first : first + AT_ONCE]
            ]
            last = (await self._feed.announce(some))[-1].id
        return last


@asynccontextmanager
async def running(recorder: Recorder, feed: Feed) -> AsyncIterator[None]:
    task = asyncio.create_task(recorder.run(feed))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(recorder: Recorder, id: str) -> None:
    while recorder.cursor != id:  # noqa: ASYNC110
        await asyncio.sleep(0.002)


def main() -> int:
    quick = report.quick("ingest", __doc__, "fewer of everything, within 45 s")
    what = f"{MONITORS:,} monitors, {ROUNDS} rounds"
    ingest = Ingest(QUICK_SAMPLES, QUICK_CHANGES) if quick else Ingest(SAMPLES, CHANGES)
    return report.told("ingest", what, ingest, QUICK_SECONDS if quick else SECONDS, REACH, AT_LEAST)


if __name__ == "__main__":
    sys.exit(main())
