"""An operator at /admin in a real Chromium, on a phone: from the first run to the first incident, an outage
from its first minute to its postmortem, work that comes again over a change of clocks. With a script and
without.
"""

import json
import re
import time
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, ConsoleMessage, Page

from app.domain.status import Status
from tests.browser import Site, become_admin
from tests.conftest import eventually
from tests.services import Worker
from tests.targets import OK, listening, saying

COMPANY = {
    "Payments": ["Payments API", "Card processing", "Payouts"],
    "Storefront": ["Website", "Checkout", "Search"],
}
BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime.min.time().replace(hour=12)
ROOMS = (
    *("", "/incidents", "/incidents/new", "/maintenances", "/maintenances/new", "/components"),
    *("/components/new", "/components/website", "/pages", "/pages/-", "/pages/new", "/templates"),
    *("/walls", "/tokens", "/users", "/audit", "/rules"),
)
XSS = "<img src=x onerror=window.hurt=1><script>window.hurt=1</script>"


class Ruled(Site):
    """With a rule that opens an incident for the website as soon as it is out."""

    def configure(self, groups: Any, zone: str = "Europe/Berlin") -> None:
        super().configure(groups, zone)
        file = self.web.folder / "statuswire.yaml"
        rule = {"name": "Outage", "after": "1s", "settle": "1h", "components": ["website"]}
        file.write_text(json.dumps({**json.loads(file.read_text()), "incidents": [rule]}))


class Phone:
    """Mei's. What she presses is counted."""

    def __init__(self, page: Page, home: str) -> None:
        self.page = page
        self._home = home
        self.taps = 0
        self.complaints: list[str] = []
        page.on("console", self._complain)

    def _complain(self, said: ConsoleMessage) -> None:
        # What was removed while it was shown is asked for once more, and is not there.
        if said.type == "error" and "404" not in said.text:
            self.complaints.append(said.text)

    async def open(self, path: str) -> None:
        await self.page.goto(self._home + path)

    async def press(self, words: str, within: str = "main") -> None:
        self.taps += 1
        await self.page.locator(within).get_by_role("button", name=words, exact=True).last.click()
        await self.page.wait_for_load_state()

    async def follow(self, words: str) -> None:
        self.taps += 1
        await self.page.get_by_role("link", name=words, exact=True).first.click()
        await self.page.wait_for_load_state()

    async def type(self, selector: str, words: str) -> None:
        self.taps += 1
        await self.page.fill(selector, words)

    async def reads(self, words: str) -> None:
        """Now, or as soon as it is drawn again."""
        await self.page.get_by_text(words).first.wait_for(timeout=5000)


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[Site]:
    async with Ruled(COMPANY) as site:
        yield site


async def phone_of(browser: Browser, site: Site, state: Any = None, **context: Any) -> Phone:
    usual = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "reduced_motion": "reduce"}
    own = await browser.new_context(storage_state=state, **(usual | context))
    return Phone(await own.new_page(), site.web.url)


@pytest.fixture(scope="module")
async def session(browser: Browser, site: Site) -> Any:
    """Of Mei, who has set up what she found, with the token on the console."""
    phone = await phone_of(browser, site)
    await become_admin(phone.page, site.web)
    state = await phone.page.context.storage_state()
    await phone.page.context.close()
    return state


@pytest.fixture(params=[True, False], ids=["with a script", "without"])
async def phone(
    request: pytest.FixtureRequest, browser: Browser, site: Site, session: Any
) -> AsyncIterator[Phone]:
    phone = await phone_of(browser, site, session, java_script_enabled=request.param)
    yield phone
    assert phone.complaints == []
    await phone.page.context.close()


@pytest.fixture
async def mei(browser: Browser, site: Site, session: Any) -> AsyncIterator[Phone]:
    """With a script."""
    phone = await phone_of(browser, site, session)
    yield phone
    await phone.page.context.close()


