"""Statuswire as the benchmarks run it: a real server on its own core, on a real Valkey, fed through
`Feed.announce`.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Self

from msgspec import Struct

from bench import cores
from bench.producer import BEAT, SLUG, Producer, status_file
from tests.conftest import eventually
from tests.services import Valkey, Web


class Ours:
    def __init__(self, valkey: Valkey, web: Web, producer: Producer) -> None:
        self.valkey = valkey
        self.web = web
        self.producer = producer

    @classmethod
    @asynccontextmanager
    async def serving(
        cls, core: int | None, environ: Mapping[str, str] | None = None, beat: float = BEAT, aof: bool = False
    ) -> AsyncIterator[Self]:
        """With a page of twenty components. `core` is the server's own; Valkey stays with the others."""
        given = {"STATUSWIRE_MAX_VIEWERS": "15000", "STATUSWIRE_BEAT": f"{beat:g}", **(environ or {})}
        with Valkey(aof=aof) as valkey, Web(valkey.start().url, **given) as web:
            (web.folder / "statuswire.yaml").write_text(status_file())
            await asyncio.to_thread(_start, web, core)
            async with Producer(valkey.url, beat) as producer:
                await eventually(lambda: SLUG.format(0) in web.get("/")[1].decode(), within=20)
                yield cls(valkey, web, producer)

    @property
    def pid(self) -> int:
        assert self.web.process is not None
        return self.web.process.pid

    @property
    def port(self) -> int:
        return self.web.port

    async def announce(self, changes: int = 1) -> int:
        """When it was said: nanoseconds, monotonic."""
        return await self.producer.announce(changes)

    async def restart(self, core: int | None) -> None:
        await asyncio.to_thread(_start, self.web, core, migrate=False)

    async def count(self, name: str) -> float:
        """A figure of /metrics with its labels, as it stands there; 0 before it was ever counted."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", await self._metrics(), re.MULTILINE)
        return float(found[1]) if found else 0.0

    async def held(self) -> "Held":
        """For how long casts have held the event loop until now."""
        name, text = "statuswire_cast_hold_seconds", await self._metrics()
        counts = re.findall(rf'^{name}_bucket{{le="([0-9.]+)"}} (\S+)$', text, re.MULTILINE)
        return Held({float(le): float(n) for le, n in counts}, await self.count(f"{name}_count"))

    async def _metrics(self) -> str:
        return (await asyncio.to_thread(self.web.get, "/metrics"))[1].decode()


class Held(Struct, frozen=True):
    """How often a cast held the loop for no longer than so many seconds, and how often at all."""

    at_most: Mapping[float, float]
    count: float

    def longest_since(self, before: "Held") -> float:
        """Seconds, rounded up to the next that is counted; ten times the last of these if it was longer."""
        times = self.count - before.count
        for seconds in sorted(self.at_most):
            if self.at_most[seconds] - before.at_most.get(seconds, 0.0) >= times:
                return seconds if times else 0.0
        return 10 * max(self.at_most, default=0.0)


def _start(web: Web, core: int | None, migrate: bool = True) -> None:
    with cores.on(core):
        web.start(migrate=migrate)
