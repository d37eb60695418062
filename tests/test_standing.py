"""Down takes several bad results in a row, up as many good ones as are asked for, and what says nothing moves
nothing."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.result import Outcome, Result
from app.domain.standing import Standing, State, judge, needs_retry, unseen
from tests.make import NOON, a_monitor, a_result, a_standing, after

OK, SLOW, FAIL, UNREACHABLE, INCONCLUSIVE = Outcome
BAD = {FAIL, UNREACHABLE}
outcomes = st.lists(st.sampled_from(Outcome), max_size=40)
retries = st.integers(0, 3)


def results(outcomes: list[Outcome], every: float = 30) -> list[Result]:
    """One every 30 s from noon on; the reason says which it is."""
    return [a_result(its, after(every * n), reason=f"{its} {n}") for n, its in enumerate(outcomes)]


def judged(
    outcomes: list[Outcome],
    retries: int,
    start: State = State.UNKNOWN,
    recoveries: int = 1,
    every: float = 30,
) -> Iterator[tuple[Standing, bool]]:
    standing = Standing(monitor="api/http", region="local", state=start, since=after(-3600))
    for result in results(outcomes, every):
        standing, changed = judge(standing, result, retries, recoveries)
        yield standing, changed


def states(*outcomes: Outcome, retries: int = 1, start: State = State.UP, recoveries: int = 1) -> list[State]:
    return [standing.state for standing, _ in judged(list(outcomes), retries, start, recoveries)]


def last(outcomes: list[Outcome], retries: int = 1, start: State = State.UP) -> Standing:
    return list(judged(outcomes, retries, start))[-1][0]


@given(outcomes, retries, st.sampled_from([State.UP, State.DEGRADED, State.UNKNOWN]))
def test_nothing_goes_down_without_enough_bad_results_in_a_row(
    outcomes: list[Outcome], retries: int, start: State
) -> None:
    run, was = 0, start
    for outcome, (standing, _) in zip(outcomes, judged(outcomes, retries, start), strict=True):
        if outcome is not INCONCLUSIVE:
            run = run + 1 if outcome in BAD else 0
        if standing.state is State.DOWN:
            assert run > retries or (was is State.DOWN and (run or standing.flapping))
        was = standing.state


@given(outcomes, retries, st.sampled_from(State))
def test_enough_bad_results_in_a_row_always_go_down(
    outcomes: list[Outcome], retries: int, start: State
) -> None:
    assert states(*outcomes, *[FAIL] * (retries + 1), retries=retries, start=start)[-1] is State.DOWN


@given(outcomes, retries, st.sampled_from(State))
def test_nothing_stays_up_without_a_good_result_in_every_few(
    outcomes: list[Outcome], retries: int, start: State
) -> None:
    run = 0
    for outcome, (standing, _) in zip(outcomes, judged(outcomes, retries, start), strict=True):
        if outcome is not INCONCLUSIVE:
            run = 0 if outcome is OK else run + 1
        if run > retries:
            assert standing.state in (State.DOWN, State.DEGRADED)


@given(outcomes, retries, st.sampled_from(State))
def test_one_good_result_is_up_unless_it_flaps(outcomes: list[Outcome], retries: int, start: State) -> None:
    standing = last([*outcomes, OK], retries, start)
    if not standing.flapping:
        assert (standing.state, standing.bad, standing.slow) == (State.UP, 0, 0)
        assert (standing.bad_since, standing.slow_since, standing.good_since) == (None, None, None)


@given(outcomes, retries, st.integers(1, 4), st.sampled_from(State))
def test_nothing_is_up_again_without_enough_good_results_in_a_row(
    outcomes: list[Outcome], retries: int, recoveries: int, start: State
) -> None:
    run, was = 0, start
    for outcome, (standing, _) in zip(outcomes, judged(outcomes, retries, start, recoveries), strict=True):
        if outcome is not INCONCLUSIVE:
            run = run + 1 if outcome is OK else 0
        if standing.state is State.UP and was is not State.UP:
            assert run >= recoveries
        was = standing.state


@given(outcomes, retries, st.integers(1, 4), st.sampled_from(State))
def test_enough_good_results_in_a_row_are_always_up(
    outcomes: list[Outcome], retries: int, recoveries: int, start: State
) -> None:
    said = list(judged([*outcomes, *[OK] * max(recoveries, 2)], retries, start, recoveries))
    standing = said[-1][0]
    assert (standing.state, standing.answered, standing.good) == (State.UP, 0, 0)


@given(outcomes, retries, st.sampled_from(State))
def test_an_inconclusive_result_moves_nothing(outcomes: list[Outcome], retries: int, start: State) -> None:
    without = [result for result in results(outcomes) if result.outcome is not INCONCLUSIVE]
    a = b = Standing(monitor="m", region="r", state=start, since=after(-3600))
    for result in results(outcomes):
        a, _ = judge(a, result, retries)
    for result in without:
        b, _ = judge(b, result, retries)
    assert a == b


@given(st.lists(st.tuples(st.sampled_from(Outcome), st.integers(-100, 100)), max_size=40), retries)
def test_since_never_goes_back_even_if_the_clock_does(said: list[tuple[Outcome, int]], retries: int) -> None:
    standing = unseen(a_monitor(), "local", NOON)
    for outcome, seconds in said:
        later, changed = judge(standing, a_result(outcome, after(seconds)), retries)
        assert later.since >= standing.since
        assert changed or later.since == standing.since
        standing = later


@given(outcomes, retries, st.sampled_from(State))
def test_a_change_is_told_exactly_when_there_is_one(
    outcomes: list[Outcome], retries: int, start: State
) -> None:
    told = list(judged(outcomes, retries, start))
    seen = [(start, False), *((standing.state, standing.flapping) for standing, _ in told)]
    assert [changed for _, changed in told] == [a != b for a, b in pairwise(seen)]


@given(outcomes, retries, st.sampled_from(State))
def test_the_same_results_give_the_same_standing(outcomes: list[Outcome], retries: int, start: State) -> None:
    assert list(judged(outcomes, retries, start)) == list(judged(outcomes, retries, start))


@given(outcomes, retries, st.sampled_from([State.UP, State.UNKNOWN]))
def test_a_second_look_is_taken_only_while_a_run_is_unconfirmed(
    outcomes: list[Outcome], retries: int, start: State
) -> None:
    """Not for ever: a target is never asked more than `retries` times in a row on account of one run."""
    quick = 0
    for standing, _ in judged([o for o in outcomes if o is not INCONCLUSIVE], retries, start):
        quick = quick + 1 if needs_retry(standing, retries) else 0
        assert quick <= 2 * retries
        if standing.state is State.UP and not standing.slow:
            assert quick == 0


def test_one_lost_packet_flips_nothing() -> None:
    assert states(OK, UNREACHABLE, OK, FAIL, OK) == [State.UP] * 5


def test_without_retries_the_first_failure_is_down() -> None:
    assert states(FAIL, OK, SLOW, retries=0) == [State.DOWN, State.UP, State.DEGRADED]


def test_down_began_with_the_first_failure_and_not_with_its_confirmation() -> None:
    standing = last([OK, FAIL, INCONCLUSIVE, FAIL, FAIL])
    assert (standing.state, standing.since) == (State.DOWN, after(30))


def test_up_begins_with_the_good_result() -> None:
    assert last([FAIL, FAIL, OK, OK]).since == after(60)


def test_a_slow_answer_ends_an_outage_at_once_and_begins_with_itself() -> None:
    standing = last([FAIL, FAIL, SLOW])
    assert (standing.state, standing.since) == (State.DEGRADED, after(60))


def test_a_slow_answer_ends_an_outage_whose_beginning_nobody_counted() -> None:
    assert states(SLOW, FAIL, start=State.DOWN) == [State.DEGRADED] * 2


def test_one_failure_does_not_bring_a_degraded_target_down_or_up() -> None:
    assert states(SLOW, SLOW, FAIL, SLOW) == [State.UP] + [State.DEGRADED] * 3


def test_down_after_degraded_began_with_its_own_first_failure() -> None:
    standing = last([SLOW, SLOW, FAIL, FAIL])
    assert (standing.state, standing.since) == (State.DOWN, after(60))


def test_slow_and_failing_by_turns_is_not_up() -> None:
    assert states(SLOW, FAIL, SLOW, FAIL) == [State.UP] + [State.DEGRADED] * 3
    assert last([SLOW, FAIL]).since == NOON


def test_what_was_never_seen_is_unknown_until_it_is_confirmed() -> None:
    assert states(FAIL, FAIL, start=State.UNKNOWN) == [State.UNKNOWN, State.DOWN]
    assert states(OK, start=State.UNKNOWN) == [State.UP]


def test_the_reason_is_that_of_the_last_bad_result_and_goes_with_it() -> None:
    said = [standing.reason for standing, _ in judged([OK, FAIL, FAIL, UNREACHABLE, OK], 1)]
    assert said == ["ok 0", "ok 0", "fail 2", "unreachable 3", "ok 4"]


@pytest.mark.parametrize(
    ("outcomes", "again"),
    [
        ([OK], False),
        ([FAIL], True),
        ([FAIL, FAIL], False),
        ([FAIL, INCONCLUSIVE], True),
        ([SLOW], True),
        ([SLOW, SLOW], False),
        ([FAIL, FAIL, FAIL], False),
        ([FAIL, OK], False),
        ([FAIL, FAIL, SLOW], False),
    ],
)
def test_a_first_bad_result_is_looked_at_again_soon(outcomes: list[Outcome], again: bool) -> None:
    assert needs_retry(last(outcomes), 1) is again


def test_an_outage_ends_with_as_many_good_results_as_are_asked_for() -> None:
    assert states(FAIL, FAIL, OK, OK, OK, recoveries=3)[1:] == [State.DOWN] * 3 + [State.UP]
    assert states(FAIL, FAIL, OK, FAIL, OK, OK, OK, recoveries=3)[-2:] == [State.DOWN, State.UP]
    assert states(SLOW, SLOW, OK, OK, recoveries=2)[1:] == [State.DEGRADED] * 2 + [State.UP]
    assert states(OK, OK, start=State.UNKNOWN, recoveries=2) == [State.UNKNOWN, State.UP]


def test_slow_answers_end_an_outage_as_slowly_as_good_ones() -> None:
    seen = states(FAIL, FAIL, SLOW, OK, OK, recoveries=2)
    assert seen[1:] == [State.DOWN, State.DOWN, State.DEGRADED, State.UP]


def test_what_is_well_and_slow_by_turns_is_degraded_and_not_unknown_for_ever() -> None:
    assert states(OK, SLOW, OK, start=State.UNKNOWN, recoveries=2)[1:] == [State.DEGRADED] * 2


def test_up_is_up_since_the_first_good_result_of_its_run_and_not_since_its_confirmation() -> None:
    [*_, (standing, _)] = judged([FAIL, FAIL, OK, INCONCLUSIVE, OK], 1, State.UP, recoveries=2)
    assert (standing.state, standing.since) == (State.UP, after(60))


def test_an_outage_keeps_its_reason_until_it_is_over() -> None:
    said = [standing.reason for standing, _ in judged([OK, FAIL, FAIL, OK, OK], 1, State.UP, recoveries=2)]
    assert said == ["", "", "fail 2", "fail 2", "ok 4"]


def test_a_recovery_is_looked_at_again_soon_until_it_is_confirmed() -> None:
    said = [needs_retry(s, 1) for s, _ in judged([FAIL, FAIL, OK, OK, OK], 1, State.UP, recoveries=3)]
    assert said == [True, False, True, True, False]


# Flapping

FLAP = [FAIL, OK]


def test_six_changes_in_ten_minutes_are_flapping_and_then_one_good_result_is_not_enough() -> None:
    said = list(judged(FLAP * 10, 0, State.UP))
    assert [s.flapping for s, _ in said] == [False] * 5 + [True] * 15
    # Without this it would be told twenty times.
    assert sum(told for _, told in said) == 7
    assert said[-1][0].state is State.DOWN
    assert not needs_retry(said[-1][0], 0)


def test_five_changes_in_ten_minutes_are_none() -> None:
    assert not any(s.flapping for s, _ in judged(FLAP * 10, 0, State.UP, every=121))


def test_what_no_longer_flaps_says_so_though_it_stays_up() -> None:
    [*_, (_, before), (standing, told)] = judged([*FLAP * 3, *[OK] * 16], 0, State.UP)
    assert (standing.flapping, standing.state, before, told) == (False, State.UP, False, True)


def test_to_learn_how_something_stands_is_no_flip() -> None:
    [(standing, _)] = judged([OK], 0, State.UNKNOWN)
    assert standing.flips == ()


@given(st.lists(st.sampled_from([OK, SLOW, FAIL]), min_size=200, max_size=200))
def test_what_flaps_at_every_look_is_told_seldom(outcomes: list[Outcome]) -> None:
    """However it goes, between two changes for the better lie two good answers."""
    told = [s.state for s, told in judged(outcomes, 0, State.UP, every=1) if told and s.flapping]
    assert told.count(State.UP) <= len(outcomes) / 3 + 1


def test_what_flapped_before_a_clock_was_set_back_does_not_flap_until_that_time_has_come_again() -> None:
    ahead = tuple(after(3600 + n) for n in range(6))
    was = a_standing(State.DOWN, after(0), flips=ahead, flapping=True)
    now, _ = judge(was, a_result(Outcome.OK, after(60)), 0, 1)
    assert (now.state, now.flapping) == (State.UP, False)
