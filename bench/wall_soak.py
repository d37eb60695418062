"""A day on the wall: what 24 hours of results for 500 components leave in the memory of a browser, and how
long a change takes from its frame to the painted page.

A real server is told what a worker would have found, half a minute of it at a time and as fast as the wall
takes it, so every result goes through the feed and the wall's own socket. What goes by the clock of the wall
(ages, drift, turning pages) is not faster than usual.
"""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from playwright.async_api import Browser, CDPSession, Page

from app.domain.events import Logged, Sample, Samples, StateChange
from app.domain.instant import from_seconds
from app.domain.result import Outcome
from app.domain.standing import Standing, State
from app.domain.status import Status
from bench import report
from tests.browser import STANDINGS, Screen, Site, chromium, screen

COMPONENTS = 500
EVERY = 30  # seconds of the day between two results of a component
ROUNDS = 3600 // EVERY  # in an hour
# Rounds that the wall may be behind: what waits for a full socket would be told as one snapshot.
IN_FLIGHT = 20
CHANGES, QUICK_CHANGES = 120, 40
BURSTS = 7
HOURS = 24
QUICK_SOAK = 18.0  # seconds, in which it gets as far as it gets
SETTLED = 3  # hours after which nothing may grow
WITHIN = 900.0  # seconds

# Had each half minute left one node behind, there would be 2,520 of them. Cards of the rail and the shapes
# of tiles are made when they are first needed.
REACH = {
    "heap_mb": 3.0,
    "heap_growth_mb": 0.2,
    "node_growth": 200.0,
    "listener_growth": 0.0,
    "painted_ms_p95": 50.0,
    "burst_ms": 150.0,
}

# Counts the results that came, and times each frame that changes a status to the end of the paint that shows
# it: a message posted when the page has been changed is delivered when that is drawn.
WATCH = """
window.results = 0;
window.painted = [];
let first = null;
const after = new MessageChannel();
after.port1.onmessage = () => {
  if (first !== null) window.painted.push(performance.now() - first);
  first = null;
};
const Plain = WebSocket;
window.WebSocket = class extends Plain {
  constructor(...given) {
    super(...given);
    window.socket = this;
    this.addEventListener('message', ({ data }) => {
      const now = performance.now();
      const frame = JSON.parse(data);
      window.results += Object.keys(frame.latency ?? {}).length;
      if (frame.type === 'patch') window.last = frame.id;
      if (frame.type === 'patch' && frame.components) first ??= now;
    });
  }
};
addEventListener('load', () => new MutationObserver(() => after.port2.postMessage(0)).observe(
  document.querySelector('.field'), { subtree: true, attributeFilter: ['data-status'] }));
"""
# One frame in which every component has changed, in the place of the server's next.
BURST = """
(status) => new Promise((done) => {
  window.painted.length = 0;
  const since = new Date().toISOString();
  const components = [...document.querySelectorAll('.tile')].map(
    ({ dataset }) => ({ slug: dataset.slug, status, since }));
  window.socket.dispatchEvent(new MessageEvent('message', {
    data: JSON.stringify({ type: 'patch', id: window.last, at: since, components }),
  }));
  const look = () => (window.painted.length ? done(window.painted[0]) : setTimeout(look, 20));
  look();
})
"""


def day(slugs: list[str]) -> Iterator[tuple[list[Logged], str, Status]]:
    """Each half minute: a result of every component, and two that are down for that long, so that each has
    been it before the third hour ends. With each comes what is to be seen when it has arrived."""
    dice = random.Random(7)
    pairs = list(zip(slugs[::2], slugs[1::2], strict=True))
    for n in range(HOURS * ROUNDS):
        now = from_seconds(datetime.now(UTC).timestamp())
        down, well = pairs[n % len(pairs)], pairs[(n - 1) % len(pairs)]
        samples = [Sample(f"{slug}/http", now, Outcome.OK, State.UP, dice.uniform(20, 300)) for slug in slugs]
        told: list[Logged] = [Samples(at=now, worker="bench", region="local", samples=tuple(samples))]
        told += [change for slug in down for change in _changes(slug, Status.MAJOR, now)]
        told += [change for slug in well for change in _changes(slug, Status.OPERATIONAL, now)]
        yield told, down[-1], Status.MAJOR


def _changes(slug: str, status: Status, now: datetime) -> Iterator[StateChange]:
    for kind, state in zip(("http", "tcp"), STANDINGS[status], strict=True):
        standing = Standing(monitor=f"{slug}/{kind}", region="local", state=state, since=now)
        yield StateChange(trace="", at=now, worker="bench", was=State.UNKNOWN, standing=standing)


