"""The supervisor restarts what dies, stops everything in time, and leaves nothing behind.

Its children here are small stand-ins that misbehave on purpose; the real ones are in test_probe_to_pixel.
"""

import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.config import Config
from app.embedded import StartError
from app.up import STARTER, refuse_taken_port, write_starter
from tests.conftest import eventually
from tests.services import ROOT, Process, Up, Valkey, alive, free_port

_DRIVER = """
import asyncio, json, os, sys
from app import log
from app.config import Config
from app.embedded import StartError
from app.up import UpPace, up

config = Config.read(os.environ)
log.configure(config)
commands, pace = json.loads(sys.argv[1])
try:
    sys.exit(asyncio.run(up(config, commands, UpPace(**pace))))
except StartError as error:
    sys.exit(f"refused: {error}")
"""

# Each stand-in says in the journal that it lives, with its process id.
_BORN = (
    "import os, signal, sys, time; print(sys.argv[1], os.getpid(), file=open('journal', 'a'), flush=True);"
)
STAYS = _BORN + "time.sleep(60)"
DIES = _BORN + "sys.exit(1)"
REFUSES = _BORN + "sys.exit(2)"
IGNORES_SIGTERM = (
    _BORN.replace("print", "signal.signal(signal.SIGTERM, signal.SIG_IGN); print") + "time.sleep(60)"
)
SUCCEEDS = _BORN
SAYS_ITS_ENVIRONMENT = (
    _BORN + "import json; json.dump(dict(os.environ), open('environ', 'w')); time.sleep(60)"
)
SERVES = (
    _BORN
    + """
import http.server
class Live(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health/live" else 404)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Live).serve_forever()
"""
)

STOPS_WITHIN = 4.0  # three are promised, and one is for a machine that is busy with other tests


