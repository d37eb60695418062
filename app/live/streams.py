"""The two ways out to a screen, `/events` and `/ws`. Both carry the same frames.

Litestar routes and we decide who may watch; after that a stream is two loops, one that sends what the hub
wrote and one that waits for the viewer to go. What a viewer cannot take is never waited for by anybody
else.
"""

import asyncio
import random
import re
from collections import deque
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from litestar import asgi
from litestar.enums import HttpMethod, ScopeType
from litestar.handlers import ASGIRouteHandler
from litestar.types import Receive, Scope, Send

from app import metrics
from app.domain.audience import PUBLIC, Audience
from app.domain.board import START
from app.live.frames import Transport
from app.live.hub import Crowded, Hub

WAITING_BYTES = 64 * 1024  # what one slow viewer may cost; a single frame may be larger and is shared by all
STALL = 10.0  # seconds in which a viewer must take something, or it is cut
FILTER_AT_MOST = 100  # components in one filter

GOING_AWAY = 1001
BAD_FRAME = 4400
FORBIDDEN = 4403
TOO_SLOW = 4431
NO_SUCH_PAGE = 4404
TRY_LATER = 1013

CROWDED = "There are too many different filters at once; try again later, or without `components`."
PUBLIC_SCOPE = {"scope": "public"}
# How long a browser waits after a break: each its own time, so that they do not come back all at once.
RETRY = b"retry: %d\n\n"

SSE_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # nginx would hold frames back until its buffer is full.
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


