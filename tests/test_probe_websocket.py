"""websocket: against a real server, and against those who only look like one."""

import asyncio
import logging
import logging.config
from collections.abc import AsyncIterator

import pytest
import trustme
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol
from websockets.utils import accept_key

from app.domain.monitor import Expect, Monitor
from app.domain.result import Result
from app.security.egress import Egress, Policy
from tests.conftest import eventually
from tests.targets import Behaviour, certified, closed_port, farewell, listening, silent, verdict
from workers.probes import Probes
from workers.probes.equipment import Equipment

ENVIRON = {"TOKEN": "s3cret-t0ken", "BROKEN": "a\r\nX-Evil: 1"}


async def look(
    probes: Probes, url: str, timeout: float = 1.0, body: str | None = None, **words: object
) -> Result:
    expect = Expect(body=body)
    return await probes.probe(
        Monitor(key="m", kind="websocket", target=url, timeout=timeout, options=words, expect=expect)
    )


async def echo(connection: ServerConnection) -> None:
    request = connection.request
    assert request is not None
    if request.path == "/hello":
        await connection.send("hello")
    async for message in connection:
        if request.path == "/ping":
            await (await connection.ping())
        parts = str(message).split("|")
        await connection.send(parts if len(parts) > 1 else message)
    closes.append((request.path, request.headers.get("X-Key", ""), connection.close_code))


closes: list[tuple[str, str, int | None]] = []


@pytest.fixture(scope="module")
async def port() -> AsyncIterator[int]:
    async with serve(echo, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("path", "send", "body", "reason"),
    [
        ("/", "", None, ""),
        ("/?key=${TOKEN}", "say ${TOKEN}", "^say s3cret-t0ken$", ""),
        ("/", "a|b|c", "^abc$", ""),
        ("/ping", "x", "^x$", ""),
        ("/hello", "", "^hello$", ""),
        ("/hello", "", "goodbye", "body"),
        ("/", "x" * 60_000, "^x+$", ""),
        ("/", "ü", "^ü$", ""),
    ],
)
async def test_a_message_is_answered_as_expected(
    probes: Probes, port: int, path: str, send: str, body: str | None, reason: str
) -> None:
    result = await look(probes, f"ws://127.0.0.1:{port}{path}", send=send, body=body)
    assert verdict(result) == ("fail" if reason else "ok", reason), result.detail
    assert None not in (result.phases.first_byte, result.phases.total) and result.address == "127.0.0.1"
    assert "s3cret" not in repr(result)


async def test_it_takes_its_leave_and_says_its_headers(probes: Probes, port: int) -> None:
    headers = {"X-Key": "${TOKEN}", "User-Agent": "us"}
    assert verdict(await look(probes, f"ws://127.0.0.1:{port}/bye", headers=headers)) == ("ok", "")
    await eventually(lambda: ("/bye", "s3cret-t0ken", 1000) in closes)


async def test_a_subprotocol_is_spoken_or_not(probes: Probes, port: int) -> None:
    async with serve(echo, "127.0.0.1", 0, subprotocols=[Subprotocol("status.v1")]) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        assert verdict(await look(probes, url, subprotocol="status.v1")) == ("ok", "")
        assert verdict(await look(probes, url, subprotocol="status.v2")) == ("fail", "status 400")
    ignored = await look(probes, f"ws://127.0.0.1:{port}/", subprotocol="status.v1")
    assert verdict(ignored) == ("fail", "answer")


async def test_over_tls(probes: Probes, ca: trustme.CA) -> None:
    async with serve(echo, "127.0.0.1", 0, ssl=certified(ca, "localhost")) as server:
        port = server.sockets[0].getsockname()[1]
        result = await look(probes, f"wss://localhost:{port}/", send="x", body="x", ip="4")
        assert verdict(result) == ("ok", "") and result.certificate_until is not None
        assert verdict(await look(probes, f"wss://127.0.0.1:{port}/")) == ("fail", "certificate")


