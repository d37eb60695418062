"""swarm.c again, in Python, for machines without a C compiler: the same words on stdin and stdout, several
times slower. What the words mean is said there.
"""

import os
import random
import re
import select
import socket
import struct
import sys
import time
from bisect import bisect_right
from collections import deque

from bench import cores

AT_ONCE = 128
SLOW_BYTES, SLOW_TURN = 100, 0.1
SMALL_BUFFER = 4096
ID = re.compile(rb'"id":"(\d+)-(\d+)"')
AFTER = re.compile(rb'"after":([\d.]+)')

AWAY, CONNECTING, ASKED, HERE = range(4)
Id = tuple[int, int]


class Viewer:
    def __init__(self, behaviour: str) -> None:
        self.behaviour = behaviour
        self.stage = AWAY
        self.connection = socket.socket()
        self.inbox = b""
        self.in_head = True
        self.patches = 0
        self.last: Id | None = None
        self.story: list[tuple[Id, bool]] = []  # and whether it was a snapshot
        self.failures = 0
        self.next_try = 0.0


class Swarm:
    def __init__(self, port: int, kind: str, path: str) -> None:
        self._port, self._kind, self._path = port, kind, path
        self._poll = select.epoll()
        self._poll.register(0, select.EPOLLIN)
        self._viewers: list[Viewer] = []
        self._connected: dict[int, Viewer] = {}
        self._to_open: deque[Viewer] = deque()
        self._under_way = 0
        self._opening_since: float | None = None
        self._returns = False
        self._here = self._gone = self._refused = self._returned = self._patches = self._bytes = 0
        self._recipients = 0
        self._reached: list[list[int]] = []
        self._announced: list[Id] = []
        self._orders = b""
        self._slow_turn = 0.0

    def run(self, lifetime: float) -> None:
        end = time.monotonic() + lifetime
        while time.monotonic() < end:
            for fd, _ in self._poll.poll(0.005):
                if fd == 0:
                    self._read_orders()
                elif fd in self._connected:
                    self._attend(self._connected[fd])
            while self._to_open and self._under_way < AT_ONCE:
                self._come(self._to_open.popleft())
            if (
                self._opening_since is not None
                and not self._to_open
                and (self._returns or not self._under_way)
            ):
                _answer("open", self._here, f"{time.monotonic() - self._opening_since:.6f}")
                self._opening_since = None
            self._read_slowly(time.monotonic())
            self._bring_back(time.monotonic())

    # Coming and going

    def _come(self, viewer: Viewer) -> None:
        viewer.connection = connection = socket.socket()
        if viewer.behaviour != "good":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.setblocking(False)
        viewer.stage, viewer.inbox, viewer.in_head, viewer.next_try = CONNECTING, b"", True, 0.0
        self._under_way += 1
        self._connected[connection.fileno()] = viewer
        self._poll.register(connection, select.EPOLLOUT)
        connection.connect_ex(("127.0.0.1", self._port))

    def _ask(self, viewer: Viewer) -> None:
        path, since = self._path, "-".join(map(str, viewer.last or ()))
        if self._kind == "sse":
            head = "Accept: text/event-stream\r\n" + (f"Last-Event-ID: {since}\r\n" if since else "")
        else:
            path += f"?since={since}" if since else ""
            head = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            head += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        try:
            request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n{head}\r\n"
            viewer.connection.send(request.encode())
        except OSError:
            return self._leave(viewer)
        viewer.stage = ASKED
        self._poll.modify(viewer.connection, select.EPOLLIN | select.EPOLLRDHUP)

    def _arrive(self, viewer: Viewer) -> None:
        viewer.stage = HERE
        self._under_way -= 1
        self._here += 1
        self._returned += viewer.failures > 0
        viewer.failures = 0
        if viewer.behaviour != "good":
            self._poll.modify(viewer.connection, select.EPOLLRDHUP)

    def _leave(self, viewer: Viewer) -> None:
        if viewer.stage == HERE:
            self._here -= 1
            self._gone += 1
        else:
            self._under_way -= 1
            self._refused += 1
        viewer.stage = AWAY
        del self._connected[viewer.connection.fileno()]
        self._poll.unregister(viewer.connection)
        viewer.connection.close()
        if not viewer.next_try:
            spread = min(30.0, 0.5 * 2 ** min(viewer.failures, 6))
            viewer.next_try = time.monotonic() + 0.5 + random.random() * spread
            viewer.failures += 1

    def _bring_back(self, now: float) -> None:
        for viewer in self._viewers if self._returns else ():
            if viewer.stage == AWAY and 0 < viewer.next_try <= now:
                self._come(viewer)

    # What is heard

    def _attend(self, viewer: Viewer) -> None:
        if viewer.stage == CONNECTING:
            self._ask(viewer)
        elif viewer.stage == HERE and viewer.behaviour != "good":
            self._leave(viewer)
        else:
            self._hear(viewer, 1 << 18)

    def _read_slowly(self, now: float) -> None:
        if now < self._slow_turn:
            return
        self._slow_turn = now + SLOW_TURN
        for viewer in self._viewers:
            if viewer.behaviour == "slow" and viewer.stage == HERE:
                self._hear(viewer, SLOW_BYTES)

    def _hear(self, viewer: Viewer, at_most: int) -> None:
        try:
            data = viewer.connection.recv(at_most)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            return self._leave(viewer)
        at = time.monotonic_ns()
        self._bytes += len(data)
        viewer.inbox += data
        if viewer.in_head and not self._read_head(viewer):
            return
        if self._kind == "sse":
            *events, viewer.inbox = viewer.inbox.split(b"\n\n")
            for event in events:
                self._take_event(viewer, event, at)
        else:
            while (frame := _frame(viewer.inbox)) is not None:
                opcode, payload, size = frame
                viewer.inbox = viewer.inbox[size:]
                self._take_frame(viewer, opcode, payload, at)

    def _read_head(self, viewer: Viewer) -> bool:
        """False if there is not yet all of it, or it is a refusal."""
        head, found, rest = viewer.inbox.partition(b"\r\n\r\n")
        if not found:
            return False
        viewer.inbox, viewer.in_head = rest, False
        if head.split(b" ")[1] != (b"200" if self._kind == "sse" else b"101"):
            self._leave(viewer)
            return False
        if self._kind != "socketio":
            self._arrive(viewer)
        return True

    def _take_event(self, viewer: Viewer, event: bytes, at: int) -> None:
        lines = event.split(b"\n")
        for kind in (b"patch", b"snapshot"):
            if b"event: " + kind in lines:
                self._take(viewer, kind, event, at)
        if b"event: bye" in lines and (after := AFTER.search(event)):
            viewer.next_try = time.monotonic() + float(after[1])

    def _take_frame(self, viewer: Viewer, opcode: int, payload: bytes, at: int) -> None:
        if opcode == 0x9:
            _send(viewer, 0xA, payload)
        elif self._kind == "socketio":
            self._take_packet(viewer, payload, at)
        elif payload.startswith(b'{"type":"bye"') and (after := AFTER.search(payload)):
            viewer.next_try = time.monotonic() + float(after[1])
        else:
            for kind in (b"patch", b"snapshot"):
                if payload.startswith(b'{"type":"%b"' % kind):
                    self._take(viewer, kind, payload, at)

    def _take_packet(self, viewer: Viewer, payload: bytes, at: int) -> None:
        if payload.startswith(b'42["patch"'):
            self._take(viewer, b"patch", payload, at)
        elif payload.startswith(b"40") and viewer.stage != HERE:
            self._arrive(viewer)
        elif payload[:1] in (b"0", b"2"):
            _send(viewer, 1, b"40" if payload[:1] == b"0" else b"3")

    def _take(self, viewer: Viewer, kind: bytes, text: bytes, at: int) -> None:
        if id := ID.search(text):
            viewer.last = int(id[1]), int(id[2])
            if self._returns:
                viewer.story.append((viewer.last, kind == b"snapshot"))
        if kind != b"patch":
            return
        viewer.patches += 1
        self._patches += 1
        if viewer.behaviour == "good" and viewer.patches <= len(self._reached):
            reached = self._reached[viewer.patches - 1]
            reached.append(at)
            if len(reached) == self._recipients:
                _answer("all", viewer.patches, at)

    # What the other end asks for

    def _read_orders(self) -> None:
        data = os.read(0, 1 << 20)
        if not data:
            sys.exit()
        *lines, self._orders = (self._orders + data).split(b"\n")
        for line in lines:
            word, *rest = line.decode().split()
            getattr(self, f"_obey_{word}")(*rest)

    def _obey_open(self, more: str, behaviour: str) -> None:
        coming = [Viewer(behaviour) for _ in range(int(more))]
        self._viewers += coming
        self._to_open.extend(coming)
        self._opening_since = time.monotonic()

    def _obey_begin(self, events: str) -> None:
        self._reached = [[] for _ in range(int(events))]
        self._recipients = 0
        for viewer in self._viewers:
            viewer.patches = 0
            self._recipients += viewer.stage == HERE and viewer.behaviour == "good"
        _answer("begun", self._recipients)

    def _obey_spread(self, *times: str) -> None:
        took = sorted(
            at - int(said) for said, reached in zip(times, self._reached, strict=False) for at in reached
        )
        p50, p99 = (took[int(len(took) * part)] / 1000 if took else 0 for part in (0.5, 0.99))
        _answer("spread", f"{p50:.1f}", f"{p99:.1f}")

    def _obey_return(self) -> None:
        self._returns = True
        for viewer in self._viewers:
            if viewer.last:
                viewer.story.append((viewer.last, True))
        _answer("returning")

    def _obey_id(self, id: str) -> None:
        milliseconds, _, number = id.partition("-")
        self._announced.append((int(milliseconds), int(number)))

    def _obey_check(self) -> None:
        right = lost = repeated = 0
        for viewer in self._viewers:
            place = 0
            for id, is_snapshot in viewer.story:
                next_place = bisect_right(self._announced, id)
                goes_back = next_place < place if is_snapshot else next_place <= place
                repeated += goes_back
                lost += 0 if is_snapshot else max(0, next_place - place - 1)
                place = max(place, next_place)
            right += place == len(self._announced)
        _answer("check", right, len(self._viewers) - right, lost, repeated)

    def _obey_state(self) -> None:
        counts = (self._gone, self._refused, self._returned, self._patches, self._bytes)
        _answer("state", self._here, *counts)


def _answer(*words: object) -> None:
    print(*words, flush=True)


def _send(viewer: Viewer, opcode: int, payload: bytes) -> None:
    try:
        viewer.connection.send(bytes((0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0)) + payload)
    except OSError:
        pass  # it is gone, and the next read says so


def _frame(inbox: bytes) -> tuple[int, bytes, int] | None:
    """Opcode, payload and length of the first frame; None if it is not all there."""
    if len(inbox) < 2:
        return None
    size, start = inbox[1] & 0x7F, 2
    if size >= 126:
        start = 4 if size == 126 else 10
        size = int.from_bytes(inbox[2:start], "big")
    if len(inbox) < start + size:
        return None
    return inbox[0] & 0x0F, inbox[start : start + size], start + size


def run() -> None:
    port, kind, path, lifetime = sys.argv[1:]
    cores.allow_files()
    Swarm(int(port), kind, path).run(float(lifetime))
