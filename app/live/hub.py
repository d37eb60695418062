"""push: one patch, encoded once for each audience, to every socket that watches.

Everything here is synchronous on purpose. On one event loop a method without `await` cannot be
interrupted, so a viewer's first frame and its place in the audience are taken in the same instant, and no
patch can fall between them.
"""

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import lru_cache

import structlog
from msgspec import UNSET, UnsetType

from app import metrics
from app.domain.audience import PUBLIC, Audience
from app.domain.board import Board, Patch
from app.domain.events import (
    Beat,
    CatalogChange,
    Heartbeat,
    Logged,
    Retelling,
    Revoked,
    Samples,
    StateChange,
    beyond,
    order,
)
from app.domain.instant import from_seconds, rfc3339, to_ms
from app.domain.monitor import DEFAULT_REGION
from app.feed import Gap, Heard
from app.live import frames
from app.live.cast import Caster
from app.live.crowd import Crowd, Crowded
from app.live.frames import Frame
from app.live.named import Named
from app.live.peer import SIGN_IN_AGAIN, Peer
from app.live.stage import RESUME_PATCHES, Stage, Viewer

log = structlog.get_logger("hub")

MOST_VIEWERS = 10_000
MOST_PER_ADDRESS = 500
AUDIENCES = 256  # of one installation at a time; each costs an encoding per patch
PAGE_BEATS = 3  # a wall gets each beat, a page each third: phones pay for every packet
STALE_BEATS = 2.5
RETURNS_PER_SECOND = 300  # that those who are told bye are spread over
FORGOTTEN = 3600.0  # seconds after which a region that is heard no more is not named
STALL = 9.0  # seconds in which a full socket must take something, or it is cut within the tenth

# prometheus_client takes a lock and joins texts each time.
_resumes = lru_cache(metrics.RESUMES.labels)
_viewers = lru_cache(metrics.VIEWERS.labels)
_events = lru_cache(metrics.EVENTS.labels)


