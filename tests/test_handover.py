"""The doors: heads that never end, bodies that drip, frames that are none; and the insides of uvicorn that
we rely on."""

import ast
import asyncio
import inspect
import socket
import struct
import textwrap
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from app.live import handover
from app.server import SPARE_PER_ADDRESS
from tests.conftest import eventually
from tests.elsewhere import Elsewhere
from tests.services import Valkey, Web

# The newest three; the last is the one in the lock.
TESTED = ("0.52.4", "0.53.0", "0.54.0")
FILE = "components: [{name: Website, monitors: [{http: http://127.0.0.1:9}]}]\n"
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
MASK = b"\x00\x00\x00\x00"


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with Valkey() as valkey, Web(valkey.start().url, STATUSWIRE_BEAT="0.4") as server:
        (server.folder / "statuswire.yaml").write_text(FILE)
        yield server.start()


@pytest.fixture(scope="module")
def tls_web() -> Iterator[Web]:
    with Valkey() as valkey, Elsewhere(valkey.start().url, tls=True, STATUSWIRE_BEAT="0.4") as server:
        (server.folder / "statuswire.yaml").write_text(FILE)
        yield server.start()


@asynccontextmanager
async def connection(
    web: Web, said: bytes
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    tls = web.tls if isinstance(web, Elsewhere) else None
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port, ssl=tls)
    writer.write(said)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def closing_code(web: Web, frames: bytes) -> int | None:
    """What a socket that says these bytes is closed with; None if without a word."""
    async with connection(web, HANDSHAKE) as (reader, writer), asyncio.timeout(8):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in head
        writer.write(frames)
        received = await reader.read(-1)
    return last_close(received)


def until_cut(web: Web, asked: bytes, more: bytes) -> None:
    """Says `more` again and again, and reads nothing behind the answer. An AssertionError if the server has
    not cut it off after three seconds."""
    with socket.create_connection(("127.0.0.1", web.port), timeout=5) as plain, ExitStack() as stack:
        tls = web.tls if isinstance(web, Elsewhere) else None
        sock = stack.enter_context(tls.wrap_socket(plain, server_hostname="127.0.0.1")) if tls else plain
        sock.sendall(asked)
        assert sock.recv(15)[9:12] in (b"101", b"200")
        deadline, sent = time.monotonic() + 3, 0
        with suppress(OSError):
            while time.monotonic() < deadline:
                sock.sendall(more)
                sent += len(more)
            raise AssertionError(f"not cut off after {sent} bytes")


def last_close(received: bytes) -> int | None:
    at = 0
    while at + 2 <= len(received):
        opcode, size, start = received[at] & 15, received[at + 1] & 127, at + 2
        if size == 126:
            size, start = struct.unpack_from("!H", received, start)[0], start + 2
        elif size == 127:
            size, start = struct.unpack_from("!Q", received, start)[0], start + 8
        if opcode == 8:
            return int.from_bytes(received[start : start + 2], "big")
        at = start + size
    return None


def masked(opcode: int, payload: bytes = b"", final: bool = True) -> bytes:
    first = (0x80 if final else 0) | opcode
    if len(payload) < 126:
        return bytes((first, 0x80 | len(payload))) + MASK + payload
    return bytes((first, 0x80 | 126)) + struct.pack("!H", len(payload)) + MASK + payload


