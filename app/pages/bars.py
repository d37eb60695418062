"""Ninety days of a component as one small picture, and its uptime as a number.

A bar is history and never says how things stand now. A bad day is drawn pale, with a foot in the colour of
the worst status, as high as the square root of its share of the day: two minutes can be seen, and a whole
day looks like one. All good days together are one dashed line: as an element each, a page of thirty
components would have 2,700 of them.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup
from msgspec import Struct

from app.domain.status import SEVERITY, Status, worst
from app.domain.uptime import Uptime
from app.pages.language import Language
from app.pages.rows import Group

NOT_MEASURED = "no data"
_MINUTE = 60_000
_HEIGHT = 20
_LEAST = 0.25  # of the height, for the shortest problem
_FEET = (Status.MAINTENANCE, Status.DEGRADED, Status.PARTIAL, Status.MAJOR)


class Day(Struct, frozen=True):
    """`status` is what the day is remembered for: operational if nothing was wrong, unknown if nobody
    looked. `minutes` says all that was not operational, for who points at it."""

    status: Status
    share: float
    minutes: Mapping[Status, int]


class Bar(Struct, frozen=True):
    picture: Markup
    uptime: str


def component_bar(name: str, days: Sequence[Uptime], language: Language) -> Bar:
    percent = uptime_text(days, language)
    drawn = [_day(day) for day in days]
    watched = [day for day in drawn if day.status is not Status.UNKNOWN]
    problems = sum(SEVERITY[day.status] > SEVERITY[Status.MAINTENANCE] for day in watched)
    if watched:
        label = language.say(
            "{name}: uptime {uptime} over {days}, {problems}",
            name=name,
            uptime=percent,
            days=language.count(len(watched), "{number} day", "{number} days"),
            problems=language.count(problems, "{number} day with problems", "{number} days with problems"),
        )
    else:
        label = language.say("{name}: not watched yet", name=name)
    told = ";".join(
        f"{i}:{status}:{minutes}" for i, day in enumerate(drawn) for status, minutes in day.minutes.items()
    )
    return Bar(
        Markup(
            '<svg class="bar" viewBox="0 0 {} 25" preserveAspectRatio="none" role="img" tabindex="0" '
            'aria-label="{}" data-days="{}" data-first="{}">{}</svg>'
        ).format(len(drawn), label, told, _first(drawn), _paths(drawn)),
        percent,
    )


def group_bar(group: Group, members: Mapping[str, Sequence[Uptime]], language: Language) -> Bar | None:
    """Each day as bad as its worst member, and the mean of their uptimes. None if no member has a history."""
    known = [members[row.slug] for row in group.rows if row.slug in members]
    if not known:
        return None
    drawn = [max(map(_day, together), key=_rank) for together in zip(*known, strict=True)]
    percents = [thousandths for days in known if (thousandths := _thousandths(days)) is not None]
    mean = _percent(sum(percents) // len(percents), language) if percents else language.say(NOT_MEASURED)
    return Bar(
        Markup(
            '<svg class="bar" viewBox="0 0 {} 25" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
        ).format(len(drawn), _paths(drawn)),
        mean,
    )


def uptime_text(days: Iterable[Uptime], language: Language) -> str:
    """Never rounded up: 100 % is said only if there was no bad millisecond."""
    thousandths = _thousandths(days)
    return language.say(NOT_MEASURED) if thousandths is None else _percent(thousandths, language)


def _thousandths(days: Iterable[Uptime]) -> int | None:
    good = counted = 0
    for day in days:
        good += day.operational + day.degraded
        counted += day.counted
    return good * 100_000 // counted if counted else None


def _percent(thousandths: int, language: Language) -> str:
    if thousandths == 100_000:
        return language.percent("100")
    if thousandths > 99_990:
        return language.percent(f"{thousandths / 1000:.3f}")
    return language.percent(f"{thousandths // 10 / 100:.2f}")


def _day(day: Uptime) -> Day:
    spent = {
        Status.MAINTENANCE: day.maintenance,
        Status.UNKNOWN: day.unknown,
        Status.DEGRADED: day.degraded,
        Status.PARTIAL: day.partial,
        Status.MAJOR: day.major,
    }
    minutes = {status: its // _MINUTE for status, its in spent.items() if its >= _MINUTE}
    if not day.counted and not day.maintenance:
        return Day(Status.UNKNOWN, 1.0, {})
    bad = {
        status: spent[status] for status in (Status.DEGRADED, Status.PARTIAL, Status.MAJOR) if spent[status]
    }
    if bad:
        # A status of some seconds gives its colour to the day only if nothing lasted longer.
        status = worst([status for status in bad if status in minutes] or bad)
        return Day(status, sum(bad.values()) / day.elapsed, minutes)
    if day.maintenance:
        return Day(Status.MAINTENANCE, day.maintenance / day.elapsed, minutes)
    return Day(Status.OPERATIONAL, 0.0, minutes)


def _rank(day: Day) -> tuple[int, float]:
    """A day on which one member was not watched is as good as the others say."""
    return (-1 if day.status is Status.UNKNOWN else SEVERITY[day.status]), day.share


def _first(days: Sequence[Day]) -> int:
    """The first day on which somebody looked."""
    return next((i for i, day in enumerate(days) if day.status is not Status.UNKNOWN), len(days))


def _paths(days: Sequence[Day]) -> Markup:
    first = _first(days)
    parts = []
    if first:
        parts.append(f'<path class="unwatched" d="M0 10h{first}"/>')
    if first < len(days):
        parts.append(f'<path class="good" data-status="operational" d="M{first} 10H{len(days)}"/>')
    silent = [i for i, day in enumerate(days) if i > first and day.status is Status.UNKNOWN]
    if silent:
        parts.append(f'<path class="silent" d="{"".join(map(_column, silent))}"/>')
    bad = [i for i, day in enumerate(days) if day.status in _FEET]
    if bad:
        parts.append(f'<path class="pale" d="{"".join(map(_column, bad))}"/>')
    for status in _FEET:
        if feet := [_foot(i, day.share) for i, day in enumerate(days) if day.status is status]:
            parts.append(f'<path class="foot" data-status="{status}" d="{"".join(feet)}"/>')
    # In the same words as the pale ones: of a repetition a packed page takes no notice.
    problems = [i for i in bad if days[i].status is not Status.MAINTENANCE]
    if problems:
        parts.append(f'<path class="tick" d="{"".join(map(_column, problems))}"/>')
    # Nothing but numbers and the words of Status goes in here.
    return Markup("".join(parts))


def _foot(day: int, share: float) -> str:
    height = _HEIGHT * (_LEAST + (1 - _LEAST) * math.sqrt(min(1.0, share)))
    return f"M{day}.5 {_HEIGHT}v-{height:.0f}"


def _column(day: int) -> str:
    return f"M{day}.5 0v{_HEIGHT}"
