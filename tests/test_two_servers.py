"""Two servers behind one Redis are one to their viewers: the same ids, the same bytes, and whoever goes from
one to the other has missed nothing and is told nothing twice."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from itertools import cycle

import httpx
import pytest
import websockets
from httpx_sse import aconnect_sse

from app.domain.events import order
from app.domain.standing import State
from app.feed import Feed, Heard
from app.live.hub import Hub
from app.live.streams import until_heard
from tests.conftest import eventually
from tests.make import a_batch, a_sample
from tests.services import Valkey, Web
from tests.test_streams import FILE, say

CHANGES = 400
BEAT = "0.5"
STATES = cycle((State.UP, State.DEGRADED, State.DOWN))

Frames = list[tuple[str, str]]  # id, and the frame as it came


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Web]]:
    """Each with a database of its own: what they agree on, they have from the feed."""
    with (
        Valkey() as valkey,
        Web(valkey.start().url, STATUSWIRE_BEAT=BEAT) as one,
        Web(valkey.url, STATUSWIRE_BEAT=BEAT) as other,
    ):
        for server in (one, other):
            (server.folder / "statuswire.yaml").write_text(FILE)
            server.start()
        yield [one, other]


@pytest.fixture
async def feed(servers: list[Web]) -> AsyncIterator[Feed]:
    feed = Feed(servers[0].environ["REDIS_URL"], beat=float(BEAT))
    for server in servers:
        await eventually(lambda server=server: b"Website" in server.get("/")[1])  # type: ignore[misc]
    yield feed
    await feed.close()


class Viewer:
    """Goes from server to server every few frames. Latency and beats are not news, and not kept."""

    def __init__(self, servers: list[Web], hops: bool = True) -> None:
        self.frames: Frames = []
        self.snapshots = 0
        self.last = ""
        self._servers = servers
        self._hops = hops

    def _left(self) -> float:
        return random.randint(1, 30) if self._hops else float("inf")

    def take(self, kind: str, id: str, raw: str) -> bool:
        """False if it was no change."""
        self.snapshots += kind == "snapshot"
        if kind in ("snapshot", "patch"):
            self.last = id
        if kind == "patch" and "components" in json.loads(raw):
            self.frames.append((id, raw))
            return True
        return False

    async def by_websocket(self) -> None:
        while True:
            server, left = random.choice(self._servers), self._left()
            url = f"ws://127.0.0.1:{server.port}/ws" + (f"?since={self.last}" if self.last else "")
            # With a full queue this client does not hear the answer to its goodbye, and waits 10 s for it.
            async with websockets.connect(url, compression=None, max_queue=None) as socket:
                async for raw in socket:
                    assert isinstance(raw, str)
                    frame = json.loads(raw)
                    left -= self.take(frame["type"], frame["id"], raw)
                    if left <= 0:
                        break

    async def by_events(self) -> None:
        async with httpx.AsyncClient(timeout=None) as client:
            while True:
                server, left = random.choice(self._servers), self._left()
                headers = {"last-event-id": self.last} if self.last else {}
                with suppress(httpx.HTTPError):
                    async with aconnect_sse(client, "GET", f"{server.url}/events", headers=headers) as source:
                        async for event in source.aiter_sse():
                            left -= self.take(event.event, event.id, event.data)
                            if left <= 0:
                                break


async def test_whoever_goes_from_one_to_the_other_misses_nothing_and_is_told_nothing_twice(
    servers: list[Web], feed: Feed
) -> None:
    still = [Viewer([server], hops=False) for server in servers]
    hopping = [Viewer(servers) for _ in range(6)]
    watching = [
        *(asyncio.create_task(viewer.by_websocket()) for viewer in (*still, *hopping[:3])),
        *(asyncio.create_task(viewer.by_events()) for viewer in hopping[3:]),
    ]
    await eventually(lambda: all(viewer.last for viewer in (*still, *hopping)))

    ids = []
    for _ in range(CHANGES):
        ids.append(await say(feed, random.choice(("api", "web")), next(STATES)))
        await asyncio.sleep(random.choice((0, 0, 0.01)))
    await say(feed, "api", State.UNKNOWN)
    await eventually(lambda: {viewer.frames[-1][0] for viewer in (*still, *hopping)} == {still[0].last})
    for task in watching:
        task.cancel()
    ended = await asyncio.gather(*watching, return_exceptions=True)
    assert [type(end) for end in ended] == [asyncio.CancelledError] * len(watching)

    first, second = still
    assert first.frames == second.frames
    assert len(first.frames) > CHANGES / 2
    for viewer in hopping[:3]:
        assert viewer.frames == first.frames
    # The same objects, without what a WebSocket needs to tell them apart.
    told = [(id, {k: v for k, v in json.loads(raw).items() if k != "type"}) for id, raw in first.frames]
    for viewer in hopping[3:]:
        assert [(id, json.loads(raw)) for id, raw in viewer.frames] == told
        assert viewer.frames == hopping[3].frames
    assert [viewer.snapshots for viewer in (*still, *hopping)] == [1] * 8


async def test_who_comes_from_a_server_that_has_heard_more_is_let_in_as_soon_as_we_have() -> None:
    hub = Hub(5.0, wall_clock=lambda: 1000.0)
    hub.hear(Heard("999000-0", a_batch(a_sample())))
    coming = asyncio.create_task(until_heard(hub, "999000-1"))
    _, waiting = await asyncio.wait([coming], timeout=0.1)
    assert waiting
    hub.hear(Heard("999000-2", a_batch(a_sample())))
    await asyncio.wait_for(coming, 1.0)


@pytest.mark.parametrize("since", [None, "0-0", "999000-0", "99999999-0"])
async def test_nobody_waits_for_what_was_heard_or_never_said(since: str | None) -> None:
    hub = Hub(5.0, wall_clock=lambda: 1000.0)
    hub.hear(Heard("999000-0", a_batch(a_sample())))
    await asyncio.wait_for(until_heard(hub, since), 0.01)


async def test_what_is_not_heard_in_time_is_not_waited_for() -> None:
    hub = Hub(5.0, wall_clock=lambda: 1000.0)
    await asyncio.wait_for(until_heard(hub, "1000000-0"), 2.0)
    assert order(hub.board.id) == (0, 0)
