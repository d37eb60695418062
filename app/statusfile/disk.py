"""The file on disk: `load` reads it once, `watch` for ever.

What is on a disk can be half written, renamed away for a moment, a pipe, or changed without looking
changed: so contents are compared and not times, and believed only when they have come to rest.
"""

import asyncio
import os
import stat
import threading
import time
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Final, TypeAlias

from msgspec import Struct

from app.domain.monitor import Catalog
from app.statusfile.catalog import Said, read
from app.statusfile.problem import Problem, StatusFileError
from app.statusfile.tree import LARGEST

# Seconds between two glances. One is a stat, 0.1 ms with all that wakes for it: 180 s of a processor a day.
# inotify would be told at once, and hears nothing of files on a network or under a container's mount: so
# glances would be needed all the same.
GLANCE_EVERY: Final = 0.04
# Whoever writes a file in pieces pauses for less than this, in seconds.
REST: Final = 0.04
# An editor's half-written file is whole again after this, in seconds.
_PATIENCE: Final = 0.3
# What never comes to rest is taken as it is after so many pieces.
_MOST_PIECES: Final = 20
# Some file systems keep times to two seconds: a younger file may change without looking changed, so it is
# read again each second.
_YOUNG: Final = 3.0
_READ_EVERY: Final = 1.0

# Times, size and kind of the file, or why there are none.
_Mark: TypeAlias = tuple[int, ...] | str | None


def load(path: str | Path) -> Catalog:
    """Raises StatusFileError, also for a file that is not there."""
    return read_from(path).catalog


def read_from(path: str | Path) -> Said:
    """Raises StatusFileError, also for a file that is not there."""
    return _understand(_read(path), str(path))


async def watch(
    path: str | Path, every: float = GLANCE_EVERY, rest: float = REST
) -> AsyncIterator[Said | StatusFileError]:
    """The file as it stands, then again each time its content has become another, for ever. All of it happens
    in a thread: neither 10,000 monitors nor a network that hangs must hold up the pushes."""
    eye = _Eye(path, every, rest)
    try:
        while (found := await asyncio.to_thread(eye.next)) is not None:
            yield found
    finally:
        eye.close()


class _Seen(Struct, frozen=True):
    """What one look at the file found: its bytes, or why there are none."""

    content: bytes
    error: StatusFileError | None
    digest: str


class _Eye:
    """One file, as its watcher has seen it so far. It waits by blocking, and `close` ends that."""

    def __init__(self, path: str | Path, every: float, rest: float) -> None:
        self._path = path
        self._every = every
        self._rest = rest
        self._closed = threading.Event()
        self._told: str | None = None
        self._mark: _Mark = None
        self._glanced = self._read = -_YOUNG
        # How long what is seen has been as it is, as far as that is known.
        self._unchanged = 0.0

    def close(self) -> None:
        self._closed.set()

    def next(self) -> Said | StatusFileError | None:
        """What the file says once it has become another. None if closed meanwhile."""
        while not self._closed.is_set():
            if self._glance() or (_is_young(self._mark) and self._glanced - self._read >= _READ_EVERY):
                self._read = self._glanced
                seen = _look(self._path)
                if seen.digest != self._told:
                    seen, found = self._settle(seen)
                    if seen.digest != self._told and not self._closed.is_set():
                        self._told = seen.digest
                        return found
            self._closed.wait(self._every)
        return None

    def _settle(self, seen: _Seen) -> tuple[_Seen, Said | StatusFileError]:
        """Half a file can be a good one with fewer monitors, so a new content is believed once it has been
        the same for a while; a bad one is given longer, because a rename leaves a moment with no file."""
        found = _judge(self._path, seen)
        for _ in range(_MOST_PIECES):
            if self._rests(_PATIENCE if isinstance(found, StatusFileError) else self._rest):
                # What is written twice within one tick of the file system's clock looks unchanged.
                again = _look(self._path)
                if again.digest == seen.digest:
                    break
            else:
                again = _look(self._path)
            seen, found = again, _judge(self._path, again)
        return seen, found

    def _rests(self, seconds: float) -> bool:
        """False as soon as it changes within that time, counted from its last change."""
        if self._glance():
            return False
        began = time.monotonic() - self._unchanged
        while (left := began + seconds - time.monotonic()) > 0:
            if self._closed.wait(min(left, self._every)):
                break
            if self._glance():
                return False
        return True

    def _glance(self) -> bool:
        """Whether it looks changed."""
        before, self._glanced = self._glanced, time.monotonic()
        mark, self._mark = self._mark, _mark(self._path)
        between = self._glanced - before
        if mark == self._mark:
            self._unchanged += between
            return False
        # By its own word, but for no longer than since it was seen otherwise: its clock may be another.
        self._unchanged = min(max(_age(self._mark), 0.0), between)
        return True


def _mark(path: str | Path) -> _Mark:
    try:
        found = Path(path).stat()
    except (OSError, ValueError) as error:
        return repr(error)
    # ctime is the one time that a program which restores mtime cannot set.
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_mode


def _is_young(mark: _Mark) -> bool:
    return isinstance(mark, tuple) and abs(time.time() - mark[0] / 1e9) < _YOUNG


def _age(mark: _Mark) -> float:
    return time.time() - max(mark[:2]) / 1e9 if isinstance(mark, tuple) else 0.0


def _look(path: str | Path) -> _Seen:
    try:
        content = _read(path)
    except StatusFileError as error:
        return _Seen(b"", error, str(error))
    return _Seen(content, None, sha256(content).hexdigest())


def _judge(path: str | Path, seen: _Seen) -> Said | StatusFileError:
    if seen.error is not None:
        return seen.error
    try:
        return _understand(seen.content, str(path))
    except StatusFileError as error:
        return error


def _read(path: str | Path) -> bytes:
    try:
        with open(path, "rb", opener=_at_once) as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return file.read(LARGEST + 1)
        sentence = "it is not a regular file: name the YAML file itself"
    except IsADirectoryError:
        sentence = "it is a directory: name the YAML file itself"
    except FileNotFoundError:
        sentence = "there is no such file: write it, or name another with --config or STATUSWIRE_CONFIG"
    except PermissionError:
        sentence = (
            "this process may not read it: give its user the permission to read the file and its directory"
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        sentence = f"it cannot be read ({reason}): give the name of a YAML file"
    raise StatusFileError([Problem(0, sentence)], str(path))


def _at_once(path: str, flags: int) -> int:
    """A pipe that took the place of a file would else wait for its other end."""
    return os.open(path, flags | os.O_NONBLOCK)


def _understand(content: bytes, name: str) -> Said:
    try:
        # What was cut off at the limit may end within a letter; it is refused for its size.
        return read(content.decode(errors="replace" if len(content) > LARGEST else "strict"), name)
    except UnicodeDecodeError as error:
        raise StatusFileError([_no_utf8(content, error.start)], name) from None


def _no_utf8(content: bytes, at: int) -> Problem:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return Problem(0, "the file is UTF-16: save it as UTF-8")
    line = content.count(b"\n", 0, at) + 1
    return Problem(line, f"the byte 0x{content[at]:02X} is not UTF-8: save the file as UTF-8")
