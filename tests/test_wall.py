"""The wall at `/wall` in a real browser: everything on one screen, each thing in its place, for months."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from playwright.async_api import Browser

from app.domain.status import Status
from tests.browser import BEAT, Screen, Site, chromium, screen
from tests.conftest import eventually

SCREENS = [(1280, 720), (1920, 1080), (1080, 1920)]
PLACES = "() => [...document.querySelectorAll('.tile')].map((tile) => [tile.offsetLeft, tile.offsetTop])"


def racks(tiles: int) -> Mapping[str, Sequence[str]]:
    """So many components, in groups of about 25 at the most."""
    groups = max(1, min(20, tiles // 6))
    names: list[list[str]] = [[] for _ in range(groups)]
    for n in range(tiles):
        names[n % groups].append(f"Rack {n % groups} web {n:03}")
    return {f"Rack {n}": its for n, its in enumerate(names)}


def every(site: Site, status: Status = Status.OPERATIONAL) -> dict[str, Status]:
    return dict.fromkeys(site.slugs, status)


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[Site]:
    async with Site(racks(24)) as site:
        yield site


@pytest.fixture
async def calm(site: Site) -> Site:
    await site.become(racks(24))
    await site.say(every(site))
    await eventually(lambda: b"All 24 operational" in site.web.get("/wall")[1])
    return site


async def test_a_change_is_on_the_wall_without_a_reload_or_a_request(browser: Browser, calm: Site) -> None:
    async with screen(browser, f"{calm.web.url}/wall") as wall:
        await wall.page.evaluate("document.documentElement.dataset.same = 'page'")
        asked = len(wall.requests)
        first, second, third = calm.slugs[:3]

        await calm.say({first: Status.DEGRADED, second: Status.MAJOR, third: Status.PARTIAL})

        await wall.shows(third, Status.PARTIAL)
        assert await wall.page.inner_text("h1") == "3 need attention"
        assert await wall.page.title() == "✕ 3 need attention · Acme Status"
        assert str(await wall.page.get_attribute("#icon", "href")).endswith("/status-major_outage.svg")
        assert await counts(wall) == {
            "major_outage": "1",
            "partial_outage": "1",
            "degraded_performance": "1",
            "under_maintenance": "0",
            "unknown": "0",
            "operational": "21",
        }
        assert await rail(wall) == [calm.name(second), calm.name(third), calm.name(first)]
        assert calm.name(third) in await wall.page.inner_text(".ticker")
        assert await wall.page.evaluate("document.documentElement.dataset.same") == "page"
        assert wall.requests[asked:] == []
        assert wall.complaints == []


async def test_the_server_draws_what_the_script_would(browser: Browser, calm: Site) -> None:
    await calm.say({calm.slugs[0]: Status.MAJOR})
    await eventually(lambda: b"1 needs attention" in calm.web.get("/wall")[1])
    heard = "() => ['h1', '.say p', '.counts'].map((part) => document.querySelector(part).innerText)"
    async with (
        screen(browser, f"{calm.web.url}/wall", live=False, java_script_enabled=False) as drawn,
        screen(browser, f"{calm.web.url}/wall") as live,
    ):
        assert await drawn.page.evaluate(heard) == await live.page.evaluate(heard)
        assert await drawn.page.locator(".tile:visible").count() == 24


async def test_the_worst_come_first_and_none_is_left_out(browser: Browser, calm: Site) -> None:
    await calm.say(every(calm, Status.DEGRADED))
    await calm.say({calm.slugs[7]: Status.MAJOR})
    async with screen(browser, f"{calm.web.url}/wall", 1920, 1080) as wall:
        await wall.shows(calm.slugs[7], Status.MAJOR)
        names = await rail(wall)
        assert names[0] == calm.name(calm.slugs[7])
        assert await wall.page.inner_text(".more") == f"+ {24 - len(names)} more"
        whole_rail = await wall.page.query_selector(".rail")
        assert await wall.page.evaluate("(rail) => rail.scrollHeight <= rail.clientHeight", whole_rail)


async def test_no_line_of_a_card_is_cut_off(browser: Browser, calm: Site) -> None:
    async with screen(browser, f"{calm.web.url}/wall") as wall:
        for problems in (3, 5, 7):
            await calm.say(dict.fromkeys(calm.slugs[:problems], Status.MAJOR))
            await wall.shows(calm.slugs[problems - 1], Status.MAJOR)
            for width, height in SCREENS:
                await wall.page.set_viewport_size({"width": width, "height": height})
                await eventually(lambda: _lines_are_whole(wall))


async def _lines_are_whole(wall: Screen) -> bool:
    cut: list[str] = await wall.page.evaluate(
        """() => [...document.querySelectorAll('.problem:not([hidden])')].flatMap((card) => {
            const foot = (element) => element.getBoundingClientRect().bottom;
            const end = Math.min(foot(card), foot(document.querySelector('.rail'))) + 0.5;
            return [...card.querySelectorAll('p')].filter((line) => foot(line) > end || !line.offsetHeight
                || line.scrollHeight > line.clientHeight + 1).map((line) => line.innerText);
        })"""
    )
    assert cut == []
    return True


async def test_a_calm_wall_says_for_how_long(browser: Browser, calm: Site) -> None:
    async with screen(browser, f"{calm.web.url}/wall") as wall:
        assert await wall.page.inner_text("h1") == "All 24 operational"
        assert await wall.page.is_visible(".quiet")
        assert (await wall.page.inner_text(".quiet")).endswith((" s", " min"))
        await calm.say({calm.slugs[0]: Status.MAJOR})
        await wall.page.wait_for_selector(".quiet", state="hidden")
        await calm.say({calm.slugs[0]: Status.OPERATIONAL})
        await wall.page.wait_for_selector(".quiet", state="visible")
        assert calm.name(calm.slugs[0]) in await wall.page.inner_text(".calm .last")


async def test_what_was_measured_is_shown_and_drawn(browser: Browser, calm: Site) -> None:
    async with screen(browser, f"{calm.web.url}/wall") as wall:
        tile = f'[data-slug="{calm.slugs[0]}"]'
        for ms in (120.4, 0.4):
            await calm.measure({calm.slugs[0]: ms})
            text = "< 1 ms" if ms < 1 else f"{ms:.0f} ms"
            await wall.page.wait_for_selector(f'{tile} .latency:text-is("{text}")')
        line = await wall.page.get_attribute(f"{tile} .sparkline path", "d")
        assert line is not None
        assert line.count("L") == 1


async def test_the_theme_is_dark_unless_the_address_or_a_key_says_otherwise(
    browser: Browser, site: Site
) -> None:
    theme = "() => document.documentElement.dataset.theme"
    async with screen(browser, f"{site.web.url}/wall") as wall:
        assert await wall.page.evaluate(theme) == "dark"
        await wall.page.keyboard.press("t")
        assert await wall.page.evaluate(theme) == "light"
        assert wall.page.url.endswith("/wall?theme=light")
        await wall.page.reload()
        assert await wall.page.evaluate(theme) == "light"
    given_for = {"light": "light", "auto": None, "pink": "dark", "%22%3E%3Cscript%3E": "dark"}
    for asked, given in given_for.items():
        _, html = site.web.get(f"/wall?theme={asked}")
        assert re.findall(rb'data-zone="[^"]*"(?: data-theme="(\w+)")?>', html) == [(given or "").encode()]


async def test_an_idle_wall_asks_for_nothing_and_grows_by_nothing(browser: Browser, calm: Site) -> None:
    async with screen(browser, f"{calm.web.url}/wall") as wall:
        # Whatever is made once is made now.
        await calm.say(every(calm, Status.MAJOR))
        await wall.shows(calm.slugs[-1], Status.MAJOR)
        await calm.say(every(calm))
        await wall.shows(calm.slugs[7], Status.OPERATIONAL)
        asked = len(wall.requests)
        nodes = await wall.page.evaluate("document.querySelectorAll('*').length")

        for status in (Status.MAJOR, Status.PARTIAL, Status.OPERATIONAL):
            for n in range(8):
                await calm.say({calm.slugs[n]: status})
            await wall.shows(calm.slugs[7], status)
        await asyncio.sleep(4 * BEAT)

        assert await wall.check_marks() > 0  # the script keeps the colours, as long as it lives
        assert not await wall.page.is_visible(".lifeless")
        assert await wall.page.evaluate("document.querySelectorAll('*').length") == nodes
        assert wall.requests[asked:] == []
        assert wall.complaints == []


@pytest.mark.parametrize(
    ("tiles", "density"), [(24, "large"), (4, "large"), (120, "list"), (500, "cell"), (1, "large")]
)
async def test_every_tile_is_on_the_screen_and_keeps_its_place(
    browser: Browser, site: Site, tiles: int, density: str
) -> None:
    await site.become(racks(tiles))
    await site.say(every(site))
    some = site.slugs[:: max(1, tiles // 8)]
    async with screen(browser, f"{site.web.url}/wall", 1920, 1080) as wall:
        await wall.shows(site.slugs[-1], Status.OPERATIONAL)
        assert await wall.page.get_attribute(".field", "data-density") == density
        for width, height in SCREENS:
            await wall.page.set_viewport_size({"width": width, "height": height})
            await eventually(lambda: _fits(wall))
            calm_places = await wall.page.evaluate(PLACES)

            for status, other in ((Status.MAJOR, Status.UNKNOWN), (Status.OPERATIONAL, Status.OPERATIONAL)):
                await site.say(dict.fromkeys(some, status) | dict.fromkeys(some[1::2], other))
                for slug in (some[0], some[-1]):
                    await wall.shows(slug, site.status[slug])
                assert await wall.page.evaluate(PLACES) == calm_places
                assert await _fits(wall)


async def _fits(wall: Screen) -> bool:
    """No bar to scroll by, and no tile that is cut off or too small to be seen."""
    found: dict[str, Any] = await wall.page.evaluate(
        """() => {
            const field = document.querySelector('.field').getBoundingClientRect();
            const tiles = [...document.querySelectorAll('.tile')].map((tile) => tile.getBoundingClientRect());
            const { scrollWidth, scrollHeight } = document.documentElement;
            const isOutside = ({ right, bottom }) => right > field.right + 1 || bottom > field.bottom + 1;
            const area = tiles.reduce((sum, { width, height }) => sum + width * height, 0);
            return {
                scrolls: scrollWidth > innerWidth || scrollHeight > innerHeight,
                outside: tiles.filter(isOutside).length,
                smallest: Math.min(...tiles.map(({ width, height }) => Math.min(width, height))),
                covered: area / (field.width * field.height),
            };
        }"""
    )
    assert not found["scrolls"]
    assert found["outside"] == 0
    assert found["smallest"] > 8
    assert found["covered"] > 0.4
    return True


async def counts(wall: Screen) -> dict[str, str]:
    found: dict[str, str] = await wall.page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll('.counts li')].map(
            (item) => [item.dataset.status, item.querySelector('b').innerText]))"""
    )
    return found


async def rail(wall: Screen) -> list[str]:
    """The problems that are named, from the top."""
    return await wall.page.locator(".problem:visible .name").all_inner_texts()
