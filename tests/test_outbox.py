"""The outbox: what is said is heard, once and in order, or counted as dropped."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from redis.asyncio import Redis

from app.domain.events import Logged, Sample, Samples, StateChange
from app.domain.instant import from_ms
from app.domain.result import Outcome
from app.domain.standing import Standing, State
from app.feed import Feed, Heard
from tests.conftest import eventually
from tests.services import Valkey
from workers import outbox as outbox_room
from workers.main import end
from workers.outbox import Outbox


@pytest.fixture
def server() -> Iterator[Valkey]:
    with Valkey(aof=True) as server:
        yield server.start()


@pytest.fixture
async def feed(server: Valkey) -> AsyncIterator[Feed]:
    feed = Feed(server.url, beat=0.3)
    yield feed
    await feed.close()


def change(n: int) -> Callable[[str], Logged]:
    standing = Standing(monitor=f"m{n}", region="local", since=from_ms(n), state=State.UP)
    return lambda key: StateChange(trace=key, at=from_ms(n), worker="w", was=State.UNKNOWN, standing=standing)


def samples(n: int, count: int = 1) -> Callable[[str], Logged]:
    sample = Sample(f"m{n}", from_ms(n), Outcome.OK, State.UP)
    return lambda _: Samples(at=from_ms(n), worker="w", region="local", samples=(sample,) * count)


class Following:
    """What a server hears, by what the event is about."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.heard: list[str] = []
        self.keys: list[str] = []

    async def run(self) -> None:
        async for item in self._feed.follow("0-0"):
            match item:
                case Heard(event=StateChange() as event):
                    self.heard.append(event.standing.monitor)
                    self.keys.append(event.trace)
                case Heard(event=Samples() as event):
                    self.heard.append(f"s{event.samples[0].monitor}")


@pytest.fixture
async def following(server: Valkey) -> AsyncIterator[Following]:
    feed = Feed(server.url, beat=0.3)
    following = Following(feed)
    task = asyncio.create_task(following.run())
    yield following
    await end([task])
    await feed.close()


@pytest.fixture
async def outbox(feed: Feed) -> AsyncIterator[Outbox]:
    outbox = Outbox(feed, "host-1f")
    task = asyncio.create_task(outbox.deliver())
    yield outbox
    assert not task.done()
    await end([task])


async def test_events_are_heard_in_order_each_with_its_key(outbox: Outbox, following: Following) -> None:
    for n in range(600):
        outbox.put(change(n))
    assert outbox.waiting == 600
    assert await outbox.drain(5.0)
    assert outbox.waiting == 0
    await eventually(lambda: len(following.heard) == 600)
    assert following.heard == [f"m{n}" for n in range(600)]
    assert following.keys == [f"host-1f:{n}" for n in range(1, 601)]


async def test_an_event_leaves_at_once(outbox: Outbox, following: Following) -> None:
    outbox.put(change(0))
    await outbox.drain(1.0)
    began = time.perf_counter()
    for n in range(1, 21):
        outbox.put(change(n))
        await outbox.drain(1.0)
    assert (time.perf_counter() - began) / 20 < 0.02


async def test_no_outage_loses_repeats_or_reorders_anything(
    server: Valkey, outbox: Outbox, following: Following
) -> None:
    for n in range(300):
        outbox.put(change(n))
        if n == 100:
            await eventually(lambda: len(following.heard) >= 1)
            server.kill()
        if n == 200:
            server.start()
        if n % 10 == 0:
            await asyncio.sleep(0.01)
    assert await outbox.drain(10.0)
    await eventually(lambda: len(following.heard) >= 300, within=10)
    assert following.heard == [f"m{n}" for n in range(300)]
    assert outbox.dropped == 0


async def test_while_nobody_hears_measurements_give_way_the_oldest_first(
    server: Valkey, outbox: Outbox, following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_room, "SAMPLE_EVENTS_AT_MOST", 3)
    outbox.put(change(0))
    await outbox.drain(2.0)
    server.kill()
    outbox.put(change(1))
    await eventually(lambda: outbox.waiting == 1 and outbox._batch)
    for n in range(2, 12):
        outbox.put(samples(n, count=7))
        outbox.put(change(n))
    assert outbox.dropped == 7 * 7
    server.start()
    assert await outbox.drain(10.0)
    expected = [f"m{n}" for n in range(9)] + ["sm9", "m9", "sm10", "m10", "sm11", "m11"]
    await eventually(lambda: len(following.heard) >= len(expected))
    assert following.heard == expected


async def test_measurements_are_bounded_by_their_number_too(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_room, "SAMPLES_AT_MOST", 100)
    outbox = Outbox(feed, "host-1f")
    for n in range(10):
        outbox.put(samples(n, count=30))
    assert (outbox.waiting, outbox.dropped) == (3, 210)


async def test_state_changes_are_bounded_as_well(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_room, "CHANGES_AT_MOST", 10)
    outbox = Outbox(feed, "host-1f")
    outbox.put(samples(0))
    for n in range(15):
        outbox.put(change(n))
    assert (outbox.waiting, outbox.dropped) == (11, 5)


