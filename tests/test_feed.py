"""Whatever happens to Redis, a follower hears each event once and in order, or is told that it did not.

On Valkey and on a genuine Redis, each of which is killed, stopped, emptied and lied to here.
"""

import asyncio
import random
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any, Self

import msgspec
import pytest
from redis.asyncio import Redis

from app import feed as feed_module
from app.bell import Ear, HasMoved
from app.domain.board import START
from app.domain.clock import dated
from app.domain.events import Beat, Logged, SecondLook, order
from app.domain.instant import from_ms, from_seconds
from app.domain.monitor import Catalog
from app.domain.result import Outcome
from app.domain.standing import State
from app.feed import (
    BEATS_AT,
    BELL,
    CATALOG,
    LOG,
    LOG_IDENTITY,
    SAID,
    Announced,
    Feed,
    FeedDown,
    Forgotten,
    Gap,
    Heard,
)
from tests.conftest import eventually
from tests.make import (
    NOON,
    a_batch,
    a_beat,
    a_catalog,
    a_change,
    a_retelling,
    a_sample,
    a_standing,
    after,
    keyed,
)
from tests.services import GenuineRedis, Valkey

BEAT = 0.2


def changes(count: int, trace: str = "t") -> list[Logged]:
    """State changes that can be told from each other."""
    return [a_change(State.DOWN, after(n), trace=f"{trace}/{n}") for n in range(1, count + 1)]


