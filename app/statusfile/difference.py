"""What would become another, in the words of the file: for people before they say yes, and for programs."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from app.domain.credentials import masked
from app.domain.merge import PAUSE, differences
from app.domain.monitor import Catalog, Component, Page
from app.domain.rule import Rule
from app.statusfile.writing import component_tree, page_tree, rule_tree

_SIGNS = {"create": "+", "replace": "~", "delete": "-"}


class Step(Struct, frozen=True):
    """`before` and `after` are what the file would say of it, secrets masked; None where there is nothing."""

    verb: str
    kind: str
    name: str
    before: Any
    after: Any


def steps(old: Catalog, new: Catalog) -> list[Step]:
    return [
        Step(each.verb.partition(".")[2], each.kind, each.name, *map(_shown, (each.before, each.after)))
        for each in differences(old, new)
        if each.kind != PAUSE
    ]


def readable(found: list[Step]) -> list[str]:
    if not found:
        return ["Nothing would change."]
    lines = [line for step in found for line in _lines(step)]
    counts = {verb: sum(step.verb == verb for step in found) for verb in _SIGNS}
    words = {"create": "to create", "replace": "to change", "delete": "to delete"}
    return [*lines, ", ".join(f"{count} {words[verb]}" for verb, count in counts.items()) + "."]


def _lines(step: Step) -> Iterator[str]:
    name = step.name or "at /"
    yield f"{_SIGNS[step.verb]} {step.kind} {name}"
    if isinstance(step.after, dict) and isinstance(step.before, dict | None):
        yield from _changed(step.before or {}, step.after, "    ")


def _changed(before: Mapping[str, Any], after: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key in dict.fromkeys((*before, *after)):
        was, becomes = before.get(key), after.get(key)
        if was == becomes:
            continue
        if key == "monitors":
            yield from _monitors(was or [], becomes or [], indent)
        elif key not in after:
            yield f"{indent}- {key}: {was}"
        else:
            yield f"{indent}{key}: {becomes}" if key not in before else f"{indent}{key}: {was} -> {becomes}"


def _monitors(before: list[Any], after: list[Any], indent: str) -> Iterator[str]:
    was, becomes = ({_name(each): each for each in monitors} for monitors in (before, after))
    for name in dict.fromkeys((*was, *becomes)):
        if name not in becomes:
            yield f"{indent}- monitor {name}"
        elif was.get(name) != becomes[name]:
            yield f"{indent}{'~' if name in was else '+'} monitor {name}"
            yield from _changed(was.get(name, {}), becomes[name], indent + "    ")


def _name(monitor: Mapping[str, Any]) -> str:
    """Its slug, else its kind and target: what a reader knows it by."""
    kind = next(iter(monitor))
    return str(monitor.get("slug") or f"{kind}: {monitor[kind]}")


def _shown(thing: object | None) -> Any:
    # An older release has stored secrets in the clear.
    return masked(_tree(thing))


def _tree(thing: object | None) -> Any:
    if isinstance(thing, Component):
        tree = component_tree(thing)
        return tree if thing.group is None else {"name": tree["name"], "group": thing.group, **tree}
    if isinstance(thing, Rule):
        return rule_tree(thing)
    return page_tree(thing) if isinstance(thing, Page) else thing
