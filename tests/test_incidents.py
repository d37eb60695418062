"""Each verb of an operator is stored, noted once in the audit log and told; the board is what they said."""

from typing import Any

import msgspec
import pytest

from app.db.change import Changes
from app.db.engine import Database
from app.db.incidents import Incidents
from app.db.interventions import Interventions
from app.db.maintenances import Maintenances
from app.db.recorder import Recorder
from app.domain.actor import Actor
from app.domain.audience import PUBLIC, Audience, narrow, snapshot
from app.domain.board import Board
from app.domain.incident import (
    Affected,
    Edit,
    Impact,
    IncidentStatus,
    NewIncident,
    NewUpdate,
    Template,
)
from app.domain.maintenance import MaintenanceEdit, MaintenanceStatus, NewMaintenance, NewMaintenanceUpdate
from app.domain.refused import Refused
from app.domain.standing import State
from app.domain.status import Status
from app.live.frames import patch as patch_frame
from app.live.frames import snapshot as snapshot_frame
from tests.make import NOON, a_catalog, a_catalog_change, a_change, after
from tests.rows import essence, fold_outbox, record_all, rows, spans

pytest_plugins = ["tests.databases"]

MEI = Actor("user", "mei", "192.0.2.7")
CATALOG = a_catalog("api", "shop")


