"""Config as code: the text of `statuswire.yaml` becomes a Catalog, or a list of all that is wrong with it,
each with its line and with what would be right.

The YAML is read as a tree of nodes and never built into objects. A node knows its line, and its text is
what was written: `no` is a region and `1.10` a name, whatever YAML thinks they are.
"""

import asyncio
import difflib
import gc
import ipaddress
import math
import re
import stat
import time
import unicodedata
import zoneinfo
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import urlsplit

import msgspec
import re2  # type: ignore[import-untyped]
import yaml
from msgspec import Struct

from app.domain.monitor import DEFAULT_REGION, Catalog, Component, Expect, Monitor, Page

try:
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # pragma: no cover (PyYAML was built without libyaml: the same, and slower)
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

LARGEST: Final = 4 * 1024 * 1024  # bytes
MOST_MONITORS: Final = 20_000
MOST_ENTRIES: Final = 500_000  # keys and values; a full file of 20,000 monitors has fewer
MOST_ALIASES: Final = 50
DEEPEST: Final = 20
MOST_PROBLEMS: Final = 50

KINDS: Final = ("http", "tcp", "dns", "tls", "icmp", "push")

# Every key the file may have, by what it is a key of.
KEYS: Final[Mapping[str, tuple[str, ...]]] = {
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
FITS: Final[Mapping[str, tuple[str, ...]]] = {
    "timeout": ("http", "tcp", "dns", "tls", "icmp"),
    "retries": ("http", "tcp", "dns", "tls", "icmp"),
    "regions": ("http", "tcp", "dns", "tls", "icmp"),
    "expect": ("http", "tcp", "dns", "tls", "icmp"),
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

RECORDS: Final = (
    "A", "AAAA", "CAA", "CNAME", "DNSKEY", "DS", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SOA", "SRV", "SVCB",
    "TLSA", "TXT",
)  # fmt: skip

# What people write who come from elsewhere, and difflib would not find.
_ELSEWHERE = {
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


class Problem(Struct, frozen=True):
    """`line` 0 is the file as a whole."""

    line: int
    message: str


class StatusFileError(ValueError):
    """All that is wrong with a file, by line. `more` counts the problems beyond the first fifty."""

    def __init__(self, problems: Iterable[Problem], name: str = "statuswire.yaml", more: int = 0) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.line)
        self.name = name
        self.more = more
        super().__init__(str(self))

    def __str__(self) -> str:
        lines = [
            f"{self.name}:{problem.line}: {problem.message}"
            if problem.line
            else f"{self.name}: {problem.message}"
            for problem in self.problems
        ]
        if self.more:
            lines.append(f"{self.name}: and {self.more} more problems")
        return "\n".join(lines)


def load(path: str | Path) -> Catalog:
    """Raises StatusFileError, also for a file that is not there."""
    name = str(path)
    return _understand(_read(path, name), name)


def parse(text: str, name: str = "statuswire.yaml") -> Catalog:
    file = _File()
    try:
        with _no_collection():
            catalog = file.catalog(_tree(text.removeprefix("\ufeff")))
    except _Hopeless as hopeless:
        file.wrong(hopeless.line, str(hopeless))
    if file.problems:
        raise StatusFileError(file.problems, name, file.more)
    return catalog


def warnings(catalog: Catalog) -> list[str]:
    """What a catalog may say and had better not: sentences for an operator, with advice."""
    found = []
    for monitor in catalog.monitors():
        for header, value in monitor.headers.items():
            if _SECRET_HEADER.search(header) and not _VARIABLE.search(value):
                found.append(
                    f"monitor `{monitor.key}` has the value of its header `{header}` in the file, and so in "
                    f"Redis and the database: write ${{NAME}} and set NAME in the workers' environment"
                )
        if monitor.kind == "push":
            found.append(
                f"monitor `{monitor.key}` waits for heartbeats, which this version does not receive yet: "
                f"the page shows no data for it"
            )
    return found


# An editor's half-written file is whole again after this, in seconds.
_PATIENCE: Final = 0.3
# Some file systems keep times to two seconds: a younger file may change without looking changed.
_YOUNG: Final = 3.0


async def watch(path: str | Path, every: float = 1.0) -> AsyncIterator[Catalog | StatusFileError]:
    """The file as it stands, then again each time its content has become another, for ever. Reading and
    parsing happen in a thread: 10,000 monitors must not hold up the pushes."""
    signature: tuple[int, ...] | str | None = None
    told: str | None = None
    while True:
        before, signature = signature, await asyncio.to_thread(_signature, path)
        if signature != before or _is_young(signature):
            seen = await asyncio.to_thread(_look, path)
            if seen.digest != told:
                seen, found = await _settle(path, seen)
                if seen.digest != told:
                    told = seen.digest
                    yield found
        await asyncio.sleep(every)


class _Seen(Struct, frozen=True):
    """What one look at the file found: its bytes, or why there are none."""

    content: bytes
    error: StatusFileError | None
    digest: str


async def _settle(path: str | Path, seen: _Seen) -> tuple[_Seen, Catalog | StatusFileError]:
    """Half a file can be a good one with fewer monitors, so a new content is believed once it is the same
    on a second look; a bad one is given one chance more, because a rename leaves a moment with no file."""
    for _ in range(10):
        await asyncio.sleep(_PATIENCE / 3)
        again = await asyncio.to_thread(_look, path)
        if again.digest == seen.digest:
            break
        seen = again
    found = await asyncio.to_thread(_judge, path, seen)
    if isinstance(found, StatusFileError):
        await asyncio.sleep(_PATIENCE)
        again = await asyncio.to_thread(_look, path)
        if again.digest != seen.digest:
            return again, await asyncio.to_thread(_judge, path, again)
    return seen, found


def _signature(path: str | Path) -> tuple[int, ...] | str:
    try:
        found = Path(path).stat()
    except (OSError, ValueError) as error:
        return repr(error)
    # ctime is the one time that a program which restores mtime cannot set.
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_mode


def _is_young(signature: tuple[int, ...] | str | None) -> bool:
    return isinstance(signature, tuple) and abs(time.time() - signature[0] / 1e9) < _YOUNG


def _look(path: str | Path) -> _Seen:
    try:
        content = _read(path, str(path))
    except StatusFileError as error:
        return _Seen(b"", error, str(error))
    return _Seen(content, None, sha256(content).hexdigest())


def _judge(path: str | Path, seen: _Seen) -> Catalog | StatusFileError:
    if seen.error is not None:
        return seen.error
    try:
        return _understand(seen.content, str(path))
    except StatusFileError as error:
        return error


def _read(path: str | Path, name: str) -> bytes:
    try:
        # Opening a pipe would wait for its other end.
        mode = Path(path).stat().st_mode
        if stat.S_ISREG(mode):
            with open(path, "rb") as file:
                return file.read(LARGEST + 1)
        what = "it is a directory" if stat.S_ISDIR(mode) else "it is not a regular file"
        sentence = f"{what}: name the YAML file itself with --config or STATUSWIRE_CONFIG"
    except FileNotFoundError:
        sentence = "there is no such file: write it, or name another with --config or STATUSWIRE_CONFIG"
    except PermissionError:
        sentence = (
            "this process may not read it: give its user the permission to read the file and its directory"
        )
    except (OSError, ValueError) as error:
        sentence = (
            f"it cannot be read ({getattr(error, 'strerror', None) or error}): give the name of a YAML file"
        )
    raise StatusFileError([Problem(0, sentence)], name)


def _understand(content: bytes, name: str) -> Catalog:
    try:
        # What was cut off at the limit may end within a letter; it is refused for its size.
        return parse(content.decode(errors="replace" if len(content) > LARGEST else "strict"), name)
    except UnicodeDecodeError as error:
        if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
            problem = Problem(0, "the file is UTF-16: save it as UTF-8")
        else:
            line = content.count(b"\n", 0, error.start) + 1
            problem = Problem(
                line, f"the byte 0x{content[error.start]:02X} is not UTF-8: save the file as UTF-8"
            )
    raise StatusFileError([problem], name)


@contextmanager
def _no_collection() -> Iterator[None]:
    """The tree holds no cycles, and searching it for them again and again takes longer than reading it: for
    10,000 monitors 3.6 s, and the event loop was held for up to 400 ms. Without it is 1.4 s and 50 ms."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Hopeless(Exception):
    """A problem after which there is nothing left to read."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class _Bounded:
    """Ends composing before a hostile file has cost much: C recursion without a bound kills the process, and
    500,000 nodes are about 250 MB. It also keeps YAML from guessing at types."""

    depth = 0
    entries = 0

    def descend_resolver(self, parent: Any, index: Any) -> None:
        self.depth += 1
        self.entries += 1
        if self.depth > DEEPEST:
            raise _Hopeless(_line(parent), f"this is nested more than {DEEPEST} deep: take levels out")
        if self.entries > MOST_ENTRIES:
            raise _Hopeless(
                _line(parent), f"the file has more than {MOST_ENTRIES:,} keys and values: take some out"
            )

    def ascend_resolver(self) -> None:
        self.depth -= 1

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        # Asked only about nodes without a tag of their own, so any other tag is one that somebody wrote.
        return _PLAIN if kind is yaml.ScalarNode and implicit[0] else _UNTAGGED


class _Loader(_Bounded, _SafeLoader):
    pass


_PLAIN: Final = "plain"  # a scalar without quotes
_UNTAGGED: Final = ""

# `${NAME}` without quotes is no YAML inside { }. While YAML is parsed its braces are these two code points,
# which Unicode keeps for a program's own use; lines and columns stay what they are.
_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
_UNQUOTED_VARIABLE = re.compile(r"\$\{([^\s{}\[\],\"']{0,100})\}")
_ALIAS = re.compile(r"\*(?<![^\s\[\]{},:?-]\*)\S")
_NOT_IN_YAML = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufdcf\ufdd2-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)

# What YAML's parser says, and what would be right.
_ADVICE: Final = (
    ("cannot start any token", "put a value that begins with a sign such as @ ` % in quotes"),
    (
        "mapping values are not allowed",
        "put a value that holds a colon and a blank in quotes, or check the indentation",
    ),
    ("expected ',' or", "close each { and [, put commas between entries and quotes around signs in a value"),
    ("could not find expected ':'", "put a colon and a blank after each key"),
    ("undefined alias", "define the anchor with & before its first alias"),
    ("duplicate anchor", "give each anchor another name"),
    ("another document", "keep it to one document, without a line of --- in the middle"),
    ("end of stream", "close the quotes"),
    ("escape", "write a backslash in double quotes twice, or use single quotes"),
    ("", "check the indentation, colons and quotes around this line"),
)


def _tree(text: str) -> yaml.Node:
    if len(text) > LARGEST or len(text.encode(errors="replace")) > LARGEST:
        raise _Hopeless(0, f"the file is larger than {LARGEST // 1024 // 1024} MiB: take something out")
    if odd := _NOT_IN_YAML.search(text):
        line = text.count("\n", 0, odd.start()) + 1
        raise _Hopeless(line, f"the character U+{ord(odd[0]):04X} may not be in the file: take it out")
    try:
        root = yaml.compose(_UNQUOTED_VARIABLE.sub(rf"${_OPEN}\1{_CLOSE}", text), Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise _no_yaml(text, error) from None
    # The loader in Python lets some errors of its own through, as for "\UFFFFFFFF".
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise _Hopeless(0, f"this is not YAML ({_cut(str(error))}): check the quotes and escapes") from None
    if root is None:
        raise _Hopeless(0, "the file is empty: begin with `components:` and a list of what to watch")
    if _ALIAS.search(text):
        _unfold(root)
    return root


def _no_yaml(text: str, error: yaml.MarkedYAMLError) -> _Hopeless:
    mark = error.problem_mark or error.context_mark
    problem = (error.problem or "").replace(_OPEN, "{").replace(_CLOSE, "}")
    line = mark.line + 1 if mark else 0
    written = text.split("\n")[line - 1] if mark and line <= text.count("\n") + 1 else ""
    if "\t" in written[: len(written) - len(written.lstrip())]:
        advice = "indent with blanks, never with tabs"
    elif re.search(r": *\[[0-9a-fA-F]*:", written):
        advice = "put an IPv6 address in brackets in quotes too"
    else:
        advice = next(advice for said, advice in _ADVICE if said in problem)
    return _Hopeless(line, f"this is not YAML ({_cut(problem)}): {advice}")


def _unfold(root: yaml.Node) -> None:
    """Refuse aliases that would make the file too deep, too large or endless, without ever following one
    twice: nine lines of YAML can stand for a billion entries."""
    measured: dict[int, tuple[int, int] | None] = {}
    aliases = 0

    def measure(node: yaml.Node, parent: yaml.Node) -> tuple[int, int]:
        nonlocal aliases
        if id(node) in measured:
            aliases += 1
            if aliases > MOST_ALIASES:
                raise _Hopeless(
                    _line(parent),
                    f"this is one alias too many: at most {MOST_ALIASES} in a file, so write it out",
                )
            if (known := measured[id(node)]) is None:
                raise _Hopeless(_line(node), "this anchor holds an alias of itself: write out what is meant")
            return known
        measured[id(node)] = None
        size, height = 1, 0
        for child, beside in _children(node):
            its_size, its_height = measure(child, beside)
            size, height = size + its_size, max(height, its_height)
        if size > MOST_ENTRIES or height + 1 > DEEPEST:
            raise _Hopeless(
                _line(node),
                "its aliases make this too large or too deep: use fewer of them inside each other",
            )
        measured[id(node)] = size, height + 1
        return size, height + 1

    measure(root, root)


def _children(node: yaml.Node) -> Iterable[tuple[yaml.Node, yaml.Node]]:
    """Each with a node that stands beside it: an alias has no place of its own in the tree."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key, node
            yield value, key
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield item, node


class _Wrong(Exception):
    """The rest of a sentence that begins with the value. `node` if it is a part of the value."""

    def __init__(self, message: str, node: yaml.Node | None = None) -> None:
        super().__init__(message)
        self.node = node


Reading: TypeAlias = Callable[[yaml.Node], T]


class _File:
    """One reading of one file: what was found so far, and where."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.more = 0
        self._groups: dict[str, int] = {}
        self._slugs: dict[str, int] = {}
        self._keys: dict[str, int] = {}
        self._monitors = 0

    def catalog(self, root: yaml.Node) -> Catalog:
        said = self.mapping(root, "the file", "`components:` and a list of what to watch")
        page = Page()
        groups: list[str] = []
        components: list[Component] = []
        # The sections may come in any order, and the page keeps it.
        for section, node in said.nodes.items():
            if section == "page":
                page = self._page(self.mapping(node, "`page`", "`name: Acme Status`"))
            elif section == "components":
                components += self._components(said, None)
            else:
                for entry in said.entries("groups"):
                    group = self.mapping(entry, "a group", "`name: Payments` and its `components`")
                    groups.append(self._group_name(group))
                    components += self._components(group, groups[-1])
        return Catalog(page=page, groups=tuple(groups), components=tuple(components))

    def mapping(self, node: yaml.Node, what: str, example: str) -> "_Mapping":
        """Its keys are known and unique. It is empty if the node is something else, and then that is said."""
        nodes, lines = self.pairs(node, what, example)
        for key in [key for key in nodes if key not in KEYS[what]]:
            del nodes[key]
            if what == "the file" and key.startswith("x-"):
                continue  # a place for anchors
            # To look for the nearest word is slow, and beyond fifty problems nobody reads it.
            self.wrong(lines[key], "" if self._is_full() else _unknown(key, what))
        return _Mapping(self, node, nodes, lines)

    def pairs(self, node: yaml.Node, what: str, example: str) -> tuple[dict[str, yaml.Node], dict[str, int]]:
        """The value and the line of each key, those that `<<` brings in included."""
        nodes: dict[str, yaml.Node] = {}
        lines: dict[str, int] = {}
        if not isinstance(node, yaml.MappingNode) or node.tag != _UNTAGGED:
            self.wrong(node, f"{what} must be a mapping, such as {example}, not {_kind_of(node)}")
            return nodes, lines
        merged: yaml.Node | None = None
        for key_node, value in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag not in (_PLAIN, _UNTAGGED):
                self.wrong(key_node, f"a key must be a plain word, not {_kind_of(key_node)}")
                continue
            key = _raw(key_node)
            if key in lines:
                self.wrong(
                    key_node, f"{_quote(key)} is already given on line {lines[key]}: keep one of the two"
                )
                continue
            lines[key] = _line(key_node)
            if key == "<<" and key_node.tag == _PLAIN:
                merged = value
            else:
                nodes[key] = value
        if merged is not None:
            for source in merged.value if isinstance(merged, yaml.SequenceNode) else [merged]:
                its_nodes, its_lines = self.pairs(source, "what `<<` names", "`<<: *defaults`")
                # The mapping's own keys stand first and win; of several sources the earlier.
                nodes |= {key: value for key, value in its_nodes.items() if key not in nodes}
                lines |= {key: line for key, line in its_lines.items() if key not in lines}
        return nodes, lines

    def wrong(self, where: yaml.Node | int, message: str) -> None:
        problem = Problem(where if isinstance(where, int) else _line(where), message)
        if self._is_full():
            self.more += 1
        elif problem not in self.problems:  # what an alias repeats is said once
            self.problems.append(problem)

    def is_first(self, places: dict[str, int], key: str, line: int, what: str, remedy: str) -> bool:
        """False if `key` was used before, and then that is said."""
        if key not in places:
            places[key] = line
            return True
        self.wrong(line, f"{what} is already used on line {places[key]}: {remedy}")
        return False

    def _is_full(self) -> bool:
        return len(self.problems) >= MOST_PROBLEMS

    def _page(self, said: "_Mapping") -> Page:
        return Page(
            name=said.take("name", _name, Page().name),
            url=said.take("url", _page_url, None),
            time_zone=said.take("time_zone", _time_zone, Page().time_zone),
        )

    def _group_name(self, said: "_Mapping") -> str:
        name = said.need("name", _name, "a group", "name: Payments")
        if name:
            self.is_first(
                self._groups, name, said.line("name"), f"group name {_quote(name)}", "put both in one group"
            )
        return name

    def _components(self, said: "_Mapping", group: str | None) -> list[Component]:
        return [self._component(node, group) for node in said.entries("components")]

    def _component(self, node: yaml.Node, group: str | None) -> Component:
        said = self.mapping(node, "a component", "`name: Website`")
        name = said.need("name", _name, "a component", "name: Website")
        slug = self._slug(said, name)
        kinds: Counter[str] = Counter()
        monitors = [self._monitor(entry, slug, kinds) for entry in said.entries("monitors")]
        return Component(
            slug=slug,
            name=name,
            description=said.take("description", _description, ""),
            group=group,
            monitors=tuple(monitors),
        )

    def _slug(self, said: "_Mapping", name: str) -> str:
        if "slug" in said.nodes:
            slug, line = said.take("slug", _slug, ""), said.line("slug")
        else:
            slug, line = _slug_of(name), said.line("name")
            if name and not slug:
                self.wrong(
                    line,
                    f"no slug can be made from the name {_quote(name)}, which has no letter from a to z and "
                    f"no digit: give the component one, such as `slug: api`",
                )
        if slug:
            remedy = "give one of them another `slug`"
            self.is_first(self._slugs, slug, line, f"slug `{slug}`", remedy)
        return slug

    def _monitor(self, node: yaml.Node, component: str, kinds: Counter[str]) -> Monitor:
        self._monitors += 1
        if self._monitors > MOST_MONITORS:
            raise _Hopeless(
                _line(node),
                f"this is one monitor too many: at most {MOST_MONITORS:,} in a file, so take some out",
            )
        said = self.mapping(node, "a monitor", "`http: https://example.com`")
        kind = self._kind(said)
        said.refuse_unfit(kind)
        every = said.take("every", _every, 30.0)
        timeout = said.take("timeout", _timeout, min(5.0, every))
        if timeout > every:
            self.wrong(
                said.line("timeout"),
                f"`timeout` ({timeout:g}s) must not be longer than `every` ({every:g}s): "
                f"a probe has to end before the next one begins",
            )
        target = said.take(kind, _TARGETS[kind], "") if kind else ""
        record = said.take("record", _record, "A")
        if kind == "dns" and record != "PTR" and _is_ip(target.partition("@")[0]):
            self.wrong(
                said.line("dns"),
                "`dns` takes a name: write one, or add `record: PTR` to look up an address",
            )
        # Heartbeats are a later feature. `grace` is checked already, so that no file will break with it.
        said.take("grace", _grace, 0.0)
        return Monitor(
            key=self._key(said, component, kind, kinds),
            kind=kind,
            target=target,
            every=every,
            timeout=timeout,
            retries=said.take("retries", _retries, 1),
            regions=said.take("regions", _regions, (DEFAULT_REGION,)),
            headers=said.named("headers", _header_value, "{User-Agent: statuswire}", _HEADER),
            expect=self._expect(said, kind, timeout),
            record=record,
        )

    def _kind(self, said: "_Mapping") -> str:
        """Empty if there is not exactly one."""
        kinds = [key for key in said.nodes if key in KINDS]
        if len(kinds) == 1:
            return kinds[0]
        if kinds:
            self.wrong(
                said.line(kinds[1]),
                f"a monitor probes one thing, and this one has `{kinds[0]}` on line {said.line(kinds[0])} "
                f"and `{kinds[1]}`: make two monitors of it",
            )
        elif isinstance(said.node, yaml.MappingNode):
            self.wrong(
                said.node,
                f"a monitor needs one of {_listed(KINDS, 'or')}, such as `http: https://example.com`",
            )
        return ""

    def _key(self, said: "_Mapping", component: str, kind: str, kinds: Counter[str]) -> str:
        # Those with a slug are counted too: to give one a slug must not rename the others.
        kinds[kind] += 1
        if "slug" not in said.nodes:
            return f"{component}/{kind}" if kinds[kind] == 1 else f"{component}/{kind}-{kinds[kind]}"
        if slug := said.take("slug", _slug, ""):
            remedy = "give one of them another `slug`"
            self.is_first(self._keys, slug, said.line("slug"), f"monitor slug `{slug}`", remedy)
        return slug

    def _expect(self, monitor: "_Mapping", kind: str, timeout: float) -> Expect:
        if "expect" not in monitor.nodes:
            return Expect()
        said = self.mapping(monitor.nodes["expect"], "`expect`", "`{status: 200}`")
        said.refuse_unfit(kind)
        slower_than = said.take("slower_than", _slower_than, None)
        if slower_than is not None and slower_than >= timeout:
            self.wrong(
                said.line("slower_than"),
                f"`slower_than` ({slower_than:g}s) is never reached, because `timeout` is {timeout:g}s: "
                f"make it shorter than that, or `timeout` longer",
            )
        return Expect(
            status=said.take("status", _status, ()),
            body=said.take("body", _body, None),
            json=said.named("json", _json, "{$.status: ok}", _JSON_PATH),
            header=said.named("header", _short_text, "{Server: nginx}", _HEADER),
            slower_than=slower_than,
            certificate_days=said.take("certificate_days", _certificate_days, None),
            answer=said.take("answer", _answer, ()),
        )


class _Mapping:
    """One mapping of the file. A value that is wrong is said once, and the default stands in for it, so that
    reading goes on."""

    def __init__(
        self, file: _File, node: yaml.Node, nodes: dict[str, yaml.Node], lines: dict[str, int]
    ) -> None:
        self.node = node
        self.nodes = nodes
        self._file = file
        self._lines = lines

    def line(self, key: str) -> int:
        return self._lines.get(key) or _line(self.node)

    def take(self, key: str, read: Reading[T], default: T) -> T:
        if (node := self.nodes.get(key)) is None:
            return default
        try:
            return read(node)
        except _Wrong as wrong:
            self._file.wrong(wrong.node or node, f"{_subject(key, wrong.node or node)} {wrong}")
            return default

    def need(self, key: str, read: Reading[str], what: str, example: str) -> str:
        """Empty if it is not there or is wrong."""
        if key not in self.nodes and isinstance(self.node, yaml.MappingNode):
            self._file.wrong(self.node, f"{what} needs a `{key}`, such as `{example}`")
        return self.take(key, read, "")

    def entries(self, key: str) -> list[yaml.Node]:
        if (node := self.nodes.get(key)) is None:
            return []
        if isinstance(node, yaml.SequenceNode) and node.tag == _UNTAGGED:
            return list(node.value)
        self._file.wrong(node, f"`{key}` must be a list, each entry of it after a `- `, not {_kind_of(node)}")
        return []

    def named(self, key: str, read: Reading[str], example: str, named: "_Named") -> dict[str, str]:
        """A mapping whose keys the user chooses."""
        if (node := self.nodes.get(key)) is None:
            return {}
        found: dict[str, str] = {}
        places: dict[str, int] = {}
        nodes, lines = self._file.pairs(node, f"`{key}`", f"`{example}`")
        for name, value in nodes.items():
            what = f"{named.what} {_quote(name)}"
            if len(name) > 300 or _CONTROL.search(name) or not named.pattern.fullmatch(name):
                self._file.wrong(lines[name], f"{what} is none: {named.right}")
                continue
            alike = name.lower() if named.any_case else name
            if self._file.is_first(places, alike, lines[name], what, "keep one of the two"):
                try:
                    found[name] = read(value)
                except _Wrong as wrong:
                    self._file.wrong(wrong.node or value, f"{what} {wrong}")
        return found

    def refuse_unfit(self, kind: str) -> None:
        for key in self.nodes:
            fits = FITS.get(key, KINDS)
            if kind and kind not in fits:
                self._file.wrong(
                    self.line(key), f"`{key}` does not fit `{kind}`, only {_listed(fits, 'and')}: take it out"
                )


class _Named(Struct, frozen=True):
    """What a user may call the entries of a mapping."""

    what: str
    pattern: re.Pattern[str]
    right: str
    any_case: bool = False


_HEADER = _Named(
    "header", re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"), "write a name such as X-Request-Id", any_case=True
)
_JSON_PATH = _Named(
    "json path",
    re.compile(r"""\$(\.[^.\[\]\s'"]+|\[[0-9]{1,9}\]|\['[^']+'\]|\["[^"]+"\]){0,20}"""),
    "write it as $.name, $.list[0] or $['a name'], with up to 20 steps",
)

_SECRET_HEADER = re.compile(r"authorization|cookie|token|secret|password|api-?key|session", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]{0,63}\}")
# Cc, line and paragraph separators, surrogates, and the signs that turn the direction of what follows.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_CONTROL_BUT_LINES = re.compile(_CONTROL.pattern.replace("\x00-\x1f", "\x00-\x08\x0b\x0c\x0e-\x1f"))


def _line(node: yaml.Node | None) -> int:
    return int(node.start_mark.line) + 1 if node is not None else 1


def _raw(node: yaml.Node) -> str:
    return str(node.value).replace(_OPEN, "{").replace(_CLOSE, "}")


def _cut(text: str, longest: int = 60) -> str:
    shown = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text[:longest])
    return shown if len(text) <= longest else f"{shown}..."


