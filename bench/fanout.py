"""One event to N screens: what a delivery costs, and when the last screen has it.

Statuswire over WebSockets and over SSE, beside the least that the kernel allows (one send(2) for each
socket, in C) and beside how others do it. All servers run at once on one core and take turns, so that a
disturbance of the machine meets all of them: believe the ratios before the microseconds.
"""

import argparse
import asyncio
import http.client
import os
import statistics
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress

from msgspec import Struct, field

from bench import cores, peers, plot, report
from bench.contender import Contender, Server, rest
from bench.ours import Ours
from bench.peers import Missing, Peer
from bench.producer import COMPONENTS
from bench.swarm import Swarm

SIZES, QUICK_SIZES = (100, 1000, 5000, 10_000), (100, 1000)
ROUNDS, QUICK_ROUNDS = 7, 3
EVENTS = {100: 20, 1000: 20, 5000: 16, 10_000: 16}  # of one round, said one by one
BURST = 20  # events that are said at once
BURST_ROUNDS = 3
HANDSHAKE_ROUNDS = 5
HANDSHAKES, QUICK_HANDSHAKES = 2000, 500
QUICK_SECONDS, SECONDS = 42, 900

OURS = {"ws": "/ws", "sse": "/events"}
PEERS = {
    "floor": (peers.floor, "ws", "/ws"),
    "queue_per_client": (peers.queue_per_client, "ws", "/ws"),
    "channels": (peers.channels, "ws", "/ws"),
    "socketio": (peers.socketio, "socketio", "/socket.io/?EIO=4&transport=websocket"),
}
NAMES = {
    "ws": "Statuswire, WebSocket",
    "sse": "Statuswire, SSE",
    "floor": "C send(2) loop",
    "queue_per_client": "queue per client",
    "channels": "Litestar's channels",
    "socketio": "socket.io",
}
OTHERS = ("queue_per_client", "channels", "socketio")
DOCS = report.ROOT / "docs"


class Handshakes(Struct):
    """Of each round: how many a second by the clock, and what one cost the server's process."""

    per_second: list[float] = field(default_factory=list)
    us: list[float] = field(default_factory=list)


class Fanout:
    """`within` seconds, in which a busy machine gets through fewer rounds."""

    def __init__(self, sizes: tuple[int, ...], rounds: int, handshakes: int, within: float) -> None:
        self.sizes = sizes
        self.contenders: dict[str, Contender] = {}
        self.one: Contender  # of ours, with one viewer: what an event costs however many watch
        self.handshakes = {kind: Handshakes() for kind in OURS}
        self.waited_ms: dict[str, list[float]] = {}
        self._rounds = rounds
        self._handshakes = handshakes
        self._stack = AsyncExitStack()
        self._core, _ = cores.split()
        self._begin = time.monotonic()
        self._within = within

    async def run(self) -> None:
        async with self._stack:
            self.one, self.contenders["ws"], self.contenders["sse"] = await asyncio.gather(
                self._ours("ws", most=1), self._ours("ws"), self._ours("sse")
            )
            size = await self._patch_bytes()
            for name in PEERS:
                await self._add_peer(name, size)
            for size in self.sizes:
                await self._measure(size)
            for kind in OURS:
                await self._measure_waits(kind)
                await self._measure_handshakes(kind)

    async def _ours(self, kind: str, most: int = 1_000_000) -> Contender:
        ours = await self._stack.enter_async_context(Ours.serving(self._core))
        swarm = await self._stack.enter_async_context(Swarm(ours.port, kind, OURS[kind]))
        return Contender(kind, ours, swarm, most)

    async def _add_peer(self, name: str, size: int) -> None:
        command, kind, path = PEERS[name]
        text = b'{"type":"patch","text":"%b"}'
        text %= b"x" * (size - len(text) + len("%b"))
        try:
            peer = await self._stack.enter_async_context(Peer(command(), self._core, text))
        except Missing as missing:
            print(missing)
            return
        swarm = await self._stack.enter_async_context(Swarm(peer.port, kind, path))
        self.contenders[name] = Contender(name, peer, swarm)

    async def _patch_bytes(self) -> int:
        """How long a patch is, as the payload of a WebSocket frame."""
        await self.one.grow(1)
        before = await self.one.swarm.state()
        await self.one.say(2 * COMPONENTS)  # all of them, down and up again
        after = await self.one.swarm.state()
        return round((after.bytes - before.bytes) / (after.patches - before.patches)) - 4

    async def _measure(self, size: int) -> None:
        contenders = [*self.contenders.values(), self.one]
        for contender in contenders:
            await contender.grow(size)
        await rest(contenders, 1.0)
        for contender in contenders:
            contender.weigh()
            await contender.say(2)  # to be warm
        for done in range(self._rounds):
            if done and self._is_late(size):
                break
            for contender in contenders:
                async with holding(contender.server, contender.row.held_ms):
                    await contender.say_apart(EVENTS[size])
        for done in range(BURST_ROUNDS):
            if done and self._is_late(size):
                break
            for contender in self.contenders.values():
                async with holding(contender.server, contender.row.burst_held_ms):
                    await contender.say_at_once(BURST)
        rounds = len(contenders[0].row.us)
        print(f"{size:,} viewers measured in {rounds} rounds, load average {cores.load()}", flush=True)

    def _is_late(self, size: int) -> bool:
        """Each size has its share of the time, the last one until a third is left for what follows."""
        share = (self.sizes.index(size) + 1) / len(self.sizes)
        return time.monotonic() - self._begin > 0.68 * share * self._within

    async def _measure_waits(self, kind: str) -> None:
        """How long a small request waits while an event goes out to all."""
        asking = Asking(self._server(kind))
        asking.start()
        try:
            await self.contenders[kind].say(2 * EVENTS[self.sizes[-1]])
        finally:
            self.waited_ms[kind] = asking.stop()

    async def _measure_handshakes(self, kind: str) -> None:
        ours, idle = self._server(kind), self.contenders[kind].idle
        gauge = f'statuswire_viewers{{kind="{kind}"}}'
        before = await ours.count(gauge)
        for _ in range(HANDSHAKE_ROUNDS):
            async with Swarm(ours.port, kind, OURS[kind]) as swarm:
                used = cores.used(ours.pid)
                took = await swarm.open(self._handshakes)
                used = cores.used(ours.pid) - used - idle * took
            self.handshakes[kind].per_second.append(self._handshakes / took)
            self.handshakes[kind].us.append(used * 1e6 / self._handshakes)
            while await ours.count(gauge) > before:  # noqa: ASYNC110 # they are still leaving
                await asyncio.sleep(0.05)

    def _server(self, kind: str) -> Ours:
        server = self.contenders[kind].server
        assert isinstance(server, Ours)
        return server


