"""The languages of the pages, read once at start, and which of them a visitor is given.

What code, scripts and templates say is English; a catalogue in `languages/` has what it is elsewhere. A text
that is in none stays English, so no page is ever empty, and a test holds that none is missing.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, tzinfo
from functools import cache, lru_cache
from gettext import c2py
from pathlib import Path
from typing import Any, Final

from babel import Locale
from babel.dates import format_date, format_interval, format_skeleton
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from litestar import Request

_FOLDER: Final = Path(__file__).parent / "languages"
# In their own words, as they stand in the choice at the foot of a page.
NAMES: Final = {
    "en": "English",
    "ar": "العربية",
    "de": "Deutsch",
    "es": "Español",
    "fr": "Français",
    "ja": "日本語",
    "pt": "Português",
    "zh": "简体中文",
}
DEFAULT: Final = "en"
CATALOGUES: Final = [_FOLDER / f"{code}.po" for code in NAMES if code != DEFAULT]


class Language:
    """One of NAMES. `say` and `count` take the English words."""

    def __init__(self, code: str, catalog: Catalog | None = None) -> None:
        self.code = code
        self.locale = Locale.parse(code)
        self.direction = "rtl" if code == "ar" else "ltr"
        self._texts: dict[str, str | Sequence[str]] = {}
        self._form = c2py(catalog.plural_expr) if catalog else lambda number: int(number != 1)
        self._read(catalog)

    def _read(self, catalog: Catalog | None) -> None:
        for message in catalog or ():
            if message.id and message.string:
                text = message.id if isinstance(message.id, str) else message.id[0]
                self._texts[text] = message.string

    def say(self, text: str, /, **values: object) -> str:
        found = self._texts.get(text, text)
        return self._fill(found if isinstance(found, str) else found[0], values)

    def count(self, number: int, one: str, many: str, /, **values: object) -> str:
        """`{number}` in the text is what is counted."""
        forms = self._texts.get(one, (one, many))
        return self._fill(forms[self._form(number)], {"number": number, **values})

    def _fill(self, text: str, values: Mapping[str, object]) -> str:
        # Not format(): by a text that came from a catalogue it would reach into what it is given.
        return re.sub(r"\{(\w+)\}", lambda found: self.isolated(values.get(found[1], found[0])), text)

    def isolated(self, value: object) -> str:
        """Among words from right to left, a Latin name or `12 ms` stays in one piece."""
        if self.code != "ar" or isinstance(value, int) or not value:
            return str(value)
        return f"\N{FIRST STRONG ISOLATE}{value}\N{POP DIRECTIONAL ISOLATE}"

    def spoken_in(self, script: str) -> dict[str, str | dict[str, str]]:
        """The part of the catalogue that a script names, as its `language.js` reads it: a text, or a text
        for each of the plural categories that the browser knows by itself."""
        return {
            text: found if isinstance(found, str) else self._by_category(found)
            for text, found in self._texts.items()
            if f"'{text}'" in script
        }

    def _by_category(self, forms: Sequence[str]) -> dict[str, str]:
        rule = self.locale.plural_form
        # The least number of each category stands for all of it.
        return {rule(number): forms[self._form(number)] for number in range(200, -1, -1)}

    def percent(self, figure: str) -> str:
        """`99.98` as it is written here."""
        figure = figure.replace(".", self.locale.number_symbols["latn"]["decimal"])
        return f"{figure}{'' if self.code in ('ja', 'zh') else ' '}%"

    def moment(self, at: datetime, where: tzinfo) -> str:
        """`23 Nov, 14:32 CET`: what is read without a script; with one, it becomes "38 minutes ago"."""
        there = at.astimezone(where)
        return f"{self.day(there.date())}, {there:%H:%M %Z}"

    def recent(self, at: datetime, now: datetime, where: tzinfo) -> str:
        """`14:31:29`, or with the day if that could be taken for today's."""
        return (
            f"{at.astimezone(where):%H:%M:%S}" if now - at < timedelta(hours=12) else self.moment(at, where)
        )

    def day(self, day: date) -> str:
        if self.code == DEFAULT:
            return f"{day.day} {day:%b}"
        return format_skeleton("MMMd", day, locale=self.locale)

    def days(self, first: date, last: date) -> str:
        """`17 to 20 Nov`, with a dash: what both have in common is said once."""
        if first == last:
            return self.day(last)
        # The day before the month, as `day` has it.
        locale = "en_GB" if self.code == DEFAULT else self.locale
        return format_interval(first, last, "MMMd", locale=locale)

    def month(self, day: date) -> str:
        return format_date(day, "LLLL yyyy", locale=self.locale)

    def long(self, seconds: float) -> str:
        """`38 min`, `3 h 12`, `4 d`: as `span` of time.js."""
        whole = max(0, int(seconds))
        if whole < 60:
            return self.say("{number} s", number=whole)
        if whole < 3600:
            return self.say("{number} min", number=whole // 60)
        if whole < 86400:
            return self.say("{hours} h {minutes}", hours=whole // 3600, minutes=f"{whole // 60 % 60:02}")
        return self.say("{number} d", number=whole // 86400)


@cache
def languages() -> dict[str, Language]:
    return {code: Language(code, _catalog(code)) for code in NAMES}


def _catalog(code: str) -> Catalog | None:
    if code == DEFAULT:
        return None
    with (_FOLDER / f"{code}.po").open("rb") as file:
        return read_po(file, locale=code)


def choose(request: Request[Any, Any, Any], default: str = DEFAULT) -> Language:
    """What `?lang=` says, else the one the browser wants most, else that of the page."""
    known = languages()
    asked = request.query_params.get("lang", "")
    if asked in known:
        return known[asked]
    for code in _wanted(request.headers.get("accept-language", "")[:500]):
        if code in known:
            return known[code]
    return known.get(default, known[DEFAULT])


# Browsers say the same few things.
@lru_cache(256)
def _wanted(header: str) -> tuple[str, ...]:
    """The languages of an Accept-Language, the most wanted first: of `de-CH` the `de`."""
    weighed = []
    for place, offer in enumerate(header.split(",")):
        tag, _, weight = offer.partition(";")
        code = tag.strip().lower().partition("-")[0]
        weighed.append((-_weight(weight), place, code))
    return tuple(code for weight, _, code in sorted(weighed) if weight < 0)


def _weight(parameter: str) -> float:
    name, _, value = parameter.replace(" ", "").partition("=")
    try:
        return min(1.0, float(value)) if name == "q" else 1.0
    except ValueError:
        return 0.0
