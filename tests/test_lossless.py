"""The promise itself: whatever happens to Redis, every change arrives once and in order, everywhere."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest
import websockets
from httpx_sse import aconnect_sse
from websockets.exceptions import WebSocketException

from app.config import Config
from app.db.engine import connect
from app.db.history import History
from app.domain.events import StateChange
from app.domain.instant import from_ms, from_seconds
from app.domain.standing import Standing, State
from app.feed import Feed
from tests.conftest import eventually
from tests.services import Valkey, Web
from workers.outbox import Outbox

PRODUCERS = 4
CHANGES = 250  # of each
KILLS = 4
BEAT = 0.5
FILE = "components:\n" + "".join(
    f"  - {{name: Part {n}, slug: part-{n}, monitors: [{{http: http://127.0.0.1:9, slug: part-{n}}}]}}\n"
    for n in range(PRODUCERS)
)
# A change of each kind, so that none is equal to the one before it.
STATES = (State.UP, State.DEGRADED, State.DOWN)
SHOWN = {State.UP: "operational", State.DEGRADED: "degraded_performance", State.DOWN: "major_outage"}

Seen = list[tuple[str, str, str]]  # id, component, status


@pytest.fixture
async def web(database_url: str) -> AsyncIterator[tuple[Valkey, Web]]:
    with Valkey(aof=True) as valkey, Web(valkey.start().url, database_url, STATUSWIRE_BEAT=str(BEAT)) as web:
        (web.folder / "statuswire.yaml").write_text(FILE)
        await asyncio.to_thread(web.start)
        await eventually(lambda: b"Part 3" in web.get("/")[1])
        yield valkey, web
        print("\n".join(line for line in web.logs.splitlines() if '"pushed"' not in line))
        print(valkey.logs)


async def test_kill_9_of_redis_loses_repeats_and_reorders_nothing(web: tuple[Valkey, Web]) -> None:
    valkey, server = web
    on_ws: Seen = []
    on_sse: Seen = []
    viewers = [
        asyncio.create_task(watch_ws(server, on_ws)),
        asyncio.create_task(watch_sse_with_breaks(server, on_sse)),
    ]
    await eventually(lambda: b'_viewers{kind="ws"} 1.0' in server.get("/metrics")[1])

    producing = (produce(valkey.url, n, seen=on_sse) for n in range(PRODUCERS))
    said = await asyncio.gather(*producing, kill(valkey))

    expected = {f"part-{n}": said[n] for n in range(PRODUCERS)}
    total = PRODUCERS * CHANGES
    await eventually(lambda: len(on_ws) >= total and len(on_sse) >= total, within=20)
    for viewer in viewers:
        viewer.cancel()
    await asyncio.gather(*viewers, return_exceptions=True)
    assert by_component(on_ws) == expected
    assert by_component(on_sse) == expected
    assert (
        [id for id, _, _ in on_ws]
        == [id for id, _, _ in on_sse]
        == sorted({id for id, _, _ in on_ws}, key=lambda id: tuple(map(int, id.split("-"))))
    )
    assert await recorded(server) == expected


async def produce(
    url: str, n: int, changes: int = CHANGES, pace: float = 0.01, seen: Seen | None = None
) -> list[str]:
    """One worker's changes, by the outbox that workers have; the statuses they should be shown as."""
    feed = Feed(url, beat=BEAT)
    outbox = Outbox(feed, f"w{n}")
    delivering = asyncio.create_task(outbox.deliver())
    statuses = []
    for i in range(changes):
        if seen is not None:
            # A tool that is cut all the time is slow, and one that is 500 behind is sent a snapshot instead.
            await eventually(lambda i=i: PRODUCERS * i - len(seen) < 300, within=20)
        state = STATES[i % len(STATES)]
        at = from_seconds(time.time())
        standing = Standing(monitor=f"part-{n}", region="local", state=state, since=at)
        outbox.put(
            lambda key, at=at, standing=standing: StateChange(
                trace=key, at=at, worker=f"w{n}", was=State.UNKNOWN, standing=standing
            )
        )
        statuses.append(SHOWN[state])
        await asyncio.sleep(pace)
    assert await outbox.drain(within=20)
    delivering.cancel()
    await asyncio.gather(delivering, return_exceptions=True)
    await feed.close()
    return statuses


async def kill(valkey: Valkey) -> None:
    for _ in range(KILLS):
        await asyncio.sleep(random.uniform(0.4, 0.8))
        await asyncio.to_thread(valkey.kill)
        await asyncio.sleep(random.uniform(0.1, 0.3))
        await asyncio.to_thread(valkey.start)


async def watch_ws(server: Web, seen: Seen) -> None:
    """One socket for all of it: what happens to Redis is no reason to lose a viewer."""
    async with websockets.connect(f"ws://127.0.0.1:{server.port}/ws", compression=None) as socket:
        async for raw in socket:
            take(json.loads(raw), seen)


async def watch_sse_with_breaks(server: Web, seen: Seen) -> None:
    """A tool on a bad line: every few events it is cut, and resumes with the last id it saw."""
    last = ""
    async with httpx.AsyncClient(timeout=None) as client:
        while True:
            left = random.randint(5, 60)
            headers = {"last-event-id": last} if last else {}
            with suppress(httpx.HTTPError, WebSocketException):
                async with aconnect_sse(client, "GET", f"{server.url}/events", headers=headers) as source:
                    async for event in source.aiter_sse():
                        last = event.id or last
                        frame = json.loads(event.data) if event.data else {}
                        anew = seen and event.event == "snapshot"
                        assert not anew, f"it had to begin anew: {frame.get('why')}"
                        take({"type": event.event, **frame}, seen)
                        left -= event.event == "patch"
                        if not left:
                            break
            await asyncio.sleep(random.uniform(0, 0.1))


def take(frame: dict[str, object], seen: Seen) -> None:
    if frame["type"] == "patch":
        for change in frame.get("components", ()):  # type: ignore[attr-defined]
            seen.append((str(frame["id"]), change["slug"], change["status"]))


def by_component(seen: Seen) -> dict[str, list[str]]:
    return {
        f"part-{n}": [status for _, slug, status in seen if slug == f"part-{n}"] for n in range(PRODUCERS)
    }


async def recorded(server: Web, total: int = PRODUCERS * CHANGES) -> dict[str, list[str]]:
    config = Config.read(dict(server.environ))
    database = await connect(config)
    try:
        history = History(database)

        async def read() -> dict[str, list[str]]:
            spans = {
                f"part-{n}": await history.spans(f"part-{n}", from_ms(0), from_seconds(time.time()))
                for n in range(PRODUCERS)
            }
            # The first span of each is what it was before anything was known of it.
            known = {
                slug: [str(span.status) for span in its if span.status != "unknown"]
                for slug, its in spans.items()
            }
            assert sum(map(len, known.values())) >= total
            return known

        return await eventually(read, within=10)
    finally:
        await database.close()
