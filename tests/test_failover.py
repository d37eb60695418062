"""When one Redis takes over from another nobody is shown a wrong thing, and nothing is lost for good: behind
Sentinel and in a Cluster, under load, with a replica that lags and with an old master that does not know."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import websockets
from redis.asyncio import Redis

from app.domain.events import order
from app.domain.standing import State
from app.feed import LOG
from tests.conftest import eventually
from tests.make import a_change, after
from tests.services import Clustered, Sentinelled, Web, _Several
from tests.test_feed import Listener
from tests.test_lossless import (
    BEAT,
    FILE,
    PRODUCERS,
    SHOWN,
    Seen,
    by_component,
    produce,
    recorded,
    watch_sse_with_breaks,
    watch_ws,
)
from workers.outbox import Outbox

# While nobody takes them, less than a viewer that comes back is told one by one.
CHANGES = 80


@pytest.fixture(params=[Sentinelled, Clustered])
def several(request: pytest.FixtureRequest) -> Iterator[_Several]:
    with request.param() as several:
        yield several


async def test_a_failover_under_load_that_takes_the_last_events_with_it_loses_and_repeats_nothing(
    several: _Several,
) -> None:
    with Web(several.url, STATUSWIRE_BEAT=str(BEAT)) as web:
        (web.folder / "statuswire.yaml").write_text(FILE)
        await asyncio.to_thread(web.start)
        await eventually(lambda: b"Part 3" in web.get("/")[1])
        on_ws: Seen = []
        on_sse: Seen = []
        feeds: list[str] = []
        watching = [
            asyncio.create_task(watch_ws(web, on_ws)),
            asyncio.create_task(watch_sse_with_breaks(web, on_sse)),
            asyncio.create_task(watch_beats(web, feeds)),
        ]
        await eventually(lambda: b'_viewers{kind="ws"} 2.0' in web.get("/metrics")[1])

        said = await asyncio.gather(
            *(produce(several.url, n, CHANGES, pace=0.025) for n in range(PRODUCERS)),
            fail_over(several, on_ws),
        )

        expected = {f"part-{n}": said[n] for n in range(PRODUCERS)}
        total = sum(map(len, expected.values()))
        await eventually(lambda: len(on_ws) >= total and len(on_sse) >= total)
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        assert by_component(on_ws) == expected
        assert by_component(on_sse) == expected
        ids = [order(id) for id, _, _ in on_ws]
        assert ids == sorted(set(ids))
        assert await recorded(web, total) == expected
        # What it took was said again: a server that has heard nothing yet will find it.
        assert await logged(several) == expected
        # The screens knew of it, and of its end.
        assert "down" in feeds
        assert feeds[-1] != "down"


async def fail_over(several: _Several, seen: Seen) -> None:
    await eventually(lambda: len(seen) >= 60)
    # The replica is cut off: from now on the master alone has what it acknowledges.
    several.master.ask("ACL", "SETUSER", "default", "-psync", "-sync")
    several.master.ask("CLIENT", "KILL", "TYPE", "replica")
    await eventually(lambda: several.replica.says("master_link_status:down", "INFO", "replication"))
    cut = len(seen)
    await eventually(lambda: len(seen) >= cut + 40)
    await asyncio.to_thread(several.master.kill)
    await asyncio.to_thread(several.until_taken_over)


async def logged(several: _Several) -> dict[str, list[str]]:
    """What stands in the log of the one that has taken over, as it would be shown."""
    async with Redis.from_url(several.replica.url) as new:
        events = [json.loads(fields[b"event"]) for _, fields in await new.xrange(LOG)]
    standings = [event["standing"] for event in events if event["type"] == "state"]
    return {
        part: [SHOWN[State(its["state"])] for its in standings if its["monitor"] == part]
        for part in (f"part-{n}" for n in range(PRODUCERS))
    }


async def watch_beats(web: Web, feeds: list[str]) -> None:
    async with websockets.connect(f"ws://127.0.0.1:{web.port}/ws?wall=1", compression=None) as socket:
        async for raw in socket:
            frame: dict[str, Any] = json.loads(raw)
            if frame["type"] == "beat":
                feeds.append(frame["feed"])


async def test_a_master_that_was_stopped_and_replaced_is_left_when_it_wakes(several: _Several) -> None:
    async with Listener(several.url) as listener:
        telling = asyncio.create_task(tell(listener))
        await listener.hears_more(10)
        several.master.pause()
        await asyncio.to_thread(several.until_taken_over)
        several.master.resume()
        await ends_on(several, listener, telling)


async def test_a_master_that_only_its_sentinel_has_lost_is_left_within_a_few_beats() -> None:
    """The wrong side of a split: it answers as ever, and takes what is soon to be lost."""
    with Sentinelled() as several:
        for node in (several.master, several.replica):
            assert node.ask("ACL", "SETUSER", "app", "on", ">secret word", "~*", "&*", "+@all") == b"+OK\r\n"
        url = several.url.replace("://", "://app:secret%20word@")
        async with Listener(url) as listener:
            telling = asyncio.create_task(tell(listener))
            await listener.hears_more(10)
            several.master.ask("ACL", "SETUSER", "default", "-@all")
            await asyncio.to_thread(several.until_taken_over)
            began = time.monotonic()
            await ends_on(several, listener, telling)
            assert time.monotonic() - began < 5.0


async def tell(listener: Listener) -> list[str]:
    """One worker's changes, until the test cancels it; what they were called."""
    outbox = Outbox(listener._feed, "w")
    delivering = asyncio.create_task(outbox.deliver())
    said: list[str] = []
    try:
        while True:
            outbox.put(lambda key: a_change(State.DOWN, after(len(said)), trace=f"{len(said)}"))
            said.append(str(len(said)))
            await asyncio.sleep(0.01)
    except asyncio.CancelledError:
        assert await outbox.drain(within=5.0)
        return said
    finally:
        delivering.cancel()
        await asyncio.gather(delivering, return_exceptions=True)


async def ends_on(several: _Several, listener: Listener, telling: "asyncio.Task[list[str]]") -> None:
    """All that was told is in the log of the one that has taken over, once and in order, and was heard."""
    async with Redis.from_url(several.replica.url) as new:
        before = await new.xlen(LOG)
        await eventually(lambda: later(new, before + 50))
        telling.cancel()
        said = await telling
        logged = [json.loads(fields[b"event"])["trace"] for _, fields in await new.xrange(LOG)]
    assert logged == said
    await eventually(lambda: listener.links[-1] and listener.events[-1].trace == said[-1])
    assert sorted({int(event.trace) for event in listener.events}) == [int(trace) for trace in said]
    assert listener.gaps == []


async def later(redis: Redis, count: int) -> bool:
    return bool(await redis.xlen(LOG) >= count)