class Supervised(Process):
    """`up` in a process of its own, with stand-ins for its children."""

    def __init__(self, web: str = STAYS, worker: str = STAYS, migrate: str = SUCCEEDS) -> None:
        super().__init__("up")
        self.commands = {
            # -S: the standard library is enough for them, and found sooner.
            name: [sys.executable, "-S", "-c", code, name]
            for name, code in (("web", web), ("worker", worker), ("migrate", migrate))
        }
        self.port = free_port()

    def start(self, steady: float = 30.0, served: float = 0.0, **environ: str) -> "Supervised":
        # Most stand-ins for the server serve nothing, so that the worker need not wait for it.
        pace = {"first": 0.05, "longest": 0.2, "steady": steady, "served": served}
        driver = [sys.executable, "-c", _DRIVER, json.dumps([self.commands, pace])]
        own = {"PYTHONPATH": str(ROOT), "PORT": str(self.port), "STATUSWIRE_LOG": "json"}
        # In a group of its own, as a shell starts a job: Ctrl-C goes to all of it.
        self.launch(driver, cwd=self.folder, env={**os.environ, **own, **environ}, start_new_session=True)
        return self

    def born(self, name: str) -> list[int]:
        """The process ids of all that ever lived under this name."""
        journal = self.folder / "journal"
        lines = journal.read_text().splitlines() if journal.exists() else []
        return [int(line.split()[1]) for line in lines if line.split()[0] == name]

    def ended(self) -> int | None:
        assert self.process is not None
        return self.process.poll()

    def said(self, event: str) -> list[dict[str, object]]:
        lines = [json.loads(line) for line in self.logs.splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    @property
    def redis_url(self) -> str:
        return f"unix://{self.folder}/data/redis/valkey.sock"

    async def until_both_live(self) -> None:
        await eventually(lambda: self.born("web") and self.born("worker"))


@pytest.fixture
def supervised() -> Iterator[Supervised]:
    with Supervised() as running:
        yield running.start()


async def _pid_of_redis(url: str) -> int:
    async with Redis.from_url(url) as client:
        return int((await client.info("server"))["process_id"])


async def test_it_says_where_the_page_is_once_the_page_answers() -> None:
    with Supervised(web=SERVES) as running:
        running.start()
        await eventually(lambda: "Ctrl-C stops it." in running.logs)
        url = f"http://127.0.0.1:{running.port}"
        for path in ("/", "/wall", "/events"):
            assert re.search(rf"^  \w+ +{url}{path}$", running.logs, re.MULTILINE)


async def test_children_find_redis_and_the_same_settings_in_their_environment() -> None:
    with Supervised(web=SAYS_ITS_ENVIRONMENT) as running:
        running.start(STATUSWIRE_REGION="eu-west", STATUSWIRE_BEAT="0.5")
        file = running.folder / "environ"
        await eventually(lambda: file.exists() and file.read_text().endswith("}"))
        config = Config.read(json.loads(file.read_text()))
    assert (config.redis_url, config.port, config.region) == (running.redis_url, running.port, "eu-west")
    assert (config.beat, config.supervised) == (0.5, True)


async def test_a_redis_url_replaces_the_embedded_valkey(valkey: Valkey) -> None:
    with Supervised(web=SAYS_ITS_ENVIRONMENT) as running:
        running.start(REDIS_URL=valkey.url)
        file = running.folder / "environ"
        await eventually(lambda: file.exists() and file.read_text().endswith("}"))
        assert json.loads(file.read_text())["REDIS_URL"] == valkey.url
        assert not (running.folder / "data" / "redis").exists()


async def test_what_dies_at_once_is_started_again_with_growing_pauses() -> None:
    with Supervised(worker=DIES) as running:
        running.start()
        await eventually(lambda: len(running.born("worker")) >= 5)
        again = running.said("a part ended and is started again")
        assert [line["after"] for line in again][:4] == [0.05, 0.1, 0.2, 0.2]
        assert {(line["part"], line["why"]) for line in again} == {("worker", "exit code 1")}
        assert len(running.born("web")) == 1


async def test_after_a_steady_life_the_pause_is_short_again() -> None:
    with Supervised(worker=DIES) as running:
        running.start(steady=0.0)
        await eventually(lambda: len(running.born("worker")) >= 4)
        again = running.said("a part ended and is started again")
        assert {line["after"] for line in again} == {0.05}


async def test_a_killed_child_comes_back_alone(supervised: Supervised) -> None:
    await supervised.until_both_live()
    os.kill(supervised.born("web")[0], signal.SIGKILL)
    await eventually(lambda: len(supervised.born("web")) == 2)
    assert len(supervised.born("worker")) == 1
    assert supervised.said("a part ended and is started again")[0]["why"] == "signal SIGKILL"


async def test_a_killed_valkey_comes_back_and_the_children_stay(supervised: Supervised) -> None:
    await supervised.until_both_live()
    first = await _pid_of_redis(supervised.redis_url)
    os.kill(first, signal.SIGKILL)

    async def back() -> bool:
        try:
            return await _pid_of_redis(supervised.redis_url) != first
        except RedisError as error:
            raise AssertionError(error) from None

    assert await eventually(back)
    assert (len(supervised.born("web")), len(supervised.born("worker"))) == (1, 1)


@pytest.mark.parametrize("part", ["web", "worker", "migrate"])
async def test_a_part_that_refuses_its_configuration_ends_everything(part: str) -> None:
    with Supervised(**{part: REFUSES}) as running:
        running.start()
        assert await eventually(lambda: running.ended() is not None) and running.ended() == 2
        assert len(running.born(part)) == 1
        assert not any(alive(pid) for name in ("web", "worker") for pid in running.born(name))


async def test_a_migration_that_failed_ends_everything() -> None:
    with Supervised(migrate=DIES) as running:
        running.start()
        assert await eventually(lambda: running.ended() is not None) and running.ended() == 1
        assert running.born("web") == []


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_stops_everything(supervised: Supervised, signum: signal.Signals) -> None:
    await supervised.until_both_live()
    pids = [*supervised.born("web"), *supervised.born("worker"), await _pid_of_redis(supervised.redis_url)]
    supervised.send(signum)
    assert await eventually(lambda: supervised.ended() is not None) and supervised.ended() == 0
    assert not any(alive(pid) for pid in pids)


async def test_ctrl_c_in_a_terminal_prints_no_traceback(supervised: Supervised) -> None:
    await supervised.until_both_live()
    assert supervised.process is not None
    os.killpg(supervised.process.pid, signal.SIGINT)
    assert await eventually(lambda: supervised.ended() is not None) and supervised.ended() == 0
    assert "Traceback" not in supervised.logs


async def test_what_ignores_the_signal_is_killed_within_three_seconds() -> None:
    with Supervised(web=IGNORES_SIGTERM) as running:
        running.start()
        await running.until_both_live()
        redis = await _pid_of_redis(running.redis_url)
        # Even a Valkey that hangs as well does not make it later.
        os.kill(redis, signal.SIGSTOP)
        began = time.monotonic()
        running.send(signal.SIGTERM)
        assert await eventually(lambda: running.ended() is not None) and running.ended() == 0
        assert time.monotonic() - began < STOPS_WITHIN
        assert not any(alive(pid) for pid in (*running.born("web"), redis))


async def test_a_second_ctrl_c_kills_at_once() -> None:
    with Supervised(web=IGNORES_SIGTERM, worker=IGNORES_SIGTERM) as running:
        running.start()
        await running.until_both_live()
        running.send(signal.SIGINT)
        await eventually(lambda: running.said("stopping"))
        began = time.monotonic()
        running.send(signal.SIGINT)
        assert await eventually(lambda: running.ended() is not None) and running.ended() == 130
        assert time.monotonic() - began < 1.0
        assert not any(alive(pid) for pid in (*running.born("web"), *running.born("worker")))


async def test_nothing_outlives_a_killed_supervisor(supervised: Supervised) -> None:
    await supervised.until_both_live()
    pids = [*supervised.born("web"), *supervised.born("worker"), await _pid_of_redis(supervised.redis_url)]
    supervised.kill()
    await eventually(lambda: not any(alive(pid) for pid in pids))


async def test_two_on_one_data_directory_is_one_clear_line(supervised: Supervised) -> None:
    await supervised.until_both_live()
    with Supervised() as second:
        second.start(STATUSWIRE_DATA=str(supervised.folder / "data"))
        await eventually(lambda: second.ended() is not None)
        assert second.logs.splitlines()[-1].startswith(
            "refused: Another Statuswire is using the data directory"
        )
        assert second.born("web") == []
    assert supervised.running


async def test_a_taken_port_is_one_clear_line_before_anything_starts() -> None:
    with Supervised() as running, socket.create_server(("127.0.0.1", running.port)):
        running.start()
        await eventually(lambda: running.ended() is not None)
        assert running.logs.splitlines() == [
            f"refused: Cannot listen on 127.0.0.1 port {running.port}: another program has it; "
            "stop that one, or choose another port with --port."
        ]
        assert [file.name for file in running.folder.iterdir()] == ["output"]


def test_an_address_that_is_not_ours_is_one_clear_line() -> None:
    with pytest.raises(StartError, match=r"^Cannot listen on 192\.0\.2\.1 port 8000: .* with --host\.$"):
        refuse_taken_port(Config.read({"HOST": "192.0.2.1"}))


def test_the_starter_file_watches_the_port_that_is_served(tmp_path: Path) -> None:
    file = tmp_path / "statuswire.yaml"
    write_starter(Config.read({"STATUSWIRE_CONFIG": str(file), "HOST": "0.0.0.0", "PORT": "8123"}))
    assert file.read_text().count("http://127.0.0.1:${PORT}/health/") == 3


def test_the_starter_file_is_a_right_one(tmp_path: Path) -> None:
    from app.statusfile.disk import load

    for name, text in (("as it is", STARTER), ("with the first target", _with_marks_taken(STARTER))):
        file = tmp_path / f"{name}.yaml"
        file.write_text(text)
        assert len(load(file).components) >= 3, name


def _with_marks_taken(text: str) -> str:
    head, mark, tail = text.partition("# components:")
    example, _, rest = tail.partition("\n\n")
    return head + (mark + example).replace("# ", "") + "\n\n" + rest


def test_a_config_file_that_stands_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "statuswire.yaml"
    file.write_text("page: {name: Mine}")
    write_starter(Config.read({"STATUSWIRE_CONFIG": str(file)}))
    assert file.read_text() == "page: {name: Mine}"


def test_a_starter_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    file = tmp_path / "nowhere" / "statuswire.yaml"
    with pytest.raises(StartError, match=rf"^There is no config file {file}, and none can be written there"):
        write_starter(Config.read({"STATUSWIRE_CONFIG": str(file)}))


@pytest.mark.parametrize("processes", ["1", "2"])
async def test_the_real_parts_stop_in_time_with_a_stream_open(processes: str) -> None:
    with Up("--processes", processes) as running:
        running.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\n\r\n".encode())
        await asyncio.wait_for(reader.readuntil(b"event: snapshot\n"), 10.0)
        began = time.monotonic()
        running.send(signal.SIGTERM)
        assert b"event: bye\n" in await asyncio.wait_for(reader.read(), 10.0)
        assert await eventually(lambda: not running.running)
        assert time.monotonic() - began < STOPS_WITHIN
        assert running.process is not None and running.process.returncode == 0
        assert "Traceback" not in running.logs
        writer.close()


async def test_the_worker_begins_when_the_server_serves() -> None:
    """It may be told to watch the server itself, which would be an outage that never was."""
    late = _BORN + "time.sleep(1);" + SERVES.removeprefix(_BORN)
    with Supervised(web=late) as supervised:
        supervised.start(served=10.0)
        await eventually(lambda: supervised.born("web"))
        assert supervised.born("worker") == []
        await eventually(lambda: supervised.born("worker"))
        with socket.create_connection(("127.0.0.1", supervised.port), 1.0):
            pass