def _quote(text: str) -> str:
    return f"`{_cut(text)}`"


def _listed(words: Iterable[str], link: str) -> str:
    *most, last = (f"`{word}`" for word in words)
    return f"{', '.join(most)} {link} {last}" if most else last


def _kind_of(node: yaml.Node) -> str:
    if node.tag not in (_PLAIN, _UNTAGGED):
        return f"a value with the YAML tag {_tag(node)}"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    # The text itself is not repeated: it may be a secret that was put one level too high.
    return "nothing" if _is_null(node) else "plain text"


def _tag(node: yaml.Node) -> str:
    return _quote(str(node.tag).replace("tag:yaml.org,2002:", "!!"))


def _is_null(node: yaml.Node) -> bool:
    return node.tag == _PLAIN and node.value in ("", "~", "null", "Null", "NULL")


def _subject(key: str, node: yaml.Node) -> str:
    # A URL is never repeated in an error: it may hold a key or a password.
    if key in ("http", "url") or not isinstance(node, yaml.ScalarNode) or _is_null(node):
        return f"`{key}`"
    return _quote(f"{key}: {_raw(node)}")


def _unknown(key: str, what: str) -> str:
    known = KEYS[what]
    sentence = f"{_quote(key)} is not a key of {what}"
    if len(key) <= 40:
        if close := difflib.get_close_matches(key.lower(), known, n=1):
            return f"{sentence}; did you mean `{close[0]}`?"
        if (word := _ELSEWHERE.get(key.lower())) in known:
            return f"{sentence}; did you mean `{word}`?"
        for place, keys in KEYS.items():
            if key in keys and (place != "`page`" or what == "the file"):
                return f"{sentence}; it belongs in {place}"
    return f"{sentence}, which may have {_listed(known, 'and')}"


