"""Hostile targets, all at once: a worker's memory stays, and who behaves is looked at in time."""

import asyncio
import gzip
import json
import os
import sys
import zlib
from contextlib import AsyncExitStack

import pytest

from tests.services import ROOT
from tests.targets import OK, Behaviour, listening, repeating, saying

AT_ONCE = 12  # of each: 144 in all
MOST_MIB = 32
# Seconds of processor time between two turns of another probe: 0.08, and several times that where coverage
# is counted on a busy machine.
MOST_HELD = 0.6

BLANKS = bytes(1 << 20)
FINE = b"HTTP/1.1 200 OK\r\n"
CHUNKED = FINE + b"Transfer-Encoding: chunked\r\n\r\n"


def bomb(encoding: str) -> Behaviour:
    """A body of 64 MiB, in 64 KiB, or in less than one if it is packed twice."""
    press = zlib.compressobj(9, wbits=31)
    body = b"".join(press.compress(BLANKS) for _ in range(64)) + press.flush()
    if encoding == "gzip, gzip":
        body = gzip.compress(body)
    return saying(
        FINE + f"Content-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )


def hostile() -> dict[str, Behaviour]:
    """Made when they are asked for: to pack the bombs takes a second."""
    return {
        "a bomb": bomb("gzip"),
        "a bomb in a bomb": bomb("gzip, gzip"),
        "brotli, unasked": bomb("br"),
        "zstd, unasked": bomb("zstd"),
        "endless": repeating(FINE + b"\r\n", bytes(65536)),
        "endless behind an end": repeating(
            FINE + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(BLANKS), bytes(65536)
        ),
        "tiny chunks": repeating(CHUNKED, b"2\r\nxx\r\n" * 8192),
        "dripping": repeating(FINE + b"\r\n" + bytes(900_000), b"x", pause=0.05),
        "dripping head": repeating(FINE + b"X: ", b"x", pause=0.05),
        "many headers": repeating(FINE, b"X-A: b\r\n" * 512),
        "long header": repeating(FINE + b"X: ", b"x" * 65536),
        "interim": repeating(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 512),
    }


_WORKER = """
import asyncio, gc, json, sys, time
from pathlib import Path
from app.domain.monitor import Expect, Monitor
from workers.probes import Probes

def resident(field):
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith(field)))

async def main(hostile, honest, at_once):
    probes = Probes()
    expect = Expect(body="not there")
    monitors = [
        Monitor(key=f"{name} {n}", kind="http", target=url, timeout=4.0, expect=expect)
        for n in range(at_once) for name, url in hostile.items()
    ]
    good = Monitor(key="good", kind="http", target=honest, timeout=2.0, expect=Expect(body="ok"))
    for monitor in [good] * 50 + monitors[:1]:
        await probes.probe(monitor)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before, took, held = resident("VmRSS"), [], []
    jobs = [asyncio.create_task(probes.probe(monitor)) for monitor in monitors]
    async def count():
        while True:
            began = time.process_time()
            await asyncio.sleep(0.001)
            held.append(time.process_time() - began)

    counting = asyncio.create_task(count())
    while not all(job.done() for job in jobs):
        began = time.perf_counter()
        assert (await probes.probe(good)).outcome == "ok"
        took.append(time.perf_counter() - began)
        await asyncio.sleep(0.01)
    counting.cancel()
    grown = (resident("VmHWM") - before) / 1024
    verdicts = {}
    for monitor, job in zip(monitors, jobs):
        name = monitor.key.rpartition(" ")[0]
        verdicts.setdefault(name, []).append(f"{job.result().outcome} {job.result().reason}")
    verdicts = {name: sorted(set(said)) for name, said in verdicts.items()}
    print(json.dumps({"grown": grown, "slowest": max(took), "held": max(held), "verdicts": verdicts}))

asyncio.run(main(json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much memory a process has had")
async def test_what_is_hostile_costs_a_worker_32_mib_at_most_and_delays_nobody() -> None:
    async with AsyncExitStack() as stack:
        urls = {
            name: (await stack.enter_async_context(listening(behave))).url
            for name, behave in hostile().items()
        }
        honest = await stack.enter_async_context(listening(saying(OK)))
        words = [sys.executable, "-c", _WORKER, json.dumps(urls), honest.url, str(AT_ONCE)]
        run = await asyncio.create_subprocess_exec(
            *words, cwd=ROOT, stdout=asyncio.subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
        said, _ = await asyncio.wait_for(run.communicate(), 60)
    found = json.loads(said)
    print(
        f"grown by {found['grown']:.1f} MiB, the slowest of the others took {found['slowest']:.2f} s, "
        f"held for {found['held']:.2f} s"
    )
    assert found["grown"] <= MOST_MIB
    assert found["held"] <= MOST_HELD
    for name, verdicts in found["verdicts"].items():
        # Or it never got its turn, which says nothing of it.
        assert all(each.startswith("fail ") or each == "inconclusive worker" for each in verdicts), (
            name,
            verdicts,
        )
