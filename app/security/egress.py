"""The one gate for outgoing connections: probes pass it now, webhooks and notifications will.

A name is resolved once, every address is judged, and the connection is made to the judged address and not to
the name: so a name that answers differently the second time gains nothing.
"""

import asyncio
import errno
import os
import re
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

import aiodns
from msgspec import Struct

IP: TypeAlias = IPv4Address | IPv6Address


class Address(Struct, frozen=True):
    host: str  # a literal address, never a name
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Policy(Struct, frozen=True):
    """`private` opens loopback and private networks: watching the LAN is a worker's job, and none of a
    webhook's. `own` are host:port pairs of our own parts that nobody may be led to, by name or address."""

    private: bool = True
    own: tuple[tuple[str, int], ...] = ()


class Refused(Exception):
    """The policy forbids it. The message is a sentence for operators."""


class NotResolved(Exception):
    """The name has no address, or nobody could say which. The message is a sentence for operators."""


class Trail(Struct):
    """How far a connection came. A deadline cuts it off anywhere, and then this is all that is left of it."""

    stage: str = "dns"
    dns: float | None = None
    connect: float | None = None
    address: Address | None = None
    held: float = 0.0  # of that, what our loop came late to


_ALWAYS: Final = [
    (ip_network(network), what)
    for network, what in {
        "0.0.0.0/8": "an address of this machine itself",
        "::/128": "an address of this machine itself",
        "169.254.0.0/16": "a link-local address",
        "fe80::/10": "a link-local address",
        "224.0.0.0/4": "a multicast address",
        "ff00::/8": "a multicast address",
        "255.255.255.255/32": "the broadcast address",
        # Where clouds tell a machine its own secrets, besides the link-local 169.254.169.254: Alibaba,
        # Oracle, Azure, AWS and its pods, Google, Scaleway, Oracle.
        "100.100.100.200/32": "a metadata address",
        "192.0.0.192/32": "a metadata address",
        "168.63.129.16/32": "a metadata address",
        "fd00:ec2::254/128": "a metadata address",
        "fd00:ec2::23/128": "a metadata address",
        "fd20:ce::254/128": "a metadata address",
        "fd00:42::42/128": "a metadata address",
        "fd00:c1::a9fe:a9fe/128": "a metadata address",
    }.items()
]

# Our own lists: of ipaddress's judgements, is_private lets 100.64/10 pass, and is_global calls 192.0.0.192,
# fec0::1 and all that is wrapped into IPv6 global.
_PRIVATE_V4: Final = [
    ip_network(network)
    for network in (
        *("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24"),
        *("192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        "240.0.0.0/4",
    )
]
_PUBLIC_V6: Final = IPv6Network("2000::/3")
_PRIVATE_V6: Final = [IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "3fff::/20")]

# Mapped, and NAT64: nothing but the IPv4 address in it. Where a network has only IPv6, its DNS answers with
# the latter for every IPv4 host.
_TRANSPARENT: Final = [IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96")]
# Where else an IPv4 address stands in an IPv6 one, by the shift of its last bit.
_WRAPPED: Final = [
    (IPv6Network("::/96"), 0),  # compatible
    (IPv6Network("::ffff:0:0:0/96"), 0),  # translated
    (IPv6Network("2002::/16"), 80),  # 6to4
    (IPv6Network("2001::/32"), 64),  # Teredo: its server
]
_TEREDO: Final = IPv6Network("2001::/32")
# NAT64 of a translator of one's own, who chooses how long his prefix is. But for the longest one the address
# is parted by a byte of zeros (RFC 6052): so many bits before it, and so many of nothing behind it all.
_OWN_NAT64: Final = IPv6Network("64:ff9b:1::/48")
_PARTED: Final = ((16, 40), (8, 32), (0, 24))
# ISATAP: any prefix, one of these, and the IPv4 address.
_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,255}")
# No name ends in a number; an address that is written so means another one to each who reads it: 0177.0.0.1
# is 127.0.0.1 to the C library, and 177.0.0.1 to c-ares.
_NUMBER: Final = re.compile(r"(.*\.)?([0-9]+|0[xX][0-9A-Fa-f]*)\.?")

_UNDER_WAY: Final = frozenset({errno.EINPROGRESS, errno.EINTR, errno.EWOULDBLOCK})
NO_ROUTE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EAFNOSUPPORT})
# What a machine without IPv6 says of every IPv6 address: not the news where another address failed as well.
_NO_NEWS: Final = NO_ROUTE | {errno.EADDRNOTAVAIL}


def unwrap(ip: IP) -> list[IP]:
    """The address, and each IPv4 address that a packet to it may end up at."""
    if isinstance(ip, IPv4Address) or int(ip) <= 1:
        return [ip]  # :: and ::1 only look as if they wrapped something
    if any(ip in network for network in _TRANSPARENT):
        return [IPv4Address(int(ip) & 0xFFFFFFFF)]
    inner = [IPv4Address(int(ip) >> shift & 0xFFFFFFFF) for network, shift in _WRAPPED if ip in network]
    if ip in _TEREDO:
        inner.append(IPv4Address(~int(ip) & 0xFFFFFFFF))  # its client, written inverted
    if ip in _OWN_NAT64:
        inner += map(IPv4Address, _translated(int(ip)))
    if int(ip) >> 32 & 0xFFFFFFFF in _ISATAP:
        inner.append(IPv4Address(int(ip) & 0xFFFFFFFF))
    return [ip, *inner]


