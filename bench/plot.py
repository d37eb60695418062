"""A plot as an SVG file, by hand: both axes by powers of ten, one line for each thing that was measured."""

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 190, 48, 52
INK, GRID, PAPER = "#24292f", "#d8dee4", "#ffffff"
# Told apart also by those who do not tell red from green.
COLOURS = ("#0072b2", "#56b4e9", "#5a5a5a", "#d55e00", "#cc79a7")

Line = Sequence[tuple[float, float]]


def draw(title: str, x_title: str, y_title: str, lines: Mapping[str, Line]) -> str:
    points = [point for line in lines.values() for point in line]
    across = _Axis([x for x, _ in points], LEFT, WIDTH - RIGHT)
    up = _Axis([y for _, y in points], HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="{INK}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="{PAPER}"/>',
        f'<text x="{LEFT}" y="26" font-size="15" font-weight="600">{escape(title)}</text>',
        f'<text x="{LEFT}" y="{HEIGHT - 14}">{escape(x_title)}</text>',
        f'<text transform="translate(18 {HEIGHT - BOTTOM}) rotate(-90)">{escape(y_title)}</text>',
    ]
    for value in up.ticks():
        y = up.place(value)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in sorted({x for x, _ in points}):
        x = across.place(value)
        parts.append(f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="{GRID}"/>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{value:,.0f}</text>')
    parts += _lines(lines, across, up)
    return "\n".join([*parts, "</svg>", ""])


def _lines(lines: Mapping[str, Line], across: "_Axis", up: "_Axis") -> list[str]:
    parts = []
    labels = _apart({name: up.place(line[-1][1]) for name, line in lines.items()})
    for (name, line), colour in zip(lines.items(), COLOURS, strict=False):
        places = [(across.place(x), up.place(y)) for x, y in line]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in places]
        parts.append(
            f'<text x="{WIDTH - RIGHT + 12}" y="{labels[name] + 4:.1f}" fill="{colour}" font-weight="600">'
            f"{escape(name)}</text>"
        )
    return parts


def _apart(places: Mapping[str, float], least: float = 16) -> dict[str, float]:
    """The same places from top to bottom, moved down where two labels would overlap."""
    moved: dict[str, float] = {}
    free = 0.0
    for name, place in sorted(places.items(), key=lambda item: item[1]):
        moved[name] = max(place, free)
        free = moved[name] + least
    return moved


class _Axis:
    def __init__(self, values: Sequence[float], begin: float, end: float) -> None:
        self._low, self._high = math.log10(min(values)), math.log10(max(values))
        self._begin, self._end = begin, end

    def place(self, value: float) -> float:
        part = (math.log10(value) - self._low) / ((self._high - self._low) or 1)
        return self._begin + part * (self._end - self._begin)

    def ticks(self) -> list[float]:
        decades = range(math.floor(self._low), math.ceil(self._high) + 1)
        all_of_them = [digit * 10.0**power for power in decades for digit in (1, 2, 3, 5)]
        return [tick for tick in all_of_them if self._low <= math.log10(tick) <= self._high]