@asynccontextmanager
async def holding(server: Server, held_ms: list[float]) -> AsyncIterator[None]:
    """Note the longest that casts of ours hold the event loop meanwhile."""
    if not isinstance(server, Ours):
        yield
        return
    before = await server.held()
    yield
    held_ms.append((await server.held()).longest_since(before) * 1000)


class Asking(threading.Thread):
    """Somebody who asks the same server for something small all the time, and notes how long it took."""

    def __init__(self, ours: Ours) -> None:
        super().__init__(daemon=True)
        self._ours = ours
        self._over = threading.Event()
        self._took_ms: list[float] = []

    def run(self) -> None:
        with suppress(OSError):
            # Before the viewers, who keep its core busy: it is to wait for the server alone.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -15)
        with closing(http.client.HTTPConnection("127.0.0.1", self._ours.port, timeout=10)) as connection:
            while not self._over.wait(0.002):
                begin = time.monotonic()
                connection.request("GET", "/health/live")
                connection.getresponse().read()
                self._took_ms.append((time.monotonic() - begin) * 1000)

    def stop(self) -> list[float]:
        self._over.set()
        self.join()
        return self._took_ms


def figures(fanout: Fanout) -> dict[str, float]:
    found: dict[str, float] = {}
    largest, rows = fanout.sizes[-1], {name: it.rows for name, it in fanout.contenders.items()}
    for size in fanout.sizes:
        floor = rows["floor"][size]
        for kind in OURS:
            row = rows[kind][size]
            found[f"{kind}_cpu_us_{size}"] = row.cpu_us
            found[f"{kind}_cpu_ratio_to_floor_{size}"] = row.times(floor)
            event = [us / size for us in fanout.one.rows[size].us]
            found[f"{kind}_cast_ratio_to_floor_{size}"] = row.times(floor, less=event)
            for percent in (50, 99):
                last = row.last(percent)
                found[f"{kind}_last_client_ms_p{percent}_{size}"] = last
                found[f"{kind}_last_client_ratio_p{percent}_{size}"] = last / floor.last(percent)
            found[f"{kind}_burst_deliveries_per_core_{size}"] = row.deliveries_per_core
            found[f"{kind}_loop_hold_ms_{size}"] = row.hold_ms
        found[f"floor_cpu_us_{size}"] = floor.cpu_us
        found[f"floor_last_client_ms_p50_{size}"] = floor.last(50)
        for name in OTHERS:
            if name in rows:
                found[f"{name}_cpu_us_{size}"] = rows[name][size].cpu_us
        found[f"event_cpu_us_{size}"] = fanout.one.rows[size].cpu_us
        found[f"viewer_cpu_us_{size}"] = statistics.median(rows["ws"][size].viewer_us)
    middle = 1000 if 1000 in fanout.sizes else largest
    for name in OTHERS:
        if name in rows:
            found[f"{name}_ratio"] = rows["ws"][middle].times(rows[name][middle])
    for kind in OURS:
        found[f"{kind}_kib_per_idle_connection"] = rows[kind][largest].kib
        handshake_us = statistics.median(fanout.handshakes[kind].us)
        found[f"{kind}_cpu_us_per_handshake"] = handshake_us
        found[f"{kind}_handshakes_per_second_and_core"] = 1e6 / handshake_us
        found[f"{kind}_handshakes_per_second"] = statistics.median(fanout.handshakes[kind].per_second)
        for percent in (50, 99):
            waited = report.percentile(fanout.waited_ms[kind], percent)
            found[f"{kind}_answer_ms_p{percent}_while_casting"] = waited
    return found


