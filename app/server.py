"""uvicorn, and how it starts and stops: the process behind `statuswire web`, or each of them.

On SIGTERM or Ctrl-C every viewer is told bye, with a delay of its own, before the sockets go: left to
itself uvicorn waits for open streams for ever.
"""

import asyncio
import gc
import resource
import signal
import socket
from types import FrameType

import structlog
import uvicorn

from app import metrics
from app.config import Config
from app.db.engine import DatabaseDown
from app.live.crowd import Doorstep
from app.live.handover import WebSocketDoor, door
from app.live.hub import Hub
from app.live.peer import narrow
from app.loop import loop_factory
from app.main import opened
from app.security.secrets import BadKey

log = structlog.get_logger("server")

COME_BACK_WITHIN = 5.0  # seconds over which viewers are spread when the server stops
GRACE = 2
SPARE_CONNECTIONS = 1000
SPARE_PER_ADDRESS = 200  # that are no streams: a large office behind one address asks for the page at once
BACKLOG = 4096
# The kernel resets a viewer that acknowledges nothing for this long. uvicorn itself would hold it for ever.
UNACKNOWLEDGED_MS = 30_000


def web(config: Config) -> int:
    """Serve until told to stop. The exit code: 0, or 1 after a sentence on why it could not."""
    start = _Start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, start.give_up)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(serve(config, start))
    except asyncio.CancelledError:
        log.info("told to stop before it served")
    except (BadKey, DatabaseDown) as error:
        log.error("the server cannot start", problem=str(error))
        return 1
    except OSError as error:
        place = error.filename or f"{config.host} port {config.port}"
        log.error("the server cannot listen", place=place, problem=error.strerror)
        return 1
    return 0


async def serve(config: Config, start: "_Start") -> None:
    start.begin()
    _allow_files(config.max_viewers + 2 * SPARE_CONNECTIONS)
    sockets = _sockets(config)
    async with opened(config) as server:
        # What stands by now stands to the end. A full collection would walk through all of it each time, and
        # hold the loop for 40 ms.
        gc.collect()
        gc.freeze()
        settings = uvicorn.Config(
            server.app,
            http=door(Doorstep(SPARE_PER_ADDRESS, server.proxies), server.kept.find),
            ws=WebSocketDoor,
            # The parts live around the server and not in it (`opened`). Told to stop while it asks Litestar
            # to begin, uvicorn would write a traceback.
            lifespan="off",
            # 46 KiB a connection and twice the CPU, for nothing at 300 bytes a frame.
            ws_per_message_deflate=False,
            ws_max_size=4096,
            access_log=False,
            log_config=None,
            server_header=False,
            # Who is behind which proxy is said by our own list, and by nobody who connects.
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE,
            backlog=BACKLOG,
            # Beyond all viewers some are just asking for the page.
            limit_concurrency=config.max_viewers + SPARE_CONNECTIONS,
        )
        await _Uvicorn(settings, server.hub, start).serve(sockets=sockets)


class _Start:
    """From our first handler of signals to uvicorn's. Told to stop meanwhile, it is given up, whatever it
    waits for: a database, or a Redis, for up to two and a half beats."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._is_given_up = False

    def begin(self) -> None:
        self._task = asyncio.current_task()
        if self._is_given_up:
            self._cancel(self._task)

    def end(self) -> None:
        self._task = None

    def give_up(self, number: int, frame: FrameType | None) -> None:
        # Once: a second signal must not cut short how the first one is obeyed. And not when the start is
        # over: uvicorn raises its signal again when it has stopped, and by then we are done and mean to end
        # with 0.
        if not self._is_given_up:
            self._is_given_up = True
            self._cancel(self._task)

    def _cancel(self, task: asyncio.Task[None] | None) -> None:
        if task is not None and not task.done():
            # A loop that waits is woken by this alone.
            task.get_loop().call_soon_threadsafe(task.cancel)


class _Uvicorn(uvicorn.Server):
    def __init__(self, settings: uvicorn.Config, hub: Hub, start: _Start) -> None:
        super().__init__(settings)
        self._hub = hub
        self._start = start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # It listens to signals by now.
        self._start.end()
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Bye first: uvicorn closes what is open without a word."""
        self._hub.farewell(COME_BACK_WITHIN)
        # Streams over ASGI need a few turns of the loop to say it.
        await asyncio.sleep(0.05)
        await super().shutdown(sockets)


def _sockets(config: Config) -> list[socket.socket]:
    metrics.PROCESS.set(config.process)
    # Of several processes each has a socket of its own, and the kernel spreads the connections by their
    # addresses. One that all inherit goes to whoever wakes first: of 2,000 connections in bursts of 50 the
    # four got 193 to 757, with this 476 to 541. And one that has died is given nothing until it is back.
    sockets = [_listen(config.host, config.port, is_shared=config.process > 0)]
    if config.metrics_port is not None:
        sockets.append(_listen(config.host, config.metrics_port + max(0, config.process - 1)))
    return sockets


def _listen(host: str, port: int, is_shared: bool = False) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    # Sockets that are accepted inherit these.
    narrow(sock)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise OSError(error.errno, error.strerror, f"{host} port {port}") from None
    return sock


def _allow_files(wanted: int) -> None:
    """Each viewer is an open file, and shells allow 1,024 unless asked."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        if allowed < wanted:
            log.info("the limit of open files leaves room for fewer viewers than allowed", open_files=allowed)
