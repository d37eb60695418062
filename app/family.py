"""Processes that are kept alive by their parent: started again with backoff when they die, and ended with it.

Exit code 2 means "this configuration cannot work" and ends all of them. Whatever happens to the parent, its
children do not outlive it.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog

from app.config import Config
from app.embedded import StartError, tethered

log = structlog.get_logger("up")

REFUSED = 2
_ROOT = Path(__file__).resolve().parent.parent


class Pace(msgspec.Struct, frozen=True):
    """How long to wait before a restart: doubled each time, and from the start again after a steady life."""

    first: float = 0.2
    longest: float = 10.0
    steady: float = 30.0


def command(name: str) -> list[str]:
    # -P: the user's folder is the working directory, and it may well hold an `app` of its own.
    return [sys.executable, "-P", "-m", "app.cli", name]


def child_environ(config: Config) -> dict[str, str]:
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, **config.environ(), "PYTHONPATH": path}


class Family:
    """`live` says who belongs to it. After `patience` seconds who has not obeyed SIGTERM gets SIGKILL."""

    def __init__(self, pace: Pace, patience: float) -> None:
        self.keeping: list[asyncio.Task[int]] = []
        self._pace = pace
        self._patience = patience
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._told_to_stop = asyncio.Event()
        self._killed = False

    async def live(self) -> int:
        """For ever, or until a part says by its exit code that it cannot work."""
        raise NotImplementedError

    async def run(self) -> int:
        """The exit code, once a signal or a part that cannot work has ended everything."""
        self._listen_to_signals()
        living = asyncio.create_task(self.live(), name="live")
        told = asyncio.create_task(self._told_to_stop.wait(), name="told to stop")
        try:
            await asyncio.wait({living, told}, return_when=asyncio.FIRST_COMPLETED)
            code = 0 if self._told_to_stop.is_set() else living.result()
        finally:
            for task in (living, told, *self.keeping):
                task.cancel()
            await asyncio.gather(living, told, *self.keeping, return_exceptions=True)
            await self.end()
        return 128 + signal.SIGINT if self._killed else code

    def keep(self, name: str, live: Callable[[], Awaitable[int]]) -> None:
        self.keeping.append(asyncio.create_task(self._keep_alive(name, live), name=f"keep {name}"))

    async def first_refusal(self) -> int:
        done, _ = await asyncio.wait(self.keeping, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()

    async def process(self, name: str, command: list[str], environ: dict[str, str]) -> int:
        process = await asyncio.create_subprocess_exec(
            *tethered(command, signal.SIGKILL),
            stdin=asyncio.subprocess.DEVNULL,
            env=environ,
            # Ctrl-C in a terminal goes to the whole process group, but stopping is ours to order.
            start_new_session=True,
        )
        self._processes[name] = process
        return await process.wait()

    async def end(self) -> None:
        running = [process for process in self._processes.values() if process.returncode is None]
        for process in running:
            with suppress(ProcessLookupError):
                process.terminate()
        if running:
            waiting = [asyncio.create_task(process.wait()) for process in running]
            _, late = await asyncio.wait(waiting, timeout=self._patience)
            if late:
                Family.kill(self)
                await asyncio.wait(late)

    def kill(self) -> None:
        for process in self._processes.values():
            if process.returncode is None:
                # Each leads a group of its own, which takes along whatever it may have started.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

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
            if code == REFUSED:
                log.error("this part cannot run with this configuration; stopping", part=name)
                return REFUSED
            if time.monotonic() - born >= self._pace.steady:
                pause = self._pace.first
            log.warning("a part ended and is started again", part=name, why=why, after=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, self._pace.longest)

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
            self.kill()
        if not self._told_to_stop.is_set():
            log.info("stopping", signal=signum.name)
        self._told_to_stop.set()
