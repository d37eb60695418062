"""Each page that there is, in light, in dark, on a phone, from right to left and when nothing is heard, to be
looked at: `STATUSWIRE_SHOTS=1 ./statuswire test -k screenshots` writes them to docs/screenshots/pages, which
git ignores, and takes those of walls and of the README too.
"""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from playwright.async_api import Browser, Page, StorageState

from app.db.change import Changes
from app.db.engine import connect
from app.domain.incident import Affected, IncidentStatus, NewUpdate
from app.domain.maintenance import NewMaintenance
from tests.browser import Site, become_admin
from tests.company import Troubled
from tests.conftest import eventually
from tests.rows import config_for
from tests.services import ROOT
from tests.test_stories import MEI, Desk, now

FOLDER = ROOT / "docs" / "screenshots" / "pages"
DESKTOP, PHONE = (1280, 900), (390, 844)
# How wide it is, which theme, and what its address is asked for.
LOOKS: Mapping[str, tuple[tuple[int, int], str, str]] = {
    "light": (DESKTOP, "light", ""),
    "dark": (DESKTOP, "dark", ""),
    "stale": (DESKTOP, "light", ""),
    "phone": (PHONE, "light", ""),
    "phone-dark": (PHONE, "dark", ""),
    "phone-stale": (PHONE, "dark", ""),
    "arabic": (PHONE, "light", "lang=ar"),
    "german": (PHONE, "light", "lang=de"),
}
ROOMS = {
    "admin": "",
    "admin-incidents": "/incidents",
    "admin-incident-new": "/incidents/new",
    "admin-maintenances": "/maintenances",
    "admin-maintenance-new": "/maintenances/new",
    "admin-rules": "/rules",
    "admin-components": "/components",
    "admin-component-new": "/components/new",
    "admin-component": "/components/payments-api",
    "admin-pages": "/pages",
    "admin-page": "/pages/-",
    "admin-page-new": "/pages/new",
    "admin-templates": "/templates",
    "admin-walls": "/walls",
    "admin-tokens": "/tokens",
    "admin-users": "/users",
    "admin-audit": "/audit",
}
pytestmark = pytest.mark.skipif(not os.environ.get("STATUSWIRE_SHOTS"), reason="STATUSWIRE_SHOTS is not set")


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[Site]:
    FOLDER.mkdir(parents=True, exist_ok=True)
    async with Troubled() as site:
        await eventually(lambda: b"no data</span>" not in site.web.get("/")[1], within=60)
        yield site


@pytest.fixture(scope="module")
async def stories(site: Site) -> AsyncIterator[dict[str, str]]:
    """What operators have told: where each of it is."""
    changes = Changes(await connect(config_for(site.web.database_url)))
    desk = Desk(site, changes)
    [open_one] = await desk.incidents.recent(1)
    await desk.incidents.acknowledge(MEI, now(), open_one.id)
    promised = NewUpdate(
        words="We are switching to our second processor. SEPA transfers and saved wallets work.",
        next_update_by=now() + timedelta(minutes=30),
    )
    await desk.incidents.update(MEI, now(), open_one.id, promised)
    over = await desk.post(
        title="Search was slow",
        words="Some searches take longer than ten seconds.",
        components=(Affected("search-api"),),
        since=now() - timedelta(days=2, hours=3),
    )
    await desk.incidents.resolve(MEI, now(), over.id, "It is as fast as ever again.")
    learnt = "A rebuild of the index ran twice.\n\n- it is now **locked**\n- we watch its length"
    await desk.incidents.update(
        MEI, now(), over.id, NewUpdate(words=learnt, status=IncidentStatus.POSTMORTEM)
    )
    starts = now() + timedelta(days=2)
    work = NewMaintenance(
        title="Frankfurt network maintenance",
        words="We replace two core switches. Requests may be slower for some seconds.",
        starts=starts,
        ends=starts + timedelta(hours=2),
        components=("frankfurt",),
    )
    planned = await desk.maintenances.schedule(MEI, now(), work)
    await desk.tell()
    await changes.database.close()
    await eventually(lambda: b"Frankfurt network" in site.web.get("/")[1])
    yield {
        "incident": f"/incidents/{open_one.id}",
        "incident-over": f"/incidents/{over.id}",
        "maintenance": f"/maintenances/{planned.id}",
    }


