"""Uptime: integer milliseconds, summed from spans. Nothing here divides until the very end.

What nobody measured counts for neither side: it lowers the coverage, never the uptime, and never raises it.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from msgspec import Struct

from app.domain.instant import to_ms
from app.domain.status import Status

# In the order of Uptime's fields.
_KNOWN: Final = (Status.OPERATIONAL, Status.DEGRADED, Status.PARTIAL, Status.MAJOR, Status.MAINTENANCE)


class Span(Struct, frozen=True, kw_only=True):
    """One stretch of one status of one component. `until` is None while it lasts."""

    component: str
    status: Status
    since: datetime
    until: datetime | None = None


class Uptime(Struct, frozen=True, kw_only=True, gc=False):
    """Milliseconds of each status within a window; what no span covers is unknown, so that the six always
    add up to the window, exactly."""

    operational: int
    degraded: int
    partial: int
    major: int
    maintenance: int
    unknown: int

    @property
    def elapsed(self) -> int:
        return self.operational + self.degraded + self.partial + self.major + self.maintenance + self.unknown

    @property
    def counted(self) -> int:
        """What the percentage is a percentage of: the time that was watched and not planned work."""
        return self.operational + self.degraded + self.partial + self.major

    @property
    def percent(self) -> float | None:
        """Degraded counts as up, partial and major as down. Rounded towards zero to three decimals, so
        that 100 is said only when there was no bad millisecond. None if nothing was measured."""
        if not self.counted:
            return None
        return (self.operational + self.degraded) * 100_000 // self.counted / 1000

    @property
    def coverage(self) -> float | None:
        """Per cent of the window, planned work aside, in which we knew. Rounded towards zero."""
        watchable = self.elapsed - self.maintenance
        if not watchable:
            return None
        return self.counted * 100_000 // watchable / 1000


def uptime(spans: Iterable[Span], start: datetime, end: datetime) -> Uptime:
    """Sum the spans of one component between two instants. They must not overlap; what they leave open is
    unknown."""
    window = to_ms(start), to_ms(end)
    sums: dict[str, int] = dict.fromkeys(Status, 0)
    for span in spans:
        sums[span.status] += _overlap(span, *window)
    return uptime_of(sums, window[1] - window[0])


def uptime_of(sums: Mapping[str, int], elapsed: int) -> Uptime:
    """Of so many milliseconds in each status, within a window of that length."""
    operational, degraded, partial, major, maintenance = [sums.get(status, 0) for status in _KNOWN]
    return Uptime(
        operational=operational,
        degraded=degraded,
        partial=partial,
        major=major,
        maintenance=maintenance,
        unknown=elapsed - operational - degraded - partial - major - maintenance,
    )


def _overlap(span: Span, start: int, end: int) -> int:
    until = end if span.until is None else min(to_ms(span.until), end)
    return max(0, until - max(to_ms(span.since), start))
