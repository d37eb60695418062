"""The mappings of the file: which keys each may have, and which kinds of monitor a key fits.

What is wrong with a key or its value is said once, and the default stands in for it: so reading goes on, and
all problems of a file are told at once.
"""

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, TypeVar

import yaml
from msgspec import UNSET, Struct
from msgspec.structs import replace

from app.domain.credentials import is_secret
from app.domain.monitor import Expect
from app.domain.refused import CONTROL
from app.domain.words import Headers
from app.statusfile import values
from app.statusfile.forms import reading
from app.statusfile.kinds import KINDS, NEVER_REPEATED, Word, own_words, words_of
from app.statusfile.problem import Problems, Wrong, listed, quote
from app.statusfile.tree import PLAIN, is_list, is_mapping, is_null, is_scalar, kind_of, line_of, written
from app.statusfile.values import Reading

_PROBED: Final = tuple(kind for kind, words in KINDS.items() if words.probed)
# Those that every kind has, or every kind that is probed.
COMMON: Final = ("every", "timeout", "retries", "recoveries", "regions", "depends_on", "expect", "slug")


def _own(expected: bool) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.name for kind in KINDS for word in own_words(kind, expected)))


def _inner(structs: Iterable[type[Struct]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for struct in structs:
        for word in words_of(struct):
            if word.inner is not None:
                yield f"`{word.name}`", tuple(each.name for each in words_of(word.inner))
                yield from _inner([word.inner])


_PAGE: Final = (
    *("name", "url", "time_zone", "hosts", "groups", "components"),
    *("access", "password_hash", "language", "logo", "accent", "links", "footer"),
)

# Every key the file may have, by what it is a key of.
KEYS: Final[dict[str, tuple[str, ...]]] = {
    "the file": ("page", "pages", "groups", "components", "incidents"),
    "`page`": _PAGE,
    "a page": ("slug", *_PAGE),
    "a link": ("name", "url"),
    "a group": ("name", "components"),
    "a component": ("name", "slug", "description", "hidden", "depends_on", "monitors"),
    "a rule": ("name", "after", "settle", "components", "title", "words", "closing"),
    "a monitor": (*KINDS, *COMMON, *_own(expected=False)),
    "`expect`": tuple(dict.fromkeys((*Expect.__struct_fields__, *_own(expected=True)))),
    **dict(_inner(KINDS.values())),
}

# The kinds that a key of a monitor or of `expect` fits; those not named here fit every kind.
FITS: Final[dict[str, tuple[str, ...]]] = {
    **{key: _PROBED for key in ("timeout", "retries", "recoveries", "regions", "expect")},
    "every": tuple(kind for kind, words in KINDS.items() if words.every is not None),
    **{
        key: tuple(kind for kind, words in KINDS.items() if key in words.expects)
        for key in Expect.__struct_fields__
    },
    **{
        key: tuple(kind for kind in KINDS if any(key == word.name for word in own_words(kind, expected)))
        for expected in (False, True)
        for key in _own(expected)
    },
}

_EXAMPLES: Final = {
    "the file": "`components:` and a list of what to watch",
    "`page`": "`name: Acme Status`",
    "a page": "`slug: internal`",
    "a link": "`{name: Imprint, url: https://acme.example/imprint}`",
    "a group": "`name: Payments` and its `components`",
    "a component": "`name: Website`",
    "a rule": "`name: Outage` and `after: 5m`",
    "a monitor": "`http: https://example.com`",
    "`expect`": "`{slower_than: 800ms}`",
}

# What people write who come from elsewhere, and difflib would not find.
_ELSEWHERE: Final = {
    "interval": "every",
    "period": "every",
    "title": "name",
    "id": "slug",
    "key": "slug",
    "name": "slug",
    "checks": "monitors",
    "endpoints": "monitors",
    "services": "components",
    "url": "http",
    "ping": "icmp",
    "heartbeat": "push",
    "type": "record",
    "latency": "slower_than",
    "parents": "depends_on",
    "parent": "depends_on",
    "dependencies": "depends_on",
    "behind": "depends_on",
    "headers": "header",
    "tz": "time_zone",
}

_NOT_REPEATED: Final = NEVER_REPEATED | {"url", "logo", "password_hash"}

_APART: Final = re.compile(r"[\s/]")

T = TypeVar("T")


class Naming(Struct, frozen=True):
    """How a user may name the entries of a mapping."""

    what: str
    pattern: re.Pattern[str]
    right: str
    any_case: bool = False
    is_sent: bool = False  # then what is secret by its name must be a variable

    def allows(self, name: str) -> bool:
        return len(name) <= 300 and not CONTROL.search(name) and self.pattern.fullmatch(name) is not None

    def checked(self, name: str, value: str) -> str:
        if self.is_sent and is_secret(name) and not values.VARIABLE.search(value):
            raise Wrong(values.WRITTEN_OUT)
        return value


HEADER: Final = Naming(
    "header", re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"), "write a name such as X-Request-Id", any_case=True
)
SENT_HEADER: Final = replace(HEADER, is_sent=True)
JSON_PATH: Final = Naming(
    "json path",
    re.compile(r"""\$(\.[^.\[\]\s'"]+|\[[0-9]{1,9}\]|\['[^']+'\]|\["[^"]+"\]){0,20}"""),
    "write it as $.name, $.list[0] or $['a name'], with up to 20 steps",
)


class Mapping:
    """One whose keys we know; it iterates over those that the file gives, in its order. It is empty if `node`
    is something else, and then that is said."""

    def __init__(self, problems: Problems, node: yaml.Node, what: str) -> None:
        self.node = node
        self._problems = problems
        self._what = what
        example = _EXAMPLES.get(what, f"`{KEYS[what][0]}: ...`")
        self._pairs = _pairs(problems, node, what, example)
        self._refuse_unknown()

    def __iter__(self) -> Iterator[str]:
        return iter(self._pairs)

    def __contains__(self, key: str) -> bool:
        return key in self._pairs

    def line(self, key: str) -> int:
        return self._pairs[key].line if key in self._pairs else line_of(self.node)

    def take(self, key: str, read: Reading[T], default: T) -> T:
        if key not in self._pairs:
            return default
        value = self._pairs[key].value
        try:
            return read(value)
        except Wrong as wrong:
            node = wrong.node or value
            self._problems.add(line_of(node), f"{_subject(key, node)} {wrong}")
            return default

    def need(self, key: str, read: Reading[str], example: str) -> str:
        """Empty if it is not there or is wrong."""
        if key not in self._pairs and isinstance(self.node, yaml.MappingNode):
            self._problems.add(line_of(self.node), f"{self._what} needs a `{key}`, such as `{example}`")
        return self.take(key, read, "")

    def mapping(self, key: str) -> "Mapping":
        return Mapping(self._problems, self._pairs[key].value, f"`{key}`")

    def entries(self, key: str) -> list[yaml.Node]:
        if key not in self._pairs:
            return []
        node = self._pairs[key].value
        if is_list(node):
            return list(node.value)
        self._problems.add(
            line_of(node), f"`{key}` must be a list, each entry of it after a `- `, not {kind_of(node)}"
        )
        return []

    def named(self, key: str, naming: Naming, read: Reading[str], example: str) -> dict[str, str]:
        """A mapping whose keys the user chooses."""
        if key not in self._pairs:
            return {}
        found: dict[str, str] = {}
        places: dict[str, int] = {}
        pairs = _pairs(self._problems, self._pairs[key].value, f"`{key}`", f"`{example}`")
        for name, pair in pairs.items():
            what = f"{naming.what} {quote(name)}"
            if not naming.allows(name):
                self._problems.add(pair.line, f"{what} is none: {naming.right}")
                continue
            alike = name.lower() if naming.any_case else name
            if self._problems.is_first(places, alike, pair.line, what, "keep one of the two"):
                try:
                    found[name] = naming.checked(name, read(pair.value))
                except Wrong as wrong:
                    self._problems.add(line_of(wrong.node or pair.value), f"{what} {wrong}")
        return found

    def own(self, words: Iterable[Word]) -> dict[str, Any]:
        """What is given of the words of a kind, and is right."""
        found: dict[str, Any] = {}
        for word in words:
            if word.name not in self._pairs:
                continue
            if word.inner is not None:
                value = self.mapping(word.name).struct(word.inner)
            elif isinstance(word.form, Headers):
                value = self.named(word.name, SENT_HEADER, values.header_value, "{User-Agent: statuswire}")
            else:
                assert word.form is not None
                value = self.take(word.name, reading(word.form), UNSET)
            if value is not UNSET:
                found[word.name] = value
        return found

    def struct(self, struct: type[Struct]) -> Any:
        """UNSET if it lacks what it needs, and then that is said."""
        words = words_of(struct)
        found = self.own(words)
        lacks = [word.name for word in words if word.required and word.name not in found]
        for name in lacks:
            if name not in self._pairs and is_mapping(self.node):
                self._problems.add(line_of(self.node), f"{self._what} needs a `{name}` too")
        return UNSET if lacks else struct(**found)

    def refuse_unfit(self, kind: str) -> None:
        for key in self._pairs:
            fits = FITS.get(key, tuple(KINDS))
            if kind and kind not in fits:
                self._problems.add(self.line(key), f"`{key}` does not fit `{kind}`{_only(fits)}: take it out")

    def _refuse_unknown(self) -> None:
        for key in [key for key in self._pairs if key not in KEYS[self._what]]:
            line = self._pairs.pop(key).line
            if self._what == "the file" and key.startswith("x-"):
                continue  # a place for anchors
            # To look for the nearest word is slow, and beyond fifty problems nobody reads it.
            self._problems.add(line, "" if self._problems.full else _unknown(key, self._what))


class _Pair(NamedTuple):
    key: yaml.ScalarNode
    value: yaml.Node

    @property
    def line(self) -> int:
        return line_of(self.key)


def _pairs(problems: Problems, node: yaml.Node, what: str, example: str) -> dict[str, _Pair]:
    """Those that `<<` brings in included."""
    if not is_mapping(node):
        problems.add(line_of(node), f"{what} must be a mapping, such as {example}, not {kind_of(node)}")
        return {}
    pairs = _own_pairs(problems, node)
    if "<<" in pairs and pairs["<<"].key.tag == PLAIN:
        merged = pairs.pop("<<").value
        for source in merged.value if isinstance(merged, yaml.SequenceNode) else [merged]:
            # The mapping's own keys stand first and win; of several sources the earlier.
            for key, pair in _pairs(problems, source, "what `<<` names", "`<<: *defaults`").items():
                pairs.setdefault(key, pair)
    return pairs


def _own_pairs(problems: Problems, node: yaml.Node) -> dict[str, _Pair]:
    pairs: dict[str, _Pair] = {}
    for key_node, value in node.value:
        if not is_scalar(key_node):
            problems.add(line_of(key_node), f"a key must be a plain word, not {kind_of(key_node)}")
        elif (key := written(key_node)) in pairs:
            problems.add(
                line_of(key_node),
                f"{quote(key)} is already given on line {pairs[key].line}: keep one of the two",
            )
        else:
            pairs[key] = _Pair(key_node, value)
    return pairs


def _only(fits: tuple[str, ...]) -> str:
    # A list of nearly everything helps nobody.
    return f", only {listed(fits, 'and')}" if len(fits) <= 4 else ""


def _subject(key: str, node: yaml.Node) -> str:
    # A URL is never repeated in an error: it may hold a key or a password, as may a place with a user.
    if key in _NOT_REPEATED or not isinstance(node, yaml.ScalarNode) or is_null(node):
        return f"`{key}`"
    if _names_user(node.value):
        return f"`{key}`"
    return quote(f"{key}: {written(node)}")


def _names_user(text: str) -> bool:
    """Somewhere in it there is `name:password@`. One pattern for all of that would look from each character
    to the end: a name of 100,000 took half a minute."""
    return any(0 < run.find(":", 1) < run.rfind("@") - 1 for run in _APART.split(text))


def _close(key: str, known: Iterable[str], how_close: float) -> str:
    return next(iter(difflib.get_close_matches(key.lower(), known, n=1, cutoff=how_close)), "")


def _unknown(key: str, what: str) -> str:
    known = KEYS[what]
    sentence = f"{quote(key)} is not a key of {what}"
    if len(key) <= 40:
        if word := _close(key, known, 0.8) or _ELSEWHERE.get(key.lower()):
            if word in known:
                return f"{sentence}; did you mean `{word}`?"
        for place, keys in KEYS.items():
            if key in keys and (place not in ("`page`", "a page", "a link") or what == "the file"):
                return f"{sentence}; it belongs in {place}"
        if word := _close(key, known, 0.6):
            return f"{sentence}; did you mean `{word}`?"
    if what == "a monitor":
        return f"{sentence}, which may have {listed(COMMON, 'and')}, and the words of its kind"
    return f"{sentence}, which may have {listed(known, 'and')}"
