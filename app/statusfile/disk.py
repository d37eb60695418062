"""The file on disk: `load` reads it once, `watch` for ever.

What is on a disk can be half written, renamed away for a moment, a pipe, or changed without looking
changed: so contents are compared and not times, and believed only when they have come to rest.
"""

import asyncio
import stat
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

# An editor's half-written file is whole again after this, in seconds.
_PATIENCE: Final = 0.3
# Some file systems keep times to two seconds: a younger file may change without looking changed.
_YOUNG: Final = 3.0

# Times, size and kind of the file, or why there are none.
_Mark: TypeAlias = tuple[int, ...] | str | None


def load(path: str | Path) -> Catalog:
    """Raises StatusFileError, also for a file that is not there."""
    return read_from(path).catalog


def read_from(path: str | Path) -> Said:
    """Raises StatusFileError, also for a file that is not there."""
    return _understand(_read(path), str(path))


async def watch(path: str | Path, every: float = 1.0) -> AsyncIterator[Said | StatusFileError]:
    """The file as it stands, then again each time its content has become another, for ever. Reading and
    parsing happen in a thread: 10,000 monitors must not hold up the pushes."""
    mark: _Mark = None
    told: str | None = None
    while True:
        before, mark = mark, await asyncio.to_thread(_mark, path)
        if mark != before or _is_young(mark):
            seen = await asyncio.to_thread(_look, path)
            if seen.digest != told:
                seen, found = await _settle(path, seen)
                if seen.digest != told:
                    told = seen.digest
                    yield found
        await asyncio.sleep(every)


class _Seen(Struct, frozen=True):
    """What one look at the file found: its bytes, or why there are none."""

    content: bytes
    error: StatusFileError | None
    digest: str


async def _settle(path: str | Path, seen: _Seen) -> tuple[_Seen, Said | StatusFileError]:
    """Half a file can be a good one with fewer monitors, so a new content is believed once it is the same
    on a second look; a bad one is given one chance more, because a rename leaves a moment with no file."""
    for _ in range(10):
        await asyncio.sleep(_PATIENCE / 3)
        again = await asyncio.to_thread(_look, path)
        if again.digest == seen.digest:
            break
        seen = again
    found = await asyncio.to_thread(_judge, path, seen)
    if isinstance(found, StatusFileError):
        await asyncio.sleep(_PATIENCE)
        again = await asyncio.to_thread(_look, path)
        if again.digest != seen.digest:
            return again, await asyncio.to_thread(_judge, path, again)
    return seen, found


def _mark(path: str | Path) -> _Mark:
    try:
        found = Path(path).stat()
    except (OSError, ValueError) as error:
        return repr(error)
    # ctime is the one time that a program which restores mtime cannot set.
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_mode


def _is_young(mark: _Mark) -> bool:
    return isinstance(mark, tuple) and abs(time.time() - mark[0] / 1e9) < _YOUNG


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
        # Opening a pipe would wait for its other end.
        mode = Path(path).stat().st_mode
        if stat.S_ISREG(mode):
            with open(path, "rb") as file:
                return file.read(LARGEST + 1)
        what = "it is a directory" if stat.S_ISDIR(mode) else "it is not a regular file"
        sentence = f"{what}: name the YAML file itself"
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
