"""What goes wrong, as people tell it: an Incident, its updates, and what each of an operator's verbs makes
of it. All pure: the room that keeps incidents is `app/db/incidents.py`.

An operator's Incident holds drafts and private notes. What leaves for the feed is `public()` alone.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from app.domain import refused
from app.domain.instant import Instant
from app.domain.refused import Refused
from app.domain.status import Status

MOST_UPDATES: Final = 200
MOST_COMPONENTS: Final = 200
# Of the updates that travel with an incident: each travels again with every change of it.
TOLD_UPDATES: Final = 20


class IncidentStatus(StrEnum):
    """How far it has come. `postmortem` is resolved too, and explained."""

    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    MONITORING = "monitoring"
    RESOLVED = "resolved"
    POSTMORTEM = "postmortem"


class Impact(StrEnum):
    """How bad it is for those who use what is affected."""

    NONE = "none"
    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"


OVER: Final = frozenset({IncidentStatus.RESOLVED, IncidentStatus.POSTMORTEM})
_NOTHING: Final[Mapping[str, Status]] = {}
_RANK = {impact: rank for rank, impact in enumerate(Impact)}
_IMPACT = {
    Status.DEGRADED: Impact.MINOR,
    Status.PARTIAL: Impact.MAJOR,
    Status.MAJOR: Impact.CRITICAL,
}


class Affected(Struct, frozen=True, omit_defaults=True):
    """Without a status the component goes on as its probes say; with one, that holds while the incident is
    open."""

    slug: str
    status: Status | None = None


class Update(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`n` names it within its subject. `words` are Markdown. A private one is a note among operators."""

    n: int
    at: Instant
    status: str
    words: str
    private: bool = False
    author: str = ""


