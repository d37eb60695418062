"""How many monitors one worker holds, and how punctually: a real worker on a core of its own, its target,
Redis and this bench on the other. Beside it, how soon an outage is told, and what is missed when one of three
workers is killed.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import trustme
from msgspec import Struct

from app.domain.events import STARTED_WITHIN, Beat, StateChange
from app.domain.instant import EPOCH
from app.domain.monitor import DEFAULT_REGION, Catalog, Component, Monitor
from app.domain.share import place
from app.domain.standing import Standing, State
from app.feed import Feed, Heard
from bench import cores, report
from bench.target import ANSWER, Target, answering
from tests.conftest import eventually
from tests.services import Valkey, Worker
from workers.patrol import retry_after
from workers.share import GONE_AFTER

SECONDS, QUICK_SECONDS = 260, 44

OUTAGE_EVERY, OUTAGE_RETRIES, OUTAGE_MONITORS = 2.0, 2, 300
KILL_EVERY, KILL_MONITORS, KILL_WORKERS, KILL_BEAT = 5.0, 600, 3, 2.0

REACH: Final = {
    "start_lag_p99_ms": 5.0,
    "missed": 0.0,
    "kib_per_monitor": 4.0,
    "https_start_lag_p99_ms": 10.0,
    "https_missed": 0.0,
    "detection_over_formula_s": 0.15,
    "kill_missed_to_formula": 1.2,
    "kill_doubled": 0.0,
}


class Load(Struct, frozen=True):
    """`seconds` are watched, after `settling`; by then each monitor has had its turn."""

    scheme: str
    monitors: int
    every: float
    settling: float
    seconds: float

    @property
    def prefix(self) -> str:
        return "https_" if self.scheme == "https" else ""


LOADS: Final = (Load("http", 50_000, 60.0, 8.0, 60.0), Load("https", 10_000, 30.0, 31.0, 30.0))
# As many probes a second.
QUICK_LOADS: Final = (Load("http", 5_000, 6.0, 5.0, 5.0), Load("https", 1_333, 4.0, 4.0, 5.0))


def catalog(monitors: Sequence[Monitor]) -> Catalog:
    return Catalog(components=(Component(slug="bench", name="Bench", monitors=tuple(monitors)),))


class Region:
    """Workers that share what is assigned, and what they say of themselves."""

    def __init__(self, valkey: Valkey, feed: Feed, workers: list[Worker]) -> None:
        self.valkey = valkey
        self.feed = feed
        self.workers = workers

    @classmethod
    @asynccontextmanager
    async def working(cls, workers: int = 1, beat: float = 1.0) -> AsyncIterator["Region"]:
        core, _ = cores.split()
        with ExitStack() as stack:
            valkey = stack.enter_context(Valkey()).start()
            file = valkey.folder / "statuswire.yaml"
            crew = [
                stack.enter_context(Worker(valkey.url, file, STATUSWIRE_BEAT=f"{beat:g}"))
                for _ in range(workers)
            ]
            feed = Feed(valkey.url, beat=beat)
            with cores.on(core):
                for worker in crew:
                    worker.start()
            try:
                yield cls(valkey, feed, crew)
            finally:
                await feed.close()

    async def beats(self) -> list[Beat]:
        return await self.feed.alive(DEFAULT_REGION)

    async def beat(self) -> Beat:
        return (await eventually(self.beats))[0]

    async def assign(self, monitors: Sequence[Monitor], within: float = 30.0) -> None:
        """And wait until all of them are watched."""
        await self.feed.assign(catalog(monitors))

        async def all_watched() -> bool:
            beats = await self.beats()
            return len(beats) == len(self.workers) and sum(b.monitors for b in beats) == len(monitors)

        await eventually(all_watched, within)


async def punctuality(load: Load, target: Target, cafile: Path) -> dict[str, float]:
    options = {"ca": str(cafile)} if load.scheme == "https" else {}
    monitors = [
        Monitor(
            key=f"component-{n}/http",
            kind="http",
            target=target.url(load.scheme, f"/health/{n}"),
            every=load.every,
            options=options,
        )
        for n in range(load.monitors)
    ]
    async with Region.working() as region:
        await region.assign(monitors[:1])
        await asyncio.sleep(2.0)
        process = region.workers[0].process
        assert process is not None
        base = cores.memory(process.pid)
        await region.assign(monitors)
        await asyncio.sleep(load.settling)
        before, used = await region.beat(), cores.used(process.pid)
        await asyncio.sleep(load.seconds)
        after = await region.beat()
        starts = [late - early for late, early in zip(after.starts, before.starts, strict=True)]
        seconds = (after.at - before.at).total_seconds()
        figures = {
            "start_lag_p99_ms": percentile(starts, 99) * 1000,
            "start_lag_p50_ms": percentile(starts, 50) * 1000,
            "missed": after.missed - before.missed,
            "kib_per_monitor": (cores.memory(process.pid) - base) / load.monitors,
            "probes_per_second": sum(starts) / seconds,
            "cpu_percent": (cores.used(process.pid) - used) / load.seconds * 100,
            "not_ok": sum(count for end, count in after.probes.items() if end != "ok"),
        }
        return {load.prefix + name: value for name, value in figures.items()}


def percentile(starts: Sequence[int], percent: float) -> float:
    """Seconds; within a bucket as if all were evenly spread over it."""
    left = sum(starts) * percent / 100
    lower = 0.0
    for upper, count in zip(STARTED_WITHIN, starts, strict=False):
        if count and left <= count:
            return lower + (upper - lower) * left / count
        left -= count
        lower = upper
    return float("inf")


class Visited:
    """A target that knows when it was looked at, and that can be told to fail."""

    def __init__(self) -> None:
        self.well = True
        self.at: dict[str, list[float]] = defaultdict(list)
        self.port = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Visited"]:
        async with await asyncio.start_server(self._answer, "127.0.0.1", 0, backlog=1024) as server:
            self.port = server.sockets[0].getsockname()[1]
            yield self

    def monitors(self, count: int, every: float, retries: int) -> list[Monitor]:
        return [
            Monitor(
                key=f"m{n}",
                kind="http",
                target=f"http://127.0.0.1:{self.port}/m{n}",
                every=every,
                retries=retries,
                timeout=2.0,
            )
            for n in range(count)
        ]

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.at[head.split()[1].decode()[1:]].append(time.time())
        writer.write(ANSWER if self.well else ANSWER.replace(b"200 OK", b"500 Oops"))
        writer.close()


async def detection(outages: int) -> dict[str, float]:
    """The mean over all monitors of one outage after another, less what the schedule makes of it: half an
    interval until it is looked at, and the two quick looks that must agree."""
    took: list[float] = []
    async with Visited().listening() as target, Region.working() as region:
        changes: asyncio.Queue[StateChange] = asyncio.Queue()
        hearing = asyncio.create_task(_hear_changes(region.feed, changes))
        await region.assign(target.monitors(OUTAGE_MONITORS, OUTAGE_EVERY, OUTAGE_RETRIES))
        await _until_all(changes, State.UP)
        for n in range(outages):
            await asyncio.sleep(0.3 + 0.37 * n)
            target.well, began = False, time.time()
            took += [at - began for at in await _until_all(changes, State.DOWN)]
            target.well = True
            await _until_all(changes, State.UP)
        hearing.cancel()
    failed = [Standing(monitor="", region="", since=EPOCH, bad=n + 1) for n in range(OUTAGE_RETRIES)]
    formula = OUTAGE_EVERY / 2 + sum(retry_after(each, OUTAGE_EVERY) for each in failed)
    mean = statistics.mean(took)
    return {"detection_mean_s": mean, "detection_over_formula_s": mean - formula}


async def _hear_changes(feed: Feed, changes: asyncio.Queue[StateChange]) -> None:
    async for item in feed.follow("0-0"):
        if isinstance(item, Heard) and isinstance(item.event, StateChange):
            changes.put_nowait(item.event)


async def _until_all(changes: asyncio.Queue[StateChange], state: State) -> list[float]:
    """When each was heard."""
    heard: dict[str, float] = {}
    async with asyncio.timeout(20):
        while len(heard) < OUTAGE_MONITORS:
            standing = (await changes.get()).standing
            if standing.state is state:
                heard.setdefault(standing.monitor, time.time())
    return list(heard.values())


async def killing() -> dict[str, float]:
    async with Visited().listening() as target, Region.working(KILL_WORKERS, KILL_BEAT) as region:
        monitors = target.monitors(KILL_MONITORS, KILL_EVERY, retries=0)
        await region.assign(monitors)
        await asyncio.sleep(KILL_EVERY * 1.5)
        killed = time.time()
        region.workers[0].kill()
        await asyncio.sleep(KILL_EVERY * 3)
        until = time.time()
    visits = [slots(monitor, target.at[monitor.key], killed, until) for monitor in monitors]
    missed = sum(each.count(0) for each in visits)
    patience = (GONE_AFTER + 0.1) * KILL_BEAT
    return {
        "kill_missed": missed,
        "kill_missed_to_formula": missed / (KILL_MONITORS / KILL_WORKERS * patience / KILL_EVERY),
        "kill_doubled": sum(visit > 1 for each in visits for visit in each),
    }


def slots(monitor: Monitor, visits: Sequence[float], since: float, until: float) -> list[int]:
    """How often it was looked at in each slot between those instants."""
    offset = place(monitor.key) * monitor.every
    first = since + (offset - since) % monitor.every
    whole = int((until - first) // monitor.every)
    counts = [0] * whole
    for visit in visits:
        slot = int((visit - first) // monitor.every)
        if 0 <= slot < whole:
            counts[slot] += 1
    return counts


async def run(quick: bool, folder: Path, figures: dict[str, float]) -> None:
    certificate, cafile = folder / "target.pem", folder / "ca.pem"
    ca = trustme.CA()
    ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    ca.cert_pem.write_to_path(str(cafile))
    with answering(cores.split()[1], certificate) as target:
        for load in QUICK_LOADS if quick else LOADS:
            print(f"{load.monitors:,} {load.scheme} monitors at {load.every:g} s ...", flush=True)
            figures |= await punctuality(load, target, cafile)
    print("outages ...", flush=True)
    figures |= await detection(1 if quick else 4)
    if not quick:
        print("one of three workers is killed ...", flush=True)
        figures |= await killing()


def main() -> int:
    parser = argparse.ArgumentParser(prog="statuswire bench scheduler", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer monitors, as often; within 45 s")
    quick = parser.parse_args().quick
    cores.pin(cores.split()[1])
    cores.allow_files()
    if not cores.go_first():
        print("Not allowed to go first here: what else this machine does is in these figures.")
    print(f"load average {cores.load()}")
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="sw-bench-") as folder:
        if not report.ran(run(quick, Path(folder), figures), QUICK_SECONDS if quick else SECONDS):
            return 1
    print(f"load average {cores.load()}")
    report.close("scheduler", figures, {name: most for name, most in REACH.items() if name in figures})
    return 0


if __name__ == "__main__":
    sys.exit(main())