class Listener:
    """A follower that writes down all it hears, from `async with` to its end."""

    def __init__(self, url: str, place: str = START) -> None:
        self.items: list[Heard | Gap] = []
        self.links: list[bool] = []
        self._feed = Feed(url, beat=BEAT)
        self._place = place

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._listen())
        await eventually(lambda: self.links and self.links[-1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await self._feed.close()

    async def _listen(self) -> None:
        async with aclosing(self._feed.follow(self._place, self.links.append)) as items:
            async for item in items:
                self.items.append(item)

    @property
    def alive(self) -> bool:
        return not self._task.done()

    @property
    def heard(self) -> list[Heard]:
        """Without the beats."""
        return [item for item in self.items if isinstance(item, Heard) and item.id]

    @property
    def events(self) -> list[Any]:
        return [heard.event for heard in self.heard]

    @property
    def gaps(self) -> list[Gap]:
        return [item for item in self.items if isinstance(item, Gap)]

    async def hears(self, count: int) -> None:
        """Until `count` logged events have been heard."""
        await eventually(lambda: self.alive and len(self.heard) >= count)
        assert len(self.heard) == count

    async def hears_more(self, count: int) -> None:
        """Until the feed is linked and `count` events more than now have been heard."""
        before = len(self.heard)
        await eventually(lambda: self.links[-1] and len(self.heard) >= before + count)


@pytest.fixture
async def feed(any_redis_url: str) -> AsyncIterator[Feed]:
    feed = Feed(any_redis_url, beat=BEAT)
    yield feed
    await feed.close()


@pytest.fixture
async def raw(any_redis_url: str) -> AsyncIterator[Redis]:
    """Redis without the feed: to look behind it, and to lie to it."""
    async with Redis.from_url(any_redis_url) as client:
        yield client


@pytest.fixture(params=[Valkey, GenuineRedis])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Valkey]:
    """One of the test's own, which it may kill, with a log as in production, but in memory: while a slow disk
    syncs, Redis puts off writing what it has already acknowledged, up to two seconds of it, and a kill then
    takes that as a power cut would."""
    if Path("/dev/shm").is_dir():
        monkeypatch.setattr(tempfile, "tempdir", "/dev/shm")
    with request.param(aof=True) as server:
        yield server.start()


async def say(feed: Feed, events: Sequence[tuple[str, Logged]]) -> list[Announced]:
    """Until it is heard, as a worker does."""
    while True:
        try:
            return await feed.announce(events)
        except FeedDown:
            await asyncio.sleep(0.01)


async def produce(url: str, producer: str, count: int, pace: float = 0.0) -> None:
    """Say `count` changes in lists of up to five, with pauses of up to `pace` seconds."""
    events = keyed(producer, changes(count, producer))
    feed = Feed(url, beat=BEAT)
    while events:
        size = random.randint(1, 5)
        await say(feed, events[:size])
        events = events[size:]
        await asyncio.sleep(random.uniform(0, pace))
    await feed.close()


def assert_each_once_and_in_order(listener: Listener, producers: Sequence[str], count: int) -> None:
    assert listener.gaps == []
    ids = [order(heard.id) for heard in listener.heard]
    assert ids == sorted(set(ids))
    for producer in producers:
        said = [event.trace for event in listener.events if event.trace.startswith(f"{producer}/")]
        assert said == [f"{producer}/{n}" for n in range(1, count + 1)]
    assert len(ids) == len(producers) * count


PRODUCERS = ("p1", "p2", "p3", "p4")


# What is said


async def test_what_is_announced_is_heard_with_the_id_it_was_given(feed: Feed, any_redis_url: str) -> None:
    events = changes(3)
    async with Listener(any_redis_url) as listener:
        announced = await feed.announce(keyed("p", events))
        await listener.hears(3)
    assert listener.heard == [Heard(a.id, event) for a, event in zip(announced, events, strict=True)]
    assert len({a.log for a in announced}) == 1


async def test_four_producers_make_one_unbroken_chain(any_redis_url: str, raw: Redis) -> None:
    async with Listener(any_redis_url) as listener, raw.pubsub() as bell:
        await bell.subscribe(BELL)
        await asyncio.gather(*(produce(any_redis_url, producer, 100) for producer in PRODUCERS))
        await listener.hears(400)
        rings = [message["data"] for _ in range(401) if (message := await bell.get_message(timeout=5))][1:]
    assert_each_once_and_in_order(listener, PRODUCERS, 100)
    entries = [(id.decode(), fields[b"prev"].decode()) for id, fields in await raw.xrange(LOG)]
    assert [prev for _, prev in entries] == [START, *(id for id, _ in entries[:-1])]
    # The bell rings in the order of the log, and for every event.
    assert [tuple(ring.decode().split(" ")[:2]) for ring in rings] == entries


async def test_a_retry_repeats_nothing_and_gets_the_first_answer(feed: Feed, raw: Redis) -> None:
    events = keyed("p", changes(1))
    first = await feed.announce(events)
    assert await feed.announce(events) == first
    assert await raw.xlen(LOG) == 1


async def test_of_a_list_that_was_heard_in_part_only_the_rest_is_written(feed: Feed, raw: Redis) -> None:
    events = keyed("p", changes(5))
    await feed.announce(events[:2])
    await feed.announce(events)
    said = [msgspec.json.decode(fields[b"event"])["trace"] for _, fields in await raw.xrange(LOG)]
    assert said == ["t/1", "t/2", "t/3", "t/4", "t/5"]


async def test_one_list_may_hold_the_words_of_many_producers(feed: Feed, raw: Redis) -> None:
    one, other = keyed("p", changes(2, "p")), keyed("silence/m/eu", changes(2, "q"))
    await feed.announce([one[0], other[0], one[1]])
    await feed.announce([other[0], one[1], other[1]])
    said = [msgspec.json.decode(fields[b"event"])["trace"] for _, fields in await raw.xrange(LOG)]
    assert said == ["p/1", "q/1", "p/2", "q/2"]


async def test_a_list_that_is_refused_is_refused_whole_and_lost_by_no_retry(feed: Feed, raw: Redis) -> None:
    events = keyed("p", changes(3))
    await raw.config_set("maxmemory", 1)
    try:
        with pytest.raises(FeedDown):
            await feed.announce(events)
        assert await raw.xlen(LOG) == 0
    finally:
        await raw.config_set("maxmemory", 0)
    await feed.announce(events)
    assert await raw.xlen(LOG) == 3


async def test_saying_nothing_is_nothing(feed: Feed) -> None:
    assert await feed.announce([]) == []


async def test_a_retry_after_a_time_out_repeats_nothing(server: Valkey) -> None:
    """Nobody can know whether the first try was heard. Here it was, only later."""
    feed = Feed(server.url, beat=BEAT)
    events = keyed("p", changes(5))
    async with Listener(server.url) as listener:
        await feed.announce(events[:1])
        server.pause()
        with pytest.raises(FeedDown):
            await feed.announce(events)
        server.resume()
        await say(feed, events)
        await listener.hears(5)
    await feed.close()
    assert listener.events == [event for _, event in events]


async def test_a_dead_redis_is_told_at_once(server: Valkey) -> None:
    feed = Feed(server.url, beat=BEAT)
    server.kill()
    began = monotonic()
    for attempt in (feed.announce(keyed("p", changes(1))), feed.beat(a_beat()), feed.assign(a_catalog())):
        with pytest.raises(FeedDown):
            await attempt
    assert monotonic() - began < 1.0
    await feed.close()


async def test_a_producer_whose_last_words_were_lost_is_told_so_before_it_says_more(
    feed: Feed, raw: Redis
) -> None:
    """Redis came back without its last moments. What was lost goes before what is new."""
    events = keyed("p", changes(6))
    await feed.announce(events[:3])
    kept = {key: await raw.dump(key) for key in (LOG, SAID + "p")}
    [*_, last] = await feed.announce(events[3:5])
    for key, value in kept.items():
        await raw.restore(key, 0, value, replace=True)
    with pytest.raises(Forgotten):
        await feed.announce(events[5:], last.id)
    assert await raw.xlen(LOG) == 3
    await feed.announce(events)
    said = [msgspec.json.decode(fields[b"event"])["trace"] for _, fields in await raw.xrange(LOG)]
    assert said == [f"t/{n}" for n in range(1, 7)]


async def test_a_retry_of_what_was_heard_is_not_taken_for_a_loss(feed: Feed) -> None:
    events = keyed("p", changes(4))
    [*_, last] = await feed.announce(events[:2])
    heard = await feed.announce(events[2:], last.id)
    assert await feed.announce(events[2:], last.id) == [heard[-1], heard[-1]]


async def test_an_emptied_redis_has_not_lost_a_word_but_all_of_them(feed: Feed, raw: Redis) -> None:
    events = keyed("p", changes(2))
    [before] = await feed.announce(events[:1])
    await raw.flushall()
    [new] = await feed.announce(events[1:], before.id)
    assert new.log != before.log


async def behind_by_an_hour(feed: Feed, raw: Redis, listener: Listener) -> str:
    """The log, without its last two events, is with a Redis whose clock is behind by an hour. The id of the
    last, which was heard."""
    events = keyed("p", changes(5))
    await feed.announce(events[:3])
    kept = {key: await raw.dump(key) for key in (LOG, SAID + "p")}
    ahead, _ = order((await feed.announce(events[:3]))[-1].id)
    await raw.execute_command("XSETID", LOG, f"{ahead + 3_600_000}-0")
    [*_, last] = await feed.announce(events[3:])
    await listener.hears(5)
    for key, value in kept.items():
        await raw.restore(key, 0, value, replace=True)
    return last.id


async def test_no_id_is_given_twice_by_a_redis_whose_clock_is_behind(
    feed: Feed, raw: Redis, any_redis_url: str
) -> None:
    async with Listener(any_redis_url) as listener:
        last = await behind_by_an_hour(feed, raw, listener)
        await raw.client_kill_filter(_type="pubsub")
        await eventually(lambda: listener.links[-2:] == [False, True])
        events = keyed("p", changes(8))
        with pytest.raises(Forgotten):
            await feed.announce(events[5:], last)
        await feed.announce(events)
        await listener.hears(10)
    ids = [order(heard.id) for heard in listener.heard]
    assert ids == sorted(set(ids))
    assert [event.trace for event in listener.events[5:]] == [f"t/{n}" for n in range(4, 9)]
    assert listener.gaps == []


async def test_what_was_said_to_it_before_anybody_noticed_is_heard_behind_a_gap(
    feed: Feed, raw: Redis, any_redis_url: str
) -> None:
    async with Listener(any_redis_url) as listener:
        last = await behind_by_an_hour(feed, raw, listener)
        [early] = await feed.announce(keyed("q", changes(1, "q")))
        await raw.client_kill_filter(_type="pubsub")
        await eventually(lambda: listener.links[-2:] == [False, True])
        [late] = await feed.announce(keyed("r", changes(1, "r")))
        await listener.hears(7)
    assert order(early.id) < order(last) < order(late.id)
    assert [event.trace for event in listener.events[5:]] == ["q/1", "r/1"]
    assert listener.gaps == [Gap(last, listener.heard[2].id)]


# Outages


async def test_redis_killed_again_and_again_loses_repeats_and_reorders_nothing(server: Valkey) -> None:
    async with Listener(server.url) as one, Listener(server.url) as other:

        async def kill_now_and_then() -> None:
            for _ in range(4):
                await one.hears_more(150)
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)

        producing = [produce(server.url, producer, 250, pace=0.02) for producer in PRODUCERS]
        await asyncio.gather(kill_now_and_then(), *producing)
        await one.hears(1000)
        await other.hears(1000)
    assert one.links.count(False) >= 4
    assert_each_once_and_in_order(one, PRODUCERS, 250)
    assert one.heard == other.heard


