"""What changes in the benchmarks: a page of components, and a producer that says on the feed which of them
is down now, as a worker would.
"""

import asyncio
import itertools
import time
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from app.domain.events import Beat, Logged, StateChange
from app.domain.monitor import DEFAULT_REGION
from app.domain.standing import Standing, State
from app.feed import Feed

COMPONENTS = 20
# Long enough for a patch of about 300 bytes, as one of a page with real names is.
SLUG = "payments-and-settlements-in-the-united-kingdom-{:02}"
NAME = "Payments and settlements in the United Kingdom {:02}"
TARGET = "http://127.0.0.1:1/"
BEAT = 60.0


def status_file() -> str:
    lines = ["components:"]
    for n in range(COMPONENTS):
        # Nobody probes them; an hour is long enough for none to be called silent.
        monitor = f"{{http: {TARGET!r}, every: 1h}}"
        lines.append(f"  - {{name: {NAME.format(n)!r}, slug: {SLUG.format(n)}, monitors: [{monitor}]}}")
    return "\n".join(lines) + "\n"


class Producer:
    """Says one change after another: all components down, one by one, then all up again."""

    def __init__(self, redis_url: str, beat: float = BEAT) -> None:
        self._feed = Feed(redis_url, beat=beat)
        self._counter = itertools.count(1)
        self._at = datetime.now(UTC)
        self.ids: list[str] = []
        self.waiting: list[tuple[str, Logged]] = []

    async def __aenter__(self) -> Self:
        await self.beat()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._feed.close()

    async def beat(self) -> None:
        """So that the page is not called stale."""
        beat = Beat(at=datetime.now(UTC), worker="bench", region=DEFAULT_REGION, every=BEAT)
        await self._feed.beat(beat)

    async def announce(self, changes: int = 1) -> int:
        """When it was said: nanoseconds, monotonic."""
        events = [self._next() for _ in range(changes)]
        said = time.monotonic_ns()
        self.ids += [announced.id for announced in await self._feed.announce(events)]
        return said

    def prepare(self, changes: int) -> None:
        """Let that many more changes happen, and wait to be said."""
        self.waiting += [self._next() for _ in range(changes)]

    async def say(self, at_most: int) -> None:
        """The first of those that wait. FeedDown if it is not known whether they were heard: they wait on."""
        said = self.waiting[:at_most]
        self.ids += [announced.id for announced in await self._feed.announce(said)]
        del self.waiting[: len(said)]

    async def announce_for(self, seconds: float, per_second: float) -> list[int]:
        """At an even pace, whatever becomes of it. When each was said."""
        said = []
        begin = time.monotonic()
        for n in range(round(seconds * per_second)):
            await asyncio.sleep(max(0.0, begin + n / per_second - time.monotonic()))
            said.append(await self.announce())
        return said

    def _next(self) -> tuple[str, Logged]:
        n = next(self._counter)
        is_down = (n - 1) // COMPONENTS % 2 == 0
        # No two at the same instant, however many are said at once.
        self._at = max(datetime.now(UTC), self._at + timedelta(milliseconds=1))
        change = StateChange(
            trace=f"{n:016x}",
            at=self._at,
            worker="bench",
            was=State.UP if is_down else State.DOWN,
            standing=Standing(
                monitor=f"{SLUG.format((n - 1) % COMPONENTS)}/http",
                region=DEFAULT_REGION,
                state=State.DOWN if is_down else State.UP,
                since=self._at,
            ),
        )
        return f"bench:{n}", change
