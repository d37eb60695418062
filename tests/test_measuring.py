"""Whether what is measured is the target, and not the worker itself: the phases of a probe, and what of its
time our own loop has taken."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.instant import EPOCH
from app.domain.monitor import Monitor
from app.domain.result import Outcome, Phases, Result
from app.security.egress import Egress, Trail
from tests.services import ROOT
from tests.targets import OK, asking, certified, closed_port, listening, redirect, response, saying
from workers.patrol import is_late
from workers.probes import Probes
from workers.probes.run import Run

MILLISECONDS = st.floats(0.0, 0.02)


def parts(phases: Phases) -> list[float]:
    given = (phases.dns, phases.connect, phases.tls, phases.first_byte, phases.rest, phases.held)
    return [part for part in given if part is not None]


def adds_up(result: Result) -> bool:
    phases = result.phases
    if phases.total is None:
        return phases.rest is None
    return min(parts(phases)) >= 0.0 and sum(parts(phases)) == pytest.approx(phases.total, abs=1e-6)


async def probed(probes: Probes, url: str, kind: str = "http", **options: object) -> Result:
    return await probes.probe(Monitor(key=url, kind=kind, target=url, timeout=5.0, options=options))


@asynccontextmanager
async def stalling(every: float, lasting: float) -> AsyncIterator[None]:
    """A loop that stands still again and again."""

    async def stall() -> None:
        while True:
            await asyncio.sleep(every)
            time.sleep(lasting)  # noqa: ASYNC251

    stalls = asyncio.create_task(stall())
    try:
        yield
    finally:
        stalls.cancel()


def shaped(head: str) -> bytes:
    """/2 redirects to /1 and that to /0, whose body takes as many writes as it likes."""
    hops = int(head.split()[1].removeprefix("/"))
    return redirect(f"/{hops - 1}") if hops else response(b"x" * 10_000)


@settings(max_examples=25)
@given(
    hops=st.integers(0, 3),
    secure=st.booleans(),
    named=st.booleans(),
    every=MILLISECONDS,
    lasting=MILLISECONDS,
)
async def test_the_phases_add_up_to_the_total(
    probes: Probes, ca: trustme.CA, hops: int, secure: bool, named: bool, every: float, lasting: float
) -> None:
    """Over redirects, by TLS, by name, and with a loop that stands still now and then."""
    tls = certified(ca, "localhost", "127.0.0.1") if secure else None
    async with listening(asking(shaped), tls=tls) as target, stalling(every, lasting):
        host = "localhost" if named else "127.0.0.1"
        result = await probed(probes, f"http{'s' * secure}://{host}:{target.port}/{hops}")
    assert result.outcome is Outcome.OK, result
    assert adds_up(result), result.phases
    assert (result.phases.tls is not None) is secure


@pytest.mark.parametrize(
    ("kind", "behave"),
    [
        ("tcp", saying(OK)),
        ("http", saying(response(status="500 Oops"))),
        ("http", saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"x")),
        ("ssh", saying(b"SSH-2.0-x\r\n")),
    ],
)
async def test_they_add_up_for_other_kinds_and_bad_answers_too(
    probes: Probes, kind: str, behave: object
) -> None:
    async with listening(behave) as target:  # type: ignore[arg-type]
        place = target.url if kind == "http" else target.place
        assert adds_up(await probed(probes, place, kind))


async def test_they_add_up_through_a_proxy_and_over_both_families(probes: Probes) -> None:
    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)

    async with listening(proxy) as between:
        result = await probed(probes, "http://127.0.0.1:9/", proxy=between.url)
    assert result.outcome is Outcome.OK and adds_up(result), result
    # To be led there is a part of the way.
    assert result.phases.connect is not None and result.phases.connect > 0.04
    async with listening(saying(OK)) as four, listening(saying(OK), host="::1", port=four.port):
        result = await probed(probes, f"http://localhost:{four.port}/", ip="both")
    assert result.outcome is Outcome.OK and adds_up(result), result


async def test_what_was_measured_before_a_second_family_failed_is_no_total(probes: Probes) -> None:
    async with listening(saying(OK)) as target:
        result = await probed(probes, f"http://localhost:{target.port}/", ip="both")
    assert (result.outcome, result.took) == (Outcome.UNREACHABLE, None)


async def test_a_connection_takes_as_long_as_the_kernel_says_whatever_our_loop_does(probes: Probes) -> None:
    async with listening(saying(OK)) as target:
        probing = asyncio.create_task(probed(probes, f"{target.url}/"))
        while not target.visits and not probing.done():
            await asyncio.sleep(0)
            # It is connected in no time, and we come to see that late.
            time.sleep(0.03)  # noqa: ASYNC251
        result = await probing
    phases = result.phases
    assert phases.connect is not None and phases.connect < 0.01
    assert phases.held is not None and phases.held >= 0.02
    assert adds_up(result)


async def test_an_answer_that_the_kernel_held_for_us_came_when_it_came(probes: Probes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        probing = asyncio.create_task(probed(probes, f"http://127.0.0.1:{listener.getsockname()[1]}/"))
        listener.settimeout(2)
        peer, _ = await asyncio.to_thread(listener.accept)
        with peer:
            await asyncio.to_thread(peer.recv, 1000)
            peer.sendall(OK)
            time.sleep(0.1)  # noqa: ASYNC251
            result = await probing
    phases = result.phases
    assert phases.first_byte is not None and phases.held is not None
    assert phases.held > 0.05 > phases.first_byte
    assert adds_up(result)


async def test_a_packet_that_was_lost_on_the_way_is_held_against_the_path_and_not_against_us() -> None:
    """The kernel counts from the last SYN it sent. Of the second that the first one cost it says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(2)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        trail = Trail()
        connecting = asyncio.create_task(Egress().connect(*listener.getsockname(), trail, 5.0))
        await asyncio.sleep(0.3)
        for filler in fillers:
            filler.close()
        for _ in range(2):
            listener.settimeout(0.5)
            try:
                listener.accept()[0].close()
            except TimeoutError:
                break
        (await connecting).close()
    assert trail.connect is not None and trail.connect > 0.9
    assert trail.held == 0.0


async def test_who_refuses_takes_no_time(probes: Probes) -> None:
    with closed_port() as port:
        assert adds_up(await probed(probes, f"http://127.0.0.1:{port}/"))


def test_what_no_answer_came_to_has_no_total() -> None:
    run = Run(dns=0.1, connect=0.2)
    assert run.ended_badly(TimeoutError(), Monitor(key="m", kind="http", target="x")).phases == Phases(
        dns=0.1, connect=0.2
    )


def test_what_has_outlived_a_full_collection_is_spared_until_another_catalog_comes() -> None:
    told = """
import gc
from workers.lag import look_at_all, spare_what_stays

before = gc.get_freeze_count()  # Python 3.12 spares something itself
spare_what_stays()
gc.collect(1)
assert gc.get_freeze_count() == before
gc.collect()
assert gc.get_freeze_count() > 10_000
look_at_all()
assert gc.get_freeze_count() == 0
"""
    subprocess.run([sys.executable, "-c", told], cwd=ROOT, check=True)


@pytest.mark.parametrize(("held", "late"), [(None, False), (0.001, False), (0.0021, True)])
def test_what_the_kernel_held_for_us_says_nothing_of_a_fast_target(held: float | None, late: bool) -> None:
    phases = Phases(total=0.004, held=held)
    assert is_late(Result(at=EPOCH, outcome=Outcome.OK, phases=phases), 0.0, 0.0) is late
