"""`statuswire probe URL`, as a person sees it."""

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest

from app.domain.result import Outcome, Phases, Result
from tests.targets import OK, Target, closed_port, listening, saying
from workers.probes.once import as_monitor, probe_command, table

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    """In a thread of its own, for the command has an event loop of its own."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    context = listening(saying(OK))
    try:
        yield asyncio.run_coroutine_threadsafe(context.__aenter__(), loop).result(5)
    finally:
        asyncio.run_coroutine_threadsafe(context.__aexit__(None, None, None), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_a_good_target_is_a_table_and_exit_code_0(target: Target, capsys: pytest.CaptureFixture[str]) -> None:
    assert probe_command(f"{target.url}/") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{target.url}/"
    assert [line.split()[0] for line in lines[1:]] == [
        "outcome",
        "address",
        "dns",
        "connect",
        "first",
        "rest",
        "held",
        "total",
    ]
    assert re.fullmatch(r"  total +\d+\.\d\d ms", lines[-1])


def test_a_bad_target_says_why_and_is_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    with closed_port() as port:
        assert probe_command(f"tcp://127.0.0.1:{port}", timeout=1.0) == 1
    out = capsys.readouterr().out
    assert "outcome      unreachable: refused" in out and "The connection was refused" in out


@pytest.mark.parametrize(
    "url", ["", "example.org", "://x", "http://", "ftp://example.org", "push://x", "websocket://x"]
)
def test_what_cannot_be_probed_is_one_sentence_and_exit_code_2(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert probe_command(url) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and "https://example.org/" in captured.err


@pytest.mark.parametrize(
    ("url", "kind", "target"),
    [
        ("HTTPS://a.test/x", "http", "HTTPS://a.test/x"),
        ("tcp://a.test:1", "tcp", "a.test:1"),
        ("tls://a.test/", "tls", "a.test"),
        ("dns://a.test@127.0.0.1:53", "dns", "a.test@127.0.0.1:53"),
        ("icmp://[::1]", "icmp", "[::1]"),
        ("redis://a.test", "redis", "a.test"),
        ("wss://a.test/x", "websocket", "wss://a.test/x"),
        ("domain://a.test", "domain", "a.test"),
    ],
)
def test_each_form_is_a_monitor(url: str, kind: str, target: str) -> None:
    monitor = as_monitor(url, 3.0)
    assert monitor is not None and (monitor.kind, monitor.target, monitor.timeout) == (kind, target, 3.0)


def test_the_table_tells_when_a_certificate_ends_and_no_password() -> None:
    result = Result(
        at=NOW, outcome=Outcome.SLOW, phases=Phases(tls=0.012), reason="certificate", detail="Soon."
    )
    for days, words in ((5, "in 5 days"), (-3, "3 days ago")):
        until = NOW + timedelta(days=days)
        ending = Result(at=NOW, outcome=result.outcome, phases=result.phases, certificate_until=until)
        lines = table("https://user:secret@a.test/?x=b@c", ending, NOW).splitlines()
        assert lines[0] == "https://***@a.test/?x=b@c"
        assert words in lines[-1] and lines[-2] == "  tls             12.00 ms"
