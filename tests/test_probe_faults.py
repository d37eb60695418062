"""Our own faults: whatever goes wrong on this side says nothing of the target."""

import errno
import os
import resource
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from app.domain.monitor import Monitor
from app.domain.result import Outcome
from tests.targets import OK, listening, saying, serving_names
from workers.probes import PROBES, Probes
from workers.probes.equipment import Probe
from workers.probes.run import REASONS, Run

MONITOR = Monitor(key="m", kind="http", target="http://127.0.0.1/")


@pytest.fixture
async def probes() -> AsyncIterator[Probes]:
    probes = Probes()
    yield probes
    await probes.close()


@contextmanager
def no_free_descriptor() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_without_a_free_descriptor_nobody_is_said_to_be_down(probes: Probes) -> None:
    async with listening(saying(OK)) as target, serving_names({"site.test": ["A 192.0.2.1"]}) as zone:
        monitors = [
            Monitor(key="http", kind="http", target=f"{target.url}/", timeout=1.0),
            Monitor(key="name", kind="http", target="http://nobody-asked-before.invalid/", timeout=1.0),
            Monitor(key="tcp", kind="tcp", target=target.place, timeout=1.0),
            Monitor(key="dns", kind="dns", target=f"site.test@{zone.place}", timeout=1.0),
            Monitor(key="icmp", kind="icmp", target="127.0.0.1", timeout=1.0),
        ]
        await probes.warm_up()
        with no_free_descriptor():
            results = [await probes.probe(monitor) for monitor in monitors]
        assert [(result.outcome, result.reason) for result in results] == [("inconclusive", "worker")] * 5
        assert "Too many open files" in results[0].detail
        assert (await probes.probe(monitors[0])).outcome == "ok"


async def test_a_bug_in_a_probe_is_inconclusive_and_logged_with_its_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(Probe):
        async def probe(self, monitor: Monitor, run: Run) -> None:
            raise ZeroDivisionError("oh dear")

    monkeypatch.setitem(PROBES, "broken", Broken)
    probes = Probes()
    result = await probes.probe(Monitor(key="m", kind="broken", target="x"))
    await probes.close()
    assert (result.outcome, result.reason) == ("inconclusive", "worker")
    assert "ZeroDivisionError" in result.detail and "oh dear" not in result.detail
    logged = capsys.readouterr()
    assert "oh dear" in logged.out + logged.err


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (MemoryError(), Outcome.INCONCLUSIVE, "worker"),
        (OSError(errno.ENOBUFS, "No buffer space available"), Outcome.INCONCLUSIVE, "worker"),
        (OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), Outcome.INCONCLUSIVE, "worker"),
        (OSError(errno.EPERM, "Operation not permitted"), Outcome.INCONCLUSIVE, "not permitted"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), Outcome.UNREACHABLE, "no route"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), Outcome.UNREACHABLE, "no route"),
        (OSError(errno.EHOSTDOWN, "Host is down"), Outcome.UNREACHABLE, "no route"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), Outcome.UNREACHABLE, "refused"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset"), Outcome.UNREACHABLE, "reset"),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), Outcome.UNREACHABLE, "timeout"),
        (ssl.SSLError(1, "[SSL: TLSV1_ALERT_INTERNAL_ERROR] oh"), Outcome.FAIL, "tls"),
    ],
    ids=repr,
)
def test_each_error_says_of_the_target_only_what_it_can(error: Exception, outcome: str, reason: str) -> None:
    result = Run().ended_badly(error, MONITOR)
    assert (result.outcome, result.reason) == (outcome, reason)
    assert result.detail.endswith(".") and result.reason in REASONS


def test_a_cut_before_there_is_an_answer_blames_whoever_was_reached() -> None:
    error = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
    blamed = {
        stage: Run(stage=stage).ended_badly(error, MONITOR).outcome for stage in ("connect", "tls", "rest")
    }
    assert blamed == {"connect": "unreachable", "tls": "fail", "rest": "fail"}


def test_every_reason_has_words_for_people() -> None:
    assert all(reason == reason.strip().lower() and words for reason, words in REASONS.items())


async def test_the_first_target_is_not_said_to_be_slow_for_what_python_loads(probes: Probes) -> None:
    await probes.warm_up()
    async with listening(saying(OK)) as target:
        result = await probes.probe(Monitor(key="m", kind="http", target=f"{target.url}/"))
    assert result.took is not None and result.took < 0.05
