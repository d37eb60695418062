"""From an operator's word to every screen: an incident or a status by hand, said by REST, by the command line
and by a form of /admin, until it is on the SSE stream, drawn on an open page and drawn on the wall; and a
change of the config file until it is on the stream.

The clock starts before the request is sent, or, of the command line, before what was typed is read; a process
of its own would begin some tenths of a second later. Each door is gone through once before anything counts:
the first time loads code. For a new catalog pages and walls are fetched anew, each at a moment of its own
within seconds, so the file is measured at the stream. All clocks are one machine's.
"""

import argparse
import asyncio
import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, TypeAlias

import httpx
from playwright.async_api import Page

from app.cli import main as command
from bench import report
from bench.probe_to_pixel import FILE, WATCH_PAINT, Arrivals, Target, statuses, watch_sse
from tests.browser import chromium
from tests.conftest import eventually
from tests.services import Valkey, Web, Worker, at_the_console

SCREENS = ("sse", "page", "wall")
DOORS = ("override", "rest", "cli", "form")
REACH = {f"{door}_{screen}_ms_p99": 100.0 for door in DOORS for screen in SCREENS}
REACH["file_sse_ms_p99"] = 100.0
PERCENTS = (50, 95, 99)
ROUNDS, QUICK_ROUNDS = 100, 2
# Seconds for the rounds, of which there are fewer on a machine that is too slow for them, and for all of it.
SECONDS, QUICK_SECONDS = 420.0, 15.0
MOST_SECONDS, MOST_QUICK_SECONDS = 600.0, 44.0
# Each door breaks the component and mends it.
Step: TypeAlias = Callable[[], Awaitable[None]]


def by_hand(client: httpx.AsyncClient) -> tuple[Step, Step]:
    place = "/v1/components/target/override"

    async def out() -> None:
        (await client.put(place, json={"status": "partial_outage"})).raise_for_status()

    async def well() -> None:
        (await client.delete(place)).raise_for_status()

    return out, well


def by_rest(client: httpx.AsyncClient) -> tuple[Step, Step]:
    ids: list[str] = []
    affected = [{"slug": "target", "status": "major_outage"}]

    async def out() -> None:
        said = {"title": "It is out", "words": "We look.", "components": affected}
        ids.append((await client.post("/v1/incidents", json=said)).raise_for_status().json()["id"])

    async def well() -> None:
        said = {"words": "It is well.", "status": "resolved"}
        (await client.post(f"/v1/incidents/{ids[-1]}/updates", json=said)).raise_for_status()

    return out, well


async def by_form(web: Web, client: httpx.AsyncClient) -> tuple[Step, Step]:
    """As somebody who has signed in; the forms themselves are sent, without a browser around them."""
    made = at_the_console(web, "user", "add", "bench@example.org", "--role", "operator")
    typed = {"email": "bench@example.org", "password": made["password"]}
    assert (await client.post("/login", data=typed)).status_code == 303
    found = re.search(r'name="form_token" value="(\w+)"', (await client.get("/account")).text)
    assert found is not None
    place, token = "/admin/components/target", {"form_token": found[1]}

    async def out() -> None:
        said = await client.post(f"{place}/status", data={**token, "status": "partial_outage"})
        assert said.status_code == 303

    async def well() -> None:
        assert (await client.post(f"{place}/release", data=token)).status_code == 303

    return out, well


def by_command() -> tuple[Step, Step]:
    ids: list[str] = []

    def say(*words: str) -> str:
        with redirect_stdout(io.StringIO()) as said:
            assert command(["incident", *words]) == 0
        return said.getvalue().split()[0]

    async def out() -> None:
        words = ("post", "It is out", "We look.", "--component", "target=major_outage")
        ids.append(await asyncio.to_thread(say, *words))

    async def well() -> None:
        await asyncio.to_thread(say, "resolve", ids[-1], "It is well.")

    return out, well


async def run(found: dict[str, float], rounds: int, seconds: float) -> None:
    target, sse = Target(), Arrivals()
    async with target.listening() as port:
        with Valkey(aof=True) as valkey, Web(valkey.start().url) as web:
            file = web.folder / "statuswire.yaml"
            file.write_text(FILE % port)
            await asyncio.to_thread(web.start)
            os.environ |= {"STATUSWIRE_URL": web.url, "STATUSWIRE_TOKEN": a_token(web)}
            with Worker(valkey.url, file) as worker:
                worker.start()
                await eventually(lambda: "operational" in statuses(web), within=20)
                watching = asyncio.create_task(watch_sse(web, sse))
                try:
                    async with chromium() as browser:
                        screens = [await browser.new_page(), await browser.new_page()]
                        for page, path in zip(screens, ("/", "/wall"), strict=True):
                            await page.goto(f"{web.url}{path}")
                            await page.wait_for_selector('[data-slug="target"][data-status="operational"]')
                            await page.evaluate(WATCH_PAINT)
                        found |= await measured(rounds, seconds, web, sse, screens)
                    took = await by_file(web, file, FILE % port, rounds)
                    found |= spread("file_sse", took)
                finally:
                    watching.cancel()


