"""What a visitor loads, in the shape of the goal. As it comes over the wire, headers and all."""

from playwright.async_api import Browser

from tests.browser import chromium, loads, screen
from tests.company import Troubled
from tests.conftest import eventually

FIRST_PAINT = 12_000
ALL = 15_000
# For whoever is the first to ask for a drawing, which is packed as well as it can be while they read it.
ALL_OF_THE_FIRST = 16_200


async def test_a_whole_page_is_little() -> None:
    async with Troubled() as site, chromium() as browser:
        first = await loaded(browser, site)
        assert len(first) <= 5
        assert first[f"{site.web.url}/"] <= FIRST_PAINT, first
        assert sum(first.values()) <= ALL_OF_THE_FIRST, first

        async def others_load_less() -> bool:
            return sum((await loaded(browser, site)).values()) <= ALL

        await eventually(others_load_less, within=20)


async def loaded(browser: Browser, site: Troubled) -> dict[str, float]:
    async with screen(browser, "about:blank", live=False) as visit:
        return await loads(visit, site.web.url)
