"""The colours of the statuses, as tokens.css has them: who sees no red or no green tells apart whatever
stands for different things, by the colour or, where two are near, by the shape and the edge as well.
"""

import math
import re
from itertools import combinations

import pytest

from app.domain.status import Status
from tests.services import ROOT

NAMES = ("operational", "degraded", "partial", "major", "maintenance", "unknown")
TOKENS = (ROOT / "app/static/tokens.css").read_text()
SHAPES = (ROOT / "app/pages/templates/shapes.html").read_text()
GROUND = {"light": "#ffffff", "dark": "#11171e"}  # --surface
# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency"
# (IEEE Transactions on Visualization and Computer Graphics 15, 2009), severity 1.0, for linear light.
SIGHTS = {
    "usual": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
}
# OKLab (Ottosson, 2020): from linear light to the cones, and from their cube roots to lightness and two hues.
CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
# Of a hundred from black to white. The green and the red of many palettes (#22c55e, #ef4444) are 36 apart for
# most people, and 7 in deuteranopia.
APART = 10.0
# Told apart by more than colour wherever they are: no data is never a solid fill, but dashed and hatched.
BY_EDGE = {("operational", "unknown")}


def colours(theme: str) -> dict[str, str]:
    """By name: `operational`, `operational-text`, `on-operational` and so on."""
    found = re.findall(r"--([\w-]+): light-dark\((#\w+), (#\w+)\)", TOKENS)
    return {name: _long(light if theme == "light" else dark) for name, light, dark in found}


def _long(colour: str) -> str:
    return colour if len(colour) == 7 else "#" + "".join(2 * digit for digit in colour[1:])


def linear(colour: str) -> list[float]:
    channels = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    return [its / 12.92 if its <= 0.04045 else ((its + 0.055) / 1.055) ** 2.4 for its in channels]


def times(matrix: tuple[tuple[float, ...], ...], vector: list[float]) -> list[float]:
    return [sum(one * other for one, other in zip(row, vector, strict=True)) for row in matrix]


def seen(colour: str, sight: str) -> list[float]:
    light = [min(1.0, max(0.0, its)) for its in times(SIGHTS[sight], linear(colour))]
    return times(LAB, [math.cbrt(its) for its in times(CONES, light)])


def apart(one: str, other: str, sight: str) -> float:
    return 100 * math.dist(seen(one, sight), seen(other, sight))


def contrast(one: str, other: str) -> float:
    bright, dim = sorted(
        (sum(w * its for w, its in zip((0.2126, 0.7152, 0.0722), linear(colour), strict=True)) + 0.05)
        for colour in (one, other)
    )[::-1]
    return bright / dim


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("sight", SIGHTS)
def test_no_two_statuses_look_alike_to_anybody(theme: str, sight: str) -> None:
    palette = colours(theme)
    near = {
        pair: round(far, 1)
        for pair in combinations(NAMES, 2)
        if (far := apart(palette[pair[0]], palette[pair[1]], sight)) < APART and pair not in BY_EDGE
    }
    assert near == {}


def test_what_is_known_to_look_alike_is_found() -> None:
    assert apart("#22c55e", "#ef4444", "usual") > 2 * APART
    assert apart("#22c55e", "#ef4444", "deuteranopia") < APART


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_fills_stand_out_from_what_they_lie_on(theme: str) -> None:
    palette = colours(theme)
    for name in NAMES:
        assert contrast(palette[name], GROUND[theme]) >= 3, name
        assert contrast(palette.get(f"{name}-text", palette[name]), GROUND[theme]) >= 4.5, name
        assert contrast(palette.get(f"on-{name}", "#ffffff"), palette[name]) >= 4.5, name


def test_each_status_has_a_silhouette_of_its_own() -> None:
    drawn = dict(re.findall(r'<symbol id="shape-(\w+)"[^>]*>(<\w+[^>]*>)', SHAPES))
    assert {str(status) for status in Status} < set(drawn)
    assert len(set(drawn[status] for status in Status)) == len(Status)


def test_no_data_differs_from_what_is_well_by_its_edge_too() -> None:
    wall = (ROOT / "app/static/wall.css").read_text()
    for rule in ('.problem[data-status="unknown"]', '.tile[data-status="unknown"]'):
        body = wall[wall.index(f"\n{rule} {{") :].partition("}")[0]
        assert "repeating-linear-gradient" in body
    assert "stroke-dasharray" in re.findall(r'id="shape-unknown".*', SHAPES)[0]
