"""What the words of a job make of its monitor, and by when the next one must have come.

Silence is news here, and bad news: who is looked at and not seen is unknown, but who was to speak and did
not is late, and that is down.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from msgspec import Struct
from msgspec.structs import replace

from app.domain.events import Heartbeat, Word
from app.domain.monitor import Monitor
from app.domain.result import Outcome, Result
from app.domain.standing import Standing, State, judge

KIND: Final = "push"
LATE: Final = "late"
NOT_ENDED: Final = "did not end"
# A server that was away waits so long at most before it calls anything late: the job may be trying again.
RESPITE_AT_MOST: Final = 300.0


class Said(Struct, frozen=True):
    """A heartbeat that had something to tell, for operators only."""

    heartbeat: Heartbeat
    log: str


class Due(Struct, frozen=True):
    """By when the next word must have come, since when it is waited for, and what to call it if it did
    not."""

    at: datetime
    since: datetime
    reason: str


def after(standing: Standing, heartbeat: Heartbeat) -> Standing:
    """A start alone says nothing of how it will end."""
    if heartbeat.word is Word.START:
        return replace(standing, running=heartbeat.at)
    outcome = Outcome.OK if heartbeat.word is Word.SUCCESS else Outcome.FAIL
    return _judged(standing, heartbeat.at, outcome, reason_of(heartbeat), heartbeat.at)


def missed(standing: Standing, due: Due) -> Standing:
    return _judged(standing, due.at, Outcome.FAIL, due.reason, standing.seen)


def reason_of(heartbeat: Heartbeat) -> str:
    if heartbeat.word is not Word.FAIL:
        return ""
    return "failed" if heartbeat.code is None else f"exit {heartbeat.code}"


def due(monitor: Monitor, standing: Standing) -> Due | None:
    """None where nothing is waited for: nothing was ever heard, or it is known to be down."""
    if standing.state is State.DOWN:
        return None
    longest = _seconds(monitor, "max_runtime")
    if standing.running is not None and longest:
        return Due(standing.running + longest, standing.running, NOT_ENDED)
    if standing.seen is None or (expected := _expected(monitor, standing.seen)) is None:
        return None
    return Due(expected + _seconds(monitor, "grace"), standing.seen, LATE)


def respite(monitor: Monitor) -> float:
    """Seconds."""
    return min(_seconds(monitor, "grace").total_seconds(), RESPITE_AT_MOST)


def is_cron(text: str) -> bool:
    """Whether it can be read, and ever comes."""
    return len(text.split()) == 5 and _next(text, "UTC", datetime(2024, 1, 1, tzinfo=UTC)) is not None


def _judged(
    standing: Standing, at: datetime, outcome: Outcome, reason: str, seen: datetime | None
) -> Standing:
    judged, _ = judge(standing, Result(at=at, outcome=outcome, reason=reason), retries=0)
    return replace(judged, seen=seen, running=None)


def _expected(monitor: Monitor, last: datetime) -> datetime | None:
    if cron := str(monitor.options.get("cron", "")):
        return _next(cron, str(monitor.options.get("time_zone") or "UTC"), last)
    return last + timedelta(seconds=monitor.every)


def _seconds(monitor: Monitor, word: str) -> timedelta:
    return timedelta(seconds=cast(float, monitor.options.get(word, 0.0)))


# Each server asks for each monitor each second, and the answer changes with a heartbeat.
@lru_cache(maxsize=20_000)
def _next(cron: str, time_zone: str, after: datetime) -> datetime | None:
    """None for what cannot be read, as a newer server may have written it, or never comes. Where clocks are
    set, it does as Debian's cron: what falls into the hour that is left out runs right behind it, and what
    falls into the hour that comes twice runs once."""
    try:
        zone: Any = UTC if time_zone == "UTC" else ZoneInfo(time_zone)
        return next(CronSim(cron, after.astimezone(zone))).astimezone(UTC)
    except (CronSimError, StopIteration, ValueError, KeyError, OSError):
        return None
