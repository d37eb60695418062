"""record: what the feed says is in the database once, whatever ends the recorder or the database."""

import asyncio
import multiprocessing
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.db import latency
from app.db.engine import Database, DatabaseDown, PooledSQLiteEngine, connect
from app.db.recorder import Recorder
from app.domain.board import Board
from app.domain.events import Logged
from app.domain.instant import EPOCH, to_ms
from app.domain.monitor import Catalog
from app.domain.standing import State
from app.domain.status import Status
from app.feed import Feed, Gap, Heard
from tests.conftest import eventually
from tests.make import (
    API,
    NOON,
    a_batch,
    a_beat,
    a_catalog,
    a_catalog_change,
    a_change,
    a_component,
    a_log,
    a_monitor,
    a_retelling,
    a_sample,
    a_silence,
    a_standing,
    after,
    keyed,
)
from tests.rows import (
    a_database,
    config_for,
    empty,
    essence,
    folded,
    heard,
    in_batches,
    long_log,
    record_all,
    record_two_by_two,
    rows,
    spans,
)

pytest_plugins = ["tests.databases"]

UP, DOWN = State.UP, State.DOWN
NOON_MS = to_ms(NOON)


@pytest.fixture
async def recorder(database: Database) -> Recorder:
    return Recorder(database)


def at(seconds: float) -> int:
    return to_ms(after(seconds))


# What is written


async def test_a_change_ends_one_span_and_begins_another(recorder: Recorder, database: Database) -> None:
    log = a_log(
        a_catalog_change(a_catalog()), a_change(UP, after(1)), a_change(DOWN, after(9), since=after(7))
    )
    await record_all(recorder, log)
    assert await spans(database) == [
        ("unknown", at(0), at(1)),
        ("operational", at(1), at(7)),
        ("major_outage", at(7), None),
    ]


async def test_a_span_keeps_what_brought_it_about(recorder: Recorder, database: Database) -> None:
    change = a_change(
        DOWN, after(2), since=after(1), reason="timeout", detail="10.0.0.1: no answer", trace="t9"
    )
    await record_all(recorder, a_log(a_catalog_change(a_catalog()), change))
    [row] = await rows(database, "SELECT * FROM spans WHERE until IS NULL")
    assert (row["event"], row["n"], row["at"], row["was"]) == ("2-0", 0, at(2), "unknown")
    assert (row["monitor"], row["reason"], row["trace"]) == (API, "timeout", "t9")
    [row] = await rows(database, "SELECT * FROM monitor_regions")
    assert (row["key"], row["state"], row["since"], row["heard_at"]) == (
        "api/http@local",
        "down",
        at(1),
        at(2),
    )
    assert (row["reason"], row["detail"]) == ("timeout", "10.0.0.1: no answer")


async def test_a_state_that_lasted_no_time_leaves_no_span(recorder: Recorder, database: Database) -> None:
    log = a_log(
        a_catalog_change(a_catalog()),
        a_change(UP, after(1)),
        a_change(DOWN, after(1)),
        a_change(UP, after(1)),
    )
    for id, event in log:
        await record_all(recorder, [(id, event)])
    in_one = await spans(database)
    await empty(database)
    await record_all(Recorder(database), log)
    assert in_one == await spans(database) == [("unknown", at(0), at(1)), ("operational", at(1), None)]


async def test_an_event_that_comes_twice_is_written_once(recorder: Recorder, database: Database) -> None:
    log = a_log(a_catalog_change(a_catalog()), a_change(UP, after(1)), a_change(DOWN, after(2)))
    await record_all(recorder, log)
    before = await spans(database)
    await record_all(recorder, log)
    await record_all(recorder, log[1:])
    assert await spans(database) == before
    assert recorder.cursor == "3-0"


async def test_a_measurement_that_comes_twice_is_counted_once(recorder: Recorder, database: Database) -> None:
    log = a_log(a_catalog_change(a_catalog()), a_batch(a_sample(at=after(1))), a_batch(a_sample(at=after(2))))
    await record_all(recorder, log)
    await record_all(recorder, log[1:])
    assert [row["samples"] for row in await rows(database, "SELECT samples FROM latency_fresh")] == [2]


