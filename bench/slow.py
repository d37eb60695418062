"""A thousand bad viewers beside two thousand good ones: half of the bad never read, half read 1 kB a second.

What the good ones notice of it, what the bad ones cost the server, and when those that do not read are cut.
"""

import asyncio
import sys
import time
from contextlib import AsyncExitStack

from bench import cores, report
from bench.ours import Ours
from bench.swarm import Swarm

GOOD, DEAF, SLOW = 2000, 500, 500
PATHS = {"ws": "/ws", "sse": "/events"}
PER_SECOND = 20.0  # changes
QUICK_LISTENING, LISTENING = 6.0, 20.0  # seconds for each of the two measurements
FILLING = 400  # changes at once: more than the socket of one who does not read takes
BEAT = "5"  # of which a fifth is how often the server looks for those that it should cut
CUT_WITHIN = 20.0
QUICK_SECONDS, SECONDS = 42, 150

REACH = {
    "good_ms_p99_ratio": 1.2,
    "kib_per_bad_viewer": 64,
    "seconds_until_deaf_are_cut": 11.5,
    "deaf_not_cut": 0,
    "good_cut": 0,
}


class Slow:
    def __init__(self, listening: float) -> None:
        self.figures: dict[str, float] = {}
        self._listening = listening
        self._core, _ = cores.split()
        self._good: list[Swarm] = []

    async def run(self) -> None:
        async with AsyncExitStack() as stack:
            ours = await stack.enter_async_context(Ours.serving(self._core, {"STATUSWIRE_BEAT": BEAT}))
            for kind, path in PATHS.items():
                self._good.append(await stack.enter_async_context(Swarm(ours.port, kind, path)))
                await self._good[-1].open(GOOD // len(PATHS))
            # So that the server has already needed what it needs for that.
            await self._fill(ours)
            alone = await self._listen(ours)
            # All deaf ones on WebSockets and all slow ones on SSE: the server counts its viewers by kind.
            deaf = await stack.enter_async_context(Swarm(ours.port, "ws", PATHS["ws"]))
            slow = await stack.enter_async_context(Swarm(ours.port, "sse", PATHS["sse"]))
            await deaf.open(DEAF, "deaf")
            await slow.open(SLOW, "slow")
            await asyncio.sleep(0.5)
            before = cores.memory(ours.pid)
            filled = time.monotonic()
            await self._fill(ours)
            cutting = asyncio.create_task(self._see_them_cut(ours, filled))
            await asyncio.sleep(1.0)
            grown = cores.memory(ours.pid) - before
            beside = await self._listen(ours)
            await cutting
            self._note(alone, beside, grown)
            self.figures["slow_given_one_snapshot"] = await ours.count(
                'statuswire_slow_viewers_total{end="resynced"}'
            )

    async def _fill(self, ours: Ours) -> None:
        for swarm in self._good:
            await swarm.begin(FILLING)
        await ours.announce(FILLING)
        for swarm in self._good:
            await swarm.reached_all(FILLING)

    async def _listen(self, ours: Ours) -> tuple[float, float]:
        """p50 and p99 in milliseconds of what the good ones are sent, the slower kind of them."""
        events = round(self._listening * PER_SECOND)
        for swarm in self._good:
            await swarm.begin(events)
        said = await ours.producer.announce_for(self._listening, PER_SECOND)
        for swarm in self._good:
            await swarm.reached_all(events)
        spreads = [await swarm.spread(said) for swarm in self._good]
        return max(p50 for p50, _ in spreads), max(p99 for _, p99 in spreads)

    async def _see_them_cut(self, ours: Ours, filled: float) -> None:
        ws = 0.0
        for _ in range(round(CUT_WITHIN / 0.2)):
            ws = await ours.count('statuswire_viewers{kind="ws"}')
            if ws <= GOOD // 2:
                break
            await asyncio.sleep(0.2)
        self.figures["seconds_until_deaf_are_cut"] = time.monotonic() - filled
        self.figures["deaf_not_cut"] = ws - GOOD // 2
        # They do read, so they should stay; but they were as full at the same time.
        await asyncio.sleep(2.0)
        self.figures["slow_cut"] = GOOD // 2 + SLOW - await ours.count('statuswire_viewers{kind="sse"}')
        here = [(await swarm.state()).here for swarm in self._good]
        self.figures["good_cut"] = GOOD - sum(here)

    def _note(self, alone: tuple[float, float], beside: tuple[float, float], grown: int) -> None:
        for name, (p50, p99) in (("alone", alone), ("beside_bad", beside)):
            self.figures[f"good_ms_p50_{name}"] = p50
            self.figures[f"good_ms_p99_{name}"] = p99
        self.figures["good_ms_p50_ratio"] = beside[0] / alone[0]
        self.figures["good_ms_p99_ratio"] = beside[1] / alone[1]
        self.figures["kib_per_bad_viewer"] = grown / (DEAF + SLOW)


def main() -> int:
    quick = report.quick("slow", __doc__, "shorter measurements, within 45 s")
    cores.pin(cores.split()[1])
    cores.allow_files()
    what = f"{GOOD:,} good viewers, {DEAF:,} deaf, {SLOW:,} slow"
    slow = Slow(QUICK_LISTENING if quick else LISTENING)
    return report.told("slow", what, slow, QUICK_SECONDS if quick else SECONDS, REACH)


if __name__ == "__main__":
    sys.exit(main())
