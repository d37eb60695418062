"""An httpx transport for probes: one connection for each request, no pool, HTTP/1.1, every phase timed.

httpx's own transport looks through all its connections for each request (7 ms at 200 of them), reuses them
so that DNS, TCP and TLS are not checked again, and times each read instead of the whole. What is read here
is bounded in every direction: a target may be hostile.
"""

import asyncio
import re
import time
from typing import Final, Self

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


_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class _Enough(Exception):
    """Raised in a callback, where the parser wraps it: more of this is not even parsed."""


class Answer:
    """What the parser found, as far as it came. `whole` if nothing of the body is missing."""

    def __init__(self, method: str) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.whole = False
        self.ended = False
        self.head_read = False
        self.too_many = ""
        self._parser = httptools.HttpResponseParser(self)
        self._bodiless = method == "HEAD"
        self._interim = 0
        self._chunks: list[bytes] = []
        self._size = 0

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
            raise Failed("closed", f"The body broke off after {self._size} bytes.")
        self._finish()

    def cut(self) -> None:
        self.body = b"".join(self._chunks)
        self.ended = True

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
        return self._size > BODY_AT_MOST

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
            self._chunks.append(data)
            self._size += len(data)

    def on_message_complete(self) -> None:
        if self.head_read and not self.ended:
            self._finish()

    def _finish(self) -> None:
        self.cut()
        self.whole = True


class Asked(Struct, frozen=True, gc=False):
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


class Way(Struct, frozen=True, gc=False):
    """How a request goes out: with which files, and through which proxy, if any."""

    words: Http = Http()
    proxy: httpx.URL | None = None
    proxy_auth: str = ""  # the value of a header


class Transport(httpx.AsyncBaseTransport):
    """A request must bring its Run, as the extension "run", and may bring a Way, as "way"; the Answer comes
    back as the extension "answer", with its body as it came over the wire."""

    def __init__(self, egress: Egress, certificates: Certificates) -> None:
        self._egress = egress
        self._certificates = certificates

    async def ask(self, asked: Asked, run: Run, way: Way) -> Answer:
        stream = await self._open(asked, run, way)
        try:
            # Before the writing, which may end after a near target has already answered.
            began = time.perf_counter()
            await stream.write(asked.wire)
            return await _receive(stream, asked.method, run, began)
        finally:
            stream.close()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        extensions = request.extensions
        answer = await self.ask(Asked.of(request), extensions["run"], extensions.get("way", _STRAIGHT))
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=httpx.ByteStream(answer.body),
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


async def _receive(stream: Stream, method: str, run: Run, asked: float) -> Answer:
    run.stage = "first_byte"
    answer = Answer(method)
    head, wire, turn = 0, 0, 0
    data = await stream.read()
    run.heard(asked, stream.held())
    while data:
        answer.feed(data)
        if answer.ended:
            return answer
        wire += len(data)
        head += 0 if answer.head_read else len(data)
        if head > HEAD_AT_MOST:
            raise Failed("too large", "The headers are longer than 64 KiB.")
        if answer.is_enough or wire > _WIRE_AT_MOST:
            answer.cut()
            return answer
        if (turn := turn + len(data)) >= _TURN:
            turn = 0
            await asyncio.sleep(0)
        data = await stream.read()
    answer.end_of_stream()
    return answer