async def test_the_tables_themselves_refuse_a_second_state_and_a_second_row(
    recorder: Recorder, database: Database
) -> None:
    """The last line of defence, behind the cursor."""
    await record_all(recorder, a_log(a_catalog_change(a_catalog()), a_change(UP, after(1))))
    for row in ("('api', 'x-0', 0)", "('other', '2-0', 0)"), ("('other', '2-0', 0)",) * 2:
        with pytest.raises((sqlite3.IntegrityError, asyncpg.UniqueViolationError)):
            async with database.writing() as transaction:
                for values in row:
                    await transaction.execute(f"INSERT INTO spans (component, event, n) VALUES {values}")


async def test_a_component_that_leaves_has_its_span_closed_and_comes_back_unknown(
    recorder: Recorder, database: Database
) -> None:
    both, one = a_catalog("api", "web"), a_catalog("web")
    log = a_log(
        a_catalog_change(both),
        a_change(UP, after(1)),
        a_catalog_change(one, after(5)),
        a_catalog_change(both, after(9)),
    )
    await record_all(recorder, log)
    assert await spans(database) == [
        ("unknown", at(0), at(1)),
        ("operational", at(1), at(5)),
        ("unknown", at(9), None),
    ]
    assert await spans(database, "web") == [("unknown", at(0), None)]
    assert [row["slug"] for row in await rows(database, "SELECT slug FROM components ORDER BY position")] == [
        "api",
        "web",
    ]


async def test_a_worker_whose_clock_is_ahead_makes_no_spans_overlap(
    recorder: Recorder, database: Database
) -> None:
    both, one = a_catalog("api", "web"), a_catalog("web")
    log = a_log(
        a_catalog_change(both),
        a_change(UP, after(1)),
        a_change(DOWN, after(90)),
        a_catalog_change(one, after(5)),
        a_catalog_change(both, after(6)),
    )
    for item in log:
        await record_all(recorder, [item])
    assert await spans(database) == [
        ("unknown", at(0), at(1)),
        ("operational", at(1), at(5)),
        ("unknown", at(6), None),
    ]


async def test_a_clock_that_is_set_back_makes_no_spans_overlap(
    recorder: Recorder, database: Database
) -> None:
    both, one = a_catalog("api", "web"), a_catalog("web")
    log = a_log(
        a_catalog_change(both),
        a_change(UP, after(1)),
        a_change(DOWN, after(4)),
        a_catalog_change(one, after(5)),
        a_catalog_change(both, after(3)),
    )
    for item in log:
        await record_all(recorder, [item])
    assert await spans(database) == [
        ("unknown", at(0), at(1)),
        ("operational", at(1), at(3)),
        ("unknown", at(3), None),
    ]


async def test_a_monitor_that_moves_keeps_its_standing(recorder: Recorder) -> None:
    monitor = a_monitor()
    first = a_catalog(a_component("api", monitor), a_component("web"), groups=("A", "B"))
    second = a_catalog(
        a_component("web", a_monitor("web/http"), monitor, group="B"), groups=("B",), page=first.page
    )
    log = a_log(a_catalog_change(first), a_change(DOWN, after(1)), a_catalog_change(second, after(2)))
    for item in log:
        await record_all(recorder, [item])
    board = await recorder.load()
    assert essence(board) == essence(folded(log))
    assert board.shown["web"].status is Status.PARTIAL
    assert board.catalog.revision == second.revision


async def test_samples_become_one_histogram_a_minute(recorder: Recorder, database: Database) -> None:
    two = a_component("api", a_monitor(), a_monitor("api/tcp"))
    await record_all(recorder, a_log(a_catalog_change(a_catalog(two))))
    samples = [
        a_batch(a_sample(at=after(10), took=100.0), a_sample(at=after(70), took=200.0)),
        a_batch(
            a_sample(at=after(20), took=100.0),
            a_sample(at=after(21), took=None),
            a_sample(at=after(22), took=900.0, late=True),
            a_sample(at=after(23), took=900.0, monitor="api/tcp"),
            a_sample(at=after(24), took=900.0, monitor="nobody's"),
        ),
        a_batch(a_sample(at=after(25), took=900.0), region="elsewhere"),
        a_batch(a_sample(at=after(30), took=1.0)),
    ]
    for n, event in enumerate(samples, 2):
        await record_all(recorder, [(f"{n}-0", event)])
    [row] = await rows(database, "SELECT * FROM latency_fresh")
    assert (row["component"], row["start"], row["samples"]) == ("api", at(0), 4)
    assert sorted(latency.pieces_of(row["said"])) == [(0, 0), (0, 49), (0, 49), (1, 56)]


