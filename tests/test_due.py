"""What is due happens by itself, once, whichever server does it."""

import asyncio

import msgspec
import pytest

from app.db.change import Changes
from app.db.engine import Database, connect
from app.db.history import History
from app.db.incidents import Incidents
from app.db.interventions import Interventions
from app.db.maintenances import Maintenances
from app.db.recorder import Recorder
from app.domain.actor import Actor
from app.domain.audience import PUBLIC, sum_up
from app.domain.events import Logged
from app.domain.incident import Affected, Edit, Impact, Incident, NewIncident, NewUpdate
from app.domain.maintenance import NewMaintenance
from app.domain.monitor import Catalog, Page
from app.domain.rule import Rule
from app.domain.standing import State
from app.domain.status import Status
from app.due import Attendance
from app.feed import Heard
from app.live.frames import Line
from app.live.hub import Hub
from tests.make import NOON, a_beat, a_catalog, a_catalog_change, a_change, a_component, a_monitor, after
from tests.rows import config_for, record_all, rows

pytest_plugins = ["tests.databases"]

MEI = Actor("user", "mei")
RULE = Rule(name="Outage", after=60.0, settle=30.0)
CATALOG = a_catalog("api", "shop", "mail", rules=(RULE,))


class Server:
    """A hub that hears what is told, and the attendance that acts on it."""

    def __init__(self, changes: Changes) -> None:
        self.changes = changes
        self.hub = Hub(beat=5.0, soon=lambda job: job())
        self.hub.link(True)
        self.hub.hear(Heard("", a_beat()))
        self.attendance = Attendance(changes, self.hub)

    def hear(self, *events: Logged) -> None:
        for event in events:
            ms = int(self.hub.board.id.partition("-")[0])
            self.hub.hear(Heard(f"{ms + 1}-0", event))

    async def do(self, seconds: float) -> None:
        await self.attendance.do(after(seconds))
        await self.catch_up()

    async def catch_up(self, *others: "Server") -> None:
        untold = await self.changes.untold(100)
        for server in (self, *others):
            server.hear(*(each.event for each in untold))
        await self.changes.forget(untold)

    @property
    def incidents(self) -> list[Incident]:
        return list(self.hub.board.operations.incidents.values())


async def a_server(database: Database, catalog: Catalog = CATALOG) -> Server:
    await record_all(Recorder(database), [("1-0", a_catalog_change(catalog))])
    server = Server(Changes(database))
    server.hear(a_catalog_change(catalog))
    server.hear(*(a_change(State.UP, monitor=f"{slug}/http") for slug in ("api", "shop", "mail")))
    return server


async def test_an_outage_that_lasts_opens_an_incident_and_its_recovery_closes_it(database: Database) -> None:
    server = await a_server(database)
    server.hear(a_change(State.DOWN, after(10), "api/http"))
    await server.do(69)
    assert server.incidents == []
    await server.do(70)
    [incident] = server.incidents
    assert (incident.title, incident.impact, incident.since) == ("Api: major outage", "critical", after(10))
    assert incident.components == (Affected("api"),)
    server.hear(a_change(State.UP, after(100), "api/http"))
    await server.do(129)
    assert server.incidents == [incident]
    await server.do(130)
    assert server.incidents == []
    kept = await Incidents(server.changes).find(incident.id)
    assert [(each.status, each.words) for each in kept.updates] == [
        (
            "investigating",
            "Our monitoring has seen a major outage of Api. We are looking into it.",
        ),
        ("resolved", "Our monitoring has seen Api recover."),
    ]
    assert {each.author for each in kept.updates} == {"rule Outage"}