def _scalar(node: yaml.Node) -> str:
    if node.tag not in (_PLAIN, _UNTAGGED):
        raise _Wrong(f"has the YAML tag {_tag(node)}: no value may have one, so write the plain value", node)
    if not isinstance(node, yaml.ScalarNode):
        raise _Wrong(f"must be one value, not {_kind_of(node)}", node)
    if _is_null(node):
        raise _Wrong("has no value: give it one, or leave the key out", node)
    return _raw(node)


def _text(node: yaml.Node, longest: int, lines: bool = False, variables: bool = False) -> str:
    text = _scalar(node)
    if odd := (_CONTROL_BUT_LINES if lines else _CONTROL).search(text):
        raise _Wrong(f"holds the control character U+{ord(odd[0]):04X}: take it out", node)
    if len(text) > longest:
        raise _Wrong(f"is too long ({len(text):,} characters): at most {longest:,}", node)
    if not text.strip():
        raise _Wrong("is empty: give it a value, or leave the key out", node)
    if variables:
        if "${" in _VARIABLE.sub("", text):
            raise _Wrong("has a `${` that begins no variable: write ${NAME}, of A-Z, a-z, 0-9 and _", node)
    elif variable := _VARIABLE.search(text):
        raise _Wrong(
            f"holds `{variable[0]}`, and variables are filled in only in header values and http URLs: "
            f"write the value itself",
            node,
        )
    return text