async def test_what_two_recorders_measure_by_turns_is_in_one_row(
    recorder: Recorder, database: Database
) -> None:
    await record_all(recorder, [("1-0", a_catalog_change(a_catalog()))])
    for n in range(2, 6):
        assert await recorder.record(heard([(f"{n}-0", a_batch(a_sample()))]))
    other = Recorder(database)
    assert await other.record(heard([("6-0", a_batch(a_sample()))]))
    last = heard([("7-0", a_batch(a_sample()))])
    assert not await recorder.record(last)
    assert await recorder.record(last)
    found = await rows(database, "SELECT samples FROM latency_fresh")
    assert [row["samples"] for row in found] == [6]


async def test_a_hole_in_the_log_is_written_down_and_the_board_is_kept(
    recorder: Recorder, database: Database
) -> None:
    await record_all(recorder, a_log(a_catalog_change(a_catalog()), a_change(UP, after(1))))
    assert await recorder.record([Gap("2-0", "9-0"), Heard("9-0", a_change(DOWN, after(5)))])
    assert await recorder.record([Gap("9-0", "0-0")])
    assert recorder.cursor == "0-0"
    # The log has begun anew, under a clock that stands earlier.
    assert await recorder.record(heard([("3-0", a_change(UP, after(9)))]))
    found = await rows(database, "SELECT * FROM gaps ORDER BY id")
    assert [(row["after"], row["before"]) for row in found] == [("2-0", "9-0"), ("9-0", "0-0")]
    assert (await spans(database))[-2:] == [("major_outage", at(5), at(9)), ("operational", at(9), None)]
    assert recorder.cursor == (await recorder.load()).id == "3-0"


async def test_what_a_log_that_lost_its_end_was_told_under_a_slower_clock_is_recorded(
    recorder: Recorder, database: Database
) -> None:
    await record_all(recorder, a_log(a_catalog_change(a_catalog()), a_change(UP, after(1))))
    await record_all(recorder, [("900-0", a_change(DOWN, after(5)))])
    assert await recorder.record([Gap("900-0", "2-0"), Heard("3-0", a_change(UP, after(9)))])
    assert (await spans(database))[-2:] == [("major_outage", at(5), at(9)), ("operational", at(9), None)]
    assert recorder.cursor == (await recorder.load()).id == "3-0"


async def test_a_hole_that_is_told_again_before_the_next_event_is_one_row(
    recorder: Recorder, database: Database
) -> None:
    """The cursor cannot move into the hole: who dies there is told of it once more."""
    await record_all(recorder, a_log(a_catalog_change(a_catalog())))
    assert await recorder.record([Gap("1-0", "9-0")])
    assert recorder.cursor == "1-0"
    assert await Recorder(database).record([Gap("1-0", "9-0"), Heard("9-0", a_change(DOWN, after(5)))])
    assert len(await rows(database, "SELECT * FROM gaps")) == 1


async def test_beats_are_not_recorded(recorder: Recorder) -> None:
    assert await recorder.record([Heard("", a_beat())])
    assert recorder.cursor == "0-0"


async def test_what_a_target_said_can_hold_no_character_that_stops_the_recorder(recorder: Recorder) -> None:
    nasty = a_change(DOWN, after(1), reason="bad \0 answer", detail="\0\ud800 \N{SNOWMAN}")
    await record_all(recorder, a_log(a_catalog_change(a_catalog()), nasty))
    board = await recorder.load()
    assert board.shown["api"].reason == "bad \N{REPLACEMENT CHARACTER} answer"
    assert board.standings[API, "local"].detail == "\N{REPLACEMENT CHARACTER}? \N{SNOWMAN}"


# Load is a fold over the log

EARLY = EPOCH + timedelta(days=1)
REGIONS = ("eu", "us", "ap")


def quick(key: str, *regions: str, **other: object) -> object:
    """Best before 250 ms, so that silences come by themselves."""
    return a_monitor(key, every=0.1, timeout=0.05, regions=regions, **other)


CATALOGS = [
    a_catalog(
        a_component("api", quick("a", *REGIONS), quick("b", "eu")),
        a_component("web", quick("w", "eu", "us", depends_on=("b",)), group="G"),
        groups=("G", "H"),
    ),
    a_catalog(
        a_component("api", quick("a", "eu", "us")), a_component("new", quick("w", "us"), quick("b", "eu"))
    ),
    a_catalog(a_component("web", quick("w", "eu", "us"))),
    Catalog(),
]
WINDOW = 3000  # milliseconds in which all of it happens


