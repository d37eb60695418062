"""Planned work begins and ends when it should, also when the clocks change in between."""

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.maintenance import (
    Maintenance,
    MaintenanceEdit,
    MaintenanceStatus,
    NewMaintenance,
    NewMaintenanceUpdate,
    due,
    edited,
    following,
    moved,
    scheduled,
    updated,
)
from app.domain.refused import Refused
from tests.make import NOON, after

BERLIN = ZoneInfo("Europe/Berlin")


def berlin(month: int, day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=BERLIN)


def a_maintenance(**given: object) -> Maintenance:
    usual = {"title": "Database", "starts": after(3600), "ends": after(7200), "components": ("api",)}
    return scheduled("m1", NewMaintenance(**(usual | given)), NOON)  # type: ignore[arg-type]


def series(maintenance: Maintenance, count: int) -> list[Maintenance]:
    found = [maintenance]
    while len(found) < count and (then := following(found[-1], found[-1].starts)) is not None:
        found.append(then)
    return found


def test_it_begins_and_ends_by_itself() -> None:
    work = a_maintenance()
    assert [due(work, after(seconds)) for seconds in (3599, 3600, 7199)] == [
        None,
        "in_progress",
        "in_progress",
    ]
    begun = moved(work, MaintenanceStatus.IN_PROGRESS, after(3600))
    assert [due(begun, after(seconds)) for seconds in (3600, 7199, 7200)] == [None, None, "completed"]
    over = moved(begun, MaintenanceStatus.COMPLETED, after(7200))
    assert due(over, after(9999)) is None
    # Nobody was there in time.
    assert due(work, after(7200)) == "completed"


def test_one_that_is_begun_or_ended_early_was_that_long() -> None:
    begun = moved(a_maintenance(), MaintenanceStatus.IN_PROGRESS, after(60))
    over = moved(begun, MaintenanceStatus.COMPLETED, after(120))
    assert (over.starts, over.ends) == (after(60), after(120))


def test_a_weekly_night_stays_a_night_when_the_clocks_change() -> None:
    """On 29 March 2026 two o'clock becomes three in Berlin, on 25 October three becomes two."""
    given = {"recurrence": "FREQ=WEEKLY;BYDAY=SU", "time_zone": "Europe/Berlin"}
    for month, days in ((3, (22, 29)), (10, (18, 25))):
        work = a_maintenance(starts=berlin(month, days[0], 1), ends=berlin(month, days[0], 5), **given)
        first, second = series(work, 2)
        assert second.starts == berlin(month, days[1], 1)
        assert second.ends == berlin(month, days[1], 5)
        assert second.starts.tzinfo is UTC
        hours = (second.ends - second.starts) / timedelta(hours=1)
        assert hours == (3 if month == 3 else 5)
        assert (first.ends - first.starts) / timedelta(hours=1) == 4


def test_an_hour_that_is_skipped_is_taken_an_hour_later_and_the_series_goes_on_as_it_was() -> None:
    given = {"recurrence": "FREQ=DAILY", "time_zone": "Europe/Berlin"}
    work = a_maintenance(starts=berlin(3, 28, 2, 30), ends=berlin(3, 28, 3), **given)
    starts = [each.starts for each in series(work, 3)]
    assert starts == [
        datetime(2026, 3, 28, 1, 30, tzinfo=UTC),
        datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
        datetime(2026, 3, 30, 0, 30, tzinfo=UTC),
    ]
    assert [each.ends - each.starts for each in series(work, 3)] == [timedelta(minutes=30)] * 3


def test_of_an_hour_that_comes_twice_the_first_is_meant() -> None:
    given = {"recurrence": "FREQ=DAILY", "time_zone": "Europe/Berlin"}
    work = a_maintenance(starts=berlin(10, 24, 2, 30), ends=berlin(10, 24, 3, 30), **given)
    _, second = series(work, 2)
    assert second.starts == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert second.ends == datetime(2026, 10, 25, 2, 30, tzinfo=UTC)


def test_a_series_ends_as_its_rule_says_and_each_has_an_id_of_its_own() -> None:
    work = a_maintenance(recurrence="RRULE:FREQ=MONTHLY;BYDAY=1TU;COUNT=3")
    found = series(work, 10)
    assert [(each.starts.month, each.starts.day) for each in found] == [(1, 31), (2, 3), (3, 3), (4, 7)]
    assert len({each.id for each in found}) == len(found)
    assert {each.series for each in found} == {"m1"}


def test_after_a_long_outage_those_that_are_over_are_not_made_up_for() -> None:
    work = a_maintenance(recurrence="FREQ=DAILY")
    then = following(work, after(10 * 86400 + 5400))
    assert then is not None and then.starts == after(10 * 86400 + 3600)


