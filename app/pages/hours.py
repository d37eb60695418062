"""The past 24 hours of a wall, by the minute: the worst that was recorded of anything on it. hours.js goes
on from there with what it hears, so a wall need not ask again.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from msgspec import Struct

from app.domain.instant import to_ms
from app.domain.status import SEVERITY
from app.domain.uptime import Span

DAY: Final = timedelta(hours=24)
_MINUTES: Final = 24 * 60
# Of a minute of which nobody knows anything. What only began to be watched since then does not make it one.
_NOBODY: Final = -1


class Hours(Struct, frozen=True):
    """`until` is the last minute, counted from 1970; `runs` are how bad it was, as SEVERITY ranks it, and for
    how many minutes, the oldest first."""

    until: int
    runs: tuple[tuple[int, int], ...]


def hours(spans: Iterable[Span], now: datetime) -> Hours:
    until = to_ms(now) // 60_000
    first = until - _MINUTES + 1
    worst = [_NOBODY] * _MINUTES
    # The worst is written last.
    for span in sorted(spans, key=lambda span: SEVERITY[span.status]):
        begin = max(0, to_ms(span.since) // 60_000 - first)
        # It ended within its last minute, or with the one before, if what follows began on the minute.
        end = _MINUTES if span.until is None else min(_MINUTES, -(-to_ms(span.until) // 60_000) - first)
        if begin < end:
            worst[begin:end] = [SEVERITY[span.status]] * (end - begin)
    return Hours(until, tuple((severity, len(list(its))) for severity, its in groupby(worst)))
