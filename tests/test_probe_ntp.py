"""ntp: a server's own word on its clock, and its clock against ours."""

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import uvloop

from app.domain.monitor import Monitor
from app.domain.result import Result
from tests.targets import closed_port, verdict
from workers.probes import Probes

ERA = 2208988800


@dataclass
class Clock(asyncio.DatagramProtocol):
    """A time server by RFC 5905; `change` may spoil what it says."""

    ahead: float = 0.0
    stratum: int = 2
    leap: int = 0
    reference: bytes = b"\x7f\x00\x00\x01"
    change: Callable[[bytes], list[bytes]] = lambda packet: [packet]
    asked: list[bytes] = field(default_factory=list)
    port: int = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.asked.append(data)
        head = struct.pack("!BBbb", self.leap << 6 | 4 << 3 | 4, self.stratum, 6, -20)
        head += struct.pack("!II", 0, 0) + self.reference + self.stamp()
        for said in self.change(head + data[40:48] + self.stamp() + self.stamp()):
            self.transport.sendto(said, address)  # type: ignore[attr-defined]

    def stamp(self) -> bytes:
        at = time.time() + self.ahead + ERA
        return struct.pack("!II", int(at) & 0xFFFFFFFF, int(at % 1 * (1 << 32)))


@asynccontextmanager
async def serving_time(clock: Clock, host: str = "127.0.0.1") -> AsyncIterator[str]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: clock, (host, 0))
    try:
        yield f"[{host}]:{clock.port}" if ":" in host else f"{host}:{clock.port}"
    finally:
        transport.close()


@pytest.fixture(scope="module")
async def probes() -> AsyncIterator[Probes]:
    probes = Probes()
    yield probes
    await probes.close()


async def look(probes: Probes, place: str, timeout: float = 0.5, **words: object) -> Result:
    return await probes.probe(Monitor(key="m", kind="ntp", target=place, timeout=timeout, options=words))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_clock_that_agrees_with_ours_is_right(probes: Probes, host: str) -> None:
    async with serving_time(clock := Clock(), host) as place:
        result = await look(probes, place, offset=0.1, stratum=2)
    assert verdict(result) == ("ok", "") and result.address == host
    assert result.took is not None and result.phases.connect is None
    [asked] = clock.asked
    # A client of version 4 that says nothing of itself, least of all its own time.
    assert asked[0] == 0x23 and asked[1:40] == bytes(39) and len(asked) == 48


@pytest.mark.parametrize("ahead", [5.0, -5.0, 86400.0, 86400.0 * 365 * 20])
async def test_a_clock_that_is_off_fails_where_it_matters(probes: Probes, ahead: float) -> None:
    """Also across the day in 2036 on which its seconds begin anew."""
    async with serving_time(Clock(ahead=ahead)) as place:
        assert verdict(await look(probes, place)) == ("ok", "")
        result = await look(probes, place, offset=1.0)
        assert verdict(result) == ("fail", "clock")
        assert abs(float(result.detail.split()[2]) - ahead) < 0.1
        assert verdict(await look(probes, place, offset=abs(ahead) + 0.1)) == ("ok", "")


@pytest.mark.parametrize(
    ("clock", "reason"),
    [
        (Clock(leap=3), "clock"),
        (Clock(stratum=16), "clock"),
        (Clock(stratum=0, reference=b"RATE"), "clock"),
        (Clock(stratum=0, reference=b"\x1b[2J"), "clock"),
        (Clock(stratum=5), "clock"),
        (Clock(change=lambda packet: [b"\x23" + packet[1:]]), "protocol"),
        (Clock(change=lambda packet: [b"\x26" + packet[1:]]), "protocol"),
    ],
)
async def test_a_server_that_is_not_sure_of_itself_fails(probes: Probes, clock: Clock, reason: str) -> None:
    async with serving_time(clock) as place:
        result = await look(probes, place, stratum=4)
    assert verdict(result) == ("fail", reason) and result.detail.isprintable()


@pytest.mark.parametrize(
    "change",
    [
        lambda packet: [],
        lambda packet: [packet[:47]],
        lambda packet: [packet[:24] + bytes(8) + packet[32:]],
        lambda packet: [bytes(48)] * 100,
    ],
    ids=["nothing", "too short", "forged", "a flood"],
)
async def test_what_is_no_answer_to_us_is_none(
    probes: Probes, change: Callable[[bytes], list[bytes]]
) -> None:
    async with serving_time(Clock(change=change)) as place:
        assert verdict(await look(probes, place, timeout=0.2)) == ("unreachable", "timeout")


async def test_the_right_answer_is_found_among_others(probes: Probes) -> None:
    clock = Clock(change=lambda packet: [b"", b"x", packet[:24] + bytes(8) + packet[32:], packet + bytes(20)])
    async with serving_time(clock) as place:
        assert verdict(await look(probes, place)) == ("ok", "")


async def test_nobody_there_is_unreachable(probes: Probes) -> None:
    with closed_port() as port:
        result = await look(probes, f"127.0.0.1:{port}")
    assert verdict(result) == ("unreachable", "refused")
    assert verdict(await look(probes, "169.254.169.123")) == ("inconclusive", "not permitted")
    assert verdict(await look(probes, "127.0.0.1", ip="6")) == ("unreachable", "dns")


def test_on_the_loop_that_workers_use_too() -> None:
    async def ask() -> Result:
        probes = Probes()
        async with serving_time(Clock()) as place:
            result = await look(probes, place, offset=0.5)
        await probes.close()
        return result

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert verdict(runner.run(ask())) == ("ok", "")
