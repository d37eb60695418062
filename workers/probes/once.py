"""`statuswire probe URL`: one probe of one target, and what took how long, for a person at a terminal."""

import asyncio
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Final

from app.domain.monitor import Monitor
from app.domain.result import Outcome, Result
from workers.probes import Probes
from workers.probes.equipment import PROBES

_FORMS: Final = (
    "https://example.org/, tcp://example.org:443, tls://example.org, dns://example.org or another kind"
)
_USERINFO: Final = re.compile(r"(?<=://)[^/?#]*@")
_WELL: Final = (Outcome.OK, Outcome.SLOW)


def probe_command(url: str, timeout: float = 10.0) -> int:
    """The exit code: 0 if all is well, 1 if not, 2 if there is nothing to look at."""
    monitor = as_monitor(url, timeout)
    if monitor is None:
        shown = _USERINFO.sub("***@", url) or "An empty URL"
        print(f"{shown} is nothing that can be probed; write it as {_FORMS}.", file=sys.stderr)
        return 2
    result = asyncio.run(_probe(monitor))
    print(table(url, result, datetime.now(UTC)))
    return 0 if result.outcome in _WELL else 1


def as_monitor(url: str, timeout: float) -> Monitor | None:
    kind, separator, rest = url.partition("://")
    kind = kind.lower()
    if not separator or not rest:
        return None
    if kind in ("http", "https"):
        return Monitor(key="once", kind="http", target=url, timeout=timeout)
    if kind in ("ws", "wss"):
        return Monitor(key="once", kind="websocket", target=url, timeout=timeout)
    if kind in PROBES and kind != "websocket":
        return Monitor(key="once", kind=kind, target=rest.rstrip("/"), timeout=timeout)
    return None


def table(url: str, result: Result, now: datetime) -> str:
    phases = result.phases
    rows = [
        ("outcome", f"{result.outcome}: {result.reason}" if result.reason else str(result.outcome)),
        ("detail", result.detail),
        ("address", result.address or ""),
        ("dns", _milliseconds(phases.dns)),
        ("connect", _milliseconds(phases.connect)),
        ("tls", _milliseconds(phases.tls)),
        ("first byte", _milliseconds(phases.first_byte)),
        ("rest", _milliseconds(phases.rest)),
        ("held by us", _milliseconds(phases.held or None)),
        ("total", _milliseconds(phases.total)),
        ("certificate", _until(result.certificate_until, now)),
    ]
    lines = [f"  {name:<12} {value}" for name, value in rows if value]
    return "\n".join([_without_password(url), *lines])


async def _probe(monitor: Monitor) -> Result:
    probes = Probes()
    try:
        await probes.warm_up()
        return await probes.probe(monitor)
    finally:
        await probes.close()


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:8.2f} ms"


def _until(until: datetime | None, now: datetime) -> str:
    if until is None:
        return ""
    days = (until - now) / timedelta(days=1)
    if days < 0:
        return f"ended {until:%Y-%m-%d %H:%M} UTC, {-days:.0f} days ago"
    return f"ends {until:%Y-%m-%d %H:%M} UTC, in {days:.0f} days"


def _without_password(url: str) -> str:
    return _USERINFO.sub("***@", url) if url.lower().startswith("http") else url
