"""A viewer on plain ASGI, against a `send` that the test holds back: what a server does whose client reads
slowly, or not at all."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest

from app.domain.audience import PUBLIC
from app.domain.standing import State
from app.feed import Heard
from app.live.frames import Line
from app.live.hub import Hub
from app.live.peer import SIGN_IN_AGAIN, TOO_SLOW
from app.live.stream import WAITING_BYTES, Stream, carry
from tests.conftest import eventually
from tests.make import a_catalog, a_catalog_change, a_change

FILLER = b"x" * 1000


class Server:
    """The other end of ASGI. While it is `stuck`, a `send` that has begun does not come back."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.taking = asyncio.Event()
        self.taking.set()
        self.went = asyncio.Event()

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        await self.taking.wait()

    async def receive(self) -> Any:
        await self.went.wait()
        return {"type": "websocket.disconnect"}

    @property
    def texts(self) -> list[str]:
        return [message["text"] for message in self.sent]


@pytest.fixture
async def hub() -> Hub:
    hub = Hub(beat=5.0)
    hub.hear(Heard("1-0", a_catalog_change(a_catalog())))
    hub.hear(Heard("2-0", a_change(State.UP)))
    return hub


def carried(hub: Hub, server: Server, patience: float = 5.0) -> tuple[Stream, asyncio.Task[int]]:
    stream = Stream(Line.WEBSOCKET, wall=False)
    hub.join(stream, PUBLIC, None)
    return stream, asyncio.create_task(carry(stream, hub, server.receive, server.send, patience))


async def test_who_falls_behind_is_given_one_snapshot_when_it_takes_again(hub: Hub) -> None:
    server = Server()
    stream, task = carried(hub, server)
    await eventually(lambda: len(server.sent) == 2)  # a snapshot and a beat
    server.taking.clear()
    stream.write(FILLER)
    await eventually(lambda: len(server.sent) == 3)
    for _ in range(10 * WAITING_BYTES // len(FILLER)):
        stream.write(FILLER)
    server.taking.set()

    await eventually(lambda: len(server.sent) == 4)
    assert json.loads(server.texts[-1])["why"] == "slow"
    stream.write(b"later")
    await eventually(lambda: server.texts[-1] == "later")
    server.went.set()
    await task


async def test_what_waits_for_a_slow_viewer_is_bounded(hub: Hub) -> None:
    stream = Stream(Line.WEBSOCKET, wall=False)
    for _ in range(10 * WAITING_BYTES // len(FILLER)):
        stream.write(FILLER)
        assert sum(map(len, stream._waiting)) <= WAITING_BYTES


@pytest.mark.parametrize("fillers", [0, 10, 10 * WAITING_BYTES // len(FILLER)])
async def test_bye_is_the_last_word_however_much_waits(hub: Hub, fillers: int) -> None:
    server = Server()
    server.taking.clear()
    stream, task = carried(hub, server)
    await eventually(lambda: server.sent)
    for _ in range(fillers):
        stream.write(FILLER)
    stream.end(b"bye", 1012)
    stream.end(b"bye", 1012)
    stream.write(b"more")
    server.taking.set()

    assert await task == 1012
    assert server.texts[-1] == "bye"
    assert server.texts.count("bye") == 1


async def test_who_is_turned_out_without_a_word_is_sent_no_empty_one(hub: Hub) -> None:
    server = Server()
    stream, task = carried(hub, server)
    await eventually(lambda: len(server.sent) == 2)
    stream.end(b"", SIGN_IN_AGAIN)
    assert await task == SIGN_IN_AGAIN
    assert all(server.texts)


async def test_who_takes_nothing_is_let_go_and_forgotten(hub: Hub) -> None:
    server = Server()
    server.taking.clear()
    stream, task = carried(hub, server, patience=0.05)

    async with asyncio.timeout(5):
        assert await task == TOO_SLOW
    assert stream not in hub._stage_of
    assert len(server.sent) == 1


async def test_a_fault_of_ours_is_not_taken_for_a_viewer_that_has_gone(hub: Hub) -> None:
    server = Server()
    stream, task = carried(hub, server)
    stream.write(b"\xff")  # no text, and so no message
    with pytest.raises(UnicodeDecodeError):
        await task
    assert stream not in hub._stage_of


async def test_a_server_that_says_the_viewer_has_gone_by_an_exception_is_understood(hub: Hub) -> None:
    class Gone(Server):
        async def send(self, message: Any) -> None:
            raise ConnectionResetError

    with suppress(asyncio.CancelledError):
        assert await carried(hub, Gone())[1] == 1001
