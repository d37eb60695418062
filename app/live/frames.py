"""What goes over the wire: one frame is encoded once and framed once per transport, however many screens
get it.

On SSE the type and the id are fields of the event; on a WebSocket the same object carries them itself.
"""

from enum import StrEnum

import msgspec
from msgspec import Struct

from app.domain.audience import PublicPatch, Snapshot


class Transport(StrEnum):
    WEBSOCKET = "ws"
    SSE = "sse"


class Beat(Struct, frozen=True):
    """Proof of life to the very end of the path. `feed` is ok, stale (no worker is heard) or down (no Redis);
    `regions` says how many seconds ago each was last heard."""

    id: str
    now: str
    feed: str
    regions: dict[str, float]


class Bye(Struct, frozen=True):
    """We are going; come back `after` seconds."""

    after: float


class Frame(Struct, frozen=True):
    """One thing said to an audience, ready for each transport."""

    id: str
    ws: bytes
    sse: bytes

    def on(self, transport: Transport) -> bytes:
        return self.ws if transport is Transport.WEBSOCKET else self.sse


_encode = msgspec.json.Encoder().encode


def snapshot(body: Snapshot) -> Frame:
    return _frame(b"snapshot", body.id, _encode(body))


def patch(body: PublicPatch) -> Frame:
    return _frame(b"patch", body.id, _encode(body))


def beat(body: Beat) -> Frame:
    # Without an SSE id: a beat is not an event of the log, and must not become a place to resume from.
    return _frame(b"beat", "", _encode(body))


def bye(after: float) -> Frame:
    return _frame(b"bye", "", _encode(Bye(after)))


def _frame(kind: bytes, id: str, body: bytes) -> Frame:
    place = b"id: %b\n" % id.encode() if id else b""
    return Frame(
        id=id,
        ws=b'{"type":"%b",%b' % (kind, body[1:]),
        sse=b"event: %b\n%bdata: %b\n\n" % (kind, place, body),
    )
