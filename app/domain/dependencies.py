"""Which monitors depend on which: members of groups, and what lies behind what.

A group is made of its members, and a monitor behind a parent that is down is not called down by itself. Both
reach over the bounds of components, so a word on one monitor may repaint several of them; which ones is
worked out once for each catalog.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from app.domain.kinds import group
from app.domain.monitor import Catalog, Component, Monitor


class Parent(Struct, frozen=True):
    """What others lie behind, by the name that the file gives it: a monitor, or a component, which is down
    when all its monitors are."""

    name: str
    monitors: tuple[Monitor, ...]


class Dependencies:
    def __init__(self, catalog: Catalog) -> None:
        self._monitors = {monitor.key: monitor for monitor in catalog.monitors()}
        self._components = {component.slug: component for component in catalog.components}
        self._parents = {
            monitor.key: tuple(self._find(monitor)) for monitor in catalog.monitors() if monitor.depends_on
        }
        self._groups = _turned({key: members_of(monitor) for key, monitor in self._monitors.items()})
        self._children = _turned(
            {
                key: [monitor.key for parent in parents for monitor in parent.monitors]
                for key, parents in self._parents.items()
            }
        )
        self._reached = self._reach(catalog)

    def parents(self, monitor: str) -> Sequence[Parent]:
        return self._parents.get(monitor, ())

    def reached_by(self, monitor: str) -> Sequence[Component]:
        """The other components that a word on it may repaint, in the order of the catalog."""
        return self._reached.get(monitor, ())

    @staticmethod
    def counted(component: Component) -> list[Monitor]:
        """Those that speak for it: who is in a group of the same component counts through that alone."""
        within = {member for monitor in component.monitors for member in members_of(monitor)}
        return (
            [each for each in component.monitors if each.key not in within]
            if within
            else [*component.monitors]
        )

    def loop(self) -> str | None:
        """The key of a monitor that lies behind itself, and says behind what. None if all is well."""
        done: set[str] = set()
        for start in self._monitors:
            if (found := self._look_for_itself(start, done)) is not None:
                return found
        return None

    def _find(self, monitor: Monitor) -> Iterator[Parent]:
        """What a newer or an older file names and this catalog has not is no parent."""
        for name in monitor.depends_on:
            if (component := self._components.get(name)) is not None and component.monitors:
                yield Parent(name, tuple(self.counted(component)))
            elif (found := self._monitors.get(name)) is not None:
                yield Parent(name, (found,))

    def _reach(self, catalog: Catalog) -> dict[str, list[Component]]:
        owner = {monitor.key: c for c in catalog.components for monitor in c.monitors}
        place = {component.slug: n for n, component in enumerate(catalog.components)}
        reached = {}
        for key in (self._groups.keys() | self._children.keys()) & owner.keys():
            with_groups = self._and_groups([key])
            children = [child for each in with_groups for child in self._children.get(each, ())]
            found = {owner[each].slug for each in (*with_groups, *self._and_groups(children))}
            others = sorted(found - {owner[key].slug}, key=place.__getitem__)
            reached[key] = [self._components[slug] for slug in others]
        return reached

    def _and_groups(self, keys: Sequence[str]) -> list[str]:
        return [*keys, *(each for key in keys for each in self._groups.get(key, ()))]

    def _look_for_itself(self, start: str, done: set[str]) -> str | None:
        """Depth first, and without recursion: a chain may be as long as the file."""
        on_the_way: dict[str, Iterator[str]] = {}
        path = [start] if start not in done else []
        while path:
            key = path[-1]
            ahead = on_the_way.setdefault(key, iter(self._leads_to(key)))
            following = next((each for each in ahead if each not in done), None)
            if following is None:
                done.add(path.pop())
            elif following in on_the_way:
                # Members of groups lie behind nothing on that account: a loop has one that says so itself.
                return next(each for each in path[path.index(following) :] if each in self._parents)
            else:
                path.append(following)
        return None

    def _leads_to(self, key: str) -> list[str]:
        if (monitor := self._monitors.get(key)) is None:
            return []
        parents = (each.key for parent in self.parents(key) for each in parent.monitors)
        return [*parents, *members_of(monitor)]


def members_of(monitor: Monitor) -> Sequence[str]:
    return group.members_of(monitor.target) if monitor.kind == "group" else ()


def _turned(pairs: dict[str, Sequence[str]] | dict[str, list[str]]) -> dict[str, list[str]]:
    """Who is named, and by whom."""
    turned: dict[str, list[str]] = {}
    for key, named in pairs.items():
        for each in dict.fromkeys(named):
            turned.setdefault(each, []).append(key)
    return turned
