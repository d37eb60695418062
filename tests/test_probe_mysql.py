"""mysql: against a genuine MariaDB where there is one, and a server written after MySQL's own description."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from threading import Thread

import pytest
import trustme

from app.domain.monitor import Expect, Monitor
from app.domain.result import Result
from tests.services import MariaDb
from tests.targets import Behaviour, certified, farewell, listening, silent, verdict
from workers.probes import Probes

ENVIRON = {"PASSWORD": "correct horse", "WRONG": "battery staple"}
NATIVE, CACHING = b"mysql_native_password", b"caching_sha2_password"
NONCE = bytes(range(1, 21))
DENIED = b"\xff\x15\x04#28000Access denied for user 'probe'@'127.0.0.1'"
OK = b"\x00\x00\x00\x02\x00\x00\x00"


async def look(
    probes: Probes,
    place: str,
    timeout: float = 1.0,
    body: str | None = None,
    answer: tuple[str, ...] = (),
    **words: object,
) -> Result:
    expect = Expect(body=body, answer=answer)
    return await probes.probe(
        Monitor(key="m", kind="mysql", target=place, timeout=timeout, options=words, expect=expect)
    )


def packet(number: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes([number]) + payload


def greeting(plugin: bytes = CACHING, abilities: int = 0xFFFFFFFF, version: bytes = b"8.4.2") -> bytes:
    low, high = struct.pack("<H", abilities & 0xFFFF), struct.pack("<H", abilities >> 16)
    head = b"\x0a" + version + b"\0" + struct.pack("<I", 42) + NONCE[:8] + b"\0" + low
    return head + b"\x2d\x02\x00" + high + b"\x15" + bytes(10) + NONCE[8:] + b"\0" + plugin + b"\0"


def stored(plugin: bytes, password: bytes) -> bytes:
    """What a server keeps of a password."""
    once = sha1 if plugin == NATIVE else sha256
    return once(once(password).digest()).digest()


def proves(plugin: bytes, kept: bytes, nonce: bytes, proof: bytes) -> bool:
    """As a server finds out, which does not know the password."""
    if plugin == NATIVE:
        once = bytes(a ^ b for a, b in zip(proof, sha1(nonce + kept).digest(), strict=True))
        return sha1(once).digest() == kept
    once = bytes(a ^ b for a, b in zip(proof, sha256(kept + nonce).digest(), strict=True))
    return sha256(once).digest() == kept


@dataclass
class Server:
    """On blocking sockets, in a thread: TLS begins right behind a packet, and asyncio's streams have then
    read the beginning of it already."""

    context: ssl.SSLContext
    plugin: bytes = CACHING
    switch: bytes = b""
    cached: bool = True
    heard: list[bytes] = field(default_factory=list)

    def serve(self, connection: socket.socket) -> None:
        connection.sendall(packet(0, greeting(self.plugin)))
        number, answer = self.hear(connection)
        if len(answer) == 32:
            assert answer[1] & 0x08
            with self.context.wrap_socket(connection, server_side=True) as secured:
                self.let_in(secured, *self.hear(secured))
        else:
            self.let_in(connection, number, answer)

    def let_in(self, connection: socket.socket, number: int, answer: bytes) -> None:
        user, _, rest = answer[32:].partition(b"\0")
        plugin, nonce, proof = self.plugin, NONCE, rest[1 : 1 + rest[0]]
        assert rest[1 + rest[0] :] == plugin + b"\0"
        if self.switch:
            plugin, nonce = self.switch, NONCE[::-1]
            connection.sendall(packet(number + 1, b"\xfe" + plugin + b"\0" + nonce + b"\0"))
            number, proof = self.hear(connection)
        right = bool(proof) and proves(plugin, stored(plugin, b"correct horse"), nonce, proof)
        if right and plugin == CACHING and not self.cached:
            connection.sendall(packet(number + 1, b"\x01\x04"))
            number, clear = self.hear(connection)
            right = clear == b"correct horse\0"
        elif right and plugin == CACHING:
            number += 1
            connection.sendall(packet(number, b"\x01\x03"))
        connection.sendall(packet(number + 1, OK if right and user == b"probe" else DENIED))
        while connection.recv(1024):
            pass

    def hear(self, connection: socket.socket) -> tuple[int, bytes]:
        header = read(connection, 4)
        self.heard.append(read(connection, int.from_bytes(header[:3], "little")))
        return header[3], self.heard[-1]

    @contextmanager
    def listening(self) -> Iterator[str]:
        """Its place."""

        def take() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, suppress(OSError, EOFError):
                        connection.settimeout(5)
                        self.serve(connection)

        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = Thread(target=take)
            thread.start()
            try:
                yield f"localhost:{listener.getsockname()[1]}"
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                thread.join()


def read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        if not (more := connection.recv(size - len(data))):
            raise EOFError
        data += more
    return data


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize(
    ("plugin", "switch"), [(NATIVE, b""), (CACHING, b""), (CACHING, NATIVE), (NATIVE, CACHING)]
)
async def test_whoever_has_the_password_is_let_in(
    probes: Probes, ca: trustme.CA, plugin: bytes, switch: bytes, secure: bool
) -> None:
    for password, answer in (("${PASSWORD}", ("ok", "")), ("${WRONG}", ("fail", "auth"))):
        with Server(certified(ca, "localhost"), plugin, switch).listening() as place:
            words = {"user": "probe", "password": password, "secure": secure}
            result = await look(probes, place, body=r"^8\.4", ip="4", **words)
        assert verdict(result) == answer, result.detail
        assert (result.phases.tls is not None) == secure
        assert "horse" not in repr(result) and "battery" not in repr(result)


async def test_without_a_user_to_be_turned_away_is_well(probes: Probes, ca: trustme.CA) -> None:
    for switch in (b"", NATIVE):
        server = Server(certified(ca, "localhost"), switch=switch)
        with server.listening() as place:
            assert verdict(await look(probes, place, ip="4")) == ("ok", "")
            assert verdict(await look(probes, place, body="MariaDB", ip="4")) == ("fail", "body")
        assert server.heard[0][32:].startswith(b"statuswire\0\0")


@pytest.mark.parametrize(("secure", "answer"), [(True, ("ok", "")), (False, ("fail", "auth"))])
async def test_the_password_itself_is_said_only_under_tls(
    probes: Probes, ca: trustme.CA, secure: bool, answer: tuple[str, str]
) -> None:
    server = Server(certified(ca, "localhost"), cached=False)
    with server.listening() as place:
        words = {"user": "probe", "password": "${PASSWORD}", "secure": secure, "ip": "4"}
        result = await look(probes, place, **words)
    assert verdict(result) == answer
    assert any(b"correct horse" in each for each in server.heard) == secure


@pytest.fixture(scope="module")
def maria() -> Iterator[MariaDb]:
    with MariaDb() as server:
        server.start()
        server.ask(
            "CREATE DATABASE shop; CREATE TABLE shop.jobs (id INT, name LONGTEXT);"
            "INSERT INTO shop.jobs VALUES (1, 'one'), (2, NULL), (3, REPEAT('x', 70000));"
            "CREATE USER probe@'127.0.0.1' IDENTIFIED BY 'correct horse';"
            "GRANT ALL ON shop.* TO probe@'127.0.0.1'"
        )
        yield server


QUERIES = {
    "SELECT 1": ("ok", "", ("1",)),
    "SELECT count(*) < 100 FROM jobs": ("ok", "", ("1",)),
    "SELECT id, name FROM jobs ORDER BY id": ("ok", "", ("1", "2", "3")),
    "SELECT name FROM jobs WHERE id = 2": ("ok", "", ()),
    "SELECT length(name), name FROM jobs WHERE id = 3": ("ok", "", ("70000",)),
    "SELECT id FROM jobs WHERE id > 9": ("fail", "answer", ("1",)),
    "SET @a = 1": ("ok", "", ()),
    "INSERT INTO jobs VALUES (9, 'no')": ("fail", "answer", ()),
    "SELECT nothing FROM nowhere": ("fail", "answer", ()),
    "SELECT seq FROM seq_1_to_5000": ("fail", "too large", ()),
    "SELECT 1; SELECT 2": ("fail", "answer", ()),
    "SELECT * FROM mysql.user": ("fail", "answer", ()),
}


@pytest.mark.parametrize("query", QUERIES)
async def test_a_genuine_server_answers_a_query_and_nothing_comes_of_it(
    probes: Probes, maria: MariaDb, query: str
) -> None:
    outcome, reason, answer = QUERIES[query]
    words = {"user": "probe", "password": "${PASSWORD}", "database": "shop", "query": query}
    result = await look(probes, f"127.0.0.1:{maria.port}", answer=answer, timeout=5.0, **words)
    assert verdict(result) == (outcome, reason), result.detail


async def test_a_genuine_server_lets_in_who_has_the_password(probes: Probes, maria: MariaDb) -> None:
    place = f"127.0.0.1:{maria.port}"
    assert verdict(await look(probes, place, user="probe", password="${PASSWORD}")) == ("ok", "")
    assert verdict(await look(probes, place, user="probe", password="${WRONG}")) == ("fail", "auth")
    assert verdict(await look(probes, place, body="MariaDB")) == ("ok", "")
    gone = await look(probes, place, user="probe", password="${PASSWORD}", database="gone", query="SELECT 1")
    assert verdict(gone) == ("fail", "auth"), gone.detail


def saying(*packets: bytes) -> Behaviour:
    """The first at once, and each other after something was heard."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(packets[0])
        for said in packets[1:]:
            await reader.read(65536)
            writer.write(said)
        await farewell(writer)

    return behave


