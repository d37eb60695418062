"""The looks that a page may have of its own: an accent colour, in as many shades as it takes to be read.

A file says one colour. Links and marks have to stand out from a light ground and from a dark one by 4.5 to 1,
so on each the colour is mixed with black or with white until it does.
"""

from typing import Final

# The grounds that links lie on, of tokens.css: the one that is harder to stand out from.
_LIGHT: Final = (0xEF, 0xF2, 0xF5)
_DARK: Final = (0x11, 0x17, 0x1E)
_BLACK: Final = (0, 0, 0)
_WHITE: Final = (0xFF, 0xFF, 0xFF)
_ENOUGH: Final = 4.5
_STEPS: Final = 50

Colour = tuple[int, int, int]


def accent_style(accent: str | None) -> str:
    """As a part of a stylesheet; none, and the page keeps our colours."""
    if accent is None:
        return ""
    light, dark = shades(accent)
    return (
        f":root{{--link:{light}}}"
        f"@supports (color:light-dark(#000,#fff)){{:root{{--link:light-dark({light},{dark})}}}}"
    )


def shades(accent: str) -> tuple[str, str]:
    """For the light theme and for the dark one, each as `#rrggbb`."""
    colour = _read(accent)
    return _write(_until_read(colour, _LIGHT, _BLACK)), _write(_until_read(colour, _DARK, _WHITE))


def contrast(one: Colour, other: Colour) -> float:
    """As WCAG reckons it, from 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _until_read(colour: Colour, ground: Colour, towards: Colour) -> Colour:
    for step in range(_STEPS + 1):
        mixed = _mix(colour, towards, step / _STEPS)
        if contrast(mixed, ground) >= _ENOUGH:
            return mixed
    return towards


def _mix(colour: Colour, towards: Colour, share: float) -> Colour:
    red, green, blue = (
        round(its + (theirs - its) * share) for its, theirs in zip(colour, towards, strict=True)
    )
    return red, green, blue


def _luminance(colour: Colour) -> float:
    red, green, blue = (_linear(its / 255) for its in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def _read(text: str) -> Colour:
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red, green, blue


def _write(colour: Colour) -> str:
    return f"#{bytes(colour).hex()}"