def instant(ms: int) -> datetime:
    return EARLY + timedelta(milliseconds=ms)


@st.composite
def logs(draw: st.DrawFn) -> list[tuple[str, Logged]]:
    """Any events in any order, from workers with clocks of their own."""
    monitors, regions = st.sampled_from("abw"), st.sampled_from(REGIONS)
    states = st.sampled_from([UP, DOWN, State.DEGRADED])
    events: list[Logged] = [a_catalog_change(CATALOGS[0], instant(0))]
    now = 0
    for kind in draw(st.lists(st.sampled_from("sssssrrmmmqqc"), max_size=40)):
        now = min(WINDOW - 1, max(0, now + draw(st.integers(-60, 150))))
        back = max(0, now - draw(st.sampled_from([0, 0, 1, 50, 400])))
        if kind == "s":
            events.append(
                a_change(
                    *(draw(states), instant(now), draw(monitors), draw(regions), instant(back)),
                    reason=kind,
                    flapping=draw(st.booleans()),
                )
            )
        elif kind == "r":
            told = [
                a_standing(draw(states), instant(back), draw(monitors), draw(regions))
                for _ in range(draw(st.integers(0, 3)))
            ]
            events.append(a_retelling(*told, at=instant(now)))
        elif kind == "m":
            samples = [
                a_sample(draw(states), instant(back), draw(monitors), took=draw(st.floats(0, 1e6)))
                for _ in range(draw(st.integers(1, 3)))
            ]
            events.append(a_batch(*samples, region=draw(regions)))
        elif kind == "q":
            events.append(a_silence(instant(back), draw(monitors), draw(regions)))
        else:
            events.append(a_catalog_change(draw(st.sampled_from(CATALOGS)), instant(now)))
    return a_log(*events)


on_a_database = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@on_a_database
@given(log=logs(), seed=st.integers(0, 99))
async def test_load_gives_the_board_that_a_fold_over_the_log_gives(
    database: Database, log: list[tuple[str, Logged]], seed: int
) -> None:
    await empty(database)
    recorder = Recorder(database)
    for n, batch in enumerate(in_batches(log, seed)):
        # Each other time it has just been started.
        recorder = recorder if n % 2 else Recorder(database)
        await record_all(recorder, batch)
    assert essence(await recorder.load()) == essence(folded(log))


async def test_a_region_that_is_found_silent_by_another_ones_word_is_so_after_a_restart_too(
    recorder: Recorder,
) -> None:
    """Nobody was awake to say it; its old word must not be weighed again with the next one."""
    catalog = a_catalog(a_component("api", a_monitor(regions=("eu", "us"))))
    log = a_log(
        a_catalog_change(catalog),
        a_change(DOWN, after(1), region="us"),
        a_change(DOWN, after(600), region="eu"),
        a_batch(a_sample(UP, after(1200)), region="us"),
    )
    for item in log:
        await record_all(recorder, [item])
        assert essence(await recorder.load()) == essence(folded(log[: log.index(item) + 1]))


async def test_since_when_it_has_been_out_is_known_after_a_restart(recorder: Recorder) -> None:
    """Partly or wholly, through any number of changes between the two."""
    shop = a_component("shop", a_monitor("shop/http"), a_monitor("shop/tcp"))
    changes = [a_change(DOWN if n % 2 else UP, after(10 + n / 10), "shop/tcp") for n in range(1, 250)]
    log = a_log(
        a_catalog_change(a_catalog(shop, "api")),
        *(a_change(UP, after(1), key) for key in ("shop/http", "shop/tcp", API)),
        a_change(DOWN, after(2), "shop/http"),
        a_change(UP, after(3), "shop/http"),
        a_change(DOWN, after(10), "shop/http"),
        *changes,
    )
    await record_all(recorder, log)
    shown = (await recorder.load()).shown
    assert (shown["shop"].out, shown["api"].out) == (after(10), None)
    assert shown["shop"].out == folded(log).shown["shop"].out


