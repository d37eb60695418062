"""The readings of single values: names, durations, patterns, time zones and what else is no target.

A Reading takes a node and returns what it means, or raises Wrong: the rest of a sentence that begins with
the value, with what would be right.
"""

import difflib
import math
import re
import unicodedata
import zoneinfo
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final, TypeAlias, TypeVar

import msgspec
import re2  # type: ignore[import-untyped]
import yaml

from app.domain.refused import CONTROL, CONTROL_BUT_LINES
from app.statusfile.problem import Wrong, cut, quote
from app.statusfile.tree import PLAIN, UNTAGGED, refuse_tag, scalar, written

VARIABLE: Final = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]{0,63}\}")

WRITTEN_OUT: Final = (
    "must be ${NAME}, which each worker fills in from its own environment: written out here it would be in "
    "Redis and in the database too"
)

T = TypeVar("T")
Reading: TypeAlias = Callable[[yaml.Node], T]


def text_of(node: yaml.Node, longest: int, lines: bool = False, variables: bool = False) -> str:
    text = scalar(node)
    if odd := (CONTROL_BUT_LINES if lines else CONTROL).search(text):
        raise Wrong(f"holds the control character U+{ord(odd[0]):04X}: take it out")
    if len(text) > longest:
        raise Wrong(f"is too long ({len(text):,} characters): at most {longest:,}")
    if not text.strip():
        raise Wrong("is empty: give it a value, or leave the key out")
    if variables:
        if "${" in VARIABLE.sub("", text):
            raise Wrong("has a `${` that begins no variable: write ${NAME}, of A-Z, a-z, 0-9 and _")
    elif variable := VARIABLE.search(text):
        raise Wrong(
            f"holds `{variable[0]}`, and variables are filled in only in header values, URLs, secrets and "
            f"what is sent: write the value itself"
        )
    return text


def short_text(node: yaml.Node) -> str:
    return text_of(node, 1000)


def name(node: yaml.Node) -> str:
    return text_of(node, 80).strip()


def description(node: yaml.Node) -> str:
    return " ".join(text_of(node, 300, lines=True).split())


def slug(node: yaml.Node) -> str:
    text = scalar(node)
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?", text):
        # Made of an address it might repeat a password.
        example = ("@" not in text and slug_of(text)) or "payments-api"
        raise Wrong(f"must be 1 to 64 of a-z, 0-9 and inner hyphens, such as {example}")
    return text


def slug_of(name: str) -> str:
    """Empty if nothing of the name can be in a slug."""
    folded = unicodedata.normalize("NFKD", name[:200].lower().translate(_SPELLED))
    ascii = folded.encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii).strip("-")[:64].strip("-")


_SPELLED = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ł": "l", "þ": "th"})


def regions(node: yaml.Node) -> tuple[str, ...]:
    found = one_or_more(node, _region)
    if len(set(found)) < len(found):
        raise Wrong("names a region twice, and each has one vote: keep one of the two")
    return tuple(found)


def _region(node: yaml.Node) -> str:
    text = scalar(node)
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", text):
        raise Wrong("must be 1 to 32 of a-z, 0-9 and inner hyphens, such as eu-west")
    return text


def group_names(node: yaml.Node) -> tuple[str, ...] | None:
    return _once_each(node, name)


def slugs(node: yaml.Node) -> tuple[str, ...] | None:
    return _once_each(node, slug)


def _once_each(node: yaml.Node, read: Reading[str]) -> tuple[str, ...]:
    """None of them too: an empty list is a page with nothing on it, and no slip."""
    if isinstance(node, yaml.SequenceNode) and not node.value:
        return ()
    if len(found := one_or_more(node, read, at_most=1000)) > len(set(found)):
        raise Wrong("names the same thing twice: keep one of the two")
    return tuple(found)


def language(node: yaml.Node) -> str:
    text = scalar(node)
    if not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}", text):
        raise Wrong("is no language: write its tag, such as en, de or pt-BR")
    return text


def accent(node: yaml.Node) -> str | None:
    text = scalar(node)
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise Wrong("is no colour: write six digits in quotes, such as '#0b6bcb'")
    return text.lower()


# Bounded, because a hash says itself how much memory and time it takes to be checked.
_ARGON2ID = re.compile(
    r"\$argon2id\$v=19\$m=[0-9]{1,6},t=[0-9]{1,2},p=[1-8]"
    r"\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}"
)