def _short_text(node: yaml.Node) -> str:
    return _text(node, 1000)


def _texts(node: yaml.Node, read: Reading[T]) -> list[T]:
    """One value, or a list of them."""
    if not isinstance(node, yaml.SequenceNode):
        return [read(node)]
    if node.tag != _UNTAGGED:
        raise _Wrong(f"has the YAML tag {_tag(node)}: no value may have one, so write the plain list")
    if not node.value:
        raise _Wrong("is an empty list: put something in it, or leave the key out")
    if len(node.value) > 100:
        raise _Wrong(f"has {len(node.value):,} entries: at most 100")
    return [read(item) for item in node.value]


def _name(node: yaml.Node) -> str:
    return _text(node, 80).strip()


def _description(node: yaml.Node) -> str:
    return " ".join(_text(node, 300, lines=True).split())


_SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?")
_REGION = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_SPELLED = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ł": "l", "þ": "th"})


def _slug(node: yaml.Node) -> str:
    text = _scalar(node)
    if not _SLUG.fullmatch(text):
        raise _Wrong(
            f"must be 1 to 64 of a-z, 0-9 and inner hyphens, such as {_slug_of(text) or 'payments-api'}"
        )
    return text


def _slug_of(name: str) -> str:
    folded = unicodedata.normalize("NFKD", name[:200].lower().translate(_SPELLED))
    ascii = folded.encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii).strip("-")[:64].strip("-")


