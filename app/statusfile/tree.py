"""YAML as a tree of nodes, which is never built into objects. A node knows its line, and its text is what
was written: `no` is a region and `1.10` a name, whatever YAML thinks they are.

No file costs more than its size allows: depth, entries and aliases are bounded before anything is read.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from app.statusfile.problem import Hopeless, Wrong, cut, quote

try:
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # pragma: no cover (PyYAML was built without libyaml: the same, and slower)
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

LARGEST: Final = 4 * 1024 * 1024  # bytes
MOST_ENTRIES: Final = 500_000  # keys and values; a full file of 20,000 monitors has fewer
MOST_ALIASES: Final = 50
DEEPEST: Final = 20

# The tags of nodes that were given none.
PLAIN: Final = "plain"  # a scalar without quotes
UNTAGGED: Final = ""

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


def compose(text: str) -> yaml.Node:
    _refuse_text(text)
    try:
        root = yaml.compose(_UNQUOTED_VARIABLE.sub(rf"${_OPEN}\1{_CLOSE}", text), Loader=Loader)
    except yaml.MarkedYAMLError as error:
        raise _no_yaml(text, error) from None
    # The loader in Python lets some errors of its own through, as for "\UFFFFFFFF".
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise Hopeless(0, f"this is not YAML ({cut(str(error))}): check the quotes and escapes") from None
    if root is None:
        raise Hopeless(0, "the file is empty: begin with `components:` and a list of what to watch")
    if _ALIAS.search(text):
        _Measure().of(root, root)
    return root


def _refuse_text(text: str) -> None:
    if len(text) > LARGEST or len(text.encode(errors="replace")) > LARGEST:
        raise Hopeless(0, f"the file is larger than {LARGEST // 1024 // 1024} MiB: take something out")
    if odd := _NOT_IN_YAML.search(text):
        line = text.count("\n", 0, odd.start()) + 1
        raise Hopeless(line, f"the character U+{ord(odd[0]):04X} may not be in the file: take it out")


def _no_yaml(text: str, error: yaml.MarkedYAMLError) -> Hopeless:
    mark = error.problem_mark or error.context_mark
    problem = _with_braces(error.problem or "")
    line = mark.line + 1 if mark else 0
    written = text.split("\n")[line - 1] if mark and line <= text.count("\n") + 1 else ""
    if "\t" in written[: len(written) - len(written.lstrip())]:
        advice = "indent with blanks, never with tabs"
    elif re.search(r": *\[[0-9a-fA-F]*:", written):
        advice = "put an IPv6 address in brackets in quotes too"
    else:
        advice = next(advice for said, advice in _ADVICE if said in problem)
    return Hopeless(line, f"this is not YAML ({cut(problem)}): {advice}")


class Bounded:
    """Ends composing before a hostile file has cost much: C recursion without a bound kills the process, and
    500,000 nodes are about 250 MB. It also keeps YAML from guessing at types."""

    depth = 0
    entries = 0

    def descend_resolver(self, parent: Any, index: Any) -> None:
        self.depth += 1
        self.entries += 1
        if self.depth > DEEPEST:
            raise Hopeless(line_of(parent), f"this is nested more than {DEEPEST} deep: take levels out")
        if self.entries > MOST_ENTRIES:
            raise Hopeless(
                line_of(parent), f"the file has more than {MOST_ENTRIES:,} keys and values: take some out"
            )

    def ascend_resolver(self) -> None:
        self.depth -= 1

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        # Asked only about nodes without a tag of their own, so any other tag is one that somebody wrote.
        return PLAIN if kind is yaml.ScalarNode and implicit[0] else UNTAGGED


class Loader(Bounded, _SafeLoader):
    pass


class _Measure:
    """Refuses aliases that would make the file too deep, too large or endless, without ever following one
    twice: nine lines of YAML can stand for a billion entries."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, int] | None] = {}  # None while it is being measured
        self._aliases = 0

    def of(self, node: yaml.Node, beside: yaml.Node) -> tuple[int, int]:
        """Size and height, aliases written out. `beside` is what to name the line of if `node` is an alias,
        which has no place of its own in the tree."""
        if id(node) in self._known:
            return self._again(node, beside)
        self._known[id(node)] = None
        size, height = 1, 1
        for child, next_to_it in _children(node):
            its_size, its_height = self.of(child, next_to_it)
            size, height = size + its_size, max(height, its_height + 1)
        if size > MOST_ENTRIES or height > DEEPEST:
            raise Hopeless(
                line_of(node),
                "its aliases make this too large or too deep: use fewer of them inside each other",
            )
        self._known[id(node)] = size, height
        return size, height

    def _again(self, node: yaml.Node, beside: yaml.Node) -> tuple[int, int]:
        self._aliases += 1
        if self._aliases > MOST_ALIASES:
            raise Hopeless(
                line_of(beside),
                f"this is one alias too many: at most {MOST_ALIASES} in a file, so write it out",
            )
        if (known := self._known[id(node)]) is None:
            raise Hopeless(line_of(node), "this anchor holds an alias of itself: write out what is meant")
        return known


