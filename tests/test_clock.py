"""One clock that is ahead must not make the board deaf to everybody else."""

from datetime import timedelta

from app.domain.clock import dated
from app.domain.events import Samples
from app.domain.standing import State
from tests.make import NOON, a_batch, a_board, a_change, a_retelling, a_sample, a_standing, after

HOUR = timedelta(hours=1)


def test_a_clock_that_is_right_is_taken_at_its_word() -> None:
    for event in (a_change(at=NOON), a_batch(a_sample(at=NOON)), a_retelling(a_standing(), at=NOON)):
        assert dated(event, NOON) is event
        assert dated(event, NOON - timedelta(seconds=4)) is event


def test_a_word_from_the_future_is_dated_when_the_log_took_it() -> None:
    change = dated(a_change(State.DOWN, at=NOON + HOUR), NOON)

    assert change.at == NOON
    assert change.standing.since == NOON  # type: ignore[union-attr]


def test_a_state_that_began_in_the_past_still_did() -> None:
    change = dated(a_change(State.DOWN, at=NOON + HOUR, since=after(-60)), NOON)

    assert change.standing.since == after(-60)  # type: ignore[union-attr]


def test_of_several_samples_from_the_future_the_last_says_how_things_stand() -> None:
    batch = a_batch(a_sample(State.UP, at=NOON + HOUR), a_sample(State.DOWN, at=NOON + HOUR))
    batch = dated(batch, NOON)  # type: ignore[assignment]

    assert isinstance(batch, Samples)
    assert [sample.at for sample in batch.samples] == [NOON, NOON]
    assert [sample.state for sample in batch.samples] == [State.UNKNOWN, State.DOWN]


def test_a_worker_whose_clock_was_ahead_is_heard_at_once_when_it_is_right_again() -> None:
    board = a_board()
    board.fold("1-0", dated(a_change(State.UP, at=NOON + HOUR), NOON))

    patch = board.fold("2-0", dated(a_change(State.DOWN, at=after(30)), after(30)))

    assert patch is not None
    assert patch.changes[0].status == "major_outage"
    assert [key[0] for key in board.past_best_before(after(30 + 66))] == ["api/http"]
