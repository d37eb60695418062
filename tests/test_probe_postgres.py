"""postgres: against a real server on TCP, by every way to log in, and against what is no Postgres."""

import asyncio
import signal
import struct
import sys
from collections.abc import AsyncIterator

import asyncpg  # type: ignore[import-untyped]
import pytest
import trustme

from app.domain.monitor import Expect, Monitor
from app.domain.result import Result
from tests.conftest import eventually
from tests.services import Postgres, free_port
from tests.targets import Behaviour, Target, certified, farewell, leading_to, listening, silent, verdict
from workers.probes import Probes

ENVIRON = {"PASSWORD": "correct horse", "WRONG": "battery staple"}

_WAYS_IN = """
host all scrammed 127.0.0.1/32 scram-sha-256
host all digested 127.0.0.1/32 md5
host all open 127.0.0.1/32 password
host all nobody 127.0.0.1/32 reject
host all all 127.0.0.1/32 trust
local all all trust
"""


class OnTcp(Postgres):
    """The cluster of the other tests knows only a unix socket."""

    def __init__(self) -> None:
        super().__init__()
        self.port = free_port()
        self.place = f"127.0.0.1:{self.port}"

    def launch(self, command: list[str], **kwargs: object) -> None:
        more = ("-c", "listen_addresses=127.0.0.1", "-c", f"port={self.port}")
        super().launch([*command, *more], **kwargs)

    def _answers(self) -> bool:
        assert self.running, f"Postgres ended:\n{self.logs}"
        return "ready to accept connections" in self.logs

    def let_in(self, ways: str) -> None:
        (self._cluster / "pg_hba.conf").write_text(ways)


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[OnTcp]:
    with OnTcp() as server:
        server.start()
        server.let_in(_WAYS_IN)
        connection = await asyncpg.connect(host="127.0.0.1", port=server.port, user="postgres", ssl=False)
        for statement in (
            "CREATE ROLE scrammed LOGIN PASSWORD 'correct horse'",
            "CREATE ROLE open LOGIN PASSWORD 'correct horse'",
            "SET password_encryption = 'md5'",
            "CREATE ROLE digested LOGIN PASSWORD 'correct horse'",
            "CREATE TABLE kept (word text)",
            "INSERT INTO kept VALUES ('a'), ('b'), (NULL)",
        ):
            await connection.execute(statement)
        await connection.close()
        server.send(signal.SIGHUP)
        await eventually(lambda: "reloading configuration files" in server.logs)
        yield server


@pytest.fixture(scope="module")
async def behind_tls(server: OnTcp, ca: trustme.CA) -> AsyncIterator[Target]:
    """The build for tests speaks no TLS, so what it is asked for is done in front of it."""
    context = certified(ca, "localhost")
    carry = leading_to("127.0.0.1", server.port)

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(8) == struct.pack("!ii", 8, 80877103)
        writer.write(b"S")
        await writer.start_tls(context)
        await carry(reader, writer)

    async with listening(behave) as target:
        yield target


async def look(
    probes: Probes, place: str, timeout: float = 2.0, answer: tuple[str, ...] = (), **words: object
) -> Result:
    expect = Expect(answer=answer)
    return await probes.probe(
        Monitor(key="m", kind="postgres", target=place, timeout=timeout, options=words, expect=expect)
    )


async def test_a_database_answers_a_query(probes: Probes, server: OnTcp) -> None:
    result = await look(probes, server.place)
    assert verdict(result) == ("ok", ""), result.detail
    assert result.phases.first_byte is not None and result.phases.total is not None