MATRIX = {
    "text": (masked(1, b"hello"), 4400),
    "empty text": (masked(1), 4400),
    "binary": (masked(2, b"\x00\xff"), 4400),
    "text that is no UTF-8": (masked(1, b"\xff\xfe"), 4400),
    "the largest message that is read": (masked(1, b"x" * 4096), 4400),
    "one byte more": (masked(1, b"x" * 4097), 1009),
    "a length of 64 bits": (b"\x81\xff" + b"\x7f" * 8 + MASK, 1009),
    "a length below zero": (b"\x81\xff" + b"\xff" * 8 + MASK, 1009),
    "the first of several fragments": (masked(1, b"he", final=False), 4400),
    "a continuation of nothing": (masked(0, b"llo"), 1002),
    "not masked": (b"\x81\x05hello", 1002),
    "a ping that is not masked": (b"\x89\x00", 1002),
    "the first reserved bit": (b"\xc1\x80" + MASK, 1002),
    "the second reserved bit": (b"\xa1\x80" + MASK, 1002),
    "the third reserved bit": (b"\x91\x80" + MASK, 1002),
    "opcode 3": (masked(3), 1002),
    "opcode 7": (masked(7), 1002),
    "opcode 11": (masked(11), 1002),
    "opcode 15": (masked(15), 1002),
    "a ping of 126 bytes": (masked(9, b"x" * 126), 1002),
    "a ping in fragments": (masked(9, b"x", final=False), 1002),
    "a close in fragments": (masked(8, b"\x03\xe8", final=False), 1002),
    "a close of one byte": (masked(8, b"\x03"), 1002),
    "a close with code 999": (masked(8, struct.pack("!H", 999)), 1002),
    "a close with code 1005": (masked(8, struct.pack("!H", 1005)), 1002),
    "a close with code 1006": (masked(8, struct.pack("!H", 1006)), 1002),
    "a close with code 5000": (masked(8, struct.pack("!H", 5000)), 1002),
    "a close whose reason is no UTF-8": (masked(8, b"\x03\xe8\xff"), 1007),
    "a close": (masked(8, struct.pack("!H", 1000)), 1000),
    "a close without a code": (masked(8), 1000),
    "a close of an application": (masked(8, struct.pack("!H", 4000)), 4000),
    "eleven pings": (masked(9, b"x") * 11, 4400),
    "eleven pongs": (masked(10) * 11, 4400),
    "pings and pongs": (masked(9, b"x") * 6 + masked(10, b"x") * 5, 4400),
    "HTTP": (b"GET / HTTP/1.1\r\n\r\n", 1002),
    "all ones": (b"\xff" * 64, 1002),
    "all zeros": (b"\x00" * 64, 1002),
}


@pytest.mark.parametrize("case", MATRIX)
async def test_each_malformed_frame_ends_with_the_right_close_code(web: Web, case: str) -> None:
    said, code = MATRIX[case]
    assert await closing_code(web, said) == code


@pytest.mark.parametrize("case", MATRIX)
async def test_it_is_the_same_where_tls_ends_here(tls_web: Web, case: str) -> None:
    said, code = MATRIX[case]
    # To a close without a code uvicorn answers with one without a code, which is as good.
    assert await closing_code(tls_web, said) == (0 if case == "a close without a code" else code)


@pytest.mark.parametrize("case", ["text", "a close"])
async def test_it_is_the_same_if_it_arrives_byte_by_byte(web: Web, case: str) -> None:
    said, code = MATRIX[case]
    async with connection(web, HANDSHAKE) as (reader, writer), asyncio.timeout(8):
        await reader.readuntil(b"\r\n\r\n")
        for byte in said[:12]:
            writer.write(bytes((byte,)))
            await asyncio.sleep(0.001)
        assert last_close(await reader.read(-1)) == code


async def test_a_ping_is_answered_with_its_own_words(web: Web) -> None:
    async with connection(web, HANDSHAKE) as (reader, writer), asyncio.timeout(5):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(masked(9, b"are you there?"))
        received = b""
        while b"\x8a\x0eare you there?" not in received:
            received += await reader.read(4096)


@pytest.mark.parametrize("which", ["web", "tls_web"])
async def test_who_says_pongs_without_end_is_cut_and_holds_up_nobody(
    request: pytest.FixtureRequest, which: str
) -> None:
    web: Web = request.getfixturevalue(which)
    await asyncio.to_thread(until_cut, web, HANDSHAKE, masked(10) * 42_000)
    began = asyncio.get_running_loop().time()
    assert (await asyncio.to_thread(web.get, "/health/live"))[0] == 200
    assert asyncio.get_running_loop().time() - began < 1


