"""Incidents in the database, and the verbs of operators for all doors: post, update, resolve, edit and the
rest. Each is one change: stored, noted in the audit log and told. What is wrong with it raises Refused.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import partial
from secrets import token_hex
from typing import Any, Final

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from app.db.change import Change, Changes, difference
from app.db.engine import Transaction
from app.db.tables import IncidentComponentRow, IncidentRow, SpanRow, TemplateRow
from app.db.updates import (
    may_be_id,
    newest_behind,
    read_updates,
    refuse_stale,
    refuse_unknown,
    write_updates,
)
from app.domain import incident as domain
from app.domain import refused
from app.domain.actor import Actor
from app.domain.events import IncidentChange
from app.domain.incident import (
    Affected,
    Edit,
    Impact,
    Incident,
    IncidentStatus,
    NewIncident,
    NewUpdate,
    Template,
)
from app.domain.instant import from_ms, to_ms
from app.domain.refused import Refused
from app.domain.rule import Outage, Rule, felt, filled, listed, opened
from app.domain.status import Status

# Each is on every screen.
MOST_OPEN: Final = 100
MOST_ACKNOWLEDGEMENT: Final = 100
_EVER: Final = 2**62
_decode_felt: Final = msgspec.json.Decoder(dict[str, Impact]).decode


class Incidents:
    def __init__(self, changes: Changes) -> None:
        self._changes = changes

    # The verbs

    async def post(self, actor: Actor, at: datetime, new: NewIncident) -> Incident:
        async with self._changes.by(actor, at) as change:
            known = await _seen_by_probes(change.transaction, new.components)
            incident = domain.posted(token_hex(5), new, at, actor.origin, known)
            await refuse_unknown(change.transaction, (each.slug for each in incident.components))
            await _refuse_too_many(change.transaction)
            await _open(change, incident)
        return incident

    async def update(
        self, actor: Actor, at: datetime, id: str, new: NewUpdate, version: int | None = None
    ) -> Incident:
        become = partial(domain.updated, new=new, now=at, author=actor.origin)
        verb = "incident.note" if new.private else "incident.update"
        return await self._change(actor, at, verb, id, become, version)

    async def resolve(self, actor: Actor, at: datetime, id: str, words: str) -> Incident:
        new = NewUpdate(words=words, status=IncidentStatus.RESOLVED)
        become = partial(domain.updated, new=new, now=at, author=actor.origin)
        return await self._change(actor, at, "incident.resolve", id, become)

    async def edit(
        self, actor: Actor, at: datetime, id: str, edit: Edit, version: int | None = None
    ) -> Incident:
        async with self._changes.by(actor, at) as change:
            before = await _need(change.transaction, id)
            refuse_stale(before.version, version)
            named = before.components if edit.components is UNSET else edit.components
            known = await _seen_by_probes(change.transaction, named)
            return await _keep(change, "incident.edit", before, domain.edited(before, edit, at, known))

    async def rewrite(self, actor: Actor, at: datetime, id: str, n: int, words: str | None) -> Incident:
        """Other words in the nth update; None takes it back."""
        become = partial(domain.rewritten, n=n, words=words, now=at)
        return await self._change(actor, at, "incident.rewrite", id, become)

    async def publish(self, actor: Actor, at: datetime, id: str) -> Incident:
        return await self._change(actor, at, "incident.publish", id, partial(domain.published, now=at))

    async def acknowledge(
        self, actor: Actor, at: datetime, id: str, words: str = "", until: datetime | None = None
    ) -> Incident:
        said = acknowledgement(actor, words)
        become = partial(domain.acknowledged, words=said, until=until, now=at)
        return await self._change(actor, at, "incident.acknowledge", id, become)

    async def unacknowledge(self, actor: Actor, at: datetime, id: str) -> Incident:
        become = partial(domain.acknowledged, words="", until=None, now=at)
        return await self._change(actor, at, "incident.unacknowledge", id, become)

    async def remove(self, actor: Actor, at: datetime, id: str) -> None:
        async with self._changes.by(actor, at) as change:
            incident = await _need(change.transaction, id)
            await write_updates(change.transaction, f"incident/{id}", incident.updates, ())
            await change.transaction.execute("DELETE FROM incidents WHERE id = {}", id)
            await change.note("incident.remove", f"incident/{id}", incident, None)
            if not incident.draft:
                await change.tell(IncidentChange(at=at, incident=incident.public(), removed=True))

    async def take_over(self, actor: Actor, at: datetime, incidents: Sequence[Incident]) -> int:
        """Those that are not here yet, as another status page told them. How many these are."""
        taken = 0
        async with self._changes.by(actor, at) as change:
            for incident in incidents:
                if await find_incident(change.transaction, incident.id) is None:
                    if incident.is_open:
                        await _refuse_too_many(change.transaction)
                    await _open(change, incident)
                    taken += 1
        return taken

    # By rule

    async def open(
        self, rule: Rule, found: Sequence[Outage], beside: Collection[str], at: datetime
    ) -> Incident | None:
        """Open the incident of a rule, or let one that is open name these components too, if it names none
        but those that are `beside` them. None if all is told already: another server was first, or somebody
        has resolved it though the outage goes on."""
        actor = Actor("rule", rule.name)
        async with self._changes.by(actor, at) as change:
            told = await _told_until(change.transaction, rule.name)
            news = [outage for outage in found if told.get(outage.slug, 0) < to_ms(outage.since)]
            if not news:
                return None
            query = IncidentRow.select().where(IncidentRow.rule == rule.name, IncidentRow.resolved.is_null())
            is_open = await _whole(change.transaction, await change.transaction.fetch(query))
            before = next((each for each in is_open if _names_none_but(each, beside)), None)
            if before is not None:
                after = _joined(before, news, at, actor)
                return await _keep(change, "incident.update", before, after)
            await _refuse_too_many(change.transaction)
            incident = _by_rule(rule, news, at, actor)
            await _open(change, incident)
            return incident

    async def close(self, rule: Rule, id: str, names: Sequence[str], at: datetime) -> Incident | None:
        """Resolve the incident of a rule, if nobody has yet."""
        actor = Actor("rule", rule.name)
        words = rule.closing.replace("{components}", listed(list(names)) or "what was affected")
        new = NewUpdate(words=words, status=IncidentStatus.RESOLVED)
        async with self._changes.by(actor, at) as change:
            before = await find_incident(change.transaction, id)
            if before is None or not before.is_open:
                return None
            after = domain.updated(before, new, at, actor.origin)
            return await _keep(change, "incident.resolve", before, after)

    async def lapse(self, id: str, at: datetime) -> None:
        """Nobody is on it any more, if the time of the acknowledgement is over."""
        async with self._changes.by(Actor("rule", "expiry"), at) as change:
            before = await find_incident(change.transaction, id)
            if before is not None and (until := before.acknowledged_until) is not None and until <= at:
                after = domain.acknowledged(before, "", None, at)
                await _keep(change, "incident.unacknowledge", before, after)

    # Templates

    async def add_template(self, actor: Actor, at: datetime, template: Template) -> Template:
        """As save_template, where there is none of its name."""
        async with self._changes.by(actor, at) as change:
            return await _save_template(change, template, is_new=True)

    async def save_template(self, actor: Actor, at: datetime, template: Template) -> Template:
        """As it is kept."""
        async with self._changes.by(actor, at) as change:
            return await _save_template(change, template, is_new=False)

    async def remove_template(self, actor: Actor, at: datetime, name: str) -> None:
        async with self._changes.by(actor, at) as change:
            before = (await _templates(change.transaction)).get(name)
            if before is None:
                raise Refused("name", f"There is no template `{name[:60]}`.", "missing")
            await change.transaction.execute("DELETE FROM templates WHERE name = {}", name)
            await change.note("template.remove", f"template/{name}", before, None)

    async def templates(self) -> list[Template]:
        async with self._changes.database.reading() as transaction:
            return list((await _templates(transaction)).values())

    # Reading: drafts and private notes too, so what is shown to the public passes `public()`

    async def find(self, id: str) -> Incident:
        async with self._changes.database.reading() as transaction:
            return await _need(transaction, id)

    async def recent(self, limit: int, before: datetime | None = None) -> list[Incident]:
        """The newest first, begun earlier than `before`."""
        query = IncidentRow.select().order_by(IncidentRow.since, IncidentRow.id, ascending=False)
        if before is not None:
            query = query.where(IncidentRow.since < to_ms(before))
        async with self._changes.database.reading() as transaction:
            return await _whole(transaction, await transaction.fetch(query.limit(limit)))

    async def _change(
        self,
        actor: Actor,
        at: datetime,
        verb: str,
        id: str,
        become: Callable[[Incident], Incident],
        version: int | None = None,
    ) -> Incident:
        async with self._changes.by(actor, at) as change:
            before = await _need(change.transaction, id)
            refuse_stale(before.version, version)
            return await _keep(change, verb, before, become(before))


async def _seen_by_probes(transaction: Transaction, components: Sequence[Affected]) -> dict[str, Status]:
    """How they stand now, as far as it is recorded. Which of them are unknown is said later."""
    slugs = [each.slug for each in components if may_be_id(each.slug)]
    found = await transaction.fetch(
        SpanRow.select(SpanRow.component, SpanRow.status).where(
            SpanRow.component.is_in(slugs or [""]), SpanRow.until.is_null()
        )
    )
    return {row["component"]: Status(row["status"]) for row in found}


async def find_incident(transaction: Transaction, id: str) -> Incident | None:
    """Drafts and private notes too."""
    if not may_be_id(id):
        return None
    rows = await transaction.fetch(IncidentRow.select().where(IncidentRow.id == id))
    return (await _whole(transaction, rows))[0] if rows else None


async def list_incidents(transaction: Transaction, before: tuple[int, str], limit: int) -> list[Incident]:
    """The newest first, behind the one that began at that millisecond and has that id."""
    query = newest_behind(IncidentRow, IncidentRow.since, before, limit)
    return await _whole(transaction, await transaction.fetch(query))


async def find_template(transaction: Transaction, name: str) -> Template | None:
    return (await _templates(transaction)).get(name)


async def list_templates(transaction: Transaction) -> list[Template]:
    return list((await _templates(transaction)).values())


async def _save_template(change: Change, template: Template, is_new: bool) -> Template:
    name, title = refused.title(template.name, "name"), refused.title(template.title)
    words = refused.words(template.words)
    before = await find_template(change.transaction, name)
    if is_new and before is not None:
        raise Refused("name", "There is a template of this name already: change that one.", "conflict")
    await change.transaction.execute(
        "INSERT INTO templates (name, title, status, words) VALUES ({}, {}, {}, {})"
        " ON CONFLICT (name) DO UPDATE SET title = excluded.title, status = excluded.status,"
        " words = excluded.words",
        *(name, title, template.status.value, words),
    )
    await change.note("template.save", f"template/{name}", before, template)
    return Template(name=name, title=title, words=words, status=template.status)


async def read_open(transaction: Transaction) -> list[Incident]:
    """Those that are open and public."""
    rows = await transaction.fetch(IncidentRow.select().where(IncidentRow.resolved.is_null()))
    return [incident for incident in await _whole(transaction, rows) if not incident.draft]


async def read_incident(transaction: Transaction, id: str) -> Incident | None:
    """A public one, with all that was said. Private notes are in it."""
    found = await find_incident(transaction, id)
    return None if found is None or found.draft else found


async def read_incidents_begun(
    transaction: Transaction, start: datetime, end: datetime, most: int
) -> list[Incident]:
    """The public ones that began then, the newest first."""
    query = IncidentRow.select().where(
        IncidentRow.since >= to_ms(start), IncidentRow.since < to_ms(end), IncidentRow.draft.eq(False)
    )
    query = query.order_by(IncidentRow.since, IncidentRow.id, ascending=False).limit(most)
    return await _whole(transaction, await transaction.fetch(query))


def acknowledgement(actor: Actor, words: str) -> str:
    """`Mei is on it`, if nothing better is said. Everybody may read it."""
    who = actor.known_as or actor.name
    said = refused.title(words or f"{who[:1].upper()}{who[1:]} is on it", "words")
    if len(said) > MOST_ACKNOWLEDGEMENT:
        raise Refused("words", f"`words` are too long for a wall: at most {MOST_ACKNOWLEDGEMENT} characters.")
    return said


def _by_rule(rule: Rule, news: list[Outage], at: datetime, actor: Actor) -> Incident:
    id, title, words = opened(rule, news, at)
    bad = felt(news)
    incident = domain.posted(id, NewIncident(title=title, words=words), at, actor.origin)
    return replace(
        incident,
        since=min(outage.since for outage in news),
        rule=rule.name,
        impact=domain.worst_of(bad.values()),
        felt=bad,
        components=tuple(Affected(outage.slug) for outage in news),
    )


def _names_none_but(incident: Incident, slugs: Collection[str]) -> bool:
    return all(each.slug in slugs for each in incident.components)


def _joined(incident: Incident, news: list[Outage], at: datetime, actor: Actor) -> Incident:
    components = (*incident.components, *(Affected(outage.slug) for outage in news))
    words = filled("Also affected: {components} ({status}).", news)
    said = NewUpdate(words=words, components=components, next_update_by=incident.next_update_by)
    return domain.with_felt(domain.updated(incident, said, at, actor.origin), felt(news))


async def _open(change: Change, incident: Incident) -> None:
    await change.transaction.execute(
        "INSERT INTO incidents (id, title, status, impact, impact_set, since, updated, resolved,"
        " next_update_by, draft, rule, acknowledged, acknowledged_until, version, felt)"
        f" VALUES ({', '.join(['{}'] * 15)})",
        *(incident.id, *_columns(incident)),
    )
    await _write_components(change.transaction, incident)
    await write_updates(change.transaction, f"incident/{incident.id}", (), incident.updates)
    await change.note("incident.post", f"incident/{incident.id}", None, incident)
    if not incident.draft:
        await change.tell(IncidentChange(at=change.at, incident=incident.public()))


async def _keep(change: Change, verb: str, before: Incident, after: Incident) -> Incident:
    transaction, subject = change.transaction, f"incident/{after.id}"
    if after.components != before.components:
        known = {each.slug for each in before.components}
        # One that has left the catalog since may stay.
        await refuse_unknown(transaction, (s.slug for s in after.components if s.slug not in known))
    await transaction.execute(
        "UPDATE incidents SET title = {}, status = {}, impact = {}, impact_set = {}, since = {},"
        " updated = {}, resolved = {}, next_update_by = {}, draft = {}, rule = {}, acknowledged = {},"
        " acknowledged_until = {}, version = {}, felt = {} WHERE id = {}",
        *(*_columns(after), after.id),
    )
    if after.components != before.components:
        await transaction.execute("DELETE FROM incident_components WHERE incident = {}", after.id)
        await _write_components(transaction, after)
    await write_updates(transaction, subject, before.updates, after.updates)
    await change.note(verb, subject, *difference(before, after))
    # What only operators may know changes nothing that others could see, not even the instant of a frame.
    if not after.draft and (before.draft or before.public() != after.public()):
        await change.tell(IncidentChange(at=change.at, incident=after.public()))
    return after


async def _write_components(transaction: Transaction, incident: Incident) -> None:
    await transaction.execute_many(
        "INSERT INTO incident_components (incident, component, status, position) VALUES ({}, {}, {}, {})",
        [
            (incident.id, each.slug, None if each.status is None else each.status.value, n)
            for n, each in enumerate(incident.components)
        ],
    )


def _columns(incident: Incident) -> tuple[object, ...]:
    """All but the id."""
    return (
        incident.title,
        incident.status.value,
        incident.impact.value,
        incident.impact_set,
        to_ms(incident.since),
        to_ms(incident.updated),
        _ms(incident.resolved),
        _ms(incident.next_update_by),
        incident.draft,
        incident.rule,
        incident.acknowledged,
        _ms(incident.acknowledged_until),
        incident.version,
        msgspec.json.encode(incident.felt).decode(),
    )


async def _need(transaction: Transaction, id: str) -> Incident:
    found = await find_incident(transaction, id)
    if found is None:
        raise Refused("id", f"There is no incident `{id[:40]}`.", "missing")
    return found


async def _whole(transaction: Transaction, rows: list[dict[str, Any]]) -> list[Incident]:
    if not rows:
        return []
    ids = [row["id"] for row in rows]
    updates = await read_updates(transaction, [f"incident/{id}" for id in ids])
    named = await transaction.fetch(
        IncidentComponentRow.select()
        .where(IncidentComponentRow.incident.is_in(ids))
        .order_by(IncidentComponentRow.position)
    )
    components: dict[str, list[Affected]] = {id: [] for id in ids}
    for row in named:
        status = None if row["status"] is None else Status(row["status"])
        components[row["incident"]].append(Affected(row["component"], status))
    return [
        Incident(
            id=row["id"],
            title=row["title"],
            status=IncidentStatus(row["status"]),
            impact=Impact(row["impact"]),
            impact_set=bool(row["impact_set"]),
            since=from_ms(row["since"]),
            updated=from_ms(row["updated"]),
            resolved=_instant(row["resolved"]),
            next_update_by=_instant(row["next_update_by"]),
            draft=bool(row["draft"]),
            rule=row["rule"],
            acknowledged=row["acknowledged"],
            acknowledged_until=_instant(row["acknowledged_until"]),
            version=row["version"],
            # Of older servers nothing was kept.
            felt=_decode_felt(row["felt"] or "{}"),
            components=tuple(components[row["id"]]),
            updates=updates.get(f"incident/{row['id']}", ()),
        )
        for row in rows
    ]


async def _told_until(transaction: Transaction, rule: str) -> dict[str, int]:
    """Until when each component was told of: by incidents that are open, and by those of this rule."""
    rows = await transaction.fetch(
        "SELECT c.component AS component, MAX(COALESCE(i.resolved, {})) AS until"
        " FROM incidents i JOIN incident_components c ON c.incident = i.id"
        " WHERE i.rule = {} OR (i.resolved IS NULL AND NOT i.draft) GROUP BY c.component",
        _EVER,
        rule,
    )
    return {row["component"]: int(row["until"]) for row in rows}


async def _refuse_too_many(transaction: Transaction) -> None:
    [row] = await transaction.fetch("SELECT COUNT(*) AS open FROM incidents WHERE resolved IS NULL")
    if row["open"] >= MOST_OPEN:
        raise Refused("title", f"{MOST_OPEN} incidents are open: resolve one before you post another.")


async def _templates(transaction: Transaction) -> dict[str, Template]:
    rows = await transaction.fetch(TemplateRow.select().order_by(TemplateRow.name))
    return {
        row["name"]: Template(
            name=row["name"],
            title=row["title"],
            words=row["words"],
            status=IncidentStatus(row["status"]),
        )
        for row in rows
    }


def _ms(at: datetime | None) -> int | None:
    return None if at is None else to_ms(at)


def _instant(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)
