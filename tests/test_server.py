"""How the process behind `statuswire web` stops: at once, in whatever moment of its start it is told to."""

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.live.peer import SEND_BUFFER, UNSENT_BYTES
from app.server import _listen
from tests.conftest import eventually
from tests.services import Statuswire, Valkey, Web

FILE = "components: [{name: Website, monitors: [{http: http://127.0.0.1:9}]}]\n"


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Valkey, Web]]:
    """A server that is not started, with tables; what it waits for in its start it waits for long."""
    # Coverage would listen to SIGTERM before the server does.
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
    monkeypatch.delenv("COVERAGE_PROCESS_START", raising=False)
    with Valkey() as valkey, Web(valkey.start().url, STATUSWIRE_BEAT="20") as web:
        (web.folder / "statuswire.yaml").write_text(FILE)
        web.bring_up_to_date()
        yield valkey, web


def listens_to(web: Web, signum: signal.Signals) -> bool:
    """Whether it has put a handler of its own in place."""
    assert web.process is not None and web.running, web.logs
    with suppress(OSError):
        for line in Path(f"/proc/{web.process.pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signum - 1) & 1)
    return False


def test_whom_the_server_lets_in_the_kernel_holds_little_for() -> None:
    """Said once to the socket that listens: each that is accepted inherits it."""
    with _listen("127.0.0.1", 0) as listening:
        listening.listen()
        with socket.create_connection(listening.getsockname()) as viewer:
            accepted, _ = listening.accept()
            with accepted:
                lowat = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
                held = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
                assert viewer.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) > held
    # Linux counts its own expense too, and doubles what it is told.
    assert (lowat, held) == (UNSENT_BYTES, 2 * SEND_BUFFER)


@pytest.mark.parametrize("after", [0.0, 0.1, 0.2, 0.4])
async def test_a_server_that_is_told_to_stop_while_it_starts_stops(
    parts: tuple[Valkey, Web], after: float
) -> None:
    _, web = parts
    Statuswire.start(web)
    await eventually(lambda: listens_to(web, signal.SIGTERM), within=30.0)
    await asyncio.sleep(after)

    assert await asyncio.to_thread(web.stop, 5.0) == 0
    assert "Traceback" not in web.logs


async def test_a_server_that_waits_for_redis_in_its_start_does_not_wait_when_it_is_told_to_stop(
    parts: tuple[Valkey, Web],
) -> None:
    valkey, web = parts
    Statuswire.start(web)
    await eventually(lambda: listens_to(web, signal.SIGTERM), within=30.0)
    valkey.pause()
    try:
        await asyncio.sleep(1.0)  # now it waits for Redis, and would for two and a half beats
        assert web.logs.count(f"page is at {web.url}/ as soon as") == 1
        assert await asyncio.to_thread(web.stop, 5.0) == 0
        assert "Traceback" not in web.logs
    finally:
        valkey.resume()
