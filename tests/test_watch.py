"""Silence: what is no longer known is called unknown, in time, once, and ended by the next word."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from datetime import datetime, timedelta

import pytest
from redis.asyncio import Redis

from app.domain.board import Board
from app.domain.events import Beat, Sample, Samples, Silence, StateChange, order
from app.domain.instant import from_seconds
from app.domain.result import Outcome
from app.domain.standing import Standing, State
from app.feed import Feed, FeedDown, Heard
from app.live.hub import STALE_BEATS, Hub
from app.live.watch import call_silent, listen, watch
from tests.conftest import eventually
from tests.make import a_beat, a_board, a_catalog, a_change, a_standing
from tests.services import Valkey, Web

BEAT = 0.3
FILE = """
components: [{name: Website, monitors: [{http: http://127.0.0.1:9, slug: web, every: 1s, timeout: 100ms}]}]
"""
BEST_BEFORE = 2.1


async def test_a_monitor_that_falls_silent_becomes_unknown_once_and_is_healed_by_a_sample(
    tmp_path: object,
) -> None:
    with ExitStack() as stack:
        valkey = stack.enter_context(Valkey())
        valkey.start()
        first = stack.enter_context(Web(valkey.url, STATUSWIRE_BEAT=str(BEAT)))
        second = stack.enter_context(Web(valkey.url, first.database_url, STATUSWIRE_BEAT=str(BEAT)))
        for web in (first, second):
            (web.folder / "statuswire.yaml").write_text(FILE)
            await asyncio.to_thread(web.start)
        async with worker(valkey.url) as feed:
            await eventually(lambda: b"Website" in first.get("/")[1])
            said = await say_up(feed)
            await eventually(lambda: status(first) == status(second) == "operational")

            await eventually(lambda: status(first) == status(second) == "unknown", within=BEST_BEFORE + 3)
            unknown_at = time.time()
            assert unknown_at - said >= BEST_BEFORE

            now = from_seconds(time.time())
            sample = Sample("web", now, Outcome.OK, State.UP, 12.0)
            event = Samples(at=now, worker="w", region="local", samples=(sample,))
            await feed.announce([("w:2", event)])
            await eventually(lambda: status(first) == status(second) == "operational")
            silences = [item for item in await everything(feed) if isinstance(item.event, Silence)]
            assert len(silences) == 1


async def test_a_feed_that_is_away_makes_nobody_unknown() -> None:
    """While we are deaf we know nothing, least of all that others were silent."""
    with Valkey(aof=True) as valkey, Web(valkey.start().url, STATUSWIRE_BEAT=str(BEAT)) as web:
        (web.folder / "statuswire.yaml").write_text(FILE)
        await asyncio.to_thread(web.start)
        async with worker(valkey.url) as feed:
            await eventually(lambda: b"Website" in web.get("/")[1])
            await say_up(feed)
            await eventually(lambda: status(web) == "operational")
            await asyncio.to_thread(valkey.stop)
            await eventually(lambda: b"feed_up 0.0" in web.get("/metrics")[1])
            deadline = time.monotonic() + BEST_BEFORE + 0.5
            await eventually(lambda: time.monotonic() > deadline, within=BEST_BEFORE + 1)
            await asyncio.to_thread(valkey.start)

            # What the worker had waiting arrives before anybody is called silent.
            await eventually(lambda: b"feed_up 1.0" in web.get("/metrics")[1])
            await eventually(lambda: still_known(feed))
            assert not [item for item in await everything(feed) if isinstance(item.event, Silence)]


@pytest.mark.parametrize("cut", [False, True], ids=["undisturbed", "cut again and again"])
async def test_nobody_is_green_for_longer_than_two_and_a_half_beats_after_the_last_of_them(
    redis_url: str, cut: bool
) -> None:
    """Each new subscription finds the last beat once more, and so does a server that has just started."""
    every = 1.0
    feed, hub, newcomer = Feed(redis_url, beat=every), Hub(every), Hub(every)
    await feed.beat(a_beat())
    said = time.monotonic()

    async def none() -> Board:
        return hub.board

    async def last_green() -> float:
        last = 0.0
        async with Redis.from_url(redis_url) as raw:
            for n in range(80):  # four beats
                await asyncio.sleep(every / 20)
                if cut and n % 8 == 7:
                    await raw.client_kill_filter(_type="pubsub")
                if "ok" in (hub.feed_state, newcomer.feed_state):
                    last = time.monotonic() - said
        return last

    async def begin(follower: Feed, hub: Hub, after: float) -> None:
        await asyncio.sleep(after)
        await listen(follower, hub, none)

    followers = [Feed(redis_url, beat=every) for _ in range(2)]
    listening = [
        asyncio.create_task(begin(follower, hub, after))
        for follower, hub, after in zip(followers, (hub, newcomer), (0.0, 1.3 * every), strict=True)
    ]
    try:
        await asyncio.wait_for(hub.linked.wait(), 1)
        assert hub.feed_state == "ok"
        assert 1.5 * every < await last_green() <= STALE_BEATS * every + 0.1
        assert newcomer.linked.is_set() or cut
    finally:
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
        for each in (feed, *followers):
            await each.close()


async def test_a_redis_that_took_no_writes_is_told_of_no_silence_before_the_workers_had_their_say(
    valkey: Valkey, capsys: pytest.CaptureFixture[str]
) -> None:
    valkey.flush()
    feed, hub = Feed(valkey.url, beat=BEAT), Hub(BEAT)
    board = a_board()
    board.fold("1-0", a_change(a_standing(State.UP)))  # long ago
    hub.restore(board, "1-0")
    hub.link(True)
    hub.hear(Heard("", a_beat()))
    watching = asyncio.create_task(watch(feed, hub, every=0.02))

    async def a_beat_has_brought_it() -> list[Heard]:
        hub.hear(Heard("", a_beat()))
        return await everything(feed)

    try:
        assert valkey.ask("CONFIG", "SET", "maxmemory", "1") == b"+OK\r\n"
        await eventually(lambda: "a silence could not be announced" in capsys.readouterr().out)
        await eventually(lambda: hub.feed_state == "stale")
        assert valkey.ask("CONFIG", "SET", "maxmemory", "0") == b"+OK\r\n"
        deadline = time.monotonic() + 3 * BEAT
        await eventually(lambda: time.monotonic() > deadline)
        assert await everything(feed) == []

        heard = time.monotonic()
        await eventually(a_beat_has_brought_it)
        assert time.monotonic() - heard >= STALE_BEATS * BEAT
    finally:
        valkey.ask("CONFIG", "SET", "maxmemory", "0")
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await feed.close()


async def test_a_silence_is_said_although_a_clock_that_was_ahead_has_said_a_later_one(redis_url: str) -> None:
    """The feed takes a later one for its first try; nobody must stay green until then."""
    stopwatch = [0.0]
    feed, hub = Feed(redis_url, beat=BEAT), Hub(BEAT, monotonic=lambda: stopwatch[0])
    now = hub.now()
    hub.restore(Board(a_catalog(), now - timedelta(hours=2)), "0-0")

    async def nothing_is_heard() -> None:
        stopwatch[0] += 3600
        assert await call_silent(feed, hub, stopwatch[0] - 100)

    async def say(at: datetime, state: State, n: int) -> None:
        await feed.announce([(f"w:{n}", a_change(state, at))])
        await catch_up(feed, hub)

    try:
        early, late = now - timedelta(minutes=30), now - timedelta(minutes=10)
        await say(late - timedelta(minutes=5), State.UP, 1)
        await nothing_is_heard()
        await catch_up(feed, hub)
        assert hub.board.shown["api"].status == "unknown"
        await say(late, State.UP, 2)
        await say(early, State.UP, 3)
        assert hub.board.shown["api"].status == "operational"
        await nothing_is_heard()
        await catch_up(feed, hub)
        assert hub.board.shown["api"].status == "unknown"
        # Said again it is heard once, as ever.
        await nothing_is_heard()
        assert len([item for item in await everything(feed) if isinstance(item.event, Silence)]) == 2
    finally:
        await feed.close()


async def catch_up(feed: Feed, hub: Hub) -> None:
    for item in await everything(feed):
        if order(item.id) > order(hub.board.id):
            hub.hear(item)


async def still_known(feed: Feed) -> bool:
    now = from_seconds(time.time())
    sample = Sample("web", now, Outcome.OK, State.UP, 12.0)
    with suppress(*FeedDown):
        await feed.announce([("w:9", Samples(at=now, worker="w", region="local", samples=(sample,)))])
        return True
    return False


@asynccontextmanager
async def worker(url: str) -> AsyncIterator[Feed]:
    """A feed on which a worker is heard to live."""
    feed = Feed(url, beat=BEAT)

    async def live() -> None:
        while True:
            with suppress(*FeedDown):
                await feed.beat(Beat(at=from_seconds(time.time()), worker="w", region="local", every=BEAT))
            await asyncio.sleep(BEAT)

    living = asyncio.create_task(live())
    yield feed
    living.cancel()
    await asyncio.gather(living, return_exceptions=True)
    await feed.close()


async def say_up(feed: Feed) -> float:
    said = time.time()
    at = from_seconds(said)
    standing = Standing(monitor="web", region="local", state=State.UP, since=at)
    event = StateChange(trace="w:1", at=at, worker="w", was=State.UNKNOWN, standing=standing)
    await feed.announce([("w:1", event)])
    return said


async def everything(feed: Feed) -> list[Heard]:
    """All that stands in the log now."""
    found: list[Heard] = []
    caught_up = asyncio.Event()
    items = feed.follow("0-0", lambda up: caught_up.set() if up else None)
    with suppress(TimeoutError):
        while not caught_up.is_set():
            async with asyncio.timeout(1):
                item = await anext(items)
            if isinstance(item, Heard) and item.id:
                found.append(item)
    await items.aclose()
    return found


def status(web: Web) -> str:
    page = web.get("/")[1].decode()
    return page.partition('data-slug="website"')[2].partition('data-status="')[2].partition('"')[0]
