"""`statuswire up`: Valkey, server and worker under one small supervisor; one command is a whole status page.

What dies is started again with backoff; exit code 2 means "this configuration cannot work" and ends
everything. Whatever happens to this process, its children do not outlive it.
"""

import asyncio
import errno
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog

from app.config import Config
from app.embedded import Embedded, StartError, tethered

log = structlog.get_logger("up")

_ROOT = Path(__file__).resolve().parent.parent
_REFUSED = 2

# Of the 3 s that a stop may take: SIGKILL for server and worker at 2.4, for Valkey half a second later.
_STOP_PATIENCE = 2.4
_VALKEY_PATIENCE = 0.4

# -P: the user's folder is the working directory, and it may well hold an `app` of its own.
COMMANDS = {name: [sys.executable, "-P", "-m", "app.cli", name] for name in ("migrate", "web", "worker")}

STARTER = """\
# What Statuswire watches. It reads this file again whenever it changes; a mistake keeps the last good
# version running. `./statuswire config check FILE` names every mistake with its line.

page: {name: Statuswire}

# Your first target: take the marks from these lines and write your own address.
#
# components:
#   - name: Website
#     description: The shop window
#     monitors:
#       - http: https://www.example.org/
#         every: 30s
#         timeout: 5s
#         expect: {status: 200-299, slower_than: 800ms, certificate_days: 14}
#       - tcp: www.example.org:443
#       - dns: www.example.org

# Statuswire's own parts, so that the first page shows something real. Delete them once yours stand above.
groups:
  - name: Statuswire itself
    components:
      - name: Web server
        description: Answers requests
        monitors:
          - http: http://127.0.0.1:8000/health/live
            every: 5s
      - name: Event feed
        description: Redis, which carries every change from the workers to the screens
        monitors:
          - http: http://127.0.0.1:8000/health/ready
            every: 5s
            expect: {status: 200-599, json: {$.redis: ok}}
      - name: Database
        description: Keeps the history
        monitors:
          - http: http://127.0.0.1:8000/health/ready
            every: 5s
            expect: {status: 200-599, json: {$.database: ok}}
"""


class Pace(msgspec.Struct, frozen=True):
    """How long to wait before a restart: doubled each time, and from the start again after a steady life.
    And how long the worker waits for the server at the most."""

    first: float = 0.2
    longest: float = 10.0
    steady: float = 30.0
    served: float = 15.0


async def up(config: Config, commands: Mapping[str, list[str]] = COMMANDS, pace: Pace | None = None) -> int:
    """The exit code, once a signal or a part that cannot work has ended everything."""
    refuse_taken_port(config)
    write_starter(config)
    return await _Supervisor(config, commands, pace or Pace()).run()


def refuse_taken_port(config: Config) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
            # Two sockets may be bound to one port as long as neither listens.
            trial.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            why = "another program has it; stop that one, or choose another port with --port"
        elif error.errno == errno.EACCES:
            why = "only root may; choose a port above 1023 with --port"
        else:
            why = f"{error.strerror}; choose an address of this machine with --host"
        raise StartError(f"Cannot listen on {config.host} port {config.port}: {why}.") from None


def write_starter(config: Config) -> None:
    """Only where there is no config file yet."""
    file = config.config_file
    try:
        with file.open("x", encoding="utf-8") as starter:
            # The port stays a name, so that a later start on another one watches that one.
            here = config.url.rpartition(":")[0] + ":${PORT}"
            starter.write(STARTER.replace("http://127.0.0.1:8000", here))
    except FileExistsError:
        return
    except OSError as error:
        raise StartError(
            f"There is no config file {file}, and none can be written there: {error.strerror}; "
            "name another with --config."
        ) from None
    log.info("wrote a starter config file", file=str(file))


