"""A real Chromium, and a real server with something to show: what the tests of pages stand on.

`Site` speaks in the place of the workers: what it announces is what they announce, on a real Valkey.
"""

import asyncio
import json
import re
import shutil
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright

from app.domain.events import Beat, Logged, Sample, Samples, StateChange
from app.domain.instant import from_seconds
from app.domain.result import Outcome
from app.domain.standing import Standing, State
from app.domain.status import Status
from app.feed import Feed, FeedDown
from tests.conftest import eventually
from tests.people import PASSWORD
from tests.services import Valkey, Web, missing

BEAT = 0.4
PAGE_STALE = 3 * BEAT * 2.5  # seconds; a page hears each third beat
WALL_STALE = BEAT * 2.5
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]

# How the two monitors of a component must stand for it to have a status.
STANDINGS = {
    Status.OPERATIONAL: (State.UP, State.UP),
    Status.DEGRADED: (State.DEGRADED, State.UP),
    Status.PARTIAL: (State.DOWN, State.UP),
    Status.MAJOR: (State.DOWN, State.DOWN),
    Status.UNKNOWN: (State.UNKNOWN, State.UP),
}
ACME = {
    "Storefront": ["Website", "Checkout", "Product images", "Customer accounts"],
    "Payments": ["Payments API", "Card processing", "SEPA transfers", "Payouts", "Fraud screening"],
    "Platform API": ["REST API", "GraphQL", "Search API", "Webhooks", "OAuth sign-in"],
    "Regions": ["Frankfurt", "Amsterdam", "Virginia", "Singapore"],
}


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or missing("Chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        await browser.close()


class Site:
    """A server on a Valkey of its own, and one worker's voice. Every component is operational at first."""

    def __init__(
        self,
        groups: Mapping[str, Sequence[str]],
        beat: float = BEAT,
        slugs: Mapping[str, str] | None = None,
        every: str = "30s",
        descriptions: Mapping[str, str] | None = None,
    ) -> None:
        self.groups = groups
        self._slugs = slugs or {}
        self._every = every
        self._descriptions = descriptions or {}
        self.beat_every = beat
        self.trouble = ""  # why its worker is in no state to judge
        self.valkey = Valkey()
        self.web = Web(self.valkey.url, STATUSWIRE_BEAT=str(beat))
        self.feed = Feed(self.valkey.url, beat=beat)
        self._names = {self._slug(name): name for names in groups.values() for name in names}
        self.status = dict.fromkeys(self.slugs, Status.OPERATIONAL)
        self._said = 0
        self._beating: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            self.configure(self.groups)
            await asyncio.to_thread(self.valkey.start)
            await self.prepare()
            await asyncio.to_thread(self.web.start)
            self.beat()
            await eventually(lambda: self._shows(self.slugs[0]), within=15)
            await self.say(self.status)
            await eventually(lambda: b'data-live="retry" data-beat' in self.web.get("/")[1])
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def prepare(self) -> None:
        """What is on the feed before the server starts."""

    async def __aexit__(self, *_: object) -> None:
        await self.hush()
        await self.feed.close()
        await asyncio.to_thread(self.web.remove)
        await asyncio.to_thread(self.valkey.remove)

    @property
    def slugs(self) -> list[str]:
        return list(self._names)

    def name(self, slug: str) -> str:
        return self._names[slug]

    async def become(
        self, groups: Mapping[str, Sequence[str]], slugs: Mapping[str, str] | None = None
    ) -> None:
        """Watch other components instead. They are unknown until something is said of them."""
        if groups == self.groups:
            return
        self.groups = groups
        self._slugs = slugs or {}
        self._names = {self._slug(name): name for names in groups.values() for name in names}
        self.configure(groups)
        await eventually(lambda: self._shows(self.slugs[-1]) and self._drawn() == len(self.slugs), within=10)

    def configure(self, groups: Mapping[str, Sequence[str]], zone: str = "Europe/Berlin") -> None:
        def component(name: str) -> dict[str, Any]:
            targets = {"http": "http://127.0.0.1:9", "tcp": "127.0.0.1:9"}
            monitors = [{kind: target, "every": self._every} for kind, target in targets.items()]
            described = {"description": self._descriptions[name]} if name in self._descriptions else {}
            return {"name": name, "slug": self._slug(name), "monitors": monitors, **described}

        file = {
            "page": {"name": "Acme Status", "time_zone": zone},
            "groups": [
                {"name": group, "components": [component(name) for name in names]}
                for group, names in groups.items()
            ],
        }
        # JSON is YAML.
        (self.web.folder / "statuswire.yaml").write_text(json.dumps(file, ensure_ascii=False))

    async def say(self, statuses: Mapping[str, Status], ago: float = 0.0, flapping: bool = False) -> None:
        """How some components stand; `ago` is seconds since they began to."""
        now = _now()
        self.status |= statuses
        await self.announce(
            StateChange(
                trace=f"test:{slug}",
                at=now,
                worker="test",
                was=State.UNKNOWN,
                standing=Standing(
                    monitor=f"{slug}/{kind}",
                    region="local",
                    state=state,
                    since=now - timedelta(seconds=ago),
                    flapping=flapping,
                ),
            )
            for slug, status in statuses.items()
            for kind, state in zip(("http", "tcp"), STANDINGS[status], strict=True)
        )

    async def measure(self, took: Mapping[str, float]) -> None:
        """How long some components took, in milliseconds."""
        now = _now()
        samples = [
            Sample(f"{slug}/http", now, Outcome.OK, STANDINGS[self.status[slug]][0], ms)
            for slug, ms in took.items()
        ]
        await self.announce([Samples(at=now, worker="test", region="local", samples=tuple(samples))])

    async def announce(self, events: Iterable[Logged]) -> None:
        keyed = []
        for event in events:
            self._said += 1
            keyed.append((f"test:{self._said}", event))
        await self.feed.announce(keyed)

    def beat(self) -> None:
        """As a worker does, until `hush`."""
        if self._beating is None:
            self._beating = asyncio.create_task(self._beat())

    async def hush(self) -> None:
        """No worker is heard any more."""
        if self._beating is not None:
            self._beating.cancel()
            with suppress(asyncio.CancelledError):
                await self._beating
            self._beating = None

    async def _beat(self) -> None:
        while True:
            with suppress(FeedDown):
                said = {"worker": "test", "region": "local", "every": self.beat_every}
                await self.feed.beat(Beat(at=_now(), trouble=self.trouble, **said))  # type: ignore[arg-type]
            await asyncio.sleep(self.beat_every / 2)

    def _slug(self, name: str) -> str:
        return self._slugs.get(name) or name.lower().replace(" ", "-")

    def _drawn(self) -> int:
        return self.web.get("/")[1].count(b'class="row component"')

    def _shows(self, slug: str) -> bool:
        return f'data-slug="{slug}"'.encode() in self.web.get("/")[1]


class Screen:
    """One open page, what it asked for and what it complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", self._complain)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._ask)

    async def live(self) -> str:
        return str(await self.page.evaluate("document.documentElement.dataset.live"))

    async def until(self, state: str, within: float = 5.0) -> float:
        """Seconds until it was `state`."""
        began = time.monotonic()
        await self.page.wait_for_function(
            "state => document.documentElement.dataset.live === state", arg=state, timeout=within * 1000
        )
        return time.monotonic() - began

    async def status(self, slug: str) -> str | None:
        return await self.page.get_attribute(f'.component[data-slug="{slug}"]', "data-status")

    async def shows(self, slug: str, status: Status, within: float = 3.0) -> None:
        await self.page.wait_for_selector(
            f'.component[data-slug="{slug}"][data-status="{status}"]', state="attached", timeout=within * 1000
        )

    async def reads(self, selector: str) -> str:
        return await self.page.inner_text(selector)

    async def colours(self) -> list[str]:
        """What can be seen and has a colour, other than links and what was measured: each as
        `selector: property value`."""
        found: list[str] = await self.page.evaluate(_COLOURS)
        return found

    async def is_colourless(self) -> bool:
        return await self.colours() == []

    async def check_marks(self) -> int:
        """How many can be seen, but for that of the legend, which says of nothing that it is well."""
        count: int = await self.page.evaluate(
            """[...document.querySelectorAll(':not(.legend) > * > .shape')].filter((shape) =>
                shape.querySelector('use').getAttribute('href') === '#shape-operational' &&
                shape.checkVisibility({ visibilityProperty: true, opacityProperty: true })).length"""
        )
        return count

    def _complain(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _ask(self, request: Request) -> None:
        # Which pictures of itself a browser loads for its tab, and when, is its own affair.
        if request.resource_type != "other":
            self.requests.append(urlsplit(request.url).path)


# Every colour is painted on one pixel, so that whatever notation it has comes out as red, green and blue.
# The greys of the palette lean to blue, by up to 20.
_COLOURS = """() => {
  const pen = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const known = new Map();
  const isColour = (value) => {
    if (!known.has(value)) {
      pen.clearRect(0, 0, 1, 1);
      pen.fillStyle = value;
      pen.fillRect(0, 0, 1, 1);
      const [red, green, blue] = pen.getImageData(0, 0, 1, 1).data;
      known.set(value, Math.max(red, green, blue) - Math.min(red, green, blue) > 32);
    }
    return known.get(value);
  };
  const found = [];
  for (const element of document.querySelectorAll('body, body *')) {
    if (element.closest('a, .arithmetic, .chart, .key, defs, [hidden]')) continue;
    if (!element.checkVisibility()) continue;
    for (const pseudo of [null, '::before']) {
      const style = getComputedStyle(element, pseudo);
      if (pseudo && style.content === 'none') continue;
      for (const name of ['color', 'backgroundColor', 'fill', 'stroke', 'borderTopColor', 'outlineColor']) {
        const value = style[name];
        if (value && value !== 'none' && isColour(value)) {
          found.push(`${element.tagName}.${element.getAttribute('class')}: ${name} ${value}`);
        }
      }
    }
  }
  return found;
}"""


@asynccontextmanager
async def screen(
    browser: Browser, url: str, width: int = 1280, height: int = 800, live: bool = True, **context: Any
) -> AsyncIterator[Screen]:
    """One page in a context of its own; unless told otherwise, from when it is live."""
    own = await browser.new_context(viewport={"width": width, "height": height}, **context)
    try:
        opened = Screen(await own.new_page())
        await opened.page.goto(url)
        if live:
            await opened.until("live")
        yield opened
    finally:
        await own.close()


async def become_admin(page: Page, web: Web) -> None:
    """From the address of the server to the start of /admin, by the token on its console."""
    token = re.search(r"give it\s+(\S+)", web.logs)
    assert token is not None, web.logs
    await page.goto(f"{web.url}/admin")
    # Nobody can sign in yet, so the form for that leads to the one for this.
    assert page.url.endswith("/setup")
    typed = {"token": token[1], "name": "Mei", "email": "mei@example.org", "password": PASSWORD}
    for field, words in typed.items():
        await page.locator(f"[name={field}]").fill(words)
    await page.get_by_role("button", name="Become the admin").click()
    await page.wait_for_url("**/admin")


def _now() -> datetime:
    return from_seconds(datetime.now(UTC).timestamp())