@on_a_database
@given(log=logs(), seed=st.integers(0, 99))
async def test_spans_say_of_each_millisecond_what_the_patches_said(
    database: Database, log: list[tuple[str, Logged]], seed: int
) -> None:
    await empty(database)
    recorder = Recorder(database)
    for batch in in_batches(log, seed):
        await record_all(recorder, batch)
    expected = painted(log)
    for component in ("api", "web", "new"):
        found = await spans(database, component)
        line: list[str | None] = [None] * WINDOW
        end = 0
        for status, since, until in found:
            since, until = (None if ms is None else ms - to_ms(EARLY) for ms in (since, until))  # type: ignore[assignment]
            stop = WINDOW if until is None else until
            assert end <= since < stop, f"{found} overlap, or one is empty"
            line[since:stop] = [status] * (stop - since)
            end = stop
        assert line == expected[component]


def painted(log: Sequence[tuple[str, Logged]]) -> dict[str, list[str | None]]:
    """The naive reference: a cell for each millisecond, painted over by each patch from its instant on."""
    board = Board()
    lines: dict[str, list[str | None]] = {slug: [None] * WINDOW for slug in ("api", "web", "new")}

    def paint(slug: str, since: datetime, status: str | None) -> None:
        first = (since - EARLY) // timedelta(milliseconds=1)
        lines[slug][first:] = [status] * (WINDOW - first)

    for id, event in log:
        shown = set(board.shown)
        if (patch := board.fold(id, event)) is None:
            continue
        for slug in shown - set(board.shown):
            paint(slug, patch.at, None)
        for slug in set(board.shown) - shown:
            paint(slug, patch.at, "unknown")
        for change in patch.changes:
            paint(change.slug, change.since, change.status.value)
    return lines


# Crashes


async def everything(database: Database) -> dict[str, list[dict[str, object]]]:
    """All rows, without the numbers that a rolled back transaction may skip."""
    found = {}
    for table, order in (
        ("spans", "event, component, n"),
        ("monitor_regions", "key"),
        ("latency_fresh", "component, start"),
        ("patches", "event"),
        ("components", "slug"),
        ("monitors", "key"),
        ("feed_cursor", "name"),
        ("settings", "name"),
    ):
        found[table] = await rows(database, f"SELECT * FROM {table} ORDER BY {order}")
        for row in found[table]:
            row.pop("id", None)
    return found


async def recorded_in_peace(url: str, log: list[tuple[str, Logged]]) -> dict[str, list[dict[str, object]]]:
    async with a_database(url) as database:
        await record_all(Recorder(database), log)
        return await everything(database)


