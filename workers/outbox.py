"""What has been said but not yet heard: events on their way to the feed, in order, through any outage.

It is bounded. Measurements give way first, the oldest before the newer; state changes only when there are
more of them than any outage should bring. Whatever is let go is counted.

As long as the feed is away it is on disk as well (`spool.py`), so that the next worker can say it should this
one be killed.

A change that was heard is kept a little longer: a Redis that is killed while its disk is slow loses what it
had taken in the last moments, and nobody is told. The feed notices, and then the last changes are said again;
it knows their keys and takes only those it has lost.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

import structlog

from app.domain.events import Known, Logged, Retelling, Samples, StateChange
from app.feed import Announced, Feed, FeedDown, Forgotten
from workers.spool import Spool

# Of one round trip: the feed's patience must be enough for it on any line.
AT_A_TIME: Final = 256
SAMPLES_AT_A_TIME: Final = 2_000  # some 200 KB
CHANGES_AT_MOST: Final = 100_000
SAMPLE_EVENTS_AT_MOST: Final = 3_000
SAMPLES_AT_MOST: Final = 200_000  # some 40 MB
SAID_AGAIN: Final = 256
SAID_AGAIN_WITHIN: Final = 60.0  # seconds before the feed was last heard
# Seconds of an outage after which a board may take an old word for news, should others have told a newer one.
LONG_AWAY: Final = 30.0

_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0

log = structlog.get_logger(__name__)


class Outbox:
    """`on_new_log` is called when the feed turns out to have another log than last time: what was told
    before is forgotten there. What others have left behind is said before anything else."""

    def __init__(
        self,
        feed: Feed,
        worker: str,
        on_new_log: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
        spool: Spool | None = None,
        left_behind: Iterable[Spool] = (),
    ) -> None:
        self.dropped = 0
        self._spool = spool
        self._left_behind = list(left_behind)
        self._is_spooling = False
        self._was_long_away = False
        self._syncing: asyncio.Future[None] | None = None
        self._feed = feed
        self._worker = worker
        self._on_new_log = on_new_log
        self._monotonic = monotonic
        self._counter = 0
        self._log = ""
        self._last = "", ""  # by which producer, and the id
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
        self.begins = asyncio.Event()  # what was left behind has been said

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
        if self._spool is not None and self._is_spooling:
            self._spool.keep([(self._key(self._counter), event)])
        self._emptied.clear()
        self._filled.set()

    async def deliver(self) -> None:
        """For ever. All that is waiting goes in one round trip, so the next begins as soon as this one is
        back."""
        while self._left_behind:
            await self._say_what_was_left(self._left_behind[0])
            self._left_behind.pop(0).close()
        self.begins.set()
        while True:
            await self._filled.wait()
            self._take()
            if self._was_long_away:
                self._batch = await self._not_overtaken(self._batch)
            await self._deliver_batch()
            self._unspool()
            if not self._waiting:
                self._was_long_away = False
                self._filled.clear()
                self._emptied.set()

    def close(self) -> None:
        """What has still not been heard is for the next worker, if there is a spool."""
        if self._spool is not None:
            if self.waiting:
                self._begin_to_spool()
                self._spool.sync()
            self._spool.close()
        for spool in self._left_behind:
            spool.close()

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
        waiting = ((self._key(counter), event) for counter, event in self._waiting.items())
        self._batch = next(_round_trips(waiting), [])
        for counter in list(islice(self._waiting, len(self._batch))):
            if isinstance(event := self._waiting.pop(counter), Samples):
                self._sample_events.popleft()
                self._samples -= len(event.samples)

    async def _deliver_batch(self) -> None:
        for announced in await self._until_heard():
            if announced.log != self._log:
                known, self._log = self._log, announced.log
                if known:
                    log.warning("the feed has a new log; telling it how everything stands")
                    self._on_new_log()
        self._keep_heard()
        self._batch = []

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
        began = self._monotonic()
        while self._batch:
            try:
                heard = await self._say()
            except FeedDown as error:
                if not failed:
                    log.warning("events are waiting for the feed", error=str(error) or "no answer in time")
                    self._begin_to_spool()
                failed = True
                self._sync_soon()
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 2, _LONGEST_PAUSE)
                if self._monotonic() - began > LONG_AWAY:
                    self._was_long_away = True
                    self._batch = await self._not_overtaken(self._batch)
            else:
                if failed:
                    log.info("the feed takes events again", waiting=self.waiting, dropped=self.dropped)
                return heard
        return []

    async def _say(self) -> list[Announced]:
        producer = _producer(self._batch[0][0])
        last = self._last[1] if self._last[0] == producer else ""
        try:
            heard = await self._feed.announce(self._batch, last)
        except Forgotten:
            log.warning("the feed has lost what it had taken; saying it again")
            # In one step with what follows: nothing newer may overtake it.
            again = [(key, event) for _, key, event in self._heard]
            heard = (await self._feed.announce([*again, *self._batch]))[len(again) :]
        self._last = producer, heard[-1].id
        return heard

    # While the feed is away

    def _begin_to_spool(self) -> None:
        if self._spool is None or self._is_spooling:
            return
        self._is_spooling = True
        own = [(key, event) for key, event in self._batch if _producer(key) == self._worker]
        waiting = [(self._key(counter), event) for counter, event in self._waiting.items()]
        self._spool.keep([*own, *waiting])

    def _sync_soon(self) -> None:
        """Not waited for, and not on this loop: nobody knows how long a disk takes."""
        if self._spool is not None and (self._syncing is None or self._syncing.done()):
            self._syncing = asyncio.get_running_loop().run_in_executor(None, self._spool.sync)

    def _unspool(self) -> None:
        if self._spool is None or not self._is_spooling:
            return
        if self._waiting:
            self._spool.mark_heard(self._key(next(iter(self._waiting)) - 1))
            return
        if self._spool.unkept:
            log.info(
                "the spool had no room for some events, which were said all the same",
                events=self._spool.unkept,
            )
        self._spool.clear()
        self._is_spooling = False

    async def _say_what_was_left(self, spool: Spool) -> None:
        said = 0
        for batch in _round_trips(spool.read()):
            # How things stood is not said again: that is for whoever looks now.
            self._batch = [(key, event) for key, event in batch if not isinstance(event, Retelling)]
            self._batch = await self._not_overtaken(self._batch)
            said += len(self._batch)
            await self._deliver_batch()
            spool.mark_heard(batch[-1][0])
        if not spool.is_empty:
            words = {"spool": spool.path.name, "said": said, "broken": spool.broken}
            log.warning("another worker left behind what it had not said", **words)
        spool.clear()

    async def _not_overtaken(self, batch: list[tuple[str, Logged]]) -> list[tuple[str, Logged]]:
        """Without the changes of monitors that others have looked at since: they would be taken for news."""
        by_region: dict[str, set[str]] = {}
        for _, event in batch:
            if isinstance(event, StateChange):
                by_region.setdefault(event.standing.region, set()).add(event.standing.monitor)
        known = {region: await self._known(region, sorted(keys)) for region, keys in by_region.items()}

        def is_overtaken(event: Logged) -> bool:
            if not isinstance(event, StateChange):
                return False
            newest = known[event.standing.region].get(event.standing.monitor)
            return newest is not None and newest.answered > event.at

        kept = [(key, event) for key, event in batch if not is_overtaken(event)]
        if len(kept) < len(batch):
            log.warning("others have looked since; old changes are let go", changes=len(batch) - len(kept))
        return kept

    async def _known(self, region: str, monitors: list[str]) -> dict[str, Known]:
        while True:
            try:
                return await self._feed.standings(region, monitors)
            except FeedDown:
                self._begin_to_spool()
                self._sync_soon()
                await asyncio.sleep(_LONGEST_PAUSE * random.uniform(0.5, 1.0))

    # Bounds

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


def _producer(key: str) -> str:
    return key.rpartition(":")[0]


def _round_trips(events: Iterator[tuple[str, Logged]]) -> Iterator[list[tuple[str, Logged]]]:
    """One event of measurements goes even if it is too large by itself."""
    batch: list[tuple[str, Logged]] = []
    samples = 0
    for key, event in events:
        size = len(event.samples) if isinstance(event, Samples) else 0
        if batch and (len(batch) >= AT_A_TIME or (size and samples + size > SAMPLES_AT_A_TIME)):
            yield batch
            batch, samples = [], 0
        batch.append((key, event))
        samples += size
    if batch:
        yield batch