def _regions(node: yaml.Node) -> tuple[str, ...]:
    regions = _texts(node, _region)
    if len(set(regions)) < len(regions):
        raise _Wrong("names a region twice, and each has one vote: keep one of the two")
    return tuple(regions)


def _region(node: yaml.Node) -> str:
    text = _scalar(node)
    if not _REGION.fullmatch(text):
        raise _Wrong("must be 1 to 32 of a-z, 0-9 and inner hyphens, such as eu-west", node)
    return text


_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)")


def _duration(node: yaml.Node) -> float:
    text = _scalar(node)
    if match := _DURATION.fullmatch(text):
        number, unit = float(match[1]), match[2]
        # 0.001 is no binary fraction: 9 of them are not quite 0.009.
        return number / 1000 if unit == "ms" else number * _UNITS[unit]
    if re.fullmatch(r"[0-9]{1,6}(\.[0-9]+)?", text):
        raise _Wrong(f"has no unit: write {text}s for seconds, or use ms, m, h or d")
    raise _Wrong("is not a duration: write one number and one unit, such as 500ms, 30s, 5m, 1h or 7d")


def _duration_from(shortest: float, longest: float, words: tuple[str, str]) -> Reading[float]:
    def read(node: yaml.Node) -> float:
        seconds = _duration(node)
        if seconds < shortest:
            raise _Wrong(f"is too short: at least {words[0]}")
        if seconds > longest:
            raise _Wrong(f"is too long: at most {words[1]}")
        return seconds

    return read


