"""A WebSocket's handshake by RFC 6455, section 4.2, judged and answered by us.

uvicorn would write the request out once more, for a library to parse, and build for it a connection that is
thrown away at once: more than all the rest takes. So the request goes to its route as it stands. The route
says yes by taking the socket and no by closing; it never talks over this connection. No extension is agreed
on, since permessage-deflate costs 46 KiB a viewer and gains nothing at 300 bytes a frame, and no subprotocol,
since there is but one thing to say.
"""

import asyncio
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterable, Sequence
from hashlib import sha1
from typing import Any

from msgspec import Struct

from app.live.frames import websocket_frame
from app.security.headers import LINES

# Of what a viewer says before it has been answered. More than a Peer would read to its end.
EARLY_BYTES = 16 * 1024

Header = tuple[bytes, bytes]
App = Callable[..., Awaitable[None]]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_WELCOME = (
    b"HTTP/1.1 101 Switching Protocols\r\n%bupgrade: websocket\r\nconnection: Upgrade\r\n"
    b"sec-websocket-accept: %b\r\n\r\n"
)
# Of an answer with nothing in it, all but its first line.
END = LINES + b"content-length: 0\r\nconnection: close\r\n\r\n"
_FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\n" + END
_FAILED = b"HTTP/1.1 500 Internal Server Error\r\n" + END
BAD_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\n" + END
_OTHER_VERSION = (
    b"HTTP/1.1 426 Upgrade Required\r\n" + LINES + b"sec-websocket-version: 13\r\nupgrade: websocket\r\n"
    b"content-length: 0\r\nconnection: Upgrade, close\r\n\r\n"
)


class Released(Struct):
    """A transport that is nobody's now. `registry` is uvicorn's list of whom to tell when it stops; `head` is
    the answer that is still to be written, before all else; `unread` is what the viewer said too early."""

    transport: asyncio.Transport
    registry: set[object]
    head: bytes
    unread: bytes = b""


def asked_for(headers: Iterable[Header]) -> bool:
    """Whether a request is for a WebSocket at all."""
    return _has(headers, b"connection", b"upgrade") and _has(headers, b"upgrade", b"websocket")


def refusal(method: bytes, version: str, headers: Sequence[Header]) -> bytes | None:
    """The answer to a handshake that is none. None if there is nothing against it."""
    versions = _all(headers, b"sec-websocket-version")
    keys = _all(headers, b"sec-websocket-key")
    if method != b"GET" or version != "1.1" or len(_all(headers, b"host")) != 1:
        return BAD_HANDSHAKE
    if len(versions) == 1 and versions[0] != b"13":
        return _OTHER_VERSION
    # Sixteen bytes in base64: of the last digit only the upper two bits count, so that it is one of these.
    if len(versions) != 1 or len(keys) != 1 or not re.fullmatch(rb"[A-Za-z0-9+/]{21}[AQgw]==", keys[0]):
        return BAD_HANDSHAKE
    return None


def welcome(headers: Iterable[Header], ours: bytes) -> bytes:
    """`ours` are lines that stand in every answer."""
    key = _all(headers, b"sec-websocket-key")[0]
    return _WELCOME % (ours, b64encode(sha1(key + _GUID, usedforsecurity=False).digest()))


def _all(headers: Iterable[Header], wanted: bytes) -> list[bytes]:
    return [value.strip() for name, value in headers if name == wanted]


def _has(headers: Iterable[Header], name: bytes, token: bytes) -> bool:
    return any(token == given.strip().lower() for value in _all(headers, name) for given in value.split(b","))


class Handshake(asyncio.Protocol):
    """The connection while its route makes up its mind, which takes a turn of the loop."""

    def __init__(
        self, transport: asyncio.Transport, registry: set[object], head: bytes, early: bytes
    ) -> None:
        self._transport = transport
        self._registry = registry
        self._head = head
        self._early = early[:EARLY_BYTES]
        self._connected = self._accepted = self._released = self._over = False
        registry.add(self)
        transport.set_protocol(self)

    async def ask(self, app: App, scope: Any) -> None:
        """Have the route decide. What it raises is raised, and the viewer told that we failed."""
        try:
            await app(scope, self._receive, self._send)
        finally:
            if not self._released:
                if not self._over:
                    self._say(b"" if self._accepted else _FAILED)
                self._registry.discard(self)

    def release(self, lines: bytes = b"") -> Released | None:
        """In place of `websocket.accept`; the ASGI callable then just returns."""
        self._released = True
        self._registry.discard(self)
        if self._transport.is_closing():
            return None
        return Released(self._transport, self._registry, self._head, self._early)

    async def _receive(self) -> Any:
        if self._connected:
            # Nothing that a viewer says arrives here.
            return {"type": "websocket.disconnect", "code": 1006}
        self._connected = True
        return {"type": "websocket.connect"}

    async def _send(self, message: Any) -> None:
        match message["type"]:
            case "websocket.accept" if not self._accepted:
                self._accepted = True
            case "websocket.close" if self._accepted:
                code = message["code"].to_bytes(2, "big") + (message.get("reason") or "").encode()[:123]
                self._say(self._head + websocket_frame(code, 0x8))
            case "websocket.close":
                self._say(_FORBIDDEN)
            case _:
                raise RuntimeError(f"{message['type']}: a route takes its WebSocket over, or closes it")

    def _say(self, last: bytes) -> None:
        self._over = True
        if not self._transport.is_closing():
            self._transport.write(last)
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._early = (self._early + data)[:EARLY_BYTES]

    def connection_lost(self, exc: Exception | None) -> None:
        self._registry.discard(self)

    def shutdown(self) -> None:
        """uvicorn stops."""
        self._transport.close()
