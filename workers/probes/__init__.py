"""How each protocol is probed: one module for each kind of `app/domain/kinds/`, found by its name. To add
one, write its words there and its probe here.

Whatever happens to a probe, what comes out is a Result: this room never raises.
"""

import asyncio
from importlib import import_module
from pkgutil import iter_modules
from typing import Final

import structlog

from app.domain import kinds
from app.domain.monitor import Monitor
from app.domain.result import Result
from workers.probes.equipment import PROBES, Equipment, Probe
from workers.probes.run import FORESEEN, Run, Unfit

_here = {module.name for module in iter_modules(__path__)}
_kinds = [module.name for module in iter_modules(kinds.__path__)]
for _kind in _kinds:
    if _kind in _here:
        import_module(f"{__name__}.{_kind}")

# Kinds without a module here are pushed to us, or made of others: workers have nothing to do for them.
UNPROBED: Final = frozenset(_kinds) - _here

log = structlog.get_logger(__name__)


class Probes:
    """One of each, with the equipment they share. `probe` may run many times at once, though not for one
    monitor."""

    def __init__(self, equipment: Equipment | None = None) -> None:
        self._equipment = equipment or Equipment()
        self._probes = {kind: create(self._equipment) for kind, create in PROBES.items()}

    async def probe(self, monitor: Monitor) -> Result:
        run = Run(timeout=monitor.timeout)
        try:
            async with asyncio.timeout(monitor.timeout):
                for run.family in _families(monitor):
                    run.total = None
                    await self._of(monitor.kind).probe(monitor, run)
            return run.ended_well(monitor.expect)
        except Exception as error:
            if not isinstance(error, FORESEEN):
                log.exception("a probe failed by a fault of Statuswire itself", monitor=monitor.key)
            return run.ended_badly(error, monitor)

    async def warm_up(self) -> None:
        """One probe of ourselves. Without it the first target would be said to be slow by all that Python
        imports at the first request, 40 ms."""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            await self.probe(Monitor(key="", kind="http", target=f"http://localhost:{port}/", timeout=1.0))
        self.forget("")

    def forget(self, key: str) -> None:
        """Let go of what was prepared for a monitor that is gone, or is another one now."""
        for probe in self._probes.values():
            probe.forget(key)

    async def close(self) -> None:
        for probe in self._probes.values():
            await probe.close()
        await self._equipment.egress.close()

    def _of(self, kind: str) -> Probe:
        if kind not in self._probes:
            raise Unfit(f"This worker knows no way to probe {kind}; it may be older than the config.")
        return self._probes[kind]


def _families(monitor: Monitor) -> tuple[str, ...]:
    family = monitor.options.get("ip", "any")
    return ("4", "6") if family == "both" else (family,)
