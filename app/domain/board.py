"""fold: the feed, event by event, into one Board of how everything stands.

Every server computes the same board from the same log, so fold reads no clock and asks nobody: what time
it is, the event says. A stretch in which nobody looked is found here too, by arithmetic on the events, and
becomes unknown even if no server was alive to notice it.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from app.domain.events import CatalogChange, Logged, Retelling, Sample, Samples, Silence, StateChange
from app.domain.kinds.group import members_of, needed_of
from app.domain.monitor import Catalog, Component, Monitor
from app.domain.result import Outcome
from app.domain.standing import Standing, State
from app.domain.status import Status, worst

START: Final = "0-0"  # the id before every event
# A word that is older than one we have heard is an old one, said again. Older than this, it comes from a
# clock that was set back, and is the newest there is.
SAID_AGAIN: Final = timedelta(minutes=1)


class Change(Struct, frozen=True, kw_only=True):
    """One component became another colour. A patch may hold two of one component: a silence that is only
    now known, and what came after it."""

    slug: str
    status: Status
    was: Status
    since: datetime
    monitor: str = ""  # the one that brought it about
    reason: str = ""


class Patch(Struct, frozen=True, kw_only=True):
    """What one event changed. `changes` in order of time; `latency` in milliseconds by component."""

    id: str
    at: datetime
    changes: tuple[Change, ...] = ()
    latency: dict[str, float] = {}
    catalog: bool = False  # components came or went: screens need a snapshot
    trace: str = ""


class Shown(Struct):
    """How a component stands on the board."""

    status: Status
    since: datetime
    reason: str = ""
    latency: float | None = None


class Board:
    """`heard` is when each (monitor, region) was last probed; without it a silence could not be told from
    calm."""

    def __init__(self, catalog: Catalog | None = None, at: datetime | None = None, id: str = START) -> None:
        self.id = id
        self.catalog = Catalog()
        self.standings: dict[tuple[str, str], Standing] = {}
        self.heard: dict[tuple[str, str], datetime] = {}
        self.shown: dict[str, Shown] = {}
        self._monitors: dict[str, Monitor] = {}
        self._components: dict[str, Component] = {}
        self._owner: dict[str, Component] = {}
        # The other components that have a group with this monitor in it.
        self._above: dict[str, list[Component]] = {}
        if catalog is not None:
            if at is None:
                raise ValueError("a board with a catalog needs the instant from which it is shown")
            self._adopt(catalog, at)

    def fold(self, id: str, event: Logged) -> Patch | None:
        """Take in the next event of the log. None if no screen need know.

        Events at or before `self.id` must not be given: order is the feed's promise, not ours.
        """
        self.id = id
        match event:
            case StateChange():
                changes = self._stand(event.standing, event.at)
                return _patch(id, event.at, changes, trace=event.trace)
            case Retelling():
                # Who does not know yet takes no word back: after a restart every standing begins as unknown.
                changes = [
                    change
                    for standing in event.standings
                    if standing.state is not State.UNKNOWN
                    for change in self._stand(standing, event.at)
                ]
                return _patch(id, event.at, changes, trace=event.trace)
            case Samples():
                return self._measure(id, event)
            case Silence():
                return _patch(id, event.at, self._fall_silent(event.monitor, event.region, event.since))
            case CatalogChange():
                if event.revision == self.catalog.revision:
                    return None
                return Patch(
                    id=id, at=event.at, changes=tuple(self._adopt(event.catalog, event.at)), catalog=True
                )

    def component(self, slug: str) -> Component | None:
        return self._components.get(slug)

    def monitor(self, key: str) -> Monitor | None:
        return self._monitors.get(key)

    def best_before(self, monitor: str) -> float:
        """Seconds that a word on it is good for."""
        return self._monitors[monitor].best_before

    def past_best_before(self, now: datetime) -> Iterator[tuple[str, str, datetime]]:
        """(monitor, region, since when) of each word that is too old at `now` and not yet called unknown."""
        for (monitor, region), standing in self.standings.items():
            if (
                standing.state is not State.UNKNOWN
                and (best_before := self._best_before(monitor, region)) < now
            ):
                yield monitor, region, best_before

    def restore(
        self, standings: Iterable[Standing], heard: dict[tuple[str, str], datetime], shown: dict[str, Shown]
    ) -> None:
        """Set what a database remembered. Words on what is no longer in the catalog are let go."""
        self.standings = {
            (s.monitor, s.region): s for s in standings if self._is_assigned(s.monitor, s.region)
        }
        self.heard = {key: at for key, at in heard.items() if key in self.standings}
        self.shown |= {slug: state for slug, state in shown.items() if slug in self._components}

    def _stand(self, standing: Standing, at: datetime) -> list[Change]:
        if not self._is_assigned(standing.monitor, standing.region):
            return []  # a worker that has not yet heard of the new catalog
        key = (standing.monitor, standing.region)
        if (heard := self.heard.get(key)) is not None and timedelta(0) < heard - at < SAID_AGAIN:
            return []  # said again after an outage; what came after it we have heard
        changes = self._hear(key, at)
        old = self.standings.get(key)
        if old is not None and old.state is standing.state:
            # Told again, perhaps by a worker that has restarted and counts `since` from then: the old word
            # stands.
            return changes
        if old is not None and old.state is State.UNKNOWN and self._best_before(*key) <= old.since:
            return changes  # it comes so late that it was past its best before the silence began
        if old is not None and standing.since <= old.since:
            # It cannot reach back behind the word it ends, least of all into a time when nobody knew.
            standing = replace(standing, since=max(at, old.since))
        self.standings[key] = standing
        return changes + self._show(standing.monitor, standing.since, standing.reason)

    def _hear(self, key: tuple[str, str], at: datetime) -> list[Change]:
        """Note that `key` was probed at `at`; if that comes too late for its last word, nobody knew in
        between."""
        changes: list[Change] = []
        if key in self.standings and at > (best_before := self._best_before(*key)):
            changes = self._fall_silent(*key, best_before)
        if (before := self.heard.get(key)) is None or at > before or before - at >= SAID_AGAIN:
            self.heard[key] = at
        return changes

    def _fall_silent(self, monitor: str, region: str, since: datetime) -> list[Change]:
        old = self.standings.get((monitor, region))
        if old is None or old.state is State.UNKNOWN or since < self._best_before(monitor, region):
            return []  # a word came in meanwhile
        since = max(since, old.since)
        self.standings[monitor, region] = Standing(
            monitor=monitor, region=region, state=State.UNKNOWN, since=since, reason="silent"
        )
        return self._show(monitor, since, "silent")

    def _is_assigned(self, monitor: str, region: str) -> bool:
        return (known := self._monitors.get(monitor)) is not None and region in known.regions

    def _best_before(self, monitor: str, region: str) -> datetime:
        key = (monitor, region)
        heard = self.heard.get(key) or self.standings[key].since
        return heard + timedelta(seconds=self._monitors[monitor].best_before)

    def _measure(self, id: str, event: Samples) -> Patch | None:
        changes: list[Change] = []
        latency: dict[str, float] = {}
        for sample in event.samples:
            if not self._is_assigned(sample.monitor, event.region):
                continue
            owner = self._owner[sample.monitor]
            if sample.outcome is not Outcome.INCONCLUSIVE and sample.state is not State.UNKNOWN:
                changes += self._heal(sample, event.region)
            # A component shows the speed of its first monitor: a mean of a ping and a page would be nobody's.
            if sample.took is not None and not sample.late and owner.monitors[0].key == sample.monitor:
                latency[owner.slug] = sample.took
        for slug, took in latency.items():
            self.shown[slug].latency = took
        return _patch(id, event.at, changes, latency)

    def _heal(self, sample: Sample, region: str) -> list[Change]:
        """A sample newer than all we heard also says how things stand. Mostly that is no news."""
        heard = self.heard.get((sample.monitor, region))
        if heard is not None and timedelta(0) <= heard - sample.at < SAID_AGAIN:
            return []  # it was on its way while the change overtook it
        standing = Standing(monitor=sample.monitor, region=region, state=sample.state, since=sample.at)
        return self._stand(standing, sample.at)

    def _show(self, monitor: str, since: datetime, reason: str) -> list[Change]:
        changes = self._repaint(self._owner[monitor], since, monitor, reason)
        for component in self._above.get(monitor, ()):
            changes += self._repaint(component, since, monitor, reason)
        return changes

    def _repaint(self, component: Component, since: datetime, monitor: str, reason: str) -> list[Change]:
        status = self._status(component)
        now = self.shown[component.slug]
        if status is now.status:
            return []
        change = Change(
            slug=component.slug,
            status=status,
            was=now.status,
            since=max(since, now.since),
            monitor=monitor,
            reason=reason,
        )
        now.status, now.since, now.reason = status, change.since, reason
        return [change]

    def _status(self, component: Component) -> Status:
        # Who is in a group of the same component counts through that alone.
        within = {member for monitor in component.monitors for member in _members(monitor)}
        verdicts = [self._verdict(each) for each in component.monitors if each.key not in within]
        down = sum(verdict is State.DOWN for verdict in verdicts)
        if down:
            return Status.MAJOR if down == len(verdicts) else Status.PARTIAL
        return worst(_AS_STATUS[verdict] for verdict in verdicts)

    def _verdict(self, monitor: Monitor) -> State:
        """What the assigned regions say together. Down takes a majority of all assigned, so does knowing
        at all: the regions that are silent are never counted for either side."""
        if monitor.kind == "group":
            return self._verdict_of_group(monitor)
        states = [
            standing.state
            for region in monitor.regions
            if (standing := self.standings.get((monitor.key, region))) and standing.state is not State.UNKNOWN
        ]
        quorum = len(monitor.regions) // 2 + 1
        if len(states) < quorum:
            return State.UNKNOWN
        if states.count(State.DOWN) >= quorum:
            return State.DOWN
        return State.UP if all(state is State.UP for state in states) else State.DEGRADED

    def _verdict_of_group(self, group: Monitor) -> State:
        """Unknown as long as those of whom nobody knows could decide it."""
        members = [self._monitors[key] for key in _members(group) if key in self._monitors]
        verdicts = [self._verdict(each) for each in members if each.kind != "group"]
        if not verdicts:
            return State.UNKNOWN
        needed = needed_of(group, len(verdicts))
        up, degraded = verdicts.count(State.UP), verdicts.count(State.DEGRADED)
        if up >= needed:
            return State.UP
        if up + degraded >= needed:
            return State.DEGRADED
        return State.DOWN if len(verdicts) - verdicts.count(State.DOWN) < needed else State.UNKNOWN

    def _adopt(self, catalog: Catalog, at: datetime) -> list[Change]:
        """Take over a catalog and keep every standing that is still about something in it."""
        before = {key: monitor.best_before for key, monitor in self._monitors.items()}
        self.catalog = catalog
        self._components = {component.slug: component for component in catalog.components}
        self._monitors = {monitor.key: monitor for monitor in catalog.monitors()}
        self._owner = {
            monitor.key: component for component in catalog.components for monitor in component.monitors
        }
        self._above = _above(catalog)
        self.standings = {
            (key, region): standing
            for (key, region), standing in self.standings.items()
            if key in self._monitors and region in self._monitors[key].regions
        }
        self.heard = {key: at for key, at in self.heard.items() if key in self.standings}
        for (key, region), heard in self.heard.items():
            if self._monitors[key].best_before < before[key]:
                # Until now the old rhythm was kept, and nobody was silent.
                self.heard[key, region] = max(heard, at)
        shown = self.shown
        self.shown = {slug: shown.get(slug) or Shown(Status.UNKNOWN, at) for slug in self._components}
        return [
            change
            for component in catalog.components
            for change in self._repaint(component, at, "", "catalog")
        ]


_AS_STATUS = {
    State.UP: Status.OPERATIONAL,
    State.DEGRADED: Status.DEGRADED,
    State.DOWN: Status.MAJOR,
    State.UNKNOWN: Status.UNKNOWN,
}


def _members(monitor: Monitor) -> Sequence[str]:
    return members_of(monitor.target) if monitor.kind == "group" else ()


def _above(catalog: Catalog) -> dict[str, list[Component]]:
    above: dict[str, list[Component]] = {}
    for component in catalog.components:
        own = {monitor.key for monitor in component.monitors}
        members = {key for monitor in component.monitors for key in _members(monitor)}
        for key in sorted(members - own):
            above.setdefault(key, []).append(component)
    return above


def _patch(
    id: str, at: datetime, changes: list[Change], latency: dict[str, float] | None = None, trace: str = ""
) -> Patch | None:
    if not changes and not latency:
        return None
    in_order = tuple(sorted(changes, key=lambda change: change.since))
    return Patch(id=id, at=at, changes=in_order, latency=latency or {}, trace=trace)
