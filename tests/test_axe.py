"""axe finds nothing to complain of: on each kind of page, however things stand, in both themes and a sample
of languages. One page object goes from one to the next, for to open a browser is what takes the time.
"""

import re
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser

from app.db.change import Changes
from app.db.engine import connect
from app.domain.incident import Affected, NewUpdate
from app.domain.maintenance import NewMaintenance
from app.domain.status import Status
from tests.browser import ACME, Screen, Site, become_admin, screen
from tests.conftest import eventually
from tests.rows import config_for
from tests.test_stories import MEI, Desk, now
from tests.test_wall import knows

BAD = {"payments-api": Status.MAJOR, "search-api": Status.DEGRADED, "webhooks": Status.PARTIAL}
LOOKS: dict[str, dict[str, Status]] = {
    "ok": {},
    "bad": BAD,
    "unknown": {"payments-api": Status.UNKNOWN},
    "stale": BAD,
}
# What a lost connection looks like, without waiting for it: tests/test_page.py proves that it comes to this.
STALE = "() => { document.documentElement.dataset.live = 'stale' }"
# A theme changes colours and nothing else, so the dark one is looked at for these alone.
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[Site]:
    async with Site(ACME, beat=1.0) as site:
        yield site


@pytest.fixture(scope="module")
async def paths(site: Site) -> list[str]:
    """One of each kind that a visitor may see. Of stories, one that is open and one that is over."""
    changes = Changes(await connect(config_for(site.web.database_url)))
    desk = Desk(site, changes)
    await eventually(lambda: knows(desk, site.slugs[-1]))
    over = await desk.post(title="Search is slow", components=(Affected("search-api"),))
    await desk.incidents.resolve(MEI, now(), over.id, "It is fast again.")
    open_one = await desk.post(components=(Affected("payments-api"), Affected("payouts")))
    await desk.incidents.acknowledge(MEI, now(), open_one.id)
    promised = NewUpdate(words="- one\n- [two](/)", next_update_by=now() + timedelta(minutes=30))
    await desk.incidents.update(MEI, now(), open_one.id, promised)
    starts = now() + timedelta(hours=2)
    work = NewMaintenance(
        title="Database move",
        words="Some _minutes_.",
        starts=starts,
        ends=starts + timedelta(hours=1),
        components=("rest-api",),
    )
    planned = await desk.maintenances.schedule(MEI, now(), work)
    await desk.tell()
    await changes.database.close()
    await eventually(lambda: b"Database move" in site.web.get("/")[1])
    return [
        *("/", "/components/payments-api", "/history", "/wall?theme=auto"),
        *(f"/incidents/{open_one.id}", f"/incidents/{over.id}", f"/maintenances/{planned.id}"),
    ]


@pytest.fixture(scope="module")
async def visit(browser: Browser, site: Site) -> AsyncIterator[Screen]:
    async with screen(browser, site.web.url, reduced_motion="reduce") as visit:
        yield visit


async def complaints(visit: Screen, only: object = None) -> str:
    """What axe finds in both themes; empty if that is nothing."""
    said = []
    for scheme, options in (("light", only), ("dark", COLOURS)):
        await visit.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        results = await Axe().run(visit.page, options={"resultTypes": ["violations"], **(options or {})})  # type: ignore[dict-item]
        if results.response["violations"]:
            said.append(f"{scheme}: {results.generate_report()}")
    return "\n".join(said)


def stands(site: Site) -> dict[str, str]:
    drawn = site.web.get("/wall")[1].decode()
    return dict(re.findall(r'data-slug="([^"]+)" data-status="(\w+)"', drawn))


async def go(visit: Screen, url: str) -> None:
    await visit.page.goto(url)
    await visit.until("live")


async def test_no_kind_of_page_complains_in_the_console(
    site: Site, paths: list[str], browser: Browser
) -> None:
    """Not while it loads, is live, is printed and changes. What a policy forbids is said there too."""
    async with screen(browser, site.web.url, reduced_motion="reduce") as visit:
        for path in paths:
            await go(visit, site.web.url + path)
            await visit.page.evaluate(
                "['beforeprint', 'resize'].forEach((name) => dispatchEvent(new Event(name)))"
            )
            await visit.page.evaluate(STALE)
            assert (visit.complaints, path) == ([], path)
        await visit.page.goto(f"{site.web.url}/setup")
        assert visit.complaints == []
        # That a breach would have been heard of.
        await visit.page.evaluate("document.body.setAttribute('style', 'color: red')")
        await eventually(lambda: "Content Security Policy" in str(visit.complaints))


@pytest.mark.parametrize("look", LOOKS)
async def test_axe_finds_nothing_on_any_page(site: Site, paths: list[str], visit: Screen, look: str) -> None:
    await site.say(dict.fromkeys(site.slugs, Status.OPERATIONAL) | LOOKS[look])
    await eventually(lambda: stands(site) == site.status)
    for path in paths:
        await go(visit, site.web.url + path)
        if look == "stale":
            await visit.page.evaluate(STALE)
        assert await complaints(visit) == "", path


@pytest.mark.parametrize("lang", ["ar", "ja", "de"])
async def test_axe_finds_nothing_in_a_sample_of_languages(
    site: Site, paths: list[str], visit: Screen, lang: str
) -> None:
    await site.say(BAD)
    # What differs between languages is in words that all pages share; from right to left, each page may.
    for path in paths if lang == "ar" else (paths[0], paths[3]):
        await go(visit, f"{site.web.url}{path}{'&' if '?' in path else '?'}lang={lang}")
        assert await visit.page.get_attribute("html", "lang") == lang
        assert await complaints(visit) == "", path


async def test_axe_finds_nothing_on_the_way_to_the_desk(browser: Browser, site: Site) -> None:
    """All other rooms of /admin: tests/test_admin_flows.py."""
    async with screen(browser, f"{site.web.url}/setup", live=False, reduced_motion="reduce") as visit:
        assert await complaints(visit) == ""
        await become_admin(visit.page, site.web)
        assert await complaints(visit) == ""
        await visit.page.goto(f"{site.web.url}/account")
        assert await complaints(visit) == ""
        await visit.page.context.clear_cookies()
        await visit.page.goto(f"{site.web.url}/admin")
        assert visit.page.url.endswith("/login?then=/admin")
        assert await complaints(visit) == ""
