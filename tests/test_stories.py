"""Incidents and planned work on the page and the wall, in a real browser: as frames tell them, and as the
server draws them."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Browser

from app import outbox
from app.db.change import Changes
from app.db.engine import connect
from app.db.incidents import Incidents
from app.db.interventions import Interventions
from app.db.maintenances import Maintenances
from app.domain.actor import Actor
from app.domain.incident import Affected, Impact, Incident, IncidentStatus, NewIncident, NewUpdate
from app.domain.instant import from_seconds
from app.domain.maintenance import NewMaintenance
from app.domain.status import Status
from tests.browser import ACME, Screen, Site, screen
from tests.conftest import eventually
from tests.rows import config_for

MEI = Actor("user", "mei")
STORIES = "document.querySelector('.stories').innerHTML.replace(/\\s+/g, ' ').replace(/> </g, '><').trim()"

# Each would set `hurt` on the window, or fetch from elsewhere, if it were let.
CORPUS = [
    "<script>window.hurt=1</script>",
    "<img src=x onerror=window.hurt=1>",
    "<svg/onload=window.hurt=1>",
    "[a](javascript:window.hurt=1)",
    "[a](JaVaScRiPt&colon;window.hurt=1)",
    "[a](data:text/html,<script>window.hurt=1</script>)",
    "![a](http://127.0.0.1:9/picture.png)",
    "<a href='x' onclick='window.hurt=1'>a</a>",
    "`</code><script>window.hurt=1</script>`",
    "<iframe srcdoc='<script>parent.hurt=1</script>'></iframe>",
    "</template><script>window.hurt=1</script>",
    '"><script>window.hurt=1</script>',
    "<style>body{display:none}</style>",
    "<math><mtext><table><mglyph><style><img src=x onerror=window.hurt=1>",
    "<form action=http://127.0.0.1:9/><input name=a></form>",
]


class Desk:
    """What operators do, by way of another server with the same database and the same feed."""

    def __init__(self, site: Site, changes: Changes) -> None:
        self._site = site
        self._changes = changes
        self.incidents = Incidents(changes)
        self.maintenances = Maintenances(changes)
        self.interventions = Interventions(changes)

    async def tell(self) -> None:
        await outbox.empty(self._changes, self._site.feed)

    async def post(self, **given: object) -> Incident:
        usual = {"title": "Payments fail", "words": "We **look**."}
        incident = await self.incidents.post(MEI, now(), NewIncident(**(usual | given)))  # type: ignore[arg-type]
        await self.tell()
        return incident

    async def clear(self) -> None:
        for incident in await self.incidents.recent(100):
            await self.incidents.remove(MEI, now(), incident.id)
        for maintenance in await self.maintenances.recent(100):
            await self.maintenances.cancel(MEI, now(), maintenance.id, series=True)
        await self.tell()


def now() -> datetime:
    return from_seconds(datetime.now(UTC).timestamp())


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[Site]:
    async with Site(ACME) as site:
        yield site


@pytest.fixture
async def desk(site: Site) -> AsyncIterator[Desk]:
    changes = Changes(await connect(config_for(site.web.database_url)))
    desk = Desk(site, changes)
    yield desk
    await desk.clear()
    await eventually(lambda: b'<article class="story" data-id' not in site.web.get("/")[1])
    await changes.database.close()


async def reads(visit: Screen, selector: str, text: str) -> None:
    await visit.page.wait_for_function(
        "([selector, text]) => document.querySelector(selector)?.innerText.trim() === text",
        arg=[selector, text],
        timeout=5000,
    )


async def test_from_an_outage_to_its_end_on_the_page_and_the_wall(
    browser: Browser, site: Site, desk: Desk
) -> None:
    async with screen(browser, site.web.url) as page, screen(browser, f"{site.web.url}/wall") as wall:
        asked = [len(visit.requests) for visit in (page, wall)]
        began = time.monotonic()
        incident = await desk.post(components=(Affected("payments-api", Status.MAJOR),))
        await reads(page, ".story .title", "Payments fail")
        took = time.monotonic() - began
        assert took < 2, took
        await page.shows("payments-api", Status.MAJOR)
        assert await page.reads(".story .affects") == "Payments API"
        assert await page.page.inner_html(".said .words") == "<p>We <strong>look</strong>.</p>"
        await reads(wall, ".story .title", "Payments fail")

        await desk.incidents.acknowledge(MEI, now(), incident.id)
        await desk.interventions.acknowledge(MEI, now(), "payments-api", "Jo looks")
        await desk.tell()
        for visit in (page, wall):
            await reads(visit, ".story .acknowledged", "Mei is on it")
        await reads(wall, ".problem .when", "Jo looks")

        update = NewUpdate(
            words="A switch.",
            status=IncidentStatus.IDENTIFIED,
            next_update_by=now() + timedelta(minutes=30),
        )
        await desk.incidents.update(MEI, now(), incident.id, update)
        await desk.tell()
        await reads(page, ".story .stage", "Identified")
        assert await page.page.locator(".said .words").all_inner_texts() == ["A switch.", "We look."]
        assert await page.page.locator(".promise").inner_text() != ""

        await desk.incidents.resolve(MEI, now(), incident.id, "It works.")
        await desk.tell()
        for visit in (page, wall):
            await visit.shows("payments-api", Status.OPERATIONAL)
            await visit.page.wait_for_selector(".story", state="detached")
            assert await visit.page.is_hidden(".stories")
        more = [visit.requests[before:] for visit, before in zip((page, wall), asked, strict=True)]
        # The page loads what draws a change when there is the first.
        assert [path.rpartition("/")[2] for path in more[0]] == ["news.js"]
        assert more[1] == []
        assert page.complaints == wall.complaints == []


async def test_an_incident_that_names_no_component_is_the_headline(
    browser: Browser, site: Site, desk: Desk
) -> None:
    async with screen(browser, site.web.url) as page, screen(browser, f"{site.web.url}/wall") as wall:
        for visit, well in ((page, "All systems operational"), (wall, "All 18 operational")):
            await reads(visit, "h1", well)
        incident = await desk.post(impact=Impact.MAJOR)
        await reads(page, "h1", "Open incident: Payments fail")
        await reads(page, ".tally", "No component is known to be affected")
        await reads(wall, "h1", "Open incident")
        for visit in (page, wall):
            await visit.page.wait_for_function("document.title.startsWith('◆ Open incident')")
        for path, head in (("/", ".hero"), ("/wall", ".head")):
            url = f"{site.web.url}{path}"
            async with screen(browser, url, java_script_enabled=False, live=False) as fresh:
                assert await fresh.page.get_attribute(head, "data-status") == "partial_outage"
                assert (await fresh.page.title()).startswith("◆ Open incident")
        await desk.incidents.resolve(MEI, now(), incident.id, "It works.")
        await desk.tell()
        for visit, well in ((page, "All systems operational"), (wall, "All 18 operational")):
            await reads(visit, "h1", well)
        assert page.complaints == wall.complaints == []


async def test_an_incident_has_a_page_that_follows_it_to_its_end_and_stays(
    browser: Browser, site: Site, desk: Desk
) -> None:
    incident = await desk.post(impact=Impact.CRITICAL)
    async with screen(browser, site.web.url) as page:
        await page.page.click(".story .title")
        await page.page.wait_for_url(f"**/incidents/{incident.id}")
        await page.until("live")
        assert await page.reads("h1") == "Payments fail"
        assert await page.page.get_attribute(".hero", "data-status") == "major_outage"
        # What is told of others is none of this page's business.
        await desk.post(title="Another")
        note = NewUpdate(words="A private thought.", private=True)
        await desk.incidents.update(MEI, now(), incident.id, note)
        update = NewUpdate(words="A switch.", status=IncidentStatus.IDENTIFIED)
        await desk.incidents.update(MEI, now(), incident.id, update)
        await desk.tell()
        await reads(page, ".tally", "Identified")
        await desk.incidents.resolve(MEI, now(), incident.id, "It works.")
        await desk.tell()
        await page.page.wait_for_selector('.hero[data-status="operational"]')
        said = ["It works.", "A switch.", "We look."]
        assert await page.page.locator(".said .words").all_inner_texts() == said
        assert await page.page.locator(".story").count() == 1
        assert await page.page.title() == "✓ Payments fail · Acme Status"
        assert page.complaints == []
    _, drawn = site.web.get(f"/incidents/{incident.id}")
    assert b"It works." in drawn and b"private thought" not in drawn
    assert b"Another" not in drawn
    link = f"/incidents/{incident.id}?lang=de".encode()
    await eventually(lambda: link in site.web.get("/?lang=de")[1].partition(b'id="past"')[2])


async def test_what_is_not_public_has_no_page(site: Site, desk: Desk) -> None:
    draft = await desk.post(title="Not yet", draft=True)
    for path in (f"incidents/{draft.id}", "incidents/nothing", f"maintenances/{draft.id}", "incidents/a%00"):
        status, body = site.web.get(f"/{path}")
        assert (status, b"Not yet" in body) == (404, False), path


async def test_the_history_draws_itself_anew_when_an_incident_ends(
    browser: Browser, site: Site, desk: Desk
) -> None:
    async with screen(browser, f"{site.web.url}/history") as history, screen(browser, site.web.url) as home:
        incident = await desk.post(title="Brief")
        await desk.incidents.resolve(MEI, now(), incident.id, "Over.")
        await desk.tell()
        for visit in (history, home):
            await visit.page.wait_for_selector(f'#past a[href="/incidents/{incident.id}"]', timeout=20_000)
            assert visit.complaints == []


async def test_what_a_server_stored_and_died_before_it_could_tell_is_told_by_another(
    browser: Browser, site: Site, desk: Desk
) -> None:
    async with screen(browser, site.web.url) as visit:
        await desk.incidents.post(MEI, now(), NewIncident(title="Left behind", words="Words."))
        # Nobody here tells it.
        await reads(visit, ".story .title", "Left behind")


async def test_planned_work_is_announced_begins_and_ends_by_itself(
    browser: Browser, site: Site, desk: Desk
) -> None:
    async with screen(browser, site.web.url) as visit:
        new = NewMaintenance(
            title="Database move",
            words="Some _minutes_.",
            starts=now() + timedelta(seconds=2),
            ends=now() + timedelta(seconds=5),
            components=("search-api",),
        )
        await desk.maintenances.schedule(MEI, now(), new)
        await desk.tell()
        await reads(visit, ".story .stage", "Scheduled")
        # From here on the server does it.
        await reads(visit, ".story .stage", "In progress")
        await visit.shows("search-api", Status.MAINTENANCE)
        await visit.shows("search-api", Status.OPERATIONAL, within=8)
        await visit.page.wait_for_selector(".story", state="detached")


@pytest.mark.parametrize("path", ["/", "/wall"])
async def test_the_server_draws_what_the_script_does(
    browser: Browser, site: Site, desk: Desk, path: str
) -> None:
    async with screen(browser, f"{site.web.url}{path}", timezone_id="Europe/Berlin") as visit:
        await desk.post(title="First")
        second = await desk.post(title="Second", components=(Affected("payouts"),))
        await desk.incidents.acknowledge(MEI, now(), second.id)
        for hours in (3, 2):
            starts = now() + timedelta(hours=hours)
            new = NewMaintenance(
                title=f"In {hours}", starts=starts, ends=starts + timedelta(hours=1), components=("payouts",)
            )
            await desk.maintenances.schedule(MEI, now(), new)
        await desk.tell()
        await visit.page.wait_for_function("() => document.querySelectorAll('.story').length === 4")
        await reads(visit, ".story .acknowledged", "Mei is on it")
        told = await visit.page.evaluate(STORIES)
        titles = await visit.page.locator(".story .title").all_inner_texts()
        assert titles == ["Second", "First", "In 2", "In 3"]
        async with screen(browser, f"{site.web.url}{path}", java_script_enabled=False, live=False) as fresh:
            drawn = await fresh.page.evaluate(STORIES)
        assert drawn == told


async def test_what_operators_write_is_text_and_nothing_else(
    browser: Browser, site: Site, desk: Desk
) -> None:
    async with screen(browser, site.web.url) as live:
        for text in CORPUS:
            title = text.replace("\n", " ")
            await desk.post(title=title, words=text)
        await live.page.wait_for_function(
            "n => document.querySelectorAll('.story').length === n", arg=len(CORPUS)
        )
        async with screen(browser, site.web.url) as drawn, screen(browser, f"{site.web.url}/wall") as wall:
            for visit in (live, drawn, wall):
                assert await visit.page.evaluate("window.hurt") is None
                assert visit.complaints == []
                found = (
                    "document.querySelectorAll('.stories :is(script, img, svg, iframe, style, form)').length"
                )
                assert await visit.page.evaluate(found) == 0
                titles = await visit.page.locator(".story .title").all_text_contents()
                assert sorted(titles) == sorted(CORPUS)
            links = await drawn.page.evaluate(
                "[...document.querySelectorAll('.stories a')].map((a) => a.protocol)"
            )
            assert set(links) <= {"http:", "https:", "mailto:"}
