"""An httpx transport for probes: one connection for each request, no pool, HTTP/1.1, every phase timed.

httpx's own transport looks through all its connections for each request (7 ms at 200 of them), reuses them
so that DNS, TCP and TLS are not checked again, and times each read instead of the whole. What is read here
is bounded in every direction: a target may be hostile.
"""

import asyncio
import re
import time
from typing import Any, Final, Self

import httptools
import httpx
from msgspec import Struct

from app.domain.kinds.http import Http
from app.domain.result import Outcome
from app.security.egress import Address, Egress
from workers.probes.conversation import Conversation
from workers.probes.expect import BODY_AT_MOST
from workers.probes.run import Failed, Run
from workers.probes.stream import Certificates, Stream, connect, connect_tls, of_family, secure

HEAD_AT_MOST: Final = 65536
HEADERS_AT_MOST: Final = 100
INTERIM_AT_MOST: Final = 10
# A body in chunks of one byte is seven times as long on the wire as it is. No honest server does that.
_WIRE_AT_MOST: Final = 2 * BODY_AT_MOST
# Reading does not wait for the loop while there is something to read: 2 MiB in chunks of one byte held up all
# other probes for 95 ms. So after this much they have their turn.
_TURN: Final = 65536
# A body that is longer than this is large, and so many of those are read at a time: 180 hostile answers at
# once made a worker grow by 95 MiB.
_LARGE: Final = 65536
_LARGE_AT_ONCE: Final = 6

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class _Enough(Exception):
    """Raised in a callback, where the parser wraps it: more of this is not even parsed."""


class Answer:
    """What the parser found, as far as it came. `whole` if nothing of the body is missing."""

    def __init__(self, method: str, keep: bool = True) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.whole = False
        self.ended = False
        self.head_read = False
        self.too_many = ""
        self.size = 0
        # They hold each other. Whoever ends a reading lets go of it, or all would wait for the collector.
        self._parser: Any = httptools.HttpResponseParser(self)
        self._bodiless = method == "HEAD"
        self._interim = 0
        self._keep = keep
        # Not a list of what comes: in chunks of two bytes that is thirty times as much.
        self._body = bytearray()

    def feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._finish()
        except httptools.HttpParserError as error:
            # What follows a whole answer is not ours to judge.
            if not (self.ended or self.too_many):
                raise Failed("protocol", f"The answer is not HTTP: {error}.") from None
        if self.too_many:
            raise Failed("too large", f"There are more than {self.too_many}.")

    def end_of_stream(self) -> None:
        """The other side has closed the connection. For a body without a length that is its end."""
        if not self.head_read:
            raise Failed("closed", "The connection was closed before the answer's headers were whole.")
        if any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self.headers):
            raise Failed("closed", f"The body broke off after {self.size} bytes.")
        self._finish()

    def cut(self) -> None:
        self.body, self._body = bytes(self._body), bytearray()
        self.ended = True

    def let_go(self) -> None:
        self._parser = None

    @property
    def header(self) -> httpx.Headers:
        return httpx.Headers(self.headers)

    @property
    def encoding(self) -> str:
        """Of its content, as the header has it; without making something of all the others."""
        found = [value for name, value in self.headers if name.lower() == b"content-encoding"]
        return b",".join(found).decode("latin1")

    @property
    def leads_on(self) -> bool:
        """Whether it says where to ask instead."""
        return self.status in _REDIRECTS and any(name.lower() == b"location" for name, _ in self.headers)

    @property
    def is_enough(self) -> bool:
        """More may come, but nobody will look at it."""
        return self.size > BODY_AT_MOST

    @property
    def is_large(self) -> bool:
        return self._keep and self.size > _LARGE

    # The parser's callbacks. What they raise comes out wrapped, so they take notes.

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))
        if len(self.headers) > HEADERS_AT_MOST:
            self.too_many = f"{HEADERS_AT_MOST} header lines"
            raise _Enough

    def on_headers_complete(self) -> None:
        if self.ended:
            return
        self.status = self._parser.get_status_code()
        self.head_read = not 100 <= self.status < 200 or self.status == 101
        if self.head_read:
            if self._bodiless:
                self._finish()
            return
        self.headers.clear()
        self._interim += 1
        if self._interim > INTERIM_AT_MOST:
            self.too_many = f"{INTERIM_AT_MOST} interim answers"
            raise _Enough

    def on_body(self, data: bytes) -> None:
        if not self.ended:
            self.size += len(data)
            if self._keep:
                self._body += data

    def on_message_complete(self) -> None:
        if self.head_read and not self.ended:
            self._finish()

    def _finish(self) -> None:
        self.cut()
        self.whole = True


class Asked(Struct, frozen=True):
    """A request as it is written, and where it goes: of all this httpx need not make anything anew for each
    probe, which was a third of what a probe cost."""

    method: str
    host: str
    port: int
    secure: bool
    wire: bytes

    @classmethod
    def of(cls, request: httpx.Request) -> Self:
        url = request.url
        secure = url.scheme == "https"
        lines = [b"%s: %s\r\n" % header for header in request.headers.raw]
        head = b"%s %s HTTP/1.1\r\n%s\r\n" % (request.method.encode(), url.raw_path, b"".join(lines))
        port = url.port or (443 if secure else 80)
        return cls(request.method, url.raw_host.decode("ascii"), port, secure, head + request.read())


