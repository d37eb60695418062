"""The embedded Valkey answers at once, keeps what it was told, and never stays behind."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.embedded import Embedded, StartError, server_binary, tethered
from tests.services import ROOT, alive


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[Embedded]:
    server = Embedded(tmp_path)
    await server.start()
    yield server
    await server.stop()


async def _get(url: str, key: str) -> bytes | None:
    async with Redis.from_url(url) as client:
        value: bytes | None = await client.get(key)
        return value


async def _pid(url: str) -> int:
    async with Redis.from_url(url) as client:
        return int((await client.info("server"))["process_id"])


async def _set(url: str, key: str, value: str) -> None:
    async with Redis.from_url(url) as client:
        await client.set(key, value)
        # Until the operating system has it: what kill -9 of Valkey alone cannot take back.
        await client.execute_command("WAITAOF", 1, 0, 2000)


async def test_it_answers_when_start_returns(embedded: Embedded) -> None:
    await _set(embedded.url, "a", "1")
    assert await _get(embedded.url, "a") == b"1"


async def test_it_listens_on_a_socket_that_is_ours_alone(embedded: Embedded, tmp_path: Path) -> None:
    socket = tmp_path / "redis" / "valkey.sock"
    if str(socket) in embedded.url:
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    async with Redis.from_url(embedded.url) as client:
        said = await client.config_get("port", "appendonly", "appendfsync", "maxmemory-policy", "save")
    expected = {"port": "0", "appendonly": "yes", "appendfsync": "everysec"}
    assert said == expected | {"maxmemory-policy": "noeviction", "save": ""}


async def test_it_keeps_what_it_knew_over_a_stop(tmp_path: Path) -> None:
    for value in (None, b"1"):
        server = Embedded(tmp_path)
        await server.start()
        assert await _get(server.url, "a") == value
        async with Redis.from_url(server.url) as client:
            await client.set("a", "1")
        await server.stop()


async def test_it_keeps_what_it_knew_over_a_kill_and_starts_again(embedded: Embedded) -> None:
    await _set(embedded.url, "a", "1")
    embedded.kill()
    assert await embedded.wait() == -signal.SIGKILL
    await embedded.start()
    assert await _get(embedded.url, "a") == b"1"


async def test_a_half_written_last_command_is_cut_off(embedded: Embedded, tmp_path: Path) -> None:
    await _set(embedded.url, "a", "1")
    embedded.kill()
    await embedded.wait()
    with _log_file(tmp_path).open("ab") as log:
        log.write(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1")
    await embedded.start()
    assert await _get(embedded.url, "a") == b"1"


async def test_a_spoilt_log_is_one_clear_sentence(embedded: Embedded, tmp_path: Path) -> None:
    await _set(embedded.url, "a", "1")
    embedded.kill()
    await embedded.wait()
    spoilt = b"rubbish\r\n" + _log_file(tmp_path).read_bytes()
    _log_file(tmp_path).write_bytes(spoilt)
    with pytest.raises(StartError, match=r"in .*redis did not start: .*[Bb]ad file format"):
        await embedded.start()


def _log_file(data: Path) -> Path:
    return next((data / "redis" / "appendonlydir").glob("*.incr.aof"))


async def test_two_on_one_data_directory_is_one_clear_sentence(embedded: Embedded, tmp_path: Path) -> None:
    with pytest.raises(StartError, match=f"Another Statuswire is using the data directory {tmp_path};"):
        await Embedded(tmp_path).start()
    assert embedded.running


async def test_a_data_directory_that_is_a_file_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(
        StartError, match=r"The data directory .*/data cannot be used: Not a directory; make it"
    ):
        await Embedded(tmp_path / "data").start()


async def test_a_path_too_long_for_a_socket_goes_to_a_private_folder(tmp_path: Path) -> None:
    server = Embedded(tmp_path / ("long" * 30))
    await server.start()
    socket = Path(server.url.removeprefix("unix://"))
    assert len(str(socket)) <= 107
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    await server.stop()
    assert not socket.parent.exists()


async def test_a_blank_in_the_path_survives_the_url(tmp_path: Path) -> None:
    server = Embedded(tmp_path / "my data %20")
    await server.start()
    await _set(server.url, "a", "1")
    await server.stop()


async def test_a_server_that_hangs_is_killed(embedded: Embedded) -> None:
    os.kill(await _pid(embedded.url), signal.SIGSTOP)
    await embedded.stop(patience=0.1)
    assert not embedded.running


_HOLD = """
import asyncio, sys
from pathlib import Path
from app.embedded import Embedded

async def hold():
    server = Embedded(Path(sys.argv[1]))
    await server.start()
    print(server.url, flush=True)
    await server.wait()

asyncio.run(hold())
"""


async def test_it_dies_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    parent = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    pid = await _pid((await parent.stdout.readline()).decode().strip())
    parent.kill()
    await parent.wait()
    # Its lock outlives the parent for as long as it writes, so a new one waits for it.
    server = Embedded(tmp_path)
    await server.start()
    assert not alive(pid)
    await server.stop()


def test_a_tethered_command_is_that_command() -> None:
    command = tethered(["/bin/echo", "a b", "$c"], signal.SIGKILL)
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout == "a b $c\n"


def test_without_the_wheel_the_server_on_path_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StartError, match="There is no Valkey for this machine; install valkey-server"):
        server_binary()
    (tmp_path / "redis-server").touch(mode=0o755)
    assert server_binary() == str(tmp_path / "redis-server")
