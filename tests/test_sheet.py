"""A sheet gives back what was put into each piece, and any stretch of pieces is their sum."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from app.domain.histogram import LARGEST
from app.domain.sheet import Sheet, counts_of, number_of, pieces_in

pieces = st.integers(0, 63)
counts = st.dictionaries(st.integers(0, LARGEST), st.integers(1, 5) | st.integers(1, 2**33), min_size=1)
additions = st.lists(st.tuples(pieces, counts), max_size=20)


def written(additions: list[tuple[int, dict[int, int]]], at_once: int = 100) -> bytes:
    """Taken up and put down again after so many additions."""
    raw = b""
    while additions:
        sheet = Sheet(raw)
        for piece, more in additions[:at_once]:
            sheet.add(piece, more)
        raw, additions = sheet.encode(), additions[at_once:]
    return raw or Sheet().encode()


@given(additions, pieces, pieces)
def test_a_stretch_is_the_sum_of_its_pieces(
    additions: list[tuple[int, dict[int, int]]], first: int, end: int
) -> None:
    expected: Counter[int] = Counter()
    for piece, more in additions:
        if first <= piece < end:
            expected.update(more)
    found = counts_of(number_of(written(additions), first, end))
    assert found == [expected[bucket] for bucket in range(LARGEST + 1)]


@given(additions, st.integers(1, 3))
def test_it_does_not_matter_in_how_many_turns_it_was_written(
    additions: list[tuple[int, dict[int, int]]], at_once: int
) -> None:
    assert written(additions, at_once) == written(additions)


@given(additions)
def test_the_total_is_that_of_all_pieces(additions: list[tuple[int, dict[int, int]]]) -> None:
    expected: Counter[int] = Counter()
    for _, more in additions:
        expected.update(more)
    assert Sheet(written(additions)).total == expected


def test_an_hour_of_a_steady_target_takes_a_few_hundred_bytes() -> None:
    sheet = Sheet()
    for minute in range(60):
        sheet.add(minute, {40 + minute % 7: 1, 43: 1})
    assert len(sheet.encode()) < 500


@given(additions)
def test_it_has_pieces_up_to_the_last_one_that_was_added(additions: list[tuple[int, dict[int, int]]]) -> None:
    assert pieces_in(written(additions)) == max((piece + 1 for piece, _ in additions), default=0)
