"""grpc: one call of grpc.health.v1.Health/Check. Just as much HTTP/2 as that takes, by hand.

Header blocks of the server are passed over, for to read them takes the tables of HPACK: what a server says is
in the message, and that there is none says the rest.
"""

import struct
from typing import Final

from app.domain.kinds.grpc import Grpc as Words
from app.domain.monitor import Monitor
from workers.probes.conversation import Conversation
from workers.probes.equipment import Probe, host_and_port, words_of
from workers.probes.run import Failed, Run

# What we allow a frame by saying nothing else, and how many one small answer may take.
_FRAME_AT_MOST: Final = 16384
_FRAMES_AT_MOST: Final = 200

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_END_STREAM, _END_HEADERS, _ACK, _PADDED = 1, 4, 1, 8
_STREAM: Final = 1
_STATES: Final = {0: "unknown", 1: "serving", 2: "not serving", 3: "an unknown service"}
_SERVING: Final = 1


class Grpc(Probe, kind="grpc"):
    async def probe(self, monitor: Monitor, run: Run) -> None:
        words = words_of(Words, monitor)
        host, port = host_and_port(monitor.target)
        stream = await self.equipment.open(host, port, words, run, words.secure, alpn="h2")
        try:
            talk = Conversation(stream, run)
            await talk.say(_PREFACE + _frame(_SETTINGS, 0) + _call(monitor.target, words))
            state = _state(await _answer(talk, run))
            run.answered()
            if state != _SERVING:
                what = f"the service {words.service}" if words.service else "the server"
                raise Failed("answer", f"It says of {what}: {_STATES.get(state, state)}.")
        finally:
            stream.close()


def _call(authority: str, words: Words) -> bytes:
    headers = {
        ":method": "POST",
        ":scheme": "https" if words.secure else "http",
        ":path": "/grpc.health.v1.Health/Check",
        ":authority": authority,
        "content-type": "application/grpc",
        "te": "trailers",
        "user-agent": "statuswire",
    }
    # Each a literal that enters no table, in plain text.
    block = b"".join(b"\0" + _sized(name) + _sized(value) for name, value in headers.items())
    service = words.service.encode()
    message = b"\x0a" + _varint(len(service)) + service if service else b""
    data = b"\0" + struct.pack("!I", len(message)) + message
    return _frame(_HEADERS, _END_HEADERS, block, _STREAM) + _frame(_DATA, _END_STREAM, data, _STREAM)


async def _answer(talk: Conversation, run: Run) -> bytes:
    """The first message, without its prefix."""
    data = b""
    for _ in range(_FRAMES_AT_MOST):
        kind, flags, stream, payload = await _hear(talk)
        if kind == _SETTINGS and not flags & _ACK:
            await talk.say(_frame(_SETTINGS, _ACK))
        elif kind == _PING and not flags & _ACK:
            await talk.say(_frame(_PING, _ACK, payload))
        elif kind == _GOAWAY:
            raise Failed("closed", f"It ends the connection: {run.quoted(payload[8:])}.")
        elif stream == _STREAM and kind == _RESET:
            raise Failed("closed", "It ends the call without an answer.")
        elif stream == _STREAM and kind == _DATA:
            padding = payload[0] if flags & _PADDED and payload else 0
            data += payload[1 : len(payload) - padding] if flags & _PADDED else payload
            if len(data) >= 5 and len(data) - 5 >= int.from_bytes(data[1:5], "big"):
                return _message(data)
        if stream == _STREAM and kind in (_DATA, _HEADERS) and flags & _END_STREAM:
            run.answered()
            raise Failed("answer", "It tells no health: it may not know the service, or not gRPC's health.")
    raise Failed("protocol", f"There are more than {_FRAMES_AT_MOST} frames.")


async def _hear(talk: Conversation) -> tuple[int, int, int, bytes]:
    header = await talk.exactly(9)
    size, kind, flags = int.from_bytes(header[:3], "big"), header[3], header[4]
    if size > _FRAME_AT_MOST:
        raise Failed("protocol", "This is not HTTP/2.")
    return kind, flags, int.from_bytes(header[5:], "big") & 0x7FFFFFFF, await talk.exactly(size)


def _message(data: bytes) -> bytes:
    if data[0]:
        raise Failed("protocol", "The answer is compressed, which was not asked for.")
    return data[5 : 5 + int.from_bytes(data[1:5], "big")]


def _state(message: bytes) -> int:
    """The field 1 of the answer, a number of one byte. Not there, it is 0."""
    if not message:
        return 0
    if len(message) != 2 or message[0] != 0x08 or message[1] > 0x7F:
        raise Failed("protocol", "The answer is no health.")
    return message[1]


def _frame(kind: int, flags: int, payload: bytes = b"", stream: int = 0) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack("!I", stream) + payload


def _sized(text: str) -> bytes:
    """As HPACK has it: seven bits, and what does not fit in bytes behind."""
    encoded = text.encode()
    size = len(encoded)
    return (bytes([size]) if size < 127 else b"\x7f" + _varint(size - 127)) + encoded


def _varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])
