"""From the worker having an answer to the frame at a viewer and to the painted page.

A real target is switched from 200 to 500 and back; a real worker probes it, a real server pushes, and
three viewers watch: a WebSocket client, an SSE client and Chromium. All clocks are one machine's. The
patch says when the answer was had, cut to the millisecond, so each figure is up to one millisecond too
high and none is too low.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import websockets

from bench import report
from tests.browser import chromium
from tests.conftest import eventually
from tests.services import Valkey, Web, Worker

REACH = {
    "ws_frame_ms_p50": 3.0,
    "ws_frame_ms_p99": 15.0,
    "sse_frame_ms_p50": 3.0,
    "sse_frame_ms_p99": 15.0,
    "pixel_ms_p95": 60.0,
}
SWITCHES, QUICK_SWITCHES = 200, 24
FILE = """
components:
  - name: Target
    monitors: [{http: "http://127.0.0.1:%d/", every: 1s, timeout: 900ms, retries: 0}]
"""
DETECTION = 5.0  # seconds that a switch may take to be noticed

# When a changed state is on the screen: the mutation, and then the frame after the one that draws it.
WATCH_PAINT = """
window.painted = [];
const component = document.querySelector('[data-slug="target"]');
new MutationObserver(() => requestAnimationFrame(() => requestAnimationFrame(() => {
  window.painted.push(performance.timeOrigin + performance.now());
}))).observe(component, {attributes: true, attributeFilter: ['data-status']});
"""


class Target:
    """A web server that answers what it is told to."""

    def __init__(self) -> None:
        self.well = True

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        status = b"200 OK" if self.well else b"500 Internal Server Error"
        writer.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()


class Arrivals:
    """The patches of one viewer: when the answer was had that each tells of, and when it arrived. Seconds."""

    def __init__(self) -> None:
        self.had: list[float] = []
        self.arrived: list[float] = []
        self.changed = asyncio.Event()

    def take(self, frame: dict[str, Any]) -> None:
        now = time.time()
        if any(change["slug"] == "target" for change in frame.get("components", ())):
            self.had.append(datetime.fromisoformat(frame["at"]).timestamp())
            self.arrived.append(now)
            self.changed.set()

    def forget(self) -> None:
        self.had.clear()
        self.arrived.clear()


async def watch_ws(web: Web, arrivals: Arrivals) -> None:
    async with websockets.connect(f"ws://127.0.0.1:{web.port}/ws", compression=None) as socket:
        async for raw in socket:
            frame = json.loads(raw)
            if frame["type"] == "patch":
                arrivals.take(frame)


async def watch_sse(web: Web, arrivals: Arrivals) -> None:
    """By hand: an HTTP library takes longer to hand a line on than the server took to send it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    writer.write(b"GET /events HTTP/1.1\r\nhost: bench\r\n\r\n")
    try:
        patch = False
        async for line in reader:
            if line.startswith(b"event: "):
                patch = line == b"event: patch\n"
            elif patch and line.startswith(b"data: "):
                arrivals.take(json.loads(line[6:]))
    finally:
        writer.close()


async def switch(target: Target, arrivals: Arrivals, times: int) -> None:
    for n in range(times):
        arrivals.changed.clear()
        target.well = not target.well
        async with asyncio.timeout(DETECTION):
            await arrivals.changed.wait()
        # Not in step with the schedule of the worker.
        await asyncio.sleep(0.05 + 0.037 * (n % 7))


async def run(times: int) -> dict[str, float]:
    target, ws, sse = Target(), Arrivals(), Arrivals()
    async with target.listening() as port:
        with Valkey(aof=True) as valkey, Web(valkey.start().url) as web:
            file = web.folder / "statuswire.yaml"
            file.write_text(FILE % port)
            await asyncio.to_thread(web.start)
            with Worker(valkey.url, file) as worker:
                worker.start()
                async with watching(web, ws, sse), chromium() as browser:
                    page = await browser.new_page()
                    await page.goto(web.url)
                    await eventually(lambda: "operational" in statuses(web), within=20)
                    await page.wait_for_selector('[data-slug="target"][data-status="operational"]')
                    await page.evaluate(WATCH_PAINT)
                    ws.forget()
                    sse.forget()
                    await switch(target, ws, times)
                    await eventually(lambda: len(sse.had) >= times, within=5)
                    painted = await page.evaluate(
                        "new Promise(r => setTimeout(() => r(window.painted), 500))"
                    )
    print(
        f"{times} switches: {len(ws.had)} patches by WebSocket, {len(sse.had)} by SSE, {len(painted)} painted"
    )
    return figures(ws, sse, painted)


def figures(ws: Arrivals, sse: Arrivals, painted_ms: list[float]) -> dict[str, float]:
    ws_ms = [(arrived - had) * 1000 for had, arrived in zip(ws.had, ws.arrived, strict=True)]
    sse_ms = [(arrived - had) * 1000 for had, arrived in zip(sse.had, sse.arrived, strict=True)]
    pixel_ms = [painted - had * 1000 for had, painted in zip(ws.had, painted_ms, strict=True)]
    found = {}
    for name, took in (("ws_frame", ws_ms), ("sse_frame", sse_ms), ("pixel", pixel_ms)):
        for percent in (50, 95, 99):
            found[f"{name}_ms_p{percent}"] = report.percentile(took, percent)
    found["changes"] = len(ws_ms)
    return found


def statuses(web: Web) -> str:
    return web.get("/")[1].decode().partition('data-slug="target"')[2][:200]


@asynccontextmanager
async def watching(web: Web, ws: Arrivals, sse: Arrivals) -> AsyncIterator[None]:
    viewers = [asyncio.create_task(watch_ws(web, ws)), asyncio.create_task(watch_sse(web, sse))]
    try:
        yield
    finally:
        for viewer in viewers:
            viewer.cancel()
        await asyncio.gather(*viewers, return_exceptions=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="statuswire bench probe_to_pixel", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_SWITCHES} switches instead of {SWITCHES}"
    )
    times = QUICK_SWITCHES if parser.parse_args().quick else SWITCHES
    report.close("probe_to_pixel", asyncio.run(run(times)), REACH)
    return 0


if __name__ == "__main__":
    sys.exit(main())
