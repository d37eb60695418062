"""A handshake whose route says neither yes nor no. What is right and wrong with a handshake itself is asked
of a real server, in test_handover.py."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.live.handshake import EARLY_BYTES, Handshake

Send = Callable[[Any], Awaitable[None]]


async def asked(app: Callable[..., Awaitable[None]]) -> tuple[bytes, set[object], BaseException | None]:
    """What the viewer is told, who is still to be told when uvicorn stops, and what the server is told."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, ours)
    registry: set[object] = set()
    failed: BaseException | None = None
    try:
        await Handshake(transport, registry, b"WELCOME ", b"").ask(app, {})
    except Exception as error:
        failed = error
    said = b""
    while data := await loop.sock_recv(theirs, 4096):
        said += data
    theirs.close()
    return said, registry, failed


async def test_a_route_that_fails_is_a_failure_of_the_server() -> None:
    async def fails(scope: Any, receive: Any, send: Send) -> None:
        raise ZeroDivisionError

    said, registry, failed = await asked(fails)
    assert said.startswith(b"HTTP/1.1 500 ") and not registry
    assert isinstance(failed, ZeroDivisionError)


async def test_a_route_that_says_nothing_is_a_failure_too() -> None:
    async def silent(scope: Any, receive: Any, send: Send) -> None:
        assert (await receive())["type"] == "websocket.connect"
        assert (await receive())["type"] == "websocket.disconnect"

    said, _, failed = await asked(silent)
    assert said.startswith(b"HTTP/1.1 500 ") and failed is None


async def test_a_no_is_said_before_or_behind_the_answer() -> None:
    async def before(scope: Any, receive: Any, send: Send) -> None:
        await send({"type": "websocket.close", "code": 4403})

    async def behind(scope: Any, receive: Any, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4404, "reason": "none"})

    assert (await asked(before))[0].startswith(b"HTTP/1.1 403 ")
    assert (await asked(behind))[0] == b"WELCOME \x88\x06" + (4404).to_bytes(2, "big") + b"none"


async def test_a_route_that_wants_to_talk_is_told_that_it_cannot() -> None:
    async def talks(scope: Any, receive: Any, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "hello"})

    with pytest.raises(RuntimeError, match="takes its WebSocket over, or closes it"):
        _, _, failed = await asked(talks)
        assert failed is not None
        raise failed


async def test_little_is_kept_of_what_is_said_too_early() -> None:
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, ours)
    handshake = Handshake(transport, set(), b"", b"x" * 10 * EARLY_BYTES)
    handshake.data_received(b"x" * 10 * EARLY_BYTES)
    released = handshake.release()
    assert released is not None
    assert len(released.unread) == EARLY_BYTES
    transport.abort()
    theirs.close()
