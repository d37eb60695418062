"""Which worker of a region looks at which monitor, without anybody telling them: rendezvous hashing. Every
worker ranks all of them for each monitor, alike everywhere, and the first of the ranking owns it.

So whoever comes takes an even part from all others, whoever goes leaves it to them evenly, and nothing else
moves.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

_64_BITS: Final = (1 << 64) - 1


def place(key: str) -> float:
    """Where in an interval a monitor has its slots, from 0 to 1; the same on every worker and for ever."""
    return _number(key) / 2**64


def share_of(worker: str, workers: Iterable[str], monitors: Iterable[str]) -> set[str]:
    """Those of the monitors that are the worker's own, if it and `workers` are all there are."""
    own, others = _number(worker), [_number(other) for other in workers if other != worker]
    mine = set()
    for monitor in monitors:
        number = _number(monitor)
        weight = _weight(own, number)
        if all(weight > _weight(other, number) for other in others):
            mine.add(monitor)
    return mine


def _number(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest())


def _weight(worker: int, monitor: int) -> int:
    # Both are hashes, so all that is left is to mix them: a hash of each pair would cost four times as much,
    # and the loop stands still meanwhile.
    mixed = (worker ^ monitor) * 0x9E3779B97F4A7C15 & _64_BITS
    mixed = (mixed ^ mixed >> 32) * 0xD6E8FEB86659FD93 & _64_BITS
    return mixed ^ mixed >> 32
