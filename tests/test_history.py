"""What was can be read back exactly: patches for those who resume, and uptime to the millisecond."""

from datetime import UTC, date, datetime, time, timedelta
from time import process_time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from app.db.change import Changes
from app.db.engine import Database
from app.db.history import History
from app.db.latency import DAY
from app.db.recorder import Recorder, forget_patches
from app.domain.actor import Actor
from app.domain.board import Board, Note, Patch
from app.domain.events import Logged
from app.domain.instant import to_ms
from app.domain.standing import State
from app.domain.status import Status
from app.domain.uptime import Span, uptime
from app.feed import Gap, Heard
from tests.make import (
    NOON,
    a_catalog,
    a_catalog_change,
    a_change,
    a_component,
    a_log,
    a_monitor,
    after,
)
from tests.rows import empty, in_batches, long_log, record_all, rows

pytest_plugins = ["tests.databases"]

UP, DOWN = State.UP, State.DOWN
MEI = Actor("user", "mei@example.org")


@pytest.fixture
async def history(database: Database) -> History:
    return History(database)


async def record(database: Database, *events: Logged) -> None:
    await record_all(Recorder(database), a_log(*events))


async def test_planned_work_is_dated_by_when_it_was_first_told_of(
    database: Database, history: History
) -> None:
    changes = Changes(database)
    async with changes.by(MEI, NOON) as change:
        await change.note("maintenance.schedule", "maintenance/m")
        await change.note("maintenance.schedule", "maintenance/other")
    async with changes.by(MEI, after(60)) as change:
        await change.note("maintenance.edit", "maintenance/m")
    assert await history.announced(["m", "unheard-of"]) == {"m": NOON}
    assert await history.announced([]) == {}


# Patches, for those who resume after a restart


def patches_of(log: list[tuple[str, Logged]]) -> list[Patch]:
    """What a screen would have been sent since the last change of the catalog."""
    board, patches = Board(), list[Patch]()
    for id, event in log:
        if (patch := board.fold(id, event)) is None:
            continue
        if patch.catalog:
            patches = []
        elif patch.is_news:
            patches.append(patch)
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


async def test_a_patch_of_a_newer_build_is_where_all_that_can_be_resumed_begins(
    database: Database, history: History
) -> None:
    """After a return to this one it must start: whoever comes from before that patch is sent a snapshot."""
    changes = [a_change(state, after(n)) for n, state in enumerate((UP, DOWN, UP))]
    events: list[Logged] = [a_catalog_change(a_catalog("api")), *changes]
    await record(database, *events)
    expected = patches_of(a_log(*events))
    async with database.writing() as transaction:
        said = '{"id": 7, "what": "is not known here"}'
        await transaction.execute("UPDATE patches SET patch = {} WHERE event = {}", said, expected[-2].id)
    with capture_logs() as logs:
        since, patches = await history.recent(500)
    assert (since, patches) == (expected[-2].id, expected[-1:])
    assert [log["event_id"] for log in logs] == [expected[-2].id]


async def test_recent_patches_begin_behind_a_hole_in_the_log(database: Database, history: History) -> None:
    recorder = Recorder(database)
    await record_all(recorder, a_log(a_catalog_change(a_catalog()), a_change(UP, after(1))))
    behind = [Heard("9-0", a_change(DOWN, after(3))), Heard("10-0", a_change(UP, after(4)))]
    assert await recorder.record([Gap("2-0", "9-0"), *behind])
    since, patches = await history.recent(500)
    assert since == "2-1"
    assert [patch.id for patch in patches] == ["9-0", "10-0"]


async def test_ids_of_a_log_that_is_gone_are_no_places_in_the_new_one(
    database: Database, history: History
) -> None:
    """Also when its own have passed them: it had begun anew under an earlier clock."""
    recorder = Recorder(database)
    await record_all(recorder, a_log(a_catalog_change(a_catalog()), a_change(UP, after(1))))
    await record_all(recorder, [("900-0", a_change(DOWN, after(2)))])
    anew = [Heard("5-0", a_change(UP, after(3))), Heard("901-0", a_change(DOWN, after(4)))]
    assert await recorder.record([Gap("900-0", "0-0"), *anew])
    since, patches = await history.recent(500)
    assert since == "900-1"
    assert [patch.id for patch in patches] == ["901-0"]


