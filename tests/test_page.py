"""The page at `/` in a real browser: what a visitor sees when something changes, and when nothing is heard
any more."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from datetime import time as daytime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Browser, Route, WebSocketRoute

from app.domain.status import Status
from app.pages.drawing import BAD_FILE
from app.pages.public import LEGEND
from tests.browser import ACME, BEAT, PAGE_STALE, WALL_STALE, Screen, Site, screen
from tests.conftest import eventually

SLACK = 1.0  # of a busy machine, on top of what is promised


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[Site]:
    async with Site(ACME) as site:
        yield site


@pytest.fixture
async def calm(site: Site) -> Site:
    """Everything is operational."""
    await site.become(ACME)
    await site.say(dict.fromkeys(site.slugs, Status.OPERATIONAL))
    await eventually(lambda: b"All systems operational" in site.web.get("/")[1])
    return site


async def test_a_change_is_on_the_page_without_a_reload_or_a_question(browser: Browser, calm: Site) -> None:
    async with screen(browser, calm.web.url) as visit:
        await visit.page.evaluate("document.documentElement.dataset.same = 'page'")
        asked = len(visit.requests)

        await calm.say({"payments-api": Status.MAJOR, "search-api": Status.DEGRADED})

        await visit.shows("payments-api", Status.MAJOR)
        await visit.shows("search-api", Status.DEGRADED)
        # What draws changes is a file, loaded with the first of them.
        assert [path.rpartition("/")[2] for path in visit.requests[asked:]] == ["news.js"]

        await calm.say({"payments-api": Status.OPERATIONAL})
        await visit.shows("payments-api", Status.OPERATIONAL)
        assert len(visit.requests) == asked + 1
        assert await visit.page.evaluate("document.documentElement.dataset.same") == "page"
        assert visit.complaints == []


async def test_changes_that_come_while_the_script_for_them_is_loaded_are_drawn_in_order(
    browser: Browser, calm: Site
) -> None:
    let_go = asyncio.Event()

    async def hold(route: Route) -> None:
        await let_go.wait()
        await route.continue_()

    async with screen(browser, "about:blank", live=False) as visit:
        await visit.page.route("**/news.js", hold)
        await visit.page.goto(calm.web.url)
        await visit.until("live")
        await calm.say({"website": Status.MAJOR, "payouts": Status.DEGRADED})
        await calm.say({"website": Status.PARTIAL})
        # It knows that it does not show how things stand, and beats that come do not make that true.
        assert await visit.until("stale", PAGE_STALE + SLACK) > 0
        await _is_colourless(visit)

        let_go.set()
        await visit.until("live")
        await visit.shows("website", Status.PARTIAL)
        await visit.shows("payouts", Status.DEGRADED)
        assert await visit.reads("h1") == "Partial outage: Website"
        assert visit.complaints == []


async def test_a_page_whose_script_for_changes_is_gone_is_drawn_anew(browser: Browser, calm: Site) -> None:
    """After an upgrade the server has the files of another release."""
    async with screen(browser, "about:blank", live=False) as visit:
        await visit.page.context.add_init_script("Math.random = () => 0")
        await visit.page.route("**/news.js", lambda route: route.fulfill(status=404), times=1)
        await visit.page.goto(calm.web.url)
        await visit.until("live")
        await calm.say({"website": Status.MAJOR})
        await visit.shows("website", Status.MAJOR, within=5)
        await visit.until("live")
        assert visit.requests.count("/") == 3  # with the question whether the server is there
        await calm.say({"website": Status.OPERATIONAL})
        await visit.shows("website", Status.OPERATIONAL)


async def test_words_title_and_icon_follow_a_change(browser: Browser, calm: Site) -> None:
    async with screen(browser, calm.web.url) as visit:
        page = visit.page
        assert await page.title() == "✓ All systems operational · Acme Status"
        assert await page.inner_text(".tally") == "All 18 components work"

        await calm.say({"payments-api": Status.MAJOR, "search-api": Status.DEGRADED})
        await visit.shows("search-api", Status.DEGRADED)

        assert await page.inner_text("h1") == "Major outage: Payments API"
        assert await page.title() == "✕ Major outage: Payments API · Acme Status"
        assert await page.inner_text(".tally") == "2 of 18 components affected"
        assert await page.inner_text(".started") == "· started just now"
        assert await page.inner_text('[data-slug="payments-api"] .word') == "Major outage"
        assert await page.inner_text('[data-group="Payments"] summary .word') == "1 of 5 affected"
        assert str(await page.get_attribute("#icon", "href")).endswith("/status-major_outage.svg")
        assert await page.get_attribute(".hero", "data-status") == "major_outage"

        await calm.say({"payments-api": Status.OPERATIONAL, "search-api": Status.OPERATIONAL})
        await visit.shows("search-api", Status.OPERATIONAL)
        assert await page.title() == "✓ All systems operational · Acme Status"
        assert await page.inner_text(".freshness") == "Live \u2013 no need to reload"


async def test_that_something_flaps_is_said_beside_its_status_until_it_is_calm(
    browser: Browser, calm: Site
) -> None:
    row = '[data-slug="webhooks"]'
    async with screen(browser, calm.web.url) as visit, screen(browser, f"{calm.web.url}/wall") as wall:
        shown = ((visit.page, f"{row} .state"), (wall.page, f"{row} .name"))
        await calm.say({"webhooks": Status.OPERATIONAL}, flapping=True)
        for page, place in shown:
            await page.wait_for_selector(f'{place}[data-note="flapping"]', state="attached")
            seen = await page.evaluate(
                f"getComputedStyle(document.querySelector('{place}'), '::after').content"
            )
            assert "flapping" in seen
        await visit.page.reload()
        assert await visit.page.get_attribute(f"{row} .state", "data-note") == "flapping"
        await visit.until("live")

        await calm.say({"webhooks": Status.OPERATIONAL})
        for page, place in shown:
            await page.wait_for_selector(f"{place}:not([data-note])", state="attached")


async def test_a_hidden_tab_says_it_in_its_title(browser: Browser, calm: Site) -> None:
    async with screen(browser, "about:blank", live=False) as visit:
        # A browser paints nothing of a hidden tab, so it calls no animation frame either.
        await visit.page.add_init_script(
            """Object.defineProperty(document, 'hidden', { get: () => true });
            window.requestAnimationFrame = () => 1;"""
        )
        await visit.page.goto(calm.web.url)
        # Not by a function, which would be asked again in an animation frame.
        await visit.page.wait_for_selector('[data-live="live"]', state="attached")
        await calm.say({"webhooks": Status.MAJOR})
        await visit.shows("webhooks", Status.MAJOR)
        assert await visit.page.title() == "✕ Major outage: Webhooks · Acme Status"


async def test_a_screen_reader_is_told_the_new_sentence_once(browser: Browser, calm: Site) -> None:
    async with screen(browser, calm.web.url) as visit:
        await calm.say({"webhooks": Status.PARTIAL})

        await visit.page.wait_for_function("() => document.getElementById('said').textContent !== ''")
        assert await visit.page.inner_text("#said") == "Partial outage: Webhooks"


async def test_a_group_opens_when_something_in_it_gets_worse_and_the_visitor_has_the_last_word(
    browser: Browser, calm: Site
) -> None:
    async with screen(browser, calm.web.url) as visit:
        page = visit.page
        payments = '[data-group="Payments"]'
        is_open = "group => document.querySelector(group).open"
        assert not await page.evaluate(is_open, payments)

        await calm.say({"payouts": Status.DEGRADED})
        await visit.shows("payouts", Status.DEGRADED)
        assert await page.evaluate(is_open, payments)

        await page.click(f"{payments} summary")
        await calm.say({"website": Status.DEGRADED, "payouts": Status.OPERATIONAL})
        await visit.shows("payouts", Status.OPERATIONAL)
        assert not await page.evaluate(is_open, payments)

        await calm.say({"payouts": Status.MAJOR})
        await visit.shows("payouts", Status.MAJOR)
        assert await page.evaluate(is_open, payments)

        await calm.say({"payouts": Status.OPERATIONAL})
        await visit.shows("payouts", Status.OPERATIONAL)
        assert await page.evaluate(is_open, payments)


async def test_an_idle_page_asks_for_nothing(browser: Browser, calm: Site) -> None:
    async with screen(browser, calm.web.url) as visit:
        asked = len(visit.requests)
        # The page and its one script.
        assert asked == 2
        # Longer than a beat: what a page did by a timer, it would do by then.
        await asyncio.sleep(1.5)
        assert visit.requests[asked:] == []
        assert visit.complaints == []
        assert await visit.live() == "live"


async def test_without_scripts_the_page_is_whole_and_renews_itself(browser: Browser, calm: Site) -> None:
    await calm.say({"payments-api": Status.MAJOR})
    await eventually(lambda: b"Major outage: Payments API" in calm.web.get("/")[1])

    async with screen(browser, calm.web.url, live=False, java_script_enabled=False) as visit:
        text = await visit.page.inner_text("body")
        for said in ("Major outage: Payments API", "1 of 18 components affected", "As of", "1 of 5 affected"):
            assert said in text
        for group, names in ACME.items():
            assert group in text
            assert await visit.page.locator(f'[data-group="{group}"] .component').count() == len(names)
        assert await visit.page.locator("noscript meta").count() == 1
        assert not await visit.page.is_visible(".choice")


async def test_no_width_scrolls_sideways_and_bars_fill_theirs(browser: Browser, calm: Site) -> None:
    await calm.say({"payments-api": Status.MAJOR, "customer-accounts": Status.PARTIAL})
    async with screen(browser, calm.web.url) as visit:
        await visit.shows("payments-api", Status.MAJOR)
        for width in (320, 360, 375, 390, 393, 412, 719, 720, 768):
            await visit.page.set_viewport_size({"width": width, "height": 844})
            assert await visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            row, bar, state = [
                await visit.page.locator(f'[data-slug="payments-api"]{part}').bounding_box()
                for part in ("", " .bar", " .state")
            ]
            assert row and bar and state
            if width < 720:
                # As far from the left edge of the card as from the right, where the words end.
                assert bar["x"] - row["x"] == pytest.approx(15, abs=0.1)
                assert bar["x"] + bar["width"] == pytest.approx(state["x"] + state["width"], abs=0.1)


# What may go away. Each of these must be seen on every screen, whatever it last showed.


WHY = {
    "no_server": ("Connection lost", "Reconnecting…", "Last known state shown, reconnecting"),
    "no_redis": (
        "The server has lost its feed",
        "Waiting for fresh results…",
        "Last known state shown, waiting for fresh results",
    ),
    "no_workers": (
        "No word from the probes",
        "Waiting for fresh results…",
        "Last known state shown, waiting for fresh results",
    ),
}


@asynccontextmanager
async def no_server(site: Site) -> AsyncIterator[None]:
    site.web.kill()
    try:
        yield
    finally:
        await asyncio.to_thread(site.web.start, 20.0, False)


@asynccontextmanager
async def no_redis(site: Site) -> AsyncIterator[None]:
    await asyncio.to_thread(site.valkey.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(site.valkey.start)


@asynccontextmanager
async def no_workers(site: Site) -> AsyncIterator[None]:
    await site.hush()
    try:
        yield
    finally:
        site.beat()


@pytest.mark.parametrize("outage", [no_server, no_redis, no_workers])
async def test_screens_that_hear_nothing_lose_their_colours_and_come_back_right_without_a_reload(
    browser: Browser, calm: Site, outage: Callable[[Site], AbstractAsyncContextManager[None]]
) -> None:
    await calm.say({"checkout": Status.DEGRADED, "search-api": Status.MAJOR})
    await eventually(lambda: b"Major outage: Search API" in calm.web.get("/")[1])
    async with screen(browser, calm.web.url) as visit, screen(browser, f"{calm.web.url}/wall") as wall:
        for each in (visit, wall):
            assert await each.check_marks() > 0
            assert await each.colours()
            await each.page.evaluate("document.documentElement.dataset.same = 'page'")

        began = datetime.now(ZoneInfo("Europe/Berlin"))
        async with outage(calm):
            # Where the link is cut, the page knows it, and need not wait for beats that do not come.
            limit = WALL_STALE if outage is no_server else PAGE_STALE
            assert await visit.until("stale", limit + SLACK) <= limit + SLACK
            await wall.until("stale", SLACK)
            for each in (visit, wall):
                await _is_colourless(each)
                assert (await each.page.title()).startswith("◷ No")
                icon = str(await each.page.get_attribute("#icon", "href"))
                assert icon.startswith("data:") and "%236f7781" in icon  # grey, and asked of nobody
            reason, remedy, shown = WHY[outage.__name__]
            assert (await visit.reads("h1")).lower() == f"not live: {reason}".lower()
            assert await visit.reads(".freshness") == remedy
            assert await wall.reads(".say p") == reason
            assert await wall.reads(".banner small") == shown
            # It grows, for no beat without a worker in it counts as one.
            await wall.page.wait_for_selector(
                ".banner span:text-matches('^No live data for ([2-9]|1\\\\d) s$')"
            )
            tally = await visit.reads(".tally")
            told = re.fullmatch(r"Last known state, from ([\d:]{8}): Major outage: Search API", tally)
            assert told
            # Nobody was heard after it began, however late that was noticed.
            assert -PAGE_STALE - SLACK <= _seconds(began, told[1]) <= 0.3

        for each in (visit, wall):
            await each.until("live", 5.2 + SLACK)
        well = dict.fromkeys(calm.slugs, Status.OPERATIONAL)
        await calm.say(well | {"website": Status.MAJOR})
        for each in (visit, wall):
            await each.shows("website", Status.MAJOR)
            await each.shows("search-api", Status.OPERATIONAL)
            assert await each.page.evaluate("document.documentElement.dataset.same") == "page"
            assert await each.colours()
            assert await each.check_marks() > 0
        assert await visit.page.title() == "✕ Major outage: Website · Acme Status"


def _seconds(began: datetime, told: str) -> float:
    """From `began` to the time of day that is told, which may be of the day before."""
    at = datetime.combine(began.date(), daytime.fromisoformat(told), began.tzinfo)
    half = timedelta(hours=12)
    return ((at - began + half) % (2 * half) - half).total_seconds()


async def _is_colourless(screen: Screen) -> None:
    async def colourless() -> bool:
        assert await screen.colours() == []
        return True

    # They take a third of a second to go. That they go by the animation in the end is another promise.
    await eventually(colourless, within=1.0)
    assert await screen.check_marks() == 0


async def test_a_page_served_while_nothing_is_heard_is_stale_from_the_first_byte(
    browser: Browser, calm: Site
) -> None:
    async with no_workers(calm):
        await eventually(lambda: b'data-live="stale" data-beat' in calm.web.get("/")[1])
        for path in ("/", "/wall"):
            async with screen(browser, calm.web.url + path, live=False, java_script_enabled=False) as visit:
                title = await visit.page.text_content("title")
                assert title and title.startswith("◷ No")
                assert (await visit.page.inner_text("h1")).startswith("No")
                assert "All systems operational" not in await visit.page.inner_text("h1")
        async with screen(browser, calm.web.url, live=False) as visit:
            await _is_colourless(visit)
            assert await visit.page.locator(".legend .shape:visible").count() == len(LEGEND)

            # What the server makes of the silence is no state that was known.
            await calm.say(dict.fromkeys(calm.slugs, Status.UNKNOWN))
            await visit.shows(calm.slugs[0], Status.UNKNOWN)
            assert (await visit.reads(".tally")).startswith("Nothing heard since ")

            await calm.say(dict.fromkeys(calm.slugs, Status.OPERATIONAL))
            calm.beat()
            await visit.until("live")
            assert await visit.page.inner_text("h1") == "All systems operational"
            assert await visit.check_marks() > 0


async def test_the_history_says_that_nothing_is_heard_as_long_as_it_is_so(
    browser: Browser, calm: Site
) -> None:
    url = f"{calm.web.url}/history"
    async with screen(browser, url) as visit:
        assert not await visit.page.is_visible(".unlive span")
        title = await visit.page.title()
        async with no_workers(calm):
            await visit.until("stale", PAGE_STALE + SLACK)
            said = "Not live: no word from the probes"
            assert await visit.reads(".unlive") == said
            assert await visit.page.title() == f"◷ {title}"
            async with screen(browser, url, live=False, java_script_enabled=False) as drawn:
                assert await drawn.reads(".unlive") == said
                assert await drawn.page.title() == f"◷ {title}"
        await visit.until("live")
        assert not await visit.page.is_visible(".unlive span")
        assert await visit.page.title() == title
        assert visit.complaints == []


async def test_if_the_script_itself_dies_the_colours_go_all_the_same(browser: Browser, calm: Site) -> None:
    async with (
        screen(browser, "about:blank", live=False) as visit,
        screen(browser, "about:blank", live=False) as wall,
    ):
        for each, path in ((visit, "/"), (wall, "/wall")):
            await each.page.route("**/*.js", lambda route: route.abort())
            await each.page.goto(calm.web.url + path)
            assert await each.check_marks() > 0
            assert not await each.page.is_visible(".lifeless")
        # Three of its own beats. Not to wait for those of the page, it is told that they are as short.
        assert await visit.page.evaluate(BEAT_OF_STYLE) == f"{3 * BEAT:g}s"
        await visit.page.evaluate(
            "beat => document.documentElement.style.setProperty('--beat', beat)", f"{BEAT}s"
        )
        for each in (wall, visit):
            await each.page.wait_for_selector(".lifeless", state="visible", timeout=(3 * BEAT + SLACK) * 1000)
            await _is_colourless(each)


BEAT_OF_STYLE = "getComputedStyle(document.documentElement).getPropertyValue('--beat')"


async def test_a_screen_that_wakes_from_sleep_is_stale_at_once_and_soon_live(
    browser: Browser, calm: Site
) -> None:
    async with screen(browser, "about:blank", live=False) as visit:
        await visit.page.clock.install()
        await visit.page.goto(calm.web.url)
        await visit.until("live")
        await visit.page.evaluate(
            """() => {
                window.seen = [];
                const root = document.documentElement;
                const note = () => seen.push(`${root.dataset.live} ${document.title}`);
                new MutationObserver(note).observe(root, { attributeFilter: ['data-live'] });
            }"""
        )

        await visit.page.clock.fast_forward("08:00:00")

        await visit.until("live")
        assert await visit.page.evaluate("seen") == [
            "stale ◷ Not live: connection lost · Acme Status",
            "live ✓ All systems operational · Acme Status",
        ]


@pytest.mark.parametrize("path", ["/", "/wall"])
async def test_a_page_that_is_gone_back_to_is_stale_until_it_hears_that_it_is_not(
    browser: Browser, calm: Site, path: str
) -> None:
    """From its history a browser shows what it has kept, and asks nobody: that may be of yesterday."""
    async with screen(browser, calm.web.url + path) as visit:
        await visit.page.goto("about:blank")
        await visit.page.context.set_offline(True)
        await visit.page.go_back()
        assert visit.page.url == calm.web.url + path
        # By its own clock it has not been silent for long enough.
        await visit.until("stale", within=WALL_STALE / 2)
        await _is_colourless(visit)

        await visit.page.context.set_offline(False)
        await visit.until("live")


# Ways for frames to come, and not to.


async def test_where_no_websocket_gets_through_frames_come_as_events_until_one_does(
    browser: Browser, calm: Site
) -> None:
    tried: list[str] = []
    lets_through = False

    async def proxy(socket: WebSocketRoute) -> None:
        tried.append(socket.url)
        if lets_through:
            socket.connect_to_server()
        else:
            await socket.close(code=1011)

    async with screen(browser, "about:blank", live=False) as visit:
        await visit.page.route_web_socket("**/ws*", proxy)
        await visit.page.goto(calm.web.url)
        await visit.until("live", 10)

        await calm.say({"website": Status.MAJOR})

        await visit.shows("website", Status.MAJOR)
        assert len(tried) == visit.requests.count("/events") == 1

        lets_through = True
        await visit.page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
        await visit.until("live", 10)
        await calm.say({"website": Status.OPERATIONAL})
        await visit.shows("website", Status.OPERATIONAL)
        assert (len(tried), visit.requests.count("/events")) == (2, 1)


async def test_a_final_no_is_not_asked_again(browser: Browser, calm: Site) -> None:
    asked: list[str] = []

    async def refuse(socket: WebSocketRoute) -> None:
        asked.append(socket.url)
        await socket.close(code=4404)

    async with screen(browser, "about:blank", live=False) as visit:
        await visit.page.route_web_socket("**/ws*", refuse)
        await visit.page.goto(calm.web.url)
        await visit.until("stale")
        assert await visit.page.inner_text("h1") == "Not live: this page is no longer served"
        await asyncio.sleep(1.3)  # longer than a second try could wait
        assert len(asked) == 1
        assert "/events" not in visit.requests


async def test_a_server_that_says_bye_is_come_back_to_when_it_said(browser: Browser, calm: Site) -> None:
    opened: list[float] = []

    def connect(socket: WebSocketRoute) -> None:
        opened.append(time.monotonic())
        server = socket.connect_to_server()
        if len(opened) == 1:
            server.on_message(lambda message: socket.send(message if "beat" not in message else BYE))

    async with screen(browser, "about:blank", live=False) as visit:
        await visit.page.route_web_socket("**/ws*", connect)
        await visit.page.goto(calm.web.url)
        await visit.until("live")
        assert 1.2 <= opened[1] - opened[0] <= 1.3 + SLACK


# Longer than a page waits that was told nothing.
BYE = '{"type":"bye","after":1.3}'


async def test_a_page_tries_often_for_two_minutes_and_whenever_somebody_comes_to_look(
    browser: Browser, calm: Site
) -> None:
    async with screen(browser, "about:blank", live=False) as visit:
        await visit.page.clock.install()
        await visit.page.add_init_script(NOBODY_ANSWERS)
        await visit.page.goto(calm.web.url)
        await visit.page.clock.run_for("06:00")
        tried = await visit.page.evaluate("tried")
        waits = [later - earlier for earlier, later in pairwise(tried)]
        assert max(its for its, at in zip(waits, tried, strict=False) if at < 119_000) <= 5_300
        assert 20_000 <= max(waits) <= 30_300
        # Each try is a WebSocket and, right behind it, a stream.
        ways = await visit.page.evaluate("ways")
        assert ways[:6] == ["ws", "events"] * 3
        assert max(waits[::2]) < 50 and min(waits[1::2]) > 500
        for come in ("document, 'visibilitychange'", "window, 'online'", "window, 'pageshow'"):
            before, after = await visit.page.evaluate(COME_BACK % come)
            assert after == before + 1, come
            await visit.page.clock.run_for(16_000)
            assert await visit.page.evaluate("tried.length") >= after + 3, come


@pytest.mark.parametrize(("code", "after"), [(1013, 30), (4429, 60)])
async def test_a_page_that_is_one_too_many_comes_back_when_the_server_has_asked_it_to(
    browser: Browser, calm: Site, code: int, after: float
) -> None:
    async with screen(browser, "about:blank", live=False) as visit:
        await visit.page.clock.install()
        await visit.page.add_init_script(NOBODY_ANSWERS.replace("1006", str(code)))
        await visit.page.goto(calm.web.url)
        await visit.page.clock.run_for("04:00")
        tried = await visit.page.evaluate("tried")
        waits = [(later - earlier) / 1000 for earlier, later in pairwise(tried)]
        assert len(waits) >= 2
        assert after <= min(waits) and max(waits) <= 1.5 * after + 0.3


# The longest wait that chance may bring, and a network in which nothing connects.
NOBODY_ANSWERS = """
    Math.random = () => 0.999;
    window.tried = [];
    window.ways = [];
    class Nobody {
        constructor(url) {
            tried.push(performance.now());
            ways.push(new URL(url, location).pathname.slice(1));
            setTimeout(() => this.onclose ? this.onclose({ code: 1006 }) : this.onerror());
        }
        addEventListener() {}
        close() {}
    }
    window.WebSocket = window.EventSource = Nobody;