@pytest.fixture(scope="module")
async def mei(browser: Browser, site: Site, stories: object) -> AsyncIterator[StorageState]:
    """Her session; and her house, empty and then with something in each room."""
    async with _opened(browser) as page:
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            await page.goto(f"{site.web.url}/setup")
            await _take(page, f"setup-{scheme}")
        await page.emulate_media(color_scheme="light")
        await become_admin(page, site.web)
        for name in ("templates", "walls", "tokens", "rules"):
            await page.goto(f"{site.web.url}/admin/{name}")
            await _take(page, f"admin-{name}-empty-light")
        await _furnish(page, f"{site.web.url}/admin")
        yield await page.context.storage_state()


async def _furnish(page: Page, admin: str) -> None:
    await page.goto(f"{admin}/templates")
    await _fill(
        page, "template", name="Card payments", title="Card payments fail", words="We are looking into it."
    )
    await page.get_by_role("button", name="Save").last.click()
    await page.goto(f"{admin}/rules")
    await _fill(page, "rule", name="Any outage")
    await page.get_by_role("button", name="Save").last.click()
    await page.goto(f"{admin}/walls")
    await _fill(page, "issue", name="Office, third floor")
    await page.get_by_role("button", name="Make the link").click()
    await _take(page, "admin-wall-issued-light")
    await page.goto(f"{admin}/tokens")
    await _fill(page, "issue", name="Deployments")
    await page.locator("[name=scopes]").first.check()
    await page.get_by_role("button", name="Issue", exact=True).click()
    await _take(page, "admin-token-issued-light")
    await page.goto(f"{admin}/components/new")
    await _fill(page, "edit", name="Ledger", monitors="- http: ftp://ledger")
    await page.get_by_role("button", name="Add").last.click()
    await _take(page, "admin-refused-light")


async def _fill(page: Page, form: str, **typed: str) -> None:
    for field, words in typed.items():
        await page.fill(f"#{form}-{field}", words)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("look", LOOKS)
async def test_pages_to_be_looked_at(
    browser: Browser, site: Site, stories: dict[str, str], mei: StorageState, look: str
) -> None:
    last_month = (now().replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
    paths = {
        **{"page": "/", "component": "/components/payments-api", "component-well": "/components/website"},
        **{"history": "/history", "history-month": f"/history?month={last_month}", **stories},
    }
    size, scheme, asked = LOOKS[look]
    async with _heard(site, look), _opened(browser, size, scheme) as page:
        for name, path in paths.items():
            both = "&" if "?" in path else "?"
            await page.goto(f"{site.web.url}{path}{both + asked if asked else ''}")
            await _look(page, name, look)
        if "lang" not in asked:
            await page.goto(f"{site.web.url}/login")
            await _take(page, f"login-{look}")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("look", [look for look, (_, _, asked) in LOOKS.items() if not asked])
async def test_rooms_to_be_looked_at(
    browser: Browser, site: Site, stories: dict[str, str], mei: StorageState, look: str
) -> None:
    rooms = {name: f"/admin{path}" for name, path in ROOMS.items()}
    rooms |= {f"admin-{name}": f"/admin{path}" for name, path in stories.items()} | {"account": "/account"}
    size, scheme, _ = LOOKS[look]
    async with _heard(site, look), _opened(browser, size, scheme, mei) as page:
        for name, path in rooms.items():
            await page.goto(site.web.url + path)
            await _look(page, name, look)
        if look == "phone":
            # The one that is in docs/admin.md.
            await page.goto(f"{site.web.url}/admin/incidents/new")
            await page.get_by_role("button", name="Card payments").click()
            await page.screenshot(path=FOLDER.parent / "admin-incident-phone.png")


@asynccontextmanager
async def _opened(
    browser: Browser,
    size: tuple[int, int] = DESKTOP,
    scheme: str = "light",
    session: StorageState | None = None,
) -> AsyncIterator[Page]:
    width, height = size
    own = await browser.new_context(
        viewport={"width": width, "height": height},
        device_scale_factor=2 if size is PHONE else 1,
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
        storage_state=session,
    )
    yield await own.new_page()
    await own.close()


@asynccontextmanager
async def _heard(site: Site, look: str) -> AsyncIterator[None]:
    """Nothing, if that is how it is to look."""
    if look.endswith("stale"):
        await site.hush()
        await eventually(lambda: b'data-live="stale"' in site.web.get("/")[1], within=20)
    yield
    site.beat()
    await eventually(lambda: b'data-live="retry"' in site.web.get("/")[1], within=20)


async def _look(page: Page, name: str, look: str) -> None:
    if name != "account":
        state = "stale" if look.endswith("stale") else "live"
        await page.wait_for_selector(f"html[data-live={state}]", state="attached")
    await _take(page, f"{name}-{look}")


async def _take(page: Page, name: str) -> None:
    await page.screenshot(path=FOLDER / f"{name}.png", full_page=True)
