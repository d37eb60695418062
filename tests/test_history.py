"""What was can be read back exactly: patches for those who resume, uptime to the millisecond, latency."""

import asyncio
import random
from datetime import UTC, date, datetime, time, timedelta
from time import process_time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from app.db.engine import Database
from app.db.history import History
from app.db.latency import DAY, HOUR, MINUTE, SumsDiffer, roll_up
from app.db.recorder import Recorder
from app.domain.board import Board, Patch
from app.domain.events import Logged
from app.domain.histogram import Histogram
from app.domain.instant import to_ms
from app.domain.standing import State
from app.domain.status import Status
from app.domain.uptime import Span, uptime
from app.feed import Gap, Heard
from tests.make import (
    NOON,
    a_batch,
    a_catalog,
    a_catalog_change,
    a_change,
    a_component,
    a_log,
    a_monitor,
    a_retelling,
    a_sample,
    a_standing,
    after,
)
from tests.rows import empty, heard, in_batches, long_log, record_all, rows

pytest_plugins = ["tests.databases"]

UP, DOWN = State.UP, State.DOWN


@pytest.fixture
async def history(database: Database) -> History:
    return History(database)


async def record(database: Database, *events: Logged) -> None:
    await record_all(Recorder(database), a_log(*events))


# Patches, for those who resume after a restart


def patches_of(log: list[tuple[str, Logged]]) -> list[Patch]:
    """What a screen would have been sent since the last change of the catalog."""
    board, patches = Board(), list[Patch]()
    for id, event in log:
        if (patch := board.fold(id, event)) is None:
            continue
        if patch.catalog:
            patches = []
        elif patch.changes:
            patches.append(replace(patch, latency={}))
    return patches


async def test_recent_patches_are_those_that_were_sent(database: Database, history: History) -> None:
    log = long_log(80)
    for batch in in_batches(log, 5):
        await record_all(Recorder(database), batch)
    expected = patches_of(log)
    assert len(expected) > 30
    assert await history.recent(500) == ("1-0", expected)


async def test_recent_patches_are_the_last_ones_and_say_from_where_on_they_are_whole(
    database: Database, history: History
) -> None:
    log = long_log(80)
    await record_all(Recorder(database), log)
    expected = patches_of(log)
    assert await history.recent(7) == (expected[-8].id, expected[-7:])


async def test_recent_patches_begin_behind_the_last_change_of_the_catalog(
    database: Database, history: History
) -> None:
    await record(
        database,
        a_catalog_change(a_catalog()),
        a_change(UP, after(1)),
        a_catalog_change(a_catalog("api", "web"), after(2)),
        a_change(DOWN, after(3)),
    )
    since, patches = await history.recent(500)
    assert since == "3-0"
    assert [patch.id for patch in patches] == ["4-0"]


async def test_recent_patches_begin_behind_a_hole_in_the_log(database: Database, history: History) -> None:
    recorder = Recorder(database)
    await record_all(recorder, a_log(a_catalog_change(a_catalog()), a_change(UP, after(1))))
    behind = [Heard("9-0", a_change(DOWN, after(3))), Heard("10-0", a_change(UP, after(4)))]
    assert await recorder.record([Gap("2-0", "9-0"), *behind])
    since, patches = await history.recent(500)
    assert since == "9-0"
    assert [patch.id for patch in patches] == ["10-0"]


async def test_an_event_of_which_not_all_can_be_told_is_not_told(
    database: Database, history: History
) -> None:
    slugs = [f"c{n}" for n in range(50)]
    told = a_retelling(*(a_standing(UP, NOON, f"{slug}/http") for slug in slugs), at=after(1))
    log = a_log(a_catalog_change(a_catalog(*slugs)), told, a_change(DOWN, after(2), "c1/http"))
    await record_all(Recorder(database), log)
    assert await history.recent(5) == ("2-0", patches_of(log)[1:])
    assert await history.recent(50) == ("1-0", patches_of(log))


async def test_a_database_that_knows_no_catalog_has_nothing_to_tell(history: History) -> None:
    assert await history.recent(500) == (None, [])


# Uptime


