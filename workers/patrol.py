"""Which monitor is looked at when, and what becomes of the answer: probe, judge, put into the outbox.

Each monitor has its own beat: slots `every` apart, at an offset that is a hash of its key, so that load is
spread, and a restart or another worker keeps it. They are laid out by the wall clock, once, and then walked
by the monotonic one. The regions of a monitor have theirs evenly in between, so that together they look more
often. A slot that was missed is skipped and counted, never made up for.
"""

import asyncio
import heapq
import random
import re
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from itertools import count
from typing import Final

import structlog
from msgspec.structs import replace

from app.domain.clock import AHEAD
from app.domain.events import (
    LATE,
    STARTED_WITHIN,
    Beat,
    Known,
    Retelling,
    Sample,
    Samples,
    SecondLook,
    StateChange,
)
from app.domain.instant import from_seconds
from app.domain.monitor import Catalog, Monitor
from app.domain.result import Outcome, Result
from app.domain.share import place
from app.domain.standing import Standing, State, judge, needs_retry, unseen
from workers.lag import NOT_WORTH_MENTIONING, Lag, look_at_all
from workers.outbox import Outbox
from workers.own_health import OwnHealth
from workers.probes import UNPROBED, Probes

IN_FLIGHT_AT_MOST: Final = 500
STANDINGS_AT_A_TIME: Final = 500
SAMPLES_AT_A_TIME: Final = 500
FLUSH_EVERY: Final = 1.0

# A newcomer sees colours at once: every monitor is first looked at within so many seconds, and no more than
# 500 in one.
_FIRST_LOOK: Final = 2.0
_FIRST_LOOKS_PER_SECOND: Final = 500
# What another worker has left behind, and is overdue, is looked at within less.
_FIRST_LOOK_AFTER_OTHERS: Final = 0.25

# Seconds since our own last look, within which another region's call for a second one has had its answer.
_JUST_NOW: Final = 1.0

_JITTER: Final = 0.05  # of `every`, and a second at most: nobody shall be asked in step with anybody's clock
_LONGEST_JITTER: Final = 1.0
_LONGEST_RETRY: Final = 3.0

_TOO_MUCH_STOLEN: Final = 0.1
# Seconds that our loop stood still in mid-probe, by which what was found is not said at all.
STOOD_STILL: Final = 1.0

log = structlog.get_logger(__name__)


class Watch:
    """One monitor on patrol. `due` is its next regular slot, `ticket` the visit that is arranged: a visit
    with another number was arranged before something changed."""

    __slots__ = (
        *("monitor", "standing", "due", "ticket", "is_regular", "visited"),
        *("heard", "looked", "called", "no_verdict"),
    )

    def __init__(self, monitor: Monitor, standing: Standing) -> None:
        self.monitor = monitor
        self.standing = standing
        self.due = 0.0
        self.ticket = 0
        self.is_regular = False
        self.visited = False  # right now
        self.heard: float | None = None
        self.looked = float("-inf")
        self.called = float("-inf")  # when a second look was last called for, by us or by another region
        self.no_verdict = ""


