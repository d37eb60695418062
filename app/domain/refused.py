"""What an operator may not do or write, said in one sentence, and the readings of what people write."""

import difflib
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

from app.domain.instant import from_ms, to_ms

MOST_TITLE: Final = 200
MOST_WORDS: Final = 5_000
# Beyond these lie typing errors, and years that no time zone can be reckoned in.
FARTHEST_BACK: Final = timedelta(days=3653)
FARTHEST_AHEAD: Final = timedelta(days=1826)

# Control characters, line and paragraph separators, surrogates, and signs that turn the direction of what
# follows: a title that holds one would write over what stands beside it.
CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
CONTROL_BUT_LINES: Final = re.compile(CONTROL.pattern.replace("\x00-\x1f", "\x00-\x08\x0b\x0c\x0e-\x1f"))


class Refused(Exception):
    """`field` is the name of what was given and is wrong; the text is one sentence with what would be right.
    `kind` says whether it is that, or that there is no such thing, or that it is not in a state for it."""

    def __init__(
        self, field: str, sentence: str, kind: Literal["invalid", "missing", "conflict"] = "invalid"
    ) -> None:
        super().__init__(sentence)
        self.field = field
        self.kind = kind


def no_component(slug: str, known: Sequence[str]) -> str:
    """`known` are those that whoever asks may see."""
    close = difflib.get_close_matches(slug, known, n=1)
    hint = f"did you mean `{close[0]}`?" if close else "name it by its slug."
    return f"No component is called `{slug[:64]}`: {hint}"


def title(given: str, field: str = "title") -> str:
    """One line, without the spaces around it."""
    text = given.strip()
    if not text:
        raise Refused(field, f"`{field}` is empty: say in a few words what this is about.")
    return _fit(text, field, MOST_TITLE, CONTROL)


def line(given: str, field: str, longest: int) -> str:
    """One line or nothing, without the spaces around it."""
    return _fit(given.strip(), field, longest, CONTROL)


def words(given: str, field: str = "words", *, may_be_empty: bool = False) -> str:
    """Markdown, of as many lines as it takes."""
    text = given.replace("\r\n", "\n").strip()
    if not text and not may_be_empty:
        raise Refused(field, f"`{field}` is empty: say what is known.")
    return _fit(text, field, MOST_WORDS, CONTROL_BUT_LINES)


def not_later(given: datetime, now: datetime, field: str) -> datetime:
    """What is dated back lies back."""
    if given > now:
        raise Refused(field, f"`{field}` lies in the future: it may be now or earlier.")
    if given < now - FARTHEST_BACK:
        raise Refused(field, f"`{field}` lies too far back: at most ten years.")
    return cut(given)


def later(given: datetime, than: datetime, field: str, what: str) -> datetime:
    if given <= than:
        raise Refused(field, f"`{field}` must be later than {what}.")
    if given > than + FARTHEST_AHEAD:
        raise Refused(field, f"`{field}` lies too far ahead: at most five years.")
    return cut(given)


def cut(given: datetime) -> datetime:
    """To whole milliseconds in UTC, as all instants are."""
    return from_ms(to_ms(given))


def _fit(text: str, field: str, longest: int, odd: re.Pattern[str]) -> str:
    if found := odd.search(text):
        raise Refused(field, f"`{field}` holds the control character U+{ord(found[0]):04X}: take it out.")
    if len(text) > longest:
        raise Refused(field, f"`{field}` is too long ({len(text):,} characters): at most {longest:,}.")
    return text