@pytest.mark.parametrize(
    ("query", "answer", "reason"),
    [
        ("SELECT word FROM kept ORDER BY word", ("a", "b"), ""),
        ("SELECT word FROM kept", ("c",), "answer"),
        ("SELECT 'ü' || repeat('x', 200000)", (), ""),
        ("SELECT 1; SELECT 2", ("2",), ""),
        ("SELECT", (), ""),
        ("SELECT generate_series(1, 1000)", ("100",), ""),
        ("SELECT generate_series(1, 5000)", (), "too large"),
        ("SELECT repeat('x', 2000000)", (), "too large"),
        ("SELECT nothing", (), "answer"),
        ("SELECT (", (), "answer"),
        ("INSERT INTO kept VALUES ('x')", (), "answer"),
        ("SELECT pg_sleep(0.01)", (), ""),
        ("COPY kept FROM STDIN", (), "answer"),
        ("COPY kept TO STDOUT", (), ""),
    ],
)
async def test_what_it_answers_is_as_expected(
    probes: Probes, server: OnTcp, query: str, answer: tuple[str, ...], reason: str
) -> None:
    result = await look(probes, server.place, query=query, answer=answer)
    assert verdict(result) == ("fail" if reason else "ok", reason), result.detail


async def test_a_query_can_change_nothing(probes: Probes, server: OnTcp) -> None:
    await look(probes, server.place, query="CREATE TABLE made ()")
    result = await look(probes, server.place, query="SELECT to_regclass('made')::text IS NULL", answer=("t",))
    assert verdict(result) == ("ok", "")


async def test_a_query_without_end_ends_with_the_probe(probes: Probes, server: OnTcp) -> None:
    result = await look(probes, server.place, timeout=0.4, query="SELECT pg_sleep(60)")
    assert verdict(result) == ("fail", "timeout")


@pytest.mark.parametrize(
    ("user", "secure", "answer"),
    [
        ("scrammed", False, ("ok", "")),
        ("scrammed", True, ("ok", "")),
        ("digested", False, ("ok", "")),
        ("open", True, ("ok", "")),
        ("open", False, ("fail", "auth")),
        ("nobody", False, ("fail", "auth")),
        ("unknown", True, ("fail", "auth")),
    ],
)
async def test_every_way_in(
    probes: Probes, server: OnTcp, behind_tls: Target, user: str, secure: bool, answer: tuple[str, str]
) -> None:
    place = f"localhost:{behind_tls.port if secure else server.port}"
    words = {"user": user, "database": "postgres", "secure": secure, "password": "${PASSWORD}", "ip": "4"}
    result = await look(probes, place, **words)
    assert verdict(result) == answer, result.detail
    assert (result.phases.tls is not None) == secure
    if answer == ("ok", ""):
        wrong = await look(probes, place, **(words | {"password": "${WRONG}"}))
        assert verdict(wrong) == ("fail", "auth")
        assert "horse" not in repr(wrong) and "battery" not in repr(wrong)
        without = await look(probes, place, **(words | {"password": ""}))
        assert verdict(without) == ("fail", "auth")


async def test_a_database_that_is_not_there_fails(probes: Probes, server: OnTcp) -> None:
    result = await look(probes, server.place, database="nothing")
    assert verdict(result) == ("fail", "answer") and "3D000" in result.detail


async def test_a_certificate_for_another_name_fails(probes: Probes, behind_tls: Target) -> None:
    assert verdict(await look(probes, behind_tls.place, secure=True)) == ("fail", "certificate")


async def test_a_server_without_tls_is_told_so(probes: Probes, server: OnTcp) -> None:
    assert verdict(await look(probes, server.place, secure=True)) == ("fail", "tls")


