"""The text of a file becomes a Catalog, or all that is wrong with it.

Keys of monitors are made here, and they live longer than the file: the history hangs on them. So a slug
that is left out is made from the name, and monitors without one are numbered by kind.
"""

import difflib
import gc
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import yaml
from msgspec import Struct
from msgspec.structs import replace

from app.domain.dependencies import Dependencies
from app.domain.kinds.group import members_of
from app.domain.monitor import DEFAULT_REGION, Catalog, Component, Expect, Monitor, Page
from app.domain.words import Flag
from app.statusfile import values
from app.statusfile.forms import reading
from app.statusfile.kinds import KINDS, own_words
from app.statusfile.mapping import HEADER, JSON_PATH, Mapping
from app.statusfile.pages import Pages
from app.statusfile.problem import Hopeless, Problems, listed, quote
from app.statusfile.rules import Rules
from app.statusfile.tree import compose, line_of

MOST_MONITORS: Final = 20_000

_OTHER_SLUG = "give one of them another `slug`"


class Said(Struct, frozen=True):
    """What a file says, and on which line of it each thing is named: by what it is (page, group, component
    or monitor) and by its slug, name or key."""

    catalog: Catalog
    lines: dict[tuple[str, str], int]


def parse(text: str, name: str = "statuswire.yaml") -> Catalog:
    """Raises StatusFileError."""
    return read(text, name).catalog


def read(text: str, name: str = "statuswire.yaml") -> Said:
    """Raises StatusFileError."""
    problems = Problems()
    try:
        with _no_collection():
            contents = _Contents(problems)
            catalog = contents.catalog(compose(text.removeprefix("\ufeff")))
    except Hopeless as hopeless:
        problems.add(hopeless.line, str(hopeless))
    problems.refuse(name)
    return Said(catalog, contents.lines())


def warnings(catalog: Catalog) -> list[str]:
    """What a catalog may say and had better not: sentences for an operator, with advice."""
    return [warning for monitor in catalog.monitors() for warning in _warnings(monitor)]


def _warnings(monitor: Monitor) -> Iterator[str]:
    if monitor.regions != (DEFAULT_REGION,):
        yield (
            f"monitor `{monitor.key}` is for the regions {', '.join(monitor.regions)}: each needs a worker "
            f"with that STATUSWIRE_REGION, and until most of them report, the page shows no data for it"
        )


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