async def by_file(web: Web, file: Path, text: str, rounds: int) -> list[float]:
    """Milliseconds from a new name in the file to the snapshot with it."""
    took = []
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    writer.write(b"GET /events HTTP/1.1\r\nhost: bench\r\n\r\n")
    for n in range(rounds):
        # Not in step with when it is glanced at.
        await asyncio.sleep(0.1 + 0.017 * (n % 7))
        began = time.time()
        await asyncio.to_thread(rename, file, text, f"Target {n}")
        async with asyncio.timeout(10):
            while f'"name":"Target {n}"'.encode() not in await reader.readline():
                pass
        took.append((time.time() - began) * 1000)
    writer.close()
    return took


def rename(file: Path, text: str, name: str) -> None:
    """Whole, or not yet."""
    new = file.with_suffix(".new")
    new.write_text(text.replace("name: Target", f"name: {name}\n    slug: target"))
    new.replace(file)


async def measured(
    rounds: int, seconds: float, web: Web, sse: Arrivals, screens: list[Page]
) -> dict[str, float]:
    token = {"authorization": f"Bearer {os.environ['STATUSWIRE_TOKEN']}"}
    began: list[tuple[str, float]] = []
    async with (
        httpx.AsyncClient(base_url=web.url, headers=token) as client,
        httpx.AsyncClient(base_url=web.url, headers={"origin": web.url}) as person,
    ):
        doors = {
            "override": by_hand(client),
            "rest": by_rest(client),
            "cli": by_command(),
            "form": await by_form(web, person),
        }
        until = time.monotonic() + seconds
        for n in range(rounds + 1):
            if n == 1:
                began.clear()
            elif n > 1 and time.monotonic() > until:
                break
            for name, steps in doors.items():
                for step in steps:
                    began.append((name, time.time()))
                    await step()
                    await drawn(began[-1][1], sse, screens)
                    # Not in step with beats and probes.
                    await asyncio.sleep(0.02 + 0.037 * (n % 7))
    painted = [await times(page) for page in screens]
    return figures(began, {"sse": [at * 1000 for at in sse.arrived], "page": painted[0], "wall": painted[1]})


async def drawn(since: float, sse: Arrivals, screens: list[Page]) -> None:
    async def everywhere() -> bool:
        return all([max(await times(page), default=0) >= since * 1000 for page in screens])

    await eventually(lambda: max(sse.arrived, default=0) >= since, within=10)
    # Asked meanwhile, the screens would be busy with answering us.
    await asyncio.sleep(0.12)
    await eventually(everywhere, within=10)


async def times(page: Page) -> list[float]:
    painted: list[float] = await page.evaluate("window.painted")
    return painted


def figures(began: list[tuple[str, float]], seen_ms: dict[str, list[float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for door in DOORS:
        for screen in SCREENS:
            # A worker that comes to no answer on a busy machine changes the component, too: counted off one
            # by one, all that follows would be taken for another change.
            took = [after(since * 1000, seen_ms[screen]) for name, since in began if name == door]
            found |= spread(f"{door}_{screen}", took)
    found["changes"] = len(began)
    return found


def after(since_ms: float, seen_ms: list[float]) -> float:
    return min(at for at in seen_ms if at >= since_ms) - since_ms


def spread(name: str, took: list[float]) -> dict[str, float]:
    return {f"{name}_ms_p{percent}": report.percentile(took, percent) for percent in PERCENTS}


def a_token(web: Web) -> str:
    words: list[Any] = [sys.executable, "-m", "app.cli", "token", "create", "bench", "--scope", "admin"]
    made = subprocess.run(words, cwd=web.folder, env=web.environ, capture_output=True, text=True, check=True)
    return made.stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(prog="statuswire bench door_to_pixel", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds instead of {ROUNDS}")
    quick = parser.parse_args().quick
    rounds, seconds = (QUICK_ROUNDS, QUICK_SECONDS) if quick else (ROUNDS, SECONDS)
    found: dict[str, float] = {}
    if not report.ran(run(found, rounds, seconds), MOST_QUICK_SECONDS if quick else MOST_SECONDS):
        return 1
    report.close("door_to_pixel", found, REACH)
    return 0


if __name__ == "__main__":
    sys.exit(main())
