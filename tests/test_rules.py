"""Rules of automatic incidents, as the file says them."""

import pytest

from app.domain.merge import merged, ruled_by_file
from app.domain.rule import Outage, Rule, filled, listed, opened
from app.domain.status import Status
from app.statusfile.catalog import parse
from app.statusfile.problem import StatusFileError
from app.statusfile.writing import write
from tests.make import NOON, a_catalog, after

SHOP = "components: [{name: Shop}]\n"


def test_a_rule_takes_what_is_said_and_the_rest_is_as_usual() -> None:
    outage = "{name: Outage, after: 90s, components: shop, title: '{components} is {status}'}"
    said = f"incidents:\n- {outage}\n- name: All\n"
    assert parse(said + SHOP).rules == (
        Rule(name="Outage", after=90.0, components=("shop",), title="{components} is {status}"),
        Rule(name="All", after=300.0, settle=60.0),
    )
    assert parse(SHOP).rules == ()


def test_rules_are_written_as_they_are_read_and_run_beside_what_the_database_has() -> None:
    said = "{name: A, after: 90s, settle: 1h, components: [shop], title: 'x: {status}', words: w, closing: c}"
    file = parse(f"incidents: [{said}, {{name: B}}]\n{SHOP}")
    assert parse(write(file)) == file
    whole = merged(file, a_catalog("api"))
    assert whole.rules == file.rules
    assert ruled_by_file(whole, a_catalog("api")).rules == file.rules


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("incidents: [{after: 5m}]", "a rule needs a `name`, such as `name: Outage`"),
        ("incidents: [{name: A, after: 5}]", "has no unit: write 5s"),
        ("incidents: [{name: A, after: 8d}]", "is too long: at most 7d"),
        (
            "incidents: [{name: A, components: shap}]",
            "no component has the slug `shap`; did you mean `shop`?",
        ),
        ("incidents: [{name: A}, {name: A}]", "give one another name"),
        ("incidents: [{name: A, text: hello}]", "`text` is not a key of a rule"),
        ("incidents: {name: A}", "`incidents` must be a list"),
        ("incidents: [" + ", ".join(f"{{name: R{n}}}" for n in range(101)) + "]", "one rule too many"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said_with_its_line(said: str, sentence: str) -> None:
    with pytest.raises(StatusFileError) as error:
        parse(f"{said}\n{SHOP}")
    assert sentence in str(error.value)
    assert ":1:" in str(error.value)


def test_of_many_names_the_first_are_listed() -> None:
    assert [listed(list(names)) for names in ("A", "AB", "ABCD", "ABCDEF")] == [
        *("A", "A and B", "A, B, C and D", "A, B, C and 3 others")
    ]


def test_every_server_finds_the_same_id_and_the_worst_status_is_named() -> None:
    api = Outage("api", "Api", Status.PARTIAL, NOON)
    shop = Outage("shop", "Shop", Status.MAJOR, after(1))
    rule = Rule(name="Outage")
    assert opened(rule, [api, shop], NOON)[0] == opened(rule, [shop, api], after(9))[0]
    assert opened(rule, [api], NOON)[0] != opened(Rule(name="Other"), [api], NOON)[0]
    assert filled("{status} of {components}", [api, shop]) == "major outage of Api and Shop"
