"""An httpx transport for probes: one connection for each request, no pool, every phase timed.

httpx's own transport looks through all its connections for each request (7 ms at 200 of them), reuses them
so that DNS, TCP and TLS are not checked again, and times each read instead of the whole. What is read here
is bounded in every direction: a target may be hostile.
"""

import asyncio
import re
import time
from typing import Final

import httpx
from msgspec import Struct

from app.domain.kinds.http import Http
from app.domain.result import Outcome
from app.security.egress import Address, Egress
from workers.probes.answer import HEADERS_AT_MOST, Answer, Asked
from workers.probes.conversation import Conversation
from workers.probes.expect import BODY_AT_MOST
from workers.probes.run import Failed, Run
from workers.probes.stream import Certificates, Stream, connect, connect_tls, of_family, secure

HEAD_AT_MOST: Final = 65536
# A body in chunks of one byte is seven times as long on the wire as it is. No honest server does that.
_WIRE_AT_MOST: Final = 2 * BODY_AT_MOST
# Reading does not wait for the loop while there is something to read: 2 MiB in chunks of one byte held up all
# other probes for 95 ms. So after this much they have their turn.
_TURN: Final = 65536
# Of large bodies so many are read at a time: 180 hostile answers at once made a worker grow by 95 MiB.
_LARGE_AT_ONCE: Final = 6
_ALPN: Final = {"no": "http/1.1", "yes": "h2 http/1.1", "only": "h2"}


class Way(Struct, frozen=True, gc=False):
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
        try:
            answer, wire = self._prepared(stream, asked, way)
        except BaseException:
            stream.close()
            raise
        try:
            # Before the writing, which may end after a near target has already answered.
            began = time.perf_counter()
            await stream.write(wire)
            await self._receive(stream, answer, run, began)
        finally:
            stream.close()
            answer.let_go()
        return answer

    @staticmethod
    def _prepared(stream: Stream, asked: Asked, way: Way) -> tuple[Answer, bytes]:
        wanted = way.words.http2
        if wanted == "no" or (wanted == "yes" and stream.alpn != "h2"):
            return Answer(asked.method, way.keep), asked.wire
        if asked.secure and stream.alpn != "h2":
            raise Failed("protocol", "It does not speak HTTP/2.")
        # Imported where there is a monitor that asks for it: it is a tenth of a worker's start.
        from workers.probes.http2 import Http2Answer

        answer = Http2Answer(asked, way.keep)
        return answer, answer.reply()

    async def _receive(self, stream: Stream, answer: Answer, run: Run, asked: float) -> None:
        run.stage = "first_byte"
        reading = _Reading(stream, answer, asked)
        if await reading.take(await stream.read(), run, until_large=True):
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
                await secure(stream, host, run, certificates.context(way.words, alpn=_ALPN[way.words.http2]))
            return stream
        if not asked.secure:
            return await connect(self._egress, host, port, run)
        context = certificates.context(way.words, alpn=_ALPN[way.words.http2])
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

    def __init__(self, stream: Stream, answer: Answer, asked: float) -> None:
        self._stream = stream
        self._asked: float | None = asked
        self._answer = answer
        self._head = self._wire = self._turn = 0

    async def take(self, data: bytes, run: Run, until_large: bool = False) -> bool:
        """`data` and what follows. False if it is a large body, and not over."""
        answer = self._answer
        if answer.has_begun:
            self._hear(run)
        while data:
            answer.feed(data)
            if self._asked is not None and answer.has_begun:
                self._hear(run)
            if answer.ended or self._is_enough(len(data)):
                return True
            if until_large and answer.is_large:
                return False
            if (turn := self._turn + len(data)) >= _TURN:
                turn = 0
                await asyncio.sleep(0)
            self._turn = turn
            if reply := answer.reply():
                await self._stream.write(reply)
            data = await self._stream.read()
        answer.end_of_stream()
        return True

    def _hear(self, run: Run) -> None:
        if self._asked is not None:
            run.heard(self._asked, self._stream.held())
            self._asked = None
        run.stage = "rest"

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
