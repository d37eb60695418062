"""How many may watch, and how fast they may come with filters of their own: in total, and from one address.
Whoever is one too many is told when to come back.

An address is what a network gives to one customer: one IPv4 address, or the /64 of an IPv6 one.
"""

from collections import Counter
from collections.abc import Hashable, Iterable
from functools import lru_cache
from typing import TypeVar

from app.security.visitor import LOOPBACK, Network, customer, is_in

T = TypeVar("T", bound=Hashable)

FILTERS_PER_ADDRESS = 16
# A stream whose filter nobody else has costs up to 6 ms, if it asks for what it missed: 165 of them a second
# would fill a core. As many at once as there may be, for after a restart all of them come back; from then on
# an eighth of a core for all, and a hundredth for one address.
FRESH_FILTERS_PER_SECOND = 20.0
FRESH_FILTERS_AT_ONCE = 256
FRESH_FILTERS_PER_SECOND_AND_ADDRESS = 2.0
HASTY_AFTER = 10  # seconds


class Crowded(Exception):
    """`code` is for WebSockets, `status` for HTTP; `after` is the number of seconds to wait, and `limit` the
    name in /metrics of what was too much."""

    def __init__(self, limit: str, code: int, status: int, after: int, sentence: str) -> None:
        super().__init__(sentence)
        self.limit, self.code, self.status, self.after, self.sentence = limit, code, status, after, sentence


class Rate:
    """So many at once, and so many a second from then on, for each whose rate it is. Kept of each is one
    number: when all that it has taken is made up for; and nobody is kept who has nothing to make up for."""

    def __init__(self, per_second: float, at_once: int) -> None:
        self._each = 1 / per_second
        self._spare = (at_once - 1) / per_second + 1e-6  # which adding up may have lost
        self._due: dict[str, float] = {}

    def is_over(self, whose: str, now: float) -> bool:
        """True if one more is too many now."""
        return self._due.get(whose, now) - now > self._spare

    def take(self, whose: str, now: float) -> None:
        due = max(now, self._due.get(whose, now)) + self._each
        self._due = {other: at for other, at in self._due.items() if at > now} | {whose: due}


class Crowd:
    """A filter is whatever tells audiences apart; who asked for all components has none. Each costs an
    encoding per patch, so that one address may have but some; and a fresh one, which nobody else has, costs
    more in the moment it is asked for, so that they may come but so fast. `now` is any clock's seconds."""

    def __init__(self, most: int, most_per_address: int) -> None:
        self._most = most
        self._most_per_address = most_per_address
        self._fresh = Rate(FRESH_FILTERS_PER_SECOND, FRESH_FILTERS_AT_ONCE)
        self._fresh_from = Rate(FRESH_FILTERS_PER_SECOND_AND_ADDRESS, FILTERS_PER_ADDRESS)
        self._from: Counter[str] = Counter()
        self._filters: dict[str, Counter[Hashable]] = {}
        self.count = 0

    def admit(self, address: str) -> None:
        """Crowded if one more is too many."""
        if self.count >= self._most:
            sentence = "This server has as many viewers as it may have; try again in half a minute."
            raise Crowded("viewers", 1013, 503, 30, sentence)
        # Behind a proxy that says nothing of its visitors all of them come from here.
        if self._from[customer(address)] >= self._most_per_address and not is_local(address):
            sentence = "There are too many open streams from your address; close some of them."
            raise Crowded("viewers_of_address", 4429, 429, 60, sentence)

    def admit_filter(self, address: str, asked: Hashable, now: float) -> None:
        """Crowded if one more filter that nobody else has is too many, or too soon."""
        whose, known = customer(address), not is_local(address)
        filters = self._filters.get(whose, ())
        if known and len(filters) >= FILTERS_PER_ADDRESS and asked not in filters:
            sentence = "There are too many different filters from your address; use fewer of them."
            raise Crowded("filters_of_address", 4429, 429, 60, sentence)
        if known and self._fresh_from.is_over(whose, now):
            sentence = "New filters come too fast from your address; try again in ten seconds."
            raise Crowded("filters_per_second_of_address", 4429, 429, HASTY_AFTER, sentence)
        if self._fresh.is_over("", now):
            sentence = "New filters come too fast; try again in ten seconds, or without `components`."
            raise Crowded("filters_per_second", 1013, 503, HASTY_AFTER, sentence)

    def begin_filter(self, address: str, now: float) -> None:
        """One is let in that nobody else has."""
        self._fresh.take("", now)
        self._fresh_from.take(customer(address), now)

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