async def test_subscriptions_cut_again_and_again_lose_nothing(any_redis_url: str, raw: Redis) -> None:
    async with Listener(any_redis_url) as listener:

        async def cut() -> None:
            for _ in range(9):
                await listener.hears_more(20)
                await raw.client_kill_filter(_type="pubsub")
                await eventually(lambda: not listener.links[-1])

        producing = [produce(any_redis_url, producer, 100, pace=0.05) for producer in PRODUCERS]
        await asyncio.gather(cut(), *producing)
        await listener.hears(400)
    assert listener.links.count(False) == 9
    assert_each_once_and_in_order(listener, PRODUCERS, 100)


async def test_what_is_said_in_the_last_moment_before_the_bell_is_heard_is_read(
    feed: Feed, any_redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing comes after it that would tell of it."""
    follower = Feed(any_redis_url, beat=BEAT)
    listen = follower._listen

    @asynccontextmanager
    async def listen_late(*words: Any) -> AsyncIterator[Any]:
        await feed.announce(keyed("p", changes(1)))
        async with listen(*words) as bell:
            yield bell

    monkeypatch.setattr(follower, "_listen", listen_late)
    async with aclosing(follower.follow(START)) as items:
        heard = await asyncio.wait_for(anext(items), 5)
    await follower.close()
    assert isinstance(heard, Heard) and heard.event == changes(1)[0]


async def test_what_the_bell_did_not_ring_for_is_read_at_the_next_ring(
    feed: Feed, raw: Redis, any_redis_url: str
) -> None:
    """And what was read while it still rang for it is not heard again."""
    async with Listener(any_redis_url) as listener:
        [first, *_] = await feed.announce(keyed("p", changes(1)))
        await listener.hears(1)
        event = msgspec.json.encode(changes(2)[1])
        lost = await raw.xadd(LOG, {"prev": first.id, "event": event})
        await feed.announce(keyed("p", changes(3)[2:], start=3))
        await listener.hears(3)
        await raw.publish(BELL, lost + f" {first.id} ".encode() + event)
        await feed.announce(keyed("p", changes(4)[3:], start=4))
        await listener.hears(4)
    assert listener.heard[1].id == lost.decode()
    assert listener.events == changes(4) and listener.gaps == []


async def test_a_follower_too_slow_for_the_bell_misses_nothing(feed: Feed, raw: Redis) -> None:
    """Redis cuts off who does not read; the log has it all."""
    limit = await raw.config_get("client-output-buffer-limit")
    await raw.config_set("client-output-buffer-limit", "pubsub 64kb 0 0")
    try:
        events = [a_batch(*[a_sample(at=after(n))] * 50) for n in range(300)]
        async with aclosing(feed.follow(START)) as items:
            heard = asyncio.ensure_future(anext(items))
            await eventually(lambda: _subscribers(raw))
            for n in range(0, 300, 50):
                await feed.announce(keyed("p", events[n : n + 50], n + 1))
            got = [await heard]
            while len(got) < 300:
                got.append(await anext(items))
        assert [item.event for item in got if isinstance(item, Heard)] == events
    finally:
        await raw.config_set("client-output-buffer-limit", limit["client-output-buffer-limit"])


async def test_all_followers_of_one_feed_hear_by_one_subscription_each_from_its_own_place(
    feed: Feed, raw: Redis
) -> None:
    [first, *_] = await feed.announce(keyed("p", changes(2)))
    heard: dict[str, list[str]] = {START: [], first.id: []}

    async def follow(after: str) -> None:
        async for item in feed.follow(after):
            heard[after].append(item.id if isinstance(item, Heard) else "gap")

    following = {after: asyncio.create_task(follow(after)) for after in heard}
    try:
        await eventually(lambda: len(heard[START]) == 2 and len(heard[first.id]) == 1)
        assert await _subscribers(raw) == 1
        await raw.client_kill_filter(_type="pubsub")
        await feed.announce(keyed("q", changes(2)))
        await eventually(lambda: len(heard[START]) == 4 and len(heard[first.id]) == 3)
        # Whoever goes leaves the bell to those who stay.
        following.pop(START).cancel()
        await feed.announce(keyed("r", changes(1)))
        await eventually(lambda: len(heard[first.id]) == 4)
        assert await _subscribers(raw) == 1
    finally:
        for task in following.values():
            task.cancel()
        await asyncio.gather(*following.values(), return_exceptions=True)
    assert heard[START][1:] == heard[first.id][:-1]
    assert "gap" not in heard[first.id]


async def test_with_a_pace_what_comes_meanwhile_comes_at_once_and_what_there_is_no_room_for_is_read(
    feed: Feed, any_redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.bell.ROOM_BYTES", 1000)
    speaker = Feed(any_redis_url, beat=BEAT)
    linked = asyncio.Event()
    items = feed.follow(START, lambda up: linked.set() if up else None, pace=0.3)
    first = asyncio.ensure_future(anext(items))
    await linked.wait()
    began = monotonic()
    for event in keyed("p", changes(20)):
        await speaker.announce([event])
    got = [await first]
    assert monotonic() - began >= 0.3
    while len(got) < 20:
        got.append(await anext(items))
    assert [item.event for item in got if isinstance(item, Heard)] == changes(20)
    await items.aclose()
    await speaker.close()


async def test_who_waits_for_its_pace_when_another_redis_takes_over_is_told_so() -> None:
    ear = Ear(pace=0.05)
    taking = asyncio.create_task(ear.take())
    await asyncio.sleep(0)
    ear.put(b"of the one that was")
    await asyncio.sleep(0)
    ear.fail(HasMoved("elsewhere"), at_once=True)
    with pytest.raises(HasMoved):
        await taking


async def test_that_redis_is_alive_fills_no_room_behind_what_was_not_taken() -> None:
    ear = Ear(pace=0.0)
    for ring in (b"", b"", b"one", b"", b"", b"two", b""):
        ear.put(ring)
    assert [await ear.take() for _ in range(3)] == [b"", b"one", b"two"]
    ear.put(b"")
    assert await ear.take() == b""


async def _subscribers(raw: Redis) -> int:
    counts = await raw.pubsub_numsub(BELL)
    return int(counts[0][1])


async def test_a_redis_that_hangs_is_noticed_within_two_and_a_half_beats_and_found_again(
    server: Valkey,
) -> None:
    feed = Feed(server.url, beat=BEAT)
    async with Listener(server.url) as listener:
        server.pause()
        began = monotonic()
        await eventually(lambda: listener.links[-1] is False)
        assert monotonic() - began < 2.5 * BEAT + 0.3
        server.resume()
        await eventually(lambda: listener.links[-1] is True)
        await feed.announce(keyed("p", changes(1)))
        await listener.hears(1)
    await feed.close()


async def test_a_feed_on_which_nothing_is_said_is_not_taken_for_lost(any_redis_url: str, raw: Redis) -> None:
    async with Listener(any_redis_url) as listener:
        await asked(raw, "ping", 5)
    assert listener.links == [True]


async def test_a_process_that_stood_still_does_not_take_that_for_the_silence_of_redis(
    any_redis_url: str, raw: Redis
) -> None:
    async with Listener(any_redis_url) as listener:
        for _ in range(3):
            _stand_still(4 * BEAT)
            await asked(raw, "ping", 2)
    assert listener.links == [True]


def _stand_still(seconds: float) -> None:
    sleep(seconds)


async def asked(raw: Redis, command: str, times: int) -> None:
    """Until Redis has been asked this so many times more than now."""

    async def calls() -> int:
        stats = await raw.info("commandstats")
        return int(stats.get(f"cmdstat_{command}", {}).get("calls", 0))

    async def enough() -> bool:
        return await calls() >= before + times

    before = await calls()
    await eventually(enough)


async def test_a_follower_may_be_there_before_redis_is(server: Valkey) -> None:
    server.kill()
    feed = Feed(server.url, beat=BEAT)
    listener = Listener(server.url)
    begun = asyncio.create_task(listener.__aenter__())
    await eventually(lambda: listener.links and listener.links[-1] is False)
    await asyncio.to_thread(server.start)
    await begun
    await feed.announce(keyed("p", changes(1)))
    await listener.hears(1)
    await listener.__aexit__()
    await feed.close()
    assert listener.gaps == []


async def test_the_log_keeps_its_name_over_a_restart(server: Valkey) -> None:
    feed = Feed(server.url, beat=BEAT)
    [before] = await feed.announce(keyed("p", changes(1)))
    server.stop()
    await asyncio.to_thread(server.start)
    [after_restart] = await say(feed, keyed("q", changes(1)))
    assert after_restart.log == before.log
    await feed.close()


# Holes


async def test_an_emptied_redis_is_a_gap_then_the_new_events_and_a_log_of_another_name(
    feed: Feed, raw: Redis, any_redis_url: str
) -> None:
    async with Listener(any_redis_url) as listener:
        first = await feed.announce(keyed("p", changes(3)))
        await listener.hears(3)
        await raw.flushall()
        # The same keys as before: what the log has forgotten was not said.
        second = await feed.announce(keyed("p", changes(3)))
        await listener.hears(6)
        assert listener.events == [*changes(3), *changes(3)]
        assert [gap.after for gap in listener.gaps] == [first[-1].id]
        assert isinstance(listener.items[3], Gap)
    assert {a.log for a in first}.isdisjoint({a.log for a in second})


async def test_what_the_bell_has_said_is_heard_even_if_the_log_is_emptied_before_it_is_read(
    feed: Feed, raw: Redis, any_redis_url: str
) -> None:
    one, two, three = changes(3)
    async with Listener(any_redis_url) as listener:
        # As announce() does it, and somebody's FLUSHALL before the follower's turn.
        async with raw.pipeline(transaction=True) as pipe:
            pipe.publish(BELL, b"1-0 0-0 " + msgspec.json.encode(one))
            pipe.publish(BELL, b"2-0 1-0 " + msgspec.json.encode(two))
            await pipe.execute()
        await listener.hears(2)
        await feed.announce(keyed("p", [three]))
        await listener.hears(3)
        assert listener.events == [dated(one, from_ms(1)), dated(two, from_ms(2)), three]
    assert [gap.after for gap in listener.gaps] == ["2-0"]


async def test_another_log_is_read_from_its_start_though_it_goes_beyond_our_place(
    feed: Feed, raw: Redis, any_redis_url: str
) -> None:
    """It began under a slower clock, and what it was told before our place in the old one is news as well."""
    async with Listener(any_redis_url) as listener:
        [heard] = await feed.announce(keyed("p", changes(1)))
        await listener.hears(1)
        ms, _ = order(heard.id)
        await raw.delete(LOG)
        await raw.set(LOG_IDENTITY, "another")
        earlier, later = f"{ms - 1000}-0", f"{ms + 1000}-0"
        first, second = (msgspec.json.encode(event) for event in changes(3)[1:])
        await raw.xadd(LOG, {"prev": START, "event": first}, id=earlier)
        await raw.xadd(LOG, {"prev": earlier, "event": second}, id=later)
        await raw.publish(BELL, f"{later} {earlier} ".encode() + second)
        await listener.hears(3)
    assert listener.events == changes(3)
    assert listener.gaps == [Gap(heard.id, START)]


async def test_a_log_that_was_deleted_alone_is_new_too(feed: Feed, raw: Redis) -> None:
    [first] = await feed.announce(keyed("p", changes(1)))
    await raw.delete(LOG)
    [second] = await feed.announce(keyed("p", changes(1)))
    assert first.log != second.log
    assert await raw.xlen(LOG) == 1


async def test_what_was_trimmed_away_before_we_came_back_is_a_gap(
    feed: Feed, raw: Redis, any_redis_url: str
) -> None:
    announced = await feed.announce(keyed("p", changes(50)))
    await raw.xtrim(LOG, maxlen=10, approximate=False)
    async with Listener(any_redis_url, announced[4].id) as listener:
        await listener.hears(10)
    assert listener.items[0] == Gap(announced[4].id, announced[40].id)
    assert listener.events == changes(50)[40:]
    assert len(listener.gaps) == 1


async def test_an_entry_that_was_deleted_is_a_gap_just_there(
    feed: Feed, raw: Redis, any_redis_url: str
) -> None:
    ids = [a.id for a in await feed.announce(keyed("p", changes(5)))]
    await raw.xdel(LOG, ids[2])
    async with Listener(any_redis_url) as listener:
        await listener.hears(4)
    expected: list[Heard | Gap] = [Heard(id, event) for id, event in zip(ids, changes(5), strict=True)]
    expected[2] = Gap(ids[1], ids[3])
    assert listener.items == expected


@pytest.mark.parametrize("cut", [True, False], ids=["reconnects", "hears the bell"])
async def test_a_log_whose_clock_went_back_is_a_gap_and_its_events_are_heard(
    feed: Feed, raw: Redis, any_redis_url: str, cut: bool
) -> None:
    event = changes(9)[8]
    said = msgspec.json.encode(event)
    async with Listener(any_redis_url) as listener:
        [announced] = await feed.announce(keyed("p", changes(1)))
        await listener.hears(1)
        await raw.flushall()
        await raw.xadd(LOG, {"prev": START, "event": said}, id="5-0")
        if cut:
            await raw.client_kill_filter(_type="pubsub")
        else:
            await raw.publish(BELL, b"5-0 0-0 " + said)
        await listener.hears(2)
        # It goes on from there, though every id of the new log is below the old ones.
        await raw.xadd(LOG, {"prev": "5-0", "event": said}, id="6-0")
        await raw.publish(BELL, b"6-0 5-0 " + said)
        await listener.hears(3)
    assert listener.gaps == [Gap(announced.id, START)]
    assert [item.id for item in listener.heard[1:]] == ["5-0", "6-0"]


async def test_a_follower_whose_log_lost_its_end_lacks_nothing_and_hears_nothing_twice(
    feed: Feed, raw: Redis, any_redis_url: str
) -> None:
    """A power cut takes the last second, a failover what was not yet copied."""
    async with Listener(any_redis_url) as listener:
        kept = await feed.announce(keyed("p", changes(5)))
        whole = await raw.dump(LOG)
        lost = await feed.announce(keyed("q", changes(5)))
        await listener.hears(10)
        await raw.restore(LOG, 0, whole, replace=True)
        await raw.client_kill_filter(_type="pubsub")
        await feed.announce(keyed("r", changes(1)))
        await listener.hears(11)
    assert listener.gaps == []
    assert [item.id for item in listener.heard[:10]] == [announced.id for announced in (*kept, *lost)]


async def test_a_follower_that_comes_from_beyond_the_end_of_the_log_goes_on_from_there(
    feed: Feed, raw: Redis, any_redis_url: str
) -> None:
    """A server that was restarted by the same power cut, with the place its database remembers."""
    kept = await feed.announce(keyed("p", changes(5)))
    beyond = f"{order(kept[-1].id)[0] + 1000}-0"
    async with Listener(any_redis_url, beyond) as listener:
        await feed.announce(keyed("q", changes(1)))
        await listener.hears(1)
    assert listener.gaps == []


# Garbage


GARBAGE = [
    b"",
    b" ",
    b"hello",
    b"1-0",
    b"1-0 0-0",
    b"a b c",
    b"\xff\xfe 0-0 {}",
    b"9" * 5000 + b"-0 0-0 {}",
    b"-1-0 0-0 {}",
    b"{",
    b"{}",
    b'{"type":"beat"}',
    b'{"type":"nonsense"}',
    b'{"type":"beat","x":' + b"[" * 100_000,
    b'{"type":"beat","worker":"\xff"}',
    # A logged event may come from the log alone.
    msgspec.json.encode(a_change()),
]


async def test_garbage_on_the_channel_is_passed_over(feed: Feed, raw: Redis, any_redis_url: str) -> None:
    async with Listener(any_redis_url) as listener:
        await feed.announce(keyed("p", changes(1)))
        await listener.hears(1)
        for rubbish in GARBAGE:
            await raw.publish(BELL, rubbish)
        await feed.announce(keyed("p", changes(2)))
        await listener.hears(2)
    assert listener.items == listener.heard and False not in listener.links


UNHEARD_OF = [
    {"event": b'{"type":"nonsense"}'},
    {"event": b"{"},
    {"event": b"\xff"},
    {"event": b'{"type":"state"}'},
    {"event": b'{"type":"silence","x":' + b"[" * 100_000},
    {"event": msgspec.json.encode(a_change(at=NOON.replace(tzinfo=None)))},
    {"nothing": b"of ours"},
]


@pytest.mark.parametrize("live", [True, False], ids=["live", "from the log"])
async def test_garbage_in_the_log_is_passed_over(
    feed: Feed, raw: Redis, any_redis_url: str, live: bool
) -> None:
    async def write() -> None:
        await feed.announce(keyed("p", changes(1)))
        for fields in UNHEARD_OF:
            last = (await raw.xrevrange(LOG, count=1))[0][0]
            await raw.xadd(LOG, {"prev": last, **fields})
        await raw.xadd(LOG, {"prev": b"\xff\xff", "event": b"\xff"})
        await feed.announce(keyed("p", changes(2)))

    if not live:
        await write()
    async with Listener(any_redis_url) as listener:
        if live:
            await write()
        await listener.hears(2)
        assert listener.events == changes(2)
        assert len(listener.gaps) == 1  # before the one whose `prev` was not the id before it
    assert False not in listener.links


# Beats


def beats(items: list[Heard | Gap]) -> list[Beat]:
    return [item.event for item in items if isinstance(item, Heard) and isinstance(item.event, Beat)]


async def test_a_beat_is_heard_and_is_not_in_the_log(feed: Feed, raw: Redis, any_redis_url: str) -> None:
    async with Listener(any_redis_url) as listener:
        await feed.beat(a_beat())
        await eventually(lambda: beats(listener.items) == [a_beat()])
    assert await raw.xlen(LOG) == 0


async def test_a_newcomer_hears_the_last_beat_of_each_worker_at_once_and_no_old_ones(
    feed: Feed, raw: Redis, any_redis_url: str
) -> None:
    for beat in (a_beat("old"), a_beat("new"), a_beat("new", monitors=3), a_beat("other", region="eu")):
        await feed.beat(beat)
    await raw.zincrby(BEATS_AT, -int(2.5 * BEAT * 1000) - 1, "old")
    async with Listener(any_redis_url) as listener:
        heard = beats(listener.items)
    assert sorted(heard, key=lambda beat: beat.worker) == [
        a_beat("new", monitors=3),
        a_beat("other", region="eu"),
    ]


async def test_a_beat_that_a_newcomer_finds_says_how_old_it_is(
    feed: Feed, raw: Redis, any_redis_url: str
) -> None:
    for worker in ("young", "old", "ahead"):
        await feed.beat(a_beat(worker))
    await raw.zincrby(BEATS_AT, -int(1.1 * BEAT * 1000), "old")
    await raw.zincrby(BEATS_AT, 60_000, "ahead")  # Redis' clock was set back: nobody knows how old it is
    async with Listener(any_redis_url) as listener:
        found = [item for item in listener.items if isinstance(item, Heard)]
        ago = {item.event.worker: item.ago for item in found if isinstance(item.event, Beat)}
        await feed.beat(a_beat("young"))
        await eventually(lambda: len(beats(listener.items)) == len(ago) + 1)
    assert 1.1 * BEAT <= ago.pop("old") <= 1.5 * BEAT + 0.001
    assert 0.0 <= ago.pop("young") <= 1.5 * BEAT
    assert ago == {}
    assert listener.items[-1] == Heard("", a_beat("young"))


async def test_the_beat_of_a_worker_that_is_long_gone_is_forgotten(feed: Feed, raw: Redis) -> None:
    await feed.beat(a_beat("old"))
    await raw.zincrby(BEATS_AT, -60_001, "old")
    await feed.beat(a_beat("new"))
    assert await raw.zrange(BEATS_AT, 0, -1) == [b"new"]


async def test_a_follower_with_beats_in_between_hears_events_in_order(feed: Feed, any_redis_url: str) -> None:
    async with Listener(any_redis_url) as listener:
        for event in keyed("p", changes(20)):
            await feed.announce([event])
            await feed.beat(a_beat())
        await listener.hears(20)
        await eventually(lambda: len(beats(listener.items)) == 20)
    assert listener.events == changes(20) and listener.gaps == []


# Catalogs


class Reader:
    """What a worker is told to probe, from `async with` to its end."""

    def __init__(self, url: str) -> None:
        self.catalogs: list[Catalog] = []
        self._feed = Feed(url, beat=BEAT)

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
        await self._feed.close()

    async def _read(self) -> None:
        async with aclosing(self._feed.catalogs()) as catalogs:
            async for catalog in catalogs:
                self.catalogs.append(catalog)

    async def has_read(self, *catalogs: Catalog) -> None:
        await eventually(lambda: not self.task.done() and len(self.catalogs) >= len(catalogs))
        assert self.catalogs == list(catalogs)


A, B, C = a_catalog("a"), a_catalog("b"), a_catalog("c")


async def test_a_worker_is_told_the_present_catalog_and_then_each_new_one(
    feed: Feed, any_redis_url: str
) -> None:
    await feed.assign(A)
    async with Reader(any_redis_url) as reader:
        await reader.has_read(A)
        await feed.assign(A)
        await feed.assign(B)
        await reader.has_read(A, B)
        await feed.assign(A)
        await reader.has_read(A, B, A)
    assert await feed.assigned() == A.revision


async def test_a_worker_waits_for_a_catalog_that_is_not_there_yet(feed: Feed, any_redis_url: str) -> None:
    assert await feed.assigned() is None
    async with Reader(any_redis_url) as reader:
        await feed.assign(A)
        await reader.has_read(A)


async def test_a_catalog_that_changed_while_redis_was_away_is_read_after_its_return(server: Valkey) -> None:
    feed = Feed(server.url, beat=BEAT)
    await feed.assign(A)
    async with Reader(server.url) as reader:
        await reader.has_read(A)
        server.kill()
        await asyncio.to_thread(server.start)
        await feed.assign(B)
        await reader.has_read(A, B)
    await feed.close()


async def test_a_catalog_of_which_the_worker_was_not_told_is_found_all_the_same(
    feed: Feed, raw: Redis, any_redis_url: str
) -> None:
    async with Reader(any_redis_url) as reader:
        await feed.assign(A)
        await reader.has_read(A)
        silent = {"revision": B.revision, "catalog": msgspec.json.encode(B)}
        await raw.hset(CATALOG, mapping=silent)
        await reader.has_read(A, B)


async def test_a_worker_goes_on_when_redis_forgets_the_catalog_or_holds_garbage(
    feed: Feed, raw: Redis, any_redis_url: str
) -> None:
    async with Reader(any_redis_url) as reader:
        await feed.assign(A)
        await reader.has_read(A)
        await raw.flushall()
        await asked(raw, "hget", 2)
        # The last one has a revision, and nothing of which it could be.
        for catalog in (b"{", b"\xff", b'{"components":[{}]}', b'{"x":' + b"[" * 100_000, None):
            await raw.delete(CATALOG)
            await raw.hset(CATALOG, "revision", repr(catalog)[:9])
            if catalog is not None:
                await raw.hset(CATALOG, "catalog", catalog)
            await asked(raw, "hmget", 1)
        await feed.assign(C)
        await reader.has_read(A, C)


# Trimming


async def test_trimming_never_goes_behind_the_cursor_of_the_recorder(feed: Feed, raw: Redis) -> None:
    ids = [a.id for a in await feed.announce(keyed("p", changes(1000)))]
    await feed.trim(ids[699], timedelta(seconds=-60))
    left = [id.decode() for id, _ in await raw.xrange(LOG)]
    assert len(left) < 1000
    assert left[-300:] == ids[700:]


async def test_trimming_keeps_what_is_young(feed: Feed, raw: Redis) -> None:
    ids = [a.id for a in await feed.announce(keyed("p", changes(1000)))]
    await feed.trim(ids[-1], timedelta(days=1))
    await feed.trim(START, timedelta(seconds=-60))
    assert await raw.xlen(LOG) == 1000


async def test_a_log_that_nobody_records_grows_only_to_a_limit(
    feed: Feed, raw: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "LOG_AT_MOST", 200)
    for n in range(0, 1000, 100):
        await feed.announce(keyed("p", changes(100), n + 1))
    assert 200 <= await raw.xlen(LOG) < 400


# The end


async def _clients(raw: Redis) -> int:
    return len([client for client in await raw.client_list() if client["cmd"] != "client|list"])


@contextmanager
def nothing_abandoned() -> Iterator[None]:
    """No generator is left to the garbage collector: it would end, and let go of its connection, some time
    later."""
    found: list[str] = []
    hooks = sys.get_asyncgen_hooks()

    def note(generator: AsyncGenerator[Any, Any]) -> None:
        found.append(generator.__qualname__)
        hooks.finalizer(generator)

    sys.set_asyncgen_hooks(firstiter=hooks.firstiter, finalizer=note)
    try:
        yield
    finally:
        sys.set_asyncgen_hooks(*hooks)
    assert found == []


@pytest.mark.parametrize("when", ["before the first item", "amid the log", "while it waits"])
async def test_a_follower_that_is_closed_leaves_nothing_behind(
    raw: Redis, any_redis_url: str, when: str
) -> None:
    speaker = Feed(any_redis_url, beat=BEAT)
    await speaker.announce(keyed("p", changes(600)))
    await speaker.close()
    await eventually(lambda: _none_of(raw))
    tasks = asyncio.all_tasks()
    feed = Feed(any_redis_url, beat=BEAT)
    with nothing_abandoned():
        items = feed.follow(START)
        if when == "amid the log":
            for _ in range(3):
                await anext(items)
        elif when == "while it waits":
            for _ in range(600):
                await anext(items)
            waiting = asyncio.ensure_future(anext(items))
            await eventually(lambda: _subscribers(raw))
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                await waiting
        await items.aclose()
        del items
    assert asyncio.all_tasks() == tasks
    await feed.close()
    await eventually(lambda: _none_of(raw))


async def _none_of(raw: Redis) -> bool:
    return await _clients(raw) == 0


async def test_whoever_is_told_to_stop_stops_whatever_it_is_about(any_redis_url: str) -> None:
    feed = Feed(any_redis_url, beat=BEAT)
    await feed.assign(A)

    async def speak() -> None:
        while True:
            await feed.beat(a_beat())
            await feed.announce(keyed("p", changes(1)))

    async def listen(things: AsyncGenerator[Any, None]) -> None:
        async with aclosing(things):
            async for _ in things:
                pass

    for steps in range(60):
        tasks = [speak(), listen(feed.follow(START)), listen(feed.catalogs())]
        running = [asyncio.create_task(task) for task in tasks]
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in running:
            task.cancel()
        _, still_running = await asyncio.wait(running, timeout=5.0)
        assert not still_running
    await feed.close()


async def test_a_follower_is_closed_at_once_even_while_redis_is_away(server: Valkey) -> None:
    tasks = asyncio.all_tasks()
    async with Listener(server.url) as listener:
        server.kill()
        await eventually(lambda: False in listener.links)
        began = monotonic()
    assert monotonic() - began < 0.5
    assert asyncio.all_tasks() == tasks


# What is kept for the next worker


async def test_how_a_monitor_stands_and_when_it_answered_is_kept_by_region(feed: Feed) -> None:
    now = from_seconds(time())
    down = a_change(State.DOWN, now, "m1", reason="status 500", bad=2)
    elsewhere = a_change(State.UP, now, "m1", region="eu")
    told = a_standing(State.UP, now, "m2")
    samples = [a_sample(State.UP, now + timedelta(seconds=1), f"m{n}") for n in range(1, 1500)]
    await feed.announce(keyed("p", [down, elsewhere, a_retelling(told), a_batch(*samples)]))

    known = await feed.standings("local", ["m1", "m2", "m3", "m4"])

    # Of those that were only measured nothing is known: their standing was never told.
    assert {key: it.standing for key, it in known.items()} == {"m1": down.standing, "m2": told}
    assert {it.answered for it in known.values()} == {now + timedelta(seconds=1)}
    assert all(-1.1 < it.age < 5 for it in known.values())
    assert (await feed.standings("eu", ["m1"]))["m1"].answered == now


async def test_what_says_nothing_of_a_monitor_does_not_make_it_younger(feed: Feed) -> None:
    await feed.announce(keyed("p", [a_change(State.UP, NOON, "m1")]))
    inconclusive = a_sample(State.UP, after(9), "m1", outcome=Outcome.INCONCLUSIVE)
    await feed.announce(keyed("p", [a_batch(inconclusive, a_sample(State.UNKNOWN, after(9), "m1"))], 2))
    assert (await feed.standings("local", ["m1"]))["m1"].answered == NOON


async def test_what_the_log_did_not_take_is_not_kept_either(feed: Feed) -> None:
    events = keyed("p", [a_change(State.UP, NOON, "m1"), a_change(State.DOWN, after(1), "m1")])
    await feed.announce(events[:1])
    with pytest.raises(Forgotten):
        await feed.announce(events[1:], known="1-1")
    assert (await feed.standings("local", ["m1"]))["m1"].standing.state is State.UP


async def test_monitors_that_are_gone_are_forgotten(feed: Feed) -> None:
    await feed.announce(keyed("p", [a_change(State.UP, NOON, f"m{n}") for n in range(4)]))
    await feed.forget("local", all_but={"m1", "m3", "other"})
    assert sorted(await feed.standings("local", [f"m{n}" for n in range(4)])) == ["m1", "m3"]
    await feed.forget("nowhere", all_but=set())


# Among the workers of a region


async def test_workers_hear_the_beats_of_their_region_and_a_farewell_that_nobody_else_hears(
    feed: Feed, any_redis_url: str
) -> None:
    heard: list[object] = []

    async def hear() -> None:
        async with aclosing(feed.among("eu")) as among:
            async for said in among:
                heard.append(said)

    async with Listener(any_redis_url) as listener:
        await feed.beat(before := a_beat("a", region="eu", shares=True))
        hearing = asyncio.create_task(hear())
        await eventually(lambda: heard == [before])
        await feed.beat(a_beat("b", region="us", shares=True))
        await feed.beat(beat := a_beat("c", region="eu", shares=True))
        await feed.farewell(farewell := a_beat("c", region="eu"))
        await feed.ask([("eu", look := SecondLook(monitor="m", region="us"))])
        await eventually(lambda: heard == [before, beat, farewell, look])
        assert [it.worker for it in await feed.alive("eu")] == ["a"]
        await eventually(lambda: len(listener.items) == 3)
        said = [item.event for item in listener.items if isinstance(item, Heard)]
        assert len(said) == 3 and farewell not in said
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
