"""icmp: whichever way this machine lets us ping, and a clear word where it does not."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from app.domain.monitor import Monitor
from app.domain.result import Result
from tests.services import ROOT
from workers.probes import Probes
from workers.probes.equipment import Equipment
from workers.probes.icmp import Icmp
from workers.probes.run import Failed, Run


@pytest.fixture(scope="module")
async def probes() -> AsyncIterator[Probes]:
    probes = Probes()
    yield probes
    await probes.close()


async def look(probes: Probes, target: str, timeout: float = 0.5) -> Result:
    return await probes.probe(Monitor(key="m", kind="icmp", target=target, timeout=timeout))


@pytest.mark.parametrize(
    ("target", "address"),
    [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("[::1]", "::1"), ("localhost", None)],
)
async def test_a_host_that_is_there_answers(probes: Probes, target: str, address: str | None) -> None:
    result = await look(probes, target)
    if result.reason == "not permitted":
        assert "net.ipv4.ping_group_range" in result.detail and "setcap cap_net_raw+ep" in result.detail
        pytest.skip("this machine permits no ping")
    assert (result.outcome, result.reason) == ("ok", "")
    assert result.took is not None and result.took < 0.5
    assert address is None or result.address == address


async def test_many_pings_at_once_each_get_their_own_answer(probes: Probes) -> None:
    results = await asyncio.gather(*(look(probes, f"127.0.0.{last}") for last in range(1, 101)))
    if results[0].reason == "not permitted":
        pytest.skip("this machine permits no ping")
    assert {result.outcome for result in results} == {"ok"}
    assert len({result.address for result in results}) == 100


async def test_of_several_pings_the_mean_counts_and_the_loss_is_bounded(probes: Probes) -> None:
    monitor = Monitor(key="m", kind="icmp", target="127.0.0.1", timeout=0.5, options={"count": 5})
    result = await probes.probe(monitor)
    if result.reason == "not permitted":
        pytest.skip("this machine permits no ping")
    assert (result.outcome, result.reason) == ("ok", "")
    assert result.took is not None and result.took < 0.05  # though the five took 0.2 s


@pytest.mark.parametrize(
    ("lost", "loss", "outcome"),
    [(0, 0.0, "ok"), (1, 25.0, "ok"), (1, 20.0, "loss"), (3, 75.0, "ok"), (4, 100.0, "timeout")],
)
async def test_lost_pings_are_counted(lost: int, loss: float, outcome: str) -> None:
    """Against a host that answers some: the pinger is ours to drive, the wire is not."""
    probes = Probes()
    words = {"count": 4, "loss": loss}
    monitor = Monitor(key="m", kind="icmp", target="127.0.0.1", timeout=0.4, options=words)
    icmp = Icmp(Equipment())
    if (await look(probes, "127.0.0.1")).reason == "not permitted":
        pytest.skip("this machine permits no ping")
    pinger = icmp._pinger(socket.AF_INET)
    hear, heard = pinger._hear, 0

    def lossy() -> None:
        nonlocal heard
        heard += 1
        if heard <= lost:
            pinger._socket.recv(2048)
        else:
            hear()

    asyncio.get_running_loop().add_reader(pinger._socket.fileno(), lossy)
    run = Run(timeout=0.4)
    try:
        await icmp.probe(monitor, run)
        assert outcome == "ok"
    except (Failed, TimeoutError) as error:
        assert getattr(error, "reason", "timeout") == outcome
    await icmp.close()
    await probes.close()


async def test_what_may_not_be_pinged_is_not(probes: Probes) -> None:
    assert (await look(probes, "169.254.169.254")).reason == "not permitted"
    assert (await look(probes, "nowhere.invalid")).reason == "dns"


# Run as another process, which can give up rights, or have a network of its own, without us losing ours.
_ELSEWHERE = """
import asyncio, json, sys
from app.domain.monitor import Monitor
from workers.probes import Probes

async def main():
    probes = Probes()
    results = []
    for target in ("127.0.0.1", "127.0.0.1", "192.0.2.1"):
        result = await probes.probe(Monitor(key="m", kind="icmp", target=target, timeout=0.3))
        results.append([result.outcome, result.reason, result.detail])
    await probes.close()
    print(json.dumps(results))

{before}
asyncio.run(main())
"""

_AS_NOBODY = "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534)"

_OWN_NETWORK = """
import ctypes, fcntl, os, socket, struct
if ctypes.CDLL(None).unshare(0x40000000):
    print("null"); sys.exit()
with socket.socket() as any:
    fcntl.ioctl(any, 0x8914, struct.pack("16sH14s", b"lo", 0x41, b""))
with open("/proc/sys/net/ipv4/ping_group_range", "w") as file:
    file.write("{group} {group}")
"""


def elsewhere(before: str) -> list[list[str]] | None:
    code = _ELSEWHERE.replace("{before}", before)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give up rights")


def test_without_the_right_to_ping_the_result_says_what_to_do() -> None:
    needs_root()
    answers = elsewhere(_OWN_NETWORK.replace("{group}", "1") + _AS_NOBODY)
    if answers is None:
        pytest.skip("no network of one's own may be made here")
    for outcome, reason, detail in answers:
        assert (outcome, reason) == ("inconclusive", "not permitted")
        assert "sysctl -w net.ipv4.ping_group_range='0 2147483647'" in detail
        assert "setcap cap_net_raw+ep /" in detail


def test_where_everybody_may_ping_no_right_is_needed() -> None:
    needs_root()
    answers = elsewhere(_OWN_NETWORK.replace("{group}", "65534") + _AS_NOBODY)
    if answers is None:
        pytest.skip("no network of one's own may be made here")
    assert [(outcome, reason) for outcome, reason, _ in answers] == [
        ("ok", ""),
        ("ok", ""),
        ("unreachable", "no route"),
    ]


def test_a_host_that_is_silent_times_out() -> None:
    """In a network of its own, where nobody answers on this address."""
    needs_root()
    answers = elsewhere(
        _OWN_NETWORK.replace("{group}", "0")
        + "open('/proc/sys/net/ipv4/icmp_echo_ignore_all', 'w').write('1')"
    )
    if answers is None:
        pytest.skip("no network of one's own may be made here")
    assert [(outcome, reason) for outcome, reason, _ in answers[:2]] == [("unreachable", "timeout")] * 2
