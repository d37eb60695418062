"""What is said is what is heard, and what cannot be understood is refused whole."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.events import Event, order
from app.domain.result import Outcome
from app.domain.standing import State
from tests.make import (
    NOON,
    a_batch,
    a_beat,
    a_catalog,
    a_catalog_change,
    a_change,
    a_component,
    a_monitor,
    a_retelling,
    a_sample,
    a_silence,
    a_standing,
    after,
)

EVENTS: list[Event] = [
    a_change(State.DOWN, after(0.123), reason="timeout", detail="10.0.0.1: timed out", bad=2, bad_since=NOON),
    a_retelling(a_standing(), a_standing(State.UNKNOWN, region="eu")),
    a_batch(a_sample(), a_sample(State.DOWN, took=None, outcome=Outcome.UNREACHABLE, late=True)),
    a_silence(after(65)),
    a_catalog_change(
        a_catalog(a_component("api", a_monitor(options={"headers": {"Authorization": "${TOKEN}"}})), "web")
    ),
    a_beat(probes={"ok": 3}, lag=0.25),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_is_heard_as_it_was_said(event: Event) -> None:
    assert msgspec.json.decode(msgspec.json.encode(event), type=Event) == event


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_a_newer_worker_may_say_more_than_we_know(event: Event) -> None:
    said = msgspec.json.decode(msgspec.json.encode(event)) | {"mood": ["fine"]}
    assert msgspec.json.decode(msgspec.json.encode(said), type=Event) == event


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_instant_without_a_zone_is_refused(event: Event) -> None:
    said = msgspec.json.encode(event)
    with pytest.raises(msgspec.ValidationError, match="timezone"):
        msgspec.json.decode(said.replace(b'Z"', b'"'), type=Event)


ids = st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))


@given(ids, ids)
def test_ids_are_ordered_as_numbers(a: tuple[int, int], b: tuple[int, int]) -> None:
    assert (order(f"{a[0]}-{a[1]}") < order(f"{b[0]}-{b[1]}")) == (a < b)


def test_nine_comes_before_ten() -> None:
    assert order("9-0") < order("10-0") and order("1-9") < order("1-10")