class Hub:
    """One per process. `wall_clock` and `monotonic` are arguments, so that a test may hold them."""

    def __init__(
        self,
        beat: float,
        wall_clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        soon: Callable[[Callable[[], None]], object] | None = None,
        crowd: Crowd | None = None,
    ) -> None:
        self.beat_every = beat
        self._wall_clock = wall_clock
        self._monotonic = monotonic
        self.board = Board()
        self._past: deque[Patch] = deque(maxlen=RESUME_PATCHES)
        self._complete_since = self.board.id
        self._stages: dict[Audience, Stage] = {}
        self._stage_of: dict[Viewer, Stage] = {}
        self._address_of: dict[Viewer, str] = {}
        self._named: Named[Viewer] = Named()
        # How often somebody has been turned out, or may have been.
        self.turns = 0
        self._crowd = crowd or Crowd(MOST_VIEWERS, MOST_PER_ADDRESS)
        self._soon = soon or (lambda job: asyncio.get_running_loop().call_soon(job))
        self._caster = Caster(self._soon, self._flush)
        self._flushing = False
        self._beat: tuple[tuple[str, bool, int], Frame, datetime] | None = None
        self.linked = asyncio.Event()
        self._regions: dict[str, float] = {}
        self._workers: dict[str, tuple[Beat, float]] = {}
        self._said: str | None = None
        self.bad_file = False  # the config file on disk is not the one that runs
        self.build: str | UnsetType = UNSET  # of the pages that are served here
        # What was measured since walls, and since pages, were last told.
        self._new_to_walls: dict[str, float] = {}
        self._new_to_pages: dict[str, float] = {}
        self._measured = self.board.id
        self._probed: dict[tuple[str, str], float] = {}

    def now(self) -> datetime:
        return from_seconds(self._wall_clock())

    # From the feed

    def restore(self, board: Board, complete_since: str, past: Sequence[Patch] = ()) -> None:
        """Begin from what the database remembers. `past` is what was last sent, for those who resume; it
        lacks nothing after the id `complete_since`."""
        doors = self._doors()
        self.board = board
        self._turn_out(self._turned_out(doors))
        self._past = deque(past, maxlen=RESUME_PATCHES)
        self._complete_since = complete_since
        for stage in self._stages.values():
            stage.reset(board, complete_since, self.now(), "gap")
        if self._stages:
            self._flush_soon()

    def hear(self, item: Heard | Gap) -> None:
        """Take in what the follower heard."""
        if isinstance(item, Gap):
            metrics.GAPS.inc()
            log.warning("events are missing from the log", after=item.after, before=item.before)
            # Whoever resumes from before the gap lacks what is in it, so that no id up to here will do.
            complete_since = beyond(self.board.id, item.after)
            self.board.id = min(self.board.id, item.before, key=order)
            self._reset("gap", complete_since)
            # What was missed may have been that one of them may not watch any more. They come back, and are
            # asked again.
            self._turn_out(self._named)
        elif isinstance(item.event, Beat):
            self._hear_beat(item.event, item.ago)
        else:
            _events(type(item.event).__name__).inc()
            metrics.FEED_LAG.set(max(0.0, self._wall_clock() - order(item.id)[0] / 1000))
            self._note(item.event)
            if isinstance(item.event, Revoked):
                self._turn_out(self._named.of(item.event.owner))
            doors = self._doors() if isinstance(item.event, CatalogChange) else {}
            patch = self.board.fold(item.id, item.event)
            if patch is None:
                return
            if patch.catalog:
                self._turn_out(self._turned_out(doors))
                self._probed = {key: at for key, at in self._probed.items() if key in self.board.standings}
                self._reset("catalog", self.board.id)
            else:
                self.push(patch)

    def _doors(self) -> dict[str, object]:
        """By which word one comes in to each page that somebody watches."""
        pages = {stage.audience.page for stage in self._stages.values()}
        found = ((slug, self.board.page(slug)) for slug in pages)
        return {slug: at and (at.page.access, at.page.password_hash) for slug, at in found}

    def _turned_out(self, doors: dict[str, object]) -> list[Viewer]:
        """Those who watch a page that is none any more, or that one comes in to by another word now. They
        come back, and are asked."""
        other = {slug for slug, door in self._doors().items() if door != doors.get(slug)}
        return [viewer for viewer, stage in self._stage_of.items() if stage.audience.page in other]

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
        if not patch.is_news:
            self._new_to_walls |= patch.latency
            self._new_to_pages |= patch.latency
            self._measured = patch.id
            return
        # What was measured before goes before, so that ids only grow.
        self._flush_latency(walls=True)
        self._flush_latency(walls=False)
        if len(self._past) == RESUME_PATCHES:
            self._complete_since = self._past[0].id
        self._past.append(patch)
        for stage in self._stages.values():
            stage.show(patch)
        self._flush_soon()
        if patch.trace:
            # Behind the flush: nobody is to wait for a line in a log.
            self._soon(lambda: self._tell(patch))

    def _tell(self, patch: Patch) -> None:
        took = self._wall_clock() - to_ms(patch.at) / 1000
        metrics.PROBE_TO_PUSH.observe(max(0.0, took))
        components = [change.slug for change in patch.changes]
        log.info(
            "pushed", id=patch.id, trace=patch.trace, components=components, took_ms=round(took * 1000, 2)
        )

    def _hear_beat(self, beat: Beat, ago: float) -> None:
        # Each new link to the feed finds the last beats again, also that of a worker which has died since.
        at = self._monotonic() - ago
        self._regions[beat.region] = max(self._regions.get(beat.region, at), at)
        self._workers[beat.worker] = beat, at
        self._say_if_changed()

    def _reset(self, why: str, complete_since: str) -> None:
        self._past.clear()
        self._complete_since = complete_since
        self._new_to_walls, self._new_to_pages = {}, {}
        for stage in self._stages.values():
            stage.reset(self.board, complete_since, self.now(), why)
        self._flush_soon()

    def _note(self, event: Logged) -> None:
        """When we heard of each monitor, by our own clock: those of workers and servers may differ."""
        now = self._monotonic()
        match event:
            case StateChange():
                self._probed[event.standing.monitor, event.standing.region] = now
            case Retelling():
                self._probed |= {(s.monitor, s.region): now for s in event.standings}
            case Samples():
                self._probed |= {(sample.monitor, event.region): now for sample in event.samples}
            case Heartbeat():
                self._probed[event.monitor, DEFAULT_REGION] = now

    def silent_for(self, monitor: str, region: str, since: float) -> float:
        """Seconds since we heard of it, or since `since` if we have not at all."""
        return self._monotonic() - max(self._probed.get((monitor, region), since), since)

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
        """Say that we live, and what was measured since the last time, to those who listen to this beat."""
        self._said = self.feed_state
        self._flush_latency(walls=True)
        if not walls_only:
            self._flush_latency(walls=False)
        self._beat = None
        frame, _ = self._beat_frame()
        for stage in self._stages.values():
            stage.beat(frame, True if walls_only else None, self._caster)

    def workers(self) -> list[Beat]:
        """The last beat of each worker that was heard within the last minute."""
        now = self._monotonic()
        self._workers = {name: (beat, at) for name, (beat, at) in self._workers.items() if now - at < 60}
        return [beat for beat, _ in self._workers.values()]

    @property
    def unfit(self) -> dict[str, int]:
        """How many workers of each region say that they are in no state to judge. Which, and why, is for
        operators: it names machines and their interfaces."""
        return dict(sorted(Counter(beat.region for beat in self.workers() if beat.trouble).items()))

    def check(self) -> None:
        """Forget who has long been gone, and tell everybody at once when the feed has been lost or has
        come back: nobody may go on looking green."""
        now = self._monotonic()
        self._regions = {region: at for region, at in self._regions.items() if now - at < FORGOTTEN}
        self.workers()
        self._say_if_changed()

    def _say_if_changed(self) -> None:
        if self.feed_state != self._said:
            self.beat(walls_only=False)

    def _flush_latency(self, walls: bool) -> None:
        """Tell walls, or pages, what was measured since they were last told."""
        if walls:
            new, self._new_to_walls = self._new_to_walls, {}
        else:
            new, self._new_to_pages = self._new_to_pages, {}
        if new:
            patch = Patch(id=self._measured, at=self.now(), latency=new)
            for stage in self._stages.values():
                stage.measure(patch, walls, self._caster)

    def _flush_soon(self) -> None:
        """In the next turn of the loop, with all that is said until then; or when the cast under way is
        done."""
        if not self._flushing and not self._caster.busy:
            self._flushing = True
            self._soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        for stage in tuple(self._stages.values()):
            stage.flush(self._caster)

    def _beat_frame(self) -> tuple[Frame, datetime]:
        """With the instant it tells. Encoded ten times a second, however many come; and anew whenever the
        feed was lost or has come back, for then all are told."""
        key = self.board.id, self.bad_file, int(self._wall_clock() * 10)
        if self._beat is None or self._beat[0] != key:
            config, now = "bad" if self.bad_file else UNSET, self.now()
            said = (self.board.id, rfc3339(now), self.feed_state, self.regions, config, self.build)
            beat = frames.Beat(*said, self.unfit or UNSET)
            self._beat = key, frames.beat(beat), now
        return self._beat[1:]

    # The viewers

    def admit(self, audience: Audience, address: str) -> None:
        """Crowded if there is no room for one more viewer, for one more from there, or for one more
        audience."""
        try:
            self._crowd.admit(address)
            # A page is no filter: there are no more of them than an operator has made.
            if audience.components is not None and audience not in self._stages:
                if len(self._stages) >= AUDIENCES:
                    sentence = "There are too many different filters; try without `components`."
                    raise Crowded("filters", 1013, 503, 10, sentence)
                self._crowd.admit_filter(address, audience, self._monotonic())
        except Crowded as crowded:
            metrics.CROWDED.labels(crowded.limit).inc()
            raise

    def join(
        self,
        viewer: Viewer,
        audience: Audience,
        since: str | None,
        address: str = "",
        greeting: bytes = b"",
    ) -> None:
        """From now on `viewer` is sent everything. First what it missed, if that can be said in full, else a
        snapshot; then a beat, so that it knows at once whether what it sees is live. `greeting` goes before
        all of it."""
        self.admit(audience, address)
        if (stage := self._stages.get(audience)) is None:
            stage = self._stages[audience] = Stage(audience, self.board, self._complete_since)
            if audience != PUBLIC:
                self._crowd.begin_filter(address, self._monotonic())
        missed = None
        if since is not None:
            missed = stage.missed(since, self.board, self._past, self._complete_since)
        why = "first" if since is None else "resume"
        self._stage_of[viewer] = stage
        self._address_of[viewer] = address
        self._crowd.enter(address, None if audience.components is None else audience)
        _resumes(why if missed is None else "replayed").inc()
        _viewers(viewer.line.kind).inc()
        beat, now = self._beat_frame()
        stage.join(viewer, missed, beat, self.board, now, why, self._monotonic(), greeting)

    def name(self, viewer: Viewer, owners: frozenset[str], until: datetime | None) -> None:
        """Who it is that has joined: its stream ends when one of the owners is revoked, and at `until`."""
        if viewer in self._stage_of:
            self._named.enter(viewer, owners, until)

    def end_over(self) -> None:
        """Let go of those whose time has run out."""
        self._end(self._named.over(self.now()))

    def _turn_out(self, viewers: Iterable[Viewer]) -> None:
        self.turns += 1
        self._end(viewers)

    def _end(self, viewers: Iterable[Viewer]) -> None:
        for viewer in tuple(viewers):
            viewer.end(b"", SIGN_IN_AGAIN)

    def resync(self, viewer: Viewer) -> None:
        if (stage := self._stage_of.get(viewer)) is not None:
            stage.resync(viewer, self.board, self.now())

    def full(self, peer: Peer) -> None:
        if (stage := self._stage_of.get(peer)) is not None:
            stage.full(peer, self._monotonic())

    def drained(self, peer: Peer) -> None:
        if peer.has_room and (stage := self._stage_of.get(peer)) is not None:
            stage.drained(peer, self.board, self.now())

    def cut_stalled(self) -> None:
        """Let go of peers that have taken nothing for too long."""
        for stage in tuple(self._stages.values()):
            for peer in stage.stalled(self._monotonic(), STALL):
                metrics.SLOW_VIEWERS.labels("cut").inc()
                peer.cut()

    def leave(self, viewer: Viewer) -> None:
        if (stage := self._stage_of.pop(viewer, None)) is None:
            return
        stage.leave(viewer)
        self._named.leave(viewer)
        self._crowd.leave(
            self._address_of.pop(viewer), None if stage.audience.components is None else stage.audience
        )
        _viewers(viewer.line.kind).dec()
        if stage.audience != PUBLIC and stage.is_empty:
            self._stages.pop(stage.audience, None)

    def farewell(self, within: float) -> None:
        """Say bye to everybody, each with a delay of its own, so that they do not come back all at once."""
        spread = max(within, len(self._stage_of) / RETURNS_PER_SECOND)
        for viewer in tuple(self._stage_of):
            after = round(random.uniform(0.2, spread), 1)
            viewer.end(frames.bye(after).on(viewer.line), code=1012)
