"""The patrol: who is looked at when, and what becomes of the answer."""

import asyncio
import gzip
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from typing import TypeVar

import msgspec
import pytest
from msgspec.structs import replace

from app.domain.events import Known, Logged, Retelling, Sample, Samples, StateChange
from app.domain.instant import EPOCH
from app.domain.monitor import Catalog, Component, Expect, Monitor
from app.domain.result import Outcome, Phases, Result
from app.domain.share import place
from app.domain.standing import Standing, State
from app.feed import Feed, Heard
from tests.conftest import eventually
from tests.targets import (
    OK,
    Behaviour,
    Target,
    asking,
    black_hole,
    closed_port,
    listening,
    redirect,
    repeating,
    response,
    saying,
    silent,
)
from workers.main import end
from workers.outbox import Outbox
from workers.patrol import Patrol, doubt, is_fresh, is_late, retry_after
from workers.probes import PROBES, Probes
from workers.probes.equipment import Equipment, Probe
from workers.probes.run import Run, Unfit

E = TypeVar("E", bound=Logged)


class Worker:
    """A patrol with all it needs, and what a server hears of it."""

    def __init__(self, url: str) -> None:
        self.feed = Feed(url, beat=1.0)
        self.probes = Probes()
        self.outbox = Outbox(self.feed, "worker-boot")
        self.patrol = Patrol(self.probes, self.outbox, "worker", "local")
        self.heard: list[Logged] = []

    def assign(self, *monitors: Monitor) -> int:
        return self.patrol.assign(catalog(*monitors))

    def events(self, kind: type[E]) -> list[E]:
        return [event for event in self.heard if isinstance(event, kind)]

    def samples(self, key: str) -> list[Sample]:
        return [s for event in self.events(Samples) for s in event.samples if s.monitor == key]

    def changes(self, key: str) -> list[State]:
        return [e.standing.state for e in self.events(StateChange) if e.standing.monitor == key]

    async def listen(self) -> None:
        async for item in self.feed.follow("0-0"):
            if isinstance(item, Heard):
                self.heard.append(item.event)  # type: ignore[arg-type]


@pytest.fixture
async def worker(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Worker]:
    monkeypatch.setattr("workers.patrol.FLUSH_EVERY", 0.1)
    worker = Worker(redis_url)
    await worker.probes.warm_up()
    activities = (worker.patrol.patrol(), worker.outbox.deliver(), worker.listen())
    tasks = [asyncio.create_task(activity) for activity in activities]
    try:
        yield worker
        assert not any(task.done() for task in tasks), "an activity has ended"
    finally:
        await end(tasks)
        await worker.probes.close()
        await worker.feed.close()


def catalog(*monitors: Monitor) -> Catalog:
    return Catalog(components=(Component(slug="c", name="C", monitors=monitors),))


def monitor(key: str, target: Target | str, every: float = 0.2, **fields: object) -> Monitor:
    url = target if isinstance(target, str) else target.url
    return Monitor(key=key, kind="http", target=url, every=every, **({"timeout": 0.3} | fields))  # type: ignore[arg-type]


def early(name: str) -> str:
    """A key whose place in every interval is near its beginning, so that a test need not wait for it."""
    return next(key for key in (f"{name}-{n}" for n in range(10_000)) if place(key) < 0.05)


def after_slot(visit: float, key: str, every: float) -> float:
    """How long after its slot, which is laid out by the wall clock, a visit came."""
    return (visit + time.time() - time.monotonic() - place(key) * every) % every


# When


async def test_every_monitor_is_looked_at_soon_and_not_all_at_once(worker: Worker) -> None:
    first: dict[str, float] = {}

    def answer(head: str) -> bytes:
        first.setdefault(head.split()[1], time.monotonic() - began)
        return OK

    async with listening(asking(answer)) as target:
        began = time.monotonic()
        worker.assign(*(monitor(f"m{n}", f"{target.url}/{n}", every=1.0) for n in range(100)))
        await eventually(lambda: len(first) == 100)
    assert max(first.values()) < 1.5
    tenths = Counter(int(at * 10) for at in first.values())
    assert max(tenths.values()) <= 60 and len(tenths) >= 5


