"""Measurements become histograms of minutes, hours and days, and whatever interrupts that, each is counted
once."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.db import engine, measured
from app.db.engine import Database, Statement, Transaction
from app.db.history import History, Point
from app.db.latency import DAY, HOUR, MINUTE, SumsDiffer, roll_up
from app.db.recorder import Recorder
from app.domain.events import Logged
from app.domain.histogram import bucket_of
from app.domain.standing import State
from tests.make import NOON, a_batch, a_catalog, a_catalog_change, a_change, a_log, a_sample, after
from tests.rows import empty, heard, record_all, rows

pytest_plugins = ["tests.databases"]

SLUGS = ("api", "web")
Sample = tuple[str, datetime, float]  # a component, when, and how many milliseconds


@pytest.fixture
async def history(database: Database) -> History:
    return History(database)


async def measure(database: Database, samples: Iterable[Sample]) -> None:
    recorder = Recorder(database)
    batch = a_batch(*(a_sample(at=at, took=took, monitor=f"{slug}/http") for slug, at, took in samples))
    ms, _, _ = (await recorder.load()).id.partition("-")
    await recorder.record(heard([(f"{int(ms) + 1}-0", batch)]))


@pytest.fixture
async def watched(database: Database) -> AsyncIterator[Database]:
    await record_all(Recorder(database), a_log(a_catalog_change(a_catalog(*SLUGS))))
    yield database


def some_samples(seed: int, count: int, days: float) -> list[Sample]:
    dice = random.Random(seed)
    return [
        (dice.choice(SLUGS), after(dice.randrange(int(days * DAY))), dice.uniform(1, 5000))
        for _ in range(count)
    ]


def expected(samples: Iterable[Sample], slug: str, start: datetime, end: datetime) -> Counter[int]:
    return Counter(bucket_of(took) for its, at, took in samples if its == slug and start <= at < end)


async def lengths(database: Database) -> dict[int, int]:
    """How many samples there are, by length; 0 for those that are fresh."""
    found = await rows(
        database,
        "SELECT length, sum(samples) AS samples FROM latency_sheets GROUP BY length"
        " UNION ALL SELECT 0 AS length, sum(samples) AS samples FROM latency_fresh",
    )
    return {row["length"]: int(row["samples"]) for row in found if row["samples"]}


# Reading


async def test_latency_is_merged_over_the_window(watched: Database, history: History) -> None:
    await measure(watched, [("api", after(n), float(n)) for n in range(1, 600)])
    found = await history.latency("api", NOON, after(600))
    assert found.count == 599
    for percent, exact in (50, 300), (95, 570), (99, 594):
        value = found.percentile(percent)
        assert value is not None
        assert abs(value - exact) <= 0.05 * exact + 1
    assert (await history.latency("api", NOON, after(60))).count == 59
    assert (await history.latency("web", NOON, after(600))).percentile(50) is None


async def test_what_was_measured_while_the_worker_lagged_is_in_no_percentile(
    watched: Database, history: History
) -> None:
    batch = a_batch(a_sample(took=10.0), a_sample(took=900.0, late=True))
    await Recorder(watched).record(heard([("9-0", batch)]))
    found = await history.latency("api", NOON, after(60))
    assert found.count == 1


async def test_a_chart_has_a_median_and_a_band_for_each_of_its_parts(
    watched: Database, history: History
) -> None:
    await measure(watched, [("api", after(n), 100.0 if n < 600 else 200.0) for n in range(0, 900)])
    chart = await history.speed("api", NOON, after(1200), 4)
    assert [(point.at, point.samples) for point in chart] == [
        (after(0), 300),
        (after(300), 300),
        (after(600), 300),
        (after(900), 0),
    ]
    assert [point.median and round(point.median, -1) for point in chart] == [100, 100, 200, None]
    assert chart[3] == Point(after(900), 0, None, None)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 1000),
    rolled=st.lists(st.floats(0, 47), max_size=3),
    windows=st.lists(st.tuples(st.integers(-60, 3 * 1440), st.integers(0, 2 * 1440)), min_size=1, max_size=8),
)
async def test_within_two_days_any_window_of_minutes_is_exact(
    sqlite_database: Database, seed: int, rolled: list[float], windows: list[tuple[int, int]]
) -> None:
    """However much of it is fresh, gathered or sealed."""
    await empty(sqlite_database)
    await record_all(Recorder(sqlite_database), a_log(a_catalog_change(a_catalog(*SLUGS))))
    samples, parts = some_samples(seed, 60, 2), len(rolled) + 1
    for n, hours in enumerate([*sorted(rolled), None]):
        await measure(sqlite_database, samples[n::parts])
        if hours is not None:
            await roll_up(sqlite_database, after(hours * HOUR), at_once=7)
    history = History(sqlite_database)
    for minute, length in windows:
        start, end = after(minute * 60), after((minute + length) * 60)
        found = await history.latencies(SLUGS, start, end)
        for slug in SLUGS:
            assert found[slug].counts == expected(samples, slug, start, end)
    chart = await history.speed("api", after(-DAY), after(3 * DAY), 4 * 24 * 3)
    for point in chart:
        its = expected(samples, "api", point.at, point.at + timedelta(minutes=20))
        assert point.samples == its.total()


async def test_a_chart_goes_over_midnight(watched: Database, history: History) -> None:
    """Parts that end before today's sheet begins ask nothing of it."""
    await measure(watched, [("api", after(10 * HOUR + minute * 60), 50.0) for minute in range(180)])
    await roll_up(watched, after(13 * HOUR + 600))
    chart = await history.speed("api", after(10 * HOUR), after(14 * HOUR), 12)
    assert [point.samples for point in chart] == [20] * 9 + [0] * 3


