"""icmp: one echo request, through one socket for all monitors.

A socket for each ping would be shown every answer to every other: with 500 in flight a ping then costs 242 us
instead of 8. Nothing needs root where the kernel lets everybody ping; elsewhere the result says what to do.
"""

import asyncio
import os
import secrets
import socket
import struct
import sys
from typing import Final

from app.domain.monitor import Monitor
from app.security.egress import Address
from workers.probes.equipment import Equipment, Probe
from workers.probes.run import Run, Unfit

_TOKEN_BYTES: Final = 16
_HEADER: Final = struct.Struct("!BBHHH")

# Linux's number for a filter on raw ICMP sockets; Python has no name for it.
_SOL_RAW: Final = 255
_ICMP_FILTER: Final = 1


class Icmp(Probe):
    def __init__(self, equipment: Equipment) -> None:
        super().__init__(equipment)
        self._pingers: dict[int, _Pinger] = {}

    async def probe(self, monitor: Monitor, run: Run) -> None:
        host = monitor.target.removeprefix("[").removesuffix("]")
        address = (await self.equipment.egress.permitted(host, 0, run))[0]
        run.address = address
        run.stage = "answer"
        await self._pinger(socket.AF_INET6 if ":" in address.host else socket.AF_INET).ping(address)
        run.answered()

    async def close(self) -> None:
        for pinger in self._pingers.values():
            pinger.close()

    def _pinger(self, family: socket.AddressFamily) -> "_Pinger":
        if family not in self._pingers:
            self._pingers[family] = _Pinger(family)
        return self._pingers[family]


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
