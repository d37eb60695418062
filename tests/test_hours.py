"""The past 24 hours on a wall, by the minute."""

from datetime import timedelta

from app.domain.status import SEVERITY, Status
from app.domain.uptime import Span
from app.pages.hours import hours
from tests.make import NOON

NOBODY = -1
OK, DEGRADED, MAJOR = (SEVERITY[its] for its in (Status.OPERATIONAL, Status.DEGRADED, Status.MAJOR))


def a_span(status: Status, ago: float, until: float | None = None, component: str = "api") -> Span:
    """In minutes before now."""
    ended = None if until is None else NOON - timedelta(minutes=until)
    return Span(component=component, status=status, since=NOON - timedelta(minutes=ago), until=ended)


def test_a_day_of_which_nobody_knows_anything_is_one_run() -> None:
    assert hours((), NOON).runs == ((NOBODY, 1440),)


def test_a_minute_is_as_bad_as_the_worst_that_was_in_it() -> None:
    spans = [
        a_span(Status.MAJOR, 30.5, 28.5),
        a_span(Status.DEGRADED, 40, 20, "web"),
        a_span(Status.OPERATIONAL, 5000, None, "mail"),
    ]
    past = hours(spans, NOON)
    assert past.until == NOON.timestamp() // 60
    # The minute that has just begun is the last; a part of a minute is all of it.
    assert past.runs == ((OK, 1399), (DEGRADED, 9), (MAJOR, 3), (DEGRADED, 8), (OK, 21))


def test_what_only_began_to_be_watched_makes_nothing_before_it_unknown() -> None:
    spans = [a_span(Status.OPERATIONAL, 9000), a_span(Status.OPERATIONAL, 5, None, "new")]
    assert hours(spans, NOON).runs == ((OK, 1440),)


def test_what_is_older_is_not_in_it_and_what_will_be_neither() -> None:
    spans = [a_span(Status.MAJOR, 3000, 2000), a_span(Status.MAJOR, -10), a_span(Status.DEGRADED, 1441, 1438)]
    assert hours(spans, NOON).runs == ((DEGRADED, 1), (NOBODY, 1439))
