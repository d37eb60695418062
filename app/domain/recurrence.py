"""When something that comes again comes next: an RRULE of iCalendar, read by the clock on the wall.

A window of 22:00 to 02:00 stays one of 22:00 to 02:00 when the clocks change, however long it lasts then. An
hour that is skipped is taken an hour later, and of one that comes twice the first is meant.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dateutil.rrule import rrulestr

from app.domain.refused import Refused

_DAYS: Final = "(MO|TU|WE|TH|FR|SA|SU)"
# Only what is sure to come again soon: of BYMONTH=13 or the thirtieth of February, the search for the next
# one would take dateutil to the year 9999, and half a minute; and INTERVAL=0 would take it for ever.
_VALUE: Final = {
    "FREQ": "DAILY|WEEKLY|MONTHLY|YEARLY",
    "INTERVAL": "[1-9][0-9]?",
    "COUNT": "[1-9][0-9]{0,3}",
    "UNTIL": "[0-9]{8}(T[0-9]{6})?",
    "WKST": _DAYS,
    "BYDAY": f"(-?[1-4])?{_DAYS}",
    "BYMONTHDAY": "-1|[1-9]|1[0-9]|2[0-8]",
    "BYMONTH": "[1-9]|1[0-2]",
    "BYSETPOS": "-?[1-4]",
}
_EXAMPLES: Final = {
    "INTERVAL": "1 to 99",
    "UNTIL": "a local time such as 20271231T235959, without Z",
    "BYDAY": "MO,TU or 1SA or -1FR",
    "BYMONTHDAY": "1 to 28, or -1 for the last day",
}
_ALWAYS: Final = ("FREQ", "INTERVAL", "COUNT", "UNTIL")
_FITS: Final = {
    "DAILY": _ALWAYS,
    "WEEKLY": (*_ALWAYS, "BYDAY", "WKST"),
    "MONTHLY": (*_ALWAYS, "BYDAY", "BYMONTHDAY", "BYSETPOS"),
    "YEARLY": (*_ALWAYS, "BYDAY", "BYMONTHDAY", "BYMONTH"),
}


def zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Refused(
            "time_zone", f"`{name[:60]}` is no time zone: give one such as Europe/Berlin."
        ) from None


def check(rule: str, time_zone: str, first: datetime) -> str:
    """The rule as it is to be kept."""
    said = rule.strip().upper().removeprefix("RRULE:").split(";")
    parts = dict(part.partition("=")[::2] for part in said)
    fits = _FITS.get(parts.get("FREQ", ""))
    if fits is None:
        raise _refused("begins with FREQ=DAILY, WEEKLY, MONTHLY or YEARLY")
    for name, value in parts.items():
        if name not in fits:
            raise _refused(f"may not have {name[:20]} with {parts['FREQ']}: it takes {', '.join(fits)}")
        if not all(re.fullmatch(_VALUE[name], one) for one in value.split(",")):
            raise _refused(f"has a {name} that is not understood: {_EXAMPLES.get(name, 'see the reference')}")
    _refuse_clash(parts)
    text = ";".join(f"{name}={value}" for name, value in parts.items())
    try:
        after(text, time_zone, first, first)
    except (ValueError, TypeError, OverflowError, IndexError) as error:
        raise _refused(f"is no RRULE: {str(error)[:100]}") from None
    return text


def _refuse_clash(parts: dict[str, str]) -> None:
    """What cannot, or need not, come to pass together."""
    days = parts.get("BYDAY", "")
    if "BYDAY" in parts and "BYMONTHDAY" in parts:
        raise _refused("takes BYDAY or BYMONTHDAY, not both")
    if re.search("[0-9]", days) and (parts["FREQ"] == "WEEKLY" or "BYSETPOS" in parts):
        raise _refused("takes days without a number here, such as BYDAY=MO,TU")
    if len({len(day) > 2 for day in days.split(",")}) > 1:
        # dateutil takes days that are both, which none is.
        raise _refused("takes days that all have a number, or none: BYDAY=1MO,1TU or BYDAY=MO,TU")
    if "BYSETPOS" in parts and not days:
        raise _refused("takes BYSETPOS with BYDAY only")
    if "BYMONTH" in parts and not (days or "BYMONTHDAY" in parts):
        raise _refused("takes BYMONTH with BYDAY or BYMONTHDAY only")


def _refused(what: str) -> Refused:
    return Refused("recurrence", f"`recurrence` {what}.")


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