async def test_where_only_hours_or_days_are_kept_whole_ones_count_for_when_they_begin(
    watched: Database, history: History
) -> None:
    samples = [("api", after(n * 600), 50.0) for n in range(6 * 48)]
    await measure(watched, samples)
    await roll_up(watched, after(30 * DAY))
    assert set(await lengths(watched)) == {HOUR, DAY}
    assert (await history.latency("api", NOON, after(HOUR / 2))).count == 6
    assert (await history.latency("api", after(1), after(HOUR + 60))).count == 6
    await roll_up(watched, after(100 * DAY))
    assert set(await lengths(watched)) == {DAY}
    assert (await history.latency("api", NOON, after(HOUR))).count == 0
    assert (await history.latency("api", after(-DAY / 2), after(HOUR))).count == 6 * 12
    assert (await history.latency("api", after(-DAY / 2), after(-HOUR))).count == 6 * 12


# Rolling up


async def test_each_level_is_let_go_when_it_is_old_and_the_next_one_knows_all_of_it(
    watched: Database, history: History
) -> None:
    samples = some_samples(1, 200, 3)
    await measure(watched, samples)
    assert await lengths(watched) == {0: 200}
    await roll_up(watched, after(0))
    assert await lengths(watched) == {MINUTE: 200}
    await roll_up(watched, after(4 * DAY))
    found = await lengths(watched)
    assert found[HOUR] == found[DAY] == 200
    young = sum(at >= after(2 * DAY - HOUR) for _, at, _ in samples)
    assert found[MINUTE] == pytest.approx(young, abs=5)
    await roll_up(watched, after(100 * DAY))
    assert await lengths(watched) == {DAY: 200}
    assert await roll_up(watched, after(100 * DAY)) == 0
    for slug in SLUGS:
        whole = await history.latency(slug, after(-DAY), after(4 * DAY))
        assert whole.counts == expected(samples, slug, NOON, after(4 * DAY))


