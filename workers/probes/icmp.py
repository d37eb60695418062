"""icmp: echo requests, through one socket for all monitors.

A socket for each ping would be shown every answer to every other: with 500 in flight a ping then costs 242 us
instead of 8. Nothing needs root where the kernel lets everybody ping; elsewhere the result says what to do.
"""

import asyncio
import os
import secrets
import socket
import struct
import sys
import time
from typing import Final

from app.domain.kinds.icmp import Icmp as Words
from app.domain.monitor import Monitor
from app.domain.result import Outcome
from app.security.egress import Address
from workers.probes.equipment import Equipment, Probe, words_of
from workers.probes.run import Failed, Run, Unfit
from workers.probes.stream import of_family

_TOKEN_BYTES: Final = 16
_GAP: Final = 0.2
_MARGIN: Final = 0.02
_HEADER: Final = struct.Struct("!BBHHH")

# Linux's number for a filter on raw ICMP sockets; Python has no name for it.
_SOL_RAW: Final = 255
_ICMP_FILTER: Final = 1


class Icmp(Probe, kind="icmp"):
    def __init__(self, equipment: Equipment) -> None:
        super().__init__(equipment)
        self._pingers: dict[int, _Pinger] = {}

    async def probe(self, monitor: Monitor, run: Run) -> None:
        words = words_of(Words, monitor)
        host = monitor.target.removeprefix("[").removesuffix("]")
        address = of_family(await self.equipment.egress.permitted(host, 0, run), host, run.family)[0]
        run.address = address
        run.stage = "answer"
        pinger = self._pinger(socket.AF_INET6 if ":" in address.host else socket.AF_INET)
        if words.count == 1:
            await pinger.ping(address)
            run.answered()
        else:
            await self._several(pinger, address, words, run)

    async def _several(self, pinger: "_Pinger", address: Address, words: Words, run: Run) -> None:
        """The time that counts is the mean of those that were answered."""
        gap = min(_GAP, run.left / 2 / words.count)
        async with asyncio.TaskGroup() as group:
            pings = [group.create_task(_timed(pinger, address, n * gap, run)) for n in range(words.count)]
        times = [took for ping in pings if (took := ping.result()) is not None]
        if not times:
            raise TimeoutError
        run.total = sum(times) / len(times)
        lost = 100 * (words.count - len(times)) / words.count
        if lost > words.loss:
            detail = f"{lost:.0f}% of {words.count} pings were lost; up to {words.loss:g}% may be."
            raise Failed("loss", detail, Outcome.UNREACHABLE)

    async def close(self) -> None:
        for pinger in self._pingers.values():
            pinger.close()

    def _pinger(self, family: socket.AddressFamily) -> "_Pinger":
        if family not in self._pingers:
            self._pingers[family] = _Pinger(family)
        return self._pingers[family]


async def _timed(pinger: "_Pinger", address: Address, after: float, run: Run) -> float | None:
    """Seconds; None if it was lost. It gives up a little before the run does, whose end would say less."""
    await asyncio.sleep(after)
    began = time.perf_counter()
    try:
        async with asyncio.timeout(max(run.left - _MARGIN, 0.0)):
            await pinger.ping(address)
    except OSError:  # TimeoutError is one too
        return None
    return time.perf_counter() - began


class _Pinger:
    """One socket of one family. What comes back is told apart by a random token, for the kernel may rewrite
    the identifier, and others on this machine ping too."""

    def __init__(self, family: socket.AddressFamily) -> None:
        self._request = 128 if family == socket.AF_INET6 else 8
        self._reply = 129 if family == socket.AF_INET6 else 0
        self._identifier = secrets.randbits(16)
        self._sequence = 0
        self._waiting: dict[bytes, asyncio.Future[None]] = {}
        self._socket = _open(family)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._hear)

    async def ping(self, address: Address) -> None:
        token = secrets.token_bytes(_TOKEN_BYTES)
        answered = self._waiting[token] = self._loop.create_future()
        try:
            self._socket.sendto(self._packet(token), (address.host, 0))
            await answered
        finally:
            del self._waiting[token]

    def close(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _packet(self, token: bytes) -> bytes:
        self._sequence = self._sequence + 1 & 0xFFFF
        fields = (self._identifier, self._sequence)
        bare = _HEADER.pack(self._request, 0, 0, *fields) + token
        return _HEADER.pack(self._request, 0, _checksum(bare), *fields) + token

    def _hear(self) -> None:
        """Everything that has come: one call may stand for many packets."""
        while True:
            try:
                packet = self._socket.recv(2048)
            except OSError:
                # Mostly: nothing more. Else an answer such as "host unreachable", which belongs to nobody.
                return
            # A raw IPv4 socket shows the IP header too. No ICMP type looks like its first byte.
            if packet and packet[0] >> 4 == 4:
                packet = packet[(packet[0] & 15) * 4 :]
            answered = self._waiting.get(packet[_HEADER.size : _HEADER.size + _TOKEN_BYTES])
            if packet[:1] == bytes([self._reply]) and answered is not None and not answered.done():
                answered.set_result(None)


def _open(family: socket.AddressFamily) -> socket.socket:
    protocol = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            opened = socket.socket(family, kind, protocol)
        except PermissionError:
            continue
        opened.setblocking(False)
        if kind == socket.SOCK_RAW and family == socket.AF_INET and sys.platform == "linux":
            # Echo replies only, or every ICMP packet of the machine would wake us up.
            opened.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("I", ~1 & 0xFFFFFFFF))
        return opened
    raise Unfit(_WHAT_TO_DO, "not permitted")


_WHAT_TO_DO: Final = (
    "ICMP is not permitted to this worker. Allow it to everybody on this machine with: "
    "sysctl -w net.ipv4.ping_group_range='0 2147483647' -- or to this Python alone with: "
    f"setcap cap_net_raw+ep {os.path.realpath(sys.executable)}"
)


def _checksum(packet: bytes) -> int:
    """The Internet checksum. For IPv6 the kernel puts its own in its place."""
    total: int = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