async def test_with_a_long_interval_a_newcomer_sees_colours_within_seconds(worker: Worker) -> None:
    async with listening(saying(OK)) as target:
        worker.assign(*(monitor(f"m{n}", target, every=3600.0) for n in range(20)))
        await eventually(lambda: len(worker.events(StateChange)) == 20, within=2.6)


async def test_the_beat_does_not_drift(worker: Worker) -> None:
    async with listening(asking(lambda _: OK)) as target:
        key = early("steady")
        worker.assign(monitor(key, target, every=0.1))
        await eventually(lambda: len(target.visits) >= 20)
        # Each is in its slot, up to the jitter of a twentieth; what one is late is not added to the next.
        offsets = sorted(after_slot(visit, key, 0.1) for visit in target.visits[2:])
        assert offsets[len(offsets) // 2] < 0.02


async def test_one_monitor_is_never_looked_at_twice_at_once_and_what_is_missed_is_counted(
    worker: Worker,
) -> None:
    async with listening(saying(b"", OK, pause=0.22)) as target:
        key = early("slow")
        worker.assign(monitor(key, target, every=0.1, timeout=1.0))
        await eventually(lambda: len(target.visits) >= 6)
        assert worker.patrol.beat(1.0).missed >= 8
    # It answers after 0.22 s and closes later still, so two are open for a moment, but never three.
    assert target.most_open <= 2
    # And those slots that are kept are still its own.
    offsets = sorted(after_slot(visit, key, 0.1) for visit in target.visits[1:])
    assert offsets[len(offsets) // 2] < 0.02


async def test_not_even_a_reload_makes_two_looks_at_once(worker: Worker) -> None:
    async with listening(silent) as target:
        key = early("edited")
        for retries in range(8):
            worker.assign(monitor(key, target, every=0.1, timeout=0.3, retries=retries))
            await eventually(lambda: target.open)
            await asyncio.sleep(0.05)
        assert target.most_open == 1


async def test_no_more_than_so_many_are_under_way(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.patrol.IN_FLIGHT_AT_MOST", 5)
    async with listening(silent) as target:
        worker.assign(*(monitor(f"m{n}", target, every=0.2, timeout=0.1) for n in range(20)))
        await eventually(lambda: len(target.visits) >= 20)
        assert target.most_open <= 6  # one may have ended here and not yet there
    # They started late, and the beat says so.
    assert worker.patrol.beat(1.0).lag > 0.05


HOSTILE: dict[str, Behaviour] = {
    "silent": silent,
    "endless": repeating(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
    "dripping": repeating(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", b"x", 0.1),
    "bomb": saying(response(gzip.compress(bytes(50 << 20), compresslevel=1), Content_Encoding="gzip")),
    "loop": asking(lambda _: redirect("/again")),
    "headers": saying(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 10_000 + b"\r\n"),
    "interim": repeating(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "garbage": saying(b"\x00" * 1000 + b"\r\n\r\n"),
}


@asynccontextmanager
async def all_hostile() -> AsyncIterator[dict[str, str]]:
    async with AsyncExitStack() as stack:
        targets = [await stack.enter_async_context(listening(behave)) for behave in HOSTILE.values()]
        yield {name: target.url for name, target in zip(HOSTILE, targets, strict=True)}


async def test_beside_hostile_targets_the_others_keep_their_schedule(worker: Worker) -> None:
    async with listening(saying(OK)) as good, all_hostile() as hostile:
        expect = Expect(body="never")
        worker.assign(
            monitor("good", good, every=0.1),
            *(monitor(name, url, every=0.3, expect=expect) for name, url in hostile.items()),
        )
        await eventually(lambda: all(len(worker.samples(name)) >= 3 for name in hostile), within=10)
        gaps = sorted(after - before for before, after in pairwise(good.visits))
        assert len(gaps) > 8 and gaps[len(gaps) // 2] < 0.15 and gaps[-1] < 1.0
        assert worker.patrol.beat(1.0).lag < 0.6
    assert {sample.outcome for sample in worker.samples("good")} == {"ok"}
    for name in hostile:
        assert {sample.outcome for sample in worker.samples(name)} <= {"fail", "inconclusive"}, name


# What is said


async def test_what_is_up_is_said_at_once_and_only_once(worker: Worker) -> None:
    async with listening(saying(OK)) as target:
        key = early("up")
        worker.assign(monitor(key, target, every=0.1))
        await eventually(lambda: len(worker.samples(key)) >= 5)
    assert worker.changes(key) == [State.UP]
    change = worker.events(StateChange)[0]
    assert (change.was, change.worker, change.trace) == (State.UNKNOWN, "worker", "worker-boot:1")
    sample = worker.samples(key)[0]
    assert (sample.outcome, sample.state) == ("ok", "up")
    assert sample.took is not None and 0 < sample.took < 300


async def test_one_bad_answer_flips_nothing_and_two_do_quickly(worker: Worker) -> None:
    said = [OK, response(status="500 Oops"), OK, *[response(status="500 Oops")] * 100]
    async with listening(asking(lambda _: said.pop(0))) as target:
        key = early("flaky")
        worker.assign(monitor(key, target, every=0.4, retries=1))
        await eventually(lambda: worker.changes(key) == [State.UP, State.DOWN])
        # Looked at again after half an interval, not after a whole one.
        assert target.visits[2] - target.visits[1] < 0.3
        assert target.visits[4] - target.visits[3] < 0.3
        down = worker.events(StateChange)[-1]
        assert down.standing.reason == "status 500"
        samples = await eventually(lambda: len(worker.samples(key)) >= 5 and worker.samples(key))
    assert [sample.state for sample in samples[:5]] == ["up", "up", "up", "up", "down"]
    # It is down since the first failure of the run, and told by the second.
    assert down.standing.since == samples[3].at and down.at == samples[4].at


async def test_what_did_not_answer_took_no_time(worker: Worker) -> None:
    with closed_port() as port:
        key = early("closed")
        worker.assign(monitor(key, f"http://127.0.0.1:{port}/", every=0.1))
        await eventually(lambda: worker.samples(key) and worker.changes(key) == [State.DOWN])
    assert {sample.took for sample in worker.samples(key)} == {None}


async def test_samples_leave_in_batches(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.patrol.SAMPLES_AT_A_TIME", 10)
    async with listening(saying(OK)) as target:
        worker.assign(*(monitor(f"m{n}", target, every=0.2) for n in range(30)))
        await eventually(lambda: len(worker.events(Samples)) >= 3)
    batches = worker.events(Samples)
    assert max(len(batch.samples) for batch in batches) == 10
    assert {(batch.worker, batch.region) for batch in batches} == {("worker", "local")}


async def test_the_beat_counts_what_happened(worker: Worker) -> None:
    async with listening(saying(OK)) as target:
        with closed_port() as port:
            worker.assign(
                monitor("a", target, every=0.1), monitor("b", f"http://127.0.0.1:{port}/", every=0.1)
            )
            await eventually(lambda: worker.changes("a") and worker.changes("b"))
    beat = worker.patrol.beat(2.0)
    assert (beat.worker, beat.region, beat.every, beat.monitors) == ("worker", "local", 2.0, 2)
    assert beat.probes["ok"] >= 1 and beat.probes["unreachable"] >= 2
    assert 0 < beat.lag < 0.5
    assert worker.patrol.beat(2.0).lag <= beat.lag


# Reload


async def test_a_reload_keeps_standings_and_the_beat(worker: Worker) -> None:
    async with listening(saying(OK)) as target:
        key = early("kept")
        kept = monitor(key, target, every=0.2)
        worker.assign(kept)
        await eventually(lambda: worker.changes(key) == [State.UP])
        for _ in range(5):
            worker.assign(msgspec.structs.replace(kept), monitor("new", target))
            await asyncio.sleep(0.05)
        before = len(target.visits)
        await eventually(lambda: len(target.visits) >= before + 8)
        regular = [visit for visit in target.visits if after_slot(visit, key, 0.2) < 0.03]
        assert len(regular) >= 4
    assert worker.changes(key) == [State.UP]


async def test_what_is_gone_from_the_catalog_is_left_alone(worker: Worker) -> None:
    async with listening(saying(OK)) as target, listening(saying(OK)) as other:
        worker.assign(monitor("gone", target, every=0.1), monitor("stays", other, every=0.1))
        await eventually(lambda: worker.changes("gone") and worker.changes("stays"))
        worker.assign(monitor("stays", other, every=0.1))
        before, others = len(target.visits), len(other.visits)
        await eventually(lambda: len(other.visits) >= others + 5)
        assert len(target.visits) <= before + 1
        assert worker.patrol.beat(1.0).monitors == 1
        # Come back, it is a stranger.
        worker.assign(monitor("gone", target, every=0.1))
        await eventually(lambda: worker.changes("gone") == [State.UP, State.UP])


async def test_a_probe_under_way_when_its_monitor_goes_says_nothing(worker: Worker) -> None:
    async with listening(saying(b"", OK, pause=0.2)) as target:
        key = early("going")
        worker.assign(monitor(key, target, every=0.1, timeout=1.0))
        await eventually(lambda: target.open)
        worker.assign()
        await eventually(lambda: not target.open)
        worker.patrol.flush()
        await worker.outbox.drain(1.0)
        assert worker.patrol.beat(1.0).probes == {}


async def test_a_new_target_is_looked_at_soon_and_the_answer_of_the_old_does_not_count(
    worker: Worker,
) -> None:
    async with listening(silent) as old, listening(saying(OK)) as new:
        key = early("moved")
        worker.assign(monitor(key, old, every=60.0, timeout=0.4))
        await eventually(lambda: old.open, within=4.0)
        worker.assign(monitor(key, new, every=60.0, timeout=0.4))
        await eventually(lambda: worker.changes(key) == [State.UP], within=4.0)
        assert worker.patrol.beat(1.0).probes == {"ok": 1}
        # And once more while nobody is on the way.
        worker.assign(monitor(key, old, every=30.0, timeout=0.4))
        await eventually(lambda: len(old.visits) == 2, within=3.5)


async def test_other_regions_and_push_monitors_are_not_ours(worker: Worker) -> None:
    async with listening(saying(OK)) as target:
        ours = worker.assign(
            monitor("elsewhere", target, every=0.1, regions=("eu",)),
            Monitor(key="pushed", kind="push", target="nightly", every=0.1),
            Monitor(key="pushed-too", kind="push", target="hourly", every=0.1),
            monitor("ours", target, every=0.1, regions=("eu", "local")),
        )
        await eventually(lambda: worker.changes("ours"))
        assert ours == worker.patrol.beat(1.0).monitors == 1


async def test_all_that_was_heard_lately_is_told_again(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.patrol.STANDINGS_AT_A_TIME", 2)
    async with listening(saying(OK)) as target:
        worker.assign(
            *(monitor(f"up{n}", target, every=0.2) for n in range(3)),
            Monitor(key="never", kind="telepathy", target="x", every=0.2),
        )
        await eventually(lambda: len(worker.events(StateChange)) == 3)
        worker.patrol.retell()
        retellings = await eventually(lambda: len(worker.events(Retelling)) == 2 and worker.events(Retelling))
    told = [standing for retelling in retellings for standing in retelling.standings]
    assert sorted((standing.monitor, standing.state) for standing in told) == [
        (f"up{n}", State.UP) for n in range(3)
    ]
    assert all(retelling.trace.startswith("worker-boot:") for retelling in retellings)


async def test_what_was_heard_too_long_ago_is_not_told_again(worker: Worker) -> None:
    async with listening(saying(OK)) as target:
        key = early("stale")
        worker.assign(monitor(key, target, every=0.1, timeout=0.1))
        await eventually(lambda: worker.changes(key) == [State.UP])
        # From now on nothing is heard, though it is still looked at.
        worker.assign(
            monitor(key, target, every=0.1, timeout=0.1, options={"headers": {"A": "${NOT_SET_ANYWHERE}"}})
        )
        await eventually(lambda: worker.patrol.beat(1.0).probes.get("inconclusive", 0) >= 6)
        worker.patrol.retell()
        await worker.outbox.drain(1.0)
        worker.patrol.flush()
        await eventually(lambda: [s.outcome for s in worker.samples(key)].count(Outcome.INCONCLUSIVE) >= 6)
        assert worker.events(Retelling) == []


# From other workers


async def test_the_regions_of_a_monitor_have_their_slots_evenly_in_between(redis_url: str) -> None:
    feed, regions, every = Feed(redis_url), ("eu", "us", "asia"), 30.0
    patrols = [Patrol(Probes(), Outbox(feed, region), region, region) for region in regions]
    shared = monitor("m", "http://127.0.0.1:1", every=every, regions=regions)
    now = time.monotonic()
    slots = [patrol._slot_after(now, shared) for patrol in patrols]
    assert all(now <= slot < now + every for slot in slots)
    apart = sorted((slot - slots[0]) % every for slot in slots)
    assert apart == pytest.approx([0.0, 10.0, 20.0], abs=0.01)
    # Another worker of the region finds the same.
    assert Patrol(Probes(), Outbox(feed, "w"), "w", "us")._slot_after(now, shared) == pytest.approx(
        slots[1], abs=0.01
    )
    await feed.close()


async def test_what_is_taken_over_is_looked_at_in_its_slot_or_soon_if_that_was_not_kept(
    worker: Worker,
) -> None:
    async with listening(saying(OK)) as target:
        at = datetime.now(UTC)
        standing = Standing(monitor="m", region="local", since=at, state=State.UP)
        kept, overdue, old = (monitor(key, target, every=60.0) for key in ("kept", "overdue", "old"))
        known = {
            "kept": Known(replace(standing, monitor="kept"), at, 59.0),
            "overdue": Known(replace(standing, monitor="overdue"), at, 61.0),
            "old": Known(replace(standing, monitor="old"), at, 121.0),
        }
        began = time.monotonic()
        worker.patrol.assign(catalog(kept, overdue, old), known=known)
        await eventually(lambda: worker.samples("overdue") and worker.changes("old"), within=4.0)
        assert target.visits[0] - began < 0.5
        # What was known is no news; what is too old says nothing.
        assert worker.events(StateChange)[0].standing.monitor == "old" and not worker.changes("overdue")
        if (worker.patrol._watches["kept"].due - began) > 5.0:
            assert len(target.visits) == 2


@pytest.mark.parametrize(
    ("age", "fresh"), [(0.0, True), (65.0, True), (65.1, False), (-4.9, True), (-5.1, False)]
)
def test_what_is_past_its_best_before_or_of_the_future_is_not_taken_over(age: float, fresh: bool) -> None:
    watched = Monitor(key="m", kind="http", target="x", every=30.0, timeout=5.0)
    assert is_fresh(Known(Standing(monitor="m", region="local", since=NOW), NOW, age), watched) is fresh


# Our own faults


async def test_what_our_own_stall_could_explain_is_held_against_nobody(worker: Worker) -> None:
    async with listening(saying(b"", OK, pause=0.1)) as slow:
        with black_hole() as port:
            keys = early("swallowed"), early("slow")
            worker.assign(
                monitor(keys[0], f"http://127.0.0.1:{port}/", every=0.3, timeout=0.2),
                monitor(keys[1], slow, every=0.3, timeout=2.0, expect=Expect(slower_than=0.15)),
            )
            # Every probe of this second meets a loop that stands still for a good part of its time.
            for _ in range(10):
                await asyncio.sleep(0.03)
                time.sleep(0.12)  # noqa: ASYNC251
            samples = await eventually(
                lambda: worker.samples(keys[0]) and worker.samples(keys[1]) and worker.heard
            )
            assert samples
            stalled = [s for s in worker.samples(keys[0]) + worker.samples(keys[1]) if s.outcome != "ok"][:2]
    assert {sample.outcome for sample in stalled} <= {"inconclusive"}
    assert any(sample.late for key in keys for sample in worker.samples(key))


async def test_a_bug_ends_neither_the_patrol_nor_the_monitor(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[str] = []

    class Broken(Probe):
        async def probe(self, monitor: Monitor, run: Run) -> None:
            runs.append(monitor.key)
            run.timeout = "worse than an exception"  # type: ignore[assignment]
            run.address = 1  # type: ignore[assignment]
            raise TimeoutError

    monkeypatch.setitem(PROBES, "broken", Broken)
    worker = Worker(redis_url)
    patrol = asyncio.create_task(worker.patrol.patrol())
    worker.assign(Monitor(key="m", kind="broken", target="x", every=0.1))
    await eventually(lambda: len(runs) >= 3)
    assert not patrol.done()
    await end([patrol])
    await worker.probes.close()
    await worker.feed.close()


async def test_why_there_is_no_verdict_is_said_once(
    worker: Worker, capsys: pytest.CaptureFixture[str]
) -> None:
    async with listening(saying(OK)) as target:
        key = early("secret")
        worker.assign(monitor(key, target, every=0.05, options={"headers": {"A": "${NOT_SET_ANYWHERE}"}}))
        await eventually(lambda: len(worker.samples(key)) >= 4)
        assert worker.changes(key) == []
        worker.assign(monitor(key, target, every=0.05))
        await eventually(lambda: worker.changes(key) == [State.UP])
    logged = capsys.readouterr().out
    assert logged.count("NOT_SET_ANYWHERE is not set") == 1
    assert logged.count("verdicts again") == 1


async def test_no_verdict_for_the_same_reason_with_other_figures_is_not_said_again(
    worker: Worker, capsys: pytest.CaptureFixture[str]
) -> None:
    runs: list[str] = []

    class Stalled(Probe):
        async def probe(self, monitor: Monitor, run: Run) -> None:
            runs.append(monitor.key)
            raise Unfit(f"This worker itself stood still for {len(runs) / 10:.2f} of 1.00 s.")

    worker.probes._probes["stalled"] = Stalled(Equipment())
    worker.assign(Monitor(key="m", kind="stalled", target="x", every=0.05))
    await eventually(lambda: len(runs) >= 4)
    assert capsys.readouterr().out.count("stood still") == 1


NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
MONITOR = Monitor(key="m", kind="http", target="x", timeout=1.0)


def result(outcome: Outcome, reason: str = "", took: float | None = None) -> Result:
    return Result(at=NOW, outcome=outcome, reason=reason, phases=Phases(total=took))


@pytest.mark.parametrize(
    ("outcome", "reason", "took", "stolen", "doubted"),
    [
        (Outcome.UNREACHABLE, "timeout", None, 0.2, True),
        (Outcome.FAIL, "timeout", None, 0.2, True),
        (Outcome.FAIL, "timeout", None, 0.1, False),
        (Outcome.SLOW, "slow", 0.5, 0.06, True),
        (Outcome.SLOW, "slow", 0.5, 0.05, False),
        (Outcome.SLOW, "certificate", 0.5, 0.4, False),
        (Outcome.FAIL, "status 500", 0.5, 0.4, False),
        (Outcome.UNREACHABLE, "refused", None, 0.9, False),
        (Outcome.OK, "", 0.5, 0.4, False),
    ],
)
def test_only_a_verdict_that_hangs_on_time_is_doubted(
    outcome: Outcome, reason: str, took: float | None, stolen: float, doubted: bool
) -> None:
    before = result(outcome, reason, took)
    after = doubt(before, MONITOR, stolen)
    assert (after.outcome is Outcome.INCONCLUSIVE) == doubted
    assert doubted or after == before


@pytest.mark.parametrize(
    ("took", "lag", "stolen", "late"),
    [(0.1, 0.0, 0.0, False), (0.1, 0.0, 0.02, True), (0.1, 0.3, 0.0, True), (None, 0.0, 5.0, False)],
)
def test_a_sample_taken_under_lag_is_marked(
    took: float | None, lag: float, stolen: float, late: bool
) -> None:
    assert is_late(result(Outcome.OK, took=took), lag, stolen) is late


@pytest.mark.parametrize(
    ("bad", "slow", "every", "seconds"),
    [(1, 0, 30.0, 1.0), (2, 0, 30.0, 2.0), (0, 3, 30.0, 3.0), (9, 0, 30.0, 3.0), (1, 0, 1.0, 0.5)],
)
def test_a_retry_comes_quickly_but_not_at_once(bad: int, slow: int, every: float, seconds: float) -> None:
    standing = Standing(monitor="m", region="local", since=EPOCH, bad=bad, slow=slow)
    assert retry_after(standing, every) == seconds
