"""Incidents at /v1/incidents, and what is said of one: its updates, its postmortem, and who is on it.

To resolve one is to post an update that says so; to publish a draft is to say that it is none any more.
"""

from collections.abc import Sequence
from typing import ClassVar

import msgspec
from msgspec import Struct

from app.api.v1.problem import Answered
from app.api.v1.resource import Asked, G, Resource, S
from app.api.v1.stories import (
    AcknowledgementGiven,
    AcknowledgementShown,
    UpdateAltered,
    UpdateShown,
    changed,
    of_updates,
    opened,
    place,
)
from app.db.change import Change, Within
from app.db.engine import Transaction
from app.db.incidents import Incidents as Verbs
from app.db.incidents import find_incident, list_incidents
from app.domain.incident import (
    Affected,
    Edit,
    Impact,
    Incident,
    IncidentStatus,
    NewIncident,
    NewUpdate,
)
from app.domain.instant import Instant, to_ms
from app.domain.refused import Refused

READS, WRITES = "incidents:read", "incidents:write"


class AffectedShown(Affected, frozen=True, omit_defaults=False):
    """A component by its slug. Without a status it is as its probes say."""


class IncidentShown(Incident, frozen=True, kw_only=True, omit_defaults=False):
    """As operators see it, drafts and private notes included. `updates` from the oldest to the newest;
    `impact_set`: somebody chose the impact; `rule` is the one that opened it, empty if a person did."""

    components: tuple[AffectedShown, ...] = ()
    updates: tuple[UpdateShown, ...] = ()


