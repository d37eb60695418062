"""The file rules what it names, the database the rest: how two catalogs become the one that runs, and what an
operator makes of the database's part.

A component is ruled as a whole, with its monitors: half of it in git and half of it elsewhere would be found
by nobody at three in the morning.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from app.domain.dependencies import Dependencies
from app.domain.monitor import Catalog, Component, Page
from app.domain.pages import MAIN
from app.domain.refused import Refused
from app.domain.rule import Rule

T = TypeVar("T")

PAUSE = "pause"
# What an operator makes of the database's part.
Edit: TypeAlias = Callable[[Catalog], Catalog]


class Difference(Struct, frozen=True):
    """A group, component or page that came, went or became another, or the pause of a monitor. `before` or
    `after` is None for what was not there, or is not any more."""

    kind: str
    name: str
    before: object | None
    after: object | None

    @property
    def subject(self) -> str:
        return f"{'monitor' if self.kind == PAUSE else self.kind}/{self.name}"

    @property
    def verb(self) -> str:
        if self.kind == PAUSE:
            return "monitor.resume" if self.after is None else "monitor.pause"
        if self.before is None:
            return f"{self.kind}.create"
        return f"{self.kind}.{'delete' if self.after is None else 'replace'}"


def merged(file: Catalog, database: Catalog) -> Catalog:
    """In the order of the file, and after that of the database; but what is in one group stands together, as
    it would in a file."""
    named = {component.slug for component in file.components}
    keys = {monitor.key for monitor in file.monitors()}
    added = tuple(_without(each, keys) for each in database.components if each.slug not in named)
    slugs = {page.slug for page in file.pages}
    rules = {rule.name for rule in file.rules}
    named_by_added = (each.group for each in added if each.group is not None)
    groups = tuple(dict.fromkeys((*file.groups, *database.groups, *named_by_added)))
    whole = Catalog(
        page=file.page if file.page != Page() else database.page,
        groups=groups,
        components=_by_group((*file.components, *added), groups),
        pages=(*file.pages, *(page for page in database.pages if page.slug not in slugs)),
        rules=(*file.rules, *(rule for rule in database.rules if rule.name not in rules)),
    )
    known = {monitor.key for monitor in whole.monitors()}
    whole = replace(whole, paused=tuple(key for key in database.paused if key in known))
    if Dependencies(whole).loop() is None:
        return whole
    # The file has come to close a loop with what the database says. Nothing may lie behind itself.
    freed = {each.slug: _behind_nothing(each) for each in added}
    return replace(whole, components=tuple(freed.get(each.slug, each) for each in whole.components))


def ruled_by_file(running: Catalog, database: Catalog) -> Catalog:
    """The part of what runs that the database does not account for: so that who has no file knows it too."""
    ours = {component.slug: component for component in database.components}
    pages = {page.slug: page for page in database.pages}
    components = tuple(each for each in running.components if ours.get(each.slug) != each)
    of_them = {component.group for component in components}
    return Catalog(
        page=Page() if running.page == database.page else running.page,
        groups=tuple(name for name in running.groups if name not in database.groups or name in of_them),
        components=components,
        pages=tuple(page for page in running.pages if pages.get(page.slug) != page),
        rules=tuple(rule for rule in running.rules if rule not in database.rules),
    )


def beside(given: Catalog, file: Catalog) -> Catalog:
    """What is left to say of `given` beside a file that says some of it in the same words. What that file
    says otherwise stays, and is refused by name."""
    same = {component.slug: component for component in file.components}
    pages = {page.slug: page for page in file.pages}
    return Catalog(
        page=Page() if given.page == file.page else given.page,
        groups=tuple(group for group in given.groups if group not in file.groups),
        components=tuple(each for each in given.components if same.get(each.slug) != each),
        pages=tuple(page for page in given.pages if pages.get(page.slug) != page),
        rules=tuple(rule for rule in given.rules if rule not in file.rules),
    )


def names(catalog: Catalog) -> Iterator[tuple[str, str]]:
    """Everything that it names, by what it is."""
    if catalog.page != Page():
        yield "page", MAIN
    yield from (("page", page.slug) for page in catalog.pages)
    yield from (("rule", rule.name) for rule in catalog.rules)
    yield from (("group", group) for group in catalog.groups)
    for component in catalog.components:
        yield "component", component.slug
        yield from (("monitor", monitor.key) for monitor in component.monitors)


def differences(old: Catalog, new: Catalog) -> list[Difference]:
    """What became another, in the order of the new one; then what went."""
    before, after = dict(_things(old)), dict(_things(new))
    changed = [
        Difference(*key, before.get(key), thing) for key, thing in after.items() if before.get(key) != thing
    ]
    return [*changed, *(Difference(*key, thing, None) for key, thing in before.items() if key not in after)]


def with_component(component: Component) -> Edit:
    """Its group need not be there: what a component names is one."""
    return lambda catalog: replace(
        catalog, components=_put(catalog.components, component, component.slug, lambda each: each.slug)
    )


def without_component(slug: str) -> Edit:
    def edit(catalog: Catalog) -> Catalog:
        gone = {m.key for each in catalog.components if each.slug == slug for m in each.monitors}
        return replace(
            catalog,
            components=tuple(each for each in catalog.components if each.slug != slug),
            paused=tuple(key for key in catalog.paused if key not in gone),
        )

    return edit


def with_pause(key: str) -> Edit:
    return lambda catalog: replace(catalog, paused=tuple(dict.fromkeys((*catalog.paused, key))))


def without_pause(key: str) -> Edit:
    return lambda catalog: replace(catalog, paused=tuple(each for each in catalog.paused if each != key))


def with_group(name: str) -> Edit:
    return lambda catalog: replace(catalog, groups=tuple(dict.fromkeys((*catalog.groups, name))))


def renamed_group(name: str, new: str) -> Edit:
    """On the pages that name it, too."""

    def renamed(page: Page) -> Page:
        groups = page.groups and tuple(new if each == name else each for each in page.groups)
        return page if groups == page.groups else replace(page, groups=groups)

    return lambda catalog: replace(
        catalog,
        page=renamed(catalog.page),
        pages=tuple(map(renamed, catalog.pages)),
        groups=tuple(new if each == name else each for each in catalog.groups),
        components=tuple(
            replace(each, group=new) if each.group == name else each for each in catalog.components
        ),
    )


def without_group(name: str) -> Edit:
    """Its components are in no group then."""
    return lambda catalog: replace(
        catalog,
        groups=tuple(each for each in catalog.groups if each != name),
        components=tuple(
            replace(each, group=None) if each.group == name else each for each in catalog.components
        ),
    )


def with_page(page: Page) -> Edit:
    def edit(catalog: Catalog) -> Catalog:
        if page.slug == MAIN:
            return replace(catalog, page=page)
        return replace(catalog, pages=_put(catalog.pages, page, page.slug, lambda each: each.slug))

    return edit


def without_page(slug: str) -> Edit:
    def edit(catalog: Catalog) -> Catalog:
        if slug == MAIN:
            return replace(catalog, page=Page())
        return replace(catalog, pages=tuple(each for each in catalog.pages if each.slug != slug))

    return edit


def with_rule(rule: Rule) -> Edit:
    return lambda catalog: replace(
        catalog, rules=_put(catalog.rules, rule, rule.name, lambda each: each.name)
    )


def with_new_rule(rule: Rule) -> Edit:
    """Raises Refused if there is one of its name."""

    def edit(catalog: Catalog) -> Catalog:
        if any(each.name == rule.name for each in catalog.rules):
            raise Refused("name", "There is a rule of this name already: change that one.", "conflict")
        return with_rule(rule)(catalog)

    return edit


def without_rule(name: str) -> Edit:
    return lambda catalog: replace(catalog, rules=tuple(each for each in catalog.rules if each.name != name))


def with_all_of(given: Catalog, prune: bool) -> Edit:
    """What a file says. With `prune` it says all there is."""

    def edit(catalog: Catalog) -> Catalog:
        if prune:
            # What is paused is said by nobody's file.
            return replace(given, paused=catalog.paused)
        result = with_page(given.page)(catalog) if given.page != Page() else catalog
        for step in (
            *(with_group(group) for group in given.groups),
            *(with_component(component) for component in given.components),
            *(with_page(page) for page in given.pages),
            *(with_rule(rule) for rule in given.rules),
        ):
            result = step(result)
        return result

    return edit


def _things(catalog: Catalog) -> Iterator[tuple[tuple[str, str], object]]:
    if catalog.page != Page():
        yield ("page", MAIN), catalog.page
    yield from ((("page", page.slug), page) for page in catalog.pages)
    yield from ((("rule", rule.name), rule) for rule in catalog.rules)
    yield from ((("group", group), group) for group in catalog.groups)
    yield from ((("component", component.slug), component) for component in catalog.components)
    yield from (((PAUSE, key), True) for key in catalog.paused)


def _by_group(components: Sequence[Component], groups: Sequence[str]) -> tuple[Component, ...]:
    place = {group: n for n, group in enumerate(groups)}
    return tuple(sorted(components, key=lambda each: place.get(each.group or "", len(place))))


def _put(things: Sequence[T], thing: T, name: str, name_of: Callable[[T], str]) -> tuple[T, ...]:
    """In its old place, if it has one."""
    if all(name_of(each) != name for each in things):
        return (*things, thing)
    return tuple(thing if name_of(each) == name else each for each in things)


def _without(component: Component, keys: set[str]) -> Component:
    if all(monitor.key not in keys for monitor in component.monitors):
        return component
    return replace(component, monitors=tuple(each for each in component.monitors if each.key not in keys))


def _behind_nothing(component: Component) -> Component:
    return replace(component, monitors=tuple(replace(each, depends_on=()) for each in component.monitors))
