"""The pictures in the README, taken of the real thing: `STATUSWIRE_SHOTS=1 ./statuswire test -k screenshots`
(CONTRIBUTING.md says what else that takes).
"""

import asyncio
import os
import random

import pytest

from tests.browser import chromium, screen
from tests.company import Troubled
from tests.conftest import eventually
from tests.services import ROOT

FOLDER = ROOT / "docs" / "screenshots"


@pytest.mark.skipif(not os.environ.get("STATUSWIRE_SHOTS"), reason="STATUSWIRE_SHOTS is not set")
async def test_screenshots_for_the_readme() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    async with chromium() as browser, Troubled() as site:
        await eventually(lambda: b"no data</span>" not in site.web.get("/")[1], within=60)
        async with screen(browser, f"{site.web.url}/wall", 1920, 1080, device_scale_factor=1) as wall:
            dice = random.Random(7)
            usual = {slug: dice.uniform(20, 300) for slug in site.slugs}
            for _ in range(42):
                await site.measure({slug: ms * dice.uniform(0.8, 1.25) for slug, ms in usual.items()})
                await asyncio.sleep(0.3)
            await wall.page.screenshot(path=FOLDER / "wall.png")
        for scheme in ("light", "dark"):
            async with screen(
                browser, site.web.url, 1280, 800, color_scheme=scheme, device_scale_factor=2
            ) as visit:
                await visit.page.screenshot(path=FOLDER / f"page-{scheme}.png")
        async with screen(browser, site.web.url, 390, 844, device_scale_factor=2) as visit:
            await visit.page.screenshot(path=FOLDER / "page-phone.png")
        await site.hush()
        async with screen(
            browser, site.web.url, 1280, 400, live=False, device_scale_factor=2, reduced_motion="reduce"
        ) as visit:
            await visit.until("stale")
            await visit.page.screenshot(path=FOLDER / "page-stale.png")
        async with screen(
            browser, f"{site.web.url}/wall", 1920, 1080, live=False, reduced_motion="reduce"
        ) as wall:
            await wall.until("stale")
            await wall.page.screenshot(path=FOLDER / "wall-stale.png")