def _translated(ip: int) -> list[int]:
    """Every IPv4 address that a translator might find in it."""
    found = [ip & 0xFFFFFFFF]
    for before, nothing in _PARTED:
        if not ip & (1 << nothing) - 1:
            behind = 32 - before
            high, low = ip >> 64 & (1 << before) - 1, ip >> nothing & (1 << behind) - 1
            found.append(high << behind | low)
    # What is nobody's address by one reading is somebody's by another.
    return [each for each in found if each >> 24] or found


class Egress:
    """`nameservers` ("host:port") stand in for those of /etc/resolv.conf."""

    def __init__(self, policy: Policy | None = None, nameservers: Sequence[str] = ()) -> None:
        self._policy = policy or Policy()
        self._nameservers = nameservers
        self._own_ports = {port for _, port in self._policy.own}
        self._own: dict[tuple[str, int], list[IP]] = {}
        self._dns: aiodns.DNSResolver | None = None

    async def resolve(self, host: str, port: int) -> list[Address]:
        """The addresses of a name, best first, unjudged. Raises NotResolved."""
        if port in self._own_ports:
            await self._find_own()
        return await self._look_up(host, port)

    async def dns_answers(self, within: float) -> bool:
        """Whether a DNS server says anything at all. It is asked for the root, which none has to look for."""
        # Not the resolver of the names: one remembers what it was told.
        asking = aiodns.DNSResolver(self._nameservers or None, timeout=within / 2, tries=1)
        try:
            async with asyncio.timeout(within):
                await asking.query_dns(".", "NS")
        except TimeoutError:
            return False
        except aiodns.error.DNSError as error:
            return error.args[0] not in (aiodns.error.ARES_ETIMEOUT, aiodns.error.ARES_ECONNREFUSED)
        finally:
            await asking.close()
        return True

    def permit(self, address: Address) -> None:
        """Raises Refused if the policy forbids it."""
        if (why := _forbidden(address.host, self._policy.private)) is not None:
            raise Refused(why)
        if address.port in self._own_ports and self._is_own(address):
            raise Refused(f"{address} is Statuswire's own Redis or database, which no connection may reach.")

    async def permitted(self, host: str, port: int, trail: Trail) -> list[Address]:
        """The addresses of a name that the policy allows. Raises Refused if that leaves none."""
        trail.stage = "dns"
        began = time.perf_counter()
        addresses = await self.resolve(host, port)
        trail.dns = (trail.dns or 0.0) + time.perf_counter() - began
        return self._permitted(addresses)

    async def connect(
        self, host: str, port: int, trail: Trail, within: float, resolved: Sequence[Address] = ()
    ) -> socket.socket:
        """A connected TCP socket, its address and timings in the trail. Raises Refused, NotResolved, or the
        OSError of the best address.

        The addresses are tried in turn. Each but the last gets an equal share of what is left of `within`
        seconds; the deadline itself is the caller's. A name that was `resolved` before is not asked for
        again.
        """
        deadline = time.perf_counter() + within
        addresses = self._permitted(resolved) if resolved else await self.permitted(host, port, trail)
        trail.stage = "connect"
        trail.address = addresses[0]
        failures: list[OSError] = []
        while addresses:
            address, *addresses = addresses
            began = time.perf_counter()
            try:
                if addresses:
                    async with asyncio.timeout((deadline - time.perf_counter()) / (len(addresses) + 1)):
                        connected = await _connect(address)
                else:
                    connected = await _connect(address)
            except OSError as error:  # TimeoutError is one too
                failures.append(error)
            else:
                took = time.perf_counter() - began
                round_trip = _round_trip(connected, took) or took
                trail.connect = (trail.connect or 0.0) + round_trip
                trail.held += took - round_trip
                trail.address = address
                return connected
        raise min(failures, key=lambda error: error.errno in _NO_NEWS)

    async def close(self) -> None:
        if self._dns is not None:
            await self._dns.close()

    def _permitted(self, addresses: Sequence[Address]) -> list[Address]:
        allowed: list[Address] = []
        refusals: list[Refused] = []
        for address in addresses:
            try:
                self.permit(address)
                allowed.append(address)
            except Refused as refused:
                refusals.append(refused)
        if not allowed:
            raise refusals[0]
        return allowed

    async def _look_up(self, host: str, port: int) -> list[Address]:
        if (literal := _literal(host)) is not None:
            return [Address(literal, port)]
        if self._dns is None:
            # c-ares reads /etc/hosts too, can be cancelled, and costs half of loop.getaddrinfo, whose six
            # threads are all it takes for six hanging names to stop every other monitor.
            self._dns = aiodns.DNSResolver(self._nameservers or None)
        try:
            found = await self._dns.getaddrinfo(ascii_name(host), port=port, type=socket.SOCK_STREAM)
        except aiodns.error.DNSError as error:
            # Without a free file descriptor c-ares speaks of servers that refuse. This says what it is.
            socket.socket().close()
            raise NotResolved(_no_address(host, error)) from None
        hosts = [_text(node.addr[0]) for node in found.nodes]
        if not hosts:
            raise NotResolved(f"The name {host} has no address.")
        return [Address(each, port) for each in dict.fromkeys(hosts)]

    async def _find_own(self) -> None:
        """Where our own parts are at this moment. While DNS does not say, they are where they were."""
        for host, port in self._policy.own:
            with suppress(NotResolved):
                self._own[host, port] = [ip_address(each.host) for each in await self._look_up(host, port)]

    def _is_own(self, address: Address) -> bool:
        own = [ip for (_, port), ips in self._own.items() if port == address.port for ip in ips]
        for ip in unwrap(ip_address(address.host)):
            # A server on this machine mostly listens on every address of it.
            if ip in own or (_is_local(ip) and any(map(_is_local, own))):
                return True
        return False