GREETED = packet(0, greeting())


@pytest.mark.parametrize(
    ("packets", "reason"),
    [
        ([packet(0, b"\xff\x10\x04Too many connections")], "answer"),
        ([packet(0, b"\xff\x6a\x04Host '127.0.0.1' is not allowed to connect")], "auth"),
        ([packet(0, b"\xff\x69\x04Host is blocked because of many \x1b[2J errors")], "answer"),
        ([packet(0, b"\x09old\0")], "protocol"),
        ([packet(0, b"\x0a8.0\0" + bytes(20))], "protocol"),
        ([packet(0, b"\x0a" + b"x" * 60)], "protocol"),
        ([packet(0, b"")], "protocol"),
        ([b"SSH-2.0-OpenSSH_9.2\r\n"], "too large"),
        ([b"\xff\xff\xff\x00"], "too large"),
        ([b"\x10\x00\x00\x00short"], "closed"),
        ([b""], "closed"),
        ([GREETED, b""], "closed"),
        ([GREETED, packet(2, b"\x01\x09")], "protocol"),
        ([GREETED, packet(2, b"\x07")], "protocol"),
        ([GREETED, packet(2, b"\xfeauth_socket\0")], "auth"),
        ([GREETED, packet(2, b"\xfemysql_clear_password\0")], "auth"),
        ([GREETED, packet(2, b"\x01\x03") * 50], "protocol"),
        ([GREETED, packet(2, OK), packet(1, b"\xfb/etc/passwd")], "protocol"),
        ([GREETED, packet(2, OK), packet(1, OK), packet(1, b"\xfb/etc/passwd")], "protocol"),
        ([GREETED, packet(2, OK), packet(1, b"\xfc\x01")], "protocol"),
        ([GREETED, packet(2, OK), packet(1, b"\x01") + packet(2, b"\x03") * 3000], "too large"),
        ([GREETED, packet(2, b"\xff\x28\x04Unknown database correct horse")], "answer"),
    ],
)
async def test_what_is_no_mysql_or_does_not_let_us_in_fails(
    probes: Probes, packets: list[bytes], reason: str
) -> None:
    async with listening(saying(*packets)) as target:
        words = {"user": "probe", "password": "${PASSWORD}", "query": "SELECT 1"}
        result = await look(probes, target.place, **words)
    assert verdict(result) == ("fail", reason), result.detail
    assert "horse" not in repr(result) and result.detail.isprintable()


async def test_a_server_without_tls_is_told_no_password(probes: Probes) -> None:
    async with listening(saying(packet(0, greeting(abilities=0xFFFFF7FF)))) as target:
        result = await look(probes, target.place, secure=True, user="probe", password="${PASSWORD}")
    assert verdict(result) == ("fail", "tls")


async def test_silence_ends_with_the_probe(probes: Probes) -> None:
    async with listening(silent) as target:
        assert verdict(await look(probes, target.place, timeout=0.3)) == ("fail", "timeout")
