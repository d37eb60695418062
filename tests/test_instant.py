"""Instants are whole milliseconds in UTC, exactly, wherever they come from."""

import re
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.instant import Instant, from_ms, from_seconds, rfc3339, to_ms
from tests.make import NOON, after

instants = st.datetimes(
    min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)
)


@given(st.integers(0, 7_258_118_400_000))
def test_a_millisecond_survives_the_way_there_and_back(ms: int) -> None:
    assert to_ms(from_ms(ms)) == ms
    assert msgspec.json.decode(msgspec.json.encode(from_ms(ms)), type=datetime) == from_ms(ms)


@given(instants)
def test_an_instant_is_cut_to_the_millisecond_and_never_rounded_up(at: datetime) -> None:
    assert timedelta(0) <= at - from_ms(to_ms(at)) < timedelta(milliseconds=1)


@given(st.integers(0, 4_000_000_000_000))
def test_what_a_clock_said_is_less_than_a_millisecond_off(us: int) -> None:
    assert abs((from_seconds(us / 1e6) - from_ms(0)) / timedelta(microseconds=1) - us) <= 1000


@given(instants)
def test_a_time_in_a_frame_has_exactly_three_decimals_and_a_z(at: datetime) -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", rfc3339(at))
    assert datetime.fromisoformat(rfc3339(at)) == from_ms(to_ms(at))


def test_a_time_from_another_zone_is_told_in_utc() -> None:
    berlin = timezone(timedelta(hours=2))
    assert rfc3339(after(0.25).astimezone(berlin)) == "2026-01-31T12:00:00.250Z"


def test_a_message_without_a_zone_is_refused() -> None:
    assert msgspec.json.decode(b'"2026-01-31T12:00:00Z"', type=Instant) == NOON
    with pytest.raises(msgspec.ValidationError, match="timezone"):
        msgspec.json.decode(b'"2026-01-31T12:00:00"', type=Instant)
