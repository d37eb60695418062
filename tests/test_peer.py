"""What a viewer whose socket has left ASGI may say, and how often."""

from app.live.peer import PING_SECONDS, PINGS, Pings


def test_a_library_that_pings_each_five_seconds_is_never_rude() -> None:
    pings = Pings(now=100.0)
    assert not any([pings.one_too_many(100.0 + 5 * n) for n in range(1000)])


def test_a_few_pings_in_one_moment_are_no_rudeness_and_more_are() -> None:
    pings = Pings(now=100.0)
    assert [pings.one_too_many(100.0) for _ in range(PINGS + 2)] == [False] * PINGS + [True, True]


def test_after_a_while_it_may_ping_again() -> None:
    pings = Pings(now=100.0)
    later = 100.0 + PING_SECONDS + 1
    for at in (100.0, later, later + PING_SECONDS + 1):
        assert not any([pings.one_too_many(at) for _ in range(PINGS)])