class _Supervisor:
    def __init__(self, config: Config, commands: Mapping[str, list[str]], pace: Pace) -> None:
        self._config = config
        self._commands = commands
        self._pace = pace
        self._embedded = None if config.redis_url else Embedded(config.data)
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._keeping: list[asyncio.Task[int]] = []
        self._told_to_stop = asyncio.Event()
        self._killed = False

    async def run(self) -> int:
        self._listen_to_signals()
        living = asyncio.create_task(self._live(), name="live")
        told = asyncio.create_task(self._told_to_stop.wait(), name="told to stop")
        try:
            await asyncio.wait({living, told}, return_when=asyncio.FIRST_COMPLETED)
            code = 0 if self._told_to_stop.is_set() else living.result()
        finally:
            for task in (living, told, *self._keeping):
                task.cancel()
            await asyncio.gather(living, told, *self._keeping, return_exceptions=True)
            await self._end()
        return 128 + signal.SIGINT if self._killed else code

    async def _live(self) -> int:
        """For ever, or until a part says by its exit code that it cannot work."""
        if self._embedded is not None:
            await self._embedded.start()
            self._keep("valkey", self._valkey)
        if code := await self._process("migrate"):
            log.error("the database could not be migrated", code=code)
            return _REFUSED if code == _REFUSED else 1
        self._keep("web", lambda: self._process("web"))
        # It knows from the last time what to probe, and our own server may be among it: before that listens,
        # the worker would find it down.
        await self._until_served()
        self._keep("worker", lambda: self._process("worker"))
        telling = asyncio.create_task(self._tell_where(), name="tell where")
        try:
            done, _ = await asyncio.wait(self._keeping, return_when=asyncio.FIRST_COMPLETED)
        finally:
            telling.cancel()
        return done.pop().result()

    def _keep(self, name: str, live: Callable[[], Awaitable[int]]) -> None:
        self._keeping.append(asyncio.create_task(self._keep_alive(name, live), name=f"keep {name}"))

    async def _keep_alive(self, name: str, live: Callable[[], Awaitable[int]]) -> int:
        """For ever, unless the part refuses to run."""
        pause = self._pace.first
        while True:
            born = time.monotonic()
            try:
                code = await live()
                why = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
            except (OSError, StartError) as error:
                code, why = 1, str(error)
            if code == _REFUSED and name != "valkey":
                log.error("this part cannot run with this configuration; stopping", part=name)
                return _REFUSED
            if time.monotonic() - born >= self._pace.steady:
                pause = self._pace.first
            log.warning("a part ended and is started again", part=name, why=why, after=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, self._pace.longest)

    async def _valkey(self) -> int:
        assert self._embedded is not None
        if not self._embedded.running:
            await self._embedded.start()
        return await self._embedded.wait()

    async def _process(self, name: str) -> int:
        process = await asyncio.create_subprocess_exec(
            *tethered(self._commands[name], signal.SIGKILL),
            stdin=asyncio.subprocess.DEVNULL,
            env=self._environ(),
            # Ctrl-C in a terminal goes to the whole process group, but stopping is ours to order.
            start_new_session=True,
        )
        self._processes[name] = process
        return await process.wait()

    def _environ(self) -> dict[str, str]:
        url = self._embedded.url if self._embedded else self._config.redis_url
        config = msgspec.structs.replace(self._config, redis_url=url, supervised=True)
        path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        return {**os.environ, **config.environ(), "PYTHONPATH": path}

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # nohup ignores SIGHUP on our behalf, and that stays so.
            if signal.getsignal(signum) is not signal.SIG_IGN:
                loop.add_signal_handler(signum, self._on_signal, signum)

    def _on_signal(self, signum: signal.Signals) -> None:
        # Only the key pressed twice means haste; platforms may well send SIGTERM more than once.
        if self._told_to_stop.is_set() and signum is signal.SIGINT:
            self._killed = True
            self._kill()
        if not self._told_to_stop.is_set():
            log.info("stopping", signal=signum.name)
        self._told_to_stop.set()

    async def _end(self) -> None:
        """Server and worker first: they still have something to say to Redis."""
        running = [process for process in self._processes.values() if process.returncode is None]
        for process in running:
            with suppress(ProcessLookupError):
                process.terminate()
        if running:
            waiting = [asyncio.create_task(process.wait()) for process in running]
            _, late = await asyncio.wait(waiting, timeout=_STOP_PATIENCE)
            if late:
                self._kill_processes()
                await asyncio.wait(late)
        if self._embedded is not None:
            await self._embedded.stop(_VALKEY_PATIENCE)

    def _kill(self) -> None:
        self._kill_processes()
        if self._embedded is not None:
            self._embedded.kill()

    def _kill_processes(self) -> None:
        for process in self._processes.values():
            if process.returncode is None:
                # Each leads a group of its own, which takes along whatever it may have started.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    async def _until_served(self) -> None:
        """Until the page answers, but not for ever: the worker has other things to probe as well."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pace.served):
                while True:
                    if await _live_answers(self._config) or any(keeping.done() for keeping in self._keeping):
                        break
                    await asyncio.sleep(0.02)

    async def _tell_where(self) -> None:
        """On stdout, once somebody who opens the page would see it."""
        while True:
            if await _live_answers(self._config):
                break
            await asyncio.sleep(0.05)
        url = self._config.url
        with suppress(OSError):
            print(
                f"\nStatuswire is up.\n\n"
                f"  page     {url}/\n"
                f"  wall     {url}/wall\n"
                f"  events   {url}/events\n"
                f"  config   {self._config.config_file}   (edit it: it is read again at once)\n\n"
                f"Ctrl-C stops it.\n",
                flush=True,
            )


async def _live_answers(config: Config) -> bool:
    host = config.url.removeprefix("http://").rpartition(":")[0].strip("[]")
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(host, config.port), 2.0)
    except (OSError, TimeoutError):
        return False
    try:
        writer.write(f"GET /health/live HTTP/1.0\r\nHost: {host}:{config.port}\r\n\r\n".encode())
        status = await asyncio.wait_for(reader.readline(), 2.0)
        return b" 200 " in status
    except (OSError, TimeoutError, ValueError):
        return False
    finally:
        writer.close()