@pytest.fixture(autouse=True)
async def calm(site: Site) -> AsyncIterator[None]:
    yield
    await site.say(dict.fromkeys(site.slugs, Status.OPERATIONAL))


async def remove(phone: Phone) -> None:
    """The incident that is shown."""
    await phone.page.locator("summary", has_text="Remove it").click()
    await phone.press("Remove for good")


async def test_an_incident_is_public_after_a_few_taps(site: Site, phone: Phone) -> None:
    """What fails is chosen already; on the page at once; in less than a minute, typing included."""
    await site.say({"payments-api": Status.MAJOR, "payouts": Status.DEGRADED})
    await phone.open("/admin")
    await eventually(lambda: saying_of(phone, "/admin", "Payouts"))
    phone.taps, began = 0, time.monotonic()
    await phone.follow("Post an incident")
    chosen = await phone.page.locator("input[name=components]:checked").evaluate_all(
        "boxes => boxes.map((box) => box.value)"
    )
    assert chosen == ["payments-api", "payouts"]
    assert await phone.page.input_value("[name=impact]") == "critical"
    await phone.type("[name=title]", "Card payments fail")
    await phone.type("[name=words]", "Our processor rejects all cards. **We are on it.**")
    await phone.press("Publish")
    took = time.monotonic() - began
    assert (phone.taps, took < 20) == (4, True), took
    assert "/admin/incidents/" in phone.page.url
    await phone.reads("The incident is public, on every screen.")
    await eventually(lambda: b"Card payments fail" in site.web.get("/")[1], within=3)
    assert "“Mei is on it”, if left empty" in await phone.page.inner_text("main")
    there = phone.page.url
    await phone.follow("Its page at Acme Status")
    assert phone.page.url.partition("?")[0] == there.replace("/admin/", "/").partition("?")[0]
    assert "Card payments fail" in await phone.page.inner_text("main")
    await phone.open(there.removeprefix(site.web.url))
    await remove(phone)


async def saying_of(phone: Phone, path: str, words: str) -> bool:
    await phone.open(path)
    return words in await phone.page.inner_text("main")


async def test_the_room_that_one_is_in_is_in_sight(phone: Phone) -> None:
    async def is_in_sight() -> bool:
        box = await phone.page.locator(".rooms [aria-current]").bounding_box()
        return box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390

    for path in ("/admin/tokens", "/admin/audit", "/admin"):
        await phone.open(path)
        await eventually(is_in_sight)


async def test_ready_words_are_one_tap_and_lose_nothing(site: Site, phone: Phone) -> None:
    await phone.open("/admin/templates")
    await phone.type("#template-name", "Cards")
    await phone.type("#template-title", "Cards are rejected")
    await phone.type("#template-words", "The processor rejects cards.")
    await phone.press("Save")
    await phone.open("/admin/incidents/new")
    await phone.page.check("[value=checkout]")
    await phone.press("Cards")
    assert await phone.page.input_value("[name=title]") == "Cards are rejected"
    assert await phone.page.input_value("[name=words]") == "The processor rejects cards."
    assert await phone.page.is_checked("[value=checkout]")
    await phone.open("/admin/templates")
    await phone.page.locator("summary", has_text="Change").click()
    await phone.press("Remove")