class IncidentAltered(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be set right without saying anything. An `impact` of null is computed from the components."""

    title: str
    impact: Impact | None = None
    components: tuple[Affected, ...] = ()
    since: Instant
    next_update_by: Instant | None = None
    draft: bool = False


class Incidents(Resource[IncidentShown, NewIncident]):
    name, words = "incidents", "an incident"
    shown, given, altered = IncidentShown, NewIncident, IncidentAltered
    example: ClassVar = {
        "title": "Card payments fail",
        "words": "We see **errors** from our provider.",
        "status": "investigating",
        "components": [{"slug": "payments-api", "status": "major_outage"}],
    }

    async def list(
        self, transaction: Transaction, asked: Asked, after: str, limit: int
    ) -> Sequence[IncidentShown]:
        return [_shown(each) for each in await list_incidents(transaction, opened(after), limit)]

    async def find(self, transaction: Transaction, asked: Asked, id: str) -> IncidentShown | None:
        found = await find_incident(transaction, id)
        return None if found is None else _shown(found)

    async def make(self, change: Change, asked: Asked, given: NewIncident) -> IncidentShown:
        return _shown(await _verbs(change).post(change.actor, change.at, given))

    async def alter(
        self, change: Change, asked: Asked, old: IncidentShown, given: IncidentAltered
    ) -> IncidentShown:
        said = changed(self.said_of(old), given)
        draft = said.pop("draft", old.draft)
        if draft and not old.draft:
            raise Refused("draft", "This incident is public, and has been read: resolve it.", "conflict")
        if said:
            await _verbs(change).edit(change.actor, change.at, old.id, Edit(**said))
        if not draft and old.draft:
            await _verbs(change).publish(change.actor, change.at, old.id)
        return _shown(await need(change.transaction, old.id))

    async def remove(self, change: Change, asked: Asked, old: IncidentShown) -> None:
        await _verbs(change).remove(change.actor, change.at, old.id)

    def place_of(self, item: IncidentShown) -> str:
        return place(to_ms(item.since), item.id)

    def is_seen(self, asked: Asked, item: IncidentShown) -> bool:
        return asked.sees_all(each.slug for each in item.components)

    def said_of(self, item: IncidentShown) -> IncidentAltered:
        return IncidentAltered(
            title=item.title,
            impact=item.impact if item.impact_set else None,
            components=tuple(Affected(each.slug, each.status) for each in item.components),
            since=item.since,
            next_update_by=item.next_update_by,
            draft=item.draft,
        )


class _OfOne(Resource[S, G]):
    """What belongs to one incident is seen by whoever sees that."""

    of_pages = True
    parent = "incidents"
    reads, writes = READS, WRITES

    async def incident(self, transaction: Transaction, asked: Asked) -> Incident:
        found = await find_incident(transaction, asked.parent)
        if found is None or not asked.sees_all(each.slug for each in found.components):
            raise Answered(404, "There is no such thing among the incidents.")
        return found


class _Written(_OfOne[UpdateShown, G]):
    """What was written of one incident can be written anew, and taken back."""

    async def alter(
        self, change: Change, asked: Asked, old: UpdateShown, given: UpdateAltered
    ) -> UpdateShown:
        new = await _verbs(change).rewrite(change.actor, change.at, asked.parent, old.n, given.words)
        return next(each for each in of_updates(new.updates) if each.n == old.n)

    async def remove(self, change: Change, asked: Asked, old: UpdateShown) -> None:
        await _verbs(change).rewrite(change.actor, change.at, asked.parent, old.n, None)


class Updates(_Written[NewUpdate]):
    name, words = "updates", "an update of an incident"
    shown, given, altered = UpdateShown, NewUpdate, UpdateAltered
    example: ClassVar = {"words": "The provider has found the cause.", "status": "identified"}

    async def list(
        self, transaction: Transaction, asked: Asked, after: str, limit: int
    ) -> Sequence[UpdateShown]:
        said = (await self.incident(transaction, asked)).updates
        return of_updates(said, after)[:limit]

    async def find(self, transaction: Transaction, asked: Asked, id: str) -> UpdateShown | None:
        said = (await self.incident(transaction, asked)).updates
        return next((each for each in of_updates(said) if str(each.n) == id), None)

    async def make(self, change: Change, asked: Asked, given: NewUpdate) -> UpdateShown:
        old = await self.incident(change.transaction, asked)
        new = await _verbs(change).update(change.actor, change.at, old.id, given)
        if not asked.sees_all(each.slug for each in new.components):
            raise Answered(403, "This token is for some pages, and one of these is not there.", "components")
        return max(of_updates(new.updates), key=lambda each: each.n)

    def id_of(self, item: UpdateShown) -> str:
        return str(item.n)


class Postmortem(_Written[UpdateAltered]):
    name, words = "postmortem", "the postmortem of an incident"
    shown, given = UpdateShown, UpdateAltered
    single = True
    example: ClassVar = {"words": "## What happened\n\nA certificate had expired."}

    async def find(self, transaction: Transaction, asked: Asked, id: str) -> UpdateShown | None:
        said = (await self.incident(transaction, asked)).updates
        found = [each for each in of_updates(said) if each.status == IncidentStatus.POSTMORTEM]
        return next((each for each in found if not each.private), None)

    async def make(self, change: Change, asked: Asked, given: UpdateAltered) -> UpdateShown:
        if (await self.incident(change.transaction, asked)).is_open:
            raise Refused("id", "This incident is open: resolve it before its postmortem.", "conflict")
        new = NewUpdate(words=given.words, status=IncidentStatus.POSTMORTEM)
        told = await _verbs(change).update(change.actor, change.at, asked.parent, new)
        return max(of_updates(told.updates), key=lambda each: each.n)


class IncidentAcknowledgement(_OfOne[AcknowledgementShown, AcknowledgementGiven]):
    name, words = "acknowledgement", "who is on an incident"
    shown, given = AcknowledgementShown, AcknowledgementGiven
    single = True
    example: ClassVar = {"words": "Mei is on it"}

    async def find(self, transaction: Transaction, asked: Asked, id: str) -> AcknowledgementShown | None:
        return _acknowledged(await self.incident(transaction, asked))

    async def make(self, change: Change, asked: Asked, given: AcknowledgementGiven) -> AcknowledgementShown:
        old = await self.incident(change.transaction, asked)
        said = (change.actor, change.at, old.id, given.words, given.until)
        found = _acknowledged(await _verbs(change).acknowledge(*said))
        assert found is not None
        return found

    async def alter(
        self, change: Change, asked: Asked, old: AcknowledgementShown, given: AcknowledgementGiven
    ) -> AcknowledgementShown:
        return await self.make(change, asked, given)

    async def remove(self, change: Change, asked: Asked, old: AcknowledgementShown) -> None:
        await _verbs(change).unacknowledge(change.actor, change.at, asked.parent)


async def need(transaction: Transaction, id: str) -> Incident:
    found = await find_incident(transaction, id)
    assert found is not None
    return found


def _acknowledged(incident: Incident) -> AcknowledgementShown | None:
    if not incident.acknowledged:
        return None
    return AcknowledgementShown(words=incident.acknowledged, until=incident.acknowledged_until)


def _shown(incident: Incident) -> IncidentShown:
    return msgspec.convert(incident, IncidentShown, from_attributes=True)


def _verbs(change: Change) -> Verbs:
    return Verbs(Within(change))
