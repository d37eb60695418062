"""How often somebody may try: to sign in, and to ask the API.

Tries to sign in are counted in the database for the account, and for the address they come from: a restart
or a second server forgets none. Nobody is kept out for good: the longest wait is a quarter of an hour, a try
that is turned away does not prolong it, and a browser in which the owner has signed in before has a count of
its own, so that who tries thousands of passwords keeps the owner out from elsewhere only.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from msgspec import Struct

LONGEST_WAIT: Final = 900.0
FREE_PER_ACCOUNT: Final = 5
FREE_PER_ADDRESS: Final = 20  # an office signs in from one

REQUESTS_PER_SECOND: Final = 20.0
BURST: Final = 200.0
CALLERS_AT_MOST: Final = 10_000


def wait_of(free: int) -> Callable[[int], float]:
    """Seconds without a hearing after so many failures in a row: none, and from `free` on twice as long each
    time."""

    def wait(failures: int) -> float:
        return 0.0 if failures < free else min(LONGEST_WAIT, float(2 ** min(failures - free, 20)))

    return wait


class _Bucket(Struct):
    left: float
    at: float


class Requests:
    """What each caller of the API has left: a burst, filled up again with so many a second. By process."""

    def __init__(self, per_second: float = REQUESTS_PER_SECOND, burst: float = BURST) -> None:
        self.per_second = per_second
        self.burst = burst
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, caller: str, now: float) -> float:
        """0.0 if there was one left, else the seconds until there is."""
        bucket = self._buckets.get(caller) or _Bucket(self.burst, now)
        self._buckets[caller] = bucket
        self._buckets.move_to_end(caller)
        if len(self._buckets) > CALLERS_AT_MOST:
            self._buckets.popitem(last=False)
        bucket.left = min(self.burst, bucket.left + (now - bucket.at) * self.per_second)
        bucket.at = now
        if bucket.left < 1.0:
            return (1.0 - bucket.left) / self.per_second
        bucket.left -= 1.0
        return 0.0
