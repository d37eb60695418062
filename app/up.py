"""`statuswire up`: Valkey, server and worker under one small supervisor; one command is a whole status page.

What dies is started again with backoff; exit code 2 means "this configuration cannot work" and ends
everything. Whatever happens to this process, its children do not outlive it.
"""

import asyncio
import errno
import socket
from collections.abc import Mapping
from contextlib import suppress

import msgspec
import structlog

from app.config import Config
from app.embedded import Embedded, StartError
from app.family import REFUSED, Family, Pace, child_environ, command

log = structlog.get_logger("up")

# Of the 3 s that a stop may take: SIGKILL for server and worker at 2.4, for Valkey half a second later.
_STOP_PATIENCE = 2.4
_VALKEY_PATIENCE = 0.4

COMMANDS = {name: command(name) for name in ("migrate", "web", "worker")}

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


class UpPace(Pace, frozen=True):
    """And how long the worker waits for the server at the most."""

    served: float = 15.0


async def up(config: Config, commands: Mapping[str, list[str]] = COMMANDS, pace: UpPace | None = None) -> int:
    """The exit code, once a signal or a part that cannot work has ended everything."""
    refuse_taken_port(config)
    write_starter(config)
    return await _Supervisor(config, commands, pace or UpPace()).run()


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


class _Supervisor(Family):
    def __init__(self, config: Config, commands: Mapping[str, list[str]], pace: UpPace) -> None:
        super().__init__(pace, _STOP_PATIENCE)
        self._served = pace.served
        self._config = config
        self._commands = commands
        self._embedded = None if config.redis_url else Embedded(config.data)

    async def live(self) -> int:
        if self._embedded is not None:
            await self._embedded.start()
            self.keep("valkey", self._valkey)
        if code := await self._process("migrate"):
            log.error("the database could not be migrated", code=code)
            return REFUSED if code == REFUSED else 1
        self.keep("web", lambda: self._process("web"))
        # It knows from the last time what to probe, and our own server may be among it: before that listens,
        # the worker would find it down.
        await self._until_served()
        self.keep("worker", lambda: self._process("worker"))
        telling = asyncio.create_task(self._tell_where(), name="tell where")
        try:
            return await self.first_refusal()
        finally:
            telling.cancel()

    async def _valkey(self) -> int:
        assert self._embedded is not None
        if not self._embedded.running:
            await self._embedded.start()
        # Whatever it means by its exit code, it is not what a part of ours means by 2.
        return 1 if (code := await self._embedded.wait()) == REFUSED else code

    async def _process(self, name: str) -> int:
        return await self.process(name, self._commands[name], self._environ())

    def _environ(self) -> dict[str, str]:
        url = self._embedded.url if self._embedded else self._config.redis_url
        return child_environ(msgspec.structs.replace(self._config, redis_url=url, supervised=True))

    async def end(self) -> None:
        """Server and worker first: they still have something to say to Redis."""
        await super().end()
        if self._embedded is not None:
            await self._embedded.stop(_VALKEY_PATIENCE)

    def kill(self) -> None:
        super().kill()
        if self._embedded is not None:
            self._embedded.kill()

    async def _until_served(self) -> None:
        """Until the page answers, but not for ever: the worker has other things to probe as well."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._served):
                while True:
                    if await _live_answers(self._config) or any(keeping.done() for keeping in self.keeping):
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
