"""All screens lose their server at once: it is killed and started again, then stopped as for an upgrade.

Killed, each comes back as a page does, after half a second and a random while that grows with each failure;
stopped, when the server's bye told it to. Changes go on meanwhile. At the end every screen must show the last
one, without one lost or shown twice, and the crowd must have cost neither a database read nor an encoding for
each.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from functools import reduce
from operator import add
from pathlib import Path

from app.live.hub import RETURNS_PER_SECOND
from bench import cores, report
from bench.ours import Ours
from bench.swarm import Check, Swarm

VIEWERS, QUICK_VIEWERS = 10_000, 1000
PATHS = {"ws": "/ws", "sse": "/events"}  # half of the viewers each
CHANGES = 20  # before and after
PER_SECOND = 4.0  # changes while the server is away and they come back
QUICK_SECONDS, SECONDS = 42, 300
ALL_BACK_WITHIN, QUICK_ALL_BACK_WITHIN = 90.0, 20.0

REACH = {
    "seconds_until_all_are_back": 60,
    "not_back": 0,
    "not_right": 0,
    "lost": 0,
    "repeated": 0,
    "snapshots_encoded": 3,
    "database_reads": 0,
    "stopped_seconds_until_all_are_back": 60,
    "stopped_back_in_the_busiest_second": 2 * RETURNS_PER_SECOND,
}


class Reads:
    """How often the server has read its database. Who counts is bench/counting/sitecustomize.py, which
    Python imports by itself in the server's process."""

    def __init__(self, folder: str) -> None:
        self._file = Path(folder) / "reads"
        self._file.write_bytes(bytes(8))
        counting = Path(__file__).resolve().parent / "counting"
        self.environ = {"COUNT_READS_IN": str(self._file), "PYTHONPATH": f"{counting}:{report.ROOT}"}

    @property
    def count(self) -> int:
        return int.from_bytes(self._file.read_bytes(), sys.byteorder)


class Storm:
    """`patience` is for how many seconds they may take to come back."""

    def __init__(self, viewers: int, patience: float, reads: Reads) -> None:
        self.viewers = viewers
        self.figures: dict[str, float] = {}
        self._patience = patience
        self._reads = reads
        self._core, _ = cores.split()
        self._swarms: list[Swarm] = []

    async def run(self) -> None:
        async with AsyncExitStack() as stack:
            ours = await stack.enter_async_context(Ours.serving(self._core, self._reads.environ))
            if not self._reads.count:
                raise RuntimeError("the server's database reads are not counted")
            for kind, path in PATHS.items():
                swarm = await stack.enter_async_context(Swarm(ours.port, kind, path))
                await swarm.open(self.viewers // len(PATHS))
                self._swarms.append(swarm)
            await self._change(ours)
            for swarm in self._swarms:
                await swarm.come_back()
            changing = asyncio.create_task(ours.producer.announce_for(4 * self._patience, PER_SECOND))
            await self._lose_the_server(ours)
            await self._count_work(ours)
            await self._stop_the_server(ours)
            changing.cancel()
            await asyncio.gather(changing, return_exceptions=True)
            self._judge(await self._change(ours), ours)

    async def _lose_the_server(self, ours: Ours) -> None:
        killed = time.monotonic()
        await asyncio.to_thread(ours.web.kill)
        await ours.restart(self._core)
        self.figures["seconds_until_it_serves"] = time.monotonic() - killed
        reads = self._reads.count
        back = 0
        for _ in range(round(self._patience / 0.1)):
            if (back := await self._here()) == self.viewers:
                break
            await asyncio.sleep(0.1)
        self.figures["seconds_until_all_are_back"] = time.monotonic() - killed
        self.figures["not_back"] = self.viewers - back
        self.figures["database_reads"] = self._reads.count - reads

    async def _stop_the_server(self, ours: Ours) -> None:
        """Each has been told a moment of its own to come back at, so that they do not come all at once."""
        stopped = time.monotonic()
        await asyncio.to_thread(ours.web.stop)
        await ours.restart(self._core)
        back = [0]
        while back[-1] < self.viewers and time.monotonic() - stopped < self._patience:
            await asyncio.sleep(0.1)
            back.append(await self._here())
        self.figures["stopped_seconds_until_all_are_back"] = time.monotonic() - stopped
        self.figures["stopped_back_in_the_busiest_second"] = max(
            later - before for before, later in zip(back, back[10:] or back[-1:], strict=False)
        )
        self.figures["stopped_not_back"] = self.viewers - back[-1]

    async def _here(self) -> int:
        return sum([(await swarm.state()).here for swarm in self._swarms])

    async def _count_work(self, ours: Ours) -> None:
        """What the new server has counted, which has seen nothing but the return."""
        self.figures["snapshots_encoded"] = await ours.count('statuswire_frames_total{type="snapshot"}')
        for how in ("replayed", "resume", "first"):
            self.figures[f"began_{how}"] = await ours.count(f'statuswire_resumes_total{{how="{how}"}}')
        self.figures["refused"] = sum([(await swarm.state()).refused for swarm in self._swarms])

    async def _change(self, ours: Ours) -> Check:
        """Some more changes, and what everybody has once they had the time for it."""
        for _ in range(CHANGES):
            await ours.announce()
        for _ in range(50):
            found = reduce(add, [await swarm.check(ours.producer.ids) for swarm in self._swarms])
            if not found.behind:
                break
            await asyncio.sleep(0.1)
        return found

    def _judge(self, found: Check, ours: Ours) -> None:
        self.figures["not_right"] = found.behind
        self.figures["lost"] = found.lost
        self.figures["repeated"] = found.repeated
        self.figures["changes"] = len(ours.producer.ids)


def main() -> int:
    parser = argparse.ArgumentParser(prog="statuswire bench storm", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1,000 viewers, within 45 s")
    quick = parser.parse_args().quick
    cores.pin(cores.split()[1])
    viewers = min(QUICK_VIEWERS if quick else VIEWERS, cores.allow_files() - 500)
    within = QUICK_SECONDS if quick else SECONDS
    print(f"{viewers:,} viewers; load average {cores.load()}")
    with tempfile.TemporaryDirectory(prefix="sw-storm-") as folder:
        storm = Storm(viewers, QUICK_ALL_BACK_WITHIN if quick else ALL_BACK_WITHIN, Reads(folder))
        if not report.ran(storm.run(), within):
            return 1
    print(f"load average {cores.load()}")
    report.close("storm", storm.figures, REACH)
    return 0


if __name__ == "__main__":
    sys.exit(main())