@pytest.fixture(scope="module")
def strict_web() -> Iterator[Web]:
    """One that takes nobody for its proxy."""
    given = {"STATUSWIRE_BEAT": "0.4", "STATUSWIRE_TRUSTED_PROXIES": "192.0.2.0/24"}
    with Valkey() as valkey, Web(valkey.start().url, **given, STATUSWIRE_MAX_VIEWERS="20") as server:
        (server.folder / "statuswire.yaml").write_text(FILE)
        yield server.start()


async def test_one_address_cannot_shut_out_the_others_with_connections_that_say_nothing(
    strict_web: Web,
) -> None:
    async with AsyncExitStack() as open:
        watching, _ = await open.enter_async_context(connection(strict_web, HANDSHAKE))
        await watching.readuntil(b"snapshot")
        silent = [
            await open.enter_async_context(connection(strict_web, b"")) for _ in range(SPARE_PER_ADDRESS)
        ]
        async with connection(strict_web, b"") as (reader, _), asyncio.timeout(4):
            # It is cut at once, and not after the five seconds that it may take its time for.
            with suppress(ConnectionResetError):
                assert await reader.read(-1) == b""
        # Who watches, watches on, and does not count.
        await watching.readuntil(b'"type":"beat"')
        silent[0][1].close()
        await eventually(strict_web._live)
        silent[1][1].close()
        await eventually(lambda: turned_away(strict_web) >= 1)


def turned_away(web: Web) -> float:
    with suppress(OSError):
        for line in web.get("/metrics")[1].decode().splitlines():
            if line.startswith("statuswire_turned_away_total "):
                return float(line.split()[1])
    return 0.0


async def says_ok(scope: Any, receive: Any, send: Any) -> None:
    """Behind a door: reads what it is sent, and then answers."""
    while (await receive()).get("more_body"):
        pass
    length = [(b"content-length", b"2")] if scope["query_string"] == b"length" else []
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def behind_the_door(**settings: Any) -> AsyncIterator[int]:
    """The port of a server that is but the door."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        given = {"http": handover.HttpDoor, "lifespan": "off", "log_config": None} | settings
        server = uvicorn.Server(uvicorn.Config(says_ok, **given))
        task = asyncio.create_task(server._serve([listening]))
        await eventually(lambda: server.started)
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = server.force_exit = True
            await task


async def answer_to(port: int, said: bytes, drip: bytes = b"") -> bytes:
    """All that is answered, until the connection ends; while `drip` is said again and again."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)

    async def heard() -> bytes:
        received = b""
        # Who goes on dripping is reset, be the answer read or not.
        with suppress(ConnectionResetError):
            while data := await reader.read(4096):
                received += data
        return received

    answer = asyncio.create_task(heard())
    async with asyncio.timeout(5):
        while drip and not answer.done():
            writer.write(drip)
            await asyncio.wait([answer], timeout=0.02)
        try:
            return await answer
        finally:
            writer.close()


async def test_a_server_with_as_many_connections_as_it_may_have_is_still_alive() -> None:
    async with behind_the_door(limit_concurrency=3) as port, AsyncExitStack() as open:
        for _ in range(3):
            silent = socket.create_connection(("127.0.0.1", port))
            open.enter_context(silent)
        for path, status in (("/", b" 503 "), ("/health/live", b" 200 ")):
            said = asking("host: x", "connection: close", first=f"GET {path} HTTP/1.1")
            assert status in await answer_to(port, said), path


KEY = "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="
UPGRADE = ("upgrade: websocket", "connection: upgrade")
ASKED = ("host: x", *UPGRADE, "sec-websocket-version: 13", KEY)


def asking(*lines: str, first: str = "GET /ws HTTP/1.1") -> bytes:
    return "\r\n".join([first, *lines, "", ""]).encode("latin-1")


def without(name: str, *instead: str) -> bytes:
    return asking(*(line for line in ASKED if not line.startswith(name)), *instead)