async def test_what_a_worker_says_long_after_an_outage_finds_its_day(
    watched: Database, history: History
) -> None:
    samples, at = some_samples(2, 40, 1), 0.0
    await measure(watched, samples)
    for days in 0.5, 1.5, 4, 120:
        await roll_up(watched, after(at := days * DAY))
        late = [("api", after(HOUR / 2 + days), 70.0), ("web", after(at - DAY / 4), 20.0)]
        await measure(watched, late)
        samples += late
        await roll_up(watched, after(at + DAY))
        for slug in SLUGS:
            found = await history.latency(slug, after(-DAY), after(200 * DAY))
            assert found.counts == expected(samples, slug, NOON, after(200 * DAY))
    await roll_up(watched, after(300 * DAY))
    assert await lengths(watched) == {DAY: len(samples)}


async def test_a_step_whose_sums_differ_changes_nothing(watched: Database) -> None:
    await measure(watched, [("api", NOON, 10.0)])
    await spoil(watched, "UPDATE latency_fresh SET samples = 5")
    with pytest.raises(SumsDiffer, match="1 samples instead of 5"):
        await roll_up(watched, after(3 * DAY))
    assert await lengths(watched) == {0: 5}


async def test_a_sheet_of_which_the_next_one_does_not_know_all_is_kept(watched: Database) -> None:
    await measure(watched, [("api", NOON, 10.0), ("api", after(1), 20.0)])
    await roll_up(watched, after(HOUR))
    await spoil(watched, "UPDATE latency_sheets SET sealed = NOT sealed WHERE length = 60")
    with pytest.raises(SumsDiffer, match="0 samples are kept of 2"):
        await roll_up(watched, after(3 * DAY))
    assert await lengths(watched) == {MINUTE: 2}


async def spoil(database: Database, sql: str) -> None:
    async with database.writing() as transaction:
        await transaction.execute(sql)


async def test_a_roll_up_beside_a_recorder_counts_each_sample_once(watched: Database) -> None:
    """Late samples of the very minutes that are being rolled up."""
    recorder = Recorder(watched)

    async def keep_recording() -> None:
        for n in range(2, 102):
            batch = a_batch(*(a_sample(at=after(minute * 60)) for minute in range(5)))
            assert await recorder.record(heard([(f"{n}-0", batch)]))

    async def keep_rolling() -> None:
        while not recording.done():
            await roll_up(watched, after(100 * DAY))

    recording = asyncio.create_task(keep_recording())
    await asyncio.gather(recording, keep_rolling())
    await roll_up(watched, after(100 * DAY))
    assert await lengths(watched) == {DAY: 500}


# Crashes


class Listed(Transaction):
    """Keeps what was asked."""

    asked: ClassVar[list[str]] = []

    async def fetch(self, query: Any, *values: object) -> list[dict[str, Any]]:
        self.asked.append(str(query))
        return await super().fetch(query, *values)

    async def fetch_tuples(self, sql: str, *values: object) -> Sequence[Any]:
        self.asked.append(sql)
        return await super().fetch_tuples(sql, *values)


async def sheets_read(history: History, start: datetime, end: datetime) -> tuple[Counter[int], bool]:
    """What `api` took, and whether a sheet was read for it."""
    Listed.asked.clear()
    found = await history.latency("api", start, end)
    return Counter(found.counts), any("latency_sheets" in sql for sql in Listed.asked)


async def test_a_sheet_is_read_once_until_one_has_changed(
    watched: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "Transaction", Listed)
    # Two servers that only read, and a recorder beside them.
    histories = History(watched), History(watched)
    start, now = NOON - timedelta(hours=3, minutes=7), after(1.5 * DAY + 7 * 60)
    samples = [("api", after(minute * 60), 100.0 + minute) for minute in range(50)]
    await measure(watched, samples)
    await roll_up(watched, now)
    for history in histories:
        assert await sheets_read(history, start, now) == (expected(samples, "api", start, now), True)
        # A minute later the window is another one.
        assert await sheets_read(history, start + timedelta(minutes=1), now + timedelta(minutes=1)) == (
            expected(samples, "api", start, now),
            False,
        )
    # Fresh, and then late in a sheet that was sealed long ago.
    await measure(watched, late := [("api", after(90), 4000.0)])
    for history in histories:
        assert await sheets_read(history, start, now) == (expected(samples + late, "api", start, now), False)
    await roll_up(watched, now)
    for history in histories:
        assert await sheets_read(history, start, now) == (expected(samples + late, "api", start, now), True)


