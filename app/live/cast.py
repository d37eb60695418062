"""One thing to many sockets: the hottest loop of the product.

A write to a socket costs the kernel about 3 microseconds, so ten thousand of them hold the event loop for
50 milliseconds. A cast is therefore cut into slices, between which others have their turn, and casts go
out one after the other: what is said meanwhile waits, and leaves joined in one write per socket. Load
makes this cheaper, not slower.
"""

import os
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from itertools import accumulate
from time import perf_counter

from msgspec import Struct

from app import metrics
from app.live.frames import Frame, Line
from app.live.peer import NEVER, Peer

SLICE = 500  # sockets: about 2 ms
MANY = 100  # of which it is measured how long they hold the loop


class Cast(Struct):
    """`first` is the number of the first of the frames, `after` that of the first one that is not in here."""

    peers: Sequence[Peer]
    first: int
    after: int
    frames: Sequence[Frame]
    line: Line


class Caster:
    """`soon` calls a function in the next turn of the loop; `idle` is called when casts that had to wait
    have gone out."""

    def __init__(self, soon: Callable[[Callable[[], None]], object], idle: Callable[[], None]) -> None:
        self._soon = soon
        self._idle = idle
        self._queue: deque[Cast] = deque()
        self._done = 0
        # In this turn of the loop: sockets that may still be written to, and seconds that went by with it.
        self._left = SLICE
        self._held = 0.0
        self._turning = False

    @property
    def busy(self) -> bool:
        return bool(self._queue)

    def cast(self, cast: Cast) -> None:
        if cast.peers:
            self._queue.append(cast)
            self._advance()

    def _advance(self) -> None:
        began = perf_counter()
        while self._queue and self._left:
            cast = self._queue[0]
            begin = self._done
            end = self._done = min(begin + self._left, len(cast.peers))
            self._left -= end - begin
            if end == len(cast.peers):
                self._queue.popleft()
                self._done = 0
            write(cast, begin, end)
        self._held += perf_counter() - began
        if not self._turning:
            self._turning = True
            self._soon(self._turn)

    def _turn(self) -> None:
        waited = self.busy
        if SLICE - self._left >= MANY:
            metrics.CAST_HOLD.observe(self._held)
        self._left, self._held, self._turning = SLICE, 0.0, False
        if waited:
            self._advance()
            if not self.busy:
                self._idle()


def write(cast: Cast, begin: int, end: int) -> None:
    """One slice. Nothing is called in between, so a peer that was open at the beginning is so at the end."""
    framed = [frame.on(cast.line) for frame in cast.frames]
    data = b"".join(framed)
    size, first, send = len(data), cast.first, os.write
    late, newcomers = [], []
    for peer in cast.peers[begin:end]:
        if peer.next > first:
            newcomers.append(peer)
            continue
        try:
            if (sent := send(peer.fd, data)) != size:
                late.append((peer, sent))
        except BlockingIOError:
            late.append((peer, 0))
        except OSError:
            pass  # it is gone, and connection_lost follows
    ends = list(accumulate(map(len, framed))) if late else []
    for peer, sent in late:
        _finish(cast, peer, data, ends, sent)
    for peer in newcomers:
        _catch_up(cast, peer)


def _finish(cast: Cast, peer: Peer, data: bytes, ends: list[int], sent: int) -> None:
    """For one that took but so many bytes. The frame that it stopped in, and no more, stays in the transport,
    which says that it is full. Or the viewer has read by now and takes it at once: then it is not full, and
    is due the others too."""
    for whole in range(bisect_right(ends, sent), len(ends)):
        peer.missed = min(cast.first + whole + 1, cast.after)
        peer.write(data[sent : ends[whole]])
        if not peer.has_room:
            break
        sent = ends[whole]


def _catch_up(cast: Cast, peer: Peer) -> None:
    """For one that came, or caught up, while this waited, and has had some of it: the rest alone. None if it
    is full."""
    if peer.next < cast.after and peer.next != NEVER:
        peer.missed = cast.after
        peer.write(b"".join([frame.on(cast.line) for frame in cast.frames[peer.next - cast.first :]]))