HANDSHAKES = {
    "as it should be": (asking(*ASKED), 101),
    "as a browser writes it": (
        without("connection", "Connection: keep-alive, Upgrade").replace(b"websocket\r", b"WebSocket\r"),
        101,
    ),
    "two words of the other party": (without("upgrade", "upgrade: h2c, websocket"), 101),
    "Connection twice": (asking(*ASKED, "connection: keep-alive"), 101),
    "spaces around the key": (without("sec-websocket-key", KEY.replace(": ", ":    ") + "  "), 101),
    "an extension is offered": (asking(*ASKED, "sec-websocket-extensions: permessage-deflate"), 101),
    "a subprotocol is offered": (asking(*ASKED, "sec-websocket-protocol: chat, superchat"), 101),
    "our own origin": (asking(*ASKED, "origin: http://x"), 101),
    "a foreign origin": (asking(*ASKED, "origin: http://evil.example"), 403),
    "no version": (without("sec-websocket-version"), 400),
    "version 8": (without("sec-websocket-version", "sec-websocket-version: 8"), 426),
    "version thirteen": (without("sec-websocket-version", "sec-websocket-version: thirteen"), 426),
    "a list of versions": (without("sec-websocket-version", "sec-websocket-version: 13, 8"), 426),
    "version twice": (asking(*ASKED, "sec-websocket-version: 13"), 400),
    "no key": (without("sec-websocket-key"), 400),
    "an empty key": (without("sec-websocket-key", "sec-websocket-key:"), 400),
    "a key of fifteen bytes": (without("sec-websocket-key", "sec-websocket-key: " + "A" * 20), 400),
    "a key of seventeen bytes": (without("sec-websocket-key", f"sec-websocket-key: {'A' * 23}="), 400),
    "a key that is no base64": (without("sec-websocket-key", f"sec-websocket-key: {'!' * 22}=="), 400),
    "a key for URLs": (without("sec-websocket-key", f"sec-websocket-key: {'-_' * 10}AA=="), 400),
    "a key with bits that are none": (without("sec-websocket-key", f"sec-websocket-key: {'A' * 21}B=="), 400),
    "a key twice": (asking(*ASKED, KEY), 400),
    "POST": (asking(*ASKED, first="POST /ws HTTP/1.1"), 400),
    "HEAD": (asking(*ASKED, first="HEAD /ws HTTP/1.1"), 400),
    "HTTP/1.0": (asking(*ASKED, first="GET /ws HTTP/1.0"), 400),
    "no host": (without("host"), 400),
    "two hosts": (asking(*ASKED, "host: y"), 400),
    "a host that is none": (without("host", "host: x/../y"), 403),
    "no upgrade": (without("upgrade"), 426),
    "another upgrade": (without("upgrade", "upgrade: h2c"), 426),
    "nearly the upgrade": (without("upgrade", "upgrade: websockets"), 426),
    "no connection": (without("connection"), 426),
    "another connection": (without("connection", "connection: close"), 426),
    "an address that is elsewhere": (asking(*ASKED, first="GET /nowhere HTTP/1.1"), 403),
    "an address that is no socket": (asking(*ASKED, first="GET /events HTTP/1.1"), 403),
    "an address that is none": (asking(*ASKED, first="GET http://x:1:2/ws HTTP/1.1"), 400),
    "an address without a path": (asking(*ASKED, first="GET http://x HTTP/1.1"), 400),
    "an address of bytes": (asking(*ASKED, first="GET /ws\xff HTTP/1.1"), 400),
    "a header that is none": (asking(*ASKED, "sec websocket key: x"), 400),
    "behind a request without an answer": (
        asking("host: x", first="GET /health/live HTTP/1.1") + asking(*ASKED),
        400,
    ),
}


@pytest.mark.parametrize("case", HANDSHAKES)
async def test_each_handshake_has_its_answer(web: Web, case: str) -> None:
    said, status = HANDSHAKES[case]
    async with connection(web, said) as (reader, _), asyncio.timeout(5):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert head.startswith(f"http/1.1 {status} ")
        if status == 101:
            # RFC 6455, section 1.3: the hash of this very key. And nothing is agreed on beside it.
            assert "sec-websocket-accept: icx+yqv66kxgm0fcwalwlflwtai=" in head
            assert "extensions" not in head and "protocol:" not in head
            assert b"snapshot" in await reader.read(4096)
        elif "version" in case and status == 426:
            assert "sec-websocket-version: 13" in head
        elif status in (400, 403):
            await reader.read(-1)  # it is closed
    assert "Traceback" not in web.logs


