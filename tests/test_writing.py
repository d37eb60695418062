"""A catalog that is written is read as the same catalog: everything that the docs show, and odd values."""

import re

import pytest

from app.domain.monitor import Catalog
from app.statusfile.catalog import parse
from app.statusfile.writing import duration, write
from tests.services import ROOT

BLOCK = re.compile(r"```yaml\n(.*?)```", re.DOTALL)
PAGES = """
page: {name: Acme, url: https://status.acme.example, time_zone: Europe/Berlin, accent: "#0b6bcb",
       links: [{name: Imprint, url: https://acme.example/imprint}], footer: "a: b, #c"}
pages:
  - slug: internal
    hosts: [status.internal.example]
    groups: [Payments]
    components: [website]
    access: password
    password_hash: $argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzYWx0$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY
    language: de
    logo: https://acme.example/logo.svg
  - {slug: empty, groups: []}
groups: [{name: Payments, components: [{name: Payments API}]}, {name: "no"}]
components: [{name: Website, hidden: yes, description: "~"}]
"""
ODD = """
components:
  - name: "123"
    slug: odd
    monitors:
      - http: https://a.example/${PATH}?a=1
        every: 0.333333333h
        timeout: 1.5s
        regions: [no, eu-west]
        method: post
        send: "two\\nlines: and 'quotes'\\r\\n\\ttab"
        headers: {X-No: "no", X-Token: "Bearer ${TOKEN}"}
        auth: {basic: {user: a, password: "${PW}"}}
        expect:
          status: [200, 204, 300-399]
          body: "null"
          json: {$.a: 1, $.b: "1", $.c: 1.0, $.d: 1e5, $.e: null, $.f: [true, {a: "", b: -0.5}], $.g: "no"}
          header: {server: "~"}
          slower_than: 1.25ms
          certificate_days: 14.5
          size: 500-
      - {tcp: "[::1]:443", slug: a-slug}
      - {tcp: example.com:443}
"""


def blocks() -> list[str]:
    texts = [(ROOT / "docs" / name).read_text() for name in ("config.md", "PROBES.md")]
    return [block for text in texts for block in BLOCK.findall(text) if "components:" in block]


@pytest.mark.parametrize("text", [*blocks(), PAGES, ODD])
def test_what_is_written_is_read_as_the_same(text: str) -> None:
    catalog = parse(text)
    assert parse(write(catalog)) == catalog
    assert parse(write(catalog)).revision == catalog.revision


def test_a_catalog_with_nothing_in_it_is_written_too() -> None:
    assert parse(write(Catalog())) == Catalog()


@pytest.mark.parametrize(
    "seconds, text", [(30, "30s"), (90, "90s"), (3600, "1h"), (0.8, "800ms"), (604800, "7d"), (1.5, "1500ms")]
)
def test_a_duration_is_written_in_its_largest_whole_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text
