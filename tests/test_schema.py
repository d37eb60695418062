"""The JSON Schema of the file says what the reader knows, and the one in docs/ is that of today."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from app.statusfile.kinds import KINDS
from app.statusfile.mapping import FITS, KEYS
from app.statusfile.schema import schema, schema_text
from tests.services import ROOT

FILE = ROOT / "docs/statuswire.schema.json"
DEFINED = {
    "a rule": "rule",
    "a page": "page",
    "a link": "link",
    "a group": "group",
    "a component": "component",
}


def test_the_one_in_the_docs_is_that_of_today() -> None:
    """`statuswire config schema > docs/statuswire.schema.json` makes it so."""
    assert FILE.read_text() == schema_text()


@pytest.mark.parametrize("what", DEFINED)
def test_each_thing_has_the_keys_that_the_reader_knows(what: str) -> None:
    assert set(schema()["definitions"][DEFINED[what]]["properties"]) == set(KEYS[what])


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_the_keys_that_fit_it(kind: str) -> None:
    its = schema()["definitions"][f"monitor-{kind}"]["properties"]
    expected = its.get("expect", {"properties": {}})["properties"]
    for key in KEYS["a monitor"]:
        if key not in KINDS:
            assert (key in its) is (kind in FITS.get(key, KINDS)), key
    for key in KEYS["`expect`"]:
        assert (key in expected) is (kind in FITS.get(key, KINDS)), key


def properties(part: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for key, value in part.items() if isinstance(part, dict) else enumerate(part):
        if key == "properties":
            for name, its in value.items():
                yield f"{path}/{name}", its
        if isinstance(value, dict | list):
            yield from properties(value, f"{path}/{key}")


def test_every_key_is_described() -> None:
    silent = [
        path
        for path, its in properties(json.loads(FILE.read_text()))
        # What is a mapping of words of its own, those describe.
        if "description" not in its and "properties" not in its
    ]
    assert silent == []
