"""What all benchmarks have in common: percentiles, and the line of JSON at the end."""

import argparse
import asyncio
import json
import math
import os
import platform
import subprocess
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from bench import cores

ROOT = Path(__file__).resolve().parent.parent


def percentile(values: Sequence[float], percent: float) -> float:
    """By nearest rank, so that it is a value that occurred."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def machine() -> str:
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return f"{os.cpu_count()} x {model}, {platform.system()}, Python {platform.python_version()}"


def commit() -> str:
    answer = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or "unknown"


def ran(story: Coroutine[Any, Any, None], within: float) -> bool:
    """False, and a sentence on it, if it did not come to an end in that many seconds."""
    try:
        asyncio.run(asyncio.wait_for(story, within))
    except TimeoutError:
        print(f"This machine is too busy: nothing came of it in {within} s, load average {cores.load()}.")
        return False
    return True


class Bench(Protocol):
    figures: dict[str, float]

    async def run(self) -> None: ...


def quick(name: str, doc: str | None, less: str) -> bool:
    """Whether `--quick` was asked for, which makes `less`."""
    parser = argparse.ArgumentParser(prog=f"statuswire bench {name}", description=doc)
    parser.add_argument("--quick", action="store_true", help=less)
    return bool(parser.parse_args().quick)


def told(
    name: str,
    what: str,
    bench: Bench,
    within: float,
    reach: Mapping[str, float],
    at_least: Mapping[str, float] = MappingProxyType({}),
) -> int:
    """Run it and print its figures; the status of the process. `what` is measured is said before."""
    print(f"{what}; load average {cores.load()}")
    if not ran(bench.run(), within):
        return 1
    print(f"load average {cores.load()}")
    close(name, bench.figures, reach, at_least)
    return 0


def close(
    bench: str,
    figures: Mapping[str, float],
    reach: Mapping[str, float],
    at_least: Mapping[str, float] = MappingProxyType({}),
) -> None:
    """`reach` names for some of the figures the most they may be, `at_least` the least."""
    missed = {name for name, limit in reach.items() if figures[name] > limit}
    missed |= {name for name, limit in at_least.items() if figures[name] < limit}
    width = max(map(len, figures))
    print()
    for name, value in figures.items():
        limit = f"   reach <= {reach[name]:g}" if name in reach else ""
        limit += f"   reach >= {at_least[name]:g}" if name in at_least else ""
        print(f"  {name:<{width}}  {value:10.2f}{limit}{'   MISSED' if name in missed else ''}")
    print()
    print(
        json.dumps(
            {
                "bench": bench,
                "commit": commit(),
                "machine": machine(),
                "figures": {name: round(value, 3) for name, value in figures.items()},
                "reach": dict(reach),
                "at_least": dict(at_least),
                "ok": not missed,
            }
        )
    )