def reach(found: dict[str, float]) -> dict[str, float]:
    """The most that each may be, of those that were measured."""
    limits = {
        "queue_per_client_ratio": 0.25,
        "socketio_ratio": 0.5,
        "ws_kib_per_idle_connection": 4,
        "sse_kib_per_idle_connection": 4,
        "ws_cpu_us_per_handshake": 200,  # 5,000 a second and core
        "sse_cpu_us_per_handshake": 125,  # 8,000 a second and core
    }
    for kind in OURS:
        for size in (1000, 5000, 10_000):
            limits[f"{kind}_cpu_ratio_to_floor_{size}"] = 1.15
        limits[f"{kind}_last_client_ratio_p50_10000"] = 1.3
        limits[f"{kind}_last_client_ratio_p99_10000"] = 2.0
        limits[f"{kind}_loop_hold_ms_10000"] = 10
    return {name: limit for name, limit in limits.items() if name in found}


def table(fanout: Fanout) -> Iterator[str]:
    """As Markdown, which a terminal shows well enough."""
    yield (
        "| viewers | server | CPU µs per delivery | times the floor | last viewer p50 / p99, ms "
        "| deliveries/s and core in a burst | KiB per viewer |"
    )
    yield "|---:|---|---:|---:|---:|---:|---:|"
    for size in fanout.sizes:
        floor = fanout.contenders["floor"].rows[size]
        for name in NAMES:
            if name in fanout.contenders:
                row = fanout.contenders[name].rows[size]
                yield (
                    f"| {size:,} | {NAMES[name]} | {row.cpu_us:.2f} | {row.times(floor):.2f} "
                    f"| {row.last(50):.1f} / {row.last(99):.1f} | {row.deliveries_per_core:,.0f} "
                    f"| {max(row.kib, 0):.1f} |"
                )


def viewers_keep_up(fanout: Fanout) -> Iterator[str]:
    """Whether what was measured is the server and not those who watch."""
    if not all(contender.swarm.is_fast for contender in fanout.contenders.values()):
        yield "No C compiler is here: the viewers are written in Python, and slower than what they watch."
    for size in fanout.sizes:
        rows = [contender.rows[size] for contender in fanout.contenders.values()]
        share = max(statistics.median(row.viewer_us) / row.cpu_us for row in rows)
        busy = max(max(fanout.contenders[kind].rows[size].burst_viewers_busy) for kind in OURS)
        yield (
            f"{size:,} viewers: a delivery takes them at most {share:.0%} of the time it takes the server; "
            f"in a burst of ours they are busy {busy:.0%} of the time"
        )


def write_docs(fanout: Fanout) -> None:
    """The table and the plot of docs/bench.md."""
    lines = {
        NAMES[name]: [(size, fanout.contenders[name].rows[size].cpu_us) for size in fanout.sizes]
        for name in NAMES
        if name in fanout.contenders
    }
    title = "What one delivery costs the server"
    svg = plot.draw(title, "viewers", "processor time, µs per delivery", lines)
    (DOCS / "bench-fanout.svg").write_text(svg)
    page = DOCS / "bench.md"
    begin, end = "<!-- fanout: written by bench/fanout.py --write -->\n", "<!-- end of fanout -->"
    before, _, rest_of_page = page.read_text().partition(begin)
    _, _, after = rest_of_page.partition(end)
    about = f"{report.machine()}, commit {report.commit()}; load average {cores.load()}."
    text = "\n".join([about, "", *table(fanout), "", *(f"- {line}" for line in viewers_keep_up(fanout)), ""])
    page.write_text(before + begin + text + end + after)


def main() -> int:
    parser = argparse.ArgumentParser(prog="statuswire bench fanout", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="to 1,000 viewers, within 45 s")
    parser.add_argument("--write", action="store_true", help="also write the table and the plot into docs/")
    arguments = parser.parse_args()
    server, others = cores.split()
    cores.pin(others)
    if server is None:
        print("This machine has one core: the server shares it with its viewers, and looks slow.")
    most = cores.allow_files() - 500
    sizes = tuple(size for size in (QUICK_SIZES if arguments.quick else SIZES) if size <= most)
    print(f"{sizes[-1]:,} viewers at most; load average {cores.load()}")
    rounds, handshakes = (QUICK_ROUNDS, QUICK_HANDSHAKES) if arguments.quick else (ROUNDS, HANDSHAKES)
    within = QUICK_SECONDS if arguments.quick else SECONDS
    fanout = Fanout(sizes, rounds, handshakes, within)
    if not report.ran(fanout.run(), within):
        return 1
    print("", *table(fanout), "", *viewers_keep_up(fanout), sep="\n")
    if arguments.write:
        write_docs(fanout)
    found = figures(fanout)
    report.close("fanout", found, reach(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
