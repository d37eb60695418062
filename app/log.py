"""Structured logs on stderr, from us and from the libraries, as lines for people or as JSON.

Two promises: no value can forge a line or show a password, and a log that nobody reads any more never stops
the process. A thread of its own does the writing; what does not fit into its queue is dropped and counted.

Our own lines do not pass through `logging`, which would make a record of each and take it apart again: a
line in the log was a quarter of what an event cost the server.
"""

import atexit
import json
import logging
import os
import re
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from app.config import Config
from app.domain.credentials import redacted

_QUEUE_LINES = 10_000
# In one write at the most: so much a pipe takes whole, and our server and our workers may share one.
_WRITE_BYTES = 4096
# Between two writes, for waking the thread costs the loop more than making the line.
_GATHER_SECONDS = 0.2
_LONGEST_VALUE = 4_000
_FLUSH_PATIENCE = 1.0

# Whoever has such a path has what is behind it.
_TOKEN_IN_PATH = re.compile(r"(/v1/heartbeats/|/wall/)[^\s/?#]+")
# Besides the C0 and C1 controls: line separators, and the marks that make a terminal show text backwards.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_CONTROL_BUT_NEWLINE = re.compile(_CONTROL.pattern.replace(r"\x00-\x1f", r"\x00-\x09\x0b-\x1f"))
# Most values are such, and need not be looked at any further.
_HARMLESS = re.compile(r"[A-Za-z0-9 _.:,-]{0,200}")


def configure(config: Config) -> None:
    """Our own rooms speak from the configured level on, libraries only from warning on."""
    output, ending = _Output(_stderr()), _ending(config)
    level = logging.getLevelNamesMapping()[config.log_level.upper()]
    _quieten(output, ending, max(level, logging.WARNING))
    structlog.configure(
        processors=[_signed, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # All that structlog makes is ours, whatever the rooms call themselves; libraries log without it.
        logger_factory=lambda *name: _Room(".".join(name) or "statuswire", output),
        cache_logger_on_first_use=True,
    )


def _quieten(output: "_Output", ending: list[Processor], level: int) -> None:
    """What libraries log ends in the same place, as the same lines."""
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *_SHARED],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Named one by one as well: a library that turns the root logger up must not make these speak.
    for library in ("httpx", "httpcore", "litestar", "uvicorn", "websockets", "asyncio", "aiosqlite"):
        logging.getLogger(library).setLevel(level)
    logging.captureWarnings(True)


class _Room:
    """Where the lines of one of our rooms go."""

    def __init__(self, name: str, output: "_Output") -> None:
        self.name = name
        self._output = output

    def msg(self, line: str) -> None:
        self._output.write(f"{line}\n")

    debug = info = warning = error = critical = msg


def clean(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """No password of a URL, wherever in the event it stands. One event is one line, and nothing in it
    commands a terminal. A traceback keeps its lines, indented."""
    trace = event.pop("exception", None)
    event = {
        name: value if type(value) is str and _HARMLESS.fullmatch(value) else _everywhere(value, _cleaned)
        for name, value in event.items()
    }
    if trace is not None:
        visible = _CONTROL_BUT_NEWLINE.sub(_visible, _redacted(str(trace)))
        event["exception"] = visible.replace("\n", "\n    ")
    return event


def _signed(room: WrappedLogger, level: str, event: EventDict) -> EventDict:
    """What `_SHARED` adds to the lines of libraries, in one step."""
    event["logger"], event["level"] = room.name, level
    event["timestamp"] = datetime.now(UTC).isoformat().removesuffix("+00:00") + "Z"
    return event


_SHARED: list[Processor] = [
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
_PLAIN = (int, float, bool, type(None))
# One for all lines: `json.dumps` makes an encoder for each.
_encode = json.JSONEncoder().encode


def _ending(config: Config) -> list[Processor]:
    cleaning: list[Processor] = [structlog.processors.format_exc_info, clean]
    if config.process:
        # Of several on one port. A context variable would be looked up anew for each line.
        cleaning.insert(0, lambda _, __, event: {**event, "process": config.process})
    if config.log_format == "json":
        return [*cleaning, lambda _, __, event: _encode(event)]
    colours = os.isatty(_stderr() or 0) and "NO_COLOR" not in os.environ
    plain = structlog.dev.plain_traceback
    return [*cleaning, structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain)]


def _everywhere(value: object, change: Callable[[str], str]) -> object:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Mapping):
        return {change(str(name)): _everywhere(inner, change) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_everywhere(inner, change) for inner in value]
    return change(str(value) if isinstance(value, BaseException) else repr(value))


def _cleaned(text: str) -> str:
    return _escaped(_redacted(text))


def _redacted(text: str) -> str:
    if "/heartbeats/" in text or "/wall/" in text:
        text = _TOKEN_IN_PATH.sub(r"\1***", text)
    return redacted(text)


def _escaped(text: str) -> str:
    # Whatever is to be made visible is not printable, and most values are.
    if not text.isprintable():
        text = _CONTROL.sub(_visible, text)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}... ({len(text)} characters)"


def _visible(control: re.Match[str]) -> str:
    return control[0].encode("unicode_escape").decode()


def _stderr() -> int | None:
    """None where there is none, as in a process that was started with it closed."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return None


class _Output:
    """What a StreamHandler takes for a stream. write() never waits and never raises."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._called = threading.Event()
        self._in_hurry = threading.Event()
        self._is_done = True
        threading.Thread(target=self._write_all, name="log", daemon=True).start()
        atexit.register(self._finish)

    def write(self, line: str) -> None:
        waiting = len(self._lines)
        if waiting >= _QUEUE_LINES:
            self._dropped += 1
            return
        self._lines.append(line)
        if not self._called.is_set():
            self._called.set()
        elif waiting >= _QUEUE_LINES // 2 and not self._in_hurry.is_set():
            self._in_hurry.set()

    def flush(self) -> None:
        """Nothing to do: the thread writes each line as it comes."""

    def _write_all(self) -> None:
        """For ever."""
        while True:
            self._called.wait()
            self._is_done = False
            self._called.clear()
            self._in_hurry.clear()
            while self._lines:
                self._write(self._some())
            self._is_done = True
            self._in_hurry.wait(_GATHER_SECONDS)

    def _some(self) -> bytes:
        """The next lines, as many as go into one write."""
        text = self._lines.popleft()
        if self._dropped:
            text += f"({self._dropped} lines before this one were dropped: nobody read the log)\n"
            self._dropped = 0
        some = text.encode(errors="backslashreplace")
        while self._lines and len(some) + len(self._lines[0]) <= _WRITE_BYTES:
            some += self._lines.popleft().encode(errors="backslashreplace")
        return some

    def _finish(self) -> None:
        self._in_hurry.set()
        deadline = time.monotonic() + _FLUSH_PATIENCE
        while (self._lines or not self._is_done) and time.monotonic() < deadline:
            time.sleep(0.002)

    def _write(self, line: bytes) -> None:
        # A pipe whose reader has gone, or a closed descriptor, is no reason to stop.
        with suppress(OSError):
            while line and self._fd is not None:
                try:
                    line = line[os.write(self._fd, line) :]
                except BlockingIOError:
                    select.select([], [self._fd], [])