async def test_uptime_of_a_window_is_exact(database: Database, history: History) -> None:
    await record(
        database,
        a_catalog_change(a_catalog()),
        a_change(UP, after(10)),
        a_change(DOWN, after(70.001)),
        a_change(State.DEGRADED, after(80)),
    )
    found = await history.uptime("api", after(5), after(100))
    assert (found.unknown, found.operational, found.major, found.degraded) == (5000, 60_001, 9999, 20_000)
    assert found.elapsed == 95_000


async def test_spans_that_only_touch_a_window_are_not_in_it(database: Database, history: History) -> None:
    await record(database, a_catalog_change(a_catalog()), a_change(UP, after(10)), a_change(DOWN, after(20)))
    assert await history.spans("api", after(10), after(20)) == [
        Span(component="api", status=Status.OPERATIONAL, since=after(10), until=after(20))
    ]
    assert [span.until for span in await history.spans("api", after(15), after(25))] == [after(20), None]
    assert await history.spans("web", after(0), after(99)) == []


BERLIN = ZoneInfo("Europe/Berlin")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.integers(1, 40 * 3_600_000), st.sampled_from([UP, DOWN, State.DEGRADED])), max_size=12
    ),
    zone=st.sampled_from([BERLIN, UTC, ZoneInfo("America/St_Johns"), ZoneInfo("Asia/Kathmandu")]),
    now=st.integers(0, 8 * 86_400_000),
)
async def test_each_day_adds_up_to_its_length_and_to_what_its_spans_say(
    database: Database, steps: list[tuple[int, State]], zone: ZoneInfo, now: int
) -> None:
    """Around the night in which the clocks go forward in Berlin."""
    await empty(database)
    at = datetime(2026, 3, 26, 9, 30, tzinfo=UTC)
    end = at + timedelta(milliseconds=now)
    slow = a_component("api", a_monitor(every=1e9))
    events: list[Logged] = [a_catalog_change(a_catalog(slow, a_component("web", a_monitor("w"))), at)]
    for step, state in steps:
        at += timedelta(milliseconds=step)
        events.append(a_change(state, at))
    await record(database, *events)
    history = History(database)
    bars = await history.days(["api", "web", "nobody"], end, 6, zone)
    for slug, days in bars.items():
        assert [day.date for day in days][-1] == end.astimezone(zone).date()
        for day in days:
            midnight = datetime.combine(day.date, time(), zone)
            until = min(end, datetime.combine(day.date + timedelta(days=1), time(), zone))
            expected = uptime(await history.spans(slug, midnight, until), midnight, until)
            assert day.uptime == expected
            assert day.uptime.elapsed == to_ms(until) - to_ms(midnight)


async def test_the_days_on_which_the_clocks_change_have_23_and_25_hours(
    database: Database, history: History
) -> None:
    spring = await history.days(["api"], datetime(2026, 3, 30, 12, tzinfo=BERLIN), 2, BERLIN)
    autumn = await history.days(["api"], datetime(2026, 10, 26, 12, tzinfo=BERLIN), 2, BERLIN)
    hours = 3_600_000
    assert [(day.date, day.uptime.unknown / hours) for day in spring["api"]] == [
        (date(2026, 3, 29), 23),
        (date(2026, 3, 30), 12),
    ]
    assert [day.uptime.unknown / hours for day in autumn["api"]] == [25, 12]


async def test_the_bars_of_five_hundred_components_are_one_query(
    database: Database, history: History
) -> None:
    slugs = [f"c{n}" for n in range(500)]
    events: list[Logged] = [a_catalog_change(a_catalog(*slugs))]
    events += [a_change(UP if n % 3 else DOWN, after(n), f"c{n % 500}/http") for n in range(1, 2000)]
    await record(database, *events)
    took = []
    for _ in range(3):
        before = process_time()
        bars = await history.days(slugs, after(86400), 90, UTC)
        took.append(process_time() - before)
    assert len(bars) == 500
    assert all(len(days) == 90 for days in bars.values())
    assert bars["c0"][-2].uptime.unknown + bars["c0"][-2].uptime.counted == 86_400_000
    assert min(took) < 1.0


# Latency