class _Contents:
    """One reading of one file, and what in it must be there only once, with the line where it was first."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._groups: dict[str, int] = {}
        self._slugs: dict[str, int] = {}
        self._keys: dict[str, int] = {}
        self._rules = Rules(problems)
        self._pages = Pages(problems)
        self._named: dict[str, int] = {}
        self._monitors = 0
        self._members: list[tuple[int, str]] = []
        # What each monitor lies behind, with the line that says so: its own first, then its component's.
        self._parents: dict[str, list[tuple[int, str]]] = {}

    def catalog(self, root: yaml.Node) -> Catalog:
        said = Mapping(self._problems, root, "the file")
        page = Page()
        pages: list[Page] = []
        groups: list[str] = []
        components: list[Component] = []
        # The sections may come in any order, and the page keeps it.
        for section in said:
            if section == "page":
                page = self._pages.read(said.mapping("page"))
            elif section == "pages":
                pages += self._pages.read_others(said)
            elif section == "components":
                components += self._components(said, None)
            elif section == "incidents":
                self._rules.read(said.entries("incidents"))
            else:
                for node in said.entries("groups"):
                    group = Mapping(self._problems, node, "a group")
                    groups.append(self._group_name(group))
                    components += self._components(group, groups[-1])
        catalog = Catalog(
            page=page,
            pages=tuple(pages),
            groups=tuple(groups),
            components=tuple(components),
            rules=tuple(self._rules.found),
        )
        self._check_members(catalog)
        self._rules.refuse_unknown({component.slug for component in components})
        self._pages.check(self._groups, self._slugs)
        return self._with_parents(catalog)

    def lines(self) -> dict[tuple[str, str], int]:
        found = {
            "page": self._pages.lines,
            "rule": self._rules.lines,
            "group": self._groups,
            "component": self._slugs,
            "monitor": self._named,
        }
        return {(kind, name): line for kind, lines in found.items() for name, line in lines.items()}

    def _check_members(self, catalog: Catalog) -> None:
        """At the end: a group may name a monitor that comes after it."""
        if not self._members:
            return
        kinds = {monitor.key: monitor.kind for monitor in catalog.monitors()}
        for line, member in self._members:
            if member not in kinds:
                close = difflib.get_close_matches(member, kinds, n=1)
                hint = f"; did you mean `{close[0]}`?" if close else ": name it by its `slug`, or as web/http"
                self._problems.add(line, f"no monitor has the key {quote(member)}{hint}")
            elif kinds[member] == "group":
                self._problems.add(line, f"{quote(member)} is a group itself: name its members instead")

    def _with_parents(self, catalog: Catalog) -> Catalog:
        """At the end, too. What a component lies behind, each of its monitors does."""
        if not self._parents:
            return catalog
        self._check_parents({*(c.slug for c in catalog.components), *(m.key for m in catalog.monitors())})
        components = tuple(
            replace(component, monitors=tuple(self._with_its_parents(each) for each in component.monitors))
            for component in catalog.components
        )
        whole = replace(catalog, components=components)
        if (key := Dependencies(whole).loop()) is not None:
            self._problems.add(
                self._parents[key][0][0],
                f"monitor {quote(key)} lies behind itself, by way of what it depends on: take one "
                f"`depends_on` of these out",
            )
        return whole

    def _check_parents(self, known: set[str]) -> None:
        for line, name in dict.fromkeys(each for said in self._parents.values() for each in said):
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean `{close[0]}`?" if close else "name one by its slug, or as web/http"
                self._problems.add(line, f"no component or monitor is called {quote(name)}; {hint}")

    def _with_its_parents(self, monitor: Monitor) -> Monitor:
        said = self._parents.get(monitor.key, ())
        return replace(monitor, depends_on=tuple(dict.fromkeys(name for _, name in said)))

    def _group_name(self, said: Mapping) -> str:
        name = said.need("name", values.name, "name: Payments")
        if name:
            what, remedy = f"group name {quote(name)}", "put both in one group"
            self._problems.is_first(self._groups, name, said.line("name"), what, remedy)
        return name

    def _components(self, said: Mapping, group: str | None) -> list[Component]:
        return [self._component(node, group) for node in said.entries("components")]

    def _component(self, node: yaml.Node, group: str | None) -> Component:
        said = Mapping(self._problems, node, "a component")
        name = said.need("name", values.name, "name: Website")
        slug = self._slug(said, name)
        kinds: Counter[str] = Counter()
        monitors = tuple(self._monitor(entry, slug, kinds) for entry in said.entries("monitors"))
        self._note_parents([monitor.key for monitor in monitors], said)
        return Component(
            slug=slug,
            name=name,
            description=said.take("description", values.description, ""),
            group=group,
            hidden=said.take("hidden", reading(Flag()), False),
            monitors=monitors,
        )

    def _note_parents(self, keys: Iterable[str], said: Mapping) -> None:
        none: list[str] = []
        named = [(said.line("depends_on"), name) for name in said.take("depends_on", values.parents, none)]
        for key in keys if named else ():
            self._parents.setdefault(key, []).extend(named)

    def _slug(self, said: Mapping, name: str) -> str:
        if "slug" in said:
            slug, line = said.take("slug", values.slug, ""), said.line("slug")
        else:
            slug, line = values.slug_of(name), said.line("name")
            if name and not slug:
                self._problems.add(
                    line,
                    f"no slug can be made from the name {quote(name)}, which has no letter from a to z and "
                    f"no digit: give the component one, such as `slug: api`",
                )
        if slug:
            self._problems.is_first(self._slugs, slug, line, f"slug `{slug}`", _OTHER_SLUG)
        return slug

    def _monitor(self, node: yaml.Node, component: str, kinds: Counter[str]) -> Monitor:
        self._count(node)
        said = Mapping(self._problems, node, "a monitor")
        kind = self._kind(said)
        said.refuse_unfit(kind)
        every, timeout = self._times(said, kind)
        target = said.take(kind, reading(KINDS[kind].target), "") if kind else ""
        if kind == "group" and target:
            self._members += ((said.line(kind), member) for member in members_of(target))
        expected = said.mapping("expect") if "expect" in said else None
        key = self._key(said, component, kind, kinds)
        self._named.setdefault(key, line_of(node))
        self._note_parents([key], said)
        return Monitor(
            key=key,
            kind=kind,
            target=target,
            every=every,
            timeout=timeout,
            retries=said.take("retries", values.retries, 1),
            recoveries=said.take("recoveries", values.recoveries, 1),
            regions=said.take("regions", values.regions, (DEFAULT_REGION,)),
            expect=self._expect(expected, kind, timeout) if expected is not None else Expect(),
            options=self._options(said, expected, kind, target) if kind else {},
        )

    def _options(self, said: Mapping, expected: Mapping | None, kind: str, target: str) -> dict[str, Any]:
        before = self._problems.count
        found = said.own(own_words(kind, expected=False))
        if expected is not None:
            found |= expected.own(own_words(kind, expected=True))
        words = KINDS[kind](**found)
        # Of words of which one is wrong nobody knows whether they go together.
        is_whole = bool(target) and self._problems.count == before
        if is_whole and (clash := words.clash(target)) is not None:
            key, why = clash
            place = expected if expected is not None and key in expected else said
            self._problems.add(place.line(key), why)
        return words.options

    def _count(self, node: yaml.Node) -> None:
        self._monitors += 1
        if self._monitors > MOST_MONITORS:
            raise Hopeless(
                line_of(node),
                f"this is one monitor too many: at most {MOST_MONITORS:,} in a file, so take some out",
            )

    def _kind(self, said: Mapping) -> str:
        """Empty if there is not exactly one."""
        kinds = [key for key in said if key in KINDS]
        if len(kinds) == 1:
            return kinds[0]
        if kinds:
            self._problems.add(
                said.line(kinds[1]),
                f"a monitor probes one thing, and this one has `{kinds[0]}` on line {said.line(kinds[0])} "
                f"and `{kinds[1]}`: make two monitors of it",
            )
        elif isinstance(said.node, yaml.MappingNode):
            self._problems.add(
                line_of(said.node),
                f"a monitor needs one of {listed(KINDS, 'or')}, such as `http: https://example.com`",
            )
        return ""

    def _times(self, said: Mapping, kind: str) -> tuple[float, float]:
        if "every" in said and "cron" in said:
            line = said.line("cron")
            self._problems.add(line, "`every` and `cron` are two answers to one question: keep one of them")
        default = (KINDS[kind].every if kind else None) or 30.0
        every = said.take("every", values.every, default)
        timeout = said.take("timeout", values.timeout, min(5.0, every))
        if timeout > every:
            self._problems.add(
                said.line("timeout"),
                f"`timeout` ({timeout:g}s) must not be longer than `every` ({every:g}s): "
                f"a probe has to end before the next one begins",
            )
        return every, timeout

    def _key(self, said: Mapping, component: str, kind: str, kinds: Counter[str]) -> str:
        # Those with a slug are counted too: to give one a slug must not rename the others.
        kinds[kind] += 1
        if "slug" not in said:
            return f"{component}/{kind}" if kinds[kind] == 1 else f"{component}/{kind}-{kinds[kind]}"
        if slug := said.take("slug", values.slug, ""):
            self._problems.is_first(
                self._keys, slug, said.line("slug"), f"monitor slug `{slug}`", _OTHER_SLUG
            )
        return slug

    def _expect(self, said: Mapping, kind: str, timeout: float) -> Expect:
        said.refuse_unfit(kind)
        slower_than = said.take("slower_than", values.slower_than, None)
        if slower_than is not None and slower_than >= timeout:
            self._problems.add(
                said.line("slower_than"),
                f"`slower_than` ({slower_than:g}s) is never reached, because `timeout` is {timeout:g}s: "
                f"make it shorter than that, or `timeout` longer",
            )
        return Expect(
            status=said.take("status", values.status, ()),
            body=said.take("body", values.body, None),
            json=said.named("json", JSON_PATH, values.json, "{$.status: ok}"),
            header=said.named("header", HEADER, values.short_text, "{Server: nginx}"),
            slower_than=slower_than,
            certificate_days=said.take("certificate_days", values.certificate_days, None),
            answer=said.take("answer", values.answer, ()),
        )