class Patrol:
    """`call` is how a second look is called for in other regions."""

    def __init__(
        self,
        probes: Probes,
        outbox: Outbox,
        worker: str,
        region: str,
        call: Callable[[SecondLook, Collection[str]], None] = lambda look, regions: None,
        health: OwnHealth | None = None,
    ) -> None:
        self._missed = 0
        self._late = 0
        self._starts = [0] * (len(STARTED_WITHIN) + 1)
        self._call = call
        self._probes = probes
        self._outbox = outbox
        self._worker = worker
        self._region = region
        self._health = health or OwnHealth()
        self._watches: dict[str, Watch] = {}
        self._visits: list[tuple[float, int, Watch]] = []
        self._tickets = count(1)
        self._running: set[asyncio.Task[None]] = set()
        self._alarm = asyncio.Event()
        self._alarm_at = float("-inf")  # for when it is set, or for nothing but that a probe ends
        self._samples: list[Sample] = []
        self._outcomes: Counter[str] = Counter()
        self._lag = Lag()
        self._latest_start = 0.0
        self._push_noted = False

    async def patrol(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._lag.watch())
            group.create_task(self._health.watch(self._lag))
            group.create_task(self._flush_for_ever())
            try:
                await self._walk()
            finally:
                for visit in self._running:
                    visit.cancel()
                await asyncio.gather(*self._running, return_exceptions=True)

    def assign(
        self, catalog: Catalog, ours: Collection[str] | None = None, known: Mapping[str, Known] | None = None
    ) -> int:
        """Watch what this catalog names, or as much of it as is in `ours`, and say how much that is. A
        monitor that stays keeps its standing, and its beat unless `every` is another; one that is another now
        is looked at soon. One that others have looked at until now goes on from what is `known` of it."""
        look_at_all()
        now, at = time.monotonic(), from_seconds(time.time())
        monitors = {
            monitor.key: monitor
            for monitor in catalog.watched()
            if self._is_ours(monitor) and (ours is None or monitor.key in ours)
        }
        for key in self._watches.keys() - monitors.keys():
            self._drop(key)
        for key, monitor in monitors.items():
            watch = self._watches.get(key)
            if watch is None:
                watch = self._watches[key] = Watch(monitor, unseen(monitor, self._region, at))
                if (left := (known or {}).get(key)) is not None and is_fresh(left, monitor):
                    self._take_over(watch, left, now)
                    continue
            elif watch.monitor == monitor:
                continue
            window = _FIRST_LOOK + len(monitors) / _FIRST_LOOKS_PER_SECOND
            self._begin(watch, monitor, now, window)
        self._visits = [visit for visit in self._visits if visit[2].ticket == visit[1]]
        heapq.heapify(self._visits)
        self._alarm.set()
        return len(monitors)

    def leave(self, keys: Collection[str]) -> None:
        """Others look at these from now on, and are told at once what we had measured."""
        if gone := self._watches.keys() & keys:
            self.flush()
        for key in gone:
            self._drop(key)

    @property
    def watched(self) -> Collection[str]:
        return self._watches.keys()

    def look(self, key: str) -> None:
        """Another region has seen it fail: look at once, unless that is what we are doing or have done."""
        watch, now = self._watches.get(key), time.monotonic()
        if watch is None or watch.visited:
            return
        if now - watch.looked < min(_JUST_NOW, watch.monitor.every / 4):
            return
        watch.called = now
        self._arrange(watch, now)
        self._alarm.set()

    def retell(self) -> None:
        """Say again how everything stands that was looked at lately."""
        now = time.monotonic()
        fresh = [
            watch.standing
            for watch in self._watches.values()
            if watch.standing.state is not State.UNKNOWN
            and watch.heard is not None
            and now - watch.heard <= watch.monitor.best_before
        ]
        for start in range(0, len(fresh), STANDINGS_AT_A_TIME):
            self._tell(tuple(fresh[start : start + STANDINGS_AT_A_TIME]))

    def compare_clocks(self, at: float) -> None:
        """Ours with that of Redis, which says that it is `at`."""
        self._health.compare(at)

    def beat(self, every: float) -> Beat:
        latest, self._latest_start = self._latest_start, 0.0
        return Beat(
            at=from_seconds(time.time()),
            worker=self._worker,
            region=self._region,
            every=every,
            monitors=len(self._watches),
            probes=dict(self._outcomes),
            lag=latest,
            starts=tuple(self._starts),
            missed=self._missed,
            late=self._late,
            waiting=self._outbox.waiting,
            dropped=self._outbox.dropped,
            trouble=self._health.told,
        )

    def flush(self) -> None:
        """Put what was measured into the outbox."""
        samples, self._samples = self._samples, []
        for start in range(0, len(samples), SAMPLES_AT_A_TIME):
            self._report(tuple(samples[start : start + SAMPLES_AT_A_TIME]))

    def _is_ours(self, monitor: Monitor) -> bool:
        if self._region not in monitor.regions:
            return False
        if monitor.kind in UNPROBED:
            if not self._push_noted:
                log.info("some monitors are not for probing; a worker leaves them alone", monitor=monitor.key)
            self._push_noted = True
            return False
        return True

    # When

    def _begin(self, watch: Watch, monitor: Monitor, now: float, window: float) -> None:
        """A first look soon, then the regular slots: from half an interval after it, so that one look does
        not follow upon the other."""
        soon = now + place(monitor.key) * min(monitor.every, window)
        watch.monitor = monitor
        watch.due = self._slot_after(soon + monitor.every / 2, monitor)
        self._probes.forget(monitor.key)
        if not watch.visited:  # else it is arranged when that visit is over
            self._arrange(watch, soon)

    def _take_over(self, watch: Watch, left: Known, now: float) -> None:
        """In its next slot, as if we had always done so; soon, if its last one was not kept."""
        monitor = watch.monitor
        watch.standing = left.standing
        watch.heard = now - left.age
        if left.age > monitor.every:
            self._begin(watch, monitor, now, _FIRST_LOOK_AFTER_OTHERS)
        else:
            watch.due = self._slot_after(now, monitor)
            self._arrange(watch, watch.due, is_regular=True)

    def _slot_after(self, earliest: float, monitor: Monitor) -> float:
        regions = monitor.regions
        turn = regions.index(self._region) / len(regions) if self._region in regions else 0.0
        offset = (place(monitor.key) + turn) * monitor.every - (time.time() - time.monotonic())
        return earliest + (offset - earliest) % monitor.every

    def _drop(self, key: str) -> None:
        # A probe under way is left to end; nobody will listen to it.
        self._watches.pop(key).ticket = 0
        self._probes.forget(key)

    def _arrange(self, watch: Watch, when: float, is_regular: bool = False) -> None:
        watch.ticket = next(self._tickets)
        watch.is_regular = is_regular
        heapq.heappush(self._visits, (when, watch.ticket, watch))
        if when < self._alarm_at:
            self._alarm.set()

    def _arrange_next(self, watch: Watch, verdict: bool) -> None:
        now = time.monotonic()
        every = watch.monitor.every
        if watch.due <= now:
            skipped = int((now - watch.due) // every) + 1
            watch.due += skipped * every
            self._missed += skipped
        if verdict and needs_retry(watch.standing, watch.monitor.retries):
            soon = now + retry_after(watch.standing, every)
            if soon < watch.due:
                self._arrange(watch, soon)
                return
        jitter = random.random() * min(every * _JITTER, _LONGEST_JITTER)
        self._arrange(watch, watch.due + jitter, is_regular=True)

    async def _walk(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._alarm.clear()
            now = time.monotonic()
            while self._visits and self._visits[0][0] <= now and len(self._running) < IN_FLIGHT_AT_MOST:
                when, ticket, watch = heapq.heappop(self._visits)
                if watch.ticket == ticket:
                    self._send(watch, when)
            alarm = None
            if len(self._running) >= IN_FLIGHT_AT_MOST:
                self._alarm_at = float("-inf")
            elif self._visits:
                self._alarm_at = self._visits[0][0]
                alarm = loop.call_later(self._alarm_at - now, self._alarm.set)
            else:
                self._alarm_at = float("inf")
            await self._alarm.wait()
            if alarm is not None:
                alarm.cancel()

    def _send(self, watch: Watch, when: float) -> None:
        watch.visited = True
        if watch.is_regular:
            watch.due += watch.monitor.every
        visit = asyncio.get_running_loop().create_task(self._visit(watch, when))
        self._running.add(visit)
        visit.add_done_callback(self._back)

    def _back(self, visit: asyncio.Task[None]) -> None:
        if len(self._running) >= IN_FLIGHT_AT_MOST:
            self._alarm.set()
        self._running.discard(visit)
        if not visit.cancelled() and (error := visit.exception()) is not None:
            log.error("a visit failed by a fault of Statuswire itself", exc_info=error)

    # What

    async def _visit(self, watch: Watch, when: float) -> None:
        watch.looked = began = time.monotonic()
        lag = max(began - when, 0.0)
        self._latest_start = max(self._latest_start, lag)
        self._starts[bisect_left(STARTED_WITHIN, lag)] += 1
        monitor = watch.monitor
        before = self._lag.stolen
        verdict = False
        try:
            result = await self._probes.probe(monitor)
            stolen = self._lag.stolen - before
            result = await self._health.doubt(result, began)
            if self._watches.get(monitor.key) is watch and watch.monitor is monitor:
                verdict = self._weigh(watch, result, lag, stolen)
        finally:
            watch.visited = False
            if self._watches.get(monitor.key) is watch:
                if watch.monitor is monitor:
                    self._arrange_next(watch, verdict)
                else:  # it was another target that answered
                    self._arrange(watch, time.monotonic())

    def _weigh(self, watch: Watch, result: Result, lag: float, stolen: float) -> bool:
        """Whether it is a verdict."""
        if stolen >= STOOD_STILL:
            # It tells of the time before that, and others may have looked since.
            self._outcomes[Outcome.INCONCLUSIVE] += 1
            return False
        result = doubt(result, watch.monitor, stolen)
        self._judge(watch, result, late=is_late(result, lag, stolen))
        return result.outcome is not Outcome.INCONCLUSIVE

    def _judge(self, watch: Watch, result: Result, late: bool) -> None:
        before, monitor = watch.standing, watch.monitor
        watch.standing, changed = judge(before, result, monitor.retries, monitor.recoveries)
        if changed:
            self._announce(watch.standing, before.state, result)
        if watch.standing.bad and not before.bad:
            self._call_others(watch)
        self._note(watch, result)
        self._outcomes[result.outcome] += 1
        self._late += late
        took = None if result.took is None else round(result.took * 1000, 3)
        self._samples.append(
            Sample(watch.monitor.key, result.at, result.outcome, watch.standing.state, took, late)
        )

    def _call_others(self, watch: Watch) -> None:
        """Once in an interval, and not if it was another region that called us."""
        monitor, now = watch.monitor, time.monotonic()
        others = [region for region in monitor.regions if region != self._region]
        if others and now - watch.called >= monitor.every:
            watch.called = now
            self._call(SecondLook(monitor=monitor.key, region=self._region), others)

    def _announce(self, standing: Standing, was: State, result: Result) -> None:
        def create(key: str) -> StateChange:
            # In the next turn of the loop: by then the change is on its way, and no line in a log has held it
            # up.
            asyncio.get_running_loop().call_soon(_log_change, standing, was, key)
            return StateChange(trace=key, at=result.at, worker=self._worker, was=was, standing=standing)

        self._outbox.put(create)

    def _tell(self, standings: tuple[Standing, ...]) -> None:
        at = from_seconds(time.time())
        self._outbox.put(lambda key: Retelling(trace=key, at=at, worker=self._worker, standings=standings))

    def _report(self, samples: tuple[Sample, ...]) -> None:
        at = from_seconds(time.time())
        event = Samples(at=at, worker=self._worker, region=self._region, samples=samples)
        self._outbox.put(lambda _: event)

    def _note(self, watch: Watch, result: Result) -> None:
        """Without a verdict a monitor turns unknown in silence; here is why, said once."""
        if result.outcome is not Outcome.INCONCLUSIVE:
            watch.heard = time.monotonic()
            if watch.no_verdict:
                log.info("verdicts again", monitor=watch.monitor.key)
            watch.no_verdict = ""
        elif (why := re.sub(r"[0-9.]+", "", result.detail)) != watch.no_verdict:
            # With other figures in it, it is still the same.
            watch.no_verdict = why
            log.warning("no verdict", monitor=watch.monitor.key, reason=result.reason, detail=result.detail)

    async def _flush_for_ever(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY)
            self.flush()


def retry_after(standing: Standing, every: float) -> float:
    """Seconds to the next look in a run that is not yet confirmed: one after the first bad answer, then
    two, then three. So a blip of a moment is over by then, and what is down is known to be down soon."""
    return min(every / 2, float(max(standing.bad, standing.slow, 1)), _LONGEST_RETRY)


def is_fresh(left: Known, monitor: Monitor) -> bool:
    """Whether it still says how things stand. What comes from the future tells nobody when it was said."""
    return -AHEAD.total_seconds() <= left.age <= monitor.best_before


def doubt(result: Result, monitor: Monitor, stolen: float) -> Result:
    """A verdict that hangs on time is none if our own loop stole a good part of it."""
    if result.reason == "timeout":
        took = monitor.timeout
    elif result.reason == "slow" and result.took is not None:
        took = result.took
    else:
        return result
    if stolen <= _TOO_MUCH_STOLEN * took:
        return result
    detail = f"This worker itself stood still for {stolen:.2f} of {took:.2f} s."
    return replace(result, outcome=Outcome.INCONCLUSIVE, reason="worker", detail=detail)


def is_late(result: Result, lag: float, stolen: float) -> bool:
    """Whether what was measured may be our own slowness."""
    if lag > LATE:
        return True
    if result.took is None:
        return False
    held = result.phases.held or 0.0
    ours = max(stolen, held if held > NOT_WORTH_MENTIONING else 0.0)
    return ours > _TOO_MUCH_STOLEN * result.took


def _log_change(standing: Standing, was: State, trace: str) -> None:
    words = {"monitor": standing.monitor, "was": was, "now": standing.state, "reason": standing.reason}
    log.info("state change", **words, trace=trace)