def ascii_name(host: str) -> str:
    """A host as DNS and TLS know it. Raises NotResolved if it can be none."""
    if _literal(host) is not None:
        return host
    with suppress(UnicodeError):
        name = host if host.isascii() else host.encode("idna").decode()
        if _NAME.fullmatch(name) and not _NUMBER.fullmatch(name):
            return name
    raise NotResolved(f"{host!r} cannot be the name of a host.")


@lru_cache(maxsize=4096)
def _forbidden(host: str, private: bool) -> str | None:
    """Why no connection may be made to a literal address, in a sentence. None if it may."""
    ip = ip_address(host)
    for inner in unwrap(ip):
        named = host if inner == ip else f"{host} leads to {inner}, which"
        for network, what in _ALWAYS:
            if inner in network:
                return f"{named} is {what}, and Statuswire never connects to such."
        if not private and _is_private(inner):
            return f"{named} is not a public address, and only those are allowed here."
    return None


async def _connect(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    connecting = socket.socket(family, socket.SOCK_STREAM)
    try:
        connecting.setblocking(False)
        connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        error = connecting.connect_ex((address.host, address.port))
        if error in _UNDER_WAY:
            loop = asyncio.get_running_loop()
            await until_ready(loop.add_writer, loop.remove_writer, connecting.fileno())
            error = connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
    except BaseException:
        connecting.close()
        raise
    return connecting


async def until_ready(add: Callable[..., None], remove: Callable[[int], object], fd: int) -> None:
    """`add` and `remove` are the loop's, for readers or for writers. Its own sock_connect and sock_recv do
    the same at twice the price."""
    ready = asyncio.get_running_loop().create_future()
    add(fd, _wake, ready)
    try:
        await ready
    finally:
        remove(fd)


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def _round_trip(connected: socket.socket, longest: float) -> float | None:
    """Seconds from SYN to SYN-ACK as the kernel saw them; None if it does not say.

    Ours include the time our own loop took to wake up: with the worker at its limit, 80 ms where the kernel
    said 0.01.
    """
    if sys.platform != "linux":
        return None
    info = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    (microseconds,) = struct.unpack_from("I", info, 68)
    (said_again,) = struct.unpack_from("I", info, 100)
    # Of a SYN that was lost it counts from the last one; whoever lost it, it was not our loop.
    if said_again or not 0 < microseconds / 1e6 < longest:
        return None
    return float(microseconds / 1e6)


@lru_cache(maxsize=4096)
def _literal(host: str) -> str | None:
    """None if it is a name."""
    try:
        # Only link-local addresses have a zone, and those are refused with any. Another would be the same
        # address for the kernel, and not for the comparisons here.
        return str(ip_address(host.partition("%")[0]))
    except ValueError:
        return None


def _text(host: bytes | str) -> str:
    return host.decode() if isinstance(host, bytes) else host


def _is_private(ip: IP) -> bool:
    if isinstance(ip, IPv4Address):
        return any(ip in network for network in _PRIVATE_V4)
    return ip not in _PUBLIC_V6 or any(ip in network for network in _PRIVATE_V6)


def _is_local(ip: IP) -> bool:
    """Whether it is one of this machine's own, which the kernel knows best."""
    try:
        family = socket.AF_INET6 if ip.version == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as trial:
            trial.bind((str(ip), 0))
            return True
    except OSError:
        return False


def _no_address(host: str, error: aiodns.error.DNSError) -> str:
    code = error.args[0] if error.args else None
    if code in (aiodns.error.ARES_ENOTFOUND, aiodns.error.ARES_ENODATA):
        return f"The name {host} has no address: DNS does not know it."
    if code == aiodns.error.ARES_ETIMEOUT:
        return f"No DNS server answered when asked for {host}."
    return f"DNS could not resolve {host}: {error.args[-1] if error.args else error}."
