"""How a socket leaves uvicorn. The one module that touches uvicorn's insides.

A connection that only waits for frames costs uvicorn 25 to 63 KiB and a task; a Peer costs 2. So once a
route has routed and authorised, it may ask for the socket itself, in place of an answer:
`scope["extensions"]["statuswire.release"](lines)`. Where that is missing (TLS ended in uvicorn, another
server), streams go over ASGI, slower, with the same promises. There the doors themselves refuse what a
viewer may not say, and offer `statuswire.cut` for one that takes nothing, since ASGI has no word for it.

The doors also shut out what uvicorn would hold for ever: heads that never end, and bodies that drip.

Names of uvicorn that are used here: see `tests/test_handover.py`, which pins them and says what to do when
one is gone.
"""

import asyncio
import logging
import sys
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import is_ssl
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from app import metrics
from app.live import handshake
from app.live.crowd import Doorstep
from app.live.handshake import BAD_HANDSHAKE, END, Handshake, Released
from app.live.peer import BAD_FRAME, UNSENT_BYTES, Pings

RELEASE = "statuswire.release"
CUT = "statuswire.cut"

HEAD_SECONDS = 5.0
BODY_SECONDS = 30.0
HEAD_BYTES = 16 * 1024
# After a refusal. TLS waits half a minute for the other side to agree, and reads on meanwhile, as fast as
# that one can write.
FAREWELL_SECONDS = 0.1
FED_AT_ONCE = 4096  # bytes: what one read brings may be 40,000 frames, all of which uvicorn takes apart first

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\n" + END
_STREAM = b"HTTP/1.1 200 OK\r\n%b%btransfer-encoding: chunked\r\n\r\n"
_STREAM_1_0 = b"HTTP/1.1 200 OK\r\n%b%bconnection: close\r\n\r\n"
_NO_HTTP = b"HTTP/1.1 400 Bad Request\r\n" + END
_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\n" + END

# The socket with the head of an answer that is still to be written, of which `lines` is a part; None if it
# has gone. The ASGI callable then just returns.
Release = Callable[[bytes], Released | None]


# The first line and the rest of an answer that is there already, or None: for a method, a target, a head and
# the address it comes from.
Ready = Callable[[bytes, bytes, list[tuple[bytes, bytes]], str], tuple[bytes, bytes] | None]


