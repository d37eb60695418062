"""The crowd that watches in the benchmarks: drives swarm.c, whose head says what the two tell each other.

Without a C compiler its place is taken by swarm_fallback.py, which is slower than the server: figures of
latency then say more about it than about us, and `is_fast` says so.
"""

import asyncio
import atexit
import functools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from msgspec import Struct

HERE = Path(__file__).resolve().parent
PATIENCE = 60.0  # seconds without an answer
LIFETIME = 900  # seconds after which a swarm ends by itself


class SwarmError(Exception):
    """What was asked of the viewers and did not happen."""


class State(Struct, frozen=True):
    """`gone` and `refused` count how often; `returned` those that are here again."""

    here: int
    gone: int
    refused: int
    returned: int
    patches: int
    bytes: int


class Check(Struct, frozen=True):
    """How many viewers ended with all that was announced or are behind it; how many patches were lost to a
    viewer or came to it twice."""

    right: int
    behind: int
    lost: int
    repeated: int

    def __add__(self, other: "Check") -> "Check":
        return Check(
            self.right + other.right,
            self.behind + other.behind,
            self.lost + other.lost,
            self.repeated + other.repeated,
        )


class Swarm:
    """One process of viewers of one server. `kind` is ws, sse or socketio."""

    def __init__(self, port: int, kind: str, path: str) -> None:
        self.is_fast = compiled("swarm") is not None
        self._words = [str(port), kind, path, str(LIFETIME)]
        self._answers: asyncio.Queue[list[str]] = asyncio.Queue()
        self._reached: dict[int, int] = {}
        self._told = 0
        self._reaching = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        program = compiled("swarm")
        python = [sys.executable, "-c", "from bench.swarm_fallback import run; run()"]
        command = [str(program)] if program else python
        self._process = await asyncio.create_subprocess_exec(
            *command,
            *self._words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=HERE.parent,
        )
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None and self._process.stdin is not None and self._reading is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 10)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reading

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def open(self, more: int, behaviour: str = "good") -> float:
        """Seconds until that many more viewers were let in."""
        before = (await self.state()).here
        here, took = await self._ask(f"open {more} {behaviour}", "open", within=120)
        if int(here) != before + more:
            raise SwarmError(f"of {more} viewers only {int(here) - before} were let in")
        return float(took)

    async def begin(self, events: int) -> None:
        """Count from zero."""
        self._reached.clear()
        await self._ask(f"begin {events}", "begun")

    async def reached_all(self, number: int) -> int:
        """When event `number`, counted from one, had reached every good viewer: nanoseconds, monotonic."""
        try:
            async with asyncio.timeout(PATIENCE):
                while number not in self._reached:
                    self._reaching.clear()
                    await self._reaching.wait()
        except TimeoutError:
            state = await self.state()
            raise SwarmError(f"event {number} has not reached everybody in {PATIENCE:g} s: {state}") from None
        return self._reached[number]

    async def spread(self, said: Sequence[int]) -> tuple[float, float]:
        """p50 and p99 of all deliveries since `begin`, in milliseconds, given when each event was said."""
        p50, p99 = await self._ask("spread " + " ".join(map(str, said)), "spread")
        return float(p50) / 1000, float(p99) / 1000

    async def come_back(self) -> None:
        """From now on they return as pages do, and remember what they see."""
        await self._ask("return", "returning")

    async def check(self, ids: Sequence[str]) -> Check:
        """`ids` is all that was announced until now, in order."""
        for id in ids[self._told :]:
            self._tell(f"id {id}")
        self._told = len(ids)
        return Check(*map(int, await self._ask("check", "check")))

    async def state(self) -> State:
        return State(*map(int, await self._ask("state", "state")))

    def _tell(self, line: str) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")

    async def _ask(self, line: str, answer: str, within: float = PATIENCE) -> list[str]:
        self._tell(line)
        try:
            async with asyncio.timeout(within):
                words = await self._answers.get()
        except TimeoutError:
            raise SwarmError(f"the viewers do not answer `{line[:40]}`") from None
        if words[:1] != [answer]:
            raise SwarmError(f"the viewers ended at `{line[:40]}`")
        return words[1:]

    async def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        with suppress(ConnectionError):
            async for line in self._process.stdout:
                words = line.decode().split()
                if words[0] == "all":
                    self._reached[int(words[1])] = int(words[2])
                    self._reaching.set()
                else:
                    self._answers.put_nowait(words)
        self._answers.put_nowait([])


@functools.cache
def compiled(name: str) -> Path | None:
    """bench/NAME.c as a program that is gone when we are; None without a C compiler."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        return None
    folder = Path(tempfile.mkdtemp(prefix="sw-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = subprocess.run(
        [compiler, "-O2", "-o", str(folder / name), str(HERE / f"{name}.c")], capture_output=True, text=True
    )
    if made.returncode:
        print(f"{name}.c does not compile, Python takes its place:\n{made.stderr}", file=sys.stderr)
        return None
    return folder / name
