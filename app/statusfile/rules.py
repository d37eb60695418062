"""The section `incidents`: rules by which outages open incidents, and close them.

Which components there are is known only at the end of the file, so those that the rules name are given to
`refuse_unknown` then.
"""

import difflib
from collections.abc import Collection
from typing import Final

import yaml

from app.domain.rule import Rule
from app.statusfile import values
from app.statusfile.mapping import Mapping
from app.statusfile.problem import Problems, quote
from app.statusfile.tree import line_of

MOST_RULES: Final = 100

_after = values.duration_from("1s", "7d")
_settle = values.duration_from("1s", "1d")


class Rules:
    """Those of one file, in its order."""

    def __init__(self, problems: Problems) -> None:
        self.found: list[Rule] = []
        self._problems = problems
        self.lines: dict[str, int] = {}
        self._named: list[tuple[int, str]] = []

    def read(self, nodes: list[yaml.Node]) -> None:
        if len(nodes) > MOST_RULES:
            self._problems.add(line_of(nodes[MOST_RULES]), f"this is one rule too many: at most {MOST_RULES}")
        self.found += (self._rule(Mapping(self._problems, node, "a rule")) for node in nodes[:MOST_RULES])

    def refuse_unknown(self, slugs: Collection[str]) -> None:
        for line, slug in self._named:
            if slug not in slugs:
                close = difflib.get_close_matches(slug, slugs, n=1)
                hint = f"did you mean `{close[0]}`?" if close else "name it by its slug"
                self._problems.add(line, f"no component has the slug {quote(slug)}; {hint}")

    def _rule(self, said: Mapping) -> Rule:
        usual = Rule(name="")
        name = said.need("name", values.name, "name: Outage")
        if name:
            what = f"rule name {quote(name)}"
            self._problems.is_first(self.lines, name, said.line("name"), what, "give one another name")
        none: list[str] = []
        components = said.take("components", values.parents, none)
        self._named += ((said.line("components"), slug) for slug in components)
        return Rule(
            name=name,
            after=said.take("after", _after, usual.after),
            settle=said.take("settle", _settle, usual.settle),
            components=tuple(components),
            title=said.take("title", values.name, usual.title),
            words=said.take("words", values.short_text, usual.words),
            closing=said.take("closing", values.short_text, usual.closing),
        )