class Memory:
    """What a page holds when all that it could let go of is gone."""

    def __init__(self, session: CDPSession) -> None:
        self._session = session
        self.megabytes: list[float] = []
        self.nodes: list[int] = []
        self.listeners: list[int] = []

    async def look(self) -> None:
        await self._session.send("HeapProfiler.collectGarbage")
        heap = await self._session.send("Runtime.getHeapUsage")
        counters = await self._session.send("Memory.getDOMCounters")
        self.megabytes.append(heap["usedSize"] / 1e6)
        self.nodes.append(counters["nodes"])
        self.listeners.append(counters["jsEventListeners"])


async def soak(site: Site, wall: Screen, within: float) -> dict[str, float]:
    memory = Memory(await wall.page.context.new_cdp_session(wall.page))
    await wall.page.evaluate("window.results = 0")
    until = time.monotonic() + within
    for n, (told, slug, status) in enumerate(day(site.slugs), 1):
        await site.announce(told)
        if n % IN_FLIGHT == 0:
            await _shows(wall.page, slug, status)
        if n % ROUNDS == 0:
            await wall.page.evaluate("window.painted.length = 0")
            await memory.look()
            print(
                f"  hour {n // ROUNDS:2}: {memory.megabytes[-1]:.2f} MB, {memory.nodes[-1]} nodes", flush=True
            )
            if time.monotonic() > until:
                break
    settled = min(SETTLED, len(memory.nodes)) - 1
    return {
        "hours": len(memory.nodes),
        "results": await wall.page.evaluate("window.results"),
        "heap_mb": memory.megabytes[-1],
        "heap_growth_mb": memory.megabytes[-1] - memory.megabytes[settled],
        "node_growth": memory.nodes[-1] - memory.nodes[settled],
        "listener_growth": memory.listeners[-1] - memory.listeners[settled],
    }


async def _shows(page: Page, slug: str, status: Status) -> None:
    """Not with what answers with a handle: each would keep a part of the page's memory."""
    await page.locator(f'.tile[data-slug="{slug}"][data-status="{status}"]').wait_for(
        state="attached", timeout=60_000
    )


async def paint(site: Site, wall: Screen, changes: int) -> dict[str, float]:
    await wall.page.evaluate("window.painted.length = 0")
    for n in range(changes):
        status = Status.MAJOR if n % 2 == 0 else Status.OPERATIONAL
        slug = site.slugs[n // 2 * 7 % len(site.slugs)]
        await site.say({slug: status})
        await _shows(wall.page, slug, status)
        # Not in step with the frames of the screen.
        await asyncio.sleep(0.03 + 0.0037 * (n % 7))
    painted = await wall.page.evaluate("window.painted")
    return {
        "changes": len(painted),
        "painted_ms_p50": report.percentile(painted, 50),
        "painted_ms_p95": report.percentile(painted, 95),
        "burst_ms": report.percentile(await _bursts(wall.page), 50),
    }


async def _bursts(page: Page) -> list[float]:
    statuses = (Status.MAJOR, Status.OPERATIONAL, Status.DEGRADED, Status.PARTIAL)
    return [await page.evaluate(BURST, statuses[n % len(statuses)]) for n in range(BURSTS)]


async def run(found: dict[str, float], within: float, changes: int) -> None:
    async with chromium() as browser, watched_wall(browser) as (site, wall):
        found |= await soak(site, wall, within)
        await asyncio.sleep(2)  # flashes end
        found |= await paint(site, wall, changes)


@asynccontextmanager
async def watched_wall(browser: Browser) -> AsyncIterator[tuple[Site, Screen]]:
    groups = {
        f"Rack {rack:02}": [f"Rack {rack:02} web {n:02}" for n in range(25)]
        for rack in range(COMPONENTS // 25)
    }
    async with Site(groups, beat=5.0) as site:
        async with screen(browser, "about:blank", 1920, 1080, live=False) as wall:
            await wall.page.add_init_script(WATCH)
            await wall.page.goto(f"{site.web.url}/wall")
            await wall.until("live", within=30)
            yield site, wall


def main() -> int:
    parser = argparse.ArgumentParser(prog="statuswire bench wall_soak", description=__doc__)
    told = f"so many of the {HOURS} hours as there is time for"
    parser.add_argument("--quick", action="store_true", help=told)
    quick = parser.parse_args().quick
    found: dict[str, float] = {}
    story = run(found, QUICK_SOAK, QUICK_CHANGES) if quick else run(found, WITHIN / 2, CHANGES)
    if not report.ran(story, 45 if quick else WITHIN):
        return 1
    report.close("wall_soak", found, REACH)
    return 0


if __name__ == "__main__":
    sys.exit(main())
