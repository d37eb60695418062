"""push: one patch, encoded once for each audience, to every socket that watches.

Everything here is synchronous on purpose. On one event loop a method without `await` cannot be
interrupted, so a viewer's first frame and its place in the audience are taken in the same instant, and no
patch can fall between them.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Protocol

import structlog
from msgspec.structs import replace

from app import metrics
from app.domain import audience as views
from app.domain.audience import PUBLIC, Audience
from app.domain.board import START, Board, Patch
from app.domain.events import Beat, order
from app.domain.instant import from_seconds, rfc3339, to_ms
from app.domain.status import Overall, overall
from app.feed import Gap, Heard
from app.live import frames
from app.live.frames import Frame, Transport

log = structlog.get_logger("hub")

RESUME_PATCHES = 500  # a client that missed more is sent one snapshot, which is then the smaller of the two
RESUME_BYTES = 256 * 1024
AUDIENCES = 256  # of one installation at a time; each costs an encoding per patch
PAGE_BEATS = 3  # a wall gets each beat, a page each third: phones pay for every packet
STALE_BEATS = 2.5


class Viewer(Protocol):
    """One open stream. `write` never waits and never fails; who cannot keep up throws away what waits and
    asks for a `resync` when it has drained. `end` says a last word, then closes with a WebSocket close
    code."""

    transport: Transport
    wall: bool

    def write(self, data: bytes) -> None: ...
    def end(self, last: bytes, code: int) -> None: ...


class Crowded(Exception):
    """There are already as many audiences as we encode for."""


class Stage:
    """What one audience is shown, who of it is watching, and the last patches it was sent, for those who
    come back. `complete_since` is the id from which on `replay` lacks nothing."""

    def __init__(self, audience: Audience, board: Board, complete_since: str, past: Iterable[Patch]) -> None:
        self.audience = audience
        self.viewers: dict[Transport, set[Viewer]] = {transport: set() for transport in Transport}
        self.complete_since = complete_since
        self.replay: deque[Frame] = deque()
        self._bytes = 0
        self._snapshot: tuple[tuple[str, str, int], Frame] | None = None
        self.overall = views.sum_up(board, audience)
        for patch, status in _retrace(past, board, audience):
            if (body := views.narrow(patch, audience, status)) is not None:
                self._keep(frames.patch(body))

    @property
    def count(self) -> int:
        return sum(map(len, self.viewers.values()))

    def push(self, patch: Patch, board: Board) -> None:
        before = self.overall
        if patch.changes:
            self.overall = views.sum_up(board, self.audience)
        body = views.narrow(patch, self.audience, None if self.overall == before else self.overall)
        if body is None:
            return
        metrics.FRAMES.labels("patch").inc()
        frame = frames.patch(body)
        if patch.changes:
            self._keep(frame)
        self.cast(frame)

    def reset(self, board: Board, now: datetime, why: str) -> None:
        """Nothing said before holds any more: a snapshot for everybody."""
        self.replay.clear()
        self._bytes = 0
        self.complete_since = board.id
        self.overall = views.sum_up(board, self.audience)
        self.cast(self.snapshot(board, now, why))

    def cast(self, frame: Frame, walls_only: bool = False) -> None:
        for transport, viewers in self.viewers.items():
            data = frame.on(transport)
            for viewer in tuple(viewers):
                if viewer.wall or not walls_only:
                    viewer.write(data)

    def missed(self, since: str, last: str) -> list[Frame] | None:
        """What was sent after the id `since`; None if that cannot be said in full."""
        # Nobody was ever sent the id before all others, and patches from there on would lack the names.
        if since == START or not order(self.complete_since) <= order(since) <= order(last):
            return None
        return [frame for frame in self.replay if order(frame.id) > order(since)]

    def snapshot(self, board: Board, now: datetime, why: str) -> Frame:
        """Encoded once a second at the most, so that ten thousand who come back at once cost one encoding."""
        key = (board.id, why, to_ms(now) // 1000)
        if self._snapshot is None or self._snapshot[0] != key:
            metrics.FRAMES.labels("snapshot").inc()
            self._snapshot = key, frames.snapshot(views.snapshot(board, self.audience, now, why))
        return self._snapshot[1]

    def _keep(self, frame: Frame) -> None:
        self.replay.append(frame)
        self._bytes += len(frame.ws)
        while len(self.replay) > RESUME_PATCHES or self._bytes > RESUME_BYTES:
            gone = self.replay.popleft()
            self._bytes -= len(gone.ws)
            self.complete_since = gone.id


class Hub:
    """One per process. `wall_clock` and `monotonic` are arguments, so that a test may hold them."""

    def __init__(
        self,
        beat: float,
        wall_clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.beat_every = beat
        self._wall_clock = wall_clock
        self._monotonic = monotonic
        self.board = Board()
        self._past: deque[Patch] = deque(maxlen=RESUME_PATCHES)
        self._complete_since = self.board.id
        self._stages: dict[Audience, Stage] = {}
        self._stage_of: dict[Viewer, Stage] = {}
        self.linked = asyncio.Event()
        self._regions: dict[str, float] = {}
        self._workers: dict[str, tuple[Beat, float]] = {}
        self._said: str | None = None
        self._latency: dict[str, float] = {}
        self.skew: dict[str, float] = {}

    def now(self) -> datetime:
        return from_seconds(self._wall_clock())

    # From the feed

    def restore(self, board: Board, complete_since: str, past: Sequence[Patch] = ()) -> None:
        """Begin from what the database remembers. `past` is what was last sent, for those who resume; it
        lacks nothing after the id `complete_since`."""
        self.board = board
        self._past = deque(past, maxlen=RESUME_PATCHES)
        self._complete_since = complete_since
        for stage in self._stages.values():
            stage.reset(board, self.now(), "gap")

    def hear(self, item: Heard | Gap) -> None:
        """Take in what the follower heard."""
        if isinstance(item, Gap):
            metrics.GAPS.inc()
            log.warning("events are missing from the log", after=item.after, before=item.before)
            self._reset("gap")
        elif isinstance(item.event, Beat):
            self._hear_beat(item.event)
        else:
            metrics.EVENTS.labels(type(item.event).__name__).inc()
            metrics.FEED_LAG.set(max(0.0, self._wall_clock() - order(item.id)[0] / 1000))
            patch = self.board.fold(item.id, item.event)
            if patch is None:
                return
            if patch.catalog:
                self._reset("catalog")
            else:
                self.push(patch)

    def link(self, up: bool) -> None:
        """The follower has caught up with the feed, or has lost it."""
        if up:
            self.linked.set()
        else:
            self.linked.clear()
        metrics.FEED_UP.set(up)
        self._say_if_changed()

    def push(self, patch: Patch) -> None:
        """Send a patch to all whom it concerns. Latency alone waits for the next beat: it is no news."""
        self._latency |= patch.latency
        if not patch.changes:
            return
        patch, self._latency = replace(patch, latency=self._latency), {}
        if len(self._past) == RESUME_PATCHES:
            self._complete_since = self._past[0].id
        self._past.append(patch)
        for stage in self._stages.values():
            stage.push(patch, self.board)
        if patch.trace:
            took = self._wall_clock() - to_ms(patch.at) / 1000
            metrics.PROBE_TO_PUSH.observe(max(0.0, took))
            log.info(
                "pushed",
                id=patch.id,
                trace=patch.trace,
                components=[change.slug for change in patch.changes],
                took_ms=round(took * 1000, 2),
            )

    def _hear_beat(self, beat: Beat) -> None:
        self._regions[beat.region] = self._monotonic()
        self.skew[beat.region] = self._wall_clock() - to_ms(beat.at) / 1000
        self._workers[beat.worker] = beat, self._monotonic()
        self._say_if_changed()

    def _reset(self, why: str) -> None:
        self._past.clear()
        self._complete_since = self.board.id
        self._latency = {}
        for stage in self._stages.values():
            stage.reset(self.board, self.now(), why)

    # Proof of life

    @property
    def feed_state(self) -> str:
        """ok; stale: Redis answers and no worker is heard; down: Redis does not answer."""
        if not self.linked.is_set():
            return "down"
        newest = max(self._regions.values(), default=float("-inf"))
        return "ok" if self._monotonic() - newest <= STALE_BEATS * self.beat_every else "stale"

    @property
    def regions(self) -> dict[str, float]:
        """Seconds since each region was last heard."""
        now = self._monotonic()
        return {region: round(now - at, 1) for region, at in self._regions.items()}

    def beat(self, walls_only: bool) -> None:
        """Say that we live, and to walls what was measured since the last time."""
        self._flush_latency()
        frame = self._beat_frame()
        for stage in self._stages.values():
            stage.cast(frame, walls_only)

    def workers(self) -> list[Beat]:
        """The last beat of each worker that was heard within the last minute."""
        now = self._monotonic()
        self._workers = {name: (beat, at) for name, (beat, at) in self._workers.items() if now - at < 60}
        return [beat for beat, _ in self._workers.values()]

    def check(self) -> None:
        """Tell everybody at once when the feed has been lost or has come back: nobody may go on looking
        green."""
        self._say_if_changed()

    def _say_if_changed(self) -> None:
        if self.feed_state != self._said:
            self.beat(walls_only=False)

    def _flush_latency(self) -> None:
        if not self._latency:
            return
        patch = Patch(id=self.board.id, at=self.now(), latency=self._latency)
        self._latency = {}
        for stage in self._stages.values():
            stage.push(patch, self.board)

    def _beat_frame(self) -> Frame:
        self._said = self.feed_state
        return frames.beat(frames.Beat(self.board.id, rfc3339(self.now()), self._said, self.regions))

    # The viewers

    def join(self, viewer: Viewer, audience: Audience, since: str | None) -> None:
        """From now on `viewer` is sent everything. First what it missed, if that can be said in full, else
        a snapshot; then a beat, so that it knows at once whether what it sees is live."""
        stage = self._stage(audience)
        missed = None if since is None else stage.missed(since, self.board.id)
        if missed is None:
            why = "first" if since is None else "resume"
            missed = [stage.snapshot(self.board, self.now(), why)]
        else:
            why = "replayed"
        for frame in [*missed, self._beat_frame()]:
            viewer.write(frame.on(viewer.transport))
        stage.viewers[viewer.transport].add(viewer)
        self._stage_of[viewer] = stage
        metrics.RESUMES.labels(why).inc()
        metrics.VIEWERS.labels(viewer.transport).inc()

    def resync(self, viewer: Viewer) -> None:
        """One snapshot in place of all that a viewer was too slow for."""
        if (stage := self._stage_of.get(viewer)) is not None:
            metrics.SLOW_VIEWERS.labels("resynced").inc()
            viewer.write(stage.snapshot(self.board, self.now(), "slow").on(viewer.transport))

    def leave(self, viewer: Viewer) -> None:
        if (stage := self._stage_of.pop(viewer, None)) is None:
            return
        stage.viewers[viewer.transport].discard(viewer)
        metrics.VIEWERS.labels(viewer.transport).dec()
        if not stage.count and stage.audience != PUBLIC:
            del self._stages[stage.audience]

    def farewell(self, within: float) -> None:
        """Say bye to everybody, each with a delay of its own, so that they do not come back all at once."""
        for viewer in tuple(self._stage_of):
            after = round(random.uniform(0.2, within), 1)
            viewer.end(frames.bye(after).on(viewer.transport), code=1012)

    def _stage(self, audience: Audience) -> Stage:
        if (stage := self._stages.get(audience)) is None:
            if len(self._stages) >= AUDIENCES:
                raise Crowded
            stage = Stage(audience, self.board, self._complete_since, self._past)
            self._stages[audience] = stage
        return stage


def _retrace(
    past: Iterable[Patch], board: Board, audience: Audience
) -> Iterator[tuple[Patch, Overall | None]]:
    """Past patches, each with the page's status if it changed it: what was sent then, found by walking
    back from now."""
    status = {component.slug: shown.status for component, shown in views.visible(board, audience)}
    names = {component.slug: component.name for component, _ in views.visible(board, audience)}
    after = overall((names[slug], its) for slug, its in status.items())
    steps: list[tuple[Patch, Overall | None]] = []
    for patch in reversed(list(past)):
        for change in reversed(patch.changes):
            if change.slug in status:
                status[change.slug] = change.was
        before = overall((names[slug], its) for slug, its in status.items())
        steps.append((patch, None if before == after else after))
        after = before
    return reversed(steps)
