"""One thing to many sockets, on real socket pairs."""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import suppress

from app import metrics
from app.live.cast import MANY, SLICE, Cast, Caster
from app.live.frames import Frame, Line
from app.live.peer import NEVER, Peer


class Home:
    def __init__(self) -> None:
        self.now_full: list[Peer] = []
        self.now_drained: list[Peer] = []

    def full(self, peer: Peer) -> None:
        peer.next = NEVER
        self.now_full.append(peer)

    def drained(self, peer: Peer) -> None:
        self.now_drained.append(peer)

    def leave(self, peer: Peer) -> None:
        pass


class Turns:
    """The turns of a loop, one at a time."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], None]] = []

    def soon(self, job: Callable[[], None]) -> None:
        self.jobs.append(job)

    def turn(self) -> None:
        jobs, self.jobs = self.jobs, []
        for job in jobs:
            job()


async def a_peer(home: Home) -> tuple[Peer, socket.socket]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, ours)
    peer = Peer(transport, home, Line.RAW_SSE, False, set())
    peer.next = 1
    return peer, theirs


def frame(text: bytes) -> Frame:
    return Frame(b"patch", "1-0", b'{"id":"%b"}' % text)


async def test_many_casts_in_one_turn_write_no_more_than_a_slice() -> None:
    home, turns = Home(), Turns()
    peer, theirs = await a_peer(home)
    written = [0]

    class Counting(list[Peer]):
        def __getitem__(self, part):  # type: ignore[no-untyped-def]
            written[0] += len(range(*part.indices(len(self))))
            return super().__getitem__(part)

    caster = Caster(turns.soon, lambda: None)
    for _ in range(5):
        caster.cast(Cast(Counting([peer] * 300), 1, 1, [], Line.RAW_SSE))
    assert written[0] == SLICE

    turns.turn()
    assert written[0] == 2 * SLICE
    while caster.busy:
        turns.turn()
    assert written[0] == 1500
    peer.cut()
    theirs.close()


async def test_how_long_a_cast_to_many_holds_the_loop_is_measured_each_turn() -> None:
    home, turns = Home(), Turns()
    peer, theirs = await a_peer(home)
    caster = Caster(turns.soon, lambda: None)

    def held() -> float:
        return metrics.REGISTRY.get_sample_value("statuswire_cast_hold_seconds_count") or 0.0

    before = held()
    caster.cast(Cast([peer] * (MANY - 1), 1, 1, [], Line.RAW_SSE))
    turns.turn()
    assert held() == before
    for line in (Line.RAW_SSE, Line.RAW_WEBSOCKET):
        caster.cast(Cast([peer] * MANY, 1, 1, [], line))
    turns.turn()
    assert held() == before + 1
    caster.cast(Cast([peer] * 3 * SLICE, 1, 1, [], Line.RAW_SSE))
    while caster.busy:
        turns.turn()
    turns.turn()
    assert held() == before + 4
    peer.cut()
    theirs.close()


async def test_who_joined_while_a_cast_waited_is_given_the_rest_alone() -> None:
    home, turns = Home(), Turns()
    peer, theirs = await a_peer(home)
    peer.next = 2
    Caster(turns.soon, lambda: None).cast(
        Cast([peer], 1, 4, [frame(b"one"), frame(b"two"), frame(b"three")], Line.RAW_SSE)
    )
    await asyncio.sleep(0)

    received = theirs.recv(65536)
    assert b"one" not in received
    assert received.index(b"two") < received.index(b"three")
    peer.cut()
    theirs.close()


async def test_a_full_socket_gets_the_whole_frame_it_had_begun_and_nothing_else() -> None:
    home, turns = Home(), Turns()
    peer, theirs = await a_peer(home)
    caster = Caster(turns.soon, lambda: None)
    big = frame(b"x" * 1_000_000)
    caster.cast(Cast([peer], 1, 2, [big], Line.RAW_SSE))
    caster.cast(Cast([peer], 2, 3, [frame(b"later")], Line.RAW_SSE))
    assert home.now_full == [peer]
    assert peer.missed == 2

    received = b""
    while not home.now_drained:
        await asyncio.sleep(0)
        try:
            received += theirs.recv(1 << 20)
        except BlockingIOError:
            pass
    try:
        received += theirs.recv(1 << 20)
    except BlockingIOError:
        pass

    assert received == big.on(Line.RAW_SSE)
    peer.cut()
    theirs.close()


async def test_who_reads_before_its_rest_is_written_misses_none_of_the_frames_behind_it() -> None:
    """Its socket was full when the cast came by, and is not any more when the cast comes back to it: no
    transport calls that full."""
    home, turns = Home(), Turns()
    peer, theirs = await a_peer(home)
    with suppress(BlockingIOError):
        while True:
            os.write(peer.fd, b"x" * 512)
    received = b""

    def read() -> None:
        nonlocal received
        with suppress(BlockingIOError):
            while True:
                received += theirs.recv(1 << 20)

    class Framed(bytes):
        """The viewer reads while others have their turn, and before it is looked up how far it was sent."""

        def __len__(self) -> int:
            read()
            return super().__len__()

    class Reading(Frame):
        def on(self, line: Line) -> bytes:
            return Framed(super().on(line)) if line.raw else super().on(line)

    caster = Caster(turns.soon, lambda: None)
    said = [Reading(b"patch", "1-0", b'{"id":"%b"}' % text) for text in (b"one", b"two", b"three")]
    caster.cast(Cast([peer], 1, 4, said, Line.RAW_SSE))
    caster.cast(Cast([peer], 4, 5, [frame(b"four")], Line.RAW_SSE))
    read()

    assert home.now_full == []
    assert received.lstrip(b"x") == b"".join([frame.on(Line.RAW_SSE) for frame in (*said, frame(b"four"))])
    assert peer.missed == 4
    peer.cut()
    theirs.close()