_every = _duration_from(1, 7 * 86400, ("1s", "7d"))
_timeout = _duration_from(0.001, 60, ("1ms", "60s"))
_slower_than: Reading[float | None] = _duration_from(0.001, 60, ("1ms", "60s"))
_grace = _duration_from(0, 7 * 86400, ("0s", "7d"))


def _retries(node: yaml.Node) -> int:
    text = _scalar(node)
    if not re.fullmatch(r"[0-9]|10", text):
        raise _Wrong("must be a whole number from 0 to 10")
    return int(text)


def _certificate_days(node: yaml.Node) -> float | None:
    text = _scalar(node)
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,6})?", text) or not 0 < float(text) <= 3650:
        raise _Wrong("must be a number of days from 1 to 3650, without a unit, such as 14")
    return float(text)


def _record(node: yaml.Node) -> str:
    text = _scalar(node)
    if text.upper() not in RECORDS:
        raise _Wrong(f"is not a record type that we ask for: use one of {', '.join(RECORDS)}")
    return text.upper()


def _status(node: yaml.Node) -> tuple[tuple[int, int], ...]:
    return tuple(span for spans in _texts(node, _status_spans) for span in spans)


def _status_spans(node: yaml.Node) -> list[tuple[int, int]]:
    spans = []
    for part in _text(node, 200).split(","):
        match = re.fullmatch(r" *([1-5][0-9]{2}) *(?:- *([1-5][0-9]{2}))? *", part)
        if not match:
            raise _Wrong("is not a status: write 200, 200-299 or 200,204, from 100 to 599", node)
        low, high = int(match[1]), int(match[2] or match[1])
        if low > high:
            raise _Wrong(f"runs backwards: write {high}-{low}", node)
        spans.append((low, high))
    return spans