"""
COME_BACK = """() => {
    const before = tried.length;
    const [target, event] = [%s];
    target.dispatchEvent(new Event(event));
    return [before, tried.length];
}"""


async def test_components_that_come_and_go_are_drawn_after_one_reload(browser: Browser, calm: Site) -> None:
    more = {**ACME, "New": ["Brand new"]}
    async with screen(browser, "about:blank", live=False) as visit:
        # In the same browser: that one tab has reloaded must not keep the other from it.
        wall = Screen(await visit.page.context.new_page())
        # They reload within 2 s, each after a time of its own; here, after none.
        await visit.page.context.add_init_script("Math.random = () => 0")
        for each, path in ((visit, "/"), (wall, "/wall")):
            await each.page.goto(calm.web.url + path)
            await each.until("live")
        calm.configure(more)
        try:
            for each in (visit, wall):
                await each.page.wait_for_selector('[data-slug="brand-new"]', state="attached", timeout=10_000)
                await each.until("live")
        finally:
            calm.configure(ACME)
        for each in (visit, wall):
            await each.page.wait_for_selector('[data-slug="brand-new"]', state="detached", timeout=10_000)
            # Three drawings, and before two of them the question whether the server is there.
            assert sum(path in ("/", "/wall") for path in each.requests) == 3 + 2


@pytest.mark.parametrize("path", ["/", "/wall"])
async def test_a_screen_does_not_reload_itself_into_the_error_page_of_a_proxy(
    browser: Browser, calm: Site, path: str
) -> None:
    """Nothing there would ever bring it back, and a wall has nobody who could."""
    asked, is_back = 0, False

    async def refuse(route: Route) -> None:
        nonlocal asked
        asked += 1
        if is_back:
            return await route.continue_()
        await route.fulfill(status=502, content_type="text/html", body="<h1>502 Bad Gateway</h1>")

    async with screen(browser, "about:blank", live=False) as visit:
        await visit.page.context.add_init_script("Math.random = () => 0")
        await visit.page.goto(calm.web.url + path)
        await visit.until("live")
        await visit.page.route(calm.web.url + path, refuse)
        calm.configure({**ACME, "New": ["Brand new"]})
        try:
            await eventually(lambda: asked >= 2)
            assert await visit.page.locator('[data-slug="website"]').count() == 1
            is_back = True
            await visit.page.wait_for_selector('[data-slug="brand-new"]', state="attached", timeout=5_000)
            await visit.until("live")
        finally:
            calm.configure(ACME)
            await eventually(lambda: b"brand-new" not in calm.web.get("/")[1])


async def test_operators_are_told_of_a_bad_file_as_long_as_it_is(browser: Browser, calm: Site) -> None:
    async with screen(browser, calm.web.url) as visit, screen(browser, f"{calm.web.url}/wall") as wall:
        for each in (visit, wall):
            assert not await each.page.is_visible(".operators")
        (calm.web.folder / "statuswire.yaml").write_text("nobodys: business\n")
        for each in (visit, wall):
            await each.page.wait_for_selector(".operators", state="visible")
            assert await each.reads(".operators") == BAD_FILE
        assert b"business" not in calm.web.get("/")[1] + calm.web.get("/wall")[1]
        calm.configure(ACME)
        for each in (visit, wall):
            await each.page.wait_for_selector(".operators", state="hidden")
            assert await each.live() == "live"


# What visitors may do.


# What is on paper that should not be: how many groups are closed, and the rest by its tag and class.
PRINTED = """() => {
    const pen = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    const light = (colour) => {
        pen.clearRect(0, 0, 1, 1);
        pen.fillStyle = colour;
        pen.fillRect(0, 0, 1, 1);
        const [red, green, blue, alpha] = pen.getImageData(0, 0, 1, 1).data;
        return alpha ? (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255 : null;
    };
    const all = (selector) => [...document.querySelectorAll(selector)];
    const seen = (selector) => all(selector).filter((part) => part.checkVisibility());
    const parts = seen('html, body, body :is(header, main, main *):not(svg, svg *)');
    const those = (name, wrong) => parts
        .map((part) => [part, getComputedStyle(part)[name]])
        .filter(([, colour]) => light(colour) !== null && wrong(light(colour)))
        .map(([part, colour]) => `${part.tagName}.${part.getAttribute('class')}: ${colour}`);
    return {
        closed: all('.group:not([open])').length,
        controls: seen('button, select, .button, .choices, .skip:focus').map((part) => part.outerHTML),
        dark: those('backgroundColor', (it) => it < 0.8),
        pale: those('color', (it) => it > 0.45),
    };
}"""


@pytest.mark.parametrize("status", [Status.MAJOR, Status.PARTIAL, Status.DEGRADED])
async def test_on_paper_a_page_is_whole_and_dark_on_light(
    browser: Browser, calm: Site, status: Status
) -> None:
    """Whatever theme is on the screen: browsers leave grounds out, so nothing may be as light as paper."""
    await calm.say({calm.slugs[0]: status})
    await eventually(lambda: f'class="hero" data-status="{status}"'.encode() in calm.web.get("/")[1])
    async with screen(browser, calm.web.url, color_scheme="dark", reduced_motion="reduce") as visit:
        await visit.page.select_option("#theme", "dark")
        await visit.page.emulate_media(media="print")
        await visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        printed = await visit.page.evaluate(PRINTED)
        assert printed == {"closed": 0, "controls": [], "dark": [], "pale": []}
        assert not await visit.page.is_visible(".freshness")
        assert await visit.page.locator("main a:visible").count() >= len(calm.slugs)


async def test_names_are_not_broken_within_a_word_on_a_tablet(browser: Browser, calm: Site) -> None:
    async with screen(browser, calm.web.url, 720, 1000) as visit:
        await visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        lines = await visit.page.evaluate(
            """[...document.querySelectorAll('.row .name')].map((name) =>
                name.getBoundingClientRect().height / parseFloat(getComputedStyle(name).fontSize))"""
        )
        assert max(lines) < 4, "more than two lines"


async def test_a_day_of_a_bar_can_be_pointed_at_with_the_keyboard(browser: Browser, calm: Site) -> None:
    async with screen(browser, calm.web.url) as visit:
        page = visit.page
        await page.click('[data-group="Payments"] summary')
        bar = page.locator('[data-slug="payouts"] .bar')
        assert (await bar.get_attribute("aria-label") or "").startswith("Payouts: uptime ")
        await bar.focus()
        # What days have to say is loaded only now.
        await page.wait_for_selector(".day", state="attached")
        await page.keyboard.press("ArrowRight")
        assert await page.is_visible(".day")
        await page.keyboard.press("ArrowLeft")
        assert "Not watched yet" in await page.inner_text(".day")
        await page.keyboard.press("Escape")
        assert not await page.is_visible(".day")


async def test_theme_and_time_zone_are_kept(browser: Browser, calm: Site) -> None:
    await calm.say({"payouts": Status.MAJOR})
    async with screen(browser, calm.web.url, color_scheme="light") as visit:
        page = visit.page
        ground = "() => getComputedStyle(document.body).backgroundColor"
        light = await page.evaluate(ground)
        await page.select_option("#theme", "dark")
        dark = await page.evaluate(ground)
        assert dark != light
        await page.select_option("#zone", "UTC")
        since = page.locator('[data-slug="payouts"] .state time')
        assert "UTC" in (await since.get_attribute("title") or "")

        await page.reload()
        await visit.until("live")
        assert await page.evaluate(ground) == dark
        assert "UTC" in (await since.get_attribute("title") or "")


# Who looks.

HOSTILE = [
    "<script>alert(1)</script>",
    "\"quoted\" & 'quoted' <b>",
    "مدفوعات",
    "{{ 7 * 7 }}",
    "Wide " + "W" * 75,
    "🚀 Rocket 🇩🇪",
]


async def test_hostile_names_are_text_and_nothing_else(browser: Browser, site: Site) -> None:
    names = {"<img src=x onerror=alert(1)>": HOSTILE}
    slugs = {name: f"c{n}" for n, name in enumerate(HOSTILE)}
    await site.become(names, slugs)
    try:
        async with (
            screen(browser, site.web.url, 390, 844) as visit,
            screen(browser, f"{site.web.url}/wall") as wall,
        ):
            for each in (visit, wall):
                for name, slug in slugs.items():
                    assert await each.page.text_content(f'[data-slug="{slug}"] .name') == name
                assert await each.page.locator("img, script:not([src])").count() == 0
            well = dict.fromkeys(site.slugs, Status.OPERATIONAL)
            await site.say(well | {"c0": Status.MAJOR, "c1": Status.MAJOR})
            await visit.shows("c1", Status.MAJOR)
            await wall.shows("c1", Status.MAJOR)
            sentence = f"Major outage: {HOSTILE[0]} and {HOSTILE[1]}"
            assert await visit.page.text_content("h1") == sentence
            assert await visit.page.title() == f"✕ {sentence} · Acme Status"
            assert HOSTILE[0] in (await wall.page.text_content(".rail") or "")
            assert await visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert visit.complaints == wall.complaints == []
    finally:
        await site.become(ACME)


# Who looks, in which language.


@pytest.mark.parametrize("path", ["/?lang=ar", "/?lang=ja", "/components/payments-api", "/history?lang=de"])
async def test_no_page_in_any_language_scrolls_sideways_on_a_phone(
    browser: Browser, calm: Site, path: str
) -> None:
    await calm.say({"payments-api": Status.MAJOR})
    async with screen(browser, calm.web.url + path) as visit:
        for width in (320, 390):
            await visit.page.set_viewport_size({"width": width, "height": 844})
            assert await visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert visit.complaints == []


async def test_a_page_stays_in_its_language_while_it_is_live(browser: Browser, calm: Site) -> None:
    async with screen(browser, f"{calm.web.url}/?lang=de") as visit:
        assert await visit.reads("h1") == "Alle Systeme in Betrieb"
        await calm.say({"payments-api": Status.MAJOR, "search-api": Status.MAJOR, "webhooks": Status.MAJOR})
        await visit.shows("webhooks", Status.MAJOR)
        assert await visit.reads("h1") == "Schwerer Ausfall: 3 Komponenten"
        assert await visit.reads(".tally") == "3 von 18 Komponenten betroffen"
        assert await visit.reads(".freshness") == "Live \u2013 Neuladen ist nicht nötig"
        assert await visit.page.inner_text('[data-slug="webhooks"] .word') == "Schwerer Ausfall"
        drawn = await visit.page.content()
        await visit.page.reload()
        assert (await visit.reads("h1"), await visit.reads(".tally")) == (
            "Schwerer Ausfall: 3 Komponenten",
            "3 von 18 Komponenten betroffen",
        )
        assert 'lang="de"' in drawn


async def test_the_page_of_a_component_is_live(browser: Browser, calm: Site) -> None:
    async with screen(browser, f"{calm.web.url}/components/payments-api") as visit:
        await visit.page.evaluate("document.documentElement.dataset.same = 'page'")
        assert await visit.reads("h1") == "Payments API: Operational"
        await calm.say({"search-api": Status.MAJOR, "payments-api": Status.PARTIAL})
        await visit.shows("payments-api", Status.PARTIAL)
        assert await visit.reads("h1") == "Payments API: Partial outage"
        assert await visit.page.title() == "◆ Payments API: Partial outage · Acme Status"
        assert await visit.page.get_attribute(".hero", "data-status") == "partial_outage"
        # It shows one of all that a snapshot names, and that is no reason to load it anew.
        await visit.page.context.set_offline(True)
        await visit.page.context.set_offline(False)
        await visit.until("live", 10)
        assert await visit.page.evaluate("document.documentElement.dataset.same") == "page"
        assert visit.complaints == []


async def test_get_updates_names_what_there_is_and_opens_without_a_script(
    browser: Browser, calm: Site
) -> None:
    async with screen(browser, calm.web.url, java_script_enabled=False, live=False) as visit:
        assert await visit.page.is_hidden("#updates")
        await visit.page.click("[popovertarget=updates]")
        assert await visit.page.is_visible("#updates")
        links = await visit.page.locator("#updates a").all()
        addresses = [await link.get_attribute("href") or "" for link in links]
        formats = ["/history.atom", "/maintenance.ics", "/api/v2/summary.json"]
        assert addresses == ["/events", *formats, "/v1/openapi.json"]
        assert {calm.web.get(address)[0] for address in addresses[1:]} == {200}
