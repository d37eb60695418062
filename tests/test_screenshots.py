"""The pictures in the README, taken of the real thing by `STATUSWIRE_SHOTS=1 ./statuswire test -k readme`."""

import asyncio
import os
import random
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.events import CatalogChange, StateChange
from app.domain.instant import from_seconds
from app.domain.standing import Standing, State
from app.domain.status import Status
from app.statusfile.disk import load
from tests.browser import STANDINGS, Site, chromium, screen
from tests.services import ROOT

FOLDER = ROOT / "docs" / "screenshots"
COMPANY = {
    "Storefront": ["Website", "Checkout", "Product images", "Customer accounts"],
    "Payments": ["Payments API", "Card processing", "SEPA transfers", "Payouts", "Fraud screening"],
    "Platform API": ["REST API", "GraphQL", "Search API", "Webhooks", "OAuth sign-in"],
    "Regions": ["Frankfurt", "Amsterdam", "Virginia", "Singapore"],
    "Back office": ["Dashboard", "Reports", "Exports", "Help centre"],
    "Communication": ["E-mail", "SMS", "Push"],
}
DESCRIPTIONS = {
    "Payments API": "What shops call to charge a card",
    "Search API": "Full-text search over products and orders",
    "Webhooks": "Calls to your own servers when an order changes",
}
PROBLEMS = {
    "payments-api": (Status.MAJOR, 38 * 60),
    "search-api": (Status.DEGRADED, 96 * 60),
    "webhooks": (Status.PARTIAL, 190),
}


class Remembered(Site):
    """A company that has been watched for a hundred days, and was not always well."""

    async def prepare(self) -> None:
        dice = random.Random(7)
        now = from_seconds(datetime.now(UTC).timestamp())
        start = now - timedelta(days=100)
        catalog = load(self.web.folder / "statuswire.yaml")
        await self.announce([CatalogChange(at=start, revision=catalog.revision, catalog=catalog)])
        for slug in self.slugs:
            first = start + timedelta(days=60 if slug == "graphql" else 0)
            for at, status in self._lived(slug, first, now, dice):
                await self.announce(self._changes(slug, status, at))
                self.status[slug] = status

    def _lived(
        self, slug: str, first: datetime, now: datetime, dice: random.Random
    ) -> list[tuple[datetime, Status]]:
        # Some word at least each ten days, or nobody would know what was in between.
        said = [(first + timedelta(days=day), Status.OPERATIONAL) for day in range(0, 100, 10)]
        for day in dice.sample(range(2, 88), dice.choice([0, 1, 1, 2, 3, 5])):
            began = now - timedelta(days=90 - day, minutes=dice.randrange(600))
            ended = began + timedelta(minutes=int(dice.lognormvariate(3.3, 1.1)) + 2)
            [status] = dice.choices([Status.DEGRADED, Status.PARTIAL, Status.MAJOR], [6, 3, 1.5])
            said += [(began, status), (ended, Status.OPERATIONAL)]
        if slug in PROBLEMS:
            status, ago = PROBLEMS[slug]
            said.append((now - timedelta(seconds=ago), status))
        return sorted((at, status) for at, status in said if first <= at < now)

    def _changes(self, slug: str, status: Status, at: datetime) -> list[StateChange]:
        return [
            StateChange(
                trace="",
                at=at,
                worker="test",
                was=State.UNKNOWN,
                standing=Standing(monitor=f"{slug}/{kind}", region="local", state=state, since=at),
            )
            for kind, state in zip(("http", "tcp"), STANDINGS[status], strict=True)
        ]


@pytest.mark.skipif(not os.environ.get("STATUSWIRE_SHOTS"), reason="STATUSWIRE_SHOTS is not set")
async def test_screenshots_for_the_readme() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    async with (
        chromium() as browser,
        Remembered(COMPANY, beat=0.3, every="7d", descriptions=DESCRIPTIONS) as site,
    ):
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
