"""fold: the feed, event by event, into one Board of how everything stands.

Every server computes the same board from the same log, so fold reads no clock and asks nobody: what time
it is, the event says. A stretch in which nobody looked is found here too, by arithmetic on the events, and
becomes unknown even if no server was alive to notice it.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from app.domain import heartbeat
from app.domain.dependencies import Dependencies, Parent, members_of
from app.domain.events import (
    CatalogChange,
    Heartbeat,
    Logged,
    Operation,
    Retelling,
    Revoked,
    Sample,
    Samples,
    Silence,
    StateChange,
)
from app.domain.incident import Incident
from app.domain.kinds.group import needed_of
from app.domain.maintenance import Maintenance
from app.domain.monitor import DEFAULT_REGION, Catalog, Component, Monitor
from app.domain.operations import Operations, Story
from app.domain.pages import OnPage, on_pages
from app.domain.result import Outcome
from app.domain.standing import Standing, State, unseen
from app.domain.status import OUT, Status, worst

START: Final = "0-0"  # the id before every event
# A word that is older than one we have heard is an old one, said again. Older than this, it comes from a
# clock that was set back, and is the newest there is.
SAID_AGAIN: Final = timedelta(minutes=1)
# After the best before of one region's word, until another region's word finds it too old to be weighed with:
# their clocks may differ, and after an outage their words come one region after the other.
BETWEEN_REGIONS: Final = timedelta(minutes=1)
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class Change(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One component became another colour. A patch may hold two of one component: a silence that is only
    now known, and what came after it."""

    slug: str
    status: Status
    was: Status
    since: datetime
    monitor: str = ""  # the one that brought it about
    reason: str = ""


class Note(Struct, frozen=True, omit_defaults=True):
    """What is to be said beside a status: that it flaps, the slug and name of the component that it lies
    behind, that it was set by hand and why, that nobody looks at it for now, and who is on it."""

    flapping: bool = False
    behind: str = ""
    name: str = ""
    by_hand: bool = False
    why: str = ""
    paused: bool = False
    acknowledged: str = ""


NO_NOTE: Final = Note()


