"""What is expected of an answer: read once, held against anything."""

import gzip
import json
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.monitor import Expect
from workers.probes.expect import Expectation, check_answers, decode, follow_path, parse_path
from workers.probes.run import Failed, Unfit

names = st.text(st.characters(exclude_characters="\"'[]", exclude_categories=["Cs"]), min_size=1, max_size=8)
trees = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | names,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=20,
)


def written(steps: list[str | int]) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f'["{step}"]' for step in steps)


def paths(tree: Any, so_far: list[str | int]) -> list[tuple[list[str | int], Any]]:
    found = [(so_far, tree)]
    if isinstance(tree, dict):
        for name, inner in tree.items():
            found += paths(inner, [*so_far, name])
    if isinstance(tree, list):
        for index, inner in enumerate(tree):
            found += paths(inner, [*so_far, index])
    return found


@given(trees)
def test_every_value_is_found_by_its_path_and_is_equal_to_itself(tree: Any) -> None:
    body = json.dumps(tree).encode()
    for steps, value in paths(tree, []):
        if len(steps) <= 20:
            path = written(steps)
            assert follow_path(tree, parse_path(path)) == value
            Expectation(Expect(json={path: json.dumps(value)})).check_body(body, "", whole=True)


@given(st.text(max_size=30))
def test_any_text_is_a_path_or_is_refused_in_a_sentence(text: str) -> None:
    try:
        steps = parse_path(text)
    except Unfit as unfit:
        assert unfit.detail.startswith("The path ") and unfit.detail.endswith(".")
    else:
        assert text.startswith("$") and len(steps) <= 20


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("$", ()),
        ("$.db", ("db",)),
        ("$.a.b[0].c", ("a", "b", 0, "c")),
        ("$['a b'][\"c.d\"]", ("a b", "c.d")),
        ("$[0][12]", (0, 12)),
        ("$.grün-1_x", ("grün-1_x",)),
    ],
)
def test_a_path_is_read(path: str, steps: tuple[str | int, ...]) -> None:
    assert parse_path(path) == steps


@pytest.mark.parametrize(
    "path", ["", "db", "$db", "$.", "$..a", "$.a[", "$[*]", "$[-1]", "$[a]", "$.a b", "$" + ".a" * 21]
)
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(Unfit):
        parse_path(path)


@pytest.mark.parametrize(
    ("wanted", "got", "same"),
    [
        ("1", "1.0", True),
        ("1", "true", False),
        ("0", "false", False),
        ("null", "null", True),
        ('"1"', "1", False),
        ("[1, 2]", "[1, 2]", True),
        ("[1, true]", "[1, 1]", False),
        ("[1]", "[1, 2]", False),
        ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}', True),
        ('{"a": 1}', '{"a": 1, "b": 2}', False),
        ("[]", "{}", False),
    ],
)
def test_values_are_compared_as_json_has_them(wanted: str, got: str, same: bool) -> None:
    expectation = Expectation(Expect(json={"$": wanted}))
    if same:
        expectation.check_body(got.encode(), "", whole=True)
    else:
        with pytest.raises(Failed, match="missing or not"):
            expectation.check_body(got.encode(), "", whole=True)


@pytest.mark.parametrize("pattern", ["^(a+)+$", "(a|aa)+$", "(.*a){20}$", "([a-zA-Z]+)*$"])
def test_no_pattern_is_slow(pattern: str) -> None:
    expectation = Expectation(Expect(body=pattern))
    began = time.process_time()
    try:
        expectation.check_body(b"a" * 100_000 + b"!", "", whole=True)
    except Failed as failed:
        assert failed.reason == "body"
    assert time.process_time() - began < 0.25


@pytest.mark.parametrize("pattern", ["(", "a(?=b)", r"(a)\1", "a{1001}", "x" * 501])
def test_a_pattern_that_is_none_of_re2s_is_refused_in_a_sentence(pattern: str) -> None:
    with pytest.raises(Unfit, match=r"^The pattern for the body .*\.$"):
        Expectation(Expect(body=pattern))


@given(
    st.binary(max_size=200),
    st.sampled_from(["", "gzip", "deflate", "br", "identity, gzip", ", ,"]),
    st.booleans(),
)
def test_any_bytes_are_decoded_or_fail(raw: bytes, encoding: str, whole: bool) -> None:
    try:
        body, _ = decode(raw, encoding, whole)
        assert isinstance(body, bytes)
    except Failed as failed:
        assert failed.reason == "body"


@pytest.mark.parametrize("layers", [1, 2])
def test_a_bomb_is_not_unpacked(layers: int) -> None:
    bomb = bytes(100 << 20)
    for _ in range(layers):
        bomb = gzip.compress(bomb)
    tracemalloc.start()
    try:
        body, whole = decode(bomb, ", ".join(["gzip"] * layers), whole=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(body) <= 1 << 20 and not whole
    assert peak < 8 << 20


def test_a_pattern_sees_utf8_and_survives_what_is_none() -> None:
    expectation = Expectation(Expect(body="Grüße, .elt"))
    expectation.check_body("Grüße, Welt".encode(), "", whole=True)
    with pytest.raises(Failed):
        expectation.check_body("Grüße, Welt".encode("latin1"), "", whole=True)


def test_dns_answers_are_compared_without_regard_to_case_dots_and_quotes() -> None:
    check_answers(['"v=spf1 -all"', "Mail.Example.ORG."], ["v=spf1 -all", "mail.example.org"])
    with pytest.raises(Failed, match=r"^192\.0\.2\.9 is not among the answers: 192\.0\.2\.1\.$"):
        check_answers(["192.0.2.9"], ["192.0.2.1"])


def test_an_answer_of_thousands_is_not_repeated_whole() -> None:
    with pytest.raises(Failed) as failed:
        check_answers(["x"], [f"192.0.2.{n}" for n in range(5000)])
    assert len(failed.value.detail) < 500
