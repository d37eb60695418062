"""What has been said while the feed is away, on disk: so a worker that is killed in that time loses nothing.
Written only then; while the feed is there this costs nothing.

One file for each process, one line for each event, with its key and a checksum, given to the kernel at once:
that outlives the process. It is synced about once a second, so a power cut takes up to a second. Whose
process is gone is told by its lock, and the next worker that starts says what is in there, with the old keys.
A line that is broken is passed over and counted.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Self
from zlib import crc32

import msgspec
import structlog

from app.domain.events import Logged, Samples

ENDING: Final = ".spool"
BYTES_AT_MOST: Final = 64 << 20
# Beyond this part of it only state changes are taken, and no measurements.
SAMPLES_AT_MOST: Final = BYTES_AT_MOST * 3 // 4
_HEARD: Final = b"heard"

log = structlog.get_logger(__name__)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Logged).decode


class Spool:
    """A file of ours, with our lock on it. `unkept` counts the events that found no room in it: they wait in
    memory all the same."""

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self.unkept = 0
        self._file = file
        self._size = os.fstat(file).st_size
        self._is_synced = True

    @classmethod
    def create(cls, folder: Path, worker: str) -> Self | None:
        """None, and one line in the log, where there is no writing."""
        path = folder / f"{worker}{ENDING}"
        # It gets its name when it is locked, or another worker would take it for one that was left behind.
        unlocked = path.with_suffix(".new")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = os.open(unlocked, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unlocked.rename(path)
        except OSError as error:
            log.warning(
                "while the feed is away, what waits is kept in memory alone: the spool cannot be written",
                folder=str(folder),
                error=error.strerror,
            )
            return None
        return cls(path, file)

    @property
    def worker(self) -> str:
        """Whose it is, or was."""
        return self.path.stem

    @property
    def is_empty(self) -> bool:
        return not self._size

    def keep(self, events: Iterable[tuple[str, Logged]]) -> None:
        for key, event in events:
            line = _line(key.encode(), _encode(event))
            room = SAMPLES_AT_MOST if isinstance(event, Samples) else BYTES_AT_MOST
            if self._size + len(line) > room or not self._append(line):
                if not self.unkept:
                    log.warning("the spool takes no more of what waits for the feed", bytes=self._size)
                self.unkept += 1

    def mark_heard(self, key: str) -> None:
        """The feed has taken all up to and with this one."""
        if self._size:
            self._append(_line(key.encode(), _HEARD))

    def sync(self) -> None:
        """Blocks for as long as the disk takes."""
        if not self._is_synced:
            self._is_synced = True
            with suppress(OSError):
                os.fdatasync(self._file)

    def clear(self) -> None:
        """All of it has been heard."""
        if self._size:
            with suppress(OSError):
                os.ftruncate(self._file, 0)
            self._size, self.unkept, self._is_synced = 0, 0, True

    def close(self) -> None:
        """What is still in it is for the next worker."""
        if self.is_empty:
            self.path.unlink(missing_ok=True)
        os.close(self._file)

    def read(self) -> Iterator[tuple[str, Logged]]:
        """What was not heard, in order, one by one: a full spool is larger than it should be in memory."""
        marks = [_counter(key) for key, body in self._lines() if body == _HEARD]
        heard = max(marks, default=0)
        for key, body in self._lines():
            if body != _HEARD and _counter(key) > heard:
                try:
                    yield key, _decode(body)
                except ValueError as error:
                    log.error("a spooled event is not understood and is passed over", error=str(error))

    @property
    def broken(self) -> int:
        """Lines that are not as they were written: mostly the last, amid which the power went."""
        return sum(1 for line in _lines(self._file) if _read(line) is None)

    def _lines(self) -> Iterator[tuple[str, bytes]]:
        return (read for line in _lines(self._file) if (read := _read(line)) is not None)

    def _append(self, line: bytes) -> bool:
        """False if the disk did not take it; what it took of it is cut off, or the next line would be broken
        too."""
        try:
            if os.write(self._file, line) == len(line):
                self._size += len(line)
                self._is_synced = False
                return True
        except OSError:
            pass
        with suppress(OSError):
            os.ftruncate(self._file, self._size)
        return False


def left_behind(folder: Path) -> Iterator[Spool]:
    """The spools of workers that are gone, the oldest first, each locked by us from now on. Those of workers
    that live are theirs."""
    with suppress(OSError):
        for path in sorted(folder.glob(f"*{ENDING}"), key=lambda path: path.stat().st_mtime):
            with suppress(OSError):
                file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    # Another may have said all of it and put it away since we found it.
                    if not os.fstat(file).st_nlink:
                        raise FileNotFoundError
                except OSError:
                    os.close(file)
                else:
                    yield Spool(path, file)


def _line(key: bytes, body: bytes) -> bytes:
    said = b"%s %s" % (key, body)
    return b"%08x %s\n" % (crc32(said), said)


def _lines(file: int) -> Iterator[bytes]:
    with open(os.dup(file), "rb") as whole:
        whole.seek(0)
        yield from whole


def _read(line: bytes) -> tuple[str, bytes] | None:
    """The key, and the event or the mark. None if the line is broken."""
    checksum, _, said = line.removesuffix(b"\n").partition(b" ")
    key, _, body = said.partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % crc32(said):
        return None
    return key.decode(), body


def _counter(key: str) -> int:
    return int(key.rpartition(":")[2])
