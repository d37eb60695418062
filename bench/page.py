"""The public page, as a visitor gets it: how much comes, how soon it is painted on a slow phone, how soon a
change is, and what a request for it costs the server.

Twenty-six components with ninety days each, one incident and three charts. The phone is Chromium's emulation:
3G is 400 ms and 400 kbit/s, without the round trips of TLS. How soon a change is, is measured on the wall.
"""

import argparse
import asyncio
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from playwright.async_api import Browser

from bench import cores, report
from bench.wall_soak import CHANGES, QUICK_CHANGES, paint, watched_wall
from tests.browser import Screen, chromium, loads, screen
from tests.company import Troubled
from tests.services import Process, free_port

REACH = {
    "bytes": 15_000.0,
    "requests": 5.0,
    "third_parties": 0.0,
    "first_paint_bytes": 12_000.0,
    "first_paint_requests": 1.0,
    "first_paint_ms": 700.0,
    "layout_shift": 0.01,
    "blocking_ms": 100.0,
    "painted_ms_p95": 50.0,
    "burst_ms": 150.0,
}
AT_LEAST = {"requests_of_hello": 0.8}
VISITS, QUICK_VISITS = 5, 3
ROUNDS, QUICK_ROUNDS = 9, 5
REQUESTS = 600  # of a round
CONNECTIONS = 8
WITHIN = 300.0  # seconds

THREE_G = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 50_000}
SLOWER = {"rate": 4}
PHONE = (390, 844)
# The shift of what lies still, and of each task that held the page after it was painted what is beyond 50 ms.
WATCH = """
window.shift = 0;
window.tasks = [];
const watch = (type, hear) =>
  new PerformanceObserver((list) => list.getEntries().forEach(hear)).observe({ type, buffered: true });
watch('layout-shift', (its) => { if (!its.hadRecentInput) window.shift += its.value; });
watch('longtask', ({ startTime, duration }) => window.tasks.push([startTime, duration]));
"""
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
# What a browser waits for before it paints, besides the page itself.
BLOCKING = (
    "performance.getEntriesByType('resource').filter((its) => its.renderBlockingStatus === 'blocking').length"
)
# As a browser asks, but for what it says of itself.
ASKED = (
    "GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Mozilla/5.0\r\nAccept: text/html\r\n"
    "Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.9\r\n\r\n"
)


async def weigh(browser: Browser, site: Troubled) -> dict[str, float]:
    """For whoever is not the first to ask for a drawing: see app/pages/answer.py."""
    await asyncio.sleep(1)
    async with screen(browser, "about:blank", live=False) as visit:
        loaded = await loads(visit, site.web.url)
    async with screen(browser, site.web.url) as visit:
        blocking = await visit.page.evaluate(BLOCKING)
    page = f"{site.web.url}/"
    return {
        "bytes": sum(loaded.values()),
        "requests": len(loaded),
        "third_parties": sum(urlsplit(url).netloc != urlsplit(page).netloc for url in loaded),
        "first_paint_bytes": loaded[page],
        "first_paint_requests": 1 + blocking,
    }


async def visit_by_phone(browser: Browser, site: Troubled, visits: int) -> dict[str, float]:
    found: list[tuple[float, float, float]] = []
    for _ in range(visits):
        async with screen(browser, "about:blank", *PHONE, live=False) as visit:
            found.append(await _visit(visit, site.web.url))
    paints, shifts, blocked = zip(*found, strict=True)
    return {
        "first_paint_ms": statistics.median(paints),
        "layout_shift": max(shifts),
        "blocking_ms": statistics.median(blocked),
    }


async def _visit(visit: Screen, url: str) -> tuple[float, float, float]:
    phone = await visit.page.context.new_cdp_session(visit.page)
    await phone.send("Network.enable")
    await phone.send("Network.emulateNetworkConditions", THREE_G)
    await phone.send("Emulation.setCPUThrottlingRate", SLOWER)
    await visit.page.add_init_script(WATCH)
    await visit.page.goto(url)
    await visit.until("live", within=20)
    painted = await visit.page.evaluate(PAINTED)
    tasks = await visit.page.evaluate("window.tasks")
    blocked = sum(max(0.0, took - 50) for began, took in tasks if began + took > painted)
    return painted, await visit.page.evaluate("window.shift"), blocked


class Hello(Process):
    """uvicorn, with the loop and the parser that it has here, and an application that does nothing."""

    def __init__(self) -> None:
        super().__init__("hello")
        self.port = free_port()

    async def start(self) -> None:
        options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
        where = ["--port", str(self.port), "--app-dir", str(report.ROOT)]
        self.launch([sys.executable, "-m", "uvicorn", "bench.hello:app", *options, *where])
        async with asyncio.timeout(20):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    return writer.close()


@asynccontextmanager
async def hello() -> AsyncIterator[Hello]:
    its = Hello()
    try:
        await its.start()
        yield its
    finally:
        its.remove()


async def serve(site: Troubled, rounds: int) -> dict[str, float]:
    """Microseconds of the server's processor for a request, in rounds that take turns."""
    mine: list[float] = []
    bare: list[float] = []
    async with hello() as other:
        assert site.web.process is not None and other.process is not None
        for _ in range(rounds):
            mine.append(await _round(site.web.process.pid, site.web.port))
            bare.append(await _round(other.process.pid, other.port))
    return {
        "cpu_us_per_request": statistics.median(mine),
        "cpu_us_per_hello": statistics.median(bare),
        "requests_of_hello": statistics.median(b / m for m, b in zip(mine, bare, strict=True)),
    }


async def _round(pid: int, port: int) -> float:
    before = cores.used(pid)
    each = REQUESTS // CONNECTIONS
    await asyncio.gather(*(_ask(port, each) for _ in range(CONNECTIONS)))
    return (cores.used(pid) - before) * 1e6 / (each * CONNECTIONS)


async def _ask(port: int, times: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    asked = ASKED.format(host=f"127.0.0.1:{port}").encode()
    for _ in range(times):
        writer.write(asked)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200"), head
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
    writer.close()
    await writer.wait_closed()


async def run(found: dict[str, float], quick: bool) -> None:
    async with chromium() as browser:
        async with Troubled() as site:
            found |= await weigh(browser, site)
            found |= await visit_by_phone(browser, site, QUICK_VISITS if quick else VISITS)
            found |= await serve(site, QUICK_ROUNDS if quick else ROUNDS)
        async with watched_wall(browser) as (wall_site, wall):
            painted = await paint(wall_site, wall, QUICK_CHANGES if quick else CHANGES)
            found |= {name: painted[name] for name in ("painted_ms_p95", "burst_ms")}


def main() -> int:
    parser = argparse.ArgumentParser(prog="statuswire bench page", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer visits, rounds and changes")
    quick = parser.parse_args().quick
    found: dict[str, float] = {}
    if not report.ran(run(found, quick), 60 if quick else WITHIN):
        return 1
    report.close("page", found, REACH, AT_LEAST)
    return 0


if __name__ == "__main__":
    sys.exit(main())
