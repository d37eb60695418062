"""Every kind of page, /admin too, for whoever sees it four times as large, with letters set apart, by
keyboard or by thumb: nothing is cut off, nothing scrolls to the side, what has the focus is seen, and what
is pressed is large enough.
"""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from app.db.change import Changes
from app.db.engine import connect
from app.domain.incident import Affected, NewUpdate
from app.domain.maintenance import NewMaintenance
from app.domain.status import Status
from tests.browser import ACME, Site, become_admin
from tests.conftest import eventually
from tests.rows import config_for
from tests.test_admin_flows import ROOMS
from tests.test_stories import MEI, Desk, now
from tests.test_wall import knows

# What WCAG 1.4.12 lets a reader ask for.
SPACING = """() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(`* { line-height: 1.5 !important; letter-spacing: 0.12em !important;
        word-spacing: 0.16em !important } p { margin-block-end: 2em !important }`);
    document.adoptedStyleSheets = [sheet];
}"""
# Words that run out of their box where it hides them. Rooms and tables have a line of their own to be moved.
CUT = """() => [...document.querySelectorAll('body, body *')]
    .filter((part) => part.checkVisibility() && !part.closest('svg, .unseen, .rooms, .wide, input, select'))
    .filter((part) => !/visible/.test(getComputedStyle(part).overflow))
    .filter((part) => part.scrollWidth > part.clientWidth + 1 || part.scrollHeight > part.clientHeight + 1)
    .map((part) => part.outerHTML.slice(0, 120))"""
# What makes a page wider than the screen.
SIDEWAYS = """() => document.documentElement.scrollWidth <= document.documentElement.clientWidth ? []
    : [...document.querySelectorAll('body *')]
        .filter((part) => part.checkVisibility() && !part.closest('svg, .unseen, .rooms *, .wide *, .skip'))
        .filter((part) => {
            const { left, right } = part.getBoundingClientRect();
            return left < -0.5 || right > document.documentElement.clientWidth + 0.5;
        })
        .map((part) => part.outerHTML.slice(0, 120))"""
# Links within a sentence are as high as it is: they are not asked for more.
SMALL = """() => [...document.querySelectorAll('a[href], button, select, input, textarea, summary')]
    .filter((part) => part.checkVisibility() && part.type !== 'hidden' && !part.closest('.unseen, .skip, p'))
    .map((part) => [part, (part.closest('label') ?? part).getBoundingClientRect()])
    .filter(([, { width, height }]) => Math.min(width, height) < 24)
    .map(([part, { width, height }]) => `${part.outerHTML.slice(0, 90)} ${width} x ${height}`)"""
FOCUS = """() => {
    const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
    const { top, bottom, width } = document.activeElement.getBoundingClientRect();
    return { name: document.activeElement.outerHTML.slice(0, 90),
        is: document.activeElement === document.body ? 'nothing'
            : outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 && width > 0
            && bottom > 0 && top < innerHeight ? 'seen' : 'not seen' };
}"""


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[Site]:
    async with Site(ACME, beat=1.0) as site:
        await site.say({"payments-api": Status.MAJOR, "webhooks": Status.PARTIAL}, flapping=True)
        yield site


@pytest.fixture(scope="module")
async def page(browser: Browser, site: Site) -> AsyncIterator[Page]:
    """Mei's, so that it may go everywhere."""
    own = await browser.new_context(reduced_motion="reduce")
    page = await own.new_page()
    await become_admin(page, site.web)
    yield page
    await own.close()


@pytest.fixture(scope="module")
async def paths(site: Site, page: Page) -> list[str]:
    changes = Changes(await connect(config_for(site.web.database_url)))
    desk = Desk(site, changes)
    await eventually(lambda: knows(desk, site.slugs[-1]))
    title = "Payments fail, and so does all that needs a Zahlungsdienstleisterschnittstelle"
    told = await desk.post(title=title, components=(Affected("payments-api"), Affected("payouts")))
    await desk.incidents.acknowledge(MEI, now(), told.id)
    promised = NewUpdate(words="- one\n- two", next_update_by=now() + timedelta(minutes=30))
    await desk.incidents.update(MEI, now(), told.id, promised)
    starts = now() + timedelta(hours=2)
    ends = starts + timedelta(hours=1)
    work = NewMaintenance(title="Database move", starts=starts, ends=ends, components=("rest-api",))
    planned = await desk.maintenances.schedule(MEI, now(), work)
    await desk.tell()
    await changes.database.close()
    await eventually(lambda: b"Database move" in site.web.get("/")[1])
    stories = [f"/incidents/{told.id}", f"/maintenances/{planned.id}"]
    rooms = [*(room.replace("website", "payments-api") for room in ROOMS), *stories]
    return [
        "/",
        "/components/payments-api",
        "/history",
        *stories,
        "/account",
        *(f"/admin{room}" for room in rooms),
    ]


async def _go(page: Page, site: Site, path: str) -> None:
    await page.goto(site.web.url + path)
    if path != "/account":
        await page.wait_for_selector("html[data-live=live]", state="attached")
    await page.evaluate("document.querySelectorAll('details').forEach((part) => (part.open = true))")


@pytest.mark.parametrize("width", [320, 390])
async def test_nothing_is_cut_off_or_scrolls_sideways_however_large_it_is(
    site: Site, page: Page, paths: list[str], width: int
) -> None:
    """320 pixels are what is left of 1280 at 400 %."""
    await page.set_viewport_size({"width": width, "height": 640})
    found: dict[str, Any] = {}
    for path in [*paths, "/?lang=de", "/?lang=ar"]:
        await _go(page, site, path)
        seen = [await page.evaluate(SIDEWAYS), await page.evaluate(CUT)]
        await page.evaluate(SPACING)
        seen += [await page.evaluate(SIDEWAYS), await page.evaluate(CUT)]
        if any(seen):
            found[path] = seen
    assert found == {}, json.dumps(found, indent=1)


async def test_what_is_pressed_is_large_enough_for_a_thumb(site: Site, page: Page, paths: list[str]) -> None:
    await page.set_viewport_size({"width": 390, "height": 844})
    found = {}
    for path in paths:
        await _go(page, site, path)
        if small := await page.evaluate(SMALL):
            found[path] = small
    assert found == {}, json.dumps(found, indent=1)


async def test_what_has_the_focus_is_seen_wherever_it_goes(site: Site, page: Page, paths: list[str]) -> None:
    for path, width in [("/", 1280), ("/", 390), ("/admin", 1280), ("/admin/incidents/new", 390)]:
        await page.set_viewport_size({"width": width, "height": 844})
        await _go(page, site, path)
        stops = 0
        for _ in range(60):
            await page.keyboard.press("Tab")
            focus = await page.evaluate(FOCUS)
            if focus["is"] == "nothing":
                break
            assert focus["is"] == "seen", (path, focus)
            stops += 1
        assert stops > 10, path


@pytest.mark.parametrize("size", [(390, 844), (1280, 800)])
async def test_a_stranger_sees_without_scrolling_what_is_broken_since_when_what_is_done_and_what_comes(
    site: Site, page: Page, paths: list[str], size: tuple[int, int]
) -> None:
    width, height = size
    await page.set_viewport_size({"width": width, "height": height})
    await page.goto(site.web.url)
    await page.wait_for_selector("html[data-live=live]", state="attached")
    for part in ("h1", ".started time", ".story .starts", ".story .promise", ".said .words"):
        box = await page.locator(part).first.bounding_box()
        assert box and box["height"] > 0 and box["y"] + box["height"] <= height, part