@pytest.mark.parametrize(
    ("early", "answer"),
    [
        (masked(9, b"early"), b"\x8a\x05early"),
        (masked(1, b"hello"), b"\x88\x02\x11\x30"),
        (masked(2, b"x" * 60_000), b"\x88\x02\x03\xf1"),
    ],
)
async def test_what_comes_with_the_handshake_is_judged_like_all_that_follows(
    web: Web, early: bytes, answer: bytes
) -> None:
    async with connection(web, HANDSHAKE + early) as (reader, _), asyncio.timeout(5):
        await reader.readuntil(b"snapshot")
        received = b""
        while answer not in received:
            received += (data := await reader.read(4096))
            assert data, received


async def test_a_handshake_may_arrive_byte_by_byte_on_a_connection_that_was_used(web: Web) -> None:
    async with connection(web, asking("host: x", first="GET /health/live HTTP/1.1")) as (reader, writer):
        async with asyncio.timeout(8):
            await reader.readuntil(b'{"status":"ok"}')
            for byte in HANDSHAKE + masked(9, b"?"):
                writer.write(bytes((byte,)))
                await asyncio.sleep(0)
            await reader.readuntil(b"\x8a\x01?")


async def test_a_stream_with_requests_behind_it_is_a_stream(web: Web) -> None:
    said = asking("host: x", first="GET /events HTTP/1.1") * 3
    async with connection(web, said) as (reader, _), asyncio.timeout(5):
        head = await reader.readuntil(b"event: beat")
        assert head.count(b"HTTP/1.1 200") == 1
        assert b"HTTP/1.1" not in await reader.readuntil(b"event: beat")
    assert "ASGI callable" not in web.logs


@pytest.mark.parametrize("which", ["web", "tls_web"])
async def test_who_speaks_http_1_0_is_sent_no_chunks(request: pytest.FixtureRequest, which: str) -> None:
    web: Web = request.getfixturevalue(which)
    said = b"GET /events HTTP/1.0\r\nhost: x\r\n\r\n"
    async with connection(web, said) as (reader, _), asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"connection: close" in head
        assert b"chunked" not in head
        events = await reader.readuntil(b"event: beat")
        assert events.startswith(b"retry: ")
        assert b"\r" not in events + await reader.readuntil(b"event: beat")


async def test_an_answer_by_http_1_0_ends_with_its_connection() -> None:
    """Whether it says how long it is or not."""
    async with behind_the_door() as port:
        for query in (b"", b"?length"):
            head, _, body = (await answer_to(port, b"GET /%b HTTP/1.0\r\n\r\n" % query)).partition(
                b"\r\n\r\n"
            )
            assert body == b"ok", head
            assert head.count(b"connection: close") == 1
            assert (b"content-length: 2" in head) == bool(query)