async def test_from_an_outage_to_its_postmortem(browser: Browser, site: Site, phone: Phone) -> None:
    visitor = await phone_of(browser, site)
    await visitor.open("/")
    await site.say({"website": Status.MAJOR})
    # By the rule, before anybody has done anything.
    await visitor.reads("Website: major outage")
    await eventually(lambda: saying_of(phone, "/admin", "opened by the rule Outage"))
    await phone.follow("Website: major outage")
    await phone.press("Acknowledge")
    await phone.reads("Mei is on it")
    await visitor.reads("Mei is on it")
    await phone.type("#update-words", "A disk is full.")
    await phone.press("Say it")
    await visitor.reads("A disk is full.")
    await phone.type("#update-words", "Ask Ben about the disk.")
    await phone.page.check("[name=private]")
    await phone.press("Say it")
    await phone.reads("Ask Ben about the disk.")
    await site.say({"website": Status.OPERATIONAL})
    await phone.press("Resolve")
    await phone.reads("The incident is resolved.")
    await eventually(lambda: b"A disk is full." not in site.web.get("/")[1])
    await phone.type("#postmortem-words", "The disk of logs was full. It is watched from now on.")
    await phone.press("Publish the postmortem")
    said = await phone.page.inner_text("#updates")
    order = ["The disk of logs", "This incident is resolved.", "Ask Ben", "A disk is full.", "Our monitoring"]
    assert [said.find(words) for words in order] == sorted(said.find(words) for words in order)
    assert all(words in said for words in order)
    assert "Ask Ben" not in await visitor.page.content()
    await phone.open("/admin/audit")
    audit = await phone.page.inner_text("main")
    for verb in ("post", "acknowledge", "update", "note", "resolve"):
        assert f"incident.{verb}" in audit
    await visitor.page.context.close()


def next_change_of_clocks() -> date:
    """The next Sunday on which the clocks of Berlin go forward."""
    day = datetime.now(BERLIN).date() + timedelta(days=15)
    while True:
        noons = [
            datetime(each.year, each.month, each.day, 12, tzinfo=BERLIN) for each in (day, day + timedelta(1))
        ]
        if noons[1].utcoffset() > noons[0].utcoffset():  # type: ignore[operator]
            return day + timedelta(1)
        day += timedelta(1)


async def test_work_that_comes_again_keeps_its_hours_when_clocks_change(site: Site, phone: Phone) -> None:
    first = next_change_of_clocks() - timedelta(days=14)
    await phone.open("/admin/maintenances")
    await phone.follow("Schedule maintenance")
    await phone.type("[name=title]", "Databases move")
    await phone.type("[name=starts]", f"{first}T01:30")
    await phone.type("[name=ends]", f"{first}T04:00")
    await phone.page.check("[value=payments-api]")
    await phone.page.select_option("[name=rhythm]", "FREQ=WEEKLY")
    await phone.press("Schedule")
    coming = await phone.page.locator(".coming li").all_inner_texts()
    hours = [re.findall(r"\d\d:\d\d \w+", each) for each in coming]
    assert hours[:3] == [
        ["01:30 CET", "04:00 CET"],
        ["01:30 CET", "04:00 CEST"],
        ["01:30 CEST", "04:00 CEST"],
    ]
    await eventually(lambda: b"Databases move" in site.web.get("/")[1])
    await phone.press("Begin now")
    await eventually(lambda: saying_of(phone, "/admin/components/payments-api", "Maintenance"))
    await phone.open("/admin/maintenances")
    # The next of the series is announced as soon as one begins.
    assert await phone.page.locator("li a", has_text="Databases move").count() == 2
    for _ in range(2):
        await phone.open("/admin/maintenances")
        await phone.follow("Databases move")
        await phone.page.locator("summary", has_text="Cancel it").click()
        await phone.page.check("[name=series]")
        await phone.press("Cancel for good")
    await eventually(lambda: b"Databases move" not in site.web.get("/")[1])


async def test_a_status_by_hand_holds_until_it_is_released(site: Site, phone: Phone) -> None:
    await phone.open("/admin/components/search")
    await phone.page.select_option("#status-status", "partial_outage")
    await phone.press("Set it")
    assert "Partial outage" in await phone.page.inner_text("main .list")
    await phone.reads("set by hand")
    await phone.press("Release it")
    assert "Operational" in await phone.page.inner_text("main .list")