async def test_latency_is_merged_over_the_window(database: Database, history: History) -> None:
    samples = [a_sample(at=after(n), took=float(n)) for n in range(1, 600)]
    await record(database, a_catalog_change(a_catalog()), a_batch(*samples))
    found = await history.latency("api", NOON, after(600))
    assert found.count == 599
    for percent, expected in (50, 300), (95, 570), (99, 594):
        value = found.percentile(percent)
        assert value is not None
        assert abs(value - expected) <= 0.05 * expected + 1
    first = await history.latency("api", NOON, after(60))
    assert first.count == 59
    assert (await history.latency("web", NOON, after(600))).percentile(50) is None


async def lengths(database: Database) -> dict[int, int]:
    found = await rows(
        database, "SELECT length, sum(samples) AS samples FROM latency_rollups GROUP BY length"
    )
    return {row["length"]: row["samples"] for row in found}


async def test_minutes_become_hours_and_hours_days_and_no_sample_is_lost(
    database: Database, history: History
) -> None:
    dice = random.Random(1)
    samples = [
        a_sample(at=after(dice.randrange(3 * DAY)), took=dice.uniform(1, 5000), monitor=f"{slug}/http")
        for slug in ("api", "web")
        for _ in range(100)
    ]
    await record(database, a_catalog_change(a_catalog("api", "web")), a_batch(*samples))
    before = {slug: await history.latency(slug, NOON, after(4 * DAY)) for slug in ("api", "web")}
    assert await roll_up(database, after(0)) == 0
    # Two days and a half later: the first half day is old enough.
    gone = await roll_up(database, after(2.5 * DAY), at_once=7)
    parts = await lengths(database)
    assert gone > 0 < parts[HOUR] < 200
    assert parts[HOUR] + parts[MINUTE] == 200
    starts = await rows(database, "SELECT min(start) AS first FROM latency_rollups WHERE length = 60")
    assert starts[0]["first"] >= to_ms(after(DAY / 2))
    assert {slug: await whole(history, slug) for slug in before} == as_counts(before)
    # A sample that comes late joins the hour that is there.
    late = Recorder(database)
    await late.record(heard([("9-0", a_batch(a_sample(at=after(30), took=77.0)))]))
    before["api"].add(77.0)
    await roll_up(database, after(6 * DAY))
    assert (await lengths(database)).keys() == {HOUR}
    await roll_up(database, after(100 * DAY))
    assert await lengths(database) == {DAY: 201}
    assert await roll_up(database, after(100 * DAY)) == 0
    totals = {slug: await history.latency(slug, after(-DAY), after(4 * DAY)) for slug in before}
    assert as_counts(totals) == as_counts(before)


async def whole(history: History, slug: str) -> dict[int, int]:
    return (await history.latency(slug, NOON, after(4 * DAY))).counts


def as_counts(histograms: dict[str, Histogram]) -> dict[str, dict[int, int]]:
    return {slug: histogram.counts for slug, histogram in histograms.items()}


async def test_a_roll_up_whose_sums_differ_changes_nothing(database: Database) -> None:
    await record(database, a_catalog_change(a_catalog()), a_batch(a_sample()))
    async with database.writing() as transaction:
        await transaction.execute("UPDATE latency_rollups SET samples = 5")
    with pytest.raises(SumsDiffer, match="1 samples instead of 5"):
        await roll_up(database, after(3 * DAY))
    assert await lengths(database) == {MINUTE: 5}


async def test_a_roll_up_beside_a_recorder_counts_each_sample_once(database: Database) -> None:
    """Late samples of the very minutes that are being rolled up."""
    recorder = Recorder(database)
    await record_all(recorder, a_log(a_catalog_change(a_catalog())))

    async def keep_recording() -> None:
        for n in range(2, 102):
            batch = a_batch(*(a_sample(at=after(minute * 60)) for minute in range(5)))
            assert await recorder.record(heard([(f"{n}-0", batch)]))

    async def keep_rolling() -> None:
        while not recording.done():
            await roll_up(database, after(3 * DAY))

    recording = asyncio.create_task(keep_recording())
    await asyncio.gather(recording, keep_rolling())
    await roll_up(database, after(3 * DAY))
    assert await lengths(database) == {HOUR: 500}
