"""What probes look at in tests: real listeners on free ports of loopback, well-behaved and hostile ones."""

import asyncio
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import trustme

from app.domain.result import Result

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


@dataclass
class Target:
    """`visits` are the instants at which connections were taken, `requests` the heads that were read."""

    host: str
    port: int
    visits: list[float] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    open: int = 0
    most_open: int = 0

    @property
    def place(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.place}"


@asynccontextmanager
async def listening(
    behave: Behaviour, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Target]:
    tasks: set[asyncio.Task[None]] = set()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        target.visits.append(time.monotonic())
        target.open += 1
        target.most_open = max(target.most_open, target.open)
        try:
            await behave(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the prober has left, or the test is over
        finally:
            target.open -= 1
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(take, host, port, ssl=tls, ssl_handshake_timeout=5 if tls else None)
    target = Target(host, server.sockets[0].getsockname()[1])
    try:
        yield target
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def certified(ca: trustme.CA, *names: str, **fields: Any) -> ssl.SSLContext:
    """The server's side of TLS, with a certificate for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names, **fields).configure_cert(context)
    return context


def saying(*parts: bytes, pause: float = 0.0) -> Behaviour:
    """Reads the head of a request, says the parts, closes."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        await farewell(writer)

    return behave


def verdict(result: Result) -> tuple[str, str]:
    return result.outcome, result.reason


def asking(answer: Callable[[str], bytes | Awaitable[bytes]]) -> Behaviour:
    """What it says depends on the head of the request."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = answer((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(said if isinstance(said, bytes) else await said)
        await farewell(writer)

    return behave


def leading_to(place: str, port: int = 0) -> Behaviour:
    """A port in front of a real server, which listens on TCP or, without a port, on a unix socket."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opening = asyncio.open_connection(place, port) if port else asyncio.open_unix_connection(place)
        upstream, up = await opening

        async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()

        ways = [asyncio.create_task(carry(reader, up)), asyncio.create_task(carry(upstream, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)
            up.transport.abort()

    return behave


async def farewell(writer: asyncio.StreamWriter) -> None:
    """An orderly end: abort() alone could take back what has just been said."""
    with suppress(OSError):
        await writer.drain()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says nothing for as long as anybody waits."""
    await reader.read()


async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes the request and cuts the connection with a RST."""
    await reader.readuntil(b"\r\n\r\n")
    reset = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)


def repeating(head: bytes, piece: bytes, pause: float = 0.0) -> Behaviour:
    """Says `head`, then `piece` without end."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return behave


def response(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    lines = {"Content-Length": str(len(body)), "Connection": "close"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    return response(status=status, Location=location)


@contextmanager
def black_hole(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A port whose queue of new connections is full: whoever comes now hears nothing, as behind a firewall
    that drops."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(0)
        fillers = []
        for _ in range(2):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        try:
            yield listener.getsockname()[1]
        finally:
            for filler in fillers:
                filler.close()


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that refuses, and that nobody else is given meanwhile."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


Names = dict[str, list[str] | tuple[list[str], ...] | str | None]


class Zone(asyncio.DatagramProtocol):
    """A DNS server for what it is given: name -> records as text ("A 127.0.0.1"), or an rcode, or None for
    silence, or a tuple of such, one for each time that it is asked. A name it does not know does not
    exist."""

    def __init__(self, names: "Names") -> None:
        self.names = names
        self.asked: list[str] = []
        self.vouches = False  # as a server that checks DNSSEC does, where it was asked to
        self.port = 0

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append(f"{name} {kind}")
        known = self.names.get(name, "NXDOMAIN")
        if isinstance(known, tuple):
            known = known[min(self.asked.count(self.asked[-1]), len(known)) - 1]
        if known is None:
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA | dns.flags.RA
        if self.vouches and query.ednsflags & dns.flags.DO:
            answer.flags |= dns.flags.AD
        if isinstance(known, str):
            answer.set_rcode(dns.rcode.from_text(known))
        else:
            records = [record.partition(" ")[2] for record in known if record.split()[0] == kind]
            if records:
                answer.answer.append(dns.rrset.from_text_list(question.name, 0, "IN", kind, records))
        self._transport.sendto(answer.to_wire(), address)  # type: ignore[attr-defined]


@asynccontextmanager
async def serving_names(names: Names) -> AsyncIterator[Zone]:
    loop = asyncio.get_running_loop()
    transport, zone = await loop.create_datagram_endpoint(lambda: Zone(names), ("127.0.0.1", 0))
    try:
        yield zone
    finally:
        transport.close()


def lengths(parts: Iterable[bytes]) -> bytes:
    """As chunks of a chunked body, with the last one."""
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