async def test_a_recorder_that_is_cancelled_at_any_point_loses_and_repeats_nothing(
    database: Database, tmp_path: Path
) -> None:
    log = long_log(120)
    batches = in_batches(log, 1)
    recorder = Recorder(database)
    await record_all(recorder, batches[0])
    cancelled = 0
    for n, batch in enumerate(batches[1:]):
        steps = n % 3
        while True:
            task = asyncio.create_task(recorder.record(heard(batch)))
            # Each try comes further than the last one, and few of them stop at the same point.
            for _ in range(steps := 1 + steps * 5 // 4):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
                break
            cancelled += 1
    assert cancelled > len(batches)
    assert await everything(database) == await recorded_in_peace(f"sqlite:///{tmp_path}/calm.db", log)


async def test_a_recorder_that_is_killed_in_the_middle_loses_and_repeats_nothing(
    database: Database, prepared_url: str, tmp_path: Path
) -> None:
    """SIGKILL, again and again, at any instant."""
    nursery = multiprocessing.get_context("forkserver")
    nursery.set_forkserver_preload(["tests.rows"])
    dice, killed, done = random.Random(3), 0, False
    while not done:
        ours, theirs = nursery.Pipe()
        process = nursery.Process(target=record_two_by_two, args=(prepared_url, theirs))
        process.start()
        assert await asyncio.to_thread(ours.recv) == "ready"
        # The first three so soon that no machine is quick enough to be done.
        patience = dice.uniform(0, 0.02) if killed < 3 else dice.uniform(0.01, 0.15) if killed < 6 else 60
        done = await asyncio.to_thread(ours.poll, patience)
        process.kill()
        killed += not done
        await asyncio.to_thread(process.join)
        process.close()
    assert killed >= 3
    assert await everything(database) == await recorded_in_peace(f"sqlite:///{tmp_path}/calm.db", long_log())


# Two recorders, and the feed


async def test_of_two_recorders_the_second_writes_nothing(database: Database) -> None:
    log = a_log(a_catalog_change(a_catalog()), a_change(UP, after(1)), a_change(DOWN, after(2)))
    first, second = Recorder(database), Recorder(database)
    await record_all(first, log[:1])
    await record_all(second, log[1:2])
    assert not await first.record(heard(log[1:]))
    assert await first.record(heard(log[1:]))
    assert not await second.record(heard(log[2:]))
    assert len(await spans(database)) == 3


@asynccontextmanager
async def running(recorder: Recorder, feed_url: str) -> AsyncIterator[None]:
    feed = Feed(feed_url, beat=0.5)
    task = asyncio.create_task(recorder.run(feed))
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await feed.close()


async def announce(feed_url: str, events: Sequence[Logged], producer: str = "p", start: int = 1) -> None:
    feed = Feed(feed_url)
    await feed.announce(keyed(producer, events, start))
    await feed.close()


async def test_two_recorders_that_run_at_once_write_each_change_once(
    database: Database, prepared_url: str, redis_url: str
) -> None:
    other = await connect(config_for(prepared_url))
    first, second = Recorder(database, stand_by=0.2), Recorder(other, stand_by=0.2)
    try:
        async with running(first, redis_url), running(second, redis_url):
            await announce(redis_url, [a_catalog_change(a_catalog("api", "web"))], "catalog")
            for n in range(1, 41):
                state = UP if n % 2 else DOWN
                changes = [a_change(state, after(n), f"{slug}/http") for slug in ("api", "web")]
                await announce(redis_url, changes, start=2 * n)
                await asyncio.sleep(0.02)
            await eventually(lambda: len_is(database, 82), within=10)
            await eventually(lambda: first.cursor == second.cursor)
            assert {first.state, second.state} == {"ok"}
            assert first.lag == second.lag == 0
    finally:
        await other.close()
    for slug in ("api", "web"):
        found = await spans(database, slug)
        assert [since for _, since, _ in found] == [at(n) for n in range(41)]
        assert [until for _, _, until in found] == [*(at(n) for n in range(1, 41)), None]


async def len_is(database: Database, n: int) -> bool:
    return len(await rows(database, "SELECT id FROM spans")) == n


async def test_when_one_recorder_ends_the_other_takes_over(
    database: Database, prepared_url: str, redis_url: str
) -> None:
    other = await connect(config_for(prepared_url))
    first, second = Recorder(database, stand_by=0.2), Recorder(other, stand_by=0.2)
    try:
        async with running(second, redis_url):
            async with running(first, redis_url):
                await announce(redis_url, [a_catalog_change(a_catalog()), a_change(UP, after(1))])
                await eventually(lambda: len_is(database, 2))
            await announce(redis_url, [a_change(DOWN, after(2))], start=3)
            await eventually(lambda: len_is(database, 3))
    finally:
        await other.close()


async def test_a_restarted_recorder_goes_on_where_it_stopped(database: Database, redis_url: str) -> None:
    async with running(Recorder(database), redis_url):
        await announce(redis_url, [a_catalog_change(a_catalog()), a_change(UP, after(1))])
        await eventually(lambda: len_is(database, 2))
    await announce(redis_url, [a_change(DOWN, after(2)), a_change(UP, after(3))], start=3)
    async with running(Recorder(database), redis_url):
        await eventually(lambda: len_is(database, 4))


async def test_more_waiting_events_than_the_queue_holds_are_recorded_in_order(
    database: Database, redis_url: str
) -> None:
    """The follower waits, and Redis remembers."""
    events: list[Logged] = [a_catalog_change(a_catalog())]
    events += [a_change(DOWN if n % 2 else UP, after(n)) for n in range(1, 3000)]
    await announce(redis_url, events)
    async with running(Recorder(database), redis_url):
        await eventually(lambda: len_is(database, 3000), within=20)
    assert [since for _, since, _ in await spans(database)] == [at(n) for n in range(3000)]


async def test_old_minutes_are_rolled_up_in_passing(database: Database, redis_url: str) -> None:
    await record_all(Recorder(database), a_log(a_catalog_change(a_catalog()), a_batch(a_sample())))
    async with running(Recorder(database, tidy=0.05), redis_url):
        await eventually(lambda: is_rolled_up(database))


async def test_a_roll_up_that_fails_is_tried_again(database: Database, redis_url: str) -> None:
    await record_all(Recorder(database), a_log(a_catalog_change(a_catalog()), a_batch(a_sample())))
    await run_ddl(database, "UPDATE latency_fresh SET samples = 2")
    async with running(Recorder(database, tidy=0.01), redis_url):
        await asyncio.sleep(0.1)
        assert not await is_rolled_up(database)
        await run_ddl(database, "UPDATE latency_fresh SET samples = 1")
        await eventually(lambda: is_rolled_up(database))


async def is_rolled_up(database: Database) -> bool:
    lengths = await rows(database, "SELECT length FROM latency_sheets")
    return [row["length"] for row in lengths] == [latency.DAY]


# Trouble


async def set_on_writer(database: Database, pragma: str) -> None:
    """A root user's file is never read-only, and a real disk takes long to fill: so SQLite itself is told."""
    assert isinstance(database.engine, PooledSQLiteEngine)
    writer = await database.engine._writers.get()
    await writer.execute_fetchall(pragma)
    database.engine._writers.put_nowait(writer)


async def test_a_full_database_is_said_in_a_sentence_and_goes_on_once_there_is_room(
    sqlite_database: Database, redis_url: str
) -> None:
    recorder = Recorder(sqlite_database)
    async with running(recorder, redis_url):
        await announce(redis_url, [a_catalog_change(a_catalog())], "catalog")
        await eventually(lambda: len_is(sqlite_database, 1))
        await set_on_writer(sqlite_database, "PRAGMA max_page_count = 1")
        events = [a_change(UP if n % 2 else DOWN, after(n), detail="x" * 500) for n in range(1, 2001)]
        await announce(redis_url, events)
        await eventually(lambda: recorder.state == "the database is full")
        assert recorder.lag > 0
        await set_on_writer(sqlite_database, "PRAGMA max_page_count = 1000000")
        await eventually(lambda: len_is(sqlite_database, 2001), within=10)
        await eventually(lambda: recorder.state == "ok" and recorder.lag == 0)
    assert recorder.cursor != "0-0"


async def test_a_read_only_sqlite_goes_on_once_it_can_be_written(
    sqlite_database: Database, redis_url: str
) -> None:
    recorder = Recorder(sqlite_database)
    async with running(recorder, redis_url):
        await announce(redis_url, [a_catalog_change(a_catalog())], "catalog")
        await eventually(lambda: len_is(sqlite_database, 1))
        await set_on_writer(sqlite_database, "PRAGMA query_only = ON")
        await announce(redis_url, [a_change(UP, after(1)), a_change(DOWN, after(2))])
        await eventually(lambda: recorder.state == "the database is read-only")
        await set_on_writer(sqlite_database, "PRAGMA query_only = OFF")
        await eventually(lambda: len_is(sqlite_database, 3), within=10)
        await eventually(lambda: recorder.state == "ok")


async def test_a_read_only_or_full_postgres_goes_on_once_it_can_be_written(
    postgres_url: str, redis_url: str
) -> None:
    async with a_database(postgres_url) as database:
        admin = await asyncpg.connect(postgres_url)
        name = await admin.fetchval("SELECT current_database()")
        recorder = Recorder(database)
        try:
            async with running(recorder, redis_url):
                await announce(redis_url, [a_catalog_change(a_catalog())], "catalog")
                await eventually(lambda: len_is(database, 1))
                await admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
                await end_other_connections(admin)
                await announce(redis_url, [a_change(UP, after(1))])
                await eventually(lambda: recorder.state == "the database is read-only")
                await admin.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
                await eventually(lambda: len_is(database, 2), within=10)
                # A disk that is full at once is hard to come by; what Postgres then says is not.
                await admin.execute(
                    "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS"
                    " $$BEGIN RAISE 'no space left on device' USING ERRCODE = '53100'; END$$"
                )
                await admin.execute(
                    "CREATE TRIGGER no_room BEFORE INSERT ON spans FOR EACH ROW EXECUTE FUNCTION no_room()"
                )
                await announce(redis_url, [a_change(DOWN, after(2))], start=2)
                await eventually(lambda: recorder.state == "the database is full")
                await admin.execute("DROP TRIGGER no_room ON spans")
                await eventually(lambda: len_is(database, 3), within=10)
                await eventually(lambda: recorder.state == "ok")
        finally:
            await admin.close()


async def end_other_connections(admin: asyncpg.Connection) -> None:
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


async def test_a_postgres_that_throws_us_out_again_and_again_gets_every_event_once(
    postgres_url: str, redis_url: str
) -> None:
    async with a_database(postgres_url) as database:
        admin = await asyncpg.connect(postgres_url)
        try:
            async with running(Recorder(database), redis_url):
                await announce(redis_url, [a_catalog_change(a_catalog())], "catalog")
                for n in range(1, 301):
                    await announce(redis_url, [a_change(UP if n % 2 else DOWN, after(n))], start=n)
                    if n % 30 == 0:
                        await end_other_connections(admin)
                found = "SELECT count(*) FROM spans"
                await eventually(lambda: count_is(admin, found, 301), within=20)
        finally:
            await admin.close()
        assert [since for _, since, _ in await spans(database)] == [at(n) for n in range(301)]


async def count_is(admin: asyncpg.Connection, query: str, n: int) -> bool:
    return bool(await admin.fetchval(query) == n)


async def test_a_failed_batch_is_raised_as_one_sentence_and_can_be_recorded_again(
    sqlite_database: Database,
) -> None:
    recorder = Recorder(sqlite_database)
    log = a_log(a_catalog_change(a_catalog()), a_change(UP, after(1)))
    await record_all(recorder, log[:1])
    await set_on_writer(sqlite_database, "PRAGMA query_only = ON")
    with pytest.raises(DatabaseDown, match=r"\.db is read-only; make the file"):
        await recorder.record(heard(log[1:]))
    await set_on_writer(sqlite_database, "PRAGMA query_only = OFF")
    await record_all(recorder, log[1:])
    assert await spans(sqlite_database) == [("unknown", at(0), at(1)), ("operational", at(1), None)]


async def test_an_error_of_our_own_stops_nothing_for_good(database: Database, redis_url: str) -> None:
    """Here a table that somebody has taken away; the recorder says so until it is back."""
    recorder = Recorder(database)
    async with running(recorder, redis_url):
        await announce(redis_url, [a_catalog_change(a_catalog())])
        await eventually(lambda: len_is(database, 1))
        await run_ddl(database, "ALTER TABLE monitor_regions RENAME TO elsewhere")
        await announce(redis_url, [a_change(UP, after(1))], start=2)
        await eventually(lambda: recorder.state == "the database lacks tables of this version")
        await run_ddl(database, "ALTER TABLE elsewhere RENAME TO monitor_regions")
        await run_ddl(database, "ALTER TABLE spans RENAME COLUMN n TO m")
        await eventually(lambda: recorder.state != "ok")
        await run_ddl(database, "ALTER TABLE spans RENAME COLUMN m TO n")
        await eventually(lambda: len_is(database, 2), within=10)
        await eventually(lambda: recorder.state == "ok")


async def test_a_database_that_was_away_at_the_start_is_well_again_without_any_event(
    database: Database, redis_url: str
) -> None:
    recorder = Recorder(database)
    await run_ddl(database, "ALTER TABLE feed_cursor RENAME TO elsewhere")
    async with running(recorder, redis_url):
        await eventually(lambda: recorder.state == "the database lacks tables of this version")
        await run_ddl(database, "ALTER TABLE elsewhere RENAME TO feed_cursor")
        await eventually(lambda: recorder.state == "ok")


async def run_ddl(database: Database, statement: str) -> None:
    async with database.writing() as transaction:
        await transaction.execute(statement)


@pytest.mark.no_cover  # counting lines would make it three times as long
async def test_a_board_of_ten_thousand_monitors_loads_within_seconds(database: Database) -> None:
    components = [
        a_component(f"c{i}", *(a_monitor(f"c{i}/http-{k}") for k in range(10))) for i in range(1000)
    ]
    events: list[Logged] = [a_catalog_change(a_catalog(*components))]
    events.append(
        a_retelling(*(a_standing(UP, NOON, f"c{i}/http-{k}") for i in range(1000) for k in range(10)))
    )
    recorder = Recorder(database)
    await record_all(recorder, a_log(*events))
    took = []
    for _ in range(3):
        # Of our own processor: how busy the machine is with other things is no matter here.
        before = time.process_time()
        board = await recorder.load()
        took.append(time.process_time() - before)
    assert len(board.standings) == 10_000
    # A second where nothing else has run; at the end of a suite the collector has much more to look at.
    assert min(took) <= 3.0