def password_hash(node: yaml.Node) -> str:
    text = scalar(node)
    if not _ARGON2ID.fullmatch(text):
        raise Wrong("is no argon2id hash: `statuswire config password` asks for a password and prints one")
    return text


def members(node: yaml.Node) -> list[str]:
    found = one_or_more(node, _key)
    if len(found) < 2:
        raise Wrong(
            "names one monitor alone, and a group is of several: list them, as in [web/http, web/tcp]"
        )
    if len(set(found)) < len(found):
        raise Wrong("names a monitor twice: keep one of the two")
    return found


def parents(node: yaml.Node) -> list[str]:
    found = one_or_more(node, _key)
    if len(set(found)) < len(found):
        raise Wrong("names the same thing twice: keep one of the two")
    return found


def _key(node: yaml.Node) -> str:
    text = scalar(node)
    if not re.fullmatch(r"[a-z0-9]([a-z0-9/-]{0,98}[a-z0-9])?", text):
        raise Wrong("is no key of a monitor: write its `slug`, or component/kind as in web/http")
    return text


def one_or_more(node: yaml.Node, read: Reading[T], at_most: int = 100) -> list[T]:
    """One value, or a list of them."""
    if not isinstance(node, yaml.SequenceNode):
        return [read(node)]
    refuse_tag(node)
    if not node.value:
        raise Wrong("is an empty list: put something in it, or leave the key out")
    if len(node.value) > at_most:
        raise Wrong(f"has {len(node.value):,} entries: at most {at_most:,}")
    return [_part(item, read) for item in node.value]


def _part(node: yaml.Node, read: Reading[T]) -> T:
    """What is wrong with a part of a value is told of that part."""
    try:
        return read(node)
    except Wrong as wrong:
        wrong.node = wrong.node or node
        raise


def duration_from(shortest: str, longest: str) -> Reading[float]:
    least, most = seconds_in(shortest) or 0.0, seconds_in(longest) or 0.0

    def read(node: yaml.Node) -> float:
        seconds = _duration(node)
        if seconds < least:
            raise Wrong(f"is too short: at least {shortest}")
        if seconds > most:
            raise Wrong(f"is too long: at most {longest}")
        return seconds

    return read


_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def _duration(node: yaml.Node) -> float:
    text = scalar(node)
    if (seconds := seconds_in(text)) is not None:
        return seconds
    if re.fullmatch(r"[0-9]{1,6}(\.[0-9]+)?", text):
        raise Wrong(f"has no unit: write {text}s for seconds, or use ms, m, h or d")
    raise Wrong("is not a duration: write one number and one unit, such as 500ms, 30s, 5m, 1h or 7d")


def seconds_in(text: str) -> float | None:
    """None if it is no duration."""
    if match := re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)", text):
        number, unit = float(match[1]), match[2]
        # 0.001 is no binary fraction: 9 of them are not quite 0.009.
        return number / 1000 if unit == "ms" else number * _UNITS[unit]
    return None


every = duration_from("1s", "7d")
timeout = duration_from("1ms", "60s")
slower_than: Reading[float | None] = timeout


def retries(node: yaml.Node) -> int:
    text = scalar(node)
    if not re.fullmatch(r"[0-9]|10", text):
        raise Wrong("must be a whole number from 0 to 10")
    return int(text)


def recoveries(node: yaml.Node) -> int:
    text = scalar(node)
    if not re.fullmatch(r"[1-9]|10", text):
        raise Wrong("must be a whole number from 1 to 10")
    return int(text)


def certificate_days(node: yaml.Node) -> float | None:
    text = scalar(node)
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,6})?", text) or not 0 < float(text) <= 3650:
        raise Wrong("must be a number of days from 1 to 3650, without a unit, such as 14")
    return float(text)


def status(node: yaml.Node) -> tuple[tuple[int, int], ...]:
    return tuple(span for spans in one_or_more(node, _status_spans) for span in spans)


