"""A Catalog becomes the text of a file again: one that is read as the same catalog, whatever was in it.

The way back from `catalog.py`. What a file says for its readers alone is lost: comments, anchors, the order
of sections, and that a component and not its monitors had the `depends_on`.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec
import yaml

from app.domain import words
from app.domain.kinds.group import members_of
from app.domain.monitor import DEFAULT_REGION, Catalog, Component, Expect, Monitor, Page
from app.domain.rule import Rule
from app.statusfile.kinds import KINDS, Word, own_words, words_of

Tree = dict[str, Any]


class Bare(str):
    """A word that stands in the file without quotes, whatever YAML takes it for."""


def write(catalog: Catalog) -> str:
    return dump(_tree(catalog))


def dump(tree: Tree) -> str:
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1 << 20)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> Any:
        if isinstance(value, Bare) and implicit[0]:
            return _BARE
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]


_BARE: Final = "bare"
_Dumper.add_representer(Bare, lambda dumper, text: yaml.ScalarNode(_BARE, text))


def duration(seconds: float) -> Bare:
    """In the largest unit in which it is a whole number, and always one that is read as the same."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= length and seconds % length == 0:
            return Bare(f"{int(seconds // length)}{unit}")
    milliseconds = f"{seconds * 1000:.9f}".rstrip("0").rstrip(".")
    if float(milliseconds) / 1000 == seconds:
        return Bare(f"{milliseconds}ms")
    return Bare(f"{seconds:.9f}".rstrip("0") + "s")


def _tree(catalog: Catalog) -> Tree:
    sections = {
        "page": page_tree(catalog.page),
        "pages": [page_tree(page) for page in catalog.pages],
        "groups": [
            {"name": group, "components": [component_tree(c) for c in catalog.components if c.group == group]}
            for group in catalog.groups
        ],
        "components": [component_tree(c) for c in catalog.components if c.group is None],
    }
    if catalog.components and catalog.components[0].group is None:
        # The reader keeps the order of the two.
        sections["groups"] = sections.pop("groups")
    sections["incidents"] = [rule_tree(rule) for rule in catalog.rules]
    said = {section: its for section, its in sections.items() if its}
    # A file has to say something.
    return said or {"components": []}


def page_tree(page: Page) -> Tree:
    default = Page()
    given = {
        name: getattr(page, name)
        for name in ("slug", *Page.__struct_fields__)
        if getattr(page, name) != getattr(default, name)
    }
    if "links" in given:
        given["links"] = [{"name": link.name, "url": link.url} for link in page.links]
    return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}


def rule_tree(rule: Rule) -> Tree:
    usual = Rule(name="")
    said = {
        name: getattr(rule, name)
        for name in Rule.__struct_fields__
        if getattr(rule, name) != getattr(usual, name)
    }
    return {name: _of_a_rule(value) for name, value in said.items()}


def _of_a_rule(value: Any) -> Any:
    if isinstance(value, float):
        return duration(value)
    return list(value) if isinstance(value, tuple) else value


def component_tree(component: Component) -> Tree:
    said: Tree = {"name": component.name, "slug": component.slug}
    if component.description:
        said["description"] = component.description
    if component.hidden:
        said["hidden"] = True
    if component.monitors:
        said["monitors"] = list(_monitors(component))
    return said


def _monitors(component: Component) -> Iterator[Tree]:
    kinds: Counter[str] = Counter()
    for monitor in component.monitors:
        kinds[monitor.kind] += 1
        number = kinds[monitor.kind]
        made = f"{component.slug}/{monitor.kind}" + (f"-{number}" if number > 1 else "")
        yield _monitor(monitor, has_own_key=monitor.key != made)


def _monitor(monitor: Monitor, has_own_key: bool) -> Tree:
    kind = KINDS[monitor.kind]
    every = kind.every or 30.0
    said: Tree = {monitor.kind: _written(kind.target, monitor.target)}
    if has_own_key:
        said["slug"] = monitor.key
    if monitor.every != every:
        said["every"] = duration(monitor.every)
    if monitor.timeout != min(5.0, monitor.every):
        said["timeout"] = duration(monitor.timeout)
    said |= {
        name: getattr(monitor, name) for name in ("retries", "recoveries") if getattr(monitor, name) != 1
    }
    if monitor.regions != (DEFAULT_REGION,):
        said["regions"] = list(monitor.regions)
    if monitor.depends_on:
        said["depends_on"] = list(monitor.depends_on)
    said |= _own(own_words(monitor.kind, expected=False), monitor.options)
    if expect := _expect(monitor.expect) | _own(own_words(monitor.kind, expected=True), monitor.options):
        said["expect"] = expect
    return said


def _expect(expect: Expect) -> Tree:
    said: Tree = {}
    if expect.status:
        spans = [str(low) if low == high else f"{low}-{high}" for low, high in expect.status]
        said["status"] = [Bare(span) for span in spans]
    if expect.body is not None:
        said["body"] = f"/{expect.body}/"
    if expect.json:
        said["json"] = {path: _json(value) for path, value in expect.json.items()}
    if expect.header:
        said["header"] = dict(expect.header)
    if expect.slower_than is not None:
        said["slower_than"] = duration(expect.slower_than)
    if expect.certificate_days is not None:
        said["certificate_days"] = _number(expect.certificate_days)
    if expect.answer:
        said["answer"] = list(expect.answer)
    return said


def _json(value: str | msgspec.Raw) -> Any:
    """Numbers as they were written: 1.0 and 1 are two texts."""
    text = bytes(value).decode() if isinstance(value, msgspec.Raw) else value
    if text.startswith("{"):
        return {name: _json(each) for name, each in msgspec.json.decode(text, type=_RAW_OBJECT).items()}
    if text.startswith("["):
        return [_json(each) for each in msgspec.json.decode(text, type=_RAW_LIST)]
    return msgspec.json.decode(text) if text.startswith('"') else Bare(text)


_RAW_OBJECT: Final = dict[str, msgspec.Raw]
_RAW_LIST: Final = list[msgspec.Raw]


def _own(known: tuple[Word, ...], options: Mapping[str, Any]) -> Tree:
    said: Tree = {}
    for word in known:
        if word.name not in options:
            continue
        value = options[word.name]
        if word.inner is not None:
            said[word.name] = _own(words_of(word.inner), value)
        elif word.form is not None:
            said[word.name] = _written(word.form, value)
    return said


def _written(form: words.Form, value: Any) -> Any:
    return _WAYS_BACK.get(type(form), lambda value: value)(value)


def _number(value: float) -> Bare:
    return Bare(f"{value:.6f}".rstrip("0").rstrip("."))


def _span(value: Any) -> str:
    low, high = value
    return f"{low}-{high}"


# For the forms that are not kept as they are written.
_WAYS_BACK: Final[Mapping[type[words.Form], Callable[[Any], Any]]] = {
    words.Seconds: duration,
    words.Percent: lambda value: f"{value:.3f}".rstrip("0").rstrip(".") + "%",
    words.Number: _number,
    words.Span: _span,
    words.Members: lambda value: list(members_of(value)),
}
