"""When something that comes again comes next: an RRULE of iCalendar, read by the clock on the wall.

A window of 22:00 to 02:00 stays one of 22:00 to 02:00 when the clocks change, however long it lasts then. An
hour that is skipped is taken an hour later, and of one that comes twice the first is meant.
"""

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dateutil.rrule import rrulestr

from app.domain.refused import Refused

_WORDS: Final = frozenset(
    {"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS", "WKST"}
)
_OFTEN: Final = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")


def zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Refused(
            "time_zone", f"`{name[:60]}` is no time zone: give one such as Europe/Berlin."
        ) from None


def check(rule: str, time_zone: str, first: datetime) -> str:
    """The rule as it is to be kept."""
    parts = dict(part.partition("=")[::2] for part in rule.strip().removeprefix("RRULE:").upper().split(";"))
    if odd := sorted(parts.keys() - _WORDS):
        raise Refused("recurrence", f"`recurrence` may not have {odd[0][:20]}: it takes {_listed()}.")
    if parts.get("FREQ") not in _OFTEN:
        raise Refused("recurrence", "`recurrence` begins with FREQ=DAILY, WEEKLY, MONTHLY or YEARLY.")
    if parts["FREQ"] in ("DAILY", "WEEKLY") and parts.keys() & {"BYMONTHDAY", "BYSETPOS"}:
        raise Refused("recurrence", "BYMONTHDAY and BYSETPOS go with FREQ=MONTHLY or YEARLY.")
    if parts.get("UNTIL", "").endswith("Z"):
        raise Refused("recurrence", "UNTIL is a local time here: leave out the Z.")
    text = ";".join(f"{name}={value}" for name, value in parts.items())
    try:
        after(text, time_zone, first, first)
    except (ValueError, TypeError, OverflowError) as error:
        raise Refused("recurrence", f"`recurrence` is no RRULE: {str(error)[:100]}.") from None
    return text


def after(rule: str, time_zone: str, first: datetime, at: datetime) -> datetime | None:
    """The first start later than `at` of a series that began at `first`; None if it is over."""
    there = zone(time_zone)
    began = first.astimezone(there).replace(tzinfo=None)
    found = rrulestr(rule, dtstart=began).after(at.astimezone(there).replace(tzinfo=None))
    return None if found is None else found.replace(tzinfo=there).astimezone(UTC)


def ends(starts: datetime, lasts: timedelta, time_zone: str) -> datetime:
    """By the clock on the wall; of a window that the clocks have skipped, so much later."""
    there = zone(time_zone)
    wall = starts.astimezone(there).replace(tzinfo=None) + lasts
    end = wall.replace(tzinfo=there).astimezone(UTC)
    return end if end > starts else starts + lasts


def lasts(starts: datetime, ends: datetime, time_zone: str) -> timedelta:
    there = zone(time_zone)
    return ends.astimezone(there).replace(tzinfo=None) - starts.astimezone(there).replace(tzinfo=None)


def _listed() -> str:
    return ", ".join(sorted(_WORDS))