async def test_a_second_outage_joins_the_incident_and_people_may_take_part(database: Database) -> None:
    server = await a_server(database)
    server.hear(a_change(State.DOWN, after(10), "api/http"))
    await server.do(70)
    [incident] = server.incidents
    incidents = Incidents(server.changes)
    await incidents.update(MEI, after(80), incident.id, NewUpdate(words="A switch has died."))
    await server.catch_up()
    server.hear(a_change(State.DOWN, after(20), "shop/http"))
    await server.do(81)
    [joined] = server.incidents
    assert [each.slug for each in joined.components] == ["api", "shop"]
    assert [each.words for each in joined.updates][1:] == [
        *("A switch has died.", "Also affected: Shop (major outage).")
    ]
    server.hear(a_change(State.UP, after(90), "api/http"))
    await server.do(200)
    assert len(server.incidents) == 1
    server.hear(a_change(State.UP, after(210), "shop/http"))
    await server.do(240)
    assert server.incidents == []


async def test_what_somebody_has_resolved_is_not_opened_again_for_the_same_outage(
    database: Database,
) -> None:
    server = await a_server(database)
    server.hear(a_change(State.DOWN, after(10), "api/http"))
    await server.do(70)
    [incident] = server.incidents
    await Incidents(server.changes).resolve(MEI, after(80), incident.id, "It is only the test system.")
    await server.catch_up()
    await server.do(90)
    assert server.incidents == []
    # Nor by a server that was started since.
    server.attendance = Attendance(server.changes, server.hub)
    await server.do(91)
    assert server.incidents == []
    server.hear(a_change(State.UP, after(100), "api/http"), a_change(State.DOWN, after(110), "api/http"))
    await server.do(170)
    assert [each.since for each in server.incidents] == [after(110)]


async def test_people_were_first_or_the_work_is_planned_and_no_rule_opens_another(
    database: Database,
) -> None:
    server = await a_server(database)
    told = NewIncident(title="We know", words="We know.", components=(Affected("api", Status.MAJOR),))
    await Incidents(server.changes).post(MEI, NOON, told)
    await Interventions(server.changes).override(MEI, NOON, "shop", Status.MAJOR)
    work = NewMaintenance(title="Move", starts=after(1), ends=after(900), components=("mail",))
    await Maintenances(server.changes).schedule(MEI, NOON, work)
    await server.catch_up()
    await server.do(2)
    server.hear(*(a_change(State.DOWN, after(10), f"{slug}/http") for slug in ("api", "shop", "mail")))
    assert server.hub.board.shown["mail"].status is Status.MAINTENANCE
    await server.do(300)
    assert [incident.title for incident in server.incidents] == ["We know"]


async def test_what_is_not_on_the_same_pages_is_named_in_no_common_incident(
    sqlite_database: Database,
) -> None:
    """Or its name would be on a page that does not show it."""
    hidden = a_component("shop", a_monitor("shop/http"), hidden=True)
    mail = a_component("mail", a_monitor("mail/http"))
    catalog = a_catalog("api", hidden, mail, pages=(Page(slug="inner", components=("shop",)),), rules=(RULE,))
    server = await a_server(sqlite_database, catalog)
    server.hear(*(a_change(State.DOWN, after(10), f"{slug}/http") for slug in ("api", "shop")))
    await server.do(70)
    server.hear(a_change(State.DOWN, after(20), "mail/http"))
    await server.do(81)
    named = {incident.title: [each.slug for each in incident.components] for incident in server.incidents}
    assert named == {"Api: major outage": ["api", "mail"], "Shop: major outage": ["shop"]}
    # Somebody adds what is on another page: the words of the rule leave it out.
    [ours] = (each for each in server.incidents if each.title.startswith("Api"))
    added = (*ours.components, Affected("shop"))
    incidents = Incidents(server.changes)
    await incidents.update(MEI, after(82), ours.id, NewUpdate(words="More.", components=added))
    await server.catch_up()
    server.hear(*(a_change(State.UP, after(90), f"{slug}/http") for slug in ("api", "shop", "mail")))
    await server.do(120)
    closed = await incidents.find(ours.id)
    assert closed.updates[-1].words == "Our monitoring has seen what was affected recover."


