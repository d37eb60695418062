"""A viewer on plain ASGI: a bounded queue that the hub fills, and two loops, one that sends and one that
waits for the viewer to go.

The slower way, with the same promises: for TLS that ends in uvicorn, for other servers, for whatever comes
between.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from app import metrics
from app.live.frames import Line
from app.live.hub import STALL, Hub
from app.live.peer import BAD_FRAME, INBOX_BYTES, TOO_BIG, TOO_SLOW

WAITING_BYTES = 64 * 1024  # what one slow viewer may cost; a single frame may be larger and is shared by all
GOING_AWAY = 1001

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Stream:
    """A viewer on plain ASGI: a bounded queue that the hub fills and `pump` empties."""

    def __init__(self, line: Line, wall: bool) -> None:
        self.line = line
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
        """A last word, if there is one, behind all that waits. One that is behind already is told nothing
        else."""
        if not self._ended:
            if last:
                self._waiting.append(last)
            self._behind = False
            self._ended, self.code = True, code
            self._wake.set()

    async def pump(self, hub: Hub, send: Send, patience: float) -> None:
        """Until the stream is ended from our side. TimeoutError if the viewer takes nothing for too long."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting or self._behind:
                if self._behind:
                    self._behind = False
                    hub.resync(self)
                if self._waiting:
                    async with asyncio.timeout(patience):
                        await send(self._message(self._take()))
            if self._ended:
                return

    def _take(self) -> bytes:
        """On SSE all that waits leaves in one write; a WebSocket message is one frame."""
        if self.line is Line.SSE:
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._size = 0
        else:
            data = self._waiting.popleft()
            self._size -= len(data)
        return data

    def _message(self, data: bytes) -> Any:
        if self.line is Line.SSE:
            return {"type": "http.response.body", "body": data, "more_body": True}
        return {"type": "websocket.send", "text": data.decode()}


async def carry(stream: Stream, hub: Hub, receive: Receive, send: Send, patience: float = STALL) -> int:
    """Both loops, until one of them ends. The close code that says why; who is TOO_SLOW cannot be told."""
    pump = asyncio.create_task(stream.pump(hub, send, patience))
    watch = asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait((pump, watch), return_when=asyncio.FIRST_COMPLETED)
    finally:
        hub.leave(stream)
        for task in (pump, watch):
            task.cancel()
        ends = await asyncio.gather(pump, watch, return_exceptions=True)
    match ends[0]:
        case TimeoutError():
            metrics.SLOW_VIEWERS.labels("cut").inc()
            return TOO_SLOW
        # How servers say that the viewer has gone: each in its own way.
        case Exception() as failed if not isinstance(failed, OSError | RuntimeError):
            raise failed
    return stream.code or (ends[1] if isinstance(ends[1], int) else GOING_AWAY)


async def _gone(receive: Receive) -> int:
    """Wait until the viewer goes, or says something: nothing it could say is understood here."""
    while True:
        message = await receive()
        if message["type"] == "websocket.receive":
            said = message.get("text") or message.get("bytes") or ""
            return TOO_BIG if len(said) > INBOX_BYTES else BAD_FRAME
        if message["type"] in ("websocket.disconnect", "http.disconnect"):
            return GOING_AWAY
