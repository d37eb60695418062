"""What a visitor loads, in the shape of the goal: twenty-six components with ninety days each, one incident
and three charts. As it comes over the wire, headers and all.
"""

import random
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from playwright.async_api import Browser

from app.db.change import Changes
from app.db.engine import connect
from app.db.incidents import Incidents
from app.domain.events import Sample, Samples
from app.domain.incident import Affected, NewIncident, NewUpdate
from app.domain.result import Outcome
from app.domain.standing import State
from app.domain.status import Status
from app.outbox import empty
from tests.browser import Screen, chromium, screen
from tests.company import COMPANY, DESCRIPTIONS, Remembered
from tests.conftest import eventually
from tests.rows import config_for
from tests.test_stories import MEI, now

FIRST_PAINT = 12_000
ALL = 15_000
# For whoever is the first to ask for a drawing, which is packed as well as it can be while they read it.
ALL_OF_THE_FIRST = 16_200


@pytest.fixture
async def site() -> AsyncIterator[Remembered]:
    async with Remembered(COMPANY | {"Messages": ["Chat"]}, every="7d", descriptions=DESCRIPTIONS) as site:
        changes = Changes(await connect(config_for(site.web.database_url)))
        new = NewIncident(
            title="Card payments fail at checkout",
            words="Since 14:02 **most** card payments are declined. We are looking into it.",
            components=(Affected("payments-api", Status.MAJOR), Affected("card-processing")),
        )
        incident = await Incidents(changes).post(MEI, now(), new)
        said = NewUpdate(words="Our acquirer has confirmed a failed deployment and is taking it back.")
        await Incidents(changes).update(MEI, now(), incident.id, said)
        await empty(changes, site.feed)
        await changes.database.close()
        await site.announce(measured(site))
        yield site


def measured(site: Remembered) -> list[Samples]:
    """Each five minutes of a day, of the component that each of three groups names first."""
    dice = random.Random(7)
    slugs = {"website": 42.0, "payments-api": 180.0, "rest-api": 95.0}
    return [
        Samples(
            at=at,
            worker="test",
            region="local",
            samples=tuple(
                Sample(f"{slug}/http", at, Outcome.OK, State.UP, round(ms * dice.lognormvariate(0, 0.2), 1))
                for slug, ms in slugs.items()
            ),
        )
        for at in (now() - timedelta(minutes=5 * n) for n in range(288, 0, -1))
    ]


async def test_a_whole_page_is_little(site: Remembered) -> None:
    def whole() -> bool:
        drawn = site.web.get("/")[1]
        counts = [drawn.count(text) for text in (b'class="chart"', b"data-slug=", b"data-id=")]
        return counts[0] == 3 and counts[1] == 26 and b"Card payments" in drawn

    await eventually(whole, within=30)
    async with chromium() as browser:
        first = await loaded(browser, site)
        assert len(first) <= 5
        assert first[f"{site.web.url}/"] <= FIRST_PAINT, first
        assert sum(first.values()) <= ALL_OF_THE_FIRST, first

        async def others_load_less() -> bool:
            return sum((await loaded(browser, site)).values()) <= ALL

        await eventually(others_load_less, within=20)


async def loaded(browser: Browser, site: Remembered) -> dict[str, float]:
    async with screen(browser, "about:blank", live=False) as visit:
        return await loads(visit, site.web.url)


async def loads(visit: Screen, url: str) -> dict[str, float]:
    """Bytes, by address."""
    found: dict[str, float] = {}
    names: dict[str, str] = {}
    spy = await visit.page.context.new_cdp_session(visit.page)
    await spy.send("Network.enable")
    spy.on("Network.responseReceived", lambda it: names.update({it["requestId"]: it["response"]["url"]}))
    spy.on(
        "Network.loadingFinished",
        lambda it: found.update({names.get(it["requestId"], ""): it["encodedDataLength"]}),
    )
    await visit.page.goto(url)
    await visit.until("live")
    await visit.page.wait_for_load_state("networkidle")
    return found
