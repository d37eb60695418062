import pytest

from app.live.crowd import (
    FILTERS_PER_ADDRESS,
    FRESH_FILTERS_AT_ONCE,
    FRESH_FILTERS_PER_SECOND,
    Crowd,
    Crowded,
    Doorstep,
    Rate,
)
from app.security.visitor import LOOPBACK, visitor

PROXIES = (*LOOPBACK,)


def test_one_more_than_may_watch_is_told_when_to_come_back() -> None:
    crowd = Crowd(most=2, most_per_address=9)
    for address in ("192.0.2.1", "192.0.2.2"):
        crowd.admit(address)
        crowd.enter(address)
    with pytest.raises(Crowded) as full:
        crowd.admit("192.0.2.3")
    assert (full.value.code, full.value.status, full.value.after) == (1013, 503, 30)

    crowd.leave("192.0.2.1")

    crowd.admit("192.0.2.3")


def test_one_address_may_not_take_all_the_room() -> None:
    crowd = Crowd(most=100, most_per_address=2)
    for _ in range(2):
        crowd.enter("192.0.2.1")
    with pytest.raises(Crowded) as greedy:
        crowd.admit("192.0.2.1")
    assert (greedy.value.code, greedy.value.status) == (4429, 429)
    crowd.admit("192.0.2.2")


def test_the_addresses_of_one_ipv6_network_are_one_customer() -> None:
    crowd = Crowd(most=100, most_per_address=2)
    crowd.enter("2001:db8::1")
    crowd.enter("2001:db8::ffff:2")
    with pytest.raises(Crowded):
        crowd.admit("2001:db8:0:0:1::")
    crowd.admit("2001:db8:0:1::")


def test_a_mapped_address_is_the_ipv4_one() -> None:
    crowd = Crowd(most=100, most_per_address=1)
    crowd.enter("::ffff:192.0.2.1")
    with pytest.raises(Crowded):
        crowd.admit("192.0.2.1")


def test_viewers_behind_a_proxy_that_says_nothing_are_not_one_customer() -> None:
    crowd = Crowd(most=100, most_per_address=1)
    crowd.enter("127.0.0.1")
    crowd.admit("127.0.0.1")


def test_one_address_may_not_take_all_the_filters() -> None:
    crowd = Crowd(most=100, most_per_address=100)
    for n in range(FILTERS_PER_ADDRESS):
        crowd.admit_filter("192.0.2.1", f"filter {n}", 0.0)
        crowd.enter("192.0.2.1", f"filter {n}")
    with pytest.raises(Crowded) as greedy:
        crowd.admit_filter("192.0.2.1", "one more", 0.0)
    assert (greedy.value.code, greedy.value.status) == (4429, 429)
    crowd.admit_filter("192.0.2.1", "filter 3", 0.0)
    crowd.admit_filter("192.0.2.2", "one more", 0.0)

    crowd.leave("192.0.2.1", "filter 3")

    crowd.admit_filter("192.0.2.1", "one more", 0.0)


def let_in(crowd: Crowd, address: str, now: float, most: int = 1000) -> int:
    """How many fresh filters come in from there at that moment. Nobody stays."""
    for n in range(most):
        try:
            crowd.admit_filter(address, f"filter {n}", now)
        except Crowded:
            return n
        crowd.begin_filter(address, now)
    return most


def test_one_address_may_not_keep_us_busy_with_ever_new_filters() -> None:
    crowd = Crowd(most=100, most_per_address=100)
    assert let_in(crowd, "192.0.2.1", 0.0) == FILTERS_PER_ADDRESS
    with pytest.raises(Crowded) as hasty:
        crowd.admit_filter("192.0.2.1", "one more", 0.0)
    assert (hasty.value.code, hasty.value.status, hasty.value.after) == (4429, 429, 10)
    assert "ten seconds" in hasty.value.sentence

    assert let_in(crowd, "192.0.2.1", 2.0) == 4
    # When it comes back as it was told to, there is room for all of them; and for others there always was.
    assert let_in(crowd, "192.0.2.1", 2.0 + hasty.value.after) == FILTERS_PER_ADDRESS
    assert let_in(crowd, "192.0.2.2", 12.0) == FILTERS_PER_ADDRESS


def test_nor_may_many_addresses_together_or_one_proxy() -> None:
    crowd = Crowd(most=100, most_per_address=100)
    assert let_in(crowd, "127.0.0.1", 0.0) == FRESH_FILTERS_AT_ONCE
    with pytest.raises(Crowded) as hasty:
        crowd.admit_filter("192.0.2.1", "one more", 0.0)
    assert (hasty.value.code, hasty.value.status, hasty.value.after) == (1013, 503, 10)
    assert let_in(crowd, "127.0.0.1", 1.0) == FRESH_FILTERS_PER_SECOND


def test_a_rate_forgets_who_has_made_up_for_all() -> None:
    rate = Rate(per_second=2.0, at_once=4)
    for n in range(1000):
        rate.take(f"one of many {n}", n / 100)
    assert len(rate._due) <= 51
    rate.take("another", 100.0)
    assert list(rate._due) == ["another"]


def test_nothing_is_kept_of_those_who_left() -> None:
    crowd = Crowd(most=100, most_per_address=2)
    for _ in range(2):
        crowd.enter("192.0.2.1", "a filter")
    for _ in range(2):
        crowd.leave("192.0.2.1", "a filter")
    assert crowd.count == 0
    assert crowd._from == crowd._filters == {}


def test_one_address_may_not_fill_the_doorstep_and_a_proxy_may() -> None:
    doorstep = Doorstep(2, PROXIES)
    assert [doorstep.enter(a) for a in ("2001:db8::1", "2001:db8::2", "2001:db8::3")] == [True, True, False]
    assert all([doorstep.enter("127.0.0.1") for _ in range(5)])
    doorstep.leave("2001:db8::1")
    assert doorstep.enter("2001:db8::4")
    for address in ["2001:db8::1"] * 2 + ["127.0.0.1"] * 5:
        doorstep.leave(address)
    assert doorstep._from == {}


@pytest.mark.parametrize(
    ("client", "forwarded", "expected"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),  # no proxy of ours says so
        ("127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),  # the first one is made up
        ("127.0.0.1", "198.51.100.7, 127.0.0.1", "198.51.100.7"),  # two proxies in a row
        ("127.0.0.1", "rubbish", "127.0.0.1"),
        ("127.0.0.1", " , ,", "127.0.0.1"),
        ("::1", "2001:db8::1", "2001:db8::1"),
        ("::ffff:127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("", "198.51.100.7", ""),
        ("127.0.0.1", "198.51.100.7:4711", "198.51.100.7"),
        ("127.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("127.0.0.1", "[2001:db8::1]", "2001:db8::1"),
        ("127.0.0.1", "198.51.100.7, [::1]:80", "198.51.100.7"),
        ("127.0.0.1", "[rubbish]:80", "127.0.0.1"),
        ("127.0.0.1", "[", "127.0.0.1"),
    ],
)
def test_only_our_own_proxies_may_say_who_is_behind_them(client: str, forwarded: str, expected: str) -> None:
    assert visitor(client, forwarded, PROXIES) == expected
