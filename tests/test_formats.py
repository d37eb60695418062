"""The formats that other programs read: each says what the page says, in the words of that format."""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal
from xml.etree import ElementTree

import msgspec
import pytest
from httpx import Response
from msgspec import Struct
from msgspec.structs import replace

from app.config import Config
from app.db.change import Changes
from app.db.history import History
from app.db.incidents import Incidents
from app.db.maintenances import Maintenances
from app.db.recorder import Recorder
from app.domain.actor import Actor
from app.domain.events import Logged
from app.domain.incident import Affected, IncidentStatus, NewIncident, NewUpdate
from app.domain.instant import to_ms
from app.domain.maintenance import NewMaintenance
from app.domain.monitor import Catalog, Page
from app.domain.standing import State
from app.domain.status import Status
from app.feed import Heard
from app.importing import statuspage
from app.pages import static
from app.pages.formats.badge import COLOURS
from app.pages.formats.bulletin import Bulletin, Bulletins
from app.pages.front import Front
from app.pages.past import Past
from app.pages.view import Views
from tests.make import NOON, a_catalog, a_catalog_change, a_change, a_component, after
from tests.test_pages_render import Server, serving
from tests.test_several_pages import INTERNAL, PAYMENTS, STAFF

DOCUMENTS: Final = tuple(
    f"/api/v2/{name}.json"
    for name in (
        *("summary", "status", "components", "incidents", "incidents/unresolved"),
        *("scheduled-maintenances", "scheduled-maintenances/upcoming", "scheduled-maintenances/active"),
    )
)
FEEDS: Final = ("/history.atom", "/history.rss", "/maintenance.ics")
BADGES: Final = ("/badge.svg", "/badge/pay.svg")
OF_THE_PAST: Final = {"/api/v2/incidents.json", "/api/v2/scheduled-maintenances.json", *FEEDS}
ATOM: Final = "{http://www.w3.org/2005/Atom}"
MEI: Final = Actor("user", "mei@example.org", "192.0.2.7", "Mei")
CATALOG: Final = a_catalog(
    a_component("pay", group="Payments", description="Card <and> SEPA"),
    a_component("payouts", group="Payments"),
    a_component("secret-pay", group="Payments", hidden=True),
    a_component("shop"),
    a_component("canary", hidden=True),
    groups=("Payments",),
    page=Page(name="Acme & Co", url="https://status.acme.example/", time_zone="Asia/Singapore"),
    pages=(PAYMENTS, INTERNAL, STAFF),
)