# A quarter of what workers allow: whatever passes here compiles there.
_RE2 = re2.Options()
_RE2.max_mem = 2 << 20
_RE2.log_errors = False


def _body(node: yaml.Node) -> str | None:
    """The regular expression between slashes, or one that finds the text."""
    text = _text(node, 502, lines=True)
    if re.fullmatch(r"(?s)/.+/[ims]{1,3}", text):
        raise _Wrong("has flags after the slash: write them inside, as in /(?i)ok/")
    if len(text) < 2 or not (text.startswith("/") and text.endswith("/")):
        # A block scalar ends in a line break that nobody means.
        return _pattern(str(re2.escape(text.strip("\r\n"))))
    if text == "//":
        raise _Wrong("is an empty regular expression: put something between the slashes")
    return _pattern(text[1:-1])


def _pattern(pattern: str) -> str:
    if len(pattern) > 500:
        raise _Wrong(f"makes a pattern of {len(pattern)} characters: at most 500")
    try:
        re2.compile(pattern, _RE2)
    except re2.error as error:
        said = error.args[0].decode(errors="replace")
        raise _Wrong(
            f"is not a regular expression in RE2 syntax ({_cut(said)}): see github.com/google/re2"
        ) from None
    return pattern


_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def _json(node: yaml.Node) -> str:
    """A number, true, false or null in JSON's own spelling and without quotes is that; the rest is text."""
    found = "".join(_json_parts(node))
    if len(found) > 4096:
        raise _Wrong("expects more than 4096 characters of JSON: expect a smaller part of it")
    return found


def _json_parts(node: yaml.Node) -> Iterable[str]:
    if isinstance(node, yaml.ScalarNode):
        return [_json_scalar(node)]
    if node.tag != _UNTAGGED:
        raise _Wrong(f"has the YAML tag {_tag(node)}: no value may have one, so write the plain value", node)
    if isinstance(node, yaml.SequenceNode):
        return ["[", ",".join(_json(item) for item in node.value), "]"]
    found: dict[str, str] = {}
    for key, value in node.value:
        name = _as_json(_text(key, 300))
        if name in found:
            raise _Wrong(f"has the key {_quote(_raw(key))} twice: keep one of the two", key)
        found[name] = _json(value)
    return ["{", ",".join(f"{name}:{value}" for name, value in found.items()), "}"]


