"""A picture of how something stands, for a README: `/badge/{slug}.svg` of a component, `/badge.svg` of the
whole page. Its word and its shape say as much as its colour.
"""

import unicodedata
from html import escape
from typing import Final

from app.domain.status import Status
from app.pages.formats.bulletin import Bulletin
from app.pages.formats.xml import legal
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
_ROUND: Final = "a4 4 0 0 1"  # a corner, to where the next two numbers say


def badge_of_all(said: Bulletin) -> bytes:
    return badge(said, said.page.name, said.status)


def badge(said: Bulletin, name: str, status: Status) -> bytes:
    name = legal(name)
    name = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
    word = said.language.say(WORD[status])
    left, right = (_width(text) + 2 * _PAD for text in (name, f"{SIGN[status]} {word}"))
    fill, ink = COLOURS[status]
    label = escape(f"{name}: {word}")
    # Nothing in it has an id: of several badges in one document, all would be cut as the first is.
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img"'
        f' aria-label="{label}"><title>{label}</title>'
        f'<path fill="#2b323a" d="M{left} 0v20H4{_ROUND}-4-4V4{_ROUND} 4-4z"/>'
        f'<path fill="{fill}" d="M{left} 20V0h{right - 4}{_ROUND} 4 4v12{_ROUND}-4 4z"/>'
        '<g font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">'
        f"{_text(name, left / 2, left, '#fff')}"
        f"{_text(f'{SIGN[status]} {word}', left + right / 2, right, ink)}</g></svg>\n"
    ).encode()


def _text(text: str, middle: float, width: int, ink: str) -> str:
    """As wide as was reckoned, whichever font is there. The letters are made to fit and not the gaps between
    them, or those of Arabic would come apart and wide ones lie on each other."""
    fit = f'textLength="{width - 2 * _PAD}" lengthAdjust="spacingAndGlyphs"'
    return f'<text x="{middle:g}" y="14" fill="{ink}" {fit}>{escape(text)}</text>'


def _width(text: str) -> int:
    """In pixels, about as Verdana has it at 11."""
    return max(_PAD, round(sum(_of(character) for character in text)))


def _of(character: str) -> float:
    if unicodedata.east_asian_width(character) in "WF":
        return 11
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    if character in _NARROW:
        return 4.2
    if character in "mwMW" or unicodedata.category(character) == "So":
        return 9.8
    if unicodedata.bidirectional(character) == "AL":
        return 5.6
    return 7.6 if character.isupper() else 6.7