SLOW = {
    "nothing at all": (b"", b""),
    "half a head": (b"GET / HTTP/1.1\r\nhost: x\r\n", b""),
    "a head that drips": (b"GET / HTTP/1.1\r\n", b"x-more: y\r\n"),
    "blank lines behind an answer": (b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n", b"\r\n"),
}


async def test_a_head_that_never_ends_is_shut_out_in_five_seconds(web: Web) -> None:
    # All at once: each takes its five seconds.
    shut_out = await asyncio.gather(*(until_shut_out(web, *said) for said in SLOW.values()))
    for case, (answer, took) in zip(SLOW, shut_out, strict=True):
        assert b" 408 " in answer, case
        assert 4.5 < took < 7, case


async def until_shut_out(web: Web, first: bytes, drip: bytes) -> tuple[bytes, float]:
    async with connection(web, first) as (reader, writer):
        began = asyncio.get_running_loop().time()

        async def dripping() -> None:
            while drip:
                writer.write(drip)
                await asyncio.sleep(0.5)

        task = asyncio.create_task(dripping())
        async with asyncio.timeout(8):
            answer = await reader.read(-1)
        task.cancel()
        return answer, asyncio.get_running_loop().time() - began


DRIPS = {
    "a body of a length": (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n", b"x"),
    "a body in chunks": (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "a body of a GET": (b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n", b"x"),
}


@pytest.mark.parametrize("case", DRIPS)
async def test_a_body_that_drips_has_its_time_and_no_more(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.setattr(handover, "HEAD_SECONDS", 0.1)
    monkeypatch.setattr(handover, "BODY_SECONDS", 0.5)
    async with behind_the_door() as port:
        began = time.monotonic()
        answer = await answer_to(port, *DRIPS[case])
        took = time.monotonic() - began
    assert b" 408 " in answer
    assert 0.4 < took < 2


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nhost: x\r\nx-long: " + b"y" * 20_000,
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x: y\r\n" * 4000,
        b"GET /" + b"x" * 20_000,
    ],
)
async def test_a_head_that_is_too_large_is_refused(web: Web, head: bytes) -> None:
    async with connection(web, head) as (reader, _), asyncio.timeout(5):
        assert b" 431 " in await reader.read(-1)


async def test_an_upgrade_with_too_large_a_head_is_refused_without_a_traceback(web: Web) -> None:
    head = HANDSHAKE[:-2] + b"x-long: " + b"y" * 20_000 + b"\r\n\r\n"
    async with connection(web, head) as (reader, _), asyncio.timeout(5):
        assert b" 431 " in await reader.read(-1)
    assert "Traceback" not in web.logs


async def test_who_asks_politely_and_often_is_not_shut_out(web: Web) -> None:
    async with httpx.AsyncClient(base_url=web.url) as client:
        for _ in range(50):
            assert (await client.get("/health/live")).status_code == 200


async def test_what_is_said_behind_the_request_for_a_stream_is_not_answered(web: Web) -> None:
    said = b"GET /events HTTP/1.1\r\nhost: x\r\n\r\n"
    async with connection(web, said) as (reader, writer), asyncio.timeout(5):
        received = await reader.readuntil(b"event: beat")
        writer.write(said * 100)
        received = await reader.readuntil(b"event: beat")
    assert b"HTTP/1.1" not in received


@pytest.mark.parametrize(
    ("which", "head"),
    [("web", "host: x"), ("web", "host: x\r\ncontent-length: 100000000"), ("tls_web", "host: x")],
)
async def test_who_uploads_without_end_behind_the_request_for_a_stream_is_cut(
    request: pytest.FixtureRequest, which: str, head: str
) -> None:
    web: Web = request.getfixturevalue(which)
    await asyncio.to_thread(until_cut, web, asking(head, first="GET /events HTTP/1.1"), b"x" * 65_536)


async def test_a_released_socket_is_counted_and_forgotten(web: Web) -> None:
    async with connection(web, HANDSHAKE) as (reader, _):
        await reader.readuntil(b"\r\n\r\n")
        await eventually(lambda: b'statuswire_viewers{kind="ws"} 1.0' in web.get("/metrics")[1])
    await eventually(lambda: b'statuswire_viewers{kind="ws"} 0.0' in web.get("/metrics")[1])


def what_to_do(trouble: str) -> str:
    return (
        f"{trouble}. app/live/handover.py stands on uvicorn's insides, as they were in {', '.join(TESTED)}. "
        "Read uvicorn's release notes and mend that module; run test_handover.py, test_handshake.py and "
        "test_streams.py on each of the newest three versions (pip install --no-deps --target FOLDER "
        "uvicorn==VERSION, then PYTHONPATH=FOLDER), and name those three in TESTED. Until then pin "
        f"uvicorn=={TESTED[-1]}."
    )


def unknown(version: str) -> str | None:
    """A sentence if nobody has run us on this version."""
    return None if version in TESTED else what_to_do(f"Nobody has run this on uvicorn {version}")


def moved(ours: object, its: type) -> Iterator[str]:
    """Whatever a door takes from uvicorn and does not find there."""
    source = ast.parse(textwrap.dedent(inspect.getsource(type(ours))))
    for node in ast.walk(source):
        match node:
            case ast.Attribute(value=ast.Name(id="self"), attr=name) if not hasattr(ours, name):
                yield name
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr=name) if not hasattr(
                its, name
            ):
                yield name


def remembered(method: object) -> set[str]:
    """What a method sets on `self`."""
    return {
        node.attr
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(method))))  # type: ignore[arg-type]
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }


def test_what_uvicorn_remembers_of_a_connection_our_door_remembers_in_its_place() -> None:
    ours, its = (remembered(door.connection_made) for door in (handover.HttpDoor, HttpToolsProtocol))
    assert its <= ours, what_to_do(f"uvicorn {uvicorn.__version__} sets {its - ours} in connection_made")
    # And nothing under a name that has become another one there.
    own = {name for name in ours if name.startswith("_")}
    unknown = ours - own - its
    assert not unknown, what_to_do(f"uvicorn {uvicorn.__version__} sets no {unknown} in connection_made")


async def test_what_we_take_from_uvicorn_is_where_we_left_it() -> None:
    assert unknown(uvicorn.__version__) is None, unknown(uvicorn.__version__)

    async def app(scope: object, receive: object, send: object) -> None:
        await asyncio.Event().wait()

    config, state, gone = uvicorn.Config(app), ServerState(), []
    doors = [(handover.HttpDoor, HttpToolsProtocol), (handover.WebSocketDoor, WebSocketsSansIOProtocol)]
    for door, its in doors:
        ours = door(config=config, server_state=state, app_state={})
        near, far = socket.socketpair()
        with far:
            # What they have of their own, they have from when they are connected, or asked for something.
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(lambda o=ours: o, near)
            ours.data_received(HANDSHAKE if door is handover.WebSocketDoor else b"GET / HTTP/1.1\r\n\r\n")
            gone += [f"{its.__name__}.{name}" for name in moved(ours, its)]
            transport.abort()
            for task in state.tasks:
                task.cancel()
        # What is overridden and calls no `super()`.
        gone += [f"{its.__name__}.{name}" for name in OVERRIDDEN if hasattr(door, name) > hasattr(its, name)]
    names = {"disconnected", "response_started", "response_complete", "scope"}
    names |= {"chunked_encoding", "expected_content_length"}
    gone += [f"RequestResponseCycle.{name}" for name in names - remembered(RequestResponseCycle.__init__)]
    gone += [] if hasattr(RequestResponseCycle, "send") else ["RequestResponseCycle.send"]
    gone += [] if hasattr(FlowControl, "resume_reading") else ["FlowControl.resume_reading"]
    gone += [] if "write_paused" in remembered(FlowControl.__init__) else ["FlowControl.write_paused"]
    gone += [] if hasattr(state, "default_headers") else ["ServerState.default_headers"]
    assert not gone, what_to_do(f"uvicorn {uvicorn.__version__} has no {', no '.join(gone)}")


OVERRIDDEN = ("_should_upgrade", "handle_websocket_upgrade", "connection_made", "data_received", "shutdown")


def test_a_version_that_nobody_has_run_is_refused_with_what_to_do() -> None:
    sentence = unknown("9.9.9")
    assert sentence is not None
    assert sentence.startswith("Nobody has run this on uvicorn 9.9.9. ")
    assert all(version in sentence for version in TESTED)
    assert sentence.endswith(f"Until then pin uvicorn=={TESTED[-1]}.")


def test_what_is_not_there_any_more_is_named() -> None:
    class Its:
        pass

    class Ours(Its):
        def close(self) -> None:
            self._unset_keepalive_if_required()  # type: ignore[attr-defined]
            super().close()  # type: ignore[misc]

    assert sorted(moved(Ours(), Its)) == ["_unset_keepalive_if_required", "close"]
