"""Uptime is exact to the millisecond, and never says more than was seen."""

from collections import Counter
from datetime import timedelta
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from app.domain.days import Stretch, days_of, edges_of
from app.domain.instant import from_ms, to_ms
from app.domain.status import Status
from app.domain.uptime import Span, Uptime, uptime
from tests.make import NOON, after


def a_span(status: Status, since: float, until: float | None) -> Span:
    """Of `api`; `since` and `until` in seconds after noon."""
    end = None if until is None else after(until)
    return Span(component="api", status=status, since=after(since), until=end)


@st.composite
def spans(draw: st.DrawFn, longest: int = 40) -> list[Span]:
    """None overlaps another; there may be holes, and the last may be open."""
    at = draw(st.integers(-longest, longest))
    found = []
    for _ in range(draw(st.integers(0, 8))):
        at += draw(st.integers(0, longest) | st.just(0))
        until = at + draw(st.integers(0, longest))
        found.append((draw(st.sampled_from(Status)), at, until))
        at = until
    base = to_ms(NOON)
    is_open = found and draw(st.booleans())
    return [
        Span(
            component="api",
            status=status,
            since=from_ms(base + since),
            until=None if is_open and n == len(found) else from_ms(base + until),
        )
        for n, (status, since, until) in enumerate(found, 1)
    ]


def counted_by_hand(spans: list[Span], start: int, end: int) -> Counter[Status]:
    """Millisecond by millisecond."""
    found: Counter[Status] = Counter()
    for ms in range(start, end):
        its = [s for s in spans if s.since <= from_ms(ms) and (s.until is None or from_ms(ms) < s.until)]
        assert len(its) <= 1
        found[its[0].status if its else Status.UNKNOWN] += 1
    return found


@given(spans(), st.integers(-50, 300), st.integers(0, 120))
def test_every_millisecond_is_counted_once_and_for_what_it_was(
    spans: list[Span], start: int, length: int
) -> None:
    start += to_ms(NOON)
    said = uptime(spans, from_ms(start), from_ms(start + length))
    by_hand = counted_by_hand(spans, start, start + length)
    assert said == Uptime(
        operational=by_hand[Status.OPERATIONAL],
        degraded=by_hand[Status.DEGRADED],
        partial=by_hand[Status.PARTIAL],
        major=by_hand[Status.MAJOR],
        maintenance=by_hand[Status.MAINTENANCE],
        unknown=by_hand[Status.UNKNOWN],
    )


@given(spans(longest=10**12), st.integers(0, 10**12), st.integers(0, 10**12))
def test_the_six_sums_are_the_elapsed_time_to_the_millisecond(
    spans: list[Span], start: int, length: int
) -> None:
    said = uptime(spans, from_ms(start), from_ms(start + length))
    assert said.elapsed == length
    assert min(said.operational, said.degraded, said.partial, said.major, said.maintenance) >= 0
    assert said.unknown >= 0


@given(spans(longest=10**9), st.integers(1, 10**9), st.integers(0, 10**9))
def test_two_windows_add_up_to_both(spans: list[Span], length: int, cut: int) -> None:
    start, end = NOON, NOON + timedelta(milliseconds=length)
    middle = NOON + timedelta(milliseconds=min(cut, length))
    whole, one, two = uptime(spans, start, end), uptime(spans, start, middle), uptime(spans, middle, end)
    assert whole.elapsed == one.elapsed + two.elapsed
    assert whole.operational == one.operational + two.operational
    assert whole.unknown == one.unknown + two.unknown


sums = st.integers(0, 10**12)


@given(sums, sums, sums, sums, sums, sums)
def test_a_percentage_never_rounds_up(
    up: int, slow: int, partial: int, major: int, work: int, dark: int
) -> None:
    said = Uptime(operational=up, degraded=slow, partial=partial, major=major, maintenance=work, unknown=dark)
    if said.percent is not None:
        exact = Fraction(100 * (up + slow), said.counted)
        assert 0 <= exact - Fraction(str(said.percent)) < Fraction(1, 1000)
        assert (said.percent == 100.0) == (partial == major == 0)
    if said.coverage is not None:
        exact = Fraction(100 * said.counted, said.elapsed - work)
        assert 0 <= exact - Fraction(str(said.coverage)) < Fraction(1, 1000)
        assert (said.coverage == 100.0) == (dark == 0)


def test_one_bad_millisecond_in_a_year_is_not_a_hundred_per_cent() -> None:
    year = 365 * 86_400_000
    said = Uptime(operational=year - 1, degraded=0, partial=0, major=1, maintenance=0, unknown=0)
    assert said.percent == 99.999


def test_where_nothing_was_measured_there_is_no_percentage() -> None:
    unseen = uptime([], NOON, after(60))
    assert (unseen.percent, unseen.coverage, unseen.unknown) == (None, 0.0, 60_000)
    nothing = uptime([], NOON, NOON)
    assert (nothing.percent, nothing.coverage, nothing.elapsed) == (None, None, 0)


def test_what_nobody_saw_lowers_the_coverage_and_not_the_uptime() -> None:
    said = uptime([a_span(Status.OPERATIONAL, 0, 30)], NOON, after(60))
    assert (said.percent, said.coverage) == (100.0, 50.0)


def test_planned_work_counts_for_neither_side() -> None:
    spans = [a_span(Status.MAINTENANCE, 0, 30), a_span(Status.OPERATIONAL, 30, None)]
    said = uptime(spans, NOON, after(60))
    assert (said.percent, said.coverage, said.maintenance) == (100.0, 100.0, 30_000)
    only = uptime([a_span(Status.MAINTENANCE, 0, None)], NOON, after(60))
    assert (only.percent, only.coverage) == (None, None)


def test_degraded_counts_as_up_and_an_outage_in_part_as_down() -> None:
    spans = [a_span(Status.DEGRADED, 0, 45), a_span(Status.PARTIAL, 45, 60)]
    assert uptime(spans, NOON, after(60)).percent == 75.0


@given(spans(longest=4 * 86_400_000), spans(longest=4 * 86_400_000), st.integers(0, 6 * 86_400_000))
def test_the_days_of_a_component_are_those_that_its_spans_say(
    one: list[Span], other: list[Span], now: int
) -> None:
    """Whole days and those that are cut, of several components and in any order."""
    end = NOON + timedelta(milliseconds=now)
    dates, edges = edges_of(end, 9, ZoneInfo("America/St_Johns"))
    told = {"api": one, "web": other, "nobody": []}
    stretches: list[Stretch] = [
        (slug, span.status.value, to_ms(span.since), None if span.until is None else to_ms(span.until))
        for slug, spans in told.items()
        for span in reversed(spans)
    ]
    days = days_of(list(told), stretches, dates, edges)
    for slug, spans in told.items():
        assert [day.date for day in days[slug]] == dates
        for day, (start, until) in zip(days[slug], pairwise(edges), strict=True):
            assert day.uptime == uptime(spans, from_ms(start), from_ms(until))
