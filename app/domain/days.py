"""The days of components as bars show them: for how long each was in which status.

They are worked out in milliseconds and lists: of the 45,000 days of a wide page nearly all have one status
from midnight to midnight, and such a day is made once for all components.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from itertools import pairwise

from msgspec import Struct

from app.domain.instant import to_ms
from app.domain.status import Status
from app.domain.uptime import Uptime, uptime_of

# A component and its status, from one millisecond up to another; the last one is None while it lasts.
Stretch = tuple[str, str, int, int | None]


class Day(Struct, frozen=True, gc=False):
    """One bar of a component. The day that is not over yet has fewer milliseconds."""

    date: date
    uptime: Uptime


def edges_of(now: datetime, n: int, zone: tzinfo) -> tuple[list[date], list[int]]:
    """The last `n` days, and the instants between them. A day has 23 or 25 hours when the clocks change."""
    today = now.astimezone(zone).date()
    dates = [today - timedelta(days=back) for back in reversed(range(n))]
    midnights = [to_ms(datetime.combine(day, time(), zone)) for day in dates]
    return dates, [*midnights, to_ms(now)]


def days_of(
    components: Sequence[str], stretches: Iterable[Stretch], dates: Sequence[date], edges: Sequence[int]
) -> dict[str, list[Day]]:
    """What no stretch covers is unknown; those of one component must not overlap."""
    whole = {
        status.value: [
            Day(day, uptime_of({status.value: end - start}, end - start))
            for day, (start, end) in zip(dates, pairwise(edges), strict=True)
        ]
        for status in Status
    }
    days = {slug: whole[Status.UNKNOWN.value].copy() for slug in components}
    cut: defaultdict[tuple[str, int], dict[str, int]] = defaultdict(dict)
    begin, end = edges[0], edges[-1]
    for slug, status, since, until in stretches:
        # No min and max, which took as long as all the rest of this.
        since = since if since > begin else begin
        until = end if until is None or until > end else until
        if since >= until:
            continue
        first, last = bisect_right(edges, since) - 1, bisect_right(edges, until) - 1
        if since > edges[first]:
            into = cut[slug, first]
            into[status] = into.get(status, 0) + (until if first == last else edges[first + 1]) - since
            first += 1
        if first <= last:
            if first < last:
                days[slug][first:last] = whole[status][first:last]
            if until > edges[last]:
                into = cut[slug, last]
                into[status] = into.get(status, 0) + until - edges[last]
    for (slug, n), sums in cut.items():
        days[slug][n] = Day(dates[n], uptime_of(sums, edges[n + 1] - edges[n]))
    return days