class Desk:
    """The verbs, a board that hears what they tell, and the log of it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.changes = Changes(database)
        self.incidents = Incidents(self.changes)
        self.maintenances = Maintenances(self.changes)
        self.interventions = Interventions(self.changes)
        self.recorder = Recorder(database)
        self.board = Board()
        self.log = [("1-0", a_catalog_change(CATALOG)), ("2-0", a_change(State.UP, monitor="api/http"))]
        for id, event in self.log:
            self.board.fold(id, event)

    async def heard(self) -> list[Any]:
        """The public frames of what was told since the last time, decoded."""
        frames = []
        for untold in await self.changes.untold(100):
            id = f"{len(self.log) + 1}-0"
            self.log.append((id, untold.event))
            patch = self.board.fold(id, untold.event)
            if patch is not None and (body := narrow(patch, PUBLIC.at(self.board), None)) is not None:
                frames.append(msgspec.json.decode(patch_frame(body)._body))
            await self.changes.forget([untold])
        return frames

    def seen(self, audience: Audience = PUBLIC) -> Any:
        return msgspec.json.decode(snapshot_frame(snapshot(self.board, audience, NOON, "first"))._body)

    async def verbs(self) -> list[str]:
        return [row["verb"] for row in await rows(self.database, "SELECT verb FROM audit_log ORDER BY id")]


@pytest.fixture
async def desk(database: Database) -> Desk:
    desk = Desk(database)
    await record_all(desk.recorder, desk.log)
    return desk


def an_incident(**given: object) -> NewIncident:
    return NewIncident(**({"title": "Payments fail", "words": "We *look*."} | given))  # type: ignore[arg-type]


async def test_from_an_outage_to_its_postmortem(desk: Desk) -> None:
    posted = await desk.incidents.post(MEI, NOON, an_incident(components=(Affected("api", Status.MAJOR),)))
    [told] = await desk.heard()
    [seen] = desk.seen()["incidents"]
    assert told["incidents"] == [seen]
    assert [(each["slug"], each["status"]) for each in told["components"]] == [("api", "major_outage")]
    assert seen == {
        "id": posted.id,
        "title": "Payments fail",
        "status": "investigating",
        "impact": "critical",
        "since": "2026-01-31T12:00:00.000Z",
        "updated": "2026-01-31T12:00:00.000Z",
        "components": [{"slug": "api", "status": "major_outage"}],
        "updates": [
            {
                "at": "2026-01-31T12:00:00.000Z",
                "status": "investigating",
                "words": "We *look*.",
                "html": "<p>We <em>look</em>.</p>",
            }
        ],
    }
    await desk.incidents.acknowledge(MEI, after(10), posted.id)
    assert (await desk.heard())[0]["incidents"][0]["acknowledged"] == "Mei is on it"
    monitoring = NewUpdate(words="Fixed?", status=IncidentStatus.MONITORING, next_update_by=after(900))
    await desk.incidents.update(MEI, after(60), posted.id, monitoring)
    [told] = await desk.heard()
    assert told["incidents"][0]["next_update_by"] == "2026-01-31T12:15:00.000Z"
    await desk.incidents.resolve(MEI, after(120), posted.id, "It works.")
    [told] = await desk.heard()
    assert told["incidents"][0]["resolved"] == "2026-01-31T12:02:00.000Z"
    # Its probes have the word again.
    assert [(each["slug"], each["status"]) for each in told["components"]] == [("api", "operational")]
    assert desk.seen()["incidents"] == []
    postmortem = NewUpdate(words="# Why", status=IncidentStatus.POSTMORTEM)
    await desk.incidents.update(MEI, after(9000), posted.id, postmortem)
    assert (await desk.heard())[0]["incidents"][0]["updates"][0]["html"] == "<h3>Why</h3>"
    kept = await desk.incidents.find(posted.id)
    assert (kept.status, kept.resolved, len(kept.updates), kept.version) == ("postmortem", after(120), 4, 5)
    assert await desk.incidents.recent(10) == [kept]
    assert await desk.verbs() == [
        *("incident.post", "incident.acknowledge", "incident.update", "incident.resolve", "incident.update")
    ]


async def test_a_draft_and_a_private_note_reach_no_feed_and_a_removed_one_leaves_the_screens(
    desk: Desk,
) -> None:
    draft = await desk.incidents.post(MEI, NOON, an_incident(draft=True))
    await desk.incidents.edit(MEI, NOON, draft.id, Edit(title="Canary"))
    assert await desk.changes.untold(10) == []
    await desk.incidents.publish(MEI, after(1), draft.id)
    [told] = await desk.heard()
    assert told["incidents"][0]["title"] == "Canary"
    note = NewUpdate(words="Between us", private=True)
    await desk.incidents.update(MEI, after(2), draft.id, note)
    assert await desk.changes.untold(10) == []
    await desk.incidents.update(MEI, after(3), draft.id, NewUpdate(words="Go on."))
    assert "Between us" not in str([untold.event for untold in await desk.changes.untold(10)])
    await desk.heard()
    await desk.incidents.remove(MEI, after(4), draft.id)
    [told] = await desk.heard()
    assert told["incidents"] == [{"id": draft.id, "removed": True}]
    with pytest.raises(Refused, match="no incident"):
        await desk.incidents.find(draft.id)


async def test_who_sees_none_of_its_components_does_not_learn_of_an_incident(desk: Desk) -> None:
    both = (Affected("api"), Affected("shop"))
    posted = await desk.incidents.post(MEI, NOON, an_incident(components=both))
    await desk.heard()
    shop, other = Audience(frozenset({"shop"})), Audience(frozenset({"other"}))
    assert desk.seen(shop)["incidents"][0]["components"] == [{"slug": "shop"}]
    assert desk.seen(other)["incidents"] == []
    await desk.incidents.edit(MEI, after(1), posted.id, Edit(components=(Affected("api"),)))
    [patch] = await fold_outbox(desk.changes, desk.board)
    body = narrow(patch, shop.at(desk.board), None)
    assert body is not None and msgspec.to_builtins(body.incidents) == [{"id": posted.id, "removed": True}]
    assert narrow(patch, other.at(desk.board), None) is None


async def test_the_impact_on_each_component_is_stored_and_found_again(desk: Desk) -> None:
    both = (Affected("api", Status.DEGRADED), Affected("shop", Status.MAJOR))
    posted = await desk.incidents.post(MEI, NOON, an_incident(components=both))
    less = NewUpdate(words="Better.", components=(Affected("api"),))
    await desk.incidents.update(MEI, after(1), posted.id, less)
    found = await desk.incidents.find(posted.id)
    assert (found.impact, found.felt) == ("critical", {"api": "minor", "shop": "critical"})
    await desk.heard()
    assert desk.seen(Audience())["incidents"][0]["impact"] == "critical"


async def test_a_status_by_hand_overrides_probes_until_it_is_released_and_says_so(desk: Desk) -> None:
    await desk.interventions.override(MEI, after(10), "api", Status.DEGRADED)
    [told] = await desk.heard()
    assert [each["status"] for each in told["components"]] == ["degraded_performance"]
    assert told["notes"] == {"api": "set by hand"}
    await desk.interventions.override(MEI, after(11), "api", Status.DEGRADED, " Mei: their network ")
    [told] = await desk.heard()
    assert told["notes"] == {"api": "set by hand: Mei: their network"}
    with pytest.raises(Refused, match="`note` is too long"):
        await desk.interventions.override(MEI, after(12), "api", Status.DEGRADED, "x" * 101)
    with pytest.raises(Refused, match="`note` holds the control character"):
        await desk.interventions.override(MEI, after(12), "api", Status.DEGRADED, "two\nlines")
    assert desk.board.fold("8-0", a_change(State.DOWN, after(20), "api/http")) is None
    await desk.interventions.release(MEI, after(30), "api")
    desk.log.append(("8-0", a_change(State.DOWN, after(20), "api/http")))
    [told] = await desk.heard()
    assert [each["status"] for each in told["components"]] == ["major_outage"]
    assert told["notes"] == {"api": ""}
    with pytest.raises(Refused, match="no status by hand"):
        await desk.interventions.release(MEI, after(31), "api")


async def test_a_component_is_acknowledged_with_words_until_they_are_taken_back(desk: Desk) -> None:
    await desk.interventions.acknowledge(MEI, after(1), "api", until=after(60))
    assert (await desk.heard())[0]["notes"] == {"api": "Mei is on it"}
    await desk.interventions.lapse("api", after(0), after(60))  # of an older one
    assert await desk.heard() == []
    await desk.interventions.lapse("api", after(1), after(60))
    assert (await desk.heard())[0]["notes"] == {"api": ""}
    await desk.interventions.acknowledge(MEI, after(61), "api", "Jo looks into it")
    await desk.interventions.unacknowledge(MEI, after(62), "api")
    assert [told["notes"]["api"] for told in await desk.heard()] == ["Jo looks into it", ""]


async def test_planned_work_is_announced_begins_ends_and_the_next_is_announced(desk: Desk) -> None:
    new = NewMaintenance(
        title="Database",
        words="Some **minutes**.",
        starts=after(3600),
        ends=after(7200),
        components=("api",),
        recurrence="FREQ=WEEKLY",
    )
    work = await desk.maintenances.schedule(MEI, NOON, new)
    assert (await desk.heard())[0]["maintenances"][0]["html"] == "<p>Some <strong>minutes</strong>.</p>"
    assert await desk.maintenances.advance(work.id, after(3599)) is None
    await desk.maintenances.advance(work.id, after(3600))
    assert await desk.maintenances.advance(work.id, after(3601)) is None  # another server
    begun, ahead = await desk.heard()
    assert [(each["slug"], each["status"]) for each in begun["components"]] == [("api", "under_maintenance")]
    assert ahead["maintenances"][0]["starts"] == "2026-02-07T13:00:00.000Z"
    assert [each["status"] for each in desk.seen()["maintenances"]] == ["in_progress", "scheduled"]
    verifying = NewMaintenanceUpdate(words="Nearly.", status=MaintenanceStatus.VERIFYING)
    await desk.maintenances.update(MEI, after(3700), work.id, verifying)
    await desk.maintenances.edit(MEI, after(3701), work.id, MaintenanceEdit(ends=after(4000)))
    await desk.maintenances.advance(work.id, after(4000))
    *_, over = await desk.heard()
    assert [each["status"] for each in over["components"]] == ["operational"]
    assert [each["status"] for each in desk.seen()["maintenances"]] == ["scheduled"]
    [then] = [each for each in await desk.maintenances.recent(10) if not each.is_over]
    await desk.maintenances.cancel(MEI, after(5000), then.id)
    gone, after_that = await desk.heard()
    assert gone["maintenances"] == [{"id": then.id, "removed": True}]
    assert after_that["maintenances"][0]["starts"] == "2026-02-14T13:00:00.000Z"
    await desk.maintenances.cancel(MEI, after(5001), after_that["maintenances"][0]["id"], series=True)
    await desk.heard()
    assert desk.seen()["maintenances"] == []


async def test_what_is_planned_counts_apart_in_the_history(desk: Desk) -> None:
    new = NewMaintenance(title="D", starts=after(60), ends=after(120), components=("api",))
    work = await desk.maintenances.schedule(MEI, NOON, new)
    for seconds in (60, 120):
        await desk.maintenances.advance(work.id, after(seconds))
    known = len(desk.log)
    await desk.heard()
    await record_all(desk.recorder, desk.log[known:])
    statuses = [status for status, _, _ in await spans(desk.database)]
    assert statuses[-3:] == ["operational", "under_maintenance", "operational"]


async def test_a_board_that_is_loaded_knows_what_operators_had_said_up_to_its_cursor(desk: Desk) -> None:
    affected = (Affected("api", Status.PARTIAL),)
    posted = await desk.incidents.post(MEI, NOON, an_incident(components=affected))
    await desk.interventions.override(MEI, after(1), "shop", Status.MAJOR)
    await desk.interventions.acknowledge(MEI, after(2), "shop")
    known = len(desk.log)
    await desk.heard()
    # Stored, and not yet told: it is not on the board.
    await desk.incidents.resolve(MEI, after(3), posted.id, "Over.")
    await record_all(desk.recorder, desk.log[known:])
    loaded = await desk.recorder.load()
    assert essence(loaded) == essence(desk.board)
    now = desk.seen()
    desk.board = loaded
    assert desk.seen() == now
    known = len(desk.log)
    await desk.heard()
    await record_all(desk.recorder, desk.log[known:])
    assert (await desk.recorder.load()).operations.incidents == {}
    assert [
        row["status"]
        for row in await rows(desk.database, "SELECT * FROM spans WHERE until IS NULL ORDER BY component")
    ] == [*("operational", "major_outage")]


async def test_templates_are_kept_by_name(desk: Desk) -> None:
    template = Template(name="Card provider", title="Cards fail", words="Our provider is down.")
    await desk.incidents.save_template(MEI, NOON, template)
    await desk.incidents.save_template(MEI, NOON, template)
    assert await desk.incidents.templates() == [template]
    await desk.incidents.remove_template(MEI, NOON, "Card provider")
    with pytest.raises(Refused, match="no template"):
        await desk.incidents.remove_template(MEI, NOON, "Card provider")


async def test_what_is_unknown_or_was_changed_meanwhile_is_refused(desk: Desk) -> None:
    with pytest.raises(Refused, match="No component is called `apo`: did you mean `api`") as refusal:
        await desk.incidents.post(MEI, NOON, an_incident(components=(Affected("apo"),)))
    assert refusal.value.field == "components"
    with pytest.raises(Refused, match="name it by its slug") as refusal:
        await desk.interventions.acknowledge(MEI, NOON, "x")
    assert refusal.value.field == "component"
    for odd in ("a\0b", "", "' OR 1=1", "\ud800", "x" * 1000):
        with pytest.raises(Refused, match="There is no incident"):
            await desk.incidents.find(odd)
        with pytest.raises(Refused, match="There is no maintenance"):
            await desk.maintenances.begin(MEI, NOON, odd)
        with pytest.raises(Refused, match="has no status by hand"):
            await desk.interventions.release(MEI, NOON, odd)
    posted = await desk.incidents.post(MEI, NOON, an_incident())
    await desk.incidents.edit(MEI, NOON, posted.id, Edit(impact=Impact.MINOR), version=1)
    with pytest.raises(Refused, match="changed this meanwhile") as refusal:
        await desk.incidents.update(MEI, NOON, posted.id, NewUpdate(words="x"), version=1)
    assert refusal.value.kind == "conflict"
    assert await desk.verbs() == ["incident.post", "incident.edit"]


async def test_the_audit_log_says_what_was_changed_and_no_more(desk: Desk) -> None:
    posted = await desk.incidents.post(MEI, NOON, an_incident())
    await desk.incidents.edit(MEI, NOON, posted.id, Edit(title="Cards fail"))
    [_, row] = await rows(desk.database, "SELECT * FROM audit_log ORDER BY id")
    assert msgspec.json.decode(row["before"]) == {"title": "Payments fail"}
    assert msgspec.json.decode(row["after"]) == {"title": "Cards fail", "version": 2}
    assert (row["subject"], row["kind"], row["name"]) == (f"incident/{posted.id}", "user", "mei")


async def test_a_name_that_no_component_can_have_is_refused_by_its_sentence(desk: Desk) -> None:
    odd = (Affected("api"), Affected("a\x00b"))
    with pytest.raises(Refused, match="No component is called"):
        await desk.incidents.post(MEI, NOON, NewIncident(title="Odd", words="It is.", components=odd))
    posted = await desk.incidents.post(MEI, NOON, NewIncident(title="Even", words="It is."))
    with pytest.raises(Refused, match="No component is called"):
        await desk.incidents.edit(MEI, NOON, posted.id, Edit(components=odd))
