"""The wall for everybody: in each language it says all it has to, whole and from the right side, and where
colours are forced it can be read all the same.
"""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from app.domain.status import Status
from app.pages.language import NAMES, languages
from tests.browser import Screen, Site, screen
from tests.test_wall import fits, racks, resize

SCREENS = [(1280, 720), (1080, 1920), (3840, 2160)]
BAD = (Status.MAJOR, Status.PARTIAL, Status.DEGRADED, Status.UNKNOWN)
# Lines that are cut off in the head, on the calm rail and on cards.
CUT = """() => [...document.querySelectorAll(
    '.say h1, .counts small, .calm :is(dt, dd), .problem .when, .problem .age')]
    .filter((line) => line.checkVisibility() && line.scrollWidth > line.clientWidth + 1)
    .map((line) => line.innerText)"""
BELOW = """() => {
    const bottom = (part) => part.getBoundingClientRect().bottom;
    const parts = [...document.querySelectorAll('.calm > div')].filter((part) => part.checkVisibility());
    return parts.filter((part) => bottom(part) > bottom(document.querySelector('.rail')) + 1).length;
}"""
HEAD = "() => ['h1', '.say p', '.counts'].map((part) => document.querySelector(part).innerText)"


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[Site]:
    async with Site(racks(24), beat=1.0) as site:
        yield site


@pytest.fixture(scope="module")
async def wall(browser: Browser, site: Site) -> AsyncIterator[Screen]:
    async with screen(browser, f"{site.web.url}/wall", reduced_motion="reduce") as wall:
        yield wall


async def stand(site: Site, wall: Screen, *statuses: Status) -> None:
    wanted = dict.fromkeys(site.slugs, Status.OPERATIONAL) | dict(zip(site.slugs, statuses, strict=False))
    await site.say({slug: status for slug, status in wanted.items() if site.status[slug] is not status})
    for slug, status in list(wanted.items())[:5]:
        await wall.shows(slug, status)


@pytest.mark.parametrize("lang", NAMES)
async def test_a_wall_says_all_of_it_in_each_language(site: Site, wall: Screen, lang: str) -> None:
    page, language = wall.page, languages()[lang]
    await page.goto(f"{site.web.url}/wall?lang={lang}")
    await wall.until("live")
    assert await page.get_attribute("html", "lang") == lang
    assert await page.get_attribute("html", "dir") == language.direction
    await stand(site, wall)
    assert await wall.reads("h1") == language.say("All {number} operational", number=24)
    for width, height in SCREENS:
        await resize(wall, width, height)
        assert await fits(wall)
        assert (await page.evaluate(CUT), await page.evaluate(BELOW)) == ([], 0), (width, height)

    await stand(site, wall, *BAD)
    waiting = language.count(4, "{number} needs attention", "{number} need attention")
    assert await wall.reads("h1") == waiting
    assert language.say("NEW") in await page.locator(".problem:visible .when").all_inner_texts()
    for width, height in SCREENS:
        await resize(wall, width, height)
        assert await fits(wall)
        assert await page.evaluate(CUT) == [], (width, height)
    live = await page.evaluate(HEAD)
    assert language.say("Partial outage") in await wall.reads(".ticker")
    await page.goto(f"{site.web.url}/wall?lang={lang}")
    assert live == await page.evaluate(HEAD)
    # Also what is for who stands at it, or has written its address.
    await page.goto(f"{site.web.url}/wall?lang={lang}&sound=yes")
    await wall.until("live")
    assert language.say("{name} is 1 or 0", name="sound") in await wall.reads(".wrong")
    await page.keyboard.press("d")
    told = await wall.reads(".diagnostics")
    assert all(language.say(text) in told for text in ("Keys", "Live", "off"))
    assert wall.complaints == []


async def test_a_wall_from_right_to_left_has_its_rail_at_the_right(site: Site, wall: Screen) -> None:
    await resize(wall, 1280, 720)
    await wall.page.goto(f"{site.web.url}/wall?lang=ar")
    await wall.until("live")
    await stand(site, wall, *BAD)
    rail, field = [await wall.page.locator(its).bounding_box() for its in (".rail", ".field")]
    assert rail and field and rail["x"] > field["x"] + field["width"]
    # The block of ink at the head of a card is at the side from which it is read.
    edge = "getComputedStyle(document.querySelector('.problem'), '::before').right"
    assert await wall.page.evaluate(edge) == "0px"


async def test_where_colours_are_forced_each_status_has_an_edge_of_its_own_and_a_shape(
    site: Site, wall: Screen
) -> None:
    await wall.page.goto(f"{site.web.url}/wall")
    await wall.until("live")
    await stand(site, wall, *BAD)
    await wall.page.emulate_media(forced_colors="active")
    try:
        looks = await wall.page.evaluate(
            """(slugs) => slugs.map((slug) => {
                const tile = document.querySelector(`.tile[data-slug="${slug}"]`);
                const shape = tile.querySelector('.shape');
                const { color, backgroundColor, borderTopStyle } = getComputedStyle(tile);
                return { shape: shape.querySelector('use').getAttribute('href'), edge: borderTopStyle,
                    seen: shape.checkVisibility() && getComputedStyle(shape).color !== backgroundColor,
                    reads: color !== backgroundColor };
            })""",
            site.slugs[:5],
        )
        assert len({look["shape"] for look in looks}) == 5
        assert all(look["seen"] and look["reads"] for look in looks), looks
        assert all(look["edge"] != "none" for look in looks), looks
    finally:
        await wall.page.emulate_media(forced_colors="none")