def answering(answer: bytes, *frames: bytes) -> Behaviour:
    """To the handshake, with `%b` for the proof that it was read; then raw frames."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = head.partition("Sec-WebSocket-Key: ")[2].partition("\r\n")[0]
        writer.write(answer.replace(b"%b", accept_key(key).encode()) + b"".join(frames))
        await farewell(writer)

    return behave


UPGRADED = b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n"


def frame(opcode: Opcode, data: bytes, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=False)


@pytest.mark.parametrize(
    ("answer", "frames", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", [], "status 200"),
        (b"HTTP/1.1 503 Busy\r\n\r\ns3cret-t0ken until the end", [], "status 503"),
        (UPGRADED.replace(b"%b", b"s3cret-t0ken"), [], "protocol"),
        (UPGRADED.replace(b"Upgrade: websocket\r\n", b""), [], "protocol"),
        (UPGRADED.replace(b"%b", b"%b\r\nSec-WebSocket-Extensions: x"), [], "protocol"),
        (b"SSH-2.0-OpenSSH\r\n", [], "protocol"),
        (b"x" * 100_000, [], "protocol"),
        (b"HTTP/1.1 101 x\r\n" + b"A: b\r\n" * 10_000, [], "protocol"),
        (b"HTTP/1.1 101", [], "closed"),
        (b"", [], "closed"),
        (UPGRADED, [], "closed"),
        (UPGRADED, [frame(Opcode.CLOSE, b"\x03\xe9")], "closed"),
        (UPGRADED, [frame(Opcode.TEXT, b"\xff")], "body"),
        (UPGRADED, [frame(Opcode.TEXT, b"a", False), frame(Opcode.TEXT, b"b")], "protocol"),
        (UPGRADED, [b"\xf1\x00"], "protocol"),
        (UPGRADED, [b"\x82\x7f\x00\x00\x00\x00\xff\xff\xff\xff"], "too large"),
        (
            UPGRADED,
            [frame(Opcode.TEXT, b"a", False)] + [frame(Opcode.CONT, b"x" * 60_000, False)] * 40,
            "too large",
        ),
        (UPGRADED, [frame(Opcode.PING, b"x" * 120)] * 40_000, "too large"),
        (UPGRADED, [frame(Opcode.PONG, b"")] * 500_000, "too large"),
    ],
)
async def test_what_is_no_websocket_fails(
    probes: Probes, answer: bytes, frames: list[bytes], reason: str
) -> None:
    async with listening(answering(answer, *frames)) as target:
        result = await look(probes, f"ws://{target.place}/${{TOKEN}}", send="x", body="y", timeout=2.0)
    assert verdict(result) in (("fail", reason), ("fail", "reset")), result.detail
    assert "s3cret" not in repr(result) and result.detail.endswith(".") and len(result.detail) < 300


async def test_silence_ends_with_the_probe(probes: Probes, port: int) -> None:
    async with listening(silent) as target:
        assert verdict(await look(probes, f"ws://{target.place}/", timeout=0.3)) == ("fail", "timeout")
    result = await look(probes, f"ws://127.0.0.1:{port}/", body="never", timeout=0.3)
    assert verdict(result) == ("fail", "timeout")


async def test_nobody_there_is_unreachable_and_the_forbidden_stays_so(probes: Probes) -> None:
    with closed_port() as gone:
        assert verdict(await look(probes, f"ws://127.0.0.1:{gone}/")) == ("unreachable", "refused")
    async with listening(silent) as sentinel:
        strict = Probes(Equipment(Egress(Policy(own=(("127.0.0.1", sentinel.port),)))))
        for url in (f"ws://{sentinel.place}/", f"ws://localhost:{sentinel.port}/", "ws://169.254.169.254/"):
            assert verdict(await look(strict, url)) == ("inconclusive", "not permitted")
        await strict.close()
        assert sentinel.visits == []


@pytest.mark.parametrize(
    "url", ["http://a/", "ws://", "ws://a:x/", "ws://[::1", "ws://a/#b", "${NOT_SET}", ""]
)
async def test_what_is_no_url_is_our_fault(probes: Probes, url: str) -> None:
    assert verdict(await look(probes, url)) == ("inconclusive", "worker")


async def test_a_header_that_cannot_be_sent_is_our_fault(probes: Probes, port: int) -> None:
    result = await look(probes, f"ws://127.0.0.1:{port}/", headers={"X-A": "${BROKEN}"})
    assert verdict(result) == ("inconclusive", "worker") and "Evil" not in result.detail


async def test_nothing_that_was_filled_in_is_logged(
    probes: Probes, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    # As Litestar and uvicorn do: it wakes each logger that was told to be silent.
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
    await look(probes, f"ws://127.0.0.1:{port}/?${{TOKEN}}", headers={"X-Key": "${TOKEN}"}, send="${TOKEN}")
    ours = [each.getMessage() for each in caplog.records if each.name != "websockets.server"]
    assert "s3cret" not in "".join(ours)
