"""Response times as a picture: the median as a line, and above it the band up to the 95th percentile.

The server draws it, so it is there without a script and on paper. Where no answer was measured the line is
broken and the ground is hatched: a gap is never bridged.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Final

from markupsafe import Markup
from msgspec import Struct

HEIGHT: Final = 80  # of the drawing; how high it is on a page is a matter of its style


class Point(Struct, frozen=True):
    """Milliseconds: half of the answers were as fast, and 95 of a hundred."""

    median: float
    high: float


class Stretch(Struct, frozen=True):
    """How far back a chart reaches, as an address and as a choice on the page name it."""

    name: str
    words: str
    step: timedelta
    points: int

    def edges(self, now: datetime) -> list[datetime]:
        """Of its points, which lie where they lay a moment before. The last is not over yet."""
        step = self.step.total_seconds()
        last = math.floor(now.timestamp() / step) + 1
        return [datetime.fromtimestamp((last - back) * step, UTC) for back in range(self.points, -1, -1)]


STRETCHES: Final = {
    stretch.name: stretch
    for stretch in (
        Stretch("1h", "1 hour", timedelta(minutes=2), 30),
        Stretch("24h", "24 hours", timedelta(minutes=30), 48),
        Stretch("7d", "7 days", timedelta(hours=4), 42),
        Stretch("30d", "30 days", timedelta(hours=12), 60),
        Stretch("90d", "90 days", timedelta(days=2), 45),
    )
}
DAY: Final = STRETCHES["24h"]


def halved(points: Sequence[Point | None]) -> list[Point | None]:
    """Half as many, for a chart that is small: each the worse of two."""
    pairs = zip(points[::2], points[1::2], strict=True)
    return [max(filter(None, pair), key=lambda point: point.high, default=None) for pair in pairs]


class Chart(Struct, frozen=True):
    """`top` is the milliseconds at the upper edge; `median` and `high` are of the last point with any."""

    picture: Markup
    top: int
    median: float
    high: float


def chart(points: Sequence[Point | None]) -> Chart | None:
    """None if nothing was ever measured."""
    measured = [point for point in points if point]
    if not measured:
        return None
    top = _round(max(point.high for point in measured))
    parts = [f'<path class="line" d="{_lines(len(points))}"/>']
    start = 0
    for _, run in groupby(points, key=lambda point: point is None):
        some = list(run)
        known = [point for point in some if point]
        if known:
            parts.append(_band(start, known, top) + _line(start, known, top))
        else:
            parts.append(f'<path class="gap" d="M{start} 0h{len(some)}v{HEIGHT}h-{len(some)}z"/>')
        start += len(some)
    # Nothing but numbers goes into the paths.
    drawn = Markup(
        '<svg class="chart" viewBox="0 0 {} {}" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
    ).format(len(points), HEIGHT, Markup("".join(parts)))
    return Chart(drawn, top, measured[-1].median, measured[-1].high)


def _lines(width: int) -> str:
    """At the top, in the middle and at the bottom."""
    return "".join(f"M0 {y}h{width}" for y in (0, HEIGHT // 2, HEIGHT))


def _line(start: int, points: Sequence[Point], top: int) -> str:
    return f'<path class="median" d="{_steps(start, [point.median for point in points], top)}"/>'


def _band(start: int, points: Sequence[Point], top: int) -> str:
    above = _steps(start, [point.high for point in points], top)
    below = [_y(point.median, top) for point in points]
    back = f"V{below[-1]}"
    for y, next_y in zip(reversed(below[1:]), reversed(below[:-1]), strict=True):
        back += f"h-1v{next_y - y}" if next_y != y else "h-1"
    return f'<path class="band" d="{above}{back}h-1z"/>'


def _steps(start: int, values: Sequence[float], top: int) -> str:
    """A level for each point: a measurement is of all its time, and steps pack best."""
    levels = [_y(value, top) for value in values]
    path = f"M{start} {levels[0]}h1"
    for level, before in zip(levels[1:], levels, strict=False):
        path += f"v{level - before}h1" if level != before else "h1"
    return path


def _y(value: float, top: int) -> int:
    return round(HEIGHT * (1 - value / top))


def _round(most: float) -> int:
    """The next of 1, 2, 5, 10, 20, ... that is not below."""
    power = 10 ** math.floor(math.log10(max(most, 1)))
    return int(next(step * power for step in (1, 2, 3, 5, 10) if step * power >= most))
