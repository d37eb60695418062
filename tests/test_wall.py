"""The wall at `/wall` in a real browser: everything on one screen, each thing in its place, for months."""

import asyncio
import math
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import Browser

from app.db.change import Changes
from app.db.engine import connect
from app.db.history import History
from app.domain.incident import Affected
from app.domain.maintenance import NewMaintenance
from app.domain.refused import Refused
from app.domain.status import Status
from tests.browser import BEAT, WALL_STALE, Screen, Site, screen
from tests.conftest import eventually
from tests.rows import config_for
from tests.services import Postgres, Web
from tests.test_stories import MEI, Desk, now, reads

SCREENS = [(1280, 720), (1920, 1080), (1080, 1920), (3840, 2160)]
PLACES = "() => [...document.querySelectorAll('.tile')].map((tile) => [tile.offsetLeft, tile.offsetTop])"


def racks(tiles: int) -> Mapping[str, Sequence[str]]:
    """So many components, in groups of about 25 at the most."""
    groups = max(1, min(20, tiles // 6))
    names: list[list[str]] = [[] for _ in range(groups)]
    for n in range(tiles):
        names[n % groups].append(f"Rack {n % groups} web {n:03}")
    return {f"Rack {n}": its for n, its in enumerate(names)}


class OnPostgres(Site):
    def __init__(self, database_url: str) -> None:
        super().__init__(racks(4))
        self.web = Web(self.valkey.url, database_url, STATUSWIRE_BEAT=str(self.beat_every))


def every(site: Site, status: Status = Status.OPERATIONAL) -> dict[str, Status]:
    return dict.fromkeys(site.slugs, status)


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


@pytest.fixture
async def desk(calm: Site) -> AsyncIterator[Desk]:
    changes = Changes(await connect(config_for(calm.web.database_url)))
    desk = Desk(calm, changes)
    await eventually(lambda: knows(desk, calm.slugs[-1]))
    yield desk
    for slug in calm.slugs:
        with suppress(Refused):
            await desk.interventions.unacknowledge(MEI, now(), slug)
    await desk.clear()
    await changes.database.close()


async def knows(desk: Desk, slug: str) -> bool:
    """The database hears of a component a moment after the wall."""
    with suppress(Refused):
        await desk.interventions.acknowledge(MEI, now(), slug)
        await desk.interventions.unacknowledge(MEI, now(), slug)
        await desk.tell()
        return True
    return False


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


async def test_the_server_draws_what_the_script_would(browser: Browser, calm: Site, desk: Desk) -> None:
    await calm.say({calm.slugs[0]: Status.MAJOR, calm.slugs[1]: Status.DEGRADED})
    await desk.interventions.acknowledge(MEI, now(), calm.slugs[0])
    await desk.tell()
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
                await resize(wall, width, height)
                await eventually(lambda: _lines_are_whole(wall))


async def _lines_are_whole(wall: Screen) -> bool:
    cut: list[str] = await wall.page.evaluate(
        """() => [...document.querySelectorAll('.problem:not([hidden])')].flatMap((card) => {
            const foot = (element) => element.getBoundingClientRect().bottom;
            const end = Math.min(foot(card), foot(document.querySelector('.rail'))) + 0.5;
            const lines = [...card.querySelectorAll('p')].filter((line) => line.checkVisibility());
            return lines.filter((line) => foot(line) > end || line.scrollHeight > line.clientHeight + 1)
                .map((line) => line.innerText);
        })"""
    )
    assert cut == []
    return True


async def test_what_somebody_has_taken_on_comes_last_and_counts_no_more(
    browser: Browser, calm: Site, desk: Desk
) -> None:
    first, second, third = calm.slugs[:3]
    async with screen(browser, f"{calm.web.url}/wall") as wall:
        await calm.say({first: Status.DEGRADED, second: Status.MAJOR, third: Status.PARTIAL})
        await wall.shows(third, Status.PARTIAL)
        await desk.interventions.acknowledge(MEI, now(), second)
        await desk.tell()
        await reads(wall, "h1", "2 need attention")
        assert await rail(wall) == [calm.name(third), calm.name(first), calm.name(second)]
        card = wall.page.locator(".problem:visible").last
        assert await card.locator(".when").inner_text() == "Mei is on it"
        assert await card.locator(".what").inner_text() == "Major outage · Rack 0"
        assert (await counts(wall))["major_outage"] == "1"

        # Who is on an incident is on all that it is about.
        about = (Affected(first), Affected(third))
        incident = await desk.post(components=about)
        await desk.incidents.acknowledge(MEI, now(), incident.id, "Jo looks")
        await desk.tell()
        await reads(wall, "h1", "3 in hand")
        assert await wall.reads(".say p") == f"{calm.name(second)}: Major outage, Mei is on it"

        await desk.interventions.unacknowledge(MEI, now(), second)
        await desk.tell()
        await reads(wall, "h1", "1 needs attention")
        assert (await rail(wall))[0] == calm.name(second)
        assert wall.complaints == []


@pytest.mark.parametrize(("distance", "diagonal"), [(5, 55), (3, 43)])
async def test_type_can_be_read_from_where_people_stand(
    browser: Browser, calm: Site, distance: float, diagonal: float
) -> None:
    await calm.say(dict.fromkeys(calm.slugs, Status.MAJOR))
    asked = "" if (distance, diagonal) == (5, 55) else f"?distance={distance}&diagonal={diagonal}"
    async with screen(browser, f"{calm.web.url}/wall{asked}") as wall:
        for width, height in SCREENS:
            await resize(wall, width, height)
            # The capital letters of NUREG-0700, and how much of the font's size they are.
            millimetres = distance * 1000 * math.tan(math.radians(16 / 60))
            least = millimetres / (diagonal * 25.4 / math.hypot(width, height))
            await eventually(lambda least=least: _is_legible(wall, least))


async def _is_legible(wall: Screen, least: float) -> bool:
    capitals: dict[str, float] = await wall.page.evaluate(
        """(parts) => Object.fromEntries(parts.map((part) => {
            const style = getComputedStyle(document.querySelector(part));
            const pen = document.createElement('canvas').getContext('2d');
            pen.font = `${style.fontWeight} 1000px ${style.fontFamily}`;
            return [part, (pen.measureText('H').actualBoundingBoxAscent * parseFloat(style.fontSize)) / 1000];
        }))""",
        ["h1", ".clock time", ".problem .name"],
    )
    assert all(capital >= least * 0.99 for capital in capitals.values()), (capitals, least)
    return True


async def test_a_wall_far_away_says_its_sentence_whole(browser: Browser, calm: Site) -> None:
    bad = (Status.MAJOR, Status.PARTIAL, Status.DEGRADED, Status.UNKNOWN)
    await calm.say(dict(zip(calm.slugs, bad, strict=False)))
    async with screen(browser, f"{calm.web.url}/wall?distance=9", 1920, 1080) as wall:
        heading = await wall.page.query_selector("h1")
        assert await wall.page.evaluate("(h1) => h1.scrollWidth <= h1.clientWidth", heading)
        assert await fits(wall)


async def test_a_wall_of_a_thousand_says_its_sentence_whole(browser: Browser, calm: Site) -> None:
    """Where it is too long for its place, the counts of what there is none of make room."""
    async with screen(browser, f"{calm.web.url}/wall", 1920, 1080) as wall:
        said = await wall.page.evaluate(
            """() => {
                const heading = document.querySelector('.say h1');
                heading.firstChild.data = 'All 10000000 operational';
                dispatchEvent(new Event('resize'));
                const whole = heading.scrollWidth <= heading.clientWidth;
                return [whole, document.body.hasAttribute('data-long')];
            }"""
        )
        assert said == [True, True]
        assert await fits(wall)


async def test_pages_take_turns_and_a_new_problem_holds_its_own(
    browser: Browser, calm: Site, desk: Desk
) -> None:
    async with screen(browser, f"{calm.web.url}/wall?pages=rack-3,rack-0%2Brack-1&every=2") as wall:
        assert await wall.reads(".page") == "1 / 3"
        assert await _groups(wall) == ["Rack 3"]
        await reads(wall, ".page", "2 / 3")
        assert await _groups(wall) == ["Rack 0", "Rack 1"]
        assert await fits(wall)

        # On none of the pages that are named, so it is on the last.
        [slug] = [slug for slug in calm.slugs if calm.name(slug) == "Rack 2 web 002"]
        await calm.say({slug: Status.MAJOR})
        await reads(wall, ".page", "3 / 3")
        await asyncio.sleep(2.5)
        assert await wall.reads(".page") == "3 / 3"
        await desk.interventions.acknowledge(MEI, now(), slug)
        await desk.tell()
        await reads(wall, ".page", "1 / 3")
        await wall.page.keyboard.press("ArrowLeft")
        assert await wall.reads(".page") == "3 / 3"
        assert wall.complaints == []


async def _groups(wall: Screen) -> list[str]:
    return await wall.page.locator(".group:not([hidden]) h2 span").all_text_contents()


async def test_what_cannot_be_read_in_the_address_is_said(browser: Browser, calm: Site) -> None:
    async with screen(
        browser, f"{calm.web.url}/wall?distance=far&night=25-6&pages=nowhere&sound=yes", 1920, 1080
    ) as wall:
        said = str(await wall.page.text_content(".wrong"))
        for part in ("distance is a number from 0.5 to 50", "night is two times", "sound is 1 or 0"):
            assert part in said
        assert "there is no group nowhere; there are rack-0, rack-1, rack-2, rack-3" in said
        assert await wall.page.is_visible(".wrong")
        assert await fits(wall)


async def test_night_is_dimmed_but_not_what_is_new(browser: Browser, calm: Site) -> None:
    async with screen(browser, f"{calm.web.url}/wall?night=0-23:59") as wall:
        if (await wall.reads(".clock time")).startswith("23:59"):
            pytest.skip("it is the one minute of this night that is day")
        await wall.page.wait_for_selector("html[data-night]", state="attached")
        await calm.say({calm.slugs[0]: Status.MAJOR})
        await wall.page.wait_for_selector("html:not([data-night])", state="attached")
    async with screen(browser, f"{calm.web.url}/wall") as wall:
        assert await wall.page.get_attribute("html", "data-night") is None


async def test_two_notes_are_played_for_what_is_loud_and_new_alone(
    browser: Browser, calm: Site, desk: Desk
) -> None:
    notes = "window.notes = 0; const play = OscillatorNode.prototype.start; \
        OscillatorNode.prototype.start = function (at) { window.notes += 1; play.call(this, at); }; 0"
    async with screen(browser, f"{calm.web.url}/wall?sound=1") as wall:
        await wall.page.evaluate(notes)
        await calm.say({calm.slugs[0]: Status.DEGRADED})
        await wall.shows(calm.slugs[0], Status.DEGRADED)
        assert await wall.page.evaluate("notes") == 0
        await calm.say({calm.slugs[1]: Status.PARTIAL})
        await wall.page.wait_for_function("() => notes === 2")
        await calm.say({calm.slugs[2]: Status.MAJOR})
        await wall.shows(calm.slugs[2], Status.MAJOR)
        assert await wall.page.evaluate("notes") == 2  # not within ten seconds
    async with screen(browser, f"{calm.web.url}/wall") as wall:
        await wall.page.evaluate(notes)
        await calm.say({calm.slugs[3]: Status.MAJOR})
        await wall.shows(calm.slugs[3], Status.MAJOR)
        assert await wall.page.evaluate("notes") == 0


async def test_another_build_is_loaded_but_not_again_and_again(browser: Browser, calm: Site) -> None:
    older = "document.documentElement.dataset.build = 'older'"
    build = "document.documentElement.dataset.build"
    async with screen(browser, f"{calm.web.url}/wall") as wall:
        ours = await wall.page.evaluate(build)
        await wall.page.evaluate(older)
        await wall.page.wait_for_function(
            f"(ours) => {build} === ours", arg=ours, timeout=(4 * BEAT + 3) * 1000
        )
        await wall.until("live")
        await wall.page.evaluate(older)
        await asyncio.sleep(4 * BEAT + 1)
        assert await wall.page.evaluate(build) == "older"


async def test_a_key_shows_what_stands_behind_the_wall(browser: Browser, calm: Site) -> None:
    async with screen(browser, f"{calm.web.url}/wall", 1920, 1080) as wall:
        assert not await wall.page.is_visible(".diagnostics")
        await wall.page.keyboard.press("d")
        said = await wall.reads(".diagnostics")
        # A browser without a screen has none to hold.
        awake = await wall.page.evaluate(
            "navigator.wakeLock.request('screen').then(() => 'held awake', () => 'may go to sleep')"
        )
        for part in ("WebSocket, Live", "MB", "names of problems can be read from 5.0 m", awake):
            assert part in said, said
        await wall.page.keyboard.press("d")
        assert not await wall.page.is_visible(".diagnostics")


async def test_nothing_moves_for_those_who_want_no_motion(browser: Browser, calm: Site) -> None:
    async with screen(browser, f"{calm.web.url}/wall", reduced_motion="reduce") as wall:
        await calm.say(dict.fromkeys(calm.slugs[:8], Status.MAJOR))
        await wall.shows(calm.slugs[7], Status.MAJOR)
        moving = "document.getAnimations().map(({ animationName }) => animationName)"
        assert await wall.page.evaluate(moving) == ["run-out"]


async def test_a_calm_wall_says_for_how_long(browser: Browser, calm: Site, desk: Desk) -> None:
    async with screen(browser, f"{calm.web.url}/wall") as wall:
        assert await wall.page.inner_text("h1") == "All 24 operational"
        assert await wall.page.is_visible(".quiet")
        assert (await wall.page.inner_text(".quiet")).endswith((" s", " min"))
        await calm.say({calm.slugs[0]: Status.MAJOR})
        await wall.page.wait_for_selector(".quiet", state="hidden")
        await calm.say({calm.slugs[0]: Status.OPERATIONAL})
        await wall.page.wait_for_selector(".quiet", state="visible")
        assert calm.name(calm.slugs[0]) in await wall.page.inner_text(".calm .last")
        said = await wall.reads(".calm .last")
        assert re.search(r"Major outage for \d+ s, ended \d\d:\d\d$", said), said
        await wall.page.reload()
        assert await wall.reads(".calm .last") == said

        starts = now() + timedelta(hours=2)
        await desk.maintenances.schedule(
            MEI,
            now(),
            NewMaintenance(
                title="Core switches",
                starts=starts,
                ends=starts + timedelta(hours=1),
                components=(calm.slugs[0],),
            ),
        )
        await desk.tell()
        await wall.page.wait_for_selector(".calm .next", state="visible")
        assert "Core switches" in await wall.reads(".calm .next")


async def test_a_calm_wall_shows_the_past_24_hours_and_goes_on_by_itself(
    browser: Browser, calm: Site
) -> None:
    async with screen(browser, f"{calm.web.url}/wall") as wall:
        asked = len(wall.requests)
        await calm.say({calm.slugs[0]: Status.MAJOR})
        await wall.shows(calm.slugs[0], Status.MAJOR)
        # Once a second it is noted how all of it stands.
        await asyncio.sleep(1.2)
        await calm.say({calm.slugs[0]: Status.OPERATIONAL})
        await wall.page.wait_for_selector(".hours small:text-matches('^[12] min with problems$')")
        drawn = ".hours path[data-status=major_outage]"
        assert await wall.page.get_attribute(drawn, "d")
        assert wall.requests[asked:] == []
        # What the server remembers is the same.
        await eventually(lambda: b"[5," in calm.web.get("/wall")[1])
        await wall.page.reload()
        assert await wall.page.get_attribute(drawn, "d")
        assert wall.complaints == []


async def test_a_wall_that_was_loaded_while_the_database_was_away_has_the_past_as_soon_as_it_is_back(
    browser: Browser, postgres: Postgres
) -> None:
    async with OnPostgres(await postgres.create_database()) as site:
        await _remembers_an_outage(site)
        postgres.pause()
        try:
            async with screen(browser, f"{site.web.url}/wall") as wall:
                lost = "The past cannot be shown: the database does not answer."
                assert await wall.reads(".hours small") == lost
                # It asks, and is told the same.
                async with wall.page.expect_response(lambda answer: answer.url.endswith("/wall")):
                    pass
                assert await wall.reads(".hours small") == lost
                postgres.resume()
                await wall.page.wait_for_selector(f".hours small:not(:text('{lost}'))", timeout=30e3)
                assert await wall.page.get_attribute(".hours path[data-status=major_outage]", "d")
                assert wall.complaints == []
        finally:
            postgres.resume()


async def _remembers_an_outage(site: Site) -> None:
    """One that is over before a wall is there to hear of it."""
    database = await connect(config_for(site.web.database_url))
    slug, began = site.slugs[0], now()

    async def is_recorded(*statuses: Status) -> bool:
        spans = await History(database).spans_of([slug], began, now())
        return {span.status for span in spans} >= set(statuses)

    await site.say({slug: Status.MAJOR})
    await eventually(lambda: is_recorded(Status.MAJOR))
    await site.say({slug: Status.OPERATIONAL})
    await eventually(lambda: is_recorded(Status.MAJOR, Status.OPERATIONAL))
    await database.close()


async def test_the_past_hours_stay_where_they_are_when_the_clock_of_a_kiosk_is_wrong_or_set(
    browser: Browser, calm: Site
) -> None:
    await calm.say({calm.slugs[0]: Status.MAJOR})
    await eventually(lambda: b"[5," in calm.web.get("/wall")[1])
    await calm.say({calm.slugs[0]: Status.OPERATIONAL})
    clock = "const right = Date.now; window.ahead = 5 * 3600e3; Date.now = () => right() + window.ahead;"
    async with screen(browser, f"{calm.web.url}/wall") as wall:
        await wall.page.add_init_script(clock)
        await wall.page.reload()
        for ahead in (5, -5, 0):
            await wall.page.evaluate(f"window.ahead = {ahead} * 3600e3")
            await asyncio.sleep(2.5)
            await wall.until("live")
            await wall.page.evaluate("dispatchEvent(new Event('resize'))")
            drawn = await wall.page.get_attribute(".hours path[data-status=major_outage]", "d")
            assert str(drawn).startswith("M95 "), ahead


async def test_a_wall_says_where_a_worker_is_in_no_state_to_judge_and_the_page_does_not(
    browser: Browser, calm: Site
) -> None:
    said = "1 worker is not fit to judge: local"
    async with screen(browser, f"{calm.web.url}/wall") as wall:
        assert not await wall.page.is_visible(".unfit")
        calm.trouble = "it lost its network, the link of eth7 was gone"
        try:
            await reads(wall, ".unfit", said)
            await eventually(lambda: said.encode() in calm.web.get("/wall")[1])
            for path in ("/", "/wall"):
                assert b"eth7" not in calm.web.get(path)[1]
            assert b"fit to judge" not in calm.web.get("/")[1]
        finally:
            calm.trouble = ""
        await wall.page.wait_for_selector(".unfit", state="hidden")
        assert wall.complaints == []


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
    ("tiles", "density"),
    [(24, "large"), (4, "large"), (120, "list"), (500, "cell"), (1000, "cell"), (1, "large")],
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
            await resize(wall, width, height)
            await eventually(lambda: fits(wall))
            calm_places = await wall.page.evaluate(PLACES)

            for status, other in ((Status.MAJOR, Status.UNKNOWN), (Status.OPERATIONAL, Status.OPERATIONAL)):
                await site.say(dict.fromkeys(some, status) | dict.fromkeys(some[1::2], other))
                for slug in (some[0], some[-1]):
                    await wall.shows(slug, site.status[slug])
                assert await wall.page.evaluate(PLACES) == calm_places
                assert await fits(wall)


async def resize(wall: Screen, width: int, height: int) -> None:
    await wall.page.set_viewport_size({"width": width, "height": height})
    await wall.page.wait_for_function("(width) => innerWidth === width", arg=width)
    await wall.page.evaluate(
        "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


async def fits(wall: Screen) -> bool:
    """No bar to scroll by, and no tile that is cut off or too small to be seen."""
    found: dict[str, Any] = await wall.page.evaluate(
        """() => {
            const field = document.querySelector('.field').getBoundingClientRect();
            const shown = document.querySelectorAll('.group:not([hidden]) .tile');
            const tiles = [...shown].map((tile) => tile.getBoundingClientRect());
            const { scrollWidth, scrollHeight } = document.documentElement;
            const isOutside = ({ left, right, bottom }) =>
                left < field.left - 1 || right > field.right + 1 || bottom > field.bottom + 1;
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


async def test_names_are_on_every_tile_if_they_are_asked_for(browser: Browser, site: Site) -> None:
    await site.become(racks(500))
    async with screen(browser, f"{site.web.url}/wall?names=1", 1920, 1080) as wall:
        assert await wall.page.get_attribute(".field", "data-density") == "list"
        assert await wall.page.locator(".tile .name:visible").count() == 500
        assert await fits(wall)


async def test_a_server_that_holds_the_line_and_says_nothing_is_not_believed(
    browser: Browser, calm: Site
) -> None:
    async with screen(browser, f"{calm.web.url}/wall") as wall:
        calm.web.pause()
        try:
            assert await wall.until("stale", within=WALL_STALE + 2) <= WALL_STALE + 1.5
            assert await wall.check_marks() == 0
            assert await wall.reads("h1") == "No live data"
        finally:
            calm.web.resume()
        await wall.until("live", within=10)
        assert await wall.reads("h1") == "All 24 operational"