class _Flow(FlowControl):
    """uvicorn makes an Event for each connection, and few are ever waited for."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.read_paused = self.write_paused = False

    @cached_property
    def _is_writable_event(self) -> asyncio.Event:  # type: ignore[override]
        event = asyncio.Event()
        event.set()
        return event


class HttpDoor(HttpToolsProtocol):
    """HTTP as uvicorn speaks it, with deadlines, and a way out for sockets."""

    # Set by `door`, for the servers that are to count, and that have answers ready.
    doorstep: Doorstep | None = None
    ready: Ready | None = None
    _stands_on: str | None = None  # the address it is counted under

    def connection_made(self, transport: Any) -> None:
        # All that uvicorn does here. But it asks the kernel for both addresses, each by a socket object made
        # for the purpose: that was a twentieth of a handshake. The viewer's the transport has; of our own, by
        # which somebody came, ASGI need not know, and nobody asks.
        self.connections.add(self)
        self.transport = transport
        self.flow = _Flow(transport)
        self.server = None
        self.client = _place(transport.get_extra_info("peername"))
        self.scheme = "https" if is_ssl(transport) else "http"
        if self.scheme == "https":
            # Else TLS holds half a MiB for a viewer that does not read.
            transport.set_write_buffer_limits(high=UNSENT_BYTES)
        self._in_head = True
        self._fed = b""
        self._fed_bytes = 0  # that the parser was given since the head began
        self._refused = False
        self._gone = False  # to another protocol
        self._answered = False  # at once, while the request came
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        # From the first moment: a client may connect and say nothing.
        self._set_deadline(HEAD_SECONDS)
        if self.doorstep is not None:
            address = self.client[0] if self.client else ""
            if self.doorstep.enter(address):
                self._stands_on = address
            else:
                # Without a word: whoever has that many open at once does not read one.
                metrics.TURNED_AWAY.inc()
                transport.abort()

    def _step_off(self) -> None:
        if self.doorstep is not None and self._stands_on is not None:
            self.doorstep.leave(self._stands_on)
            self._stands_on = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._step_off()
        self._forget_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._fed, self._answered = data, False
        super().data_received(data)
        self._fed = b""
        self._fed_bytes += len(data)
        # A header that never ends is held by the parser, which says nothing of it.
        if self._in_head and self._fed_bytes > HEAD_BYTES:
            self._refuse(_TOO_LARGE)
        # Something came that began no request, and uvicorn has already stopped its own clock for it.
        elif self._due is None and not self._gone and not self._answered and self._is_idle():
            self._set_deadline(HEAD_SECONDS)

    def _is_idle(self) -> bool:
        """No answer is still to be written, or in the midst of it."""
        return self.cycle is None or self.cycle.response_complete

    def on_message_begin(self) -> None:
        super().on_message_begin()
        # It was stopped when this came, and begun again if what stood before it was answered at once.
        self._unset_keepalive_if_required()
        self._in_head, self._fed_bytes, self._answered = True, 0, False
        self._set_deadline(HEAD_SECONDS)

    def on_headers_complete(self) -> None:
        self._in_head = False
        # What has come is more than the head, or as much, and counting that costs nothing.
        if self._fed_bytes + len(self._fed) > HEAD_BYTES and self._head_bytes() > HEAD_BYTES:
            self._refuse(_TOO_LARGE)
            return
        if self._answer_at_once():
            return
        self._set_deadline(BODY_SECONDS)
        before = self.cycle
        # Whoever restarts a server that does not answer must not do so because it is busy.
        is_health = self.url.startswith(b"/health/")
        self.limit_concurrency = None if is_health else self.config.limit_concurrency
        super().on_headers_complete()
        if (cycle := self.cycle) is not before:
            # Of this request and no other: more may stand behind it already.
            way_out = (RELEASE, self._release) if self.scheme == "http" else (CUT, self._cut)
            cast(Any, cycle.scope)["extensions"] = {way_out[0]: partial(way_out[1], cycle)}
            if cycle.scope["http_version"] == "1.0":
                _leave_whole(cycle)

    def _answer_at_once(self) -> bool:
        """With what is ready for exactly this request. Not if it would have to wait: for an answer before
        it, for a peer that takes nothing, or because there are too many already, which uvicorn looks after.
        """
        is_plain = self.parser.get_http_version() == "1.1" and self.parser.should_keep_alive()
        if self.ready is None or not is_plain or not self._is_idle() or self.flow.write_paused:
            return False
        if self.parser.should_upgrade() or self._is_crowded():
            return False
        client = self.client[0] if self.client else ""
        found = self.ready(self.parser.get_method(), self.url, self.headers, client)
        if found is None:
            return False
        self.transport.write(b"".join((found[0], self._lines(), found[1])))
        self._answered = True
        self.on_response_complete()
        return True

    def _is_crowded(self) -> bool:
        most = self.config.limit_concurrency
        return most is not None and max(len(self.connections), len(self.tasks)) >= most

    def _head_bytes(self) -> int:
        return len(self.url) + sum([len(name) + len(value) + 4 for name, value in self.headers])

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._due = None
        # uvicorn tells the application that the body is whole, and this request had no application.
        if not self._refused and not self._answered:
            super().on_message_complete()

    def _should_upgrade(self) -> bool:
        return self._should_upgrade_to_ws() and handshake.asked_for(self.headers)

    def handle_websocket_upgrade(self) -> None:
        """Called by uvicorn while it handles HttpParserUpgrade, which knows where the head has ended."""
        if self._refused:
            return
        if self.cycle is not None and not self.cycle.response_complete:
            # An answer to what was asked before would get into the midst of the frames.
            self._refuse(BAD_HANDSHAKE)
        elif (scope := self._websocket_scope()) is None:
            self._refuse(BAD_HANDSHAKE)
        elif refusal := handshake.refusal(self.parser.get_method(), scope["http_version"], self.headers):
            self._refuse(refusal)
        else:
            self._gone = True
            self._step_off()
            self._forget_deadline()
            if self.scheme == "https":
                super().handle_websocket_upgrade()
            else:
                self._shake_hands(scope)

    def _websocket_scope(self) -> Any:
        """None for an address that is none."""
        try:
            parsed = httptools.parse_url(self.url)
            path = parsed.path.decode("ascii")
        except (httptools.HttpParserError, AttributeError, UnicodeDecodeError):
            return None
        return {
            **{name: value for name, value in self.scope.items() if name != "method"},
            "type": "websocket",
            "scheme": "ws",
            "path": self.root_path + unquote(path),
            "raw_path": self.root_path.encode("ascii") + parsed.path,
            "query_string": parsed.query or b"",
            "subprotocols": [],
        }

    def _shake_hands(self, scope: Any) -> None:
        head = handshake.welcome(self.headers, self._lines())
        end = cast(httptools.HttpParserUpgrade, sys.exc_info()[1]).args[0]
        registry = cast("set[object]", self.connections)
        registry.discard(self)
        shaking = Handshake(self.transport, registry, head, self._fed[end:])
        scope["extensions"] = {RELEASE: shaking.release}
        task = self.loop.create_task(shaking.ask(self.app, scope))
        self.tasks.add(task)
        task.add_done_callback(self._asked)

    def _asked(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (failed := task.exception()) is not None:
            logging.getLogger("uvicorn.error").error("Exception in ASGI application", exc_info=failed)

    def _lines(self) -> bytes:
        """Of a head, those that stand in every answer."""
        return b"".join([b"%b: %b\r\n" % header for header in self.server_state.default_headers])

    def _release(self, cycle: RequestResponseCycle, lines: bytes) -> Released | None:
        self._gone = True
        self._step_off()
        cycle.disconnected = True  # so that uvicorn ends quietly and leaves the socket alone
        self._unset_keepalive_if_required()
        self._forget_deadline()
        # Paused for a large body, or because more requests stand behind this one.
        self.flow.resume_reading()
        registry = cast("set[object]", self.connections)
        registry.discard(self)
        cast(Any, cycle.scope)["extensions"].pop(RELEASE, None)
        if self.transport.is_closing():
            return None
        head = _STREAM_1_0 if cycle.scope["http_version"] == "1.0" else _STREAM
        return Released(self.transport, registry, head % (self._lines(), lines))

    def _cut(self, cycle: RequestResponseCycle) -> None:
        cycle.disconnected = True
        self.transport.abort()

    def _set_deadline(self, seconds: float) -> None:
        """It is moved several times in each request, and so the timer is not: it looks when it rings."""
        self._due = self.loop.time() + seconds
        if self._timer is None:
            self._timer = self.loop.call_later(HEAD_SECONDS, self._ring)

    def _forget_deadline(self) -> None:
        self._due = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        if self._due is None:
            return
        left = self._due - self.loop.time()
        if left > 0.001:
            self._timer = self.loop.call_later(left, self._ring)
        else:
            self._due = None
            self._refuse(_TOO_LATE)

    def _refuse(self, answer: bytes) -> None:
        self._refused = True
        if self.transport.is_closing():
            return
        # An answer that has begun cannot be taken back, only cut off.
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(answer)
        self.transport.close()
        self._hang_up()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn says to whoever speaks no HTTP, in our words: its own lack the headers."""
        self._refuse(_NO_HTTP)

    def _hang_up(self) -> None:
        if self.scheme == "https":
            self.loop.call_later(FAREWELL_SECONDS, self.transport.abort)


