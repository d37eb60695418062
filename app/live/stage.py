"""What one audience is shown, who of it is watching, and what it was last sent, for those who come back.

Every frame said here has a number, counted from one. It tells what a viewer has been given, whatever order
joins, casts and full sockets happen in.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Protocol

from msgspec import Struct

from app import metrics
from app.domain import audience as views
from app.domain.audience import Audience
from app.domain.board import START, Board, Patch
from app.domain.events import order
from app.domain.instant import to_ms
from app.domain.status import Overall
from app.live import frames
from app.live.cast import Cast, Caster
from app.live.frames import Frame, Line
from app.live.peer import NEVER, Peer

RESUME_PATCHES = 500  # a client that missed more is sent one snapshot, which is then the smaller of the two
RESUME_BYTES = 256 * 1024

# prometheus_client takes a lock and joins texts each time.
_frames = lru_cache(metrics.FRAMES.labels)


class Viewer(Protocol):
    """One open stream. `write` never waits and never fails. `end` says a last word, then closes with a
    WebSocket close code."""

    line: Line
    wall: bool

    def write(self, data: bytes) -> None: ...
    def end(self, last: bytes, code: int) -> None: ...


class Full(Struct):
    """A socket that is full: since when it has taken nothing, and how many bytes it had not read then."""

    since: float
    unread: int


class Stage:
    """`complete_since` is the id from which on what we can replay lacks nothing. What was said before the
    stage stood is not looked up until somebody asks for it: most come with no id, and a filter that nobody
    else has is gone with its viewer."""

    def __init__(self, audience: Audience, board: Board, complete_since: str) -> None:
        self.audience = audience
        self._audience = audience.at(board)
        self.complete_since = complete_since
        self._tally = views.count(board, audience)
        self._overall = self._tally.overall()
        self._last_id = board.id
        self._replay: deque[tuple[tuple[int, int], Frame]] = deque()
        self._replay_bytes = 0
        self._kept_since = order(board.id)  # what was said before is not looked up yet
        self._snapshots: dict[str, tuple[tuple[str, int], Frame]] = {}
        self._said = 0
        self._pending: list[Frame] = []
        self._streams: set[Viewer] = set()
        self._peers: dict[Line, set[Peer]] = {line: set() for line in Line if line.raw}
        self._full: dict[Peer, Full] = {}

    # What is said

    def show(self, patch: Patch) -> None:
        before = self._overall
        views.advance(self._tally, patch, self._audience)
        self._overall = self._tally.overall()
        body = views.narrow(patch, self._audience, None if self._overall == before else self._overall)
        if body is not None:
            _frames("patch").inc()
            frame = frames.patch(body)
            self._keep(frame)
            self._last_id = frame.id
            self._say(frame)

    def reset(self, board: Board, complete_since: str, now: datetime, why: str) -> None:
        """Nothing said before holds any more: a snapshot for everybody."""
        self._replay.clear()
        self._replay_bytes = 0
        self.complete_since = complete_since
        self._kept_since = order(board.id)
        self._audience = self.audience.at(board)
        self._tally = views.count(board, self._audience)
        self._overall = self._tally.overall()
        self._last_id = board.id
        self._say(self._draw(board, now, why))

    def measure(self, patch: Patch, walls: bool, caster: Caster) -> None:
        """Latency alone, for walls or for pages. It is no news: who does not get it will get the next."""
        if (body := views.narrow(patch, self._audience, None)) is not None:
            _frames("latency").inc()
            self._murmur(frames.patch(body), walls, caster)

    def beat(self, frame: Frame, walls: bool | None, caster: Caster) -> None:
        self._murmur(frame, walls, caster)

    def _murmur(self, frame: Frame, walls: bool | None, caster: Caster) -> None:
        """Say what has no number, behind all that has one; to walls, to pages, or to both."""
        for stream in tuple(self._streams):
            if walls is None or stream.wall is walls:
                stream.write(frame.on(stream.line))
        self.flush(caster)
        for line, peers in self._peers.items():
            listening = [peer for peer in peers if walls is None or peer.wall is walls]
            caster.cast(Cast(listening, self._said + 1, self._said + 1, [frame], line))

    def flush(self, caster: Caster) -> None:
        """Send peers what has been said since the last time, in one write for each."""
        pending, self._pending = self._pending, []
        if pending:
            first = self._said - len(pending) + 1
            for line, peers in self._peers.items():
                caster.cast(Cast(list(peers), first, self._said + 1, pending, line))

    def _say(self, frame: Frame) -> None:
        self._said += 1
        for stream in tuple(self._streams):
            stream.write(frame.on(stream.line))
        self._pending.append(frame)

    # Who is watching

    @property
    def is_empty(self) -> bool:
        return not self._streams and not self._full and not any(self._peers.values())

    def join(
        self,
        viewer: Viewer,
        missed: list[Frame] | None,
        beat: Frame,
        board: Board,
        now: datetime,
        why: str,
        monotonic: float,
        greeting: bytes = b"",
    ) -> None:
        """First what it missed, or a snapshot, then a beat: and from here on everything."""
        first = [self._draw(board, now, why)] if missed is None else missed
        self._take_in(viewer)
        framed = [frame.on(viewer.line) for frame in (*first, beat)]
        if isinstance(viewer, Peer):
            # In one write: each costs the kernel 10 microseconds, and they come by the thousand.
            viewer.write(greeting + b"".join(framed))
            if not viewer.has_room:
                # It came with a full socket, of which nobody will tell us again.
                self.full(viewer, monotonic)
        else:
            for data in framed:
                viewer.write(data)

    def resync(self, viewer: Viewer, board: Board, now: datetime) -> None:
        """One snapshot in place of all that a viewer was too slow for."""
        metrics.SLOW_VIEWERS.labels("resynced").inc()
        viewer.write(self._draw(board, now, "slow").on(viewer.line))

    def full(self, peer: Peer, now: float) -> None:
        if peer in self._peers[peer.line]:
            self._peers[peer.line].discard(peer)
            self._full[peer] = Full(now, peer.unread)
            peer.next = NEVER

    def drained(self, peer: Peer, board: Board, now: datetime) -> None:
        """Live again, if it has all that was said, or with the snapshot that stands for it."""
        if self._full.pop(peer, None) is None or peer.fd < 0:
            return
        behind = peer.missed <= self._said
        self._take_in(peer)
        if behind:
            self.resync(peer, board, now)

    def stalled(self, now: float, patience: float) -> list[Peer]:
        """Those that have taken nothing for that long. One that reads slowly is slow, and nothing worse."""
        found = []
        for peer, full in self._full.items():
            unread = peer.unread
            if unread < full.unread:
                full.since, full.unread = now, unread
            elif now - full.since >= patience:
                found.append(peer)
        return found

    def leave(self, viewer: Viewer) -> None:
        if isinstance(viewer, Peer):
            self._peers[viewer.line].discard(viewer)
            self._full.pop(viewer, None)
        else:
            self._streams.discard(viewer)

    def _take_in(self, viewer: Viewer) -> None:
        if isinstance(viewer, Peer):
            # Before anything is written: the first write may already find its socket full.
            viewer.next = viewer.missed = self._said + 1
            self._peers[viewer.line].add(viewer)
        else:
            self._streams.add(viewer)

    # What is kept

    def missed(self, since: str, board: Board, past: Sequence[Patch], past_since: str) -> list[Frame] | None:
        """What was sent after the id `since`; None if that cannot be said in full. `past` are the last
        patches of all, which lack nothing after the id `past_since`."""
        # Nobody was ever sent the id before all others, and patches from there on would lack the names.
        place = order(since)
        if since == START or not order(self.complete_since) <= place <= order(board.id):
            return None
        if place < self._kept_since:
            if place < order(past_since):
                return None
            self._look_up(place, board, past)
            if place < order(self.complete_since):
                return None
        found = []
        for at, frame in reversed(self._replay):
            if at <= place:
                break
            found.append(frame)
        return found[::-1]

    def _look_up(self, place: tuple[int, int], board: Board, past: Sequence[Patch]) -> None:
        """Keep also what was said between `place` and all that is kept already."""
        for at, patch, status in _retrace(past, place, board, self._audience):
            if at > self._kept_since or (body := views.narrow(patch, self._audience, status)) is None:
                continue
            frame = frames.patch(body)
            if len(self._replay) >= RESUME_PATCHES or self._replay_bytes + len(frame) > RESUME_BYTES:
                self.complete_since, self._kept_since = patch.id, at
                return
            self._replay.appendleft((at, frame))
            self._replay_bytes += len(frame)
        self._kept_since = place

    def _draw(self, board: Board, now: datetime, why: str) -> Frame:
        """Encoded once a second at the most, so that ten thousand who come back at once cost one encoding.
        Its id is that of the last change: measurements come every second and are not in it."""
        key = self._last_id, to_ms(now) // 1000
        if (drawn := self._snapshots.get(why)) is None or drawn[0] != key:
            _frames("snapshot").inc()
            body = views.snapshot(board, self._audience, now, why, self._last_id)
            drawn = self._snapshots[why] = key, frames.snapshot(body)
        return drawn[1]

    def _keep(self, frame: Frame) -> None:
        self._replay.append((order(frame.id), frame))
        self._replay_bytes += len(frame)
        while len(self._replay) > RESUME_PATCHES or self._replay_bytes > RESUME_BYTES:
            _, gone = self._replay.popleft()
            self._replay_bytes -= len(gone)
            self.complete_since = gone.id


def _retrace(
    past: Sequence[Patch], place: tuple[int, int], board: Board, audience: Audience
) -> Iterator[tuple[tuple[int, int], Patch, Overall | None]]:
    """The patches after `place`, the last one first, each with the page's status if it changed it: what was
    sent then, found by walking back from now."""
    tally = views.count(board, audience)
    after = tally.overall()
    for patch in reversed(past):
        if (at := order(patch.id)) <= place:
            return
        views.retreat(tally, patch, audience)
        before = tally.overall()
        yield at, patch, None if before == after else after
        after = before
