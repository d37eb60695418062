"""Who is at the other end: the address that a request comes from, whoever passed it on, and whether a browser
reached us over TLS. What a proxy says of these counts if the proxy is on our list; anybody may write a
header.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from litestar.types import Scope
from msgspec import Struct

Network = IPv4Network | IPv6Network
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


class Visitor(Struct, frozen=True):
    address: str
    tls: bool


def visitor_of(scope: Scope, proxies: Iterable[Network]) -> Visitor:
    known = tuple(proxies)
    client = (scope.get("client") or ("", 0))[0]
    # Each proxy may have added a line of its own.
    forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
    said = [value for name, value in scope["headers"] if name == b"x-forwarded-proto"]
    tls = scope["scheme"] in ("https", "wss")
    if said and is_in(client, known):
        tls = said[-1].strip().lower() == b"https"
    return Visitor(visitor(client, forwarded.decode("latin-1"), known), tls)


def visitor(client: str, forwarded: str, proxies: Iterable[Network]) -> str:
    """Who is behind `client`. `forwarded` is X-Forwarded-For: each proxy appends whom it heard, so the
    last one that is no proxy of ours is the visitor, and what stands before it anybody may have made up."""
    if not forwarded:
        return client
    known = tuple(proxies)
    address = client
    hops = [_bare(hop.strip()) for hop in forwarded.split(",") if hop.strip()]
    while hops and is_in(address, known):
        address = hops.pop()
    return address if parse(address) is not None else client


def _bare(hop: str) -> str:
    """Some proxies write the port too, and IPv6 in brackets."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def is_in(address: str, networks: Iterable[Network]) -> bool:
    parsed = parse(address)
    return parsed is not None and any(parsed in network for network in networks)


@lru_cache(4096)
def parse(address: str) -> object:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, IPv6Address) else parsed


@lru_cache(4096)  # each handshake asks several times
def customer(address: str) -> str:
    """Whoever a network gives addresses to: one IPv4 address, or the /64 of an IPv6 one."""
    parsed = parse(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((int(parsed) >> 64 << 64, 64)))
    return str(parsed or address)