def hearing(*answers: bytes) -> Behaviour:
    """After each thing it hears, the next answer."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.read(65536)
            writer.write(answer)
        await farewell(writer)

    return behave


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def sasl(wanted: int, body: bytes) -> bytes:
    return message(b"R", struct.pack("!i", wanted) + body)


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([b""], "closed"),
        ([b"R\x00\x00"], "closed"),
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "protocol"),
        ([b"R\xff\xff\xff\xff"], "protocol"),
        ([b"R\x7f\xff\xff\xff"], "protocol"),
        ([message(b"R", b"")], "closed"),
        ([message(b"N", b"") * 3000], "too large"),
        ([sasl(7, b"")], "auth"),
        ([sasl(10, b"SCRAM-SHA-512\0\0")], "auth"),
        ([sasl(10, b"SCRAM-SHA-256\0\0"), sasl(11, b"r=other,s=AAAA,i=4096")], "protocol"),
        ([sasl(10, b"SCRAM-SHA-256\0\0"), sasl(12, b"v=AAAA")], "auth"),
        ([message(b"E", b"C28P01\0M" + b"correct horse \x1b[2J" * 50 + b"\0\0")], "auth"),
    ],
)
async def test_what_is_no_postgres_fails(probes: Probes, answers: list[bytes], reason: str) -> None:
    async with listening(hearing(*answers)) as target:
        result = await look(probes, target.place, password="${PASSWORD}")
    assert verdict(result) == ("fail", reason), result.detail
    assert "horse" not in repr(result) and result.detail.isprintable() and len(result.detail) < 300


@pytest.mark.parametrize(
    ("challenge", "reason"),
    [
        (b"r=%sx,s=AAAA,i=999999999", "protocol"),
        (b"r=%sx,s=AAAA,i=0", "protocol"),
        (b"r=%sx,s=!!,i=4096", "protocol"),
        (b"r=%s,s=AAAA,i=4096", "protocol"),
        (b"r=%sx,s=AAAA,i=4096", "auth"),
    ],
)
async def test_a_server_that_does_not_know_the_password_is_found_out(
    probes: Probes, challenge: bytes, reason: str
) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(sasl(10, b"SCRAM-SHA-256\0\0"))
        nonce = (await reader.read(65536)).rpartition(b"r=")[2]
        writer.write(sasl(11, challenge % nonce))
        await reader.read(65536)
        writer.write(sasl(12, b"v=AAAA") + sasl(0, b"") + message(b"Z", b"I") * 4)
        await farewell(writer)

    async with listening(behave) as target:
        assert verdict(await look(probes, target.place, password="${PASSWORD}")) == ("fail", reason)


async def test_whoever_offers_no_tls_is_told_no_password(probes: Probes) -> None:
    heard: list[bytes] = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(65536))
        writer.write(b"N")
        heard.append(await reader.read(65536))

    async with listening(behave) as target:
        result = await look(probes, target.place, secure=True, password="${PASSWORD}")
        await eventually(lambda: len(heard) == 2)
    assert verdict(result) == ("fail", "tls") and heard[1] == b""


async def test_silence_ends_with_the_probe(probes: Probes) -> None:
    async with listening(silent) as target:
        assert verdict(await look(probes, target.place, timeout=0.3)) == ("fail", "timeout")


async def test_whoever_sends_faster_than_we_read_does_not_hold_up_the_loop(probes: Probes) -> None:
    """From a process of its own, or it would have to wait for us."""
    notice = message(b"N", bytes((1 << 20) - 5))
    code = (
        "import socket, sys\n"
        "with socket.create_server(('127.0.0.1', 0)) as listener:\n"
        "    print(listener.getsockname()[1], flush=True)\n"
        "    connection, _ = listener.accept()\n"
        "    said = sys.stdin.buffer.read()\n"
        "    try:\n"
        "        while True: connection.sendall(said)\n"
        "    except OSError: pass\n"
    )
    pipe = asyncio.subprocess.PIPE
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdin=pipe, stdout=pipe)
    assert server.stdin is not None and server.stdout is not None
    port = int(await server.stdout.readline())
    server.stdin.write(notice)
    server.stdin.close()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    counting = asyncio.create_task(count())
    result = await look(probes, f"127.0.0.1:{port}", timeout=0.4)
    counting.cancel()
    await asyncio.wait_for(server.wait(), 5)
    assert result.outcome == "fail" and result.reason in ("timeout", "too large")
    assert turns > 40