def _status_spans(node: yaml.Node) -> list[tuple[int, int]]:
    spans = []
    for part in text_of(node, 200).split(","):
        match = re.fullmatch(r" *([1-5][0-9]{2}) *(?:- *([1-5][0-9]{2}))? *", part)
        if not match:
            raise Wrong("is not a status: write 200, 200-299 or 200,204, from 100 to 599")
        low, high = int(match[1]), int(match[2] or match[1])
        if low > high:
            raise Wrong(f"runs backwards: write {high}-{low}")
        spans.append((low, high))
    return spans


# A quarter of what workers allow: whatever passes here compiles there.
_RE2 = re2.Options()
_RE2.max_mem = 2 << 20
_RE2.log_errors = False


def body(node: yaml.Node) -> str | None:
    """The regular expression between slashes, or one that finds the text."""
    text = text_of(node, 502, lines=True)
    if re.fullmatch(r"(?s)/.+/[ims]{1,3}", text):
        raise Wrong("has flags after the slash: write them inside, as in /(?i)ok/")
    if len(text) < 2 or not (text.startswith("/") and text.endswith("/")):
        # A block scalar ends in a line break that nobody means.
        return _pattern(str(re2.escape(text.strip("\r\n"))))
    if text == "//":
        raise Wrong("is an empty regular expression: put something between the slashes")
    return _pattern(text[1:-1])


def _pattern(pattern: str) -> str:
    if len(pattern) > 500:
        raise Wrong(f"makes a pattern of {len(pattern)} characters: at most 500")
    try:
        re2.compile(pattern, _RE2)
    except re2.error as error:
        said = error.args[0].decode(errors="replace")
        raise Wrong(
            f"is not a regular expression in RE2 syntax ({cut(said)}): see github.com/google/re2"
        ) from None
    return pattern


def json(node: yaml.Node) -> str:
    """A number, true, false or null in JSON's own spelling and without quotes is that; the rest is text."""
    if isinstance(node, yaml.ScalarNode):
        return _json_scalar(node)
    refuse_tag(node)
    found = _json_list(node) if isinstance(node, yaml.SequenceNode) else _json_object(node)
    if len(found) > 4096:
        raise Wrong("expects more than 4096 characters of JSON: expect a smaller part of it")
    return found


def _json_list(node: yaml.Node) -> str:
    return f"[{','.join(_part(item, json) for item in node.value)}]"


def _json_object(node: yaml.Node) -> str:
    found: dict[str, str] = {}
    for key, value in node.value:
        name = _part(key, _json_name)
        if name in found:
            raise Wrong(f"has the key {quote(written(key))} twice: keep one of the two", key)
        found[name] = _part(value, json)
    return f"{{{','.join(f'{name}:{value}' for name, value in found.items())}}}"


def _json_name(node: yaml.Node) -> str:
    return _as_json(text_of(node, 300))


def _json_scalar(node: yaml.ScalarNode) -> str:
    if node.tag == PLAIN:
        text = written(node)
        if text in ("true", "false", "null"):
            return text
        if re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", text):
            if len(text) > 40 or not math.isfinite(float(text)):
                raise Wrong("is a number too large to compare: put it in quotes if it is text")
            return text
    elif node.tag == UNTAGGED and not node.value:
        return '""'
    return _as_json(text_of(node, 1000, lines=True))


def _as_json(text: str) -> str:
    return msgspec.json.encode(text).decode()


def answer(node: yaml.Node) -> tuple[str, ...]:
    return tuple(text.strip() for text in one_or_more(node, short_text))


def header_value(node: yaml.Node) -> str:
    text = text_of(node, 4096, variables=True).strip()
    if not text.isascii():
        raise Wrong("has a letter that is not ASCII, which HTTP does not carry: encode it")
    return text


def time_zone(node: yaml.Node) -> str:
    text = text_of(node, 100)
    if text == "UTC" or text in zones().values():
        return text
    if not zones():
        raise Wrong("cannot be looked up: this machine has no time zones, so install its package tzdata")
    close = difflib.get_close_matches(text.lower().replace(" ", "_"), zones(), n=1)
    hint = f"did you mean {zones()[close[0]]}?" if close else "write one such as Europe/Berlin or UTC"
    raise Wrong(f"is not a time zone; {hint}")


@cache
def zones() -> Mapping[str, str]:
    """By what people may call them: the whole name in lower case, or the city alone."""
    names = sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})
    return {name.rpartition("/")[2].lower(): name for name in names} | {name.lower(): name for name in names}