def _json_scalar(node: yaml.ScalarNode) -> str:
    if node.tag == _PLAIN:
        text = _raw(node)
        if text in ("true", "false", "null"):
            return text
        if _NUMBER.fullmatch(text):
            if len(text) > 40 or not math.isfinite(float(text)):
                raise _Wrong("is a number too large to compare: put it in quotes if it is text", node)
            return text
    elif node.tag == _UNTAGGED and not node.value:
        return '""'
    return _as_json(_text(node, 1000, lines=True))


def _as_json(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _answer(node: yaml.Node) -> tuple[str, ...]:
    return tuple(text.strip() for text in _texts(node, _short_text))


def _header_value(node: yaml.Node) -> str:
    text = _text(node, 4096, variables=True).strip()
    if not text.isascii():
        raise _Wrong("has a letter that is not ASCII, which HTTP does not carry: encode it", node)
    return text


def _page_url(node: yaml.Node) -> str | None:
    return _url(node, _text(node, 2000))


def _http(node: yaml.Node) -> str:
    text = _text(node, 2000, variables=True)
    # A variable may stand for a host, a port or a part of the path, so for a number.
    _url(node, _VARIABLE.sub("1", text))
    return text


def _url(node: yaml.Node, text: str) -> str:
    if re.search(r"\s", text):
        raise _Wrong("has a blank in it: write %20 for each", node)
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        raise _Wrong("has a host or port that cannot be read: write https://example.com:8443", node) from None
    if url.scheme not in ("http", "https") or not host:
        raise _Wrong("must be a whole URL, from http:// or https:// on, such as https://example.com", node)
    if "@" in url.netloc:
        raise _Wrong("must not hold a user or password: put `Authorization: ${NAME}` into `headers`", node)
    if not (_is_host(host) or _is_ip(host) or not host.isascii()):
        raise _Wrong("has a host that is none: write one such as https://example.com", node)
    return text


_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_host(text: str) -> bool:
    return len(text) <= 253 and _HOST.fullmatch(text) is not None


def _checked_host(text: str, example: str) -> str:
    """A name or an address, without brackets."""
    if "://" in text:
        raise _Wrong(f"must not be a URL: write {example}")
    if not text.isascii():
        raise _Wrong("has a letter that is not ASCII: write the name as DNS has it, which begins with xn--")
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if _is_ip(bare):
        return bare
    # 1.2.3 and 256.1.1.1 look like names to DNS, and are none.
    if not _is_host(text) or text.rstrip(".").rpartition(".")[2].isdigit():
        raise _Wrong(f"is neither a host name nor an IP address: write {example}")
    return text


def _endpoint(text: str, port: str, example: str) -> str:
    """`host:port`, an IPv6 address in brackets. `port` stands in for one that is not given, unless empty."""
    if ":" in text and _is_ip(text):
        raise _Wrong(f"is an IPv6 address without brackets: write '[{text}]:{port or 443}', with the quotes")
    host, colon, given = text.rpartition(":")
    if not colon or given.endswith("]"):
        host, given = text, port
    bare = _checked_host(host, example)
    if not given:
        raise _Wrong(f"has no port: write {example}")
    if not re.fullmatch(r"[0-9]{1,5}", given) or not 1 <= int(given) <= 65535:
        raise _Wrong(f"has no port from 1 to 65535: write {example}")
    return f"[{bare}]:{int(given)}" if ":" in bare else f"{bare}:{int(given)}"


def _tcp(node: yaml.Node) -> str:
    return _endpoint(_text(node, 300), "", "host:port, such as example.com:443")


def _tls(node: yaml.Node) -> str:
    return _endpoint(_text(node, 300), "443", "host or host:port, such as example.com:443")


def _icmp(node: yaml.Node) -> str:
    return _checked_host(_text(node, 300), "a host, such as example.com")


def _dns(node: yaml.Node) -> str:
    text = _text(node, 300)
    name, at, server = text.partition("@")
    example = "a name such as example.com, or example.com@192.0.2.53 to ask that server"
    if not _is_ip(name):
        _checked_host(name, example)
    if at:
        is_bare = server.endswith("]") or ":" not in server or _is_ip(server)
        _ = _checked_host(server, example) if is_bare else _endpoint(server, "53", example)
    return text


_TARGETS: Final[Mapping[str, Reading[str]]] = {
    "http": _http,
    "tcp": _tcp,
    "dns": _dns,
    "tls": _tls,
    "icmp": _icmp,
    "push": _slug,
}


def _time_zone(node: yaml.Node) -> str:
    text = _text(node, 100)
    zones = _zones()
    if text == "UTC" or text in zones.values():
        return text
    if not zones:
        raise _Wrong("cannot be looked up: this machine has no time zones, so install its package tzdata")
    close = difflib.get_close_matches(text.lower().replace(" ", "_"), zones, n=1)
    hint = f"did you mean {zones[close[0]]}?" if close else "write one such as Europe/Berlin or UTC"
    raise _Wrong(f"is not a time zone; {hint}")


@cache
def _zones() -> Mapping[str, str]:
    """By what people may call them: the whole name in lower case, or the city alone."""
    names = sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})
    return {name.rpartition("/")[2].lower(): name for name in names} | {name.lower(): name for name in names}