def _leave_whole(cycle: RequestResponseCycle) -> None:
    """HTTP/1.0 knows no chunks, in which uvicorn sends whatever does not say how long it is. Here such an
    answer ends with its connection."""
    send = cycle.send
    is_endless = False

    async def sending(message: Any) -> None:
        nonlocal is_endless
        if message["type"] == "http.response.start":
            is_endless = not any(name.lower() == b"content-length" for name, _ in message["headers"])
            if is_endless:
                cycle.chunked_encoding, cycle.expected_content_length = False, sys.maxsize
            # Before 0.53 uvicorn closes without a word.
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        elif is_endless and not message.get("more_body", False):
            cycle.expected_content_length = len(message.get("body", b""))
        await send(message)

    cycle.send = sending  # type: ignore[method-assign]


def _place(address: Any) -> tuple[str, int] | None:
    """Of an IPv6 address what all addresses have: the host and the port."""
    return (str(address[0]), int(address[1])) if isinstance(address, tuple) else None


def door(doorstep: Doorstep, ready: Ready | None = None) -> type[HttpDoor]:
    """The door of one server: uvicorn makes one of it for each connection, and gives it nothing of ours."""
    its = {"doorstep": doorstep, "ready": None if ready is None else staticmethod(ready)}
    return type("HttpDoor", (HttpDoor,), its)


class WebSocketDoor(WebSocketsSansIOProtocol):
    """WebSockets as uvicorn speaks them, for those whose TLS ends here, and as unwilling to listen as
    a Peer is."""

    _pings: Pings | None = None

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), FED_AT_ONCE):
            if not self.transport.is_closing():
                super().data_received(data[start : start + FED_AT_ONCE])

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            scope: Any = self.scope
            scope["extensions"][CUT] = self.transport.abort

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
        self._count()

    def handle_pong(self, event: Any) -> None:
        super().handle_pong(event)
        self._count()

    def _count(self) -> None:
        now = self.loop.time()
        self._pings = self._pings or Pings(now)
        if self._pings.one_too_many(now):
            self._refuse()

    def handle_parser_exception(self) -> None:
        """Called for whatever must not be said, by uvicorn and by us."""
        super().handle_parser_exception()
        self.loop.call_later(FAREWELL_SECONDS, self.transport.abort)

    def _refuse(self) -> bool:
        """False before the answer: what comes so early, uvicorn keeps for the route, which refuses it."""
        if self.handshake_complete and not self.close_sent:
            self.conn.send_close(BAD_FRAME)
            self.handle_parser_exception()
        return self.handshake_complete
