"""What has been said but not yet heard: events on their way to the feed, in order, through any outage.

It is bounded. Measurements give way first, the oldest before the newer; state changes only when there are
more of them than any outage should bring. Whatever is let go is counted.

A change that was heard is kept a little longer: a Redis that is killed while its disk is slow loses what it
had taken in the last moments, and nobody is told. The feed notices, and then the last changes are said again;
it knows their keys and takes only those it has lost.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

from app.domain.events import Logged, Samples
from app.feed import Announced, Feed, FeedDown, Forgotten

# Of one round trip: the feed's patience must be enough for it on any line.
AT_A_TIME: Final = 256
SAMPLES_AT_A_TIME: Final = 2_000  # some 200 KB
CHANGES_AT_MOST: Final = 100_000
SAMPLE_EVENTS_AT_MOST: Final = 3_000
SAMPLES_AT_MOST: Final = 200_000  # some 40 MB
SAID_AGAIN: Final = 256
SAID_AGAIN_WITHIN: Final = 60.0  # seconds before the feed was last heard

_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0

log = structlog.get_logger(__name__)


class Outbox:
    """`on_new_log` is called when the feed turns out to have another log than last time: what was told
    before is forgotten there."""

    def __init__(
        self,
        feed: Feed,
        worker: str,
        on_new_log: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.dropped = 0
        self._feed = feed
        self._worker = worker
        self._on_new_log = on_new_log
        self._monotonic = monotonic
        self._counter = 0
        self._log = ""
        self._last = ""
        # What may still be dropped, by counter and so in order, and what is being said: a retry must say
        # the same again.
        self._waiting: dict[int, Logged] = {}
        self._batch: list[tuple[str, Logged]] = []
        self._heard: deque[tuple[float, str, Logged]] = deque(maxlen=SAID_AGAIN)
        self._sample_events: deque[int] = deque()
        self._samples = 0
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()

    @property
    def waiting(self) -> int:
        return len(self._waiting) + len(self._batch)

    def put(self, create: Callable[[str], Logged]) -> None:
        """`create` is given the event's key, which is its trace."""
        self._counter += 1
        event = create(self._key(self._counter))
        self._waiting[self._counter] = event
        if isinstance(event, Samples):
            self._sample_events.append(self._counter)
            self._samples += len(event.samples)
        self._drop_what_is_too_much()
        self._emptied.clear()
        self._filled.set()

    async def deliver(self) -> None:
        """For ever. All that is waiting goes in one round trip, so the next begins as soon as this one is
        back."""
        while True:
            await self._filled.wait()
            self._take()
            for announced in await self._until_heard():
                if announced.log != self._log:
                    known, self._log = self._log, announced.log
                    if known:
                        log.warning("the feed has a new log; telling it how everything stands")
                        self._on_new_log()
            self._keep_heard()
            self._batch = []
            if not self._waiting:
                self._filled.clear()
                self._emptied.set()

    async def drain(self, within: float) -> bool:
        """False if something was still unheard after `within` seconds."""
        try:
            await asyncio.wait_for(self._emptied.wait(), within)
        except TimeoutError:
            return False
        return True

    def _key(self, counter: int) -> str:
        return f"{self._worker}:{counter}"

    def _take(self) -> None:
        """One event of measurements goes even if it is too large by itself."""
        samples = 0
        while self._waiting and len(self._batch) < AT_A_TIME:
            counter, event = next(iter(self._waiting.items()))
            if isinstance(event, Samples):
                samples += len(event.samples)
                if self._batch and samples > SAMPLES_AT_A_TIME:
                    break
                self._sample_events.popleft()
                self._samples -= len(event.samples)
            del self._waiting[counter]
            self._batch.append((self._key(counter), event))

    def _keep_heard(self) -> None:
        """Changes that were heard of late, seen from now: a crash takes no more than that. Not seen from when
        they are missed, for the outage between may be long; and what is older is history, which a board would
        take for news."""
        now = self._monotonic()
        self._heard += [(now, key, event) for key, event in self._batch if not isinstance(event, Samples)]
        while self._heard and now - self._heard[0][0] > SAID_AGAIN_WITHIN:
            self._heard.popleft()

    async def _until_heard(self) -> list[Announced]:
        pause = _PAUSE
        failed = False
        while True:
            try:
                heard = await self._say()
            except FeedDown as error:
                if not failed:
                    log.warning("events are waiting for the feed", error=str(error) or "no answer in time")
                failed = True
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                if failed:
                    log.info("the feed takes events again", waiting=self.waiting, dropped=self.dropped)
                return heard

    async def _say(self) -> list[Announced]:
        try:
            heard = await self._feed.announce(self._batch, self._last)
        except Forgotten:
            log.warning("the feed has lost what it had taken; saying it again")
            # In one step with what follows: nothing newer may overtake it.
            again = [(key, event) for _, key, event in self._heard]
            heard = (await self._feed.announce([*again, *self._batch]))[len(again) :]
        self._last = heard[-1].id
        return heard

    def _drop_what_is_too_much(self) -> None:
        while len(self._sample_events) > SAMPLE_EVENTS_AT_MOST or self._samples > SAMPLES_AT_MOST:
            event = self._waiting.pop(self._sample_events.popleft())
            assert isinstance(event, Samples)
            self._samples -= len(event.samples)
            self.dropped += len(event.samples)
        while len(self._waiting) - len(self._sample_events) > CHANGES_AT_MOST:
            oldest = next(
                counter for counter, event in self._waiting.items() if not isinstance(event, Samples)
            )
            del self._waiting[oldest]
            self.dropped += 1