async def test_what_there_is_no_room_for_is_read_each_time(
    watched: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "Transaction", Listed)
    monkeypatch.setattr(measured, "_ROOM", 0)
    history, now = History(watched), after(DAY)
    await measure(watched, samples := [("api", after(60), 100.0)])
    await roll_up(watched, now)
    for _ in range(2):
        assert await sheets_read(history, NOON, now) == (expected(samples, "api", NOON, now), True)


class Crash(Exception):
    """As if the process had ended there: of what it was at, nothing is committed."""


class Mortal(Transaction):
    """Dies when it has done so many statements."""

    left = 0

    async def fetch(self, query: Any, *values: object) -> list[dict[str, Any]]:
        found = await super().fetch(query, *values)
        self._count()
        return found

    async def execute_all(self, statements: Iterable[Statement]) -> None:
        for statement in statements:
            await super().execute_all([statement])
            self._count()

    def _count(self) -> None:
        Mortal.left -= 1
        if Mortal.left == 0:
            raise Crash


async def everything(history: History, samples: list[Sample]) -> list[object]:
    """All that is told of the whole time and of its parts."""
    end = after(130 * DAY)
    return [
        [(await history.latencies(SLUGS, NOON - timedelta(days=1), end))[slug].counts for slug in SLUGS],
        [await history.uptime(slug, NOON, end) for slug in SLUGS],
        await history.days(SLUGS, end, 90, UTC),
    ]


async def crash_at_every_step(database: Database, seed: int, at: list[float], at_once: int) -> int:
    """Roll up at these days, with something late measured in between; how often it crashed."""
    history, samples, crashes = History(database), some_samples(seed, 30, 3), 0
    await measure(database, samples)
    for n, days in enumerate(at):
        late = some_samples(seed + n, 3, 3)
        await measure(database, late)
        samples += late
        before, crashed, steps = await everything(history, samples), True, 0
        while crashed:
            steps += 1
            Mortal.left = steps
            try:
                await roll_up(database, after(days * DAY), at_once)
                crashed = False
            except Crash:
                crashes += 1
            Mortal.left = 0
            assert await everything(history, samples) == before
        for slug in SLUGS:
            found = await history.latency(slug, NOON - timedelta(days=1), after(130 * DAY))
            assert found.counts == expected(samples, slug, NOON, after(130 * DAY))
    return crashes


async def changes(database: Database, seed: int) -> None:
    await empty(database)
    dice, at = random.Random(seed), NOON
    log: list[Logged] = [a_catalog_change(a_catalog(*SLUGS))]
    for _ in range(20):
        at += timedelta(milliseconds=dice.randrange(1, 10 * DAY * 1000))
        log.append(a_change(dice.choice(list(State)), at, f"{dice.choice(SLUGS)}/http"))
    await record_all(Recorder(database), a_log(*log))


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 1000),
    at=st.lists(st.sampled_from([0.1, 1, 2.1, 3, 5, 92, 120]), min_size=1, max_size=3).map(sorted),
    at_once=st.sampled_from([2, 11, 100]),
)
async def test_a_crash_at_any_step_loses_no_sample_and_no_millisecond(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch, seed: int, at: list[float], at_once: int
) -> None:
    monkeypatch.setattr(engine, "Transaction", Mortal)
    await changes(sqlite_database, seed)
    assert await crash_at_every_step(sqlite_database, seed, at, at_once) > 3


@pytest.mark.parametrize("prepared_url", ["postgres"], indirect=True)
async def test_nor_does_one_on_postgres(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "Transaction", Mortal)
    await changes(database, 4)
    assert await crash_at_every_step(database, 4, [1, 5, 120], 100) > 20
