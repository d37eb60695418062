"""Redis is stopped for a minute, killed twenty times, and its subscriptions are cut once a second; changes
go on all the time, and 200 viewers watch.

None of them may lose a change, be told one twice, or out of order, for whatever happens to Redis. Its log is
kept in memory here: on a slow disk a kill would take what was not yet written, as a power cut does, and
that workers say again what was lost is another promise, which tests/test_lossless.py holds.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from app.feed import FeedDown
from bench import cores, report
from bench.ours import Ours
from bench.producer import Producer
from bench.swarm import Check, Swarm
from tests.services import Valkey

VIEWERS = 100  # of each kind
PATHS = {"ws": "/ws", "sse": "/events"}
PER_SECOND = 50.0
BATCH = 50  # that are said at once when Redis is back
BEAT = 2.0
SECONDS, QUICK_SECONDS = 60.0, 6.0
KILLS, QUICK_KILLS = 20, 3
GIVE_UP, QUICK_GIVE_UP = 600, 60

REACH = {
    f"{outage}_{what}": 0
    for outage in ("stopped", "killed", "cut")
    for what in ("lost", "repeated_or_out_of_order", "not_right", "gaps", "resynced")
}


class Outages:
    def __init__(self, seconds: float, kills: int) -> None:
        self.figures: dict[str, float] = {}
        self._seconds = seconds
        self._kills = kills

    async def run(self) -> None:
        for name, happen in {"stopped": self._stop, "killed": self._kill, "cut": self._cut}.items():
            await self._watch(name, happen)

    async def _watch(self, name: str, happen: Callable[[Valkey], Awaitable[None]]) -> None:
        """With a Redis, a server and viewers of its own: one outage has nothing to do with another."""
        core, _ = cores.split()
        async with (
            Ours.serving(core, {"STATUSWIRE_LOG_LEVEL": "warning"}, BEAT, aof=True) as ours,
            AsyncExitStack() as stack,
        ):
            producer = ours.producer
            swarms = [
                await stack.enter_async_context(Swarm(ours.port, kind, path)) for kind, path in PATHS.items()
            ]
            for swarm in swarms:
                await swarm.open(VIEWERS)
                await swarm.come_back()
            saying = asyncio.create_task(_say_for_ever(producer))
            await happen(ours.valkey)
            await asyncio.sleep(1.0)
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)
            found = await _check(swarms, producer)
            gone = sum([(await swarm.state()).gone for swarm in swarms])
            # Neither is a loss, and both would be a snapshot in place of the changes themselves.
            gaps = await ours.count("statuswire_feed_gaps_total")
            resynced = await ours.count('statuswire_slow_viewers_total{end="resynced"}')
        self.figures |= {
            f"{name}_changes": len(producer.ids),
            f"{name}_lost": found.lost,
            f"{name}_repeated_or_out_of_order": found.repeated,
            f"{name}_not_right": found.behind,
            f"{name}_gaps": gaps,
            f"{name}_resynced": resynced,
            f"{name}_connections_lost": gone,
        }

    async def _stop(self, valkey: Valkey) -> None:
        valkey.pause()
        await asyncio.sleep(self._seconds)
        valkey.resume()

    async def _kill(self, valkey: Valkey) -> None:
        for _ in range(self._kills):
            await asyncio.sleep(1.0)
            await asyncio.to_thread(valkey.kill)
            await asyncio.sleep(0.2)
            await asyncio.to_thread(valkey.start)

    async def _cut(self, valkey: Valkey) -> None:
        for _ in range(round(self._seconds)):
            await asyncio.sleep(1.0)
            await asyncio.to_thread(valkey.ask, "CLIENT", "KILL", "TYPE", "pubsub")


async def _say_for_ever(producer: Producer) -> None:
    """A change each fiftieth of a second. What cannot be said waits, and is said again until it is heard."""
    began, made = time.monotonic(), 0
    while True:
        due = int((time.monotonic() - began) * PER_SECOND)
        producer.prepare(due - made)
        made = due
        with suppress(*FeedDown):
            await producer.say(BATCH)
        await asyncio.sleep(1 / PER_SECOND)


async def _check(swarms: list[Swarm], producer: Producer) -> Check:
    """Once all that waits has been said and everybody had the time to hear it."""
    async with asyncio.timeout(60):
        while producer.waiting:
            with suppress(*FeedDown):
                await producer.say(BATCH)
    for _ in range(100):
        checks = [await swarm.check(producer.ids) for swarm in swarms]
        found = checks[0] + checks[1]
        if not found.behind:
            break
        await asyncio.sleep(0.1)
    return found


def main() -> int:
    quick = report.quick("outages", __doc__, "short outages, within 60 s")
    cores.pin(cores.split()[1])
    if Path("/dev/shm").is_dir():
        tempfile.tempdir = "/dev/shm"
    what = f"{2 * VIEWERS} viewers, {PER_SECOND:g} changes a second"
    outages = Outages(QUICK_SECONDS if quick else SECONDS, QUICK_KILLS if quick else KILLS)
    return report.told("outages", what, outages, QUICK_GIVE_UP if quick else GIVE_UP, REACH)


if __name__ == "__main__":
    sys.exit(main())
