"""How much time our own event loop has stolen from those who wait on it.

A worker that is at its limit measures itself: a target that answers in 2 ms looks like 400. So nothing is
held against a target that our own lag could explain.
"""

import asyncio
import gc
import time
from collections.abc import Mapping
from typing import Any, Final

_EVERY: Final = 0.02
# A timer is never exact, and uvloop's counts in whole milliseconds.
NOT_WORTH_MENTIONING: Final = 0.002

_OLDEST: Final = 2
_OFTEN: Final = 2  # after so many smaller ones


class Lag:
    def __init__(self) -> None:
        self._sum = 0.0
        self._expected: float | None = None

    @property
    def stolen(self) -> float:
        """Seconds since the beginning, those of a stall that still lasts included. Take it before and
        after: the difference is what happened in between."""
        return self._sum + self._overdue(time.monotonic())

    async def watch(self) -> None:
        """For ever."""
        while True:
            self._expected = time.monotonic() + _EVERY
            await asyncio.sleep(_EVERY)
            self._sum += self._overdue(time.monotonic())

    def _overdue(self, now: float) -> float:
        late = 0.0 if self._expected is None else now - self._expected
        return late if late > NOT_WORTH_MENTIONING else 0.0


def spare_what_stays() -> None:
    """What has outlived a full collection of garbage is not looked at in the next: with 50,000 monitors each
    of them held the loop for 0.3 s, and of monitors nothing becomes garbage until another catalog comes. So
    they may come often, and each has little to look at."""

    def freeze(phase: str, info: Mapping[str, Any]) -> None:
        if phase == "stop" and info["generation"] == _OLDEST:
            gc.freeze()

    gc.callbacks.append(freeze)
    gc.set_threshold(*gc.get_threshold()[:2], _OFTEN)


def look_at_all() -> None:
    """Once again, for what was spared until now may have gone."""
    gc.unfreeze()
