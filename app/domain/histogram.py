"""A latency histogram that can be merged: two of them add up to the histogram of all their samples.

Buckets grow by a constant factor, so a percentile read from it is at most 5 % off at any scale, in a few
dozen numbers.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate, compress

GROWTH = math.log(1.1)  # neighbouring buckets are 10 % apart; their middle is at most 5 % from either edge
LARGEST = 124  # about two minutes: more than any probe may take
_BUCKETS = range(LARGEST + 1)


class Histogram:
    """Counts of latencies in milliseconds, by bucket. Bucket 0 holds all up to 1 ms."""

    def __init__(self, counts: dict[int, int] | None = None) -> None:
        self.counts: dict[int, int] = dict(counts or {})

    def add(self, took: float, times: int = 1) -> None:
        bucket = bucket_of(took)
        self.counts[bucket] = self.counts.get(bucket, 0) + times

    def merge(self, other: "Histogram") -> "Histogram":
        merged = Histogram(self.counts)
        for bucket, count in other.counts.items():
            merged.counts[bucket] = merged.counts.get(bucket, 0) + count
        return merged

    @classmethod
    def merged(cls, histograms: Iterable["Histogram"]) -> "Histogram":
        total = cls()
        for histogram in histograms:
            total = total.merge(histogram)
        return total

    @classmethod
    def of(cls, counts: Sequence[int]) -> "Histogram":
        """From the count of each bucket, in order."""
        return cls(dict(zip(compress(_BUCKETS, counts), filter(None, counts), strict=True)))

    @property
    def count(self) -> int:
        return sum(self.counts.values())

    def percentile(self, percent: float) -> float | None:
        """Milliseconds below which `percent` of the samples lie. None if there are none."""
        buckets = sorted(self.counts)
        running = list(accumulate(map(self.counts.__getitem__, buckets)))
        if not running or not running[-1]:
            return None
        rank = max(math.ceil(running[-1] * percent / 100), 1)
        return _middle(buckets[bisect_left(running, rank)])


def bucket_of(took: float) -> int:
    """The number of the bucket, from 0 to LARGEST."""
    return 0 if took <= 1 else min(math.ceil(math.log(took) / GROWTH), LARGEST)


def _middle(bucket: int) -> float:
    return 1.0 if bucket == 0 else math.exp((bucket - 0.5) * GROWTH)
