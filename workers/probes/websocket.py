"""websocket: the handshake and, where asked for, one message there and one back. The frames are those of
the websockets package, which does no I/O here: the connection is ours, to a judged address.
"""

import asyncio
import logging
import re
import time
from contextlib import suppress
from typing import Final

import httpx
from websockets.client import ClientProtocol
from websockets.exceptions import PayloadTooBig, WebSocketException
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from app.domain.kinds.websocket import Websocket as Words
from app.domain.monitor import Monitor
from workers.probes.equipment import Probe, check_header, words_of
from workers.probes.expect import check_text
from workers.probes.run import Failed, Run, Unfit
from workers.probes.stream import Stream

MESSAGE_AT_MOST: Final = 1 << 20
_HEARD_AT_MOST: Final = 2 * MESSAGE_AT_MOST
_FRAMES_AT_MOST: Final = 1000
_PIECE: Final = 2048
# Made here and not got by its name: who configures logging wakes every logger that has a name there.
_SILENT: Final = logging.Logger("statuswire.silent")
_SILENT.disabled = True


class Websocket(Probe, kind="websocket"):
    async def probe(self, monitor: Monitor, run: Run) -> None:
        words = words_of(Words, monitor)
        protocol = self._protocol(words, self.equipment.fill(monitor.target, run))
        said = self.equipment.fill(words.send, run)
        uri = protocol.uri
        stream = await self.equipment.open(uri.host, uri.port, words, run, uri.secure)
        try:
            talk = _Talk(stream, protocol, run)
            await talk.shake_hands(self._headers(words, run), words.subprotocol)
            if said:
                talk.say(said)
            answer = b""
            if said or monitor.expect.body is not None:
                answer = await talk.message()
            run.answered()
            await talk.leave()
            check_text(monitor.expect.body, answer, run)
        finally:
            stream.close()

    def _protocol(self, words: Words, url: str) -> ClientProtocol:
        try:
            # Theirs takes names that are none, and ports that are no ports.
            if not httpx.URL(url).host:
                raise ValueError
            return ClientProtocol(
                parse_uri(url),
                subprotocols=[Subprotocol(words.subprotocol)] if words.subprotocol else None,
                max_size=MESSAGE_AT_MOST,
                logger=_SILENT,  # it would log each frame, with what was filled into it
            )
        except (WebSocketException, httpx.InvalidURL, ValueError):
            raise Unfit("The target is no ws:// or wss:// URL.") from None

    def _headers(self, words: Words, run: Run) -> dict[str, str]:
        headers = {name: self.equipment.fill(value, run) for name, value in words.headers.items()}
        for name, value in headers.items():
            check_header(name, value)
        return headers


class _Talk:
    def __init__(self, stream: Stream, protocol: ClientProtocol, run: Run) -> None:
        self._stream = stream
        self._protocol = protocol
        self._run = run
        self._heard = 0
        self._frames = 0
        self._unread = b""
        self._events: list[Event] = []

    async def shake_hands(self, headers: dict[str, str], subprotocol: str) -> None:
        request = self._protocol.connect()
        for name, value in headers.items():
            if name in request.headers:
                del request.headers[name]
            request.headers[name] = value
        self._protocol.send_request(request)
        self._run.stage = "first_byte"
        await self._upgraded()
        events: list[Event] = []
        while not events and self._protocol.handshake_exc is None:
            events = await self._turn()
        if (error := self._protocol.handshake_exc) is not None:
            raise self._refused(error)
        if subprotocol and self._protocol.subprotocol != subprotocol:
            raise Failed("answer", f"It does not speak the subprotocol {subprotocol}.")
        self._events = events[1:]

    async def _upgraded(self) -> None:
        """Up to the status. The body of a refusal is nothing to wait for."""
        asked = time.perf_counter()
        await self._flush()
        head = await self._stream.read()
        self._run.heard(asked, self._stream.held())
        while head and b"\n" not in head and len(head) < _PIECE and (data := await self._stream.read()):
            head += data
        found = re.match(rb"HTTP/1\.[01] ([0-9]{3})[ \r\n]", head)
        if found is not None and found[1] != b"101":
            self._run.answered()
            status = found[1].decode()
            raise Failed(f"status {status}", f"The status is {status}; 101 was expected.")
        self._unread = head
        self._heard = len(head)

    def say(self, message: str) -> None:
        """It leaves with the next reading."""
        if self._protocol.state is not State.OPEN:
            raise Failed("closed", "It closed the conversation at once.")
        self._protocol.send_text(message.encode())

    async def message(self) -> bytes:
        """The first whole one."""
        parts: list[bytes] = []
        while True:
            for event in self._events:
                if not isinstance(event, Frame):
                    continue
                if event.opcode is Opcode.CLOSE:
                    raise Failed("closed", "It closed the conversation before it gave an answer.")
                if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                    parts.append(bytes(event.data))
                    if event.fin:
                        return b"".join(parts)
            self._events = await self._turn()

    async def leave(self) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(1000)
        with suppress(OSError):
            await self._flush()

    async def _turn(self) -> list[Event]:
        """What came of the next piece that was read."""
        await self._flush()
        # In small pieces: 64 KiB of frames of two bytes would keep the loop for half a second.
        if not self._unread:
            self._unread = await self._stream.read()
            self._heard += len(self._unread)
        else:
            await asyncio.sleep(0)
        piece, self._unread = self._unread[:_PIECE], self._unread[_PIECE:]
        if piece:
            self._protocol.receive_data(piece)
        else:
            self._protocol.receive_eof()
        if self._protocol.parser_exc is not None:
            raise self._broken(self._protocol.parser_exc)
        events = self._protocol.events_received()
        self._frames += len(events)
        if self._heard > _HEARD_AT_MOST or self._frames > _FRAMES_AT_MOST:
            raise _too_large()
        if not events and self._protocol.handshake_exc is None and self._protocol.reader.eof:
            raise _closed()
        return events

    async def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                await self._stream.write(data)

    def _broken(self, error: BaseException) -> Failed:
        if isinstance(error, EOFError):
            return _closed()
        if isinstance(error, PayloadTooBig):
            return _too_large()
        return Failed("protocol", f"It breaks the protocol: {self._why(error)}.")

    def _refused(self, error: Exception) -> Failed:
        self._run.answered()
        if isinstance(error.__cause__, EOFError):
            return _closed()
        return Failed("protocol", f"The handshake failed: {self._why(error)}.")

    def _why(self, error: BaseException) -> str:
        return self._run.quoted(str(error)).strip('"').rstrip(".")


def _too_large() -> Failed:
    return Failed("too large", "The answer is larger than 1 MiB, and no more of it is read.")


def _closed() -> Failed:
    return Failed("closed", "The connection was closed before the answer was whole.")