def _children(node: yaml.Node) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Each with a node that stands beside it."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key, node
            yield value, key
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield item, node


def line_of(node: yaml.Node | None) -> int:
    return int(node.start_mark.line) + 1 if node is not None else 1


def written(node: yaml.ScalarNode) -> str:
    return _with_braces(str(node.value))


def scalar(node: yaml.Node) -> str:
    """What is written, where one value has to be."""
    refuse_tag(node)
    if not isinstance(node, yaml.ScalarNode):
        raise Wrong(f"must be one value, not {kind_of(node)}")
    if is_null(node):
        raise Wrong("has no value: give it one, or leave the key out")
    return written(node)


def refuse_tag(node: yaml.Node) -> None:
    if _is_tagged(node):
        raise Wrong(f"has the YAML tag {_tag(node)}: no value may have one, so write the plain value")


def kind_of(node: yaml.Node) -> str:
    if _is_tagged(node):
        return f"a value with the YAML tag {_tag(node)}"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    # The text itself is not repeated: it may be a secret that was put one level too high.
    return "nothing" if is_null(node) else "plain text"


def is_scalar(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and not _is_tagged(node)


def is_list(node: yaml.Node) -> bool:
    return isinstance(node, yaml.SequenceNode) and not _is_tagged(node)


def is_mapping(node: yaml.Node) -> bool:
    return isinstance(node, yaml.MappingNode) and not _is_tagged(node)


def is_null(node: yaml.Node) -> bool:
    return node.tag == PLAIN and node.value in ("", "~", "null", "Null", "NULL")


def _is_tagged(node: yaml.Node) -> bool:
    return node.tag not in (PLAIN, UNTAGGED)


def _tag(node: yaml.Node) -> str:
    return quote(str(node.tag).replace("tag:yaml.org,2002:", "!!"))


def _with_braces(text: str) -> str:
    return text.replace(_OPEN, "{").replace(_CLOSE, "}")


def plain(node: yaml.Node) -> Any:
    """Mappings, lists and texts, for files that are not ours. What `<<` names is merged in; a tag is passed
    over. What has been composed is no larger than its bounds, aliases included."""
    if isinstance(node, yaml.SequenceNode):
        return [plain(item) for item in node.value]
    if not isinstance(node, yaml.MappingNode):
        return None if is_null(node) else written(node)  # type: ignore[arg-type]
    found: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for key, value in node.value:
        its = plain(value)
        if isinstance(key, yaml.ScalarNode) and key.value == "<<":
            for source in its if isinstance(its, list) else [its]:
                merged = {**(source if isinstance(source, dict) else {}), **merged}
        elif isinstance(key, yaml.ScalarNode):
            found[written(key)] = its
    return {**merged, **found}
