"""The mappings of the file: which keys each may have, and which kinds of monitor a key fits.

What is wrong with a key or its value is said once, and the default stands in for it: so reading goes on, and
all problems of a file are told at once.
"""

import difflib
import re
from collections.abc import Iterator
from typing import Final, NamedTuple, TypeVar

import yaml
from msgspec import Struct

from app.statusfile.problem import Problems, Wrong, listed, quote
from app.statusfile.targets import TARGETS
from app.statusfile.tree import PLAIN, is_list, is_mapping, is_null, is_scalar, kind_of, line_of, written
from app.statusfile.values import CONTROL, Reading

KINDS: Final = tuple(TARGETS)
_PROBED: Final = tuple(kind for kind in KINDS if kind != "push")

# Every key the file may have, by what it is a key of.
KEYS: Final[dict[str, tuple[str, ...]]] = {
    "the file": ("page", "groups", "components"),
    "`page`": ("name", "url", "time_zone"),
    "a group": ("name", "components"),
    "a component": ("name", "slug", "description", "monitors"),
    "a monitor": (
        *KINDS, "every", "timeout", "retries", "regions", "headers", "expect", "slug", "record", "grace",
    ),
    "`expect`": ("status", "body", "json", "header", "slower_than", "certificate_days", "answer"),
}  # fmt: skip

# The kinds that a key fits; those not named here fit every kind.
FITS: Final[dict[str, tuple[str, ...]]] = {
    "timeout": _PROBED,
    "retries": _PROBED,
    "regions": _PROBED,
    "expect": _PROBED,
    "headers": ("http",),
    "record": ("dns",),
    "grace": ("push",),
    "status": ("http",),
    "body": ("http",),
    "json": ("http",),
    "header": ("http",),
    "certificate_days": ("http", "tls"),
    "answer": ("dns",),
}

_EXAMPLES: Final = {
    "the file": "`components:` and a list of what to watch",
    "`page`": "`name: Acme Status`",
    "a group": "`name: Payments` and its `components`",
    "a component": "`name: Website`",
    "a monitor": "`http: https://example.com`",
    "`expect`": "`{status: 200}`",
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
    "headers": "header",
    "tz": "time_zone",
}

T = TypeVar("T")


class Naming(Struct, frozen=True):
    """How a user may name the entries of a mapping."""

    what: str
    pattern: re.Pattern[str]
    right: str
    any_case: bool = False

    def allows(self, name: str) -> bool:
        return len(name) <= 300 and not CONTROL.search(name) and self.pattern.fullmatch(name) is not None


HEADER: Final = Naming(
    "header", re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"), "write a name such as X-Request-Id", any_case=True
)
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
        self._pairs = _pairs(problems, node, what, _EXAMPLES[what])
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
                    found[name] = read(pair.value)
                except Wrong as wrong:
                    self._problems.add(line_of(wrong.node or pair.value), f"{what} {wrong}")
        return found

    def refuse_unfit(self, kind: str) -> None:
        for key in self._pairs:
            fits = FITS.get(key, KINDS)
            if kind and kind not in fits:
                self._problems.add(
                    self.line(key), f"`{key}` does not fit `{kind}`, only {listed(fits, 'and')}: take it out"
                )

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


def _subject(key: str, node: yaml.Node) -> str:
    # A URL is never repeated in an error: it may hold a key or a password.
    if key in ("http", "url") or not isinstance(node, yaml.ScalarNode) or is_null(node):
        return f"`{key}`"
    return quote(f"{key}: {written(node)}")


def _unknown(key: str, what: str) -> str:
    known = KEYS[what]
    sentence = f"{quote(key)} is not a key of {what}"
    if len(key) <= 40:
        if close := difflib.get_close_matches(key.lower(), known, n=1):
            return f"{sentence}; did you mean `{close[0]}`?"
        if (word := _ELSEWHERE.get(key.lower())) in known:
            return f"{sentence}; did you mean `{word}`?"
        for place, keys in KEYS.items():
            if key in keys and (place != "`page`" or what == "the file"):
                return f"{sentence}; it belongs in {place}"
    return f"{sentence}, which may have {listed(known, 'and')}"
