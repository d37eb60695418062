"""Structured logs on stderr, from us and from the libraries, as lines for people or as JSON.

Two promises: no value can forge a line or show a password, and a log that nobody reads any more never stops
the process. A thread of its own does the writing; what does not fit into its queue is dropped and counted.
"""

import atexit
import logging
import os
import queue
import re
import select
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from app.config import Config

_OURS = "statuswire"
_QUEUE_LINES = 10_000
_LONGEST_VALUE = 4_000
_FLUSH_PATIENCE = 1.0

_USERINFO = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*://)[^\s/?#]*@")
_SECRET_PARAMETER = re.compile(
    r"([?&](?:password|passwd|pwd|token|secret|api_?key|key)=)[^&\s]+", re.IGNORECASE
)
# Besides the C0 and C1 controls: line separators, and the marks that make a terminal show text backwards.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_CONTROL_BUT_NEWLINE = re.compile(_CONTROL.pattern.replace(r"\x00-\x1f", r"\x00-\x09\x0b-\x1f"))


def configure(config: Config) -> None:
    """Our own rooms speak from the configured level on, libraries only from warning on."""
    output = logging.StreamHandler(_Output(_stderr()))
    output.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *_SHARED],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_ending(config)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [output]
    level = logging.getLevelNamesMapping()[config.log_level.upper()]
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger(_OURS).setLevel(level)
    # Named one by one as well: a library that turns the root logger up must not make these speak.
    for library in ("httpx", "httpcore", "litestar", "uvicorn", "websockets", "asyncio", "aiosqlite"):
        logging.getLogger(library).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        # All that structlog makes is ours, whatever the rooms call themselves; libraries log without it.
        logger_factory=lambda *name: logging.getLogger(".".join((_OURS, *name))),
        cache_logger_on_first_use=True,
    )


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """No password of a URL, wherever in the event it stands."""
    return {name: _everywhere(value, _redacted) for name, value in event.items()}


def escape(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """One event is one line, and nothing in it commands a terminal. A traceback keeps its lines, indented."""
    trace = event.pop("exception", None)
    event = {name: _everywhere(value, _escaped) for name, value in event.items()}
    if trace is not None:
        event["exception"] = _CONTROL_BUT_NEWLINE.sub(_visible, str(trace)).replace("\n", "\n    ")
    return event


_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    lambda _, __, event: {**event, "logger": event["logger"].removeprefix(f"{_OURS}.")},
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def _ending(config: Config) -> list[Processor]:
    cleaning: list[Processor] = [structlog.processors.format_exc_info, redact, escape]
    if config.log_format == "json":
        return [*cleaning, structlog.processors.JSONRenderer()]
    colours = os.isatty(_stderr() or 0) and "NO_COLOR" not in os.environ
    plain = structlog.dev.plain_traceback
    return [*cleaning, structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain)]


def _everywhere(value: object, change: Callable[[str], str]) -> object:
    if isinstance(value, str):
        return change(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {change(str(name)): _everywhere(inner, change) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_everywhere(inner, change) for inner in value]
    return change(str(value) if isinstance(value, BaseException) else repr(value))


def _redacted(text: str) -> str:
    # Most values hold neither; two substring searches are cheaper than two regexes.
    if "@" in text and "://" in text:
        text = _USERINFO.sub(r"\1***@", text)
    return _SECRET_PARAMETER.sub(r"\1***", text) if "=" in text else text


def _escaped(text: str) -> str:
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
        self._lines: queue.Queue[str] = queue.Queue(_QUEUE_LINES)
        self._dropped = 0
        threading.Thread(target=self._write_all, name="log", daemon=True).start()
        atexit.register(self._finish)

    def write(self, line: str) -> None:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def flush(self) -> None:
        """Nothing to do: the thread writes each line as it comes."""

    def _write_all(self) -> None:
        """For ever."""
        while True:
            line = self._lines.get()
            if self._dropped:
                line += f"({self._dropped} lines before this one were dropped: nobody read the log)\n"
                self._dropped = 0
            self._write(line.encode(errors="backslashreplace"))
            self._lines.task_done()

    def _finish(self) -> None:
        with self._lines.all_tasks_done:
            self._lines.all_tasks_done.wait_for(lambda: not self._lines.unfinished_tasks, _FLUSH_PATIENCE)

    def _write(self, line: bytes) -> None:
        # A pipe whose reader has gone, or a closed descriptor, is no reason to stop.
        with suppress(OSError):
            while line and self._fd is not None:
                try:
                    line = line[os.write(self._fd, line) :]
                except BlockingIOError:
                    select.select([], [self._fd], [])