async def test_an_incident_of_what_fails_has_the_impact_of_it_and_the_page_says_so(
    sqlite_database: Database,
) -> None:
    server = await a_server(sqlite_database)
    down = a_change(State.DOWN, after(10), "api/http")
    server.hear(down)
    incidents, recorder = Incidents(server.changes), Recorder(sqlite_database)
    await recorder.load()
    await record_all(recorder, [("2-0", down)])
    new = NewIncident(title="T", words="W", components=(Affected("api"),))
    assert (await incidents.post(MEI, after(20), new)).impact == "critical"
    other = await incidents.post(MEI, after(20), NewIncident(title="T", words="W"))
    assert other.impact == "minor"
    assert (await incidents.edit(MEI, after(21), other.id, Edit(impact=Impact.NONE))).impact == "none"
    edit = Edit(impact=None, components=(Affected("api"),))
    assert (await incidents.edit(MEI, after(22), other.id, edit)).impact == "critical"
    calm = await a_server(sqlite_database)
    await incidents.post(MEI, after(30), NewIncident(title="Slow", words="W", components=(Affected("shop"),)))
    await calm.catch_up()
    calm.hear(a_change(State.UP, after(31), "api/http"))
    assert sum_up(calm.hub.board, PUBLIC).indicator != "none"


async def test_of_several_servers_one_opens_and_one_begins(database: Database, prepared_url: str) -> None:
    mine = await a_server(database)
    others = [Server(Changes(await connect(config_for(prepared_url)))) for _ in range(3)]
    work = NewMaintenance(title="Move", starts=after(60), ends=after(900), components=("mail",))
    await Maintenances(mine.changes).schedule(MEI, NOON, work)
    for server in others:
        server.hear(a_catalog_change(CATALOG))
        server.hear(*(a_change(State.UP, monitor=f"{slug}/http") for slug in ("api", "shop", "mail")))
    await mine.catch_up(*others)
    servers = [mine, *others]
    for server in servers:
        server.hear(a_change(State.DOWN, after(10), "api/http"))
    await asyncio.gather(*(server.attendance.do(after(70)) for server in servers))
    await mine.catch_up(*others)
    for server in servers:
        assert [incident.title for incident in server.incidents] == ["Api: major outage"]
        assert server.hub.board.shown["mail"].status is Status.MAINTENANCE
    verbs = [row["verb"] for row in await rows(database, "SELECT verb FROM audit_log ORDER BY id")]
    assert sorted(verbs) == ["incident.post", "maintenance.begin", "maintenance.schedule"]
    for server in others:
        await server.changes.database.close()


async def test_an_acknowledgement_goes_when_its_time_is_over_or_the_trouble_is(database: Database) -> None:
    server = await a_server(database)
    server.hear(*(a_change(State.DOWN, after(1), f"{slug}/http") for slug in ("api", "shop")))
    interventions, incidents = Interventions(server.changes), Incidents(server.changes)
    await interventions.acknowledge(MEI, after(2), "api", until=after(60))
    await interventions.acknowledge(MEI, after(2), "shop")
    posted = await incidents.post(MEI, after(2), NewIncident(title="T", words="W"))
    await incidents.acknowledge(MEI, after(3), posted.id, until=after(60))
    await server.catch_up()
    await server.do(59)
    notes = {slug: shown.note.acknowledged for slug, shown in server.hub.board.shown.items()}
    assert notes == {"api": "Mei is on it", "shop": "Mei is on it", "mail": ""}
    server.hear(a_change(State.UP, after(59), "shop/http"))
    await server.do(60)
    assert {shown.note.acknowledged for shown in server.hub.board.shown.values()} == {""}
    [incident] = (each for each in server.incidents if each.id == posted.id)
    assert incident.acknowledged == ""


