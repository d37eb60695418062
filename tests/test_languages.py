"""Every language says everything: what code, scripts and templates say is in each catalogue, and no more."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from litestar.testing import RequestFactory

from app.pages import language as languages
from app.pages.charts import STRETCHES
from app.pages.component import WINDOWS
from app.pages.language import NAMES, Language, choose
from app.pages.rows import WORD
from app.pages.sentences import HEADLINE, beside
from app.pages.stale import WHY
from app.pages.stories import STAGES
from app.pages.wall import COUNTED
from app.security.passwords import BUSY
from app.security.signin import WRONG
from tests.services import ROOT

OTHERS = [code for code in NAMES if code != "en"]
_QUOTED = r"""(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')"""
_SAY = re.compile(rf"\bsay\(\s*{_QUOTED}(?:\s+if \w+ else {_QUOTED})?")
_COUNT = re.compile(rf"\bcount\([^\"']*?{_QUOTED},\s*{_QUOTED}")
_PAIR = re.compile(rf"(?:texts = |return |: \[){_QUOTED}, {_QUOTED}")
# Why somebody is not let in, and what whoever comes back from a provider can mend by themselves.
_NO = re.compile(rf"raise NotSignedIn\(\s*{_QUOTED}")
ENTRANCE = ("Your provider did not let you in.", "This answer belongs to another sign-in; begin again.")
ENTRANCE += ("This sign-in took too long, or began in another browser; begin again.", WRONG, BUSY)
# Words that a script has in a table of its own.
LABELS = ("since", "until", "next update by")
SCRIPTS = ("connection lost", "this page is no longer served", "reload to try again")
SCRIPTS += ("waiting for fresh results", "reconnecting")


def said() -> Iterator[tuple[str, ...]]:
    """Each text, or the two of a count."""
    for path in _sources():
        text = path.read_text()
        for found in _SAY.finditer(text):
            yield from ((its,) for its in found.groups() if its)
        for found in _COUNT.finditer(text):
            yield tuple(its for its in found.groups() if its)
        if path.name in ("sentences.py", "news.js"):
            yield from (
                pair
                for found in _PAIR.finditer(text)
                if "{number}" in (pair := tuple(its for its in found.groups() if its))[1]
            )
    signing_in = (ROOT / "app" / "security" / "signin.py").read_text()
    yield from ((found[1],) for found in _NO.finditer(signing_in))
    tables = (WORD, HEADLINE, WHY, WINDOWS, STAGES, {its: its.words for its in STRETCHES.values()})
    yield from ((text,) for table in tables for text in table.values())
    counted = (label for _, label in COUNTED)
    yield from ((text,) for text in (*SCRIPTS, *LABELS, *ENTRANCE, *counted, "no data"))


def _sources() -> Iterator[Path]:
    for pattern in ("app/pages/*.py", "app/pages/templates/*.html", "app/static/*.js"):
        yield from sorted(ROOT.glob(pattern))


SAID = {its[0]: its for its in said() if "{" not in its[0] or "}" in its[0]}


def _catalog(code: str) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """By the first text: all that stands for it in English, and in the other language."""

    def whole(text: object) -> tuple[str, ...]:
        return (text,) if isinstance(text, str) else tuple(text)  # type: ignore[arg-type]

    with (Path(languages.__file__).parent / "languages" / f"{code}.po").open("rb") as file:
        messages = [message for message in read_po(file) if message.id]
    assert not [message.id for message in messages if message.fuzzy]
    return {whole(message.id)[0]: (whole(message.id), whole(message.string)) for message in messages}


def _placeholders(text: str) -> Counter[str]:
    return Counter(re.findall(r"\{\w+\}", text))


@pytest.mark.parametrize("code", OTHERS)
def test_nothing_that_a_page_says_is_missing_or_too_much(code: str) -> None:
    catalog = _catalog(code)
    assert {text: english for text, (english, _) in catalog.items()} == SAID
    assert [text for text, (_, its) in catalog.items() if not all(map(str.strip, its))] == []


@pytest.mark.parametrize("code", OTHERS)
def test_placeholders_agree(code: str) -> None:
    for english, others in _catalog(code).values():
        wanted = _placeholders(english[-1])
        for form in others:
            # Of one or two a language may say how many without a figure.
            optional = {"{number}"} if len(english) == 2 else set()
            assert {k: n for k, n in _placeholders(form).items() if k not in optional} == {
                k: n for k, n in wanted.items() if k not in optional
            }, form


@pytest.mark.parametrize(
    ("note", "acknowledged", "german"),
    [
        ("", "", ""),
        ("affected by Router, the old one", "", "betroffen durch Router, the old one"),
        ("affected by Router, flapping", "", "betroffen durch Router, schwankend"),
        ("flapping, Mei is on it", "Mei is on it", "schwankend, Mei is on it"),
        ("Mei, paused", "Mei, paused", "Mei, paused"),
        ("paused, set by hand", "", "pausiert, von Hand gesetzt"),
        ("set by hand: a, flapping", "", "von Hand gesetzt: a, flapping"),
        (
            "affected by A, paused, set by hand: why, who",
            "who",
            "betroffen durch A, pausiert, von Hand gesetzt: why, who",
        ),
    ],
)
def test_our_words_beside_a_status_are_translated_and_those_of_others_are_not(
    note: str, acknowledged: str, german: str
) -> None:
    spoken = languages.languages()
    assert beside(note, acknowledged, spoken["de"]) == german
    assert beside(note, acknowledged, spoken["en"]) == note


def test_a_text_is_counted_as_each_language_counts() -> None:
    spoken = languages.languages()

    def days(code: str, number: int) -> str:
        return spoken[code].count(number, "{number} day", "{number} days")

    assert [days("en", n) for n in (0, 1, 2)] == ["0 days", "1 day", "2 days"]
    assert [days("fr", n) for n in (0, 1, 2)] == ["0 jour", "1 jour", "2 jours"]
    assert [days("ja", n) for n in (1, 2)] == ["1 日間", "2 日間"]
    assert days("ar", 2) == "يومين"
    assert days("ar", 5) == "5 أيام"
    assert days("ar", 11) == "11 يومًا"


def test_a_script_is_given_the_words_that_it_names_and_no_others() -> None:
    words = languages.languages()["de"].spoken_in(
        "say('just now'); count(2, '{number} day', '{number} days')"
    )
    assert words == {
        "just now": "gerade eben",
        "{number} day": {"one": "{number} Tag", "other": "{number} Tage"},
    }
    assert languages.languages()["en"].spoken_in("say('just now')") == {}


def test_what_is_filled_in_is_never_read_as_a_placeholder() -> None:
    english = Language("en")
    assert english.say("{one} and {other}", one="{other}", other="x") == "{other} and x"


@pytest.mark.parametrize(
    ("header", "query", "default", "chosen"),
    [
        ("", "", "en", "en"),
        ("", "", "de", "de"),
        ("de-CH, en;q=0.8", "", "en", "de"),
        ("tlh, fr;q=0.3, es;q=0.9", "", "en", "es"),
        ("de;q=0, ja;q=0.1", "", "en", "ja"),
        ("zh-Hant-TW", "", "en", "zh"),
        ("tlh", "", "pt", "pt"),
        ("de;q=much, *;q=0.5,,;;", "", "en", "en"),
        ("de", "ar", "en", "ar"),
        ("de", "../../etc", "en", "de"),
    ],
)
def test_a_visitor_is_given_the_language_that_they_want(
    header: str, query: str, default: str, chosen: str
) -> None:
    request = RequestFactory().get("/", headers={"accept-language": header}, query_params={"lang": query})
    assert choose(request, default).code == chosen
