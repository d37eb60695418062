"""What Statuswire is compared with, each a process that sends every line it reads to all its clients."""

import asyncio
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from bench import cores
from bench.swarm import compiled

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


class Missing(Exception):
    """Why a peer cannot be measured here, in one sentence."""


class Peer:
    """`text` is what it says: one line of JSON, as long as a patch of ours."""

    def __init__(self, command: Sequence[str], core: int | None, text: bytes) -> None:
        self._command = command
        self._core = core
        self._line = text + b"\n"
        self._process: asyncio.subprocess.Process | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        with cores.on(self._core):
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT
            )
        assert self._process.stdout is not None
        port = await asyncio.wait_for(self._process.stdout.readline(), 20)
        if not port:
            await self._process.wait()
            raise Missing(f"{Path(self._command[-1]).name} does not start here, so it is left out")
        self.port = int(port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 5)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def announce(self, changes: int = 1) -> int:
        """When it was said: nanoseconds, monotonic."""
        assert self._process is not None and self._process.stdin is not None
        said = time.monotonic_ns()
        self._process.stdin.write(self._line * changes)
        await self._process.stdin.drain()
        return said


def floor() -> list[str]:
    program = compiled("floor")
    return [str(program)] if program else [sys.executable, str(HERE / "floor.py")]


def queue_per_client() -> list[str]:
    return [sys.executable, "-m", "bench.peers.queue_per_client"]


def channels() -> list[str]:
    return [sys.executable, "-m", "bench.peers.channels"]


def socketio() -> list[str]:
    node = shutil.which("node")
    if node is None:
        raise Missing("there is no Node here, so socket.io is left out")
    return [node, str(HERE / "socketio.js")]