async def test_what_the_feed_has_lost_of_what_operators_said_is_told_again(database: Database) -> None:
    server = await a_server(database)
    changes, attendance = server.changes, server.attendance
    incidents, interventions = Incidents(changes), Interventions(changes)
    over = await incidents.post(MEI, NOON, NewIncident(title="Over", words="W"))
    await interventions.override(MEI, NOON, "shop", Status.MAJOR)
    await server.catch_up()
    assert await attendance.compare({}) == {}
    # Told, and in no log.
    await incidents.resolve(MEI, after(1), over.id, "Over.")
    await incidents.post(MEI, after(2), NewIncident(title="New", words="W", components=(Affected("api"),)))
    await incidents.post(MEI, after(2), NewIncident(title="Draft", words="W", draft=True))
    await interventions.release(MEI, after(3), "shop")
    await interventions.acknowledge(MEI, after(4), "api")
    work = NewMaintenance(title="Move", starts=after(60), ends=after(900), components=("mail",))
    await Maintenances(changes).schedule(MEI, after(5), work)
    assert await attendance.compare({}) == {}  # it waits in the outbox
    await changes.forget(await changes.untold(100))
    lacking = await attendance.compare({})
    assert len(lacking) == 5
    assert await changes.untold(100) == []  # it may be on its way
    await attendance.compare(lacking)
    await server.catch_up()
    assert await attendance.compare(lacking) == {}
    told = server.hub.board.operations
    assert [incident.title for incident in server.incidents] == ["New"]
    assert (list(told.overrides), list(told.acknowledgements), len(told.maintenances)) == ([], ["api"], 1)
    assert (await rows(database, "SELECT COUNT(*) AS n FROM audit_log"))[0]["n"] == 8


@pytest.mark.parametrize("text", ["", "$", "{x}", "{components!r}", "{components.__class__}"])
async def test_the_words_of_a_rule_are_no_programme(text: str, sqlite_database: Database) -> None:
    rule = Rule(name="R", after=1, title=f"{text}{{components}}", words=f"{text}{{status}}")
    server = await a_server(sqlite_database, a_catalog("api", "shop", "mail", rules=(rule,)))
    server.hear(a_change(State.DOWN, after(10), "api/http"))
    await server.do(70)
    [incident] = server.incidents
    assert (incident.title, incident.updates[0].words) == (f"{text}Api", f"{text}major outage")


class Viewer:
    """Writes down its frames."""

    line = Line.WEBSOCKET
    wall = False

    def __init__(self) -> None:
        self.frames: list[dict[str, object]] = []

    def write(self, data: bytes) -> None:
        self.frames.append(msgspec.json.decode(data))

    def end(self, last: bytes, code: int) -> None:
        pass


async def test_who_comes_back_is_told_what_was_said_of_incidents_meanwhile(
    sqlite_database: Database,
) -> None:
    server = await a_server(sqlite_database)
    since = server.hub.board.id
    incidents = Incidents(server.changes)
    posted = await incidents.post(MEI, after(1), NewIncident(title="T", words="W"))
    await incidents.resolve(MEI, after(2), posted.id, "Over.")
    await server.catch_up()
    # The audience stands since before, or only now.
    for _ in range(2):
        viewer = Viewer()
        server.hub.join(viewer, PUBLIC, since)
        kinds = [frame["type"] for frame in viewer.frames]
        assert kinds == ["patch", "patch", "beat"]
        told = [frame["incidents"] for frame in viewer.frames[:2]]
        assert [story["status"] for [story] in told] == ["investigating", "resolved"]  # type: ignore[attr-defined]


async def test_what_operators_said_is_kept_for_those_who_come_back_to_a_new_server(
    sqlite_database: Database,
) -> None:
    recorder, changes = Recorder(sqlite_database), Changes(sqlite_database)
    log = [("1-0", a_catalog_change(CATALOG)), ("2-0", a_change(State.UP, monitor="api/http"))]
    await record_all(recorder, log)
    await Incidents(changes).post(MEI, after(1), NewIncident(title="T", words="W"))
    [untold] = await changes.untold(1)
    await record_all(recorder, [("3-0", untold.event), ("4-0", a_change(State.DOWN, after(5), "api/http"))])
    complete_since, past = await History(sqlite_database).recent(10)
    assert (complete_since, [patch.id for patch in past]) == ("1-0", ["2-0", "3-0", "4-0"])
    assert [story.became.title for story in past[1].incidents if story.became] == ["T"]


async def test_rules_are_kept_with_the_catalog(database: Database) -> None:
    await a_server(database)
    loaded = await Recorder(database).load()
    assert msgspec.json.encode(loaded.catalog) == msgspec.json.encode(CATALOG)
    assert loaded.catalog.revision == CATALOG.revision
