"""What one probe costs the worker: processor time, for HTTP and for HTTPS, each on a new connection, beside
the least that Python can do, httpx and aiohttp as people use them, and two others who do this for a living.

Processor time, and not how many a second: all have one core in turn, and whoever waits does no work.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, TypeAlias

import trustme

from bench import cores, report
from bench.peers import Missing
from bench.peers.probers import Prober, create
from bench.target import Target, answering

SCHEMES: Final = ("http", "https")
NAMES: Final = {
    "ours": "Statuswire",
    "floor": "asyncio.Protocol loop (the floor)",
    "curl": "pycurl's AsyncCurlMulti",
    "aiohttp_session": "aiohttp, one session",
    "httpx_client": "httpx, one client",
    "httpx_each": "httpx, a client for each probe",
    "blackbox": "blackbox_exporter",
    "kuma": "axios as Uptime Kuma has it",
}
# In each round; some tenths of a second of work for each of them.
PROBES: Final = {
    "http": {"ours": 2000, "floor": 4000, "curl": 3000, "aiohttp_session": 1000, "httpx_client": 500}
    | {"httpx_each": 20, "blackbox": 800, "kuma": 500},
    "https": {"ours": 400, "floor": 400, "curl": 400, "aiohttp_session": 300, "httpx_client": 200}
    | {"blackbox": 400, "kuma": 150},
}
ROUNDS, QUICK_ROUNDS = 15, 3
SECONDS, QUICK_SECONDS = 200, 43
MARGIN: Final = 2.0

# How many probes we make in the processor time in which they make one.
COMPARED: Final = {
    "socket_loop": "floor",
    "plain_httpx": "httpx_client",
    "httpx_client_each": "httpx_each",
    "aiohttp": "aiohttp_session",
    "curl": "curl",
    "blackbox": "blackbox",
    "kuma": "kuma",
}
AT_LEAST: Final = {
    "http_ratio_to_socket_loop": 0.45,
    "http_ratio_to_plain_httpx": 4.0,
    "http_ratio_to_blackbox": 1.5,
    "https_ratio_to_socket_loop": 0.85,
    "https_ratio_to_plain_httpx": 1.5,
    "https_ratio_to_blackbox": 1.0,
    "https_ratio_to_kuma": 3.0,
}

Probers: TypeAlias = dict[str, dict[str, Prober]]


async def measure(target: Target, cafile: Path, rounds: int, until: float, found: Probers) -> None:
    """All rounds, or as many as there is time for, and one at least."""
    core, _ = cores.split()
    async with AsyncExitStack() as stack:
        for scheme in SCHEMES:
            for name in PROBES[scheme]:
                try:
                    prober = create(name, target.url(scheme), cafile, core)
                    found[scheme][name] = await stack.enter_async_context(prober)
                except Missing as why:
                    print(f"{scheme}: {NAMES[name]} is left out: {why}.")
        took = 0.0
        for _ in range(rounds):
            began = time.monotonic()
            if began + took > until:
                break
            for scheme in SCHEMES:
                for name, prober in found[scheme].items():
                    await prober.probe(PROBES[scheme][name])
            took = time.monotonic() - began


def ratio(ours: Prober, theirs: Prober) -> float:
    """Round by round: what is compared was measured within a few seconds."""
    return statistics.median(their / our for our, their in zip(ours.us, theirs.us, strict=True))


def figures(found: Probers) -> dict[str, float]:
    figures = {}
    for scheme, probers in found.items():
        ours = probers["ours"]
        figures[f"{scheme}_probes_per_cpu_second"] = 1e6 / statistics.median(ours.us)
        for word, name in COMPARED.items():
            if name in probers:
                figures[f"{scheme}_ratio_to_{word}"] = ratio(ours, probers[name])
    return figures


def table(found: Probers) -> Iterator[str]:
    """As Markdown, which a terminal shows well enough."""
    yield "| | CPU µs per HTTP probe | a second and core | ours are | HTTPS | a second and core | ours are |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for name, words in NAMES.items():
        cells = [cell for scheme in SCHEMES for cell in _cells(found[scheme], name)]
        if any(cells):
            yield f"| {words} | {' | '.join(cells)} |"


def _cells(probers: dict[str, Prober], name: str) -> tuple[str, str, str]:
    if name not in probers:
        return "", "", ""
    us = statistics.median(probers[name].us)
    times = "" if name == "ours" else f"{ratio(probers['ours'], probers[name]):.2f} times"
    return f"{us:,.0f}", f"{1e6 / us:,.0f}", times


def run(rounds: int, within: float, found: Probers) -> bool:
    until = time.monotonic() + within
    with tempfile.TemporaryDirectory(prefix="sw-bench-") as folder:
        certificate, cafile = Path(folder, "target.pem"), Path(folder, "ca.pem")
        ca = trustme.CA()
        ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
        ca.cert_pem.write_to_path(str(cafile))
        with answering(cores.split()[1], certificate) as target:
            story = measure(target, cafile, rounds, until - MARGIN, found)
            return report.ran(story, until - time.monotonic())


def main() -> int:
    parser = argparse.ArgumentParser(prog="statuswire bench probes", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds instead of {ROUNDS}")
    quick = parser.parse_args().quick
    cores.pin(cores.split()[1])
    cores.allow_files()
    cores.go_first()
    rounds, within = (QUICK_ROUNDS, QUICK_SECONDS) if quick else (ROUNDS, SECONDS)
    print(f"up to {rounds} rounds; load average {cores.load()}")
    found: Probers = {scheme: {} for scheme in SCHEMES}
    if not run(rounds, within, found):
        return 1
    rounds = len(found["http"]["ours"].us)
    print("", *table(found), "", f"{rounds} rounds; load average {cores.load()}", sep="\n")
    here = figures(found)
    at_least = {name: least for name, least in AT_LEAST.items() if name in here}
    report.close("probes", here, {}, at_least)
    return 0


if __name__ == "__main__":
    sys.exit(main())