class Incident(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`updates` from the oldest to the newest. `impact_set`: an operator chose the impact; until then `felt`
    has how bad it ever was of each component, also of one that it does not name any more. `rule` is the one
    that opened it; empty if a person did."""

    id: str
    title: str
    status: IncidentStatus
    impact: Impact
    since: Instant
    updated: Instant
    resolved: Instant | None = None
    next_update_by: Instant | None = None
    components: tuple[Affected, ...] = ()
    updates: tuple[Update, ...] = ()
    acknowledged: str = ""
    acknowledged_until: Instant | None = None
    impact_set: bool = False
    felt: dict[str, Impact] = {}
    draft: bool = False
    rule: str = ""
    version: int = 1

    @property
    def is_open(self) -> bool:
        return self.status not in OVER

    def impact_on(self, slugs: Collection[str]) -> Impact:
        """Its impact as far as it follows from these components, for those who see no others. What somebody
        chose, and what names nothing, is the same for all."""
        named = {*self.felt, *(each.slug for each in self.components)}
        if self.impact_set or named <= set(slugs):
            return self.impact
        # What an older server has stored tells only what it gives its components now.
        felt = {each.slug: _IMPACT[each.status] for each in self.components if each.status in _IMPACT}
        felt |= self.felt
        return worst_of(impact for slug, impact in felt.items() if slug in slugs)

    def public(self) -> "Incident":
        """Without private notes and who wrote what. Equal if nothing public has changed."""
        said = [replace(update, author="") for update in self.updates if not update.private]
        return replace(self, updates=tuple(said[-TOLD_UPDATES:]), version=1)


class NewIncident(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What posting one takes. Without `impact` it is that of the worst component's status, and minor if none
    of them tells; `since` dates it back. A draft is seen by operators alone, until it is published."""

    title: str
    words: str
    status: IncidentStatus = IncidentStatus.INVESTIGATING
    impact: Impact | None = None
    components: tuple[Affected, ...] = ()
    since: Instant | None = None
    next_update_by: Instant | None = None
    draft: bool = False


class NewUpdate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an update takes; what is left out stays as it is. `at` dates it back. A private one changes
    nothing but the notes of operators."""

    words: str
    status: IncidentStatus | None = None
    components: tuple[Affected, ...] | None = None
    next_update_by: Instant | None = None
    at: Instant | None = None
    private: bool = False


class Edit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be set right without saying anything. An `impact` of None is computed again."""

    title: str | UnsetType = UNSET
    impact: Impact | UnsetType | None = UNSET
    components: tuple[Affected, ...] | UnsetType = UNSET
    since: Instant | UnsetType = UNSET
    next_update_by: Instant | UnsetType | None = UNSET


class Template(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Words that are ready before anything has happened."""

    name: str
    title: str
    words: str
    status: IncidentStatus = IncidentStatus.INVESTIGATING


def felt_of(components: Iterable[Affected], known: Mapping[str, Status] = _NOTHING) -> dict[str, Impact]:
    """By the status that a component is given here, or else by the trouble that its probes see, which is
    `known`. Of which neither tells, nothing is said."""
    felt = {}
    for each in components:
        if each.status is not None:
            felt[each.slug] = _IMPACT.get(each.status, Impact.NONE)
        elif (seen := known.get(each.slug)) in _IMPACT:
            felt[each.slug] = _IMPACT[seen]
    return felt


def worst_of(impacts: Iterable[Impact]) -> Impact:
    """Where nothing tells, somebody found it worth an incident: minor."""
    return max(impacts, key=_RANK.__getitem__, default=Impact.MINOR)


def with_felt(incident: Incident, felt: Mapping[str, Impact]) -> Incident:
    """Worse than it was, or as bad; what somebody chose stays."""
    if incident.impact_set:
        return incident
    both = {slug: worst_of((impact, incident.felt.get(slug, impact))) for slug, impact in felt.items()}
    impact = worst_of((incident.impact, *felt.values()))
    return replace(incident, impact=impact, felt={**incident.felt, **both})


def posted(
    id: str, new: NewIncident, now: datetime, author: str, known: Mapping[str, Status] = _NOTHING
) -> Incident:
    """`known` is how the components stand by their probes."""
    since = now if new.since is None else refused.not_later(new.since, now, "since")
    first = Update(n=1, at=since, status=new.status, words=refused.words(new.words), author=author)
    felt = felt_of(new.components, known) if new.impact is None else {}
    incident = Incident(
        id=id,
        title=refused.title(new.title),
        status=new.status,
        impact=new.impact or worst_of(felt.values()),
        impact_set=new.impact is not None,
        felt=felt,
        since=since,
        updated=now,
        next_update_by=_next_update_by(new.next_update_by, now),
        components=_distinct(new.components),
        updates=(first,),
        draft=new.draft,
    )
    return _settled(incident)


def updated(incident: Incident, new: NewUpdate, now: datetime, author: str) -> Incident:
    if len(incident.updates) >= MOST_UPDATES:
        raise Refused("words", f"An incident has {MOST_UPDATES} updates at the most: open another.")
    at = now if new.at is None else refused.not_later(new.at, now, "at")
    if at < incident.since:
        raise Refused("at", "`at` is earlier than the incident itself: date that back first.")
    update = Update(
        n=1 + max((each.n for each in incident.updates), default=0),
        at=at,
        status=new.status or incident.status,
        words=refused.words(new.words),
        private=new.private,
        author=author,
    )
    updates = tuple(sorted((*incident.updates, update), key=lambda each: each.at))
    if new.private:
        return replace(incident, updates=updates, version=incident.version + 1)
    changed = replace(
        incident,
        updates=updates,
        updated=now,
        # A promise that was kept is none any more.
        next_update_by=_next_update_by(new.next_update_by, now),
        components=incident.components if new.components is None else _distinct(new.components),
        version=incident.version + 1,
    )
    return _settled(changed)


def edited(incident: Incident, edit: Edit, now: datetime, known: Mapping[str, Status] = _NOTHING) -> Incident:
    since = incident.since if edit.since is UNSET else refused.not_later(edit.since, now, "since")
    if (first := min((each.at for each in incident.updates), default=since)) < since:
        raise Refused("since", f"`since` is later than the first update, which is of {first.isoformat()}.")
    components = incident.components if edit.components is UNSET else _distinct(edit.components)
    impact, is_set, felt = incident.impact, incident.impact_set, incident.felt
    if edit.impact is None:
        felt = felt_of(components, known)
        impact, is_set = worst_of(felt.values()), False
    elif edit.impact is not UNSET:
        impact, is_set, felt = edit.impact, True, {}
    promise = incident.next_update_by
    if edit.next_update_by is not UNSET:
        promise = _next_update_by(edit.next_update_by, now)
    changed = replace(
        incident,
        title=incident.title if edit.title is UNSET else refused.title(edit.title),
        impact=impact,
        impact_set=is_set,
        felt=felt,
        components=components,
        since=since,
        next_update_by=promise,
        updated=now,
        version=incident.version + 1,
    )
    return _settled(changed)


def rewritten(incident: Incident, n: int, words: str | None, now: datetime) -> Incident:
    """With other words in its nth update, or, for None, without it."""
    if all(each.n != n for each in incident.updates):
        raise Refused("update", f"This incident has no update {n}.", "missing")
    if words is None and sum(not each.private for each in incident.updates if each.n != n) == 0:
        raise Refused("update", "An incident keeps one update: remove the incident itself instead.")
    updates = tuple(
        replace(each, words=refused.words(words)) if each.n == n and words is not None else each
        for each in incident.updates
        if each.n != n or words is not None
    )
    return _settled(replace(incident, updates=updates, updated=now, version=incident.version + 1))


def published(incident: Incident, now: datetime) -> Incident:
    if not incident.draft:
        raise Refused("id", "This incident is public already.", "conflict")
    return replace(incident, draft=False, updated=now, version=incident.version + 1)


def acknowledged(incident: Incident, words: str, until: datetime | None, now: datetime) -> Incident:
    """With no words: nobody is on it any more."""
    if words and not incident.is_open:
        raise Refused("id", "This incident is resolved: there is nothing to acknowledge.", "conflict")
    if until is not None:
        refused.later(until, now, "until", "now")
    return replace(
        incident, acknowledged=words, acknowledged_until=until, updated=now, version=incident.version + 1
    )


def _settled(incident: Incident) -> Incident:
    """What follows from the updates: the newest public one says how it stands, whenever it was written; and
    an impact that nobody chose is the worst that it ever was."""
    said = [update for update in incident.updates if not update.private]
    status = IncidentStatus(said[-1].status)
    given = {each.slug: _IMPACT[each.status] for each in incident.components if each.status in _IMPACT}
    incident = with_felt(incident, given)
    is_over = status in OVER
    return replace(
        incident,
        status=status,
        resolved=_over_since(said) if is_over else None,
        next_update_by=None if is_over else incident.next_update_by,
        acknowledged="" if is_over else incident.acknowledged,
        acknowledged_until=None if is_over else incident.acknowledged_until,
    )


def _over_since(said: list[Update]) -> datetime:
    over = said[-1].at
    for update in reversed(said):
        if update.status not in OVER:
            break
        over = update.at
    return over


def _next_update_by(given: datetime | None, now: datetime) -> datetime | None:
    return given and refused.later(given, now, "next_update_by", "now")


def _distinct(components: Iterable[Affected]) -> tuple[Affected, ...]:
    by_slug = {each.slug: each for each in components}
    if len(by_slug) > MOST_COMPONENTS:
        raise Refused("components", f"An incident names {MOST_COMPONENTS} components at the most.")
    for each in by_slug.values():
        if each.status in (Status.UNKNOWN, Status.MAINTENANCE):
            raise Refused(
                "components",
                f"`{each.slug}` cannot be {each.status} by an incident: give it operational, "
                "degraded_performance, partial_outage or major_outage, or leave the status out.",
            )
    return tuple(by_slug.values())