class Way(Struct, frozen=True):
    """How a request goes out: with which files, and through which proxy, if any."""

    words: Http = Http()
    proxy: httpx.URL | None = None
    proxy_auth: str = ""  # the value of a header
    keep: bool = True  # somebody will look at the body


class Transport(httpx.AsyncBaseTransport):
    """A request must bring its Run, as the extension "run", and may bring a Way, as "way"; the Answer comes
    back as the extension "answer", with its body as it came over the wire. The response itself has none."""

    def __init__(self, egress: Egress, certificates: Certificates) -> None:
        self._egress = egress
        self._certificates = certificates
        self._room = asyncio.Semaphore(_LARGE_AT_ONCE)

    async def ask(self, asked: Asked, run: Run, way: Way) -> Answer:
        stream = await self._open(asked, run, way)
        answer = Answer(asked.method, way.keep)
        try:
            # Before the writing, which may end after a near target has already answered.
            began = time.perf_counter()
            await stream.write(asked.wire)
            await self._receive(stream, answer, run, began)
        finally:
            stream.close()
            answer.let_go()
        return answer

    async def _receive(self, stream: Stream, answer: Answer, run: Run, asked: float) -> None:
        run.stage = "first_byte"
        data = await stream.read()
        run.heard(asked, stream.held())
        reading = _Reading(stream, answer)
        if await reading.take(data, run, until_large=True):
            return
        began, run.stage = time.perf_counter(), "turn"
        async with self._room:
            run.began += time.perf_counter() - began  # that is our time, not the target's
            await reading.take(await stream.read(), run)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        extensions = request.extensions
        answer = await self.ask(Asked.of(request), extensions["run"], extensions.get("way", _STRAIGHT))
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=httpx.ByteStream(b""),
            extensions={"answer": answer},
        )

    async def _open(self, asked: Asked, run: Run, way: Way) -> Stream:
        host, port, certificates = asked.host, asked.port, self._certificates
        if way.proxy is not None:
            stream = await self._through(way.proxy, way.proxy_auth, host, port, run)
            if asked.secure:
                await secure(stream, host, run, certificates.context(way.words, alpn="http/1.1"))
            return stream
        if not asked.secure:
            return await connect(self._egress, host, port, run)
        context = certificates.context(way.words, alpn="http/1.1")
        return await connect_tls(self._egress, host, port, run, context, certificates.unverified)

    async def _through(self, proxy: httpx.URL, auth: str, host: str, port: int, run: Run) -> Stream:
        """A tunnel, for http too: the target is resolved and judged here, and the proxy is told the judged
        address, so that a name that answers it differently gains nothing."""
        permitted = await self._egress.permitted(host, port, run)
        address = of_family(permitted, host, run.family)[0]
        family, run.family = run.family, "any"  # which is about the target
        stream = await connect(self._egress, proxy.raw_host.decode("ascii"), proxy.port or 80, run)
        run.family = family
        try:
            await _tunnel(stream, address, auth, run)
        except BaseException:
            stream.close()
            raise
        return stream


_STRAIGHT: Final = Way()


async def _tunnel(stream: Stream, address: Address, auth: str, run: Run) -> None:
    place = str(address).encode()
    talk = Conversation(stream, Run(secrets=run.secrets))
    run.stage = "connect"
    began = time.perf_counter()
    header = b"Proxy-Authorization: %s\r\n" % auth.encode() if auth else b""
    await talk.say(b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (place, place, header))
    status = await talk.line()
    if not re.fullmatch(rb"HTTP/1\.[01] 2[0-9]{2}( .*)?", status):
        raise Failed("proxy", f"The proxy says {run.quoted(status)} to {address}.", Outcome.UNREACHABLE)
    for _ in range(HEADERS_AT_MOST):
        if not await talk.line():
            break
    if talk.buffered:
        raise Failed("proxy", "The proxy speaks before it was spoken to.", Outcome.UNREACHABLE)
    run.address = address
    run.connect = (run.connect or 0.0) + time.perf_counter() - began


class _Reading:
    """Of one answer, and how much of it has come over the wire."""

    def __init__(self, stream: Stream, answer: Answer) -> None:
        self._stream = stream
        self._answer = answer
        self._head = self._wire = self._turn = 0

    async def take(self, data: bytes, run: Run, until_large: bool = False) -> bool:
        """`data` and what follows. False if it is a large body, and not over."""
        run.stage, answer = "rest", self._answer
        while data:
            answer.feed(data)
            if answer.ended or self._is_enough(len(data)):
                return True
            if until_large and answer.is_large:
                return False
            if (turn := self._turn + len(data)) >= _TURN:
                turn = 0
                await asyncio.sleep(0)
            self._turn = turn
            data = await self._stream.read()
        answer.end_of_stream()
        return True

    def _is_enough(self, size: int) -> bool:
        answer = self._answer
        self._wire += size
        self._head += 0 if answer.head_read else size
        if self._head > HEAD_AT_MOST:
            raise Failed("too large", "The headers are longer than 64 KiB.")
        if answer.is_enough or self._wire > _WIRE_AT_MOST:
            answer.cut()
            return True
        return False
