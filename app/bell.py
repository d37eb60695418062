"""The bell of the feed: one subscription to a channel of Redis, for all in this process who listen to it, and
the proof that it still rings.

What redis-py does for each message of a PubSub (retries, records, a time-out, texts for a debug log) costs
more than the message: so its connection is read here, and a silence is seen by one clock for all.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

# Of what one who listens has not taken yet. The oldest goes first: whoever follows finds by the `prev` of the
# next that it is missing, and reads the log.
ROOM_BYTES: Final = 4 * 1024 * 1024
# Rings that one without a pace takes before others have their turn: each may be a patch for thousands, and a
# viewer over ASGI has room for 64 KiB of them.
AT_ONCE: Final = 32

Ask = Callable[[Awaitable[Any]], Awaitable[Any]]
Moved = Callable[[Any], Awaitable[None]]


class Ear:
    """Of one who listens. With a `pace` it is woken by the first ring, and takes what has come when so many
    seconds are over: who need not know at once is then woken once for many."""

    def __init__(self, pace: float) -> None:
        self._pace = pace
        self._rings: deque[bytes] = deque()
        self._bytes = 0
        self._error: Exception | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._taken = 0  # since others had their turn

    async def take(self) -> bytes:
        """The next ring. Empty, if there was none for a beat and the connection is alive."""
        if self._rings and not self._pace and self._taken >= AT_ONCE:
            self._taken = 0
            await asyncio.sleep(0)
        # Again after each wait: meanwhile the bell may be over, and all that it rang be gone.
        while not self._rings:
            await self._until_rung()
            self._taken = 0
            if self._rings and self._pace:
                await asyncio.sleep(self._pace)
        self._taken += 1
        ring = self._rings.popleft()
        self._bytes -= len(ring)
        return ring

    async def _until_rung(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None

    def put(self, ring: bytes) -> None:
        # That the connection is alive says nothing to whoever has more to take, and would fill no room.
        if not ring and self._rings:
            return
        self._rings.append(ring)
        self._bytes += len(ring)
        while self._bytes > ROOM_BYTES and len(self._rings) > 1:
            self._bytes -= len(self._rings.popleft())
        self._wake()

    def fail(self, error: Exception, at_once: bool) -> None:
        """Nothing more comes. What came before is taken first, unless `at_once`."""
        self._error = error
        if at_once:
            self._rings.clear()
            self._bytes = 0
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class HasMoved(ConnectionError):
    """A server that was stopped, or is cut off, answers as ever when it is back, and goes on ringing for
    whoever is with it on the wrong side."""


class Bell:
    """It is over when its connection is: whoever listens is told, and hangs up another. `ask` waits for an
    answer of Redis, but not for ever; `moved` until another server has taken over from the one of a
    connection. Nothing heard for two and a half beats is taken for a broken connection."""

    def __init__(self, pubsub: PubSub, channel: str, beat: float, ask: Ask, moved: Moved) -> None:
        self._pubsub = pubsub
        self._channel = channel
        self._beat = beat
        self._ask = ask
        self._moved = moved
        self._ears: set[Ear] = set()
        self._heard = 0.0
        self._error: Exception | None = None
        self._begun = asyncio.Event()
        self._running = asyncio.create_task(self._ring(), name="bell")

    @property
    def is_over(self) -> bool:
        return self._error is not None

    @property
    def is_idle(self) -> bool:
        return not self._ears

    async def enter(self, ear: Ear) -> None:
        """Returns when nothing that is said from now on is missed."""
        self._ears.add(ear)
        await self._begun.wait()
        if self._error is not None:
            raise self._error

    def leave(self, ear: Ear) -> None:
        self._ears.discard(ear)

    async def close(self) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    async def _ring(self) -> None:
        try:
            await self._subscribe()
            async with asyncio.TaskGroup() as jobs:
                jobs.create_task(self._read())
                jobs.create_task(self._watch())
                jobs.create_task(self._wait_for_another())
        except BaseExceptionGroup as group:
            self._end(group.exceptions[0])
        except Exception as error:
            self._end(error)
        finally:
            with suppress(RedisError, OSError):
                await self._pubsub.aclose()  # type: ignore[no-untyped-call]

    def _end(self, error: BaseException) -> None:
        self._error = error if isinstance(error, Exception) else RuntimeError(repr(error))
        self._begun.set()
        for ear in self._ears:
            ear.fail(self._error, at_once=isinstance(error, HasMoved))

    async def _subscribe(self) -> None:
        await self._ask(self._pubsub.subscribe(self._channel))
        if await self._pubsub.get_message(timeout=2 * self._beat) is None:
            raise TimeoutError("Redis does not confirm a subscription")
        self._heard = asyncio.get_running_loop().time()
        self._begun.set()

    async def _read(self) -> None:
        connection: Any = self._pubsub.connection
        clock = asyncio.get_running_loop().time
        while True:
            said = await connection.read_response(
                timeout=math.inf, disconnect_on_error=False, push_request=True
            )
            self._heard = clock()
            # Else it is the answer to our question whether it is alive.
            ring = said[2] if len(said) == 3 and said[0] == b"message" else b""
            for ear in self._ears:
                ear.put(ring)

    async def _watch(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            heard = self._heard
            await asyncio.sleep(heard + self._beat - clock())
            if self._heard != heard:
                continue
            await self._ask(self._pubsub.ping())
            # In two steps: if it is we who stood still meanwhile, what has come is read in the second. From
            # now on, and not from when it was heard, for the same reason.
            for step in (1.4, 0.1):
                await asyncio.sleep(step * self._beat)
            if self._heard == heard:
                raise TimeoutError("Redis has gone silent")

    async def _wait_for_another(self) -> None:
        await self._moved(self._pubsub.connection)
        raise HasMoved("another Redis has taken over")