class Patch(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What one event changed. `changes` in order of time; `latency` in milliseconds by component. It is kept
    as JSON for those who resume, so a field that is new needs a default."""

    id: str
    at: datetime
    changes: tuple[Change, ...] = ()
    latency: dict[str, float] = {}
    notes: dict[str, Note] = {}  # of the components whose note is another one now
    incidents: tuple[Story[Incident], ...] = ()
    maintenances: tuple[Story[Maintenance], ...] = ()
    catalog: bool = False  # components came or went: screens need a snapshot
    trace: str = ""

    @property
    def is_news(self) -> bool:
        """False for measurements alone."""
        return bool(self.changes or self.notes or self.incidents or self.maintenances)


class Shown(Struct):
    """How a component stands on the board."""

    status: Status
    since: datetime
    reason: str = ""
    latency: float | None = None
    note: Note = NO_NOTE
    out: datetime | None = None  # since when it has been out, partly or wholly, without a pause


class Board:
    """`heard` is when each (monitor, region) was last probed; without it a silence could not be told from
    calm."""

    def __init__(self, catalog: Catalog | None = None, at: datetime | None = None, id: str = START) -> None:
        self.id = id
        self.catalog = Catalog()
        self.standings: dict[tuple[str, str], Standing] = {}
        self.heard: dict[tuple[str, str], datetime] = {}
        self.shown: dict[str, Shown] = {}
        self.operations = Operations()
        self._monitors: dict[str, Monitor] = {}
        self._components: dict[str, Component] = {}
        self._owner: dict[str, Component] = {}
        self._paused: frozenset[str] = frozenset()
        self._pages = on_pages(self.catalog)
        self._dependencies = Dependencies(self.catalog)
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
                told = self._stand(event.standing, event.at)
                return self._patch(id, event.at, [event.standing.monitor], told, trace=event.trace)
            case Retelling():
                return self._hear_again(id, event)
            case Samples():
                return self._measure(id, event)
            case Silence():
                # After a clock was set back its best before may be still to come, and nobody was seen then.
                began = min(event.since, event.at)
                if (monitor := self._monitors.get(event.monitor)) and _is_pushed(monitor):
                    told = self._miss(monitor, event.since, began)
                else:
                    told = self._fall_silent(event.monitor, event.region, event.since, began)
                return self._patch(id, event.at, [event.monitor], told)
            case Heartbeat():
                return self._patch(id, event.at, [event.monitor], self._hear_heartbeat(event))
            case CatalogChange():
                if event.revision == self.catalog.revision:
                    return None
                changes = self._adopt(event.catalog, event.at)
                return Patch(id=id, at=event.at, changes=tuple(changes), catalog=True)
            case Revoked():
                return None
            case _:
                return self._operate(id, event)

    def page(self, slug: str) -> OnPage | None:
        return self._pages.get(slug)

    def pages_of(self, slug: str) -> frozenset[str]:
        """The slugs of the pages that a component is on."""
        return frozenset(name for name, page in self._pages.items() if slug in page.slugs)

    def component(self, slug: str) -> Component | None:
        return self._components.get(slug)

    def monitor(self, key: str) -> Monitor | None:
        return self._monitors.get(key)

    def patience(self, monitor: str, region: str) -> tuple[float, float]:
        """Seconds that the last word on it is good for, and for how many more whoever was away waits for the
        next one."""
        known = self._monitors[monitor]
        if not _is_pushed(known):
            return known.best_before, 0.0
        due = self._due(known)
        good = 0.0 if due is None else (due.at - due.since).total_seconds()
        return good, heartbeat.respite(known)

    def verdict(self, monitor: Monitor) -> State:
        """What is held of it: what its regions say together, and unknown for what is down behind something
        that is down itself."""
        if monitor.key in self._paused:
            return State.UNKNOWN
        if monitor.kind == "group":
            own = _verdict_of_group(monitor, [self.verdict(each) for each in self.members(monitor)])
        else:
            own = self._said_together(monitor)
        hidden = own is State.DOWN and self.behind(monitor) is not None
        return State.UNKNOWN if hidden else own

    def behind(self, monitor: Monitor) -> Parent | None:
        """The parent that explains why it is down: one that is down itself, or was when the monitor was last
        looked at, so that nobody knows yet whether it is well again too."""
        for parent in self._dependencies.parents(monitor.key):
            if all(self.alone(each) is State.DOWN for each in parent.monitors):
                return parent
            if (since := self._recovered(parent)) is not None and not self._was_heard_after(monitor, since):
                return parent
        return None

    def alone(self, monitor: Monitor) -> State:
        """The verdict without regard to what lies behind what."""
        if monitor.key in self._paused:
            return State.UNKNOWN
        if monitor.kind != "group":
            return self._said_together(monitor)
        return _verdict_of_group(monitor, [self._said_together(each) for each in self.members(monitor)])

    def members(self, group: Monitor) -> list[Monitor]:
        """Those that are in the catalog; none of what is no group. A group is no member of another."""
        found = (self._monitors.get(key) for key in members_of(group))
        return [each for each in found if each is not None and each.kind != "group"]

    def parents(self, monitor: Monitor) -> Sequence[Parent]:
        return self._dependencies.parents(monitor.key)

    def owner(self, monitor: str) -> Component:
        return self._owner[monitor]

    def past_best_before(self, now: datetime) -> Iterator[tuple[str, str, datetime]]:
        """(monitor, region, since when) of each word that is too old at `now` and not yet called unknown, or
        late. Of one that comes from before a clock was set back nobody can tell: it is too old if a stopwatch
        says so."""
        for (monitor, region), standing in self.standings.items():
            if standing.state is State.UNKNOWN and not _is_pushed(self._monitors[monitor]):
                continue
            best_before = self._best_before(monitor, region)
            if best_before < now or self._is_of_the_future((monitor, region), now):
                yield monitor, region, best_before

    def _is_of_the_future(self, key: tuple[str, str], now: datetime) -> bool:
        heard = self.heard.get(key)
        if heard is None or heard - now < SAID_AGAIN:
            return False
        known = self._monitors[key[0]]
        return not _is_pushed(known) or self._due(known) is not None

    def restore(
        self,
        standings: Iterable[Standing],
        heard: dict[tuple[str, str], datetime],
        shown: dict[str, Shown],
        operations: Iterable[Operation] = (),
    ) -> None:
        """Set what a database remembered. Words on what is no longer in the catalog are let go."""
        for event in operations:
            self.operations.take(event)
        self.standings = {
            (s.monitor, s.region): s for s in standings if self._is_assigned(s.monitor, s.region)
        }
        self.heard = {key: at for key, at in heard.items() if key in self.standings}
        self.shown |= {slug: state for slug, state in shown.items() if slug in self._components}
        self._mark(self._monitors)

    def _operate(self, id: str, event: Operation) -> Patch | None:
        taken = self.operations.take(event)
        reached = [self._components[slug] for slug in sorted(taken.slugs) if slug in self._components]
        changes = [
            change for component in reached for change in self._repaint(component, event.at, "", "released")
        ]
        notes = self._mark_components(reached)
        if not (changes or notes or taken.incidents or taken.maintenances):
            return None
        return Patch(
            id=id,
            at=event.at,
            changes=tuple(changes),
            notes=notes,
            incidents=taken.incidents,
            maintenances=taken.maintenances,
        )

    def _hear_again(self, id: str, event: Retelling) -> Patch | None:
        # Who does not know yet takes no word back: after a restart every standing begins as unknown.
        known = [standing for standing in event.standings if standing.state is not State.UNKNOWN]
        told = [change for standing in known for change in self._stand_as_seen(standing, event.at)]
        return self._patch(id, event.at, [standing.monitor for standing in known], told, trace=event.trace)

    def _stand_as_seen(self, standing: Standing, said: datetime) -> list[Change]:
        """To say it again makes no word younger."""
        seen = standing.seen or said
        heard = self.heard.get((standing.monitor, standing.region))
        is_old = heard is not None and heard > seen and heard - said < SAID_AGAIN
        return [] if is_old else self._stand(standing, seen)

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
            if old.flapping is not standing.flapping:
                self.standings[key] = replace(old, flips=standing.flips, flapping=standing.flapping)
            # Behind a parent it matters that it was looked at.
            hidden = self._dependencies.parents(standing.monitor) and old.state is State.DOWN
            return changes + self._show(standing.monitor, at, old.reason) if hidden else changes
        if old is not None and old.state is State.UNKNOWN and self._is_late(key, heard, old):
            return changes  # it comes so late that it was past its best before the silence began
        if old is not None and standing.since <= old.since:
            # It cannot reach back behind the word it ends, least of all into a time when nobody knew.
            standing = replace(standing, since=max(at, old.since))
        changes += self._silence_others(*key, at)
        self.standings[key] = standing
        return changes + self._show(standing.monitor, standing.since, standing.reason)

    def _is_late(self, key: tuple[str, str], heard: datetime | None, silent: Standing) -> bool:
        """A silence that began far ahead of the word was dated by a clock that has been set back since: that
        one is the newest there is, and to wait until the old time comes again would be hours."""
        ahead = silent.since - self._best_before(*key)
        return ahead >= timedelta(0) and (heard is None or ahead < SAID_AGAIN)

    def _silence_others(self, monitor: str, region: str, at: datetime) -> list[Change]:
        """A new word is not weighed with old ones of other regions, even if no server was alive to call
        these silent."""
        return [
            change
            for other in self._monitors[monitor].regions
            if other != region and (monitor, other) in self.standings
            if at - (best_before := self._best_before(monitor, other)) > BETWEEN_REGIONS
            for change in self._fall_silent(monitor, other, best_before)
        ]

    def _hear(self, key: tuple[str, str], at: datetime) -> list[Change]:
        """Note that `key` was probed at `at`; if that comes too late for its last word, nobody knew in
        between."""
        changes: list[Change] = []
        if key in self.standings and at > (best_before := self._best_before(*key)):
            changes = self._fall_silent(*key, best_before)
        if (before := self.heard.get(key)) is None or at > before or before - at >= SAID_AGAIN:
            self.heard[key] = at
        return changes

    def _fall_silent(
        self, monitor: str, region: str, best_before: datetime, began: datetime | None = None
    ) -> list[Change]:
        old = self.standings.get((monitor, region))
        if old is None or old.state is State.UNKNOWN or best_before < self._best_before(monitor, region):
            return []  # a word came in meanwhile
        since = max(began or best_before, old.since)
        # What a job has said stays: by that it is known when it should have spoken.
        seen, running = (old.seen, old.running) if _is_pushed(self._monitors[monitor]) else (None, None)
        self.standings[monitor, region] = Standing(
            monitor=monitor,
            region=region,
            state=State.UNKNOWN,
            since=since,
            reason="silent",
            seen=seen,
            running=running,
        )
        return self._show(monitor, since, "silent")

    def _hear_heartbeat(self, event: Heartbeat) -> list[Change]:
        monitor = self._monitors.get(event.monitor)
        if monitor is None or not _is_pushed(monitor) or monitor.key in self._paused:
            return []
        key = (monitor.key, DEFAULT_REGION)
        if (heard := self.heard.get(key)) is not None and timedelta(0) < heard - event.at < SAID_AGAIN:
            return []  # another server's word on a later one has overtaken it
        changes = self._hear(key, event.at)
        before = self.standings.get(key) or unseen(monitor, DEFAULT_REGION, event.at)
        after = self.standings[key] = heartbeat.after(before, event)
        return changes + self._show(monitor.key, after.since, after.reason)

    def _miss(self, monitor: Monitor, best_before: datetime, began: datetime) -> list[Change]:
        due = self._due(monitor)
        if due is None or best_before < due.at:
            return []  # a word came meanwhile
        key = (monitor.key, DEFAULT_REGION)
        after = self.standings[key] = heartbeat.missed(self.standings[key], replace(due, at=began))
        return self._show(monitor.key, after.since, after.reason)

    def _due(self, monitor: Monitor) -> heartbeat.Due | None:
        standing = self.standings.get((monitor.key, DEFAULT_REGION))
        return None if standing is None else heartbeat.due(monitor, standing)

    def _is_assigned(self, monitor: str, region: str) -> bool:
        if monitor in self._paused:
            return False
        return (known := self._monitors.get(monitor)) is not None and region in known.regions

    def _best_before(self, monitor: str, region: str) -> datetime:
        key = (monitor, region)
        if _is_pushed(self._monitors[monitor]):
            due = self._due(self._monitors[monitor])
            return _NEVER if due is None else due.at
        heard = self.heard.get(key) or self.standings[key].since
        return heard + timedelta(seconds=self._monitors[monitor].best_before)

    def _measure(self, id: str, event: Samples) -> Patch | None:
        changes: list[Change] = []
        latency: dict[str, float] = {}
        known = [sample for sample in event.samples if self._is_assigned(sample.monitor, event.region)]
        for sample in known:
            owner = self._owner[sample.monitor]
            if sample.outcome is not Outcome.INCONCLUSIVE and sample.state is not State.UNKNOWN:
                changes += self._heal(sample, event.region)
            # A component shows the speed of its first monitor: a mean of a ping and a page would be nobody's.
            if sample.took is not None and not sample.late and owner.monitors[0].key == sample.monitor:
                latency[owner.slug] = sample.took
        for slug, took in latency.items():
            self.shown[slug].latency = took
        return self._patch(id, event.at, [change.monitor for change in changes], changes, latency)

    def _heal(self, sample: Sample, region: str) -> list[Change]:
        """A sample newer than all we heard also says how things stand. Mostly that is no news."""
        heard = self.heard.get((sample.monitor, region))
        if heard is not None and timedelta(0) <= heard - sample.at < SAID_AGAIN:
            return []  # it was on its way while the change overtook it
        old = self.standings.get((sample.monitor, region))
        standing = Standing(
            monitor=sample.monitor,
            region=region,
            state=sample.state,
            since=sample.at,
            # Of that a sample knows nothing.
            flips=old.flips if old is not None else (),
            flapping=old is not None and old.flapping,
        )
        return self._stand(standing, sample.at)

    def _show(self, monitor: str, since: datetime, reason: str) -> list[Change]:
        changes = self._repaint(self._owner[monitor], since, monitor, reason)
        for component in self._dependencies.reached_by(monitor):
            changes += self._repaint(component, since, monitor, reason)
        return changes

    def _repaint(self, component: Component, since: datetime, monitor: str, reason: str) -> list[Change]:
        told = self.operations.status(component.slug)
        status = self._status(component) if told is None else told[0]
        now = self.shown[component.slug]
        if status is now.status:
            return []
        if told is not None:
            monitor, reason = "", told[1]
        elif status is Status.UNKNOWN and (parent := self._parent_of(component)) is not None:
            reason = f"behind {parent.name}"
        elif status is Status.UNKNOWN and self._is_paused(component):
            reason = "paused"
        change = Change(
            slug=component.slug,
            status=status,
            was=now.status,
            since=max(since, now.since),
            monitor=monitor,
            reason=reason,
        )
        went_out = (now.out or now.since) if now.status in OUT else change.since
        now.out = went_out if status in OUT else None
        now.status, now.since, now.reason = status, change.since, reason
        return [change]

    def _status(self, component: Component) -> Status:
        verdicts = [self.verdict(each) for each in self._dependencies.counted(component)]
        down = sum(verdict is State.DOWN for verdict in verdicts)
        if down:
            return Status.MAJOR if down == len(verdicts) else Status.PARTIAL
        return worst(_AS_STATUS[verdict] for verdict in verdicts)

    def _parent_of(self, component: Component) -> Parent | None:
        """What hides one of its monitors, or a member of one of its groups."""
        counted = self._dependencies.counted(component)
        leaves = (leaf for monitor in counted for leaf in (monitor, *self.members(monitor)))
        down = (leaf for leaf in leaves if self.alone(leaf) is State.DOWN)
        return next((parent for monitor in down if (parent := self.behind(monitor))), None)

    def _said_together(self, monitor: Monitor) -> State:
        """What the assigned regions say together. Down takes a majority of all assigned, so does knowing
        at all: the regions that are silent are never counted for either side."""
        words = (self.standings.get((monitor.key, region)) for region in monitor.regions)
        states = [word.state for word in words if word is not None and word.state is not State.UNKNOWN]
        quorum = quorum_of(monitor)
        if len(states) < quorum:
            return State.UNKNOWN
        if states.count(State.DOWN) >= quorum:
            return State.DOWN
        return State.UP if all(state is State.UP for state in states) else State.DEGRADED

    def _recovered(self, parent: Parent) -> datetime | None:
        """The last time at which one of its monitors ceased to be down. None if none was ever heard."""
        leaves = [leaf for each in parent.monitors for leaf in self.members(each) or [each]]
        words = (self.standings.get((leaf.key, region)) for leaf in leaves for region in leaf.regions)
        return max((word.since for word in words if word and word.state in _WELL), default=None)

    def _was_heard_after(self, monitor: Monitor, since: datetime) -> bool:
        """Whether it was looked at after that in so many regions that they could call it down."""
        if monitor.kind == "group":
            return True
        heard = (self.heard.get((monitor.key, region)) for region in monitor.regions)
        return sum(at is not None and at > since for at in heard) >= quorum_of(monitor)

    def _patch(
        self,
        id: str,
        at: datetime,
        monitors: Iterable[str],
        changes: list[Change],
        latency: dict[str, float] | None = None,
        trace: str = "",
    ) -> Patch | None:
        notes = self._mark(monitors)
        if not changes and not latency and not notes:
            return None
        in_order = tuple(sorted(changes, key=lambda change: change.since))
        return Patch(id=id, at=at, changes=in_order, latency=latency or {}, notes=notes, trace=trace)

    def _mark(self, monitors: Iterable[str]) -> dict[str, Note]:
        """Look after the notes of the components that these monitors reach, and return the new ones."""
        return self._mark_components(
            component
            for key in dict.fromkeys(monitors)
            if key in self._owner
            for component in (self._owner[key], *self._dependencies.reached_by(key))
        )

    def _mark_components(self, components: Iterable[Component]) -> dict[str, Note]:
        news = {}
        for component in components:
            note, shown = self._note(component), self.shown[component.slug]
            if note != shown.note:
                news[component.slug] = shown.note = note
        return news

    def _note(self, component: Component) -> Note:
        slug = component.slug
        said = Note(
            flapping=self._flaps(component),
            by_hand=self.operations.is_by_hand(slug),
            why=self.operations.note(slug),
            paused=self._is_paused(component),
            acknowledged=self.operations.acknowledgement(slug),
        )
        if self.shown[slug].status is Status.UNKNOWN and (parent := self._parent_of(component)):
            behind = self._owner[parent.monitors[0].key]
            return replace(said, behind=behind.slug, name=behind.name)
        return NO_NOTE if said == NO_NOTE else said

    def _is_paused(self, component: Component) -> bool:
        return any(monitor.key in self._paused for monitor in component.monitors)

    def _flaps(self, component: Component) -> bool:
        words = (
            self.standings.get((monitor.key, region))
            for monitor in component.monitors
            for region in monitor.regions
        )
        return any(word is not None and word.flapping for word in words)

    def _adopt(self, catalog: Catalog, at: datetime) -> list[Change]:
        """Take over a catalog and keep every standing that is still about something in it."""
        before = {key: monitor.best_before for key, monitor in self._monitors.items()}
        rhythms = {key: _rhythm(each) for key, each in self._monitors.items() if _is_pushed(each)}
        self.catalog = catalog
        self._components = {component.slug: component for component in catalog.components}
        self._monitors = {monitor.key: monitor for monitor in catalog.monitors()}
        self._owner = {
            monitor.key: component for component in catalog.components for monitor in component.monitors
        }
        self._paused = frozenset(catalog.paused)
        self._pages = on_pages(catalog)
        self._dependencies = Dependencies(catalog)
        self.standings = {
            (key, region): standing
            for (key, region), standing in self.standings.items()
            # When it is looked at again, what was said before is old.
            if self._is_assigned(key, region)
            # Of what others have seen no job has said a word.
            if key in rhythms or not _is_pushed(self._monitors[key])
        }
        self.heard = {key: at for key, at in self.heard.items() if key in self.standings}
        for (key, region), heard in self.heard.items():
            if self._monitors[key].best_before < before[key]:
                # Until now the old rhythm was kept, and nobody was silent.
                self.heard[key, region] = max(heard, at)
        for key, rhythm in rhythms.items():
            standing = self.standings.get((key, DEFAULT_REGION))
            if standing is not None and standing.seen is not None and rhythm != _rhythm(self._monitors[key]):
                self.standings[key, DEFAULT_REGION] = replace(standing, seen=max(standing.seen, at))
        shown = self.shown
        self.shown = {slug: shown.get(slug) or Shown(Status.UNKNOWN, at) for slug in self._components}
        changes = [
            change
            for component in catalog.components
            for change in self._repaint(component, at, "", "catalog")
        ]
        self._mark(self._monitors)
        return changes


_AS_STATUS = {
    State.UP: Status.OPERATIONAL,
    State.DEGRADED: Status.DEGRADED,
    State.DOWN: Status.MAJOR,
    State.UNKNOWN: Status.UNKNOWN,
}


_WELL = (State.UP, State.DEGRADED)


def _is_pushed(monitor: Monitor) -> bool:
    return monitor.kind == heartbeat.KIND


def _rhythm(monitor: Monitor) -> tuple[object, ...]:
    return monitor.every, sorted(monitor.options.items())


def quorum_of(monitor: Monitor) -> int:
    """How many of its regions must have news of a monitor for a verdict, and agree for it to be down."""
    return len(monitor.regions) // 2 + 1


def _verdict_of_group(group: Monitor, verdicts: Sequence[State]) -> State:
    """Unknown as long as those of whom nobody knows could decide it."""
    if not verdicts:
        return State.UNKNOWN
    needed = needed_of(group, len(verdicts))
    up, degraded = verdicts.count(State.UP), verdicts.count(State.DEGRADED)
    if up >= needed:
        return State.UP
    if up + degraded >= needed:
        return State.DEGRADED
    return State.DOWN if len(verdicts) - verdicts.count(State.DOWN) < needed else State.UNKNOWN
