"""grpc: against a server that speaks as much HTTP/2 as one health check takes, written after RFC 9113."""

import asyncio
import struct

import pytest
import trustme

from app.domain.monitor import Monitor
from app.domain.result import Result
from tests.targets import Behaviour, certified, farewell, listening, silent, verdict
from workers.probes import Probes

DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7


async def look(probes: Probes, place: str, timeout: float = 1.0, **words: object) -> Result:
    return await probes.probe(Monitor(key="m", kind="grpc", target=place, timeout=timeout, options=words))


def frame(kind: int, flags: int = 0, payload: bytes = b"", stream: int = 1) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack("!I", stream) + payload


def health(state: int) -> bytes:
    message = bytes([8, state]) if state else b""
    return b"\0" + struct.pack("!I", len(message)) + message


# ":status: 200" and "grpc-status: 0", as HPACK's static table and Huffman's code have them.
BEGIN = (
    frame(SETTINGS, 0, b"", 0)
    + frame(SETTINGS, 1, b"", 0)
    + frame(HEADERS, 4, b"\x88\x5f\x8b\x1d\x75\xd0\x62\x0d")
)
END = frame(HEADERS, 5, b"\x40\x88\x9a\xca\xc8\xb2\x12\x34\xda\x8f\x01\x30")


class Served:
    def __init__(self, *said: bytes) -> None:
        self.said = said
        self.frames: list[tuple[int, int, bytes]] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(24) == b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        while not self.frames or self.frames[-1][0] != DATA:
            await self.hear(reader)
        for part in self.said:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        await farewell(writer)

    async def hear(self, reader: asyncio.StreamReader) -> None:
        header = await reader.readexactly(9)
        payload = await reader.readexactly(int.from_bytes(header[:3], "big"))
        self.frames.append((header[3], header[4], payload))


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ([BEGIN + frame(DATA, 0, health(1)) + END], ("ok", "")),
        ([BEGIN + frame(DATA, 0, health(1))[:12], frame(DATA, 0, health(1))[12:] + END], ("ok", "")),
        ([BEGIN, frame(DATA, 0, health(1)[:3]), frame(DATA, 0, health(1)[3:])], ("ok", "")),
        ([BEGIN, frame(DATA, 9, b"\x02" + health(1) + b"\0\0")], ("ok", "")),
        (
            [frame(PING, 0, b"12345678", 0), BEGIN, frame(8, 0, b"\0\0\1\0", 0), frame(DATA, 0, health(1))],
            ("ok", ""),
        ),
        ([BEGIN + frame(DATA, 0, health(2)) + END], ("fail", "answer")),
        ([BEGIN + frame(DATA, 0, health(0)) + END], ("fail", "answer")),
        ([BEGIN + frame(DATA, 0, health(3)) + END], ("fail", "answer")),
        ([BEGIN + END], ("fail", "answer")),
        ([BEGIN + frame(DATA, 1, b"")], ("fail", "answer")),
        ([BEGIN + frame(DATA, 0, b"\1" + health(1)[1:])], ("fail", "protocol")),
        ([BEGIN + frame(DATA, 0, b"\0\0\0\0\3abc")], ("fail", "protocol")),
        ([BEGIN + frame(DATA, 8, b"\xff")], ("fail", "closed")),
        ([BEGIN + frame(RESET, 0, b"\0\0\0\1")], ("fail", "closed")),
        ([frame(GOAWAY, 0, bytes(8) + b"too \x1b[2J many pings", 0)], ("fail", "closed")),
        ([frame(SETTINGS, 0, b"", 0) * 1000], ("fail", "protocol")),
        ([b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"], ("fail", "protocol")),
        ([b"\0\0"], ("fail", "closed")),
        ([b""], ("fail", "closed")),
    ],
)
async def test_a_server_says_how_it_is(probes: Probes, said: list[bytes], answer: tuple[str, str]) -> None:
    async with listening(Served(*said)) as target:
        result = await look(probes, target.place)
    assert verdict(result) == answer or (answer[0] == "fail" and result.reason == "reset"), result.detail
    assert result.detail.isprintable()


@pytest.mark.parametrize("service", ["", "shop.v1.Orders", "x" * 200])
async def test_the_question_is_one_that_servers_understand(probes: Probes, service: str) -> None:
    async with listening(served := Served(BEGIN + frame(DATA, 0, health(1)) + END)) as target:
        assert verdict(await look(probes, target.place, service=service)) == ("ok", "")
    [(_, _, settings), (_, flags, block), (_, end, data)] = served.frames
    assert settings == b"" and flags == 4 and end == 1
    assert b"\x00\x05:path\x1c/grpc.health.v1.Health/Check" in block
    assert b"\x00\x0a:authority" + bytes([len(target.place)]) + target.place.encode() in block
    size = len(service)
    length = bytes([size]) if size < 128 else bytes([size & 0x7F | 0x80, size >> 7])
    message = b"\x0a" + length + service.encode() if service else b""
    assert data == b"\0" + struct.pack("!I", len(message)) + message


async def test_over_tls_it_asks_for_http_2(probes: Probes, ca: trustme.CA) -> None:
    context = certified(ca, "localhost")
    context.set_alpn_protocols(["h2"])
    spoken: list[str | None] = []
    served = Served(BEGIN + frame(DATA, 0, health(1)) + END)

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        spoken.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await served(reader, writer)

    async with listening(behave, tls=context) as target:
        result = await look(probes, f"localhost:{target.port}", secure=True)
    assert verdict(result) == ("ok", "") and result.certificate_until is not None
    assert spoken == ["h2"] and b":scheme\x05https" in served.frames[1][2]


async def test_silence_ends_with_the_probe(probes: Probes) -> None:
    endless: list[Behaviour] = [silent, Served(*[frame(SETTINGS, 1, b"", 0)] * 100)]
    for behave in endless:
        async with listening(behave) as target:
            result = await look(probes, target.place, timeout=0.3)
            assert verdict(result) in (("fail", "timeout"), ("fail", "closed"))