class Refused(Exception):
    """Why a stream is not opened, as a status for HTTP, a code for WebSockets and a sentence for people."""

    def __init__(self, status: int, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.code, self.sentence = status, code, sentence


class Request:
    """What a viewer asked for in the address, checked."""

    def __init__(self, scope: Scope) -> None:
        try:
            query = scope["query_string"].decode("ascii")
            asked = parse_qs(query, keep_blank_values=True, max_num_fields=20)
        except ValueError:
            raise Refused(400, BAD_FRAME, "The query of this address cannot be read.") from None
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        since = asked.get("since", [headers.get(b"last-event-id", "")])[-1]
        # An id that never was is no error: its owner may come from another installation. It gets a snapshot.
        self.since = since if re.fullmatch(r"[0-9]{1,15}-[0-9]{1,15}", since) else START if since else None
        self.wall = asked.get("wall", [""])[-1] == "1"
        self.audience = _audience(asked.get("components", []))
        self._origin = headers.get(b"origin")
        self._host = headers.get(b"host", "")
        if asked.get("page", [""])[-1]:
            raise Refused(
                404, NO_SUCH_PAGE, "There is no such page; leave `page` out for the only one there is."
            )

    def from_elsewhere(self, page_url: str | None) -> bool:
        """True if another web site's script opened this. Programs send no Origin and may see what is
        public."""
        if self._origin is None:
            return False
        origin = urlsplit(self._origin)
        if page_url and (known := urlsplit(page_url)) and (origin.scheme, origin.netloc) == known[:2]:
            return False
        return origin.scheme not in ("http", "https") or origin.netloc != self._host


def _audience(filters: Iterable[str]) -> Audience:
    slugs = {slug for given in filters for slug in given.split(",") if slug}
    if not slugs:
        return PUBLIC
    if len(slugs) > FILTER_AT_MOST or not all(re.fullmatch(r"[a-z0-9-]{1,80}", slug) for slug in slugs):
        raise Refused(
            400,
            BAD_FRAME,
            f"`components` takes at most {FILTER_AT_MOST} slugs with commas between, such as api,website.",
        )
    return Audience(frozenset(slugs))


class Stream:
    """A viewer on plain ASGI: a bounded queue that the hub fills and `pump` empties."""

    def __init__(self, transport: Transport, wall: bool) -> None:
        self.transport = transport
        self.wall = wall
        self.code = 0
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._behind = False
        self._ended = False
        self._wake = asyncio.Event()

    def write(self, data: bytes) -> None:
        if self._behind or self._ended:
            return
        if self._waiting and self._size + len(data) > WAITING_BYTES:
            # Half a story is worse than none: it gets one snapshot when it has room again.
            self._behind = True
            self._waiting.clear()
            self._size = 0
        else:
            self._waiting.append(data)
            self._size += len(data)
        self._wake.set()

    def end(self, last: bytes, code: int) -> None:
        self._behind = False
        self.write(last)
        self._ended, self.code = True, code
        self._wake.set()

    async def pump(self, hub: Hub, send: Send) -> None:
        """Until the stream is ended from our side, or the viewer takes nothing for too long."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting or self._behind:
                if not self._waiting:
                    self._behind = False
                    hub.resync(self)
                data = self._take()
                async with asyncio.timeout(STALL):
                    await send(self._message(data))
            if self._ended:
                return

    def _take(self) -> bytes:
        """On SSE all that waits leaves in one write; a WebSocket message is one frame."""
        if self.transport is Transport.SSE:
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._size = 0
        else:
            data = self._waiting.popleft()
            self._size -= len(data)
        return data

    def _message(self, data: bytes) -> Any:
        if self.transport is Transport.SSE:
            return {"type": "http.response.body", "body": data, "more_body": True}
        return {"type": "websocket.send", "text": data.decode()}


def routes(hub: Hub) -> list[ASGIRouteHandler]:
    """The two stream routes over one hub."""

    @asgi("/events", is_mount=False, copy_scope=False, opt=PUBLIC_SCOPE)
    async def events(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.WEBSOCKET:
            return await send({"type": "websocket.close", "code": NO_SUCH_PAGE, "reason": ""})
        if scope["method"] != HttpMethod.GET:
            return await _answer(send, 405, "This address is a stream: use GET.", (b"allow", b"GET"))
        try:
            request = Request(scope)
            stream = Stream(Transport.SSE, request.wall)
            hub.join(stream, request.audience, request.since)
        except Refused as refused:
            return await _answer(send, refused.status, refused.sentence)
        except Crowded:
            return await _answer(send, 503, CROWDED, (b"retry-after", b"10"))
        await send({"type": "http.response.start", "status": 200, "headers": SSE_HEADERS})
        stream.write(RETRY % random.randint(500, 5000))
        await _stream(stream, hub, send, _gone(receive))
        with suppress(OSError, RuntimeError):
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    @asgi("/ws", is_mount=False, copy_scope=False, opt=PUBLIC_SCOPE)
    async def socket(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            return await _answer(send, 426, "This address is a WebSocket.", (b"upgrade", b"websocket"))
        await receive()
        try:
            request = Request(scope)
            if request.from_elsewhere(hub.board.catalog.page.url):
                # Before the upgrade: a script of another site is to learn nothing, not even a close code.
                return await send({"type": "websocket.close", "code": FORBIDDEN, "reason": ""})
            await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
            stream = Stream(Transport.WEBSOCKET, request.wall)
            hub.join(stream, request.audience, request.since)
        except Refused as refused:
            await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
            return await send({"type": "websocket.close", "code": refused.code, "reason": refused.sentence})
        except Crowded:
            return await send({"type": "websocket.close", "code": TRY_LATER, "reason": CROWDED})
        code = await _stream(stream, hub, send, _gone(receive))
        with suppress(OSError, RuntimeError):
            await send({"type": "websocket.close", "code": code, "reason": ""})

    return [events, socket]


async def _stream(stream: Stream, hub: Hub, send: Send, gone: Coroutine[None, None, int]) -> int:
    """Both loops, until one of them ends. The close code that says why."""
    pump = asyncio.create_task(stream.pump(hub, send))
    watch = asyncio.create_task(gone)
    try:
        await asyncio.wait((pump, watch), return_when=asyncio.FIRST_COMPLETED)
    finally:
        hub.leave(stream)
        for task in (pump, watch):
            task.cancel()
        ends = await asyncio.gather(pump, watch, return_exceptions=True)
    if isinstance(ends[0], TimeoutError):
        metrics.SLOW_VIEWERS.labels("cut").inc()
        return TOO_SLOW
    return stream.code or (ends[1] if isinstance(ends[1], int) else GOING_AWAY)


async def _gone(receive: Receive) -> int:
    """Wait until the viewer goes, or says something: nothing it could say is understood here."""
    while True:
        message = await receive()
        if message["type"] == "websocket.receive":
            return BAD_FRAME
        if message["type"] in ("websocket.disconnect", "http.disconnect"):
            return GOING_AWAY


async def _answer(send: Send, status: int, sentence: str, *headers: tuple[bytes, bytes]) -> None:
    body = msgspec.json.encode({"type": "about:blank", "status": status, "detail": sentence})
    content = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*content, *headers]})
    await send({"type": "http.response.body", "body": body, "more_body": False})