async def test_recent_patches_say_what_was_noted_beside_a_status_and_so_does_the_board(
    database: Database, history: History
) -> None:
    """Also where the note alone was news: the shop was unknown before."""
    router = a_component("router", a_monitor("router/icmp"))
    shop = a_component("shop", a_monitor("shop/http", depends_on=("router",)))
    log = a_log(
        a_catalog_change(a_catalog(router, shop, "api", "web")),
        a_change(DOWN, after(1), "api/http", flapping=True),
        a_change(DOWN, after(2), "router/icmp"),
        a_change(DOWN, after(3), "shop/http"),
        a_change(DOWN, after(4), "api/http"),
        a_change(DOWN, after(5), "web/http", flapping=True),
    )
    for item in log:
        await record_all(Recorder(database), [item])
    assert await history.recent(500) == ("1-0", patches_of(log))
    assert [patch.notes for patch in patches_of(log)] == [
        {"api": Note(flapping=True)},
        {},
        {"shop": Note(behind="router", name="Router")},
        {"api": Note()},
        {"web": Note(flapping=True)},
    ]
    board = await Recorder(database).load()
    assert {slug: shown.note for slug, shown in board.shown.items()} == {
        "router": Note(),
        "shop": Note(behind="router", name="Router"),
        "api": Note(),
        "web": Note(flapping=True),
    }


async def test_patches_of_long_ago_are_let_go(database: Database) -> None:
    changes = (a_change(DOWN if n % 2 else UP, after(n)) for n in range(1, 30))
    await record_all(Recorder(database), a_log(a_catalog_change(a_catalog()), *changes))
    await forget_patches(database, keep=7)
    found = await rows(database, "SELECT event FROM patches ORDER BY id")
    assert [row["event"] for row in found] == [f"{n}-0" for n in range(24, 31)]


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


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(
            st.floats(0.1, 20),
            st.sampled_from([0, 0, 0, 0.9, 3, 11]),
            st.sampled_from([UP, DOWN, State.DEGRADED]),
            st.sampled_from(["api", "web", "new"]),
        ),
        min_size=3,
        max_size=12,
    )
)
async def test_days_that_are_over_are_as_the_spans_say_also_when_something_comes_late(
    sqlite_database: Database, steps: list[tuple[float, float, State, str]]
) -> None:
    """Each event `late` days after it happened; what was worked out of those days before must not stand."""
    await empty(sqlite_database)
    now, slugs = NOON, ["api", "web", "new"]
    slow = [a_component(slug, a_monitor(f"{slug}/http", every=1e9)) for slug in slugs]
    told: list[tuple[float, Logged]] = [(0, a_catalog_change(a_catalog(*slow[:2])))]
    told += [(1, a_catalog_change(a_catalog(*slow), after(DAY)))]
    for days, late, state, slug in steps:
        now += timedelta(days=days)
        told.append((days, a_change(state, now - timedelta(days=late), f"{slug}/http")))
    recorder, one, log_time = Recorder(sqlite_database), History(sqlite_database), NOON
    for days, event in told:
        log_time += timedelta(days=days)
        await record_all(recorder, [(f"{to_ms(log_time)}-0", event)])
        at = log_time + timedelta(hours=3)
        assert await one.days(slugs, at, 30, UTC) == await History(sqlite_database).days(slugs, at, 30, UTC)
        midnight = datetime.combine(at.date() - timedelta(days=5), time(), UTC)
        for slug in slugs:
            day = (await one.days([slug], at, 30, UTC))[slug][-6]
            assert day.uptime == await one.uptime(slug, midnight, midnight + timedelta(days=1))


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
