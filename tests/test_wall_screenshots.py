"""The wall at every density, on every screen and in every light, to be looked at:
`STATUSWIRE_SHOTS=1 ./statuswire test -k screenshots` writes it to docs/screenshots/walls, which git ignores.
"""

import os
from collections.abc import AsyncIterator

import pytest

from app.db.change import Changes
from app.db.engine import connect
from app.domain.status import Status
from tests.browser import Screen, Site, chromium, screen
from tests.conftest import eventually
from tests.rows import config_for
from tests.services import ROOT
from tests.test_stories import MEI, Desk, now
from tests.test_wall import SCREENS, knows, racks, resize

FOLDER = ROOT / "docs" / "screenshots" / "walls"
TROUBLES = (Status.MAJOR, Status.PARTIAL, Status.DEGRADED, Status.UNKNOWN, Status.MAJOR, Status.PARTIAL)
pytestmark = pytest.mark.skipif(not os.environ.get("STATUSWIRE_SHOTS"), reason="STATUSWIRE_SHOTS is not set")


@pytest.fixture
async def desk() -> AsyncIterator[tuple[Site, Desk]]:
    async with Site(racks(4), beat=1.0) as site:
        changes = Changes(await connect(config_for(site.web.database_url)))
        yield site, Desk(site, changes)
        await changes.database.close()


@pytest.mark.timeout(300)
async def test_walls_to_be_looked_at(desk: tuple[Site, Desk]) -> None:
    site, operators = desk
    FOLDER.mkdir(parents=True, exist_ok=True)
    async with chromium() as browser:
        for tiles in (4, 24, 120, 500, 1000):
            await site.become(racks(tiles))
            await site.say(dict.fromkeys(site.slugs, Status.OPERATIONAL))
            async with screen(browser, f"{site.web.url}/wall", 1920, 1080, reduced_motion="reduce") as wall:
                await wall.shows(site.slugs[-1], Status.OPERATIONAL, within=20)
                await _take(wall, f"{tiles}-calm")
                await _trouble(site, operators, wall)
                for width, height in SCREENS:
                    await resize(wall, width, height)
                    await _take(wall, f"{tiles}-{width}x{height}")
                await resize(wall, 1920, 1080)
                await wall.page.keyboard.press("t")
                await _take(wall, f"{tiles}-light")
        for name, asked in (("far", "distance=8"), ("names", "names=1&pages=4")):
            async with screen(browser, f"{site.web.url}/wall?{asked}", 1920, 1080) as wall:
                await _take(wall, name)
        async with screen(browser, f"{site.web.url}/wall", 1920, 1080, reduced_motion="reduce") as wall:
            await site.hush()
            await wall.until("stale", within=15)
            await _take(wall, "stale")
            site.beat()
            await wall.until("live", within=15)
        await site.say(dict.fromkeys(site.slugs, Status.OPERATIONAL))
        async with screen(browser, f"{site.web.url}/wall?night=0-23:59", 1920, 1080) as wall:
            await wall.page.wait_for_selector("html[data-night]", state="attached")
            await _take(wall, "night")


async def _trouble(site: Site, operators: Desk, wall: Screen) -> None:
    """Some of everything, and two of it in hand."""
    some = site.slugs[:: max(1, len(site.slugs) // 8)][: len(TROUBLES)]
    await site.say(dict(zip(some, TROUBLES, strict=False)))
    await wall.shows(some[-1], TROUBLES[len(some) - 1])
    await eventually(lambda: knows(operators, some[-1]))
    for slug in some[4:]:
        await operators.interventions.acknowledge(MEI, now(), slug)
    await operators.tell()
    if some[4:]:
        await wall.page.wait_for_selector(".problem.acknowledged", state="attached")


async def _take(wall: Screen, name: str) -> None:
    await wall.page.screenshot(path=FOLDER / f"{name}.png")
