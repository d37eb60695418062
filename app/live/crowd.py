"""How many may watch: in total, and from one address. Whoever is one too many is told when to come back.

An address is what a network gives to one customer: one IPv4 address, or the /64 of an IPv6 one.
"""

from collections import Counter
from collections.abc import Hashable, Iterable
from functools import lru_cache
from typing import TypeVar

from app.security.visitor import LOOPBACK, Network, customer, is_in

T = TypeVar("T", bound=Hashable)

FILTERS_PER_ADDRESS = 16


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
        if self._from[customer(address)] >= self._most_per_address and not is_local(address):
            raise Crowded(
                4429, 429, 60, "There are too many open streams from your address; close some of them."
            )

    def admit_filter(self, address: str, asked: Hashable) -> None:
        """Crowded if one more filter that nobody else has is too many from there."""
        filters = self._filters.get(customer(address), ())
        if len(filters) >= FILTERS_PER_ADDRESS and asked not in filters and not is_local(address):
            raise Crowded(
                4429, 429, 60, "There are too many different filters from your address; use fewer of them."
            )

    def enter(self, address: str, asked: Hashable = None) -> None:
        whose = customer(address)
        self._from[whose] += 1
        self.count += 1
        if asked is not None:
            self._filters.setdefault(whose, Counter())[asked] += 1

    def leave(self, address: str, asked: Hashable = None) -> None:
        whose = customer(address)
        self.count -= 1
        _one_less(self._from, whose)
        if asked is not None:
            filters = self._filters[whose]
            _one_less(filters, asked)
            if not filters:
                del self._filters[whose]


class Doorstep:
    """Connections that are not yet viewers, or never will be; with TLS that ends here, `/events` too. Behind
    a proxy all come from one place, so that `proxies` may have as many as they like."""

    def __init__(self, most_per_address: int, proxies: Iterable[Network] = LOOPBACK) -> None:
        self._most_per_address = most_per_address
        self._proxies = tuple(proxies)
        self._from: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """False if there is no room for one more from there."""
        whose = customer(address)
        if self._from[whose] >= self._most_per_address and not is_in(address, self._proxies):
            return False
        self._from[whose] += 1
        return True

    def leave(self, address: str) -> None:
        _one_less(self._from, customer(address))


def _one_less(counts: Counter[T], whose: T) -> None:
    """Nobody is kept who has none: addresses come and go for months."""
    counts[whose] -= 1
    if not counts[whose]:
        del counts[whose]


@lru_cache(4096)
def is_local(address: str) -> bool:
    return is_in(address, LOOPBACK)