async def test_a_round_trip_carries_no_more_measurements_than_it_has_time_for(feed: Feed) -> None:
    """256 events of 500 samples each were 11 MB: more than it waits for, and tried again for ever."""
    outbox = Outbox(feed, "host-1f")
    for n in range(9):
        outbox.put(samples(n, count=500))
    outbox.put(samples(9, count=5000))
    outbox.put(change(10))

    batches = []
    while outbox._waiting:
        outbox._batch = []
        outbox._take()
        batches.append(len(outbox._batch))

    # One that is too large by itself still goes, without any other measurements.
    assert batches == [4, 4, 1, 2]


async def test_a_log_that_was_emptied_is_noticed(server: Valkey, feed: Feed) -> None:
    noticed: list[int] = []
    outbox = Outbox(feed, "host-1f", on_new_log=lambda: noticed.append(1))
    task = asyncio.create_task(outbox.deliver())
    outbox.put(change(0))
    await outbox.drain(2.0)
    assert noticed == []  # the first log one hears of is no new one
    outbox.put(change(1))
    await outbox.drain(2.0)
    assert noticed == []
    server.flush()
    outbox.put(change(2))
    await outbox.drain(2.0)
    assert noticed == [1]
    await end([task])


async def test_what_the_notice_brings_is_heard_too(server: Valkey, feed: Feed, following: Following) -> None:
    """It comes in while the outbox is at work, and must not wait for the next event."""
    outbox = Outbox(feed, "host-1f", on_new_log=lambda: outbox.put(change(99)))
    task = asyncio.create_task(outbox.deliver())
    outbox.put(change(0))
    await outbox.drain(2.0)
    server.flush()
    outbox.put(change(1))
    await eventually(lambda: "m99" in following.heard)
    await end([task])


async def test_draining_gives_up_when_its_time_is_over(server: Valkey, outbox: Outbox) -> None:
    server.kill()
    outbox.put(change(0))
    began = time.monotonic()
    assert not await outbox.drain(0.2)
    assert time.monotonic() - began < 0.5


async def test_an_outage_is_said_once(
    server: Valkey, outbox: Outbox, capsys: pytest.CaptureFixture[str]
) -> None:
    server.kill()
    outbox.put(change(0))
    await asyncio.sleep(0)
    began = time.monotonic()
    await eventually(lambda: time.monotonic() - began > 0.6)
    server.start()
    assert await outbox.drain(5.0)
    logged = capsys.readouterr().out
    assert logged.count("events are waiting for the feed") == 1
    assert logged.count("the feed takes events again") == 1


async def test_what_a_killed_redis_had_taken_and_lost_is_said_again(server: Valkey, feed: Feed) -> None:
    """With `appendfsync everysec` a slow disk holds back the log, and kill -9 takes what was acknowledged.
    Here the keys are put back as they were: the same loss, whenever we like."""
    outbox = Outbox(feed, "w")
    delivering = asyncio.create_task(outbox.deliver())
    async with Redis.from_url(server.url) as raw:
        for n in range(5):
            outbox.put(change(n))
        assert await outbox.drain(5)
        keys = [key for key in await raw.keys("*") if await raw.type(key) != b"none"]
        taken = {key: await raw.dump(key) for key in keys}
        for n in range(5, 8):
            outbox.put(change(n))
        assert await outbox.drain(5)
        for key, dump in taken.items():
            await raw.restore(key, 0, dump, replace=True)
        await raw.client_kill_filter(_type="normal", skipme=True)

        outbox.put(change(8))
        assert await outbox.drain(5)

        entries = await raw.xrange("{statuswire}:feed")
        said = [json.loads(fields[b"event"])["standing"]["monitor"] for _, fields in entries]
        assert said == [f"m{n}" for n in range(9)]
    await end([delivering])


async def test_what_was_heard_long_before_is_never_said_again(server: Valkey, feed: Feed) -> None:
    """A Redis that was put back by hours, from a backup say, has lost more than a crash takes. What was said
    then is history, and a board would take it for news."""
    clock = [0.0]
    outbox = Outbox(feed, "w", monotonic=lambda: clock[0])
    delivering = asyncio.create_task(outbox.deliver())
    async with Redis.from_url(server.url) as raw:
        outbox.put(change(0))
        assert await outbox.drain(5)
        taken = {key: await raw.dump(key) for key in await raw.keys("*")}
        for n, at in ((1, 100.0), (2, 200.0), (3, 250.0)):
            clock[0] = at
            outbox.put(change(n))
            assert await outbox.drain(5)
        for key, dump in taken.items():
            await raw.restore(key, 0, dump, replace=True)
        await raw.client_kill_filter(_type="normal", skipme=True)

        # The outage itself may last as long as it will.
        clock[0] = 9000.0
        outbox.put(change(4))
        assert await outbox.drain(5)

        entries = await raw.xrange("{statuswire}:feed")
        said = [json.loads(fields[b"event"])["standing"]["monitor"] for _, fields in entries]
        assert said == ["m0", "m2", "m3", "m4"]
    await end([delivering])