class Office:
    """A server, and what operators and workers say to it: stored, and told."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.changes = Changes(server.database)
        self.incidents = Incidents(self.changes)
        self.maintenances = Maintenances(self.changes)
        self._recorder = Recorder(server.database)
        self._said = 0

    async def say(self, *events: Logged) -> None:
        await self._recorder.load()
        for event in events:
            self._said += 1
            assert await self._recorder.record([Heard(f"{to_ms(NOON)}-{1000 + self._said}", event)])
            self.server.hear(event)

    async def tell(self) -> None:
        for untold in await self.changes.untold(100):
            self.server.hear(untold.event)
            await self.changes.forget([untold])
        self.server.wait(60)
        self.server.beat()

    async def get(self, path: str, **headers: str) -> Response:
        return await self.server.client.get(path, headers=headers)

    async def json(self, path: str) -> Any:
        answer = await self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()


async def opened(folder: Path, catalog: Catalog = CATALOG) -> AsyncIterator[Office]:
    async with serving(folder, catalog) as server:
        office = Office(server)
        await office.say(a_catalog_change(catalog, NOON))
        seen = (each.slug for each in catalog.components if each.slug != "shop")
        await office.say(*(a_change(State.UP, NOON, f"{slug}/http") for slug in seen))
        yield office


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async for office in opened(tmp_path):
        yield office


@pytest.fixture(scope="module")
async def busy() -> AsyncIterator[Office]:
    """One incident goes on, one is over, one is of a hidden component alone; one maintenance is planned."""
    with tempfile.TemporaryDirectory() as folder:
        async for office in opened(Path(folder)):
            await _be_busy(office)
            yield office


async def _be_busy(office: Office) -> None:
    down = (Affected("pay", Status.MAJOR), Affected("canary", Status.MAJOR))
    old = NewIncident(title="Old & gone", words="It was *bad*.", components=(Affected("payouts"),))
    gone = await office.incidents.post(MEI, after(-7200), old)
    await office.incidents.update(
        MEI, after(-3600), gone.id, NewUpdate(words="Well.", status=IncidentStatus.RESOLVED)
    )
    new = NewIncident(title="Cards fail", words="We look,\nand <b>find</b>; really: yes.", components=down)
    open_ = await office.incidents.post(MEI, after(60), new)
    said = NewUpdate(words="Nearly.", status=IncidentStatus.MONITORING)
    await office.incidents.update(MEI, after(120), open_.id, said)
    await office.incidents.update(MEI, after(130), open_.id, NewUpdate(words="canary words", private=True))
    hidden = NewIncident(title="canary title", words="canary", components=(Affected("canary"),))
    await office.incidents.post(MEI, after(61), hidden)
    await office.incidents.post(MEI, after(62), replace(new, title="canary draft", draft=True))
    planned = NewMaintenance(
        title="Move, again; to \\ there",
        words="Line one\nline two, with ünïcödé " + "very " * 30 + "long",
        starts=after(86400),
        ends=after(90000),
        components=("pay", "canary"),
    )
    await office.maintenances.schedule(MEI, after(3), planned)
    await office.tell()


# As a strict client would have it: no key more, none less, no word that Statuspage does not have.
Word = Literal["operational", "degraded_performance", "partial_outage", "major_outage", "under_maintenance"]


class Strict(Struct, forbid_unknown_fields=True, kw_only=True):
    pass


class PageOfIt(Strict):
    id: str
    name: str
    url: str
    time_zone: str
    updated_at: datetime


class ComponentOfIt(Strict):
    id: str
    name: str
    status: Word
    created_at: datetime
    updated_at: datetime
    position: int
    description: str | None
    showcase: bool
    start_date: None
    group_id: str | None
    page_id: str
    group: bool
    only_show_if_degraded: bool
    components: list[str] | None = None


class UpdateOfIt(Strict):
    id: str
    status: str
    body: str
    incident_id: str
    created_at: datetime
    updated_at: datetime
    display_at: datetime
    affected_components: None
    deliver_notifications: bool
    custom_tweet: None
    tweet_id: None


class IncidentOfIt(Strict):
    id: str
    name: str
    status: Literal["investigating", "identified", "monitoring", "resolved", "postmortem"]
    created_at: datetime
    updated_at: datetime
    monitoring_at: datetime | None
    resolved_at: datetime | None
    impact: Literal["none", "minor", "major", "critical"]
    shortlink: str
    started_at: datetime
    page_id: str
    incident_updates: list[UpdateOfIt]
    components: list[ComponentOfIt]


class MaintenanceOfIt(IncidentOfIt):
    status: Literal["scheduled", "in_progress", "verifying", "completed"]  # type: ignore[assignment]
    impact: Literal["maintenance"]  # type: ignore[assignment]
    scheduled_for: datetime
    scheduled_until: datetime


class StatusOfIt(Strict):
    indicator: Literal["none", "minor", "major", "critical"]
    description: str


class Summary(Strict):
    page: PageOfIt
    components: list[ComponentOfIt]
    incidents: list[IncidentOfIt]
    scheduled_maintenances: list[MaintenanceOfIt]
    status: StatusOfIt


async def summary(office: Office, base: str = "") -> Summary:
    return msgspec.json.decode((await office.get(f"{base}/api/v2/summary.json")).content, type=Summary)


async def test_a_strict_client_of_statuspage_reads_the_summary(busy: Office) -> None:
    found = await summary(busy)

    assert (found.page.name, found.page.url) == ("Acme & Co", "https://status.acme.example")
    assert [(each.name, each.group, each.position) for each in found.components] == [
        ("Payments", True, 1),
        ("Pay", False, 1),
        ("Payouts", False, 2),
        ("Shop", False, 2),
    ]
    group, pay, payouts, shop = found.components
    assert group.components == [pay.id, payouts.id] and pay.group_id == group.id and shop.group_id is None
    assert (pay.status, payouts.status, group.status) == ("major_outage", "operational", "major_outage")
    assert (found.status.indicator, found.status.description) == ("critical", "Major Service Outage")
    assert all(re.fullmatch("[a-z0-9]{12}", each.id) for each in found.components)
    [incident] = found.incidents
    assert (incident.name, incident.status, incident.impact) == ("Cards fail", "monitoring", "critical")
    assert [each.body[:7] for each in incident.incident_updates] == ["Nearly.", "We look"]
    assert incident.monitoring_at == after(120) and incident.resolved_at is None
    assert [each.name for each in incident.components] == ["Pay"]
    [work] = found.scheduled_maintenances
    assert (work.status, work.scheduled_for, work.scheduled_until) == (
        "scheduled",
        after(86400),
        after(90000),
    )


def ids_in(answer: Any) -> set[str]:
    if isinstance(answer, list):
        return set().union(*map(ids_in, answer))
    if not isinstance(answer, dict):
        return set()
    own = {answer["id"]} if "id" in answer else set()
    return own.union(*map(ids_in, answer.values()))


async def test_no_two_installations_share_an_id_and_one_keeps_its_own(tmp_path: Path) -> None:
    urls = ("https://a.example", "https://b.example", "http://a.example/")
    found = []
    for n, url in enumerate(urls):
        (tmp_path / str(n)).mkdir()
        page = replace(CATALOG.page, url=url)
        async for office in opened(tmp_path / str(n), replace(CATALOG, page=page)):
            found.append(ids_in(await office.json("/api/v2/summary.json")))
    first, other, without_tls = found
    assert len(first) == 5 and first & other == set() and first == without_tls


async def test_two_updates_of_one_moment_and_one_status_have_two_ids_that_stay(office: Office) -> None:
    new = NewIncident(title="Short", words="It is out.", components=(Affected("pay"),))
    posted = await office.incidents.post(MEI, after(1), new)

    async def said(words: str) -> list[str]:
        await office.incidents.update(MEI, after(2), posted.id, NewUpdate(words=words))
        await office.tell()
        [incident] = (await office.json("/api/v2/incidents/unresolved.json"))["incidents"]
        return [each["id"] for each in incident["incident_updates"]]

    one = await said("One.")
    two = await said("Two.")
    assert len(set(two)) == 3 and two[1:] == one


async def test_times_are_those_of_the_page_with_milliseconds(busy: Office) -> None:
    [incident] = (await busy.json("/api/v2/incidents/unresolved.json"))["incidents"]
    assert incident["started_at"] == "2026-01-31T20:01:00.000+08:00"
    [work] = (await busy.json("/api/v2/scheduled-maintenances/upcoming.json"))["scheduled_maintenances"]
    assert work["scheduled_for"] == "2026-02-01T20:00:00.000+08:00"
    utc = (await busy.json("/p/payments/api/v2/incidents/unresolved.json"))["incidents"]
    assert utc[0]["started_at"] == "2026-01-31T12:01:00.000Z"


async def test_what_is_over_is_among_the_incidents_and_not_among_the_open_ones(busy: Office) -> None:
    told = (await busy.json("/api/v2/incidents.json"))["incidents"]
    assert [(each["name"], each["status"]) for each in told] == [
        ("Cards fail", "monitoring"),
        ("Old & gone", "resolved"),
    ]
    assert told[1]["resolved_at"] == "2026-01-31T19:00:00.000+08:00"


async def test_an_incident_that_is_resolved_leaves_the_open_ones_at_once(office: Office) -> None:
    new = NewIncident(title="Short", words="It is out.", components=(Affected("pay"),))
    posted = await office.incidents.post(MEI, after(1), new)
    await office.tell()
    assert len((await office.json("/api/v2/incidents/unresolved.json"))["incidents"]) == 1
    await office.incidents.resolve(MEI, after(2), posted.id, "It is well.")
    for untold in await office.changes.untold(100):
        office.server.hear(untold.event)
    assert (await office.json("/api/v2/incidents/unresolved.json"))["incidents"] == []
    assert (await office.json("/api/v2/incidents.json"))["incidents"][0]["status"] == "resolved"


async def test_what_is_not_known_is_never_operational(office: Office) -> None:
    by_name = {each.name: each.status for each in (await summary(office)).components}
    assert by_name == {
        "Payments": "operational",
        "Pay": "operational",
        "Payouts": "operational",
        "Shop": "degraded_performance",
    }
    assert "No data" in (await office.get("/badge/shop.svg")).text


async def test_a_server_that_hears_nothing_says_so_in_every_format(office: Office) -> None:
    before = (await office.get("/badge/pay.svg")).text
    assert COLOURS[Status.OPERATIONAL][0] in before
    office.server.hub.link(False)
    found = await summary(office)
    assert {each.status for each in found.components} == {"degraded_performance"}
    assert (found.status.indicator, found.status.description) == ("minor", "State Unknown")
    for path in BADGES:
        badge = (await office.get(path)).text
        assert "No data" in badge and COLOURS[Status.UNKNOWN][0] in badge
        assert COLOURS[Status.OPERATIONAL][0] not in badge


async def test_each_page_has_formats_of_its_own_things(busy: Office) -> None:
    found = await summary(busy, "/p/payments")
    assert [each.name for each in found.components] == ["Payments", "Pay", "Payouts"]
    assert found.page.url == "https://status.acme.example/p/payments"
    by_host = await busy.get("/api/v2/components.json", host="status.payments.example")
    assert "Shop" not in by_host.text and "Payouts" in by_host.text


@pytest.mark.parametrize("path", [*DOCUMENTS, *FEEDS, "/badge.svg"])
async def test_no_format_betrays_what_is_hidden(busy: Office, path: str) -> None:
    assert "canary" not in (answer := await busy.get(path)).text.lower() and answer.status_code == 200


@pytest.mark.parametrize("page", ["internal", "staff"])
@pytest.mark.parametrize("path", [*DOCUMENTS, *FEEDS, "/badge.svg", "/badge/canary.svg"])
async def test_a_page_that_is_not_for_everybody_has_no_format_for_them(
    busy: Office, page: str, path: str
) -> None:
    answer = await busy.get(f"/p/{page}{path}")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "Canary" not in answer.text


@pytest.mark.parametrize("path", ["/badge/canary.svg", "/badge/pay", "/badge/nope.svg", "/p/nope/badge.svg"])
async def test_there_is_no_badge_of_what_is_not_on_the_page(busy: Office, path: str) -> None:
    assert (await busy.get(path)).status_code == 404


async def test_the_badge_of_the_page_has_one_address(office: Office) -> None:
    assert (await office.get("/badge.svg")).status_code == 200
    assert (await office.get("/badge/badge")).status_code == 404


@pytest.mark.parametrize("path", [*DOCUMENTS, *FEEDS, *BADGES])
async def test_who_has_it_already_is_not_sent_it_again(busy: Office, path: str) -> None:
    answer = await busy.get(path)
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-cache"
    again = await busy.get(path, **{"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    packed = await busy.server.client.head(path, headers={"accept-encoding": "br"})
    assert (packed.status_code, packed.headers["content-encoding"]) == (200, "br")


async def test_without_the_database_the_past_is_not_denied_and_the_rest_is_told(office: Office) -> None:
    await office.server.database.close()
    for path in (*DOCUMENTS, *FEEDS, *BADGES):
        assert (await office.get(path)).status_code == (503 if path in OF_THE_PAST else 200), path


async def test_another_statuswire_takes_the_page_over_by_its_own_summary(busy: Office) -> None:
    taken = statuspage.read((await busy.get("/api/v2/summary.json")).content)
    text = taken.text()
    assert "Acme & Co" in text and "name: Payouts" in text
    assert [incident.title for incident in taken.incidents] == ["Cards fail"]


async def test_a_reader_of_atom_finds_what_happened_the_newest_word_first(busy: Office) -> None:
    answer = await busy.get("/history.atom")
    assert answer.headers["content-type"] == "application/atom+xml; charset=utf-8"
    feed = ElementTree.fromstring(answer.content)
    assert feed.findtext(f"{ATOM}id") == "tag:status.acme.example,2005:/history"
    entries = feed.findall(f"{ATOM}entry")
    titles = [each.findtext(f"{ATOM}title") for each in entries]
    assert titles == ["Cards fail", r"Move, again; to \ there", "Old & gone"]
    for each in entries:
        assert datetime.fromisoformat(each.findtext(f"{ATOM}updated") or "").tzinfo is not None
    link = entries[0].find(f"{ATOM}link")
    assert link is not None and link.attrib["href"].startswith("https://status.acme.example/incidents/")
    content = entries[0].findtext(f"{ATOM}content") or ""
    assert content.index("Monitoring</strong> - Nearly.") < content.index("Investigating</strong> - We look")
    assert "31 Jan, 20:02 +08" in content
    assert "<b>" not in content and "&lt;b&gt;find" in content


async def test_a_reader_of_rss_finds_the_same(busy: Office) -> None:
    channel = ElementTree.fromstring((await busy.get("/history.rss")).content).find("channel")
    assert channel is not None and channel.findtext("link") == "https://status.acme.example"
    items = channel.findall("item")
    assert [each.findtext("title") for each in items][::2] == ["Cards fail", "Old & gone"]
    assert items[0].findtext("guid") == items[0].findtext("link")
    assert items[0].findtext("pubDate") == "Sat, 31 Jan 2026 12:02:00 +0000"


async def test_a_calendar_has_what_is_planned(busy: Office) -> None:
    answer = await busy.get("/maintenance.ics")
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    lines = answer.content.split(b"\r\n")
    assert lines.pop() == b"" and all(len(line) <= 75 for line in lines)
    whole = answer.text.replace("\r\n ", "").split("\r\n")
    assert "DTSTART:20260201T120000Z" in whole and "DTEND:20260201T130000Z" in whole
    assert r"SUMMARY:Move\, again\; to \\ there" in whole
    [words] = [line for line in whole if line.startswith("DESCRIPTION:")]
    assert words.startswith(r"DESCRIPTION:Line one\nline two\, with ünïcödé very") and words.endswith("long")
    assert "LOCATION:Pay" in whole


async def test_planned_work_bears_the_date_on_which_it_was_planned(busy: Office) -> None:
    """Most readers hide what is still to come, and that is what planned work is told for."""
    [work] = (await summary(busy)).scheduled_maintenances
    assert work.created_at == work.updated_at == work.incident_updates[-1].created_at == after(3)
    feed = ElementTree.fromstring((await busy.get("/history.atom")).content)
    entry = feed.findall(f"{ATOM}entry")[1]
    for name in ("published", "updated"):
        assert datetime.fromisoformat(entry.findtext(f"{ATOM}{name}") or "") == after(3)
    assert b"DTSTAMP:20260131T120003Z" in (await busy.get("/maintenance.ics")).content


async def test_planned_work_that_begins_by_itself_is_news_again(office: Office) -> None:
    new = NewMaintenance(title="Soon", starts=after(10), ends=after(20), components=("pay",))
    planned = await office.maintenances.schedule(MEI, after(1), new)
    await office.maintenances.begin(MEI, after(10), planned.id)
    await office.tell()
    [work] = (await summary(office)).scheduled_maintenances
    assert (work.created_at, work.updated_at) == (after(1), after(10))


def strictly(content: bytes) -> list[dict[str, str]]:
    """The events of a calendar, read as RFC 5545 has it: what is not as it should be fails."""
    text = content.decode()
    assert text.endswith("\r\n") and not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text)
    assert not re.search("(?<!\r)\n|\r(?!\n)", text)
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    lines = text.replace("\r\n ", "").split("\r\n")[:-1]
    assert all(re.fullmatch(r"[A-Z][A-Z0-9-]*(;[A-Z]+=[A-Z]+)*:.*", line) for line in lines)
    said = [(line.partition(":")[0].partition(";")[0], line.partition(":")[2]) for line in lines]
    assert (said[0], said[-1]) == (("BEGIN", "VCALENDAR"), ("END", "VCALENDAR"))
    assert {"VERSION", "PRODID"} <= {name for name, _ in said}
    assert sum(name == "BEGIN" for name, _ in said) > 1, "a calendar has something in it"
    begins = [n for n, each in enumerate(said) if each == ("BEGIN", "VEVENT")]
    ends = [n for n, each in enumerate(said) if each == ("END", "VEVENT")]
    events = [dict(said[begin + 1 : end]) for begin, end in zip(begins, ends, strict=True)]
    for event in events:
        assert {"UID", "DTSTAMP", "DTSTART"} <= set(event)
        for name in ("DTSTAMP", "DTSTART", "DTEND"):
            assert re.fullmatch(r"\d{8}T\d{6}Z", event.get(name, event["DTSTART"]))
        assert "DTEND" not in event or event["DTEND"] > event["DTSTART"]
        for name in ("SUMMARY", "DESCRIPTION", "LOCATION"):
            assert re.fullmatch(r"([^\\;,]|\\[\\;,n])*", event[name])
    return events


async def test_a_strict_reader_of_calendars_reads_it(busy: Office) -> None:
    [event] = strictly((await busy.get("/maintenance.ics")).content)
    assert event["DTEND"] == "20260201T130000Z"


async def test_a_calendar_in_which_nothing_is_planned_is_one_too(office: Office) -> None:
    assert strictly((await office.get("/maintenance.ics")).content) == []


async def test_work_that_was_ended_before_it_began_has_no_length(office: Office) -> None:
    new = NewMaintenance(title="Never", starts=after(10), ends=after(20), components=("pay",))
    planned = await office.maintenances.schedule(MEI, after(1), new)
    await office.maintenances.complete(MEI, after(2), planned.id)
    await office.tell()
    [event] = strictly((await office.get("/maintenance.ics")).content)
    assert event["DTSTART"] == "20260131T120002Z"


async def test_what_goes_on_is_told_however_much_is_planned(office: Office) -> None:
    new = NewMaintenance(title="Now", starts=after(10), ends=after(9000), components=("pay",))
    planned = await office.maintenances.schedule(MEI, after(1), new)
    await office.maintenances.begin(MEI, after(10), planned.id)
    for n in range(55):
        later = replace(new, title=f"Later {n}", starts=after(86400 * (n + 1)), ends=after(86400 * (n + 2)))
        await office.maintenances.schedule(MEI, after(11), later)
    await office.tell()
    works = (await summary(office)).scheduled_maintenances
    assert len(works) == 56 and "Now" in [each.name for each in works]
    assert len(strictly((await office.get("/maintenance.ics")).content)) == 56
    assert len((await office.json("/api/v2/scheduled-maintenances.json"))["scheduled_maintenances"]) == 50


async def test_what_is_read_anew_and_is_as_it_was_is_not_drawn_again(busy: Office) -> None:
    hub, config = busy.server.hub, Config.read({})
    past = Past(History(busy.server.database))
    page = hub.board.catalog.page
    front = Front(Views(hub, config, ""), past, page, lambda: True, lambda: asyncio.sleep(0, page))
    bulletins = Bulletins(hub, config)

    async def later() -> Bulletin:
        busy.server.wait(120)
        busy.server.beat()
        return await bulletins.of(front)

    said = await later()
    assert await later() is said


async def test_the_names_in_feeds_have_no_port(tmp_path: Path) -> None:
    async for office in opened(tmp_path, a_catalog()):
        feed = ElementTree.fromstring((await office.get("/history.atom")).content)
        assert feed.findtext(f"{ATOM}id") == "tag:127.0.0.1,2005:/history"


async def test_words_that_no_xml_can_hold_break_no_feed(office: Office) -> None:
    new = NewIncident(title="a ]]> b", words="x &amp; \ufffe ]]> <!--", components=(Affected("pay"),))
    await office.incidents.post(MEI, after(1), new)
    await office.tell()
    for path in ("/history.atom", "/history.rss"):
        assert "a ]]> b" in ElementTree.tostring(
            ElementTree.fromstring((await office.get(path)).content), "unicode"
        ).replace("&gt;", ">")


async def test_a_badge_says_it_in_words_and_is_as_wide_as_they_are(tmp_path: Path) -> None:
    catalog = a_catalog(
        a_component("api", name='<API> & "co"'),
        a_component("long", name="W" * 200),
        a_component("japanese", name="決済"),
        page=Page(name="Acme", language="de"),
    )
    async for office in opened(tmp_path, catalog):
        for slug, name in (("api", '<API> & "co"'), ("long", "W" * 39 + "…"), ("japanese", "決済")):
            answer = await office.get(f"/badge/{slug}.svg")
            assert answer.headers["content-type"] == "image/svg+xml"
            assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
            picture = ElementTree.fromstring(answer.content)
            assert picture.attrib["aria-label"] == f"{name}: In Betrieb"
            texts = picture.findall(".//{http://www.w3.org/2000/svg}text")
            assert int(picture.attrib["width"]) == sum(int(each.attrib["textLength"]) + 14 for each in texts)


async def test_a_badge_is_whole_beside_others_and_whatever_its_name(tmp_path: Path) -> None:
    catalog = a_catalog(a_component("odd", name="a\ufffe\N{COMBINING ACUTE ACCENT}"))
    async for office in opened(tmp_path, catalog):
        picture = ElementTree.fromstring((await office.get("/badge/odd.svg")).content)
        # In one document, what refers to an id finds that of the first badge.
        assert not [each for each in picture.iter() if "id" in each.attrib]


def test_a_badge_has_the_colours_of_the_page() -> None:
    tokens = (Path(static.__file__).parent.parent / "static" / "tokens.css").read_text()
    names = {
        "operational": Status.OPERATIONAL,
        "degraded": Status.DEGRADED,
        "partial": Status.PARTIAL,
        "major": Status.MAJOR,
        "maintenance": Status.MAINTENANCE,
        "unknown": Status.UNKNOWN,
    }
    for name, status in names.items():
        fill, ink = COLOURS[status]
        assert re.search(rf"--{name}: (\S+);", tokens)[1] == fill  # type: ignore[index]
        assert re.search(rf"--on-{name}: (\S+);", tokens)[1] == ink  # type: ignore[index]
