"""Statuswire as the benchmarks run it: a real server on its own core, on a real Valkey, fed through
`Feed.announce`.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Self

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
        _, text = await asyncio.to_thread(self.web.get, "/metrics")
        found = re.search(rf"^{re.escape(name)} (\S+)$", text.decode(), re.MULTILINE)
        return float(found[1]) if found else 0.0


def _start(web: Web, core: int | None, migrate: bool = True) -> None:
    with cores.on(core):
        web.start(migrate=migrate)
