"""Whose is which: everybody finds the same, evenly, and no more moves than must."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import cast

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from app.domain.events import Beat, Logged, Samples, StateChange
from app.domain.instant import EPOCH, from_seconds
from app.domain.share import place, share_of
from app.domain.standing import State
from app.feed import LOG, Feed, FeedDown, Heard
from tests.conftest import eventually
from tests.make import a_beat, a_catalog, a_component, a_monitor
from tests.services import Valkey, Worker
from tests.targets import OK, asking, listening, response
from workers.main import end
from workers.outbox import Outbox
from workers.own_health import OwnHealth
from workers.patrol import Patrol
from workers.probes import Probes
from workers.share import Share

MONITORS = [f"part-{n}/http" for n in range(6000)]
NAMES = st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=6, unique=True)


def owners(workers: list[str], monitors: list[str] = MONITORS) -> dict[str, str]:
    return {monitor: worker for worker in workers for monitor in sorted(share_of(worker, workers, monitors))}


@given(NAMES, st.lists(st.text(max_size=20), max_size=50, unique=True))
def test_each_monitor_has_one_owner(workers: list[str], monitors: list[str]) -> None:
    shares = [share_of(worker, workers, monitors) for worker in workers]
    assert sorted(key for share in shares for key in share) == sorted(monitors)


def test_in_whatever_order_the_others_are_known_and_whether_it_names_itself_or_not() -> None:
    monitors = MONITORS[:200]
    expected = share_of("a", ["a", "b", "c"], monitors)
    assert expected == share_of("a", ["c", "b"], monitors) == share_of("a", ["b", "c", "a", "b"], monitors)


def test_alone_it_has_them_all() -> None:
    assert share_of("a", [], MONITORS) == set(MONITORS)


def test_the_shares_are_even() -> None:
    for count in (2, 3, 5, 10):
        workers = [f"eu-{n:08x}" for n in range(count)]
        sizes = Counter(owners(workers).values())
        even = len(MONITORS) / count
        # Six times the deviation that chance alone would have.
        assert max(abs(sizes[worker] - even) for worker in workers) < 6 * even**0.5


def test_who_comes_takes_only_what_becomes_its_own() -> None:
    before, after = owners(["a", "b", "c"]), owners(["a", "b", "c", "d"])
    moved = {key for key in MONITORS if before[key] != after[key]}
    assert {after[key] for key in moved} == {"d"}
    assert abs(len(moved) - len(MONITORS) / 4) < 250
    # And from each alike.
    assert min(Counter(before[key] for key in moved).values()) > 400


def test_who_goes_leaves_to_all_others_what_was_its_own() -> None:
    before, after = owners(["a", "b", "c"]), owners(["a", "b"])
    moved = {key for key in MONITORS if before[key] != after[key]}
    assert {before[key] for key in moved} == {"c"} and len(moved) == Counter(before.values())["c"]
    assert min(Counter(after[key] for key in moved).values()) > 850


def test_names_that_differ_in_one_letter_share_as_evenly() -> None:
    sizes = Counter(owners([f"w{n}" for n in range(4)], [f"m{n}" for n in range(4000)]).values())
    assert min(sizes.values()) > 850


def test_the_place_of_a_monitor_is_the_same_for_ever_and_all_places_are_used() -> None:
    assert abs(place("payments-api/http") - 0.99722) < 1e-5
    places = [place(f"m{n}") for n in range(1000)]
    tenths = [sum(int(at * 10) == tenth for at in places) for tenth in range(10)]
    assert min(tenths) > 60


# The workers of one region, as processes

BEAT = 1.0
EVERY = 1.0
PARTS = 60
DOWN = [f"m{n}" for n in range(10)]  # all the time
BAD = response(status="500 Oops")


class Counted:
    """What the target saw: when each monitor was looked at."""

    def __init__(self) -> None:
        self.at: dict[str, list[float]] = {f"m{n}": [] for n in range(PARTS)}

    def answer(self, head: str) -> bytes:
        key = head.split()[1].strip("/")
        self.at[key].append(time.monotonic())
        return BAD if key in DOWN else OK

    def gaps(self, since: float, until: float) -> dict[str, list[float]]:
        """By monitor, between one look and the next, as far as they touch this stretch."""
        return {
            key: [later - earlier for earlier, later in pairwise(at) if later >= since and earlier <= until]
            for key, at in self.at.items()
        }

    def longest(self, since: float, until: float) -> float:
        return max(max(gaps) for gaps in self.gaps(since, until).values())

    def missed(self, since: float, until: float) -> int:
        every = (gap for gaps in self.gaps(since, until).values() for gap in gaps)
        return sum(round(gap / EVERY) - 1 for gap in every if gap > 1.5 * EVERY)

    def doubled(self, since: float, until: float) -> list[str]:
        """Those that two workers looked at for longer than a beat: both have the same slots. One short gap
        alone is a look that came late on a busy machine, or was made up for at a handover."""
        found = self.gaps(since, until).items()
        return [key for key, gaps in found if sum(gap < 0.4 * EVERY for gap in gaps) > 1]


@asynccontextmanager
async def a_region(redis_url: str, workers: int) -> AsyncIterator[tuple[Counted, list[Worker]]]:
    counted = Counted()
    feed = Feed(redis_url, beat=BEAT)
    async with listening(asking(counted.answer)) as target:
        with ExitStack() as stack:
            monitors = tuple(
                a_monitor(key, target=f"{target.url}/{key}", every=EVERY, timeout=3.0) for key in counted.at
            )
            await feed.assign(a_catalog(a_component("api", *monitors)))
            await feed.close()
            started = []
            for _ in range(workers):
                worker = stack.enter_context(a_worker(redis_url))
                started.append(worker.start())
            yield counted, started


async def log_of(redis_url: str) -> list[Logged]:
    async with Redis.from_url(redis_url) as raw:
        entries = await raw.xrange(LOG)
    return [msgspec.json.decode(fields[b"event"], type=Logged) for _, fields in entries]  # type: ignore[arg-type]


def a_worker(redis_url: str) -> Worker:
    return Worker(redis_url, Path("none.yaml"), STATUSWIRE_BEAT=str(BEAT))


def name(worker: Worker) -> str:
    begun = [line for line in worker.logs.splitlines() if "the worker begins" in line]
    return str(json.loads(begun[0])["worker"]) if begun else ""


async def beats(redis_url: str) -> dict[str, Beat]:
    feed = Feed(redis_url, beat=BEAT)
    found = await feed.alive("local")
    await feed.close()
    return {beat.worker: beat for beat in found if beat.shares}


async def until_shared(redis_url: str, workers: int) -> dict[str, Beat]:
    async def shared() -> dict[str, Beat] | None:
        found = await beats(redis_url)
        parts = [beat.monitors for beat in found.values()]
        return found if len(parts) == workers and sum(parts) == PARTS and min(parts) > 5 else None

    return cast(dict[str, Beat], await eventually(shared, within=20))


async def passed(seconds: float) -> float:
    began = time.monotonic()
    await eventually(lambda: time.monotonic() - began >= seconds, within=seconds + 5)
    return time.monotonic()


async def test_a_killed_worker_s_monitors_are_looked_at_by_the_others_within_two_beats_and_stay_as_they_were(
    redis_url: str,
) -> None:
    async with a_region(redis_url, workers=3) as (counted, workers):
        before = await until_shared(redis_url, 3)
        steady = await passed(EVERY)
        killed_at = await passed(1.5 * EVERY)
        assert counted.doubled(steady, killed_at) == []
        workers[0].kill()
        killed = name(workers[0])
        when_killed = len(await log_of(redis_url))

        after = await until_shared(redis_url, 2)

        until = await passed(1.5 * EVERY)
        assert killed not in after
        missed, doubled = counted.missed(killed_at, until), counted.doubled(killed_at, until)
        print("share", before[killed].monitors, "missed", missed, "doubled", doubled)
        print("longest", counted.longest(killed_at, until))
        assert doubled == []
        # What was down went on so from the first look, without retries, and without being said again.
        log = await log_of(redis_url)
        changes = [e.standing.state for e in log if isinstance(e, StateChange) and e.standing.monitor in DOWN]
        assert changes == [State.DOWN] * len(DOWN)
        moved = [
            sample.state
            for event in log[when_killed:]
            if isinstance(event, Samples) and event.worker in after
            for sample in event.samples
            if sample.monitor in DOWN
        ]
        assert set(moved) == {State.DOWN}
        # Those whose slot fell into the time in which nobody knew, and each of them once.
        assert missed <= 1.2 * before[killed].monitors * 2 * BEAT / EVERY
        assert counted.longest(killed_at, until) <= EVERY + 2 * BEAT + 0.3


async def test_a_worker_that_is_started_again_after_a_kill_does_not_share_with_its_ghost(
    redis_url: str,
) -> None:
    async with a_region(redis_url, workers=1) as (_, [worker]):
        await until_shared(redis_url, 1)
        ghost = name(worker)
        worker.kill()
        worker.start()
        await eventually(lambda: worker.logs.count('"monitors to watch"') == 2)
        watching = json.loads([line for line in worker.logs.splitlines() if "monitors to watch" in line][-1])
        assert (watching["monitors"], watching["workers"]) == (PARTS, 1)
        found = await eventually(lambda: until_shared(redis_url, 1))
        assert ghost not in found


async def test_who_comes_and_who_leaves_in_peace_is_heeded_at_once(redis_url: str) -> None:
    async with a_region(redis_url, workers=2) as (counted, _):
        await until_shared(redis_url, 2)
        began = await passed(1.2)
        with a_worker(redis_url) as third:
            third.start()
            share = (await until_shared(redis_url, 3))[name(third)].monitors
            joined = await passed(1.2)
            assert await asyncio.to_thread(third.stop) == 0

            left = time.monotonic()
            await until_shared(redis_url, 2)

            # Not when it is missed, which would be a beat and a half later.
            assert time.monotonic() - left < BEAT + 0.3
            until = await passed(1.2)
        print(
            "share", share, "missed", counted.missed(began, until), "longest", counted.longest(began, until)
        )
        assert counted.missed(began, joined) <= share
        assert counted.missed(joined, until) <= share
        assert counted.longest(began, until) < 2 * EVERY + 0.4
        assert counted.doubled(began, until) == []


async def test_a_redis_that_stands_still_or_restarts_makes_nobody_give_up_the_others() -> None:
    with Valkey() as server:
        feed = Feed(server.start().url, beat=0.4)
        share = Share(feed, Patrol(Probes(), Outbox(feed, "a"), "a", "eu"), "a", "eu", 0.4, asyncio.Event())
        seen: list[list[str]] = []

        async def other() -> None:
            while True:
                with suppress(*FeedDown):
                    await feed.beat(a_beat("b", region="eu", shares=True, every=0.4))
                await asyncio.sleep(0.4)

        async def look() -> None:
            while True:
                seen.append(share._members.names())
                await asyncio.sleep(0.02)

        activities = [share.hear_workers(), share.beat(), share.watch(), look()]
        tasks = [asyncio.create_task(activity) for activity in (*activities, other())]
        await eventually(lambda: share._members.names() == ["b"])
        seen.clear()
        for stop, go_on in ((server.pause, server.resume), (server.kill, server.start)):
            stop()
            await passed(1.2)
            go_on()
            await passed(1.2)
        assert seen and {tuple(names) for names in seen} == {("b",)}

        # Who has not heard us either is no witness.
        tasks.pop(1).cancel()  # our own beats
        server.ask("DEL", "{statuswire}:beats", "{statuswire}:beats:at")
        await share._look_for(["b"])
        assert share._members.names() == ["b"]
        tasks.insert(1, asyncio.create_task(share.beat()))

        # And when it is gone in truth, that is noticed.
        began = time.monotonic()
        await end([tasks.pop()])
        await eventually(lambda: share._members.names() == [])
        assert time.monotonic() - began < 2 * 0.4
        await end(tasks)
        await feed.close()


async def test_who_stood_still_meanwhile_goes_on_from_what_the_others_have_seen(redis_url: str) -> None:
    said = [OK]
    feed = Feed(redis_url, beat=BEAT)
    heard: list[Logged] = []

    async def follow() -> None:
        async for item in feed.follow("0-0"):
            if isinstance(item, Heard) and not isinstance(item.event, Beat):
                heard.append(item.event)

    def states(worker: str, since: datetime = EPOCH) -> list[State]:
        batches = [e for e in heard if isinstance(e, Samples) and e.worker == worker]
        return [sample.state for batch in batches for sample in batch.samples if sample.at > since]

    def changes() -> list[State]:
        return [e.standing.state for e in heard if isinstance(e, StateChange)]

    following = asyncio.create_task(follow())
    async with listening(asking(lambda _: said[0])) as target:
        monitors = [
            a_monitor(f"m{n}", target=target.url, every=EVERY, timeout=3.0, retries=2) for n in range(20)
        ]
        await feed.assign(a_catalog(a_component("api", *monitors)))
        with a_worker(redis_url) as first, a_worker(redis_url) as second:
            first.start()
            second.start()
            await eventually(lambda: len(changes()) >= 20 and states(name(first)) and states(name(second)))
            first.pause()
            said[0] = BAD
            await eventually(lambda: changes().count(State.DOWN) == 20, within=15)
            resumed = from_seconds(time.time())
            first.resume()
            await eventually(lambda: len(states(name(first), resumed)) >= 20)
            # Not for a moment what it believed when it stood still.
            assert set(states(name(first), resumed)) == {State.DOWN}
            assert changes()[20:] == [State.DOWN] * 20
    await end([following])
    await feed.close()


async def test_each_beat_compares_the_clock_with_that_of_redis_and_the_next_one_tells_if_they_differ(
    redis_url: str,
) -> None:
    feed = Feed(redis_url, beat=0.05)
    health = OwnHealth(wall_clock=lambda: time.time() + 86400)
    patrol = Patrol(Probes(), Outbox(feed, "w"), "w", "local", health=health)
    share = Share(feed, patrol, "w", "local", 0.05, asyncio.Event())
    beating = asyncio.create_task(share.beat())

    async def told() -> bool:
        return any("that of Redis differ" in beat.trouble for beat in await feed.alive("local"))

    await eventually(told)
    await end([beating])
    await health.close()
    await feed.close()