def test_an_update_may_move_it_and_a_private_one_says_nothing() -> None:
    begun = updated(
        a_maintenance(),
        NewMaintenanceUpdate(words="We begin early.", status=MaintenanceStatus.IN_PROGRESS),
        after(60),
        "user mei",
    )
    assert (begun.status, begun.starts) == ("in_progress", after(60))
    noted = updated(begun, NewMaintenanceUpdate(words="Ask Jo.", private=True), after(61), "user mei")
    assert noted.public() == begun.public()
    over = moved(begun, MaintenanceStatus.COMPLETED, after(90))
    with pytest.raises(Refused, match="is over"):
        updated(over, NewMaintenanceUpdate(words="No.", status=MaintenanceStatus.VERIFYING), after(91), "")
    with pytest.raises(Refused, match="is over"):
        edited(over, MaintenanceEdit(title="Other"), after(91))


@st.composite
def rules(draw: st.DrawFn) -> str:
    pick = st.sampled_from
    words = [f"FREQ={draw(pick(['DAILY', 'WEEKLY', 'MONTHLY', 'YEARLY']))}"]
    several = st.lists(pick(["MO", "SU", "1TU", "-4WE", "2SA"]), min_size=1, max_size=3).map(",".join)
    offers = {
        "INTERVAL": st.integers(1, 99),
        "COUNT": st.integers(1, 50),
        "BYDAY": several,
        "BYMONTHDAY": pick([1, 28, -1, "1,15"]),
        "BYMONTH": pick([1, 2, 12, "2,3"]),
        "BYSETPOS": pick([1, 4, -4]),
    }
    for name in draw(st.lists(pick(sorted(offers)), unique=True)):
        words.append(f"{name}={draw(offers[name])}")
    return ";".join(words)


@given(rules(), st.integers(0, 800))
def test_whatever_rule_is_taken_the_next_is_found_at_once_and_later(rule: str, day: int) -> None:
    starts = after(day * 86400)
    try:
        work = a_maintenance(
            starts=starts, ends=starts + timedelta(hours=3), recurrence=rule, time_zone="Europe/Berlin"
        )
    except Refused:
        return
    began = time.process_time()
    found = series(work, 4)
    assert time.process_time() - began < 0.5
    assert [each.starts for each in found] == sorted({each.starts for each in found})
    assert len(found) == 4 or "COUNT" in rule


@pytest.mark.parametrize(
    ("given", "field", "sentence"),
    [
        ({"ends": after(3600)}, "ends", "later than `starts`"),
        ({"starts": after(-7200), "ends": after(-3600)}, "ends", "later than now"),
        ({"ends": after(91 * 86400)}, "ends", "90 days"),
        ({"components": ()}, "components", "is empty"),
        ({"time_zone": "Mars/Olympus"}, "time_zone", "no time zone"),
        ({"starts": after(1900 * 86400), "ends": after(1901 * 86400)}, "ends", "five years"),
        ({"recurrence": "FREQ=SECONDLY"}, "recurrence", "DAILY, WEEKLY, MONTHLY or YEARLY"),
        ({"recurrence": "every day"}, "recurrence", "DAILY, WEEKLY, MONTHLY or YEARLY"),
        ({"recurrence": "FREQ=DAILY;BYHOUR=3"}, "recurrence", "may not have BYHOUR with DAILY"),
        ({"recurrence": "FREQ=DAILY;BYMONTH=13"}, "recurrence", "may not have BYMONTH with DAILY"),
        ({"recurrence": "FREQ=DAILY;INTERVAL=0"}, "recurrence", "1 to 99"),
        ({"recurrence": "FREQ=DAILY;UNTIL=20270101T000000Z"}, "recurrence", "without Z"),
        ({"recurrence": "FREQ=DAILY;UNTIL=20271399"}, "recurrence", "is no RRULE"),
        ({"recurrence": "FREQ=MONTHLY;BYMONTHDAY=31"}, "recurrence", "-1 for the last day"),
        ({"recurrence": "FREQ=MONTHLY;BYMONTHDAY=1;BYDAY=1MO"}, "recurrence", "not both"),
        ({"recurrence": "FREQ=MONTHLY;BYSETPOS=4;BYDAY=1MO"}, "recurrence", "without a number"),
        ({"recurrence": "FREQ=MONTHLY;BYDAY=1MO,TU"}, "recurrence", "all have a number, or none"),
        ({"recurrence": "FREQ=MONTHLY;BYSETPOS=1"}, "recurrence", "with BYDAY only"),
        ({"recurrence": "FREQ=YEARLY;BYMONTH=2"}, "recurrence", "with BYDAY or BYMONTHDAY only"),
        ({"recurrence": "FREQ=YEARLY;BYDAY=60MO"}, "recurrence", "1SA"),
    ],
)
def test_what_is_wrong_is_said_with_the_name_of_the_field(
    given: dict[str, object], field: str, sentence: str
) -> None:
    with pytest.raises(Refused) as refusal:
        a_maintenance(**given)
    assert refusal.value.field == field
    assert sentence in str(refusal.value)
