"""What goes over the wire: one frame is encoded once, and framed once for each line it leaves on, however
many screens get it.

On SSE the type and the id are fields of the event; on a WebSocket the same object carries them itself.
"""

from enum import Enum
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from app.domain.audience import PublicPatch, Snapshot
from app.domain.told import Markdown
from app.markdown import to_html


class Line(Enum):
    """How bytes reach a viewer: handed to ASGI, which frames them, or framed here and written to its
    socket."""

    WEBSOCKET = "ws"
    SSE = "sse"
    RAW_WEBSOCKET = "raw ws"
    RAW_SSE = "raw sse"
    # Not in chunks, of which HTTP/1.0 knows nothing: the answer ends with its connection.
    UNCHUNKED_SSE = "unchunked sse"

    # Enum's own is written in Python, and each viewer and each frame is looked up by its line.
    __hash__ = object.__hash__

    @property
    def raw(self) -> bool:
        return self in (Line.RAW_WEBSOCKET, Line.RAW_SSE, Line.UNCHUNKED_SSE)

    @property
    def kind(self) -> str:
        """What a viewer would call it."""
        return "ws" if self in (Line.WEBSOCKET, Line.RAW_WEBSOCKET) else "sse"


class Beat(Struct, frozen=True):
    """Proof of life to the very end of the path. `feed` is ok, stale (no worker is heard) or down (no Redis);
    `regions` says how many seconds ago each was last heard; `config` is there and says "bad" while the config
    file on disk is not the one that runs; `unfit` is there and says how many workers of each region are in no
    state to judge. A screen whose page is of another `build` loads it anew."""

    id: str
    now: str
    feed: str
    regions: dict[str, float]
    config: str | UnsetType = UNSET
    build: str | UnsetType = UNSET
    unfit: dict[str, int] | UnsetType = UNSET


class Bye(Struct, frozen=True):
    """We are going; come back `after` seconds."""

    after: float


class Frame:
    """One thing said to an audience. It is framed for a line when the first viewer on that line needs it."""

    __slots__ = ("_body", "_kind", "_on", "id")

    def __init__(self, kind: bytes, id: str, body: bytes) -> None:
        self.id = id
        self._kind = kind
        self._body = body
        self._on: dict[Line, bytes] = {}

    def __len__(self) -> int:
        return len(self._body)

    def on(self, line: Line) -> bytes:
        if (framed := self._on.get(line)) is None:
            framed = self._on[line] = self._frame(line)
        return framed

    def _frame(self, line: Line) -> bytes:
        match line:
            case Line.WEBSOCKET:
                return b'{"type":"%b",%b' % (self._kind, self._body[1:])
            case Line.SSE:
                place = b"id: %b\n" % self.id.encode() if self.id else b""
                return b"event: %b\n%bdata: %b\n\n" % (self._kind, place, self._body)
            case Line.RAW_WEBSOCKET:
                return websocket_frame(self.on(Line.WEBSOCKET))
            case Line.RAW_SSE:
                return chunk(self.on(Line.SSE))
            case Line.UNCHUNKED_SSE:
                return self.on(Line.SSE)


def _write_out(text: Any) -> str:
    if isinstance(text, Markdown):
        return to_html(text.source)
    raise NotImplementedError


_encode = msgspec.json.Encoder(enc_hook=_write_out).encode


def snapshot(body: Snapshot) -> Frame:
    return Frame(b"snapshot", body.id, _encode(body))


def patch(body: PublicPatch) -> Frame:
    return Frame(b"patch", body.id, _encode(body))


def beat(body: Beat) -> Frame:
    # Without an SSE id: a beat is not an event of the log, and must not become a place to resume from.
    return Frame(b"beat", "", _encode(body))


def bye(after: float) -> Frame:
    return Frame(b"bye", "", _encode(Bye(after)))


def websocket_frame(payload: bytes, opcode: int = 0x1) -> bytes:
    """One unfragmented frame from a server, which masks nothing (RFC 6455, section 5.2)."""
    size = len(payload)
    first = 0x80 | opcode
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65536:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


def chunk(data: bytes) -> bytes:
    """One chunk of a response whose length nobody knows (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
