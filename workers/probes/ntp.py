"""ntp: one packet there and one back (RFC 5905, client mode), from which follow how far that clock and ours
are apart, and how sure it is of itself.
"""

import asyncio
import secrets
import socket
import struct
import time
from typing import Final

from app.domain.kinds.ntp import Ntp as Words
from app.domain.monitor import Monitor
from app.security.egress import Address
from workers.probes.equipment import Probe, host_and_port, words_of
from workers.probes.run import Failed, Run
from workers.probes.stream import of_family

_PACKET: Final = struct.Struct("!BBbb11I")
_CLIENT: Final = 0x23  # version 4, mode 3
_SERVER: Final = 4
_NOT_SYNCHRONISED: Final = 3
# From 1900 to 1970, and how long a second is in the lower half of a timestamp.
_EPOCH: Final = 2208988800
_FRACTION: Final = 1 << 32


class Ntp(Probe, kind="ntp"):
    async def probe(self, monitor: Monitor, run: Run) -> None:
        words = words_of(Words, monitor)
        host, port = host_and_port(monitor.target, default=123)
        address = of_family(await self.equipment.egress.permitted(host, port, run), host, run.family)[0]
        run.address = address
        run.stage = "answer"
        began, sent = time.perf_counter(), time.time()
        packet = await _exchange(address, run)
        took = time.perf_counter() - began
        run.answered()
        _check(packet, sent, sent + took, words, run)


async def _exchange(address: Address, run: Run) -> bytes:
    """What is asked is a random instant, and what comes back with another is not for us."""
    loop = asyncio.get_running_loop()
    nonce = secrets.randbits(32), secrets.randbits(32)
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.setblocking(False)
        # Connected, so that only that address is heard, and a closed port is told.
        asking.connect((address.host, address.port))
        await loop.sock_sendall(asking, _PACKET.pack(_CLIENT, 0, 0, 0, *([0] * 9), *nonce))
        while True:
            packet = await loop.sock_recv(asking, 1024)
            # In a flood there is always something to read, and the loop would not have its turn.
            await asyncio.sleep(0)
            if len(packet) >= _PACKET.size and _PACKET.unpack_from(packet)[9:11] == nonce:
                return packet


def _check(packet: bytes, sent: float, received: float, words: Words, run: Run) -> None:
    first, stratum, *_ = fields = _PACKET.unpack_from(packet)
    if first & 7 != _SERVER:
        raise Failed("protocol", "What came back is no answer of a time server.")
    if stratum == 0:
        raise Failed("clock", f"It turns us away: {run.quoted(struct.pack('!I', fields[6]))}.")
    if first >> 6 == _NOT_SYNCHRONISED or stratum > 15:
        raise Failed("clock", "It says that it is not synchronised.")
    if stratum > words.stratum:
        raise Failed("clock", f"Its stratum is {stratum}; up to {words.stratum} is right.")
    there, back = _instant(sent, *fields[11:13]), _instant(sent, *fields[13:15])
    offset = ((there - sent) + (back - received)) / 2
    if words.offset is not None and abs(offset) > words.offset:
        detail = f"It is {offset:+.3f} s from this worker's clock; up to {words.offset:g} s is right."
        raise Failed("clock", detail)


def _instant(near: float, seconds: int, fraction: int) -> float:
    """Seconds since 1970. They count to 2036 and begin anew, so the era is the one nearest to now."""
    at = seconds - _EPOCH + fraction / _FRACTION
    return at + round((near - at) / _FRACTION) * _FRACTION
