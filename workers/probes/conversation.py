"""A Stream read by the line or by the packet: what the probes speak whose protocols have no library here.

Nothing is read beyond a bound, and what was not asked for yet stays in the buffer.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from workers.probes.run import Failed, Run
from workers.probes.stream import Stream

LINE_AT_MOST: Final = 8192
PACKET_AT_MOST: Final = 1 << 20


class Conversation:
    def __init__(self, stream: Stream, run: Run) -> None:
        self.stream = stream
        self._run = run
        # One that grows in place: a target that sends single bytes would make us copy all of it for each.
        self._buffer = bytearray()
        self._asked: float | None = time.perf_counter()
        run.stage = "first_byte"

    @property
    def buffered(self) -> bytes:
        return bytes(self._buffer)

    async def say(self, data: bytes) -> None:
        await self.stream.write(data)

    async def leave(self, farewell: bytes) -> None:
        """For courtesy: the other side may well have gone already."""
        with suppress(OSError):
            await self.stream.write(farewell)

    async def line(self) -> bytes:
        """Without its end, which may be CRLF or LF."""
        while b"\n" not in self._buffer:
            if len(self._buffer) > LINE_AT_MOST:
                raise Failed("protocol", f"There is a line of more than {LINE_AT_MOST} bytes.")
            await self._more()
        return self._take(self._buffer.index(b"\n") + 1)[:-1].removesuffix(b"\r")

    async def exactly(self, size: int) -> bytes:
        if size > PACKET_AT_MOST:
            raise Failed("too large", f"It announces {size} bytes at once, and no more than 1 MiB is read.")
        while len(self._buffer) < size:
            await self._more()
        return self._take(size)

    async def until(self, enough: Callable[[bytes], bool], most: int) -> bytes:
        """All that has come since, once it is enough; or what there was at the end, or at `most` bytes."""
        while not enough(self.buffered) and len(self._buffer) < most:
            if not await self._read():
                break
        return self._take(len(self._buffer))

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    async def _more(self) -> None:
        if not await self._read():
            raise Failed("closed", "The connection was closed before the answer was whole.")

    async def _read(self) -> bytes:
        data = await self.stream.read()
        if self._asked is not None and data:
            self._run.heard(self._asked, self.stream.held())
            self._asked = None
        self._buffer += data
        return data
