"""A sheet: the histograms of the equal pieces of one stretch of time (the minutes of an hour, the hours of a
day), in one row of bytes.

What stands in it are running totals, piece by piece, so that the histogram of any pieces next to each other
is one row of numbers less another, however many they are.
"""

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from app.domain.histogram import LARGEST

Counts = Mapping[int, int]  # how many by bucket, as in a Histogram

_NUMBER: Final = struct.Struct(f"<{LARGEST + 1}Q")
_LANES: Final = "BHIQ"  # how wide one number is: as wide as the greatest total needs


class Sheet:
    """Counts by piece and bucket. Pieces are numbered from 0."""

    def __init__(self, raw: bytes = b"") -> None:
        self._pieces: dict[int, dict[int, int]] = {}
        if raw:
            buckets, row, start, pieces = _head(raw)
            before = (0,) * len(buckets)
            for piece in range(pieces):
                totals = row.unpack_from(raw, start + piece * row.size)
                self._pieces[piece] = {
                    bucket: now - then
                    for bucket, now, then in zip(buckets, totals, before, strict=True)
                    if now != then
                }
                before = totals

    def add(self, piece: int, counts: Counts) -> None:
        its = self._pieces.setdefault(piece, {})
        for bucket, count in counts.items():
            its[bucket] = its.get(bucket, 0) + count

    @property
    def total(self) -> dict[int, int]:
        total: dict[int, int] = {}
        for its in self._pieces.values():
            for bucket, count in its.items():
                total[bucket] = total.get(bucket, 0) + count
        return total

    def encode(self) -> bytes:
        """A width and the buckets that occur, then a row of running totals for each piece up to the last
        that has any."""
        total = self.total
        buckets = sorted(total)
        widest = max(total.values(), default=0)
        lane = next(n for n in range(len(_LANES)) if widest < 256 ** (1 << n))
        row = _row(len(buckets), lane)
        last = max((piece for piece, its in self._pieces.items() if its), default=-1)
        rows, running = [], [0] * len(buckets)
        for piece in range(last + 1):
            if its := self._pieces.get(piece):
                running = [now + its.get(bucket, 0) for bucket, now in zip(buckets, running, strict=True)]
            rows.append(row.pack(*running))
        return b"".join((bytes((lane, len(buckets), *buckets)), *rows))


def number_of(raw: bytes, first: int, end: int) -> int:
    """The histogram of the pieces from `first` up to, and without, `end`, as a single number, 64 bits for
    each bucket: to add one to another bucket by bucket, five hundred times seven of them, was most of what a
    percentile cost. For the same reason this makes no Sheet of the bytes."""
    buckets, row, start, pieces = _head(raw)
    if end > pieces:
        end = pieces
    if first >= end:
        return 0
    counts = [0] * (LARGEST + 1)
    for bucket, now in zip(buckets, row.unpack_from(raw, start + (end - 1) * row.size), strict=True):
        counts[bucket] = now
    number = int.from_bytes(_NUMBER.pack(*counts), "little")
    # Totals only grow, so nothing is borrowed from the next bucket.
    return number - number_of(raw, 0, first) if first else number


def counts_of(number: int) -> list[int]:
    """The count of each bucket, in order, of such a number."""
    return list(_NUMBER.unpack(number.to_bytes(_NUMBER.size, "little")))


def pieces_in(raw: bytes) -> int:
    """Up to the last that has any samples."""
    width = raw[1]
    return (len(raw) - 2 - width) // (width << raw[0]) if width else 0


def samples_of(raw: bytes, piece: int) -> int:
    _, row, start, pieces = _head(raw)
    if piece >= pieces:
        return 0
    before = sum(row.unpack_from(raw, start + (piece - 1) * row.size)) if piece else 0
    return int(sum(row.unpack_from(raw, start + piece * row.size)) - before)


def _head(raw: bytes) -> tuple[bytes, struct.Struct, int, int]:
    """The buckets, the form of a row, where the first one begins, and how many there are."""
    width = raw[1]
    start, row = 2 + width, _row(width, raw[0])
    return raw[2:start], row, start, (len(raw) - start) // row.size if width else 0


@lru_cache(maxsize=512)
def _row(width: int, lane: int) -> struct.Struct:
    return struct.Struct(f"<{width}{_LANES[lane]}")
