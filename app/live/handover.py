"""How a socket leaves uvicorn. The one module that touches uvicorn's insides.

A connection that only waits for frames costs uvicorn 25 to 63 KiB and a task; a Peer costs 2. So once a
route has routed, authorised and answered, it may ask for the socket itself:
`scope["extensions"]["statuswire.release"]()`. Where that is missing (TLS ended in uvicorn, another
server), streams go over ASGI, slower, with the same promises. There the doors themselves refuse what a
viewer may not say, and offer `statuswire.cut` for one that takes nothing, since ASGI has no word for it.

The doors also shut out what uvicorn would hold for ever: heads that never end, and bodies that drip.

Names of uvicorn that are used here: `HttpToolsProtocol` with `on_message_begin`, `on_headers_complete`,
`on_message_complete`, `data_received`, `connection_made`, `connection_lost`, `shutdown`,
`_unset_keepalive_if_required`, `cycle.disconnected`, `cycle.response_complete`, `scope`, `transport`,
`connections`, `loop`; `WebSocketsSansIOProtocol` with `handle_connect`, `stop_keepalive`, `response`,
`conn.reader`, `queue`, `read_paused`, `scope`, `transport`, `connections`. `tests/test_handover.py` pins
them and says what to do when one is gone.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from msgspec import Struct
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from app.live.peer import BAD_FRAME, PINGS, UNSENT_BYTES, narrow

RELEASE = "statuswire.release"
CUT = "statuswire.cut"

HEAD_SECONDS = 5.0
BODY_SECONDS = 30.0
HEAD_BYTES = 16 * 1024
PING_SECONDS = 10.0  # in which a viewer may ping PINGS times where uvicorn answers

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Released(Struct):
    """A transport that is nobody's now. `registry` is uvicorn's list of whom to tell when it stops;
    `unread` is what the viewer said too early."""

    transport: asyncio.Transport
    registry: set[object]
    unread: bytes = b""


Release = Callable[[], Released | None]


class HttpDoor(HttpToolsProtocol):
    """HTTP as uvicorn speaks it, with deadlines, and a way out for sockets."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self.scheme == "https":
            # Else the kernel holds 4 MiB and TLS half of one for a viewer that does not read.
            narrow(transport.get_extra_info("socket"))
            transport.set_write_buffer_limits(high=UNSENT_BYTES)
        self._in_head = True
        self._head_bytes = 0  # that the parser has understood
        self._fed_bytes = 0  # that it was given since the head began
        self._refused = False
        self._gone = False  # to another protocol
        # From the first moment: a client may connect and say nothing.
        self._deadline: asyncio.TimerHandle | None = self.loop.call_later(HEAD_SECONDS, self._too_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._set_deadline(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        super().data_received(data)
        self._fed_bytes += len(data)
        # A header that never ends is held by the parser, which says nothing of it.
        if self._in_head and self._fed_bytes > HEAD_BYTES:
            self._refuse(_TOO_LARGE)
        # Something came that began no request, and uvicorn has already stopped its own clock for it.
        elif (
            self._deadline is None and not self._gone and (self.cycle is None or self.cycle.response_complete)
        ):
            self._set_deadline(HEAD_SECONDS)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes, self._fed_bytes = True, 0, 0
        self._set_deadline(HEAD_SECONDS)
        scope: Any = self.scope
        scope["extensions"] = {RELEASE: self._release} if self.scheme == "http" else {CUT: self._cut}

    def on_url(self, url: bytes) -> None:
        self._head_bytes += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value) + 4
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._set_deadline(BODY_SECONDS)
        if self._head_bytes > HEAD_BYTES:
            self._refuse(_TOO_LARGE)
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._set_deadline(None)
        if not self._refused:
            super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        if self._refused:
            return
        self._gone = True
        self._set_deadline(None)
        super().handle_websocket_upgrade()

    def _release(self) -> Released | None:
        """After `http.response.start` without a length; the ASGI callable then just returns."""
        self._gone = True
        self.cycle.disconnected = True  # so that uvicorn ends quietly and leaves the socket alone
        self._unset_keepalive_if_required()
        self._set_deadline(None)
        scope, registry = cast(Any, self.scope), cast("set[object]", self.connections)
        registry.discard(self)
        scope["extensions"].pop(RELEASE, None)
        return None if self.transport.is_closing() else Released(self.transport, registry)

    def _cut(self) -> None:
        """The ASGI callable then just returns."""
        self.cycle.disconnected = True
        self.transport.abort()

    def _set_deadline(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self._too_late)

    def _too_late(self) -> None:
        self._deadline = None
        self._refuse(_TOO_LATE)

    def _refuse(self, answer: bytes) -> None:
        self._refused = True
        if self.transport.is_closing():
            return
        # An answer that has begun cannot be taken back, only cut off.
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(answer)
        self.transport.close()


class WebSocketDoor(WebSocketsSansIOProtocol):
    """WebSockets as uvicorn speaks them: without TLS until the handshake is done, with TLS to the end, and
    then as unwilling to listen as a Peer is."""

    _pings = 0
    _pings_since = 0.0

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            scope: Any = self.scope
            way_out = (RELEASE, self._release) if self.scheme == "ws" else (CUT, self.transport.abort)
            scope["extensions"] |= (way_out,)

    # Whatever the data is. Nor would uvicorn ever stop collecting empty fragments.

    def handle_text(self, event: Any) -> None:
        if not self._refuse():
            super().handle_text(event)

    def handle_bytes(self, event: Any) -> None:
        if not self._refuse():
            super().handle_bytes(event)

    def handle_cont(self, event: Any) -> None:
        if not self._refuse():
            super().handle_cont(event)

    def handle_ping(self) -> None:
        super().handle_ping()
        now = self.loop.time()
        if now - self._pings_since > PING_SECONDS:
            self._pings, self._pings_since = 0, now
        self._pings += 1
        if self._pings > PINGS:
            self._refuse()

    def _refuse(self) -> bool:
        """False before the answer: what comes so early, uvicorn keeps for the route, which refuses it."""
        if self.handshake_complete and not self.close_sent:
            self.conn.send_close(BAD_FRAME)
            self.handle_parser_exception()
        return self.handshake_complete

    def _release(self) -> Released | None:
        """After `websocket.accept`; the ASGI callable then just returns."""
        if self.transport.is_closing():
            return None  # uvicorn is about to forget it by itself
        transport, self.transport = self.transport, cast(asyncio.Transport, _Gone())
        self.stop_keepalive()
        if self.read_paused:
            transport.resume_reading()
        scope, registry = cast(Any, self.scope), cast("set[object]", self.connections)
        registry.discard(self)
        scope["extensions"].pop(RELEASE, None)
        # A whole message that came with the handshake is as unwelcome as a later one.
        unread = bytes(self.conn.reader.buffer) if self.queue.empty() else b"\x81\x80\0\0\0\0"
        return Released(transport, registry, unread)


class _Gone:
    """What uvicorn still closes after its socket has left."""

    def close(self) -> None:
        pass

    def is_closing(self) -> bool:
        return True
