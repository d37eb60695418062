"""One server with viewers of its own, and what it costs to tell all of them something."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct, field

from bench import cores, report
from bench.swarm import Swarm

# Seconds from one event to the next, at least: the same for all sizes, because an event also costs something
# that does not depend on how many watch, and that is less when several come close together.
PACE = 0.02
QUIET = 0.003  # after the last delivery


class Server(Protocol):
    @property
    def pid(self) -> int: ...
    async def announce(self, changes: int = 1) -> int: ...


class Row(Struct):
    """What was measured with so many viewers. A list holds a figure for each round; `last_ms` one for each
    event: from its announcement until the last viewer had it."""

    more: int  # viewers than with the size before
    kib: float = 0.0
    us: list[float] = field(default_factory=list)
    viewer_us: list[float] = field(default_factory=list)
    last_ms: list[float] = field(default_factory=list)
    all_ms: list[tuple[float, float]] = field(default_factory=list)
    held_ms: list[float] = field(default_factory=list)  # the longest of each round; only ours says it
    burst_held_ms: list[float] = field(default_factory=list)
    burst_us: list[float] = field(default_factory=list)
    burst_rate: list[float] = field(default_factory=list)
    burst_viewers_busy: list[float] = field(default_factory=list)

    @property
    def cpu_us(self) -> float:
        """Of the server, for one delivery of an event that is said alone."""
        return statistics.median(self.us)

    def times(self, other: "Row", less: Sequence[float] = ()) -> float:
        """How many times the other's, if `less` is taken off ours. Round by round: all that is compared was
        measured within a few seconds."""
        less = less or [0.0] * len(self.us)
        rounds = zip(self.us, less, other.us, strict=True)
        return statistics.median((mine - off) / its for mine, off, its in rounds)

    @property
    def hold_ms(self) -> float:
        """The longest that a cast holds the loop, whether events come one by one or all at once."""
        return max(statistics.median(self.held_ms), statistics.median(self.burst_held_ms))

    def last(self, percent: float) -> float:
        return report.percentile(self.last_ms, percent)

    @property
    def deliveries_per_core(self) -> float:
        """A second, when events come faster than they can be sent one by one."""
        return 1e6 / statistics.median(self.burst_us)


class Contender:
    """`most` is how many viewers it gets where the others get more."""

    def __init__(self, name: str, server: Server, swarm: Swarm, most: int = 1_000_000) -> None:
        self.name = name
        self._most = most
        self._size = 0
        self.server = server
        self.swarm = swarm
        self.here = 0
        self.idle = 0.0  # processor seconds in a second in which nothing is said
        self.rows: dict[int, Row] = {}
        self._memory = 0

    @property
    def row(self) -> Row:
        return self.rows[self._size]

    async def grow(self, size: int) -> None:
        self._memory = cores.memory(self.server.pid)
        more = min(size, self._most) - self.here
        await self.swarm.open(more)
        self.rows[size] = Row(more)
        self.here += more
        self._size = size

    def weigh(self) -> None:
        """After a rest, and before anything was said to those who came last."""
        self.row.kib = (cores.memory(self.server.pid) - self._memory) / max(1, self.row.more)

    async def say(self, events: int) -> tuple[list[int], list[int]]:
        """Each event when all have had the one before. When each was announced, and when all had it, in
        nanoseconds."""
        await self.swarm.begin(events)
        said, had = [], []
        for number in range(1, events + 1):
            said.append(await self.server.announce())
            had.append(await self.swarm.reached_all(number))
            await asyncio.sleep(max(QUIET, said[-1] / 1e9 + PACE - time.monotonic()))
        return said, had

    async def say_apart(self, events: int) -> None:
        server, viewers = cores.used(self.server.pid), cores.used(self.swarm.pid)
        begin = time.monotonic()
        said, had = await self.say(events)
        idle = self.idle * (time.monotonic() - begin)
        deliveries = events * self.here
        self.row.us.append((cores.used(self.server.pid) - server - idle) * 1e6 / deliveries)
        self.row.viewer_us.append((cores.used(self.swarm.pid) - viewers) * 1e6 / deliveries)
        self.row.last_ms += [(at - since) / 1e6 for since, at in zip(said, had, strict=True)]
        self.row.all_ms.append(await self.swarm.spread(said))

    async def say_at_once(self, events: int) -> None:
        await self.swarm.begin(events)
        server, viewers = cores.used(self.server.pid), cores.used(self.swarm.pid)
        said = await self.server.announce(events)
        took = (await self.swarm.reached_all(events) - said) / 1e9
        # An event is still recorded, and logged, when all have had it.
        await asyncio.sleep(0.1)
        used = cores.used(self.server.pid) - server - self.idle * (took + 0.1)
        self.row.burst_us.append(used * 1e6 / (events * self.here))
        self.row.burst_rate.append(events * self.here / took)
        self.row.burst_viewers_busy.append((cores.used(self.swarm.pid) - viewers) / took)


async def rest(contenders: list[Contender], seconds: float) -> None:
    """Learn what each uses while nothing is said."""
    before = [cores.used(contender.server.pid) for contender in contenders]
    await asyncio.sleep(seconds)
    for contender, used in zip(contenders, before, strict=True):
        contender.idle = (cores.used(contender.server.pid) - used) / seconds
