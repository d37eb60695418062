"""A picture of how something stands, for a README: `/badge/{slug}.svg` of a component, `/badge.svg` of the
whole page. Its word and its shape say as much as its colour.
"""

import unicodedata
from html import escape
from typing import Final

from app.domain.status import Status
from app.pages.formats.bulletin import Bulletin
from app.pages.rows import SIGN, WORD

# The fill and what is drawn on it, as tokens.css has them in the light.
COLOURS: Final = {
    Status.OPERATIONAL: ("#11836a", "#fff"),
    Status.DEGRADED: ("#ba8306", "#14181d"),
    Status.PARTIAL: ("#b04e05", "#fff"),
    Status.MAJOR: ("#9b0a28", "#fff"),
    Status.MAINTENANCE: ("#3a4bc4", "#fff"),
    Status.UNKNOWN: ("#6f7781", "#fff"),
}
_LONGEST: Final = 40  # characters of a name
_NARROW: Final = frozenset("fijlrtIJ.,:;'!|()[] -")
_PAD: Final = 7


def badge_of_all(said: Bulletin) -> bytes:
    return badge(said, said.page.name, said.status)


def badge(said: Bulletin, name: str, status: Status) -> bytes:
    name = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
    word = said.language.say(WORD[status])
    left, right = (_width(text) + 2 * _PAD for text in (name, f"{SIGN[status]} {word}"))
    fill, ink = COLOURS[status]
    label = escape(f"{name}: {word}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img"'
        f' aria-label="{label}"><title>{label}</title>'
        f'<clipPath id="round"><rect width="{left + right}" height="20" rx="4"/></clipPath>'
        f'<g clip-path="url(#round)"><path fill="#2b323a" d="M0 0h{left}v20H0z"/>'
        f'<path fill="{fill}" d="M{left} 0h{right}v20H{left}z"/></g>'
        '<g font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">'
        f"{_text(name, left / 2, left, '#fff')}"
        f"{_text(f'{SIGN[status]} {word}', left + right / 2, right, ink)}</g></svg>\n"
    ).encode()


def _text(text: str, middle: float, width: int, ink: str) -> str:
    """As wide as was reckoned, whichever font is there."""
    return f'<text x="{middle:g}" y="14" fill="{ink}" textLength="{width - 2 * _PAD}">{escape(text)}</text>'


def _width(text: str) -> int:
    """In pixels, about as Verdana has it at 11."""
    return round(sum(_of(character) for character in text))


def _of(character: str) -> float:
    if unicodedata.east_asian_width(character) in "WF":
        return 11
    if unicodedata.combining(character):
        return 0
    return (
        4.2 if character in _NARROW else 8.4 if character in "mwMW" else 7.6 if character.isupper() else 6.7
    )
