"""One event is one line, no line shows a password, and a log that nobody reads stops nothing."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.log import clean
from tests.services import ROOT

_HEAD = """
import logging, sys, warnings, structlog
from app import log as logs
from app.config import Config
logs.configure(Config.read({"STATUSWIRE_LOG": sys.argv[1], "STATUSWIRE_LOG_LEVEL": sys.argv[2]}))
log = structlog.get_logger("app.live")
"""


def _logged(code: str, form: str = "json", level: str = "info", **kwargs: object) -> str:
    command = [sys.executable, "-c", _HEAD + code, form, level]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert said.returncode == 0, said.stderr
    assert said.stdout == ""
    return said.stderr


def test_an_event_is_one_json_object_with_level_logger_and_time() -> None:
    event = json.loads(_logged("log.info('pushed', viewers=3, event_id='1-0')"))
    assert (event["event"], event["viewers"], event["level"], event["logger"]) == (
        "pushed",
        3,
        "info",
        "app.live",
    )
    assert event["timestamp"].endswith("Z")


def test_libraries_speak_through_the_same_log_and_only_from_warning_on() -> None:
    code = """
for name in ("httpx", "uvicorn.error", "uvicorn.access", "litestar", "whoever"):
    logging.getLogger(name).info("noise")
logging.getLogger("uvicorn.error").warning("port %s", 80)
"""
    event = json.loads(_logged(code))
    assert (event["event"], event["logger"]) == ("port 80", "uvicorn.error")


def test_an_application_of_litestar_keeps_the_libraries_quiet() -> None:
    code = """
from litestar import Litestar
Litestar(logging_config=None)
logging.getLogger("httpx").info("noise")
"""
    assert _logged(code) == ""


@pytest.mark.parametrize("form", ["json", "console"])
def test_nobody_forges_a_line_or_commands_the_terminal(form: str) -> None:
    code = r"log.info('a\r\nb', x='\x1b[2J', y={'k\n': ['\u202e']}, z=ValueError('\n'))"
    said = _logged(code, form)
    assert said.count("\n") == 1
    assert "\x1b" not in said and "\r" not in said and "\u202e" not in said
    assert "\\x1b[2J" in said.replace("\\\\", "\\")


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_is_kept_indented_and_without_passwords(form: str) -> None:
    code = r"""
try:
    raise ValueError("at redis://me:hunter2@h/0\n{\"event\": \"forged\"}\x1b[2J")
except ValueError:
    log.exception("broken")
"""
    said = _logged(code, form)
    assert "Traceback (most recent call last)" in said
    assert "hunter2" not in said and "redis://***@h/0" in said
    assert not any(line.startswith('{"event": "forged"}') for line in said.splitlines())
    assert "\x1b" not in said


def test_a_level_below_the_configured_one_is_silent() -> None:
    assert _logged("log.info('a'); log.warning('b')", level="warning").count("\n") == 1
    assert _logged("log.debug('a'); log.info('b')", level="debug").count("\n") == 2


@pytest.mark.parametrize(
    ("text", "logged"),
    [
        ("redis://me:hunter2@h:1/0", "redis://***@h:1/0"),
        ("rediss://:p@ss@h", "rediss://***@h"),
        ("(postgres://me:pw@h/db, redis://x@y)", "(postgres://***@h/db, redis://***@y)"),
        ("https://h/?token=abc&x=1", "https://h/?token=***&x=1"),
        ("GET /ws?wall=wall_1_abc", "GET /ws?wall=***"),
        ("no answer to /wall/wall_1_abc?theme=light", "no answer to /wall/***?theme=light"),
        ("/v1/heartbeats/abc/start", "/v1/heartbeats/***/start"),
        ("https://example.org/a@b", "https://example.org/a@b"),
        ("me@example.org", "me@example.org"),
        ("a=b", "a=b"),
    ],
)
def test_a_url_is_logged_without_its_password(text: str, logged: str) -> None:
    assert clean(None, "", {"event": text}) == {"event": logged}
    assert clean(None, "", {"event": "x", "deep": [{"in": (text,)}]})["deep"] == [{"in": [logged]}]


@given(st.text())
def test_an_escaped_text_is_printable_on_one_line(text: str) -> None:
    escaped = str(clean(None, "", {"event": text})["event"])
    assert len(escaped.splitlines()) <= 1


def test_an_endless_value_is_cut() -> None:
    event = clean(None, "", {"event": "x" * 10_000})["event"]
    assert len(str(event)) < 5_000 and str(event).endswith("(10000 characters)")


def test_a_reader_that_stops_reading_stops_nothing() -> None:
    # Far more than a pipe holds, and then more than the queue.
    code = """
for n in range(12_000):
    log.info("x" * 100, n=n)
print("went on", flush=True)
"""
    command = [sys.executable, "-c", _HEAD + code, "json", "info"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"went on\n"
        # It ends as well, though stderr was never read.
        assert process.wait(10) == 0


def test_lines_are_in_order_and_whole_however_they_share_a_write() -> None:
    code = """
import time
for n in range(300):
    log.info("x" * (n * 37 % 5000), n=n)
    if n % 100 == 0:
        time.sleep(0.1)
"""
    assert [json.loads(line)["n"] for line in _logged(code).splitlines()] == list(range(300))


def test_the_last_line_of_a_process_is_not_lost() -> None:
    assert "goodbye" in _logged("log.info('hello'); log.info('goodbye')")


def test_of_many_lines_at_once_none_is_dropped_while_somebody_reads() -> None:
    code = """
import time
from app import log as room
room._GATHER_SECONDS = 60
output = room._Output(2)
for n in range(3 * room._QUEUE_LINES):
    output.write(f"{n}\\n")
    if n % 1000 == 0:
        time.sleep(0.01)
"""
    assert _logged(code).splitlines() == [str(n) for n in range(30_000)]


def test_dropped_lines_are_counted() -> None:
    code = """
import os, threading
from app.log import _Output
read, write = os.pipe()
output = _Output(write)
for n in range(11_000):
    output.write(f"{n} {'x' * 100}\\\\n")
lines = iter(open(read))
line = ""
while "dropped" not in line:
    line = next(lines)
print(line, file=sys.stderr)
"""
    assert "lines before this one were dropped" in _logged(code)


@pytest.mark.parametrize("how", ["2>&-", "2>/dev/full"])
def test_a_stderr_that_is_gone_stops_nothing(how: str) -> None:
    code = _HEAD + "log.warning('x')\nprint('went on')"
    command = ["sh", "-c", f'exec "$0" -c "$1" json info {how}', sys.executable, code]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert (said.returncode, said.stdout) == (0, "went on\n")
