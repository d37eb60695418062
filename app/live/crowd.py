"""How many may watch: in total, and from one address. Whoever is one too many is told when to come back.

An address is what a network gives to one customer: one IPv4 address, or the /64 of an IPv6 one. Behind a
proxy it is what the proxy says it is, if the proxy is on our list; anybody may write a header.
"""

from collections import Counter
from collections.abc import Hashable, Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeVar

T = TypeVar("T", bound=Hashable)

FILTERS_PER_ADDRESS = 16

Network = IPv4Network | IPv6Network
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


class Crowded(Exception):
    """`code` is for WebSockets, `status` for HTTP; `after` is the number of seconds to wait."""

    def __init__(self, code: int, status: int, after: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code, self.status, self.after, self.sentence = code, status, after, sentence


class Crowd:
    """A filter is whatever tells audiences apart; who asked for all components has none. Each costs an
    encoding per patch, so that one address may have but some."""

    def __init__(self, most: int, most_per_address: int) -> None:
        self._most = most
        self._most_per_address = most_per_address
        self._from: Counter[str] = Counter()
        self._filters: dict[str, Counter[Hashable]] = {}
        self.count = 0

    def admit(self, address: str) -> None:
        """Crowded if one more is too many."""
        if self.count >= self._most:
            raise Crowded(
                1013, 503, 30, "This server has as many viewers as it may have; try again in half a minute."
            )
        # Behind a proxy that says nothing of its visitors all of them come from here.
        if self._from[_customer(address)] >= self._most_per_address and not is_local(address):
            raise Crowded(
                4429, 429, 60, "There are too many open streams from your address; close some of them."
            )

    def admit_filter(self, address: str, asked: Hashable) -> None:
        """Crowded if one more filter that nobody else has is too many from there."""
        filters = self._filters.get(_customer(address), ())
        if len(filters) >= FILTERS_PER_ADDRESS and asked not in filters and not is_local(address):
            raise Crowded(
                4429, 429, 60, "There are too many different filters from your address; use fewer of them."
            )

    def enter(self, address: str, asked: Hashable = None) -> None:
        customer = _customer(address)
        self._from[customer] += 1
        self.count += 1
        if asked is not None:
            self._filters.setdefault(customer, Counter())[asked] += 1

    def leave(self, address: str, asked: Hashable = None) -> None:
        customer = _customer(address)
        self.count -= 1
        _one_less(self._from, customer)
        if asked is not None:
            filters = self._filters[customer]
            _one_less(filters, asked)
            if not filters:
                del self._filters[customer]


class Doorstep:
    """Connections that are not yet viewers, or never will be; with TLS that ends here, `/events` too. Behind
    a proxy all come from one place, so that `proxies` may have as many as they like."""

    def __init__(self, most_per_address: int, proxies: Iterable[Network] = LOOPBACK) -> None:
        self._most_per_address = most_per_address
        self._proxies = tuple(proxies)
        self._from: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """False if there is no room for one more from there."""
        customer = _customer(address)
        if self._from[customer] >= self._most_per_address and not _is_in(address, self._proxies):
            return False
        self._from[customer] += 1
        return True

    def leave(self, address: str) -> None:
        _one_less(self._from, _customer(address))


def _one_less(counts: Counter[T], whose: T) -> None:
    """Nobody is kept who has none: addresses come and go for months."""
    counts[whose] -= 1
    if not counts[whose]:
        del counts[whose]


def visitor(client: str, forwarded: str, proxies: Iterable[Network]) -> str:
    """Who is behind `client`. `forwarded` is X-Forwarded-For: each proxy appends whom it heard, so the
    last one that is no proxy of ours is the visitor, and what stands before it anybody may have made up."""
    if not forwarded:
        return client
    known = tuple(proxies)
    address = client
    hops = [_bare(hop.strip()) for hop in forwarded.split(",") if hop.strip()]
    while hops and _is_in(address, known):
        address = hops.pop()
    return address if _parse(address) is not None else client


def _bare(hop: str) -> str:
    """Some proxies write the port too, and IPv6 in brackets."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


@lru_cache(4096)
def is_local(address: str) -> bool:
    return _is_in(address, LOOPBACK)


def _is_in(address: str, networks: Iterable[Network]) -> bool:
    parsed = _parse(address)
    return parsed is not None and any(parsed in network for network in networks)


@lru_cache(4096)
def _parse(address: str) -> object:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, IPv6Address) else parsed


@lru_cache(4096)  # each handshake asks several times
def _customer(address: str) -> str:
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((int(parsed) >> 64 << 64, 64)))
    return str(parsed or address)
