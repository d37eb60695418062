"""Each kind of page in both themes, on a phone and when nothing is heard, to be looked at:
`STATUSWIRE_SHOTS=1 ./statuswire test -k pages_to_be` writes them to docs/screenshots/pages, which git
ignores.
"""

import os

import pytest

from app.db.change import Changes
from app.db.engine import connect
from app.domain.incident import Affected
from app.domain.status import Status
from tests.browser import become_admin, chromium, screen
from tests.company import COMPANY, DESCRIPTIONS, Remembered
from tests.conftest import eventually
from tests.rows import config_for
from tests.services import ROOT
from tests.test_axe import STALE
from tests.test_stories import Desk
from tests.test_wall import knows

FOLDER = ROOT / "docs" / "screenshots" / "pages"
LOOKS = {"light": (1280, 900), "dark": (1280, 900), "phone": (390, 844), "stale": (1280, 900)}
pytestmark = pytest.mark.skipif(not os.environ.get("STATUSWIRE_SHOTS"), reason="STATUSWIRE_SHOTS is not set")


@pytest.mark.timeout(300)
async def test_pages_to_be_looked_at() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    async with (
        chromium() as browser,
        Remembered(COMPANY, beat=1.0, every="7d", descriptions=DESCRIPTIONS) as site,
    ):
        changes = Changes(await connect(config_for(site.web.database_url)))
        desk = Desk(site, changes)
        await eventually(lambda: knows(desk, site.slugs[-1]), within=60)
        about = (Affected("payments-api", Status.MAJOR), Affected("card-processing"))
        incident = await desk.post(title="Card payments fail at checkout", components=about)
        await eventually(lambda: b"Card payments fail" in site.web.get("/")[1])
        await changes.database.close()
        paths = {
            **{"page": "/", "component": "/components/payments-api", "history": "/history"},
            **{"incident": f"/incidents/{incident.id}", "setup": "/setup"},
        }
        for look, (width, height) in LOOKS.items():
            scheme = "dark" if look == "dark" else "light"
            async with screen(
                browser, site.web.url, width, height, color_scheme=scheme, reduced_motion="reduce"
            ) as visit:
                for name, path in paths.items():
                    await visit.page.goto(site.web.url + path)
                    if path != "/setup":
                        await visit.until("live")
                    if look == "stale":
                        await visit.page.evaluate(STALE)
                    await visit.page.screenshot(path=FOLDER / f"{name}-{look}.png")
                if look == "stale":
                    await become_admin(visit.page, site.web)
                    await visit.page.screenshot(path=FOLDER / "admin-light.png")