async def test_pause_and_run_now_reach_the_worker(site: Site, mei: Phone) -> None:
    """Of a component that is made here, and looked at by a worker of its own region."""
    lab = Worker(site.valkey.url, Path("none.yaml"), STATUSWIRE_REGION="lab", STATUSWIRE_BEAT="0.4")
    async with listening(saying(OK)) as target:
        with lab.start():
            await mei.open("/admin/components/new")
            await mei.type("[name=name]", "Laboratory")
            await mei.type("[name=monitors]", f"- http: {target.url}\n  every: 1h\n  regions: [lab]")
            await mei.press("Add")
            await mei.page.locator('main .list [data-status="operational"]').first.wait_for(timeout=20000)
            seen = len(target.visits)

            async def is_looked_at() -> bool:
                # A worker that has looked within a second does not look again.
                await mei.press("Run now")
                return len(target.visits) > seen

            await eventually(is_looked_at)
            await mei.press("Pause")
            await mei.reads("Nobody looks at it until it is resumed.")
            await mei.page.locator('main .list [data-status="unknown"]').first.wait_for()
            assert "paused" in site.web.get("/")[1].decode()
            await mei.press("Resume")
            # A monitor that is new to a worker is looked at soon.
            await mei.page.locator('main .list [data-status="operational"]').first.wait_for(timeout=20000)
            await mei.page.locator("summary", has_text="Remove it").click()
            await mei.press("Remove for good")


async def test_its_own_pages_move_with_the_stream(site: Site, mei: Phone) -> None:
    await mei.open("/admin/incidents/new")
    await mei.type("[name=title]", "Half a sen")
    row = '.pick[data-slug="checkout"]'
    await site.say({"checkout": Status.PARTIAL})
    await mei.page.wait_for_selector(f'{row}[data-status="partial_outage"]', state="attached")
    assert await mei.page.input_value("[name=title]") == "Half a sen"
    await mei.open("/admin")
    await mei.page.locator("#troubled .component").first.wait_for()
    await site.say({"checkout": Status.OPERATIONAL})
    await mei.reads("All is well")


async def test_nothing_that_is_typed_becomes_a_script(site: Site, mei: Phone) -> None:
    await mei.open("/admin/incidents/new")
    await mei.type("[name=title]", XSS)
    await mei.type("[name=words]", XSS)
    await mei.press("Publish")
    at = mei.page.url
    await mei.type("#acknowledge-words", XSS)
    await mei.press("Acknowledge")
    for path in ("/admin", "/admin/incidents", "/admin/audit"):
        await mei.open(path)
        assert await mei.page.evaluate("window.hurt") is None
    assert mei.complaints == []
    await mei.page.goto(at)
    await remove(mei)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_and_all_fits_a_phone(site: Site, mei: Phone, scheme: Any) -> None:
    await site.say({"payments-api": Status.MAJOR, "payouts": Status.DEGRADED})
    await mei.page.emulate_media(color_scheme=scheme)
    await mei.open("/admin/incidents/new")
    await mei.type("[name=title]", " ")
    await mei.type("[name=words]", "We look.")
    await mei.press("Publish")
    await mei.page.locator("[aria-invalid]").wait_for()
    await is_fit(mei, "an error")
    await mei.type("[name=title]", "Payments fail")
    await mei.press("Publish")
    await is_fit(mei, "an incident")
    await remove(mei)
    # What differs in the dark is in the style that all of them share.
    for room in ROOMS if scheme == "light" else ROOMS[:3]:
        await mei.open(f"/admin{room}")
        await is_fit(mei, room)


async def is_fit(phone: Phone, what: str) -> None:
    results = await Axe().run(phone.page)
    assert results.response["violations"] == [], (what, results.generate_report())
    for width in (320, 390):
        await phone.page.set_viewport_size({"width": width, "height": 844})
        assert await phone.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (what, width)
    small = await phone.page.evaluate(
        """[...document.querySelectorAll('main button, main a, main input, main select, summary, .rooms a')]
            .filter((each) => each.checkVisibility() && !each.closest('.unseen, p:not(.acts), .said div'))
            .filter((each) => each.getBoundingClientRect().height < 22).map((each) => each.outerHTML)"""
    )
    assert small == [], what
