"""`web` with several processes: one port, and a hub for each; what happens to one is no matter of the
others."""

import asyncio
import json
import os
import random
import signal
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import websockets
from websockets.exceptions import ConnectionClosed, InvalidMessage

from app.domain.standing import State
from app.feed import Feed
from tests.conftest import eventually
from tests.services import Valkey, Web, alive
from tests.test_streams import BEAT, FILE, say

PROCESSES = 2


def free_ports_in_a_row(count: int) -> int:
    """The first of them. Below those that the kernel gives to whoever asks for any."""
    while True:
        first = random.randint(12_000, 32_000)
        with ExitStack() as stack, suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


class Webs(Web):
    def __init__(self, redis_url: str, **environ: str) -> None:
        self.alone = free_ports_in_a_row(PROCESSES)
        environ |= {"STATUSWIRE_PROCESSES": str(PROCESSES), "STATUSWIRE_METRICS_PORT": str(self.alone)}
        super().__init__(redis_url, STATUSWIRE_BEAT=BEAT, **environ)

    @property
    def pids(self) -> list[int]:
        assert self.process is not None
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def figure(self, number: int, name: str) -> float:
        """One figure of one process, by its own port; -1 while it does not answer."""
        port, self.port = self.port, self.alone + number
        try:
            lines = self.get("/metrics")[1].decode().splitlines()
        except OSError:
            return -1.0
        finally:
            self.port = port
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)), 0.0)

    def viewers(self) -> list[float]:
        return [self.figure(number, 'statuswire_viewers{kind="ws"}') for number in range(PROCESSES)]


@pytest.fixture(scope="module")
def shared() -> Iterator[Webs]:
    with Valkey() as valkey, Webs(valkey.start().url) as webs:
        (webs.folder / "statuswire.yaml").write_text(FILE)
        webs.start()
        # By their parent, and by it alone.
        assert webs.logs.count(f"page is at {webs.url}/ as soon as") == 1
        yield webs


@pytest.fixture
async def webs(shared: Webs) -> Webs:
    """All of them are up; the test before may have ended some, or all."""
    if not shared.running:
        await asyncio.to_thread(shared.start, migrate=False)
    await eventually(
        lambda: [shared.figure(n, "statuswire_process ") for n in range(PROCESSES)] == [1, 2], 30.0
    )
    await eventually(lambda: b"Website" in shared.get("/")[1])
    await eventually(lambda: sum(shared.viewers()) == 0)
    return shared


async def watch(webs: Webs, stack: AsyncExitStack, count: int) -> list[Any]:
    urls = [f"ws://127.0.0.1:{webs.port}/ws"] * count
    return [await stack.enter_async_context(websockets.connect(url, compression=None)) for url in urls]


async def answers(webs: Webs) -> bool:
    """Ten times out of ten."""
    async with AsyncExitStack() as stack:
        with suppress(OSError, InvalidMessage):
            await watch(webs, stack, 10)
            return True
    return False


def who_logged(webs: Webs, id: str) -> set[int]:
    pushed = [json.loads(line) for line in webs.logs.splitlines() if '"pushed"' in line and line[-1] == "}"]
    return {line["process"] for line in pushed if line["id"] == id}


async def last_frame(viewer: Any) -> dict[str, Any]:
    """The last before the socket was closed."""
    frames = []
    with suppress(ConnectionClosed):
        while True:
            frames.append(json.loads(await viewer.recv()))
    return frames[-1]  # type: ignore[no-any-return]


async def patch(viewer: Any, id: str) -> dict[str, Any]:
    async with asyncio.timeout(5):
        while (frame := json.loads(await viewer.recv()))["id"] != id or frame["type"] != "patch":
            pass
        return frame  # type: ignore[no-any-return]


async def test_the_viewers_of_one_port_are_spread_and_all_are_told_the_same(
    webs: Webs,
) -> None:
    feed = Feed(webs.environ["REDIS_URL"])
    async with AsyncExitStack() as stack:
        sockets = await watch(webs, stack, 60)
        assert sum(webs.viewers()) == 60
        assert min(webs.viewers()) >= 5
        await say(feed, "api", State.UP)
        id = await say(feed, "api", State.DOWN)
        patches = [await patch(socket, id) for socket in sockets]
    assert patches == [patches[0]] * 60
    await eventually(lambda: who_logged(webs, id) == {1, 2})
    await feed.close()


async def test_one_that_is_killed_costs_only_its_own_viewers_and_comes_back(webs: Webs) -> None:
    async with AsyncExitStack() as stack:
        sockets = await watch(webs, stack, 30)
        before = webs.viewers()
        pids = webs.pids
        os.kill(pids[0], signal.SIGKILL)
        await eventually(lambda: not alive(pids[0]))
        # Its last thread may hold the port a moment longer; then the port goes on answering.
        await eventually(lambda: answers(webs), within=2)
        await watch(webs, stack, 5)
        await eventually(lambda: min(webs.viewers()) >= 0)
        assert len(webs.pids) == PROCESSES
        assert set(webs.pids) > set(pids[1:])
        gone = sum(socket.state is not websockets.State.OPEN for socket in sockets)
        assert gone in before
    assert '"part": "web ' in webs.logs


async def test_each_says_bye_to_its_own_when_the_parent_is_told_to_stop(webs: Webs) -> None:
    pids = webs.pids
    async with AsyncExitStack() as stack:
        sockets = await watch(webs, stack, 30)
        assert min(webs.viewers()) > 0
        reading = [asyncio.create_task(last_frame(socket)) for socket in sockets]
        assert await asyncio.to_thread(webs.stop, 3.0) == 0
        frames = await asyncio.gather(*reading)
    assert {frame["type"] for frame in frames} == {"bye"}
    assert not any(alive(pid) for pid in pids)


async def test_none_outlives_a_parent_that_is_killed(webs: Webs) -> None:
    pids = webs.pids
    webs.kill()
    await eventually(lambda: not any(alive(pid) for pid in pids))


async def test_another_server_on_the_port_is_one_clear_line(webs: Webs) -> None:
    """Both would ask for the port to be shared, and the kernel would let them."""
    with Web(webs.environ["REDIS_URL"], PORT=str(webs.port), STATUSWIRE_PROCESSES="2") as second:
        assert second.run() == 2
        assert "Cannot listen on 127.0.0.1 port" in second.logs
