"""A viewer whose socket has left ASGI: one small protocol on a transport, and nothing else.

No task, queue or timer belongs to it. One whose socket is full gets nothing more until it has drained, and
then a single snapshot, so that a slow phone costs a constant and holds up nobody. What a viewer may say
here is ping, pong and close.
"""

import asyncio
import socket
from array import array
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import Protocol

from app.live.frames import LAST_CHUNK, Line, websocket_frame

UNSENT_BYTES = 16 * 1024  # that the kernel may hold of a viewer before it counts as slow; else it were 4 MiB
SEND_BUFFER = 64 * 1024
INBOX_BYTES = 4096  # the largest message that is read to its end before it is refused
PINGS = 10  # and pongs that nobody asked for; more of them within PING_SECONDS is rudeness
PING_SECONDS = 10.0

NEVER = 1 << 62

PROTOCOL_ERROR = 1002
NOT_UNDERSTOOD = 1007
TOO_BIG = 1009
BAD_FRAME = 4400
SIGN_IN_AGAIN = 4401
TOO_SLOW = 4431


def narrow(listening: socket.socket) -> None:
    """Let the kernel hold little of what a viewer does not read, so that we hear of it soon. All that is
    accepted from there inherits it: said to each socket it cost a handshake four calls of the kernel."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, "TCP_NOTSENT_LOWAT", 25), UNSENT_BYTES)


class Pings:
    """How often a viewer has lately said what it may say. By the clock and not by our beats, which may be a
    minute apart."""

    __slots__ = ("_count", "_since")

    def __init__(self, now: float) -> None:
        self._count, self._since = 0, now

    def one_too_many(self, now: float) -> bool:
        if now - self._since > PING_SECONDS:
            self._count, self._since = 0, now
        self._count += 1
        return self._count > PINGS


class Home(Protocol):
    """Whom a peer belongs to. All of it is the hub."""

    def full(self, peer: "Peer") -> None: ...
    def drained(self, peer: "Peer") -> None: ...
    def leave(self, peer: "Peer") -> None: ...


class Peer(asyncio.Protocol):
    """`next` is the number of the first frame that it is to be given by a cast; NEVER while its socket is
    full. `missed` is that of the first one it would not have, if it were full now. `fd` is -1 once the
    socket is gone, so that a cast under way cannot write to whoever is given the same number next."""

    __slots__ = (
        "_home",
        "_inbox",
        "_pings",
        "_registry",
        "_said",
        "_transport",
        "fd",
        "line",
        "missed",
        "next",
        "wall",
    )

    def __init__(
        self, transport: asyncio.Transport, home: Home, line: Line, wall: bool, registry: set[object]
    ) -> None:
        self.line = line
        self.wall = wall
        self.next = NEVER
        self.missed = 0
        self._transport = transport
        self._home = home
        self._registry = registry
        self._inbox = b""
        self._said = 0  # bytes behind the request for a stream
        self._pings: Pings | None = None  # few viewers ever ping
        self.fd: int = transport.get_extra_info("socket").fileno()
        transport.set_protocol(self)
        # So pause_writing means: something did not fit into the kernel's buffer.
        transport.set_write_buffer_limits(high=0)
        # uvicorn's list of what it must close when it stops.
        registry.add(self)

    # From the hub

    def write(self, data: bytes) -> None:
        if data and self.fd >= 0:
            self._transport.write(data)

    @property
    def has_room(self) -> bool:
        return self.fd >= 0 and not self._transport.get_write_buffer_size()

    @property
    def unread(self) -> int:
        """Bytes on their way that the viewer has not acknowledged: ours, and the kernel's."""
        if self.fd < 0:
            return 0
        queued = array("i", [0])
        ioctl(self.fd, TIOCOUTQ, queued)
        return queued[0] + self._transport.get_write_buffer_size()

    def end(self, last: bytes, code: int) -> None:
        """A last word and a farewell; whoever does not take them at once goes without."""
        if self.fd < 0:
            return
        self._transport.write(last + self._farewell(code))
        if self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._transport.close()

    def _farewell(self, code: int) -> bytes:
        if self.line is Line.RAW_WEBSOCKET:
            return websocket_frame(code.to_bytes(2, "big"), 0x8)
        return LAST_CHUNK if self.line is Line.RAW_SSE else b""

    def cut(self) -> None:
        """For one that takes nothing any more: there is no room even for a farewell."""
        self._transport.abort()

    # From the transport

    def pause_writing(self) -> None:
        self._home.full(self)

    def resume_writing(self) -> None:
        # Not from within: the transport is still busy with the write that made room.
        asyncio.get_running_loop().call_soon(self._home.drained, self)

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        if self.line is not Line.RAW_WEBSOCKET:
            # A request behind the request, or its body: nobody will answer it, and little of it is borne.
            self._said += len(data)
            if self._said > INBOX_BYTES:
                self.cut()
            return
        self._inbox += data
        code: int | None = 0
        while code == 0 and not self._transport.is_closing():
            code = self._read_one()
        if code:
            self.end(b"", code)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        # Both event loops call this before they close the socket, so the number is still ours here.
        self.fd = -1
        self._home.leave(self)
        self._registry.discard(self)

    def shutdown(self) -> None:
        """uvicorn stops, and whoever is still here was not told bye."""
        self.end(b"", 1012)

    # What a viewer says (RFC 6455, section 5)

    def _read_one(self) -> int | None:
        """Take one frame from the inbox. None: there is not yet a whole one; 0: go on; else a close code."""
        inbox = self._inbox
        if len(inbox) < 2:
            return None
        opcode, size = inbox[0] & 0x0F, inbox[1] & 0x7F
        if (code := _is_wrong(inbox[0], inbox[1])) is not None:
            return code
        start = 2
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(inbox) < start:
                return None
            size = int.from_bytes(inbox[2:start], "big")
        if size > INBOX_BYTES:
            return TOO_BIG
        end = start + 4 + size
        if len(inbox) < end:
            return None
        mask = inbox[start : start + 4]
        payload = bytes(byte ^ mask[n & 3] for n, byte in enumerate(inbox[start + 4 : end]))
        self._inbox = inbox[end:]
        return self._obey(opcode, payload)

    def _obey(self, opcode: int, payload: bytes) -> int:
        if opcode == 0x8:
            return _closing(payload)
        if opcode not in (0x9, 0xA):
            return BAD_FRAME  # data of any kind: nothing that a viewer could say is understood here
        now = asyncio.get_running_loop().time()
        self._pings = self._pings or Pings(now)
        if self._pings.one_too_many(now):
            return BAD_FRAME
        if opcode == 0x9:
            self.write(websocket_frame(payload, 0xA))
        return 0


def _is_wrong(first: int, second: int) -> int | None:
    opcode, size = first & 0x0F, second & 0x7F
    is_control = opcode >= 0x8
    if first & 0x70 or opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        return PROTOCOL_ERROR  # an extension or an opcode that was never agreed on
    if not second & 0x80:
        return PROTOCOL_ERROR  # clients must mask
    if is_control and (size > 125 or not first & 0x80):
        return PROTOCOL_ERROR
    return PROTOCOL_ERROR if opcode == 0x0 else None  # a continuation, and nothing was begun


def _closing(payload: bytes) -> int:
    """The code to answer a close with: the same, if it is one that may be sent."""
    if not payload:
        return 1000
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        return PROTOCOL_ERROR
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        return NOT_UNDERSTOOD
    return code
