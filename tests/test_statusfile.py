"""Every bad file is answered with the line and a sentence, every good one with a Catalog, and both soon."""

# The tables of bad files are easier to read as tables, and a test may hold up its own loop for one write.
# ruff: noqa: E501, ASYNC240

import asyncio
import gc
import json
import os
import re
import sys
import time
import zoneinfo
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.monitor import Catalog, Component, Expect, Monitor, Page
from app.domain.words import Connecting, Securing, read_words
from app.statusfile import tree
from app.statusfile.catalog import Said, parse
from app.statusfile.disk import REST, load, watch
from app.statusfile.kinds import KINDS, own_words, words_of
from app.statusfile.mapping import COMMON, KEYS
from app.statusfile.problem import Problem, StatusFileError
from app.statusfile.values import zones
from tests.conftest import eventually
from workers.probes.expect import Expectation
from workers.probes.run import REASONS

DOCS = Path(__file__).parent.parent / "docs" / "config.md"
PROBES = DOCS.with_name("PROBES.md")
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PROBES.read_text(), re.MULTILINE | re.DOTALL))

# The sample of the contract, `${PAYMENTS_TOKEN}` without quotes included.
SAMPLE = r"""
page: {name: Acme Status, url: https://status.acme.example, time_zone: Europe/Berlin}
groups:
  - name: Payments
    components:
      - name: Payments API
        slug: payments-api            # default: made from the name
        description: Card and SEPA payments
        monitors:
          - http: https://api.acme.example/health
            every: 30s
            timeout: 5s
            retries: 1
            headers: {Authorization: ${PAYMENTS_TOKEN}}   # from the environment, never stored in the clear
            expect: {status: 200-299, body: /"ok":\s*true/, json: {$.db: up}, header: {server: nginx}, slower_than: 800ms, certificate_days: 14}
components:                           # without a group
  - name: Website
    monitors: [{http: https://acme.example}, {tcp: acme.example:443}, {dns: acme.example, expect: {answer: 192.0.2.10}},
               {tls: acme.example}, {icmp: acme.example}, {push: nightly-backup, every: 24h, grace: 1h}]
"""

SAMPLE_CATALOG = Catalog(
    page=Page(name="Acme Status", url="https://status.acme.example", time_zone="Europe/Berlin"),
    groups=("Payments",),
    components=(
        Component(
            slug="payments-api",
            name="Payments API",
            description="Card and SEPA payments",
            group="Payments",
            monitors=(
                Monitor(
                    key="payments-api/http",
                    kind="http",
                    target="https://api.acme.example/health",
                    options={"headers": {"Authorization": "${PAYMENTS_TOKEN}"}},
                    expect=Expect(
                        status=((200, 299),),
                        body=r'"ok":\s*true',
                        json={"$.db": '"up"'},
                        header={"server": "nginx"},
                        slower_than=0.8,
                        certificate_days=14,
                    ),
                ),
            ),
        ),
        Component(
            slug="website",
            name="Website",
            monitors=(
                Monitor(key="website/http", kind="http", target="https://acme.example"),
                Monitor(key="website/tcp", kind="tcp", target="acme.example:443"),
                Monitor(
                    key="website/dns",
                    kind="dns",
                    target="acme.example",
                    expect=Expect(answer=("192.0.2.10",)),
                ),
                Monitor(key="website/tls", kind="tls", target="acme.example:443"),
                Monitor(key="website/icmp", kind="icmp", target="acme.example"),
                Monitor(
                    key="website/push",
                    kind="push",
                    target="nightly-backup",
                    every=86400,
                    options={"grace": 3600.0},
                ),
            ),
        ),
    ),
)


def test_the_sample_of_the_contract_says_what_it_seems_to_say() -> None:
    assert SAMPLE_CATALOG == parse(SAMPLE)


def test_a_catalog_from_a_file_survives_the_way_to_the_workers() -> None:
    catalog = parse(SAMPLE)
    heard = msgspec.json.decode(msgspec.json.encode(catalog), type=Catalog)
    assert (catalog, catalog.revision) == (heard, heard.revision)


def problems(text: str) -> list[tuple[int, str]]:
    with pytest.raises(StatusFileError) as caught:
        parse(text)
    return [(problem.line, problem.message) for problem in caught.value.problems]


def monitor(lines: str) -> str:
    """A file whose fourth line is the first of `lines`, which begins a monitor."""
    first, *more = lines.split("\n")
    return "\n".join(
        ["components:", "- name: A", "  monitors:", f"  - {first}", *(f"    {it}" for it in more)]
    )


def members(groups: str) -> str:
    """A file of one line, in which the groups come before their members."""
    return f"components: [{{name: A, monitors: [{groups}, {{http: https://a}}, {{tcp: a:1}}]}}]"


def only(lines: str) -> Monitor:
    [found] = parse(monitor(lines)).monitors()
    return found


BOMB = "x-a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"x-{new}: &{new} [{', '.join([f'*{old}'] * 5)}]\n" for old, new in pairwise("abcdefghij")
)

# fmt: off
WHOLE_FILE = [
    ("", 0, "the file is empty: begin with `components:`"),
    ("# nothing yet\n", 0, "the file is empty"),
    ("- a\n- b\n", 1, "the file must be a mapping, such as `components:`"),
    ("just words", 1, "not plain text"),
    ("a: b\n\t- c: [\n", 2, "indent with blanks, never with tabs"),
    ("page:\n  name: a: b\n", 2, "put a value that holds a colon and a blank in quotes"),
    ("page: {name: a\ngroups: []\n", 2, "close each { and ["),
    ("page:\n  name: @a\n", 2, "put a value that begins with a sign such as @ ` % in quotes"),
    ("components: *nobody\n", 1, "define the anchor with & before"),
    ("page: {}\n---\npage: {}\n", 2, "keep it to one document"),
    ('page: {name: "a}\n', 2, "close the quotes"),
    ('page: {name: "a\\qb"}\n', 1, "write a backslash in double quotes twice"),
    ("page\nname: b\n", 2, "put a value that holds a colon"),
    ("page:\n - a\n b: c\n", 3, "check the indentation"),
    ("page: {}\nname: \x00\n", 2, "the character U+0000 may not be in the file"),
    ("page: {}\n\x1b[31m: 1\n", 2, "the character U+001B"),
    ("page: \ufdd0\n", 1, "the character U+FDD0"),
    ("page: \ud800\n", 1, "the character U+D800"),
    ("page: {}\nfoo: \ufeff\n", 2, "the character U+FEFF"),
    ("page: {name: " + "a" * 4 * 1024 * 1024 + "}", 0, "larger than 4 MiB"),
    ("page: {name: " + "ü" * 3 * 1024 * 1024 + "}", 0, "larger than 4 MiB"),
    ("page:\n  a: " + "[" * 30 + "]" * 30, 2, "nested more than 20 deep"),
    ("page: " + "[" * 1_000_000, 1, "nested more than 20 deep"),
    ("page:\n  a: [" + "1," * 600_000 + "]", 2, "more than 500,000 keys and values"),
    (BOMB, 8, "its aliases make this too large or too deep"),
    ("x-a: &a 1\nx-b:\n  c: [" + "*a," * 51 + "]", 3, "one alias too many: at most 50"),
    ("x-a: &a\n  b:\n    - *a\n", 1, "this anchor holds an alias of itself"),
    (
        "x-a: &a [[[[[[[[[[1]]]]]]]]]]\nx-b: [[[[[[[[[[*a]]]]]]]]]]\n",
        2,
        "its aliases make this too large or too deep",
    ),
    ("!!python/object/apply:os.system\n- ls\n", 1, "not a value with the YAML tag `!!python/object/apply:os.system`"),
]

KEYS_AND_SHAPES = [
    ("paje: {}\n", 1, "`paje` is not a key of the file; did you mean `page`?"),
    ("page: {}\nmonitors: []\n", 2, "`monitors` is not a key of the file; it belongs in a component"),
    ("name: A\n", 1, "`name` is not a key of the file; it belongs in `page`"),
    ("zebra: {}\n", 1, "`zebra` is not a key of the file, which may have `page`, `pages`, `groups`, `components`"),
    ("pages: [{name: x}]\n", 1, "a page needs a `slug`, such as `slug: internal`"),
    ("pages: [{slug: a}, {slug: a}]\n", 1, "page slug `a` is already used on line 1"),
    ("pages: [{slug: a, groups: [Nope]}]\n", 1, "no group is called `Nope`"),
    ("pages: [{slug: a, components: nope}]\n", 1, "no component has the slug `nope`"),
    ("pages: [{slug: a, access: password}]\n", 1, "`access: password` needs a `password_hash`"),
    ("pages: [{slug: a, password_hash: hunter2}]\n", 1, "`password_hash` is no argon2id hash"),
    ("page: {accent: red}\n", 1, "`accent: red` is no colour: write six digits in quotes"),
    ("page: {logo: 'http://a.example'}\n", 1, "`logo` must be a whole URL, from https:// on"),
    ("page: {hosts: [a.example, a.example]}\n", 1, "names a host twice"),
    ("page: {links: [{name: x}]}\n", 1, "a link needs a `url`"),
    (f"{'k' * 300}: 1\n", 1, "k...` is not a key of the file"),
    ("page: {}\n\npage: {}\n", 3, "`page` is already given on line 1: keep one of the two"),
    ("page: {}\n? [a]\n: 1\n", 2, "a key must be a plain word, not a list"),
    ("page: {}\n!x a: 1\n", 2, "a key must be a plain word, not a value with the YAML tag `!x`"),
    ("page: [a]\n", 1, "`page` must be a mapping, such as `name: Acme Status`, not a list"),
    ("page:\n", 1, "`page` must be a mapping, such as `name: Acme Status`, not nothing"),
    ("components:\n", 1, "`components` must be a list, each entry of it after a `- `, not nothing"),
    ("components:\n  name: A\n", 2, "`components` must be a list, each entry of it after a `- `, not a mapping"),
    ("components: !!set {a, b}\n", 1, "not a value with the YAML tag `!!set`"),
    ("groups:\n- A\n", 2, "a group must be a mapping"),
    ("groups:\n- components: []\n", 2, "a group needs a `name`, such as `name: Payments`"),
    ("groups:\n- name: A\n- name: B\n- name: A\n", 4, "group name `A` is already used on line 2: put both in"),
    ("components:\n- A\n", 2, "a component must be a mapping, such as `name: Website`, not plain text"),
    ("x-a: &a 1\ncomponents:\n- <<: *a\n  name: A\n", 1, "what `<<` names must be a mapping"),
    ("components:\n- name: A\n  <<: {nam: B}\n", 3, "`nam` is not a key of a component; did you mean `name`?"),
]

PAGE = [
    ("page: {name: ''}\n", 1, "`name: ` is empty: give it a value, or leave the key out"),
    ("page: {name: }\n", 1, "`name` has no value: give it one, or leave the key out"),
    ("page:\n  name: [a]\n", 2, "`name` must be one value, not a list"),
    ("page: {name: !!str a}\n", 1, "`name: a` has the YAML tag `!!str`: no value may have one"),
    ('page: {name: "a\\0b"}\n', 1, "`name: a\\u0000b` holds the control character U+0000: take it out"),
    ('page: {name: "a\\nb"}\n', 1, "the control character U+000A"),
    ('page: {name: "a\\u202Eb"}\n', 1, "the control character U+202E"),
    (f"page: {{name: {'a' * 81}}}\n", 1, "is too long (81 characters): at most 80"),
    ("page: {name: ${NAME}}\n", 1, "holds `${NAME}`, and variables are filled in only in header values"),
    ("page: {url: status.example}\n", 1, "`url` must be a whole URL, from http:// or https:// on"),
    ("page: {time_zone: Europe/Berlim}\n", 1, "`time_zone: Europe/Berlim` is not a time zone; did you mean Europe/"),
    ("page: {time_zone: berlin}\n", 1, "did you mean Europe/Berlin?"),
    ("page: {time_zone: new york}\n", 1, "did you mean America/New_York?"),
    ("page: {time_zone: ../../etc/passwd}\n", 1, "is not a time zone; write one such as Europe/Berlin or UTC"),
    ("page: {timezone: UTC}\n", 1, "`timezone` is not a key of `page`; did you mean `time_zone`?"),
    ("page: {tz: UTC}\n", 1, "`tz` is not a key of `page`; did you mean `time_zone`?"),
]

COMPONENTS = [
    ("components:\n- slug: a\n", 2, "a component needs a `name`, such as `name: Website`"),
    ("components:\n- name: 日本\n", 2, "no slug can be made from the name `日本`"),
    ("components:\n- name: A\n  slug: Foo Bär\n", 3, "`slug: Foo Bär` must be 1 to 64 of a-z, 0-9 and inner hyphens, such as foo-bar"),
    ("components:\n- name: A\n  slug: '-'\n", 3, "such as payments-api"),
    ("components:\n- name: A b\n- name: B\n- name: a-b\n", 4, "slug `a-b` is already used on line 2: give one of them another `slug`"),
    ("components:\n- name: B\n- name: A\n  slug: b\n", 4, "slug `b` is already used on line 2"),
    ("groups:\n- name: G\n  components:\n  - name: A\ncomponents:\n- name: A\n", 6, "already used on line 4"),
    (f"components:\n- name: A\n  description: {'a' * 301}\n", 3, "at most 300"),
    ("components:\n- name: A\n  checks: []\n", 3, "`checks` is not a key of a component; did you mean `monitors`?"),
    ("components:\n- name: A\n  http: https://a\n", 3, "`http` is not a key of a component; it belongs in a monitor"),
    ("components:\n- name: A\n  monitors: {}\n", 3, "`monitors` must be a list"),
    ("components:\n- name: A\n  monitors:\n  - https://a\n", 4, "a monitor must be a mapping, such as `http: https://example.com`, not"),
]

MONITORS = [
    ("every: 30s", 4, ", such as `http: https://example.com`"),
    ("http: https://a\ntcp: a:1", 5, "this one has `http` on line 4 and `tcp`: make two monitors of it"),
    ("icmp: a\nevry: 30s", 5, "`evry` is not a key of a monitor; did you mean `every`?"),
    ("icmp: a\ninterval: 30s", 5, "`interval` is not a key of a monitor; did you mean `every`?"),
    ("icmp: a\nname: b", 5, "`name` is not a key of a monitor; did you mean `slug`?"),
    ("http: https://a\nstatus: 200", 5, "`status` is not a key of a monitor; it belongs in `expect`"),
    ("icmp: a\nzebra: 1", 5, "`zebra` is not a key of a monitor, which may have `every`, `timeout`, `retries`,"),
    ("icmp: a\nurl: https://a", 5, "`url` is not a key of a monitor; did you mean `http`?"),
    ("icmp: a\nevery: 0.2s", 5, "`every: 0.2s` is too short: at least 1s"),
    ("icmp: a\nevery: 8d", 5, "`every: 8d` is too long: at most 7d"),
    ("icmp: a\nevery: 30", 5, "`every: 30` has no unit: write 30s for seconds, or use ms, m, h or d"),
    ("icmp: a\nevery: 1h30m", 5, "`every: 1h30m` is not a duration: write one number and one unit, such as 500ms"),
    ("icmp: a\nevery: -5s", 5, "`every: -5s` is not a duration"),
    ("icmp: a\nevery: ٣s", 5, "is not a duration"),
    ("icmp: a\nevery: 30 s", 5, "`every: 30 s` is not a duration"),
    (f"icmp: a\nevery: {'9' * 400}s", 5, "is not a duration"),
    ("icmp: a\nevery: [30s]", 5, "`every` must be one value, not a list"),
    ("icmp: a\nevery:", 5, "`every` has no value: give it one, or leave the key out"),
    ("icmp: a\ntimeout: 0s", 5, "`timeout: 0s` is too short: at least 1ms"),
    ("icmp: a\nevery: 2m\ntimeout: 61s", 6, "`timeout: 61s` is too long: at most 60s"),
    ("icmp: a\ntimeout: 40s", 5, "`timeout` (40s) must not be longer than `every` (30s)"),
    ("icmp: a\nretries: 11", 5, "`retries: 11` must be a whole number from 0 to 10"),
    ("icmp: a\nrecoveries: 0", 5, "`recoveries: 0` must be a whole number from 1 to 10"),
    ("icmp: a\nrecovery: 2", 5, "`recovery` is not a key of a monitor; did you mean `recoveries`?"),
    ("icmp: a\nparents: b", 5, "`parents` is not a key of a monitor; did you mean `depends_on`?"),
    ("icmp: a\ndepends_on: a/icmpp", 5, "no component or monitor is called `a/icmpp`; did you mean `a/icmp`?"),
    ("icmp: a\ndepends_on: [x1, x1]", 5, "names the same thing twice"),
    ("icmp: a\ndepends_on: [A B]", 5, "is no key of a monitor"),
    ("icmp: a\ndepends_on: a", 5, "monitor `a/icmp` lies behind itself"),
    ("icmp: a\nretries: -1", 5, "from 0 to 10"),
    ("icmp: a\nretries: yes", 5, "from 0 to 10"),
    ("icmp: a\nregions: []", 5, "`regions` is an empty list"),
    ("icmp: a\nregions:\n- eu\n- EU West", 7, "`regions: EU West` must be 1 to 32 of a-z, 0-9 and inner hyphens"),
    ("icmp: a\nregions: [eu, eu]", 5, "`regions` names a region twice"),
    ("icmp: a\nregions: [[eu]]", 5, "`regions` must be one value, not a list"),
    ("icmp: a\nregions: !x [eu]", 5, "`regions` has the YAML tag `!x`"),
    (f"icmp: a\nregions: [{', '.join(f'r{n}' for n in range(101))}]", 5, "has 101 entries: at most 100"),
    ("icmp: a\nslug: A", 5, "`slug: A` must be 1 to 64"),
    ("icmp: a\nheaders: {A: b}", 5, "`headers` does not fit `icmp`, only `http` and `websocket`: take it out"),
    ("tcp: a:1\nrecord: A", 5, "`record` does not fit `tcp`, only `dns`: take it out"),
    ("http: https://a\ngrace: 1h", 5, "`grace` does not fit `http`, only `push`: take it out"),
    ("push: a\nregions: [eu]", 5, "`regions` does not fit `push`"),
    ("dns: a\nrecord: AAAAA", 5, "`record: AAAAA` is none of those it may be: use one of A, AAAA, CAA"),
    ("push: a\ncron: 61 * * * *", 5, "`cron: 61 * * * *` is no time that comes: write the five fields of a crontab"),
    ("push: a\ntime_zone: Europe/Berlin", 5, "`time_zone` belongs to a `cron`: give that too"),
    ("push: a\ncron: 0 3 * * *\ntime_zone: Berln", 6, "`time_zone: Berln` is not a time zone; did you mean"),
    ("push: a\nevery: 1h\ncron: 0 3 * * *", 6, "`every` and `cron` are two answers to one question"),
    ("push: a\ngrace: 8d", 5, "`grace: 8d` is too long: at most 7d"),
    ("push: Nightly Backup", 4, "`push: Nightly Backup` must be 1 to 64 of a-z, 0-9 and inner hyphens"),
]

TARGETS = [
    ("http: acme.example/health", 4, "`http` must be a whole URL, from http:// or https:// on, such as https://"),
    ("http: ftp://acme.example", 4, "must be a whole URL"),
    ("http: https://", 4, "must be a whole URL"),
    ("http: https://user:pass@acme.example", 4, "`http` must not hold a user or password: put it into `auth`, as ${NAME}"),
    ("http: https://acme.example/a b", 4, "`http` has a blank in it: write %20 for each"),
    ("http: https://acme.example:99999", 4, "`http` has a host or port that cannot be read"),
    ('http: "https://[::1/"', 4, "`http` has a host or port that cannot be read"),
    ("http: https://a..b/", 4, "`http` has a host that is none"),
    ("http: https://${pay-token}/", 4, "`http` has a `${` that begins no variable: write ${NAME}"),
    ("http: https://a/${TOKEN", 4, "`http` has a `${` that begins no variable"),
    (f"http: https://a/{'a' * 2000}", 4, "at most 2,000"),
    ("tcp: acme.example", 4, "`tcp: acme.example` has no port: write host:port, such as example.com:443"),
    ("tcp: acme.example:0", 4, "has no port from 1 to 65535"),
    ("tcp: acme.example:http", 4, "has no port from 1 to 65535"),
    ("tcp: https://acme.example:443", 4, "must not be a URL: write host:port"),
    ("tcp: 2001:db8::1", 4, "is an IPv6 address without brackets: write '[2001:db8::1]:443', with the quotes"),
    ("tcp: ::1:443", 4, "is an IPv6 address without brackets: write '[::1]:443', with the quotes"),
    ("tls: 2001:db8::1:8443", 4, "is an IPv6 address without brackets: write '[2001:db8::1]:8443', with"),
    ("tls: 2001:db8::f", 4, "is an IPv6 address without brackets: write '[2001:db8::f]:443', with the quotes"),
    ("tcp: '[2001:db8::1]'", 4, "has no port"),
    ("tcp: [2001:db8::1]:443", 4, "put an IPv6 address in brackets in quotes too"),
    ("tcp: 256.1.1.1:80", 4, "is neither a host name nor an IP address"),
    ("tcp: -a-:80", 4, "is neither a host name nor an IP address"),
    ("tls: bücher.example", 4, "has a letter that is not ASCII: write the name as DNS has it, which begins with xn--"),
    ("icmp: acme.example:80", 4, "is neither a host name nor an IP address: write a host, such as example.com"),
    ("icmp: ${HOST}", 4, "`icmp: ${HOST}` holds `${HOST}`, and variables are filled in only in"),
    ("dns: 192.0.2.1", 4, "`dns` takes a name: write one, or add `record: PTR` to look up an address"),
    ("dns: acme.example@", 4, "is neither a host name nor an IP address"),
    ("dns: acme.example@192.0.2.53:0", 4, "has no port from 1 to 65535"),
]

HEADERS = [
    ("http: https://a\nheaders: [a]", 5, "`headers` must be a mapping, such as `{User-Agent: statuswire}`, not a list"),
    ("http: https://a\nheaders: Bearer hunter2", 5, "not plain text"),
    ("http: https://a\nheaders:\n  X Y: b", 6, "header `X Y` is none: write a name such as X-Request-Id"),
    ("http: https://a\nheaders:\n  X: a\n  x: b", 7, "header `x` is already used on line 6: keep one of the two"),
    ("http: https://a\nheaders:\n  X: a\n  X: b", 7, "`X` is already given on line 6: keep one of the two"),
    ("http: https://a\nheaders:\n  X: [b]", 6, "header `X` must be one value, not a list"),
    ('http: https://a\nheaders:\n  X: "a\\r\\nY: b"', 6, "header `X` holds the control character U+000D"),
    ("http: https://a\nheaders:\n  X: ü", 6, "header `X` has a letter that is not ASCII"),
    ("http: https://a\nheaders: {X: ${pay-token}}", 5, "header `X` has a `${` that begins no variable"),
    ("http: https://a\nheaders: {X: '${1A}'}", 5, "header `X` has a `${` that begins no variable"),
]

EXPECT = [
    ("http: https://a\nexpect: 200", 5, "`expect` must be a mapping, such as `{slower_than: 800ms}`, not plain text"),
    ("http: https://a\nexpect: {stauts: 200}", 5, "`stauts` is not a key of `expect`; did you mean `status`?"),
    ("http: https://a\nexpect: {every: 30s}", 5, "`every` is not a key of `expect`; it belongs in a monitor"),
    ("http: https://a\nexpect: {headers: {a: b}}", 5, "did you mean `header`?"),
    ("dns: a\nexpect:\n  certificate_days: 3", 6, "`certificate_days` does not fit `dns`"),
    ("tcp: a:1\nexpect: {status: 200}", 5, "`status` does not fit `tcp`, only `http`: take it out"),
    ("push: a\nexpect: {}", 5, "`expect` does not fit `push`"),
    ("http: https://a\nexpect: {status: 2xx}", 5, "`status: 2xx` is not a status: write 200, 200-299 or 200,204"),
    ("http: https://a\nexpect: {status: [200, 600]}", 5, "`status: 600` is not a status"),
    ("http: https://a\nexpect: {status: 299-200}", 5, "`status: 299-200` runs backwards: write 200-299"),
    ("http: https://a\nexpect:\n  status:\n  - 200\n  - '204,'", 8, "`status: 204,` is not a status"),
    ("http: https://a\nexpect: {body: /a(/}", 5, "is not a regular expression in RE2 syntax (missing ): a()"),
    ("http: https://a\nexpect: {body: '/(?=a)/'}", 5, "in RE2 syntax (invalid perl operator: (?=)"),
    (r"http: https://a" + "\n" + r"expect: {body: '/((\pL{99}){9})/'}", 5, "pattern too large"),
    ("http: https://a\nexpect: {body: /ok/i}", 5, "has flags after the slash: write them inside, as in /(?i)ok/"),
    ("http: https://a\nexpect: {body: //}", 5, "is an empty regular expression"),
    (f"http: https://a\nexpect: {{body: {'a' * 503}}}", 5, "at most 502"),
    (f"http: https://a\nexpect: {{body: {'.' * 300}}}", 5, "makes a pattern of 600 characters: at most 500"),
    ("http: https://a\nexpect: {body: ${OK}}", 5, "holds `${OK}`"),
    ("http: https://a\nexpect: {json: {db: up}}", 5, "json path `db` is none: write it as $.name, $.list[0] or"),
    ('http: https://a\nexpect: {json: {"$.a\\0": up}}', 5, "json path `$.a\\u0000` is none"),
    ("http: https://a\nexpect: {json: {$.a..b: up}}", 5, "json path `$.a..b` is none"),
    ("http: https://a\nexpect: {json: {'$.a[*]': up}}", 5, "json path `$.a[*]` is none"),
    (f"http: https://a\nexpect: {{json: {{{'$' + '.a' * 21}: up}}}}", 5, "with up to 20 steps"),
    ("http: https://a\nexpect: {json: {$.a: }}", 5, "json path `$.a` has no value"),
    ("http: https://a\nexpect: {json: {$.a: 1e999}}", 5, "json path `$.a` is a number too large to compare"),
    ("http: https://a\nexpect: {json: {$.a: {b: 1, b: 2}}}", 5, "json path `$.a` has the key `b` twice"),
    ("http: https://a\nexpect: {json: {$.a: !!binary aaaa}}", 5, "json path `$.a` has the YAML tag `!!binary`"),
    ("http: https://a\nexpect: {json: {$.a: !!set {b}}}", 5, "json path `$.a` has the YAML tag `!!set`"),
    (f"http: https://a\nexpect: {{json: {{$.a: [{'123456789, ' * 500}]}}}}", 5, "more than 4096 characters of JSON"),
    ("http: https://a\nexpect: {header: {a b: c}}", 5, "header `a b` is none"),
    ("http: https://a\nexpect: {header: {a: ''}}", 5, "header `a` is empty"),
    ("icmp: a\nexpect: {slower_than: 5s}", 5, "`slower_than` (5s) is never reached, because `timeout` is 5s"),
    ("icmp: a\nexpect: {slower_than: 800}", 5, "`slower_than: 800` has no unit: write 800s"),
    ("tls: a\nexpect: {certificate_days: 14d}", 5, "`certificate_days: 14d` must be a number of days"),
    ("tls: a\nexpect: {certificate_days: 0}", 5, "from 1 to 3650"),
    ("dns: a\nexpect: {answer: []}", 5, "`answer` is an empty list"),
    ("dns: a\nexpect: {answer: {a: b}}", 5, "`answer` must be one value, not a mapping"),
]

WORDS = [
    ("redis: a\npassword: hunter2", 5, "`password` must be ${NAME}, which each worker fills in from its own"),
    ("redis: a\npassword: ${x-}", 5, "`password` has a `${` that begins no variable"),
    ("redis: a\nuser: me", 5, "`user` needs a `password` too"),
    ("mysql: a\npassword: ${P}", 5, "`password` needs a `user` too"),
    ("redis: a\nsecure: 1", 5, "`secure: 1` must be yes or no"),
    ("redis: a\nip: 5", 5, "`ip: 5` is none of those it may be: use one of any, 4, 6, both"),
    ("icmp: a\nip: both", 5, "use one of any, 4, 6"),
    ("redis: a\nca: acme.pem", 5, "`ca: acme.pem` must be a whole path on the workers' machines, such as /etc"),
    ("redis: a\ncertificate_key: /a.pem", 5, "`certificate_key` belongs to a certificate: give `certificate` too"),
    ("redis: a\ntls: yes", 5, "a monitor probes one thing"),
    ("redis: a\nexpect: {loss: 5%}", 5, "`loss` does not fit `redis`, only `icmp`: take it out"),
    ("icmp: a\ncount: 5\nexpect: {loss: 5}", 6, "`loss: 5` is no share: write it as 20%, from 0% to 100%"),
    ("icmp: a\ncount: 5\nexpect: {loss: 101%}", 6, "is no share"),
    ("icmp: a\nexpect: {loss: 50%}", 5, "`loss` of one ping is all or nothing: send more, as with `count: 5`"),
    ("icmp: a\ncount: 21", 5, "`count: 21` must be a whole number from 1 to 20"),
    ("http: https://a\nmethod: BREW", 5, "`method: BREW` is none of those it may be: use one of GET, HEAD"),
    ("http: https://a\nsend: x", 5, "`send` does not go with GET: add `method: POST`, or take it out"),
    ("http: https://a\nredirects: -1", 5, "`redirects: -1` must be a whole number from 0 to 10"),
    ("http: https://a\nproxy: socks5://a", 5, "`proxy` must be a whole URL, from http:// on, such as http://"),
    ("http: https://a\nproxy_auth: {user: a, password: ${P}}", 5, "`proxy_auth` belongs to a `proxy`: give"),
    ("http: https://a\nexpect: {size: 5}", 5, "`size: 5` is no span: write 500-20000, or leave out one end"),
    ("http: https://a\nexpect: {size: 5-4}", 5, "`size: 5-4` runs backwards: write 4-5"),
    ("http: https://a\nexpect: {size: 1-9999999}", 5, "ends too high: at most 1048576"),
    ("http: https://a\nexpect: {size: '-'}", 5, "is no span"),
    ("http: https://a\nauth: hunter2", 5, "`auth` must be a mapping"),
    ("http: https://a\nauth: {}", 5, "`auth` must be one of `basic`, `bearer` and `oauth2`: keep one of them"),
    ("http: https://a\nauth: {bearer: ${A}, basic: {user: a, password: ${B}}}", 5, "keep one of them"),
    ("http: https://a\nauth: {bearer: hunter2}", 5, "`bearer` must be ${NAME}"),
    ("http: https://a\nauth:\n  basic: {user: a}", 6, "`basic` needs a `password` too"),
    ("http: https://a\nauth:\n  basic: {usr: a, user: b, password: ${P}}", 6, "`usr` is not a key of `basic`; did you"),
    ("http: https://a\nauth: {oauth2: {client: a, secret: ${S}}}", 5, "`oauth2` needs a `url` too"),
    ("http: https://a\nauth: {bearer: ${A}}\nheaders: {authorization: ${B}}", 5, "are the same thing: keep one"),
    ("tcp: a:1\nsecure: yes\nstarttls: imap", 6, "`starttls` begins TLS within a connection that `secure` has it"),
    ("tcp: a:1\nstarttls: ldap", 5, "use one of smtp, imap, pop3"),
    ("smtp: a\nsecure: yes\nstarttls: yes", 6, "`starttls` begins TLS within a connection"),
    ("tls: a\nexpect: {version: 1.1}", 5, "use one of 1.2, 1.3"),
    ("tls: a\nserver_name: https://a", 5, "must not be a URL"),
    ("websocket: https://a", 4, "`websocket` must be a whole URL, from ws:// or wss:// on, such as wss://example.com"),
    ("ntp: a\nexpect: {offset: 100}", 5, "`offset: 100` has no unit"),
    ("ntp: a\nexpect: {offset: 2d}", 5, "`offset: 2d` is too long: at most 1d"),
    ("ntp: a\nexpect: {stratum: 16}", 5, "from 1 to 15"),
    ("domain: a\nexpect: {days: 3651}", 5, "must be a number of days from 0 to 3650, without a unit"),
    ("postgres: a\nquery: ''", 5, "`query: ` is empty"),
    ("group: a/http", 4, "`group: a/http` names one monitor alone, and a group is of several"),
    ("group: [a/http, a/http]", 4, "`group` names a monitor twice"),
    ("group: [a/http, Web]", 4, "`group: Web` is no key of a monitor: write its `slug`, or component/kind"),
]

MEMBERS = [
    ("{group: [a/http, a/tcp], every: 30s}", "`every` does not fit `group`: take it out"),
    ("{group: [a/http, a/tcp], needs: 0%}", "is no share"),
    ("{group: [a/http, a/tcp], needs: some}", "`needs: some` is no share: write any, all, or one such as 60%"),
    ("{group: [a/http, a/group-2]}, {group: [a/http, a/tcp]}", "`a/group-2` is a group itself: name its members"),
    ("{group: [a/http, a/tcq]}", "no monitor has the key `a/tcq`; did you mean `a/tcp`?"),
    ("{group: [a/http, zebra]}", "no monitor has the key `zebra`: name it by its `slug`, or as web/http"),
]
# fmt: on

EVERY_BAD_FILE = [
    *WHOLE_FILE,
    *KEYS_AND_SHAPES,
    *PAGE,
    *COMPONENTS,
    *(
        (monitor(lines), line, phrase)
        for lines, line, phrase in MONITORS + TARGETS + HEADERS + EXPECT + WORDS
    ),
    *((members(lines), 1, phrase) for lines, phrase in MEMBERS),
]
NUMBERS = [str(number) for number in range(len(EVERY_BAD_FILE))]


@pytest.mark.parametrize(("text", "line", "phrase"), EVERY_BAD_FILE, ids=NUMBERS)
def test_a_bad_file_is_answered_with_its_line_and_what_would_be_right(
    text: str, line: int, phrase: str
) -> None:
    [(found, message)] = problems(text)
    assert phrase in message
    assert line == found


def test_the_loader_without_libyaml_refuses_the_same_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "Loader", Pure)
    assert parse(SAMPLE) == SAMPLE_CATALOG
    for text, _, _ in EVERY_BAD_FILE:
        # A large file is bounded in the same way, and it takes a minute to get there.
        if len(text) < 100_000:
            problems(text)


class Pure(tree.Bounded, yaml.SafeLoader):
    pass


def test_an_escape_beyond_unicode_is_a_problem_in_both_loaders(monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'page: {name: "\\UFFFFFFFF"}'
    assert "not YAML" in problems(text)[0][1]
    monkeypatch.setattr(tree, "Loader", Pure)
    assert "not YAML" in problems(text)[0][1]


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    text = (
        monitor("icmp: a b\nevry: 30s\ntimeout: 90s\nregions: [EU]\nexpect: {status: 1}") + "\npage: {x: 1}"
    )
    assert [4, 5, 6, 7, 8, 8, 9] == [line for line, _ in problems(text)]


def test_fifty_problems_are_told_and_the_rest_counted() -> None:
    with pytest.raises(StatusFileError) as caught:
        parse("components:\n" + "- nam: A\n" * 100, "my.yaml")
    assert 50 == len(caught.value.problems)
    lines = str(caught.value).split("\n")
    assert "my.yaml:2: `nam` is not a key of a component; did you mean `name`?" == lines[0]
    assert ["my.yaml: and 150 more problems"] == lines[50:]


def test_what_an_alias_repeats_is_told_once() -> None:
    text = "x-a: &a {icmp: a, evry: 30s}\ncomponents:\n- {name: A, monitors: [*a, *a]}\n"
    assert [(1, "`evry` is not a key of a monitor; did you mean `every`?")] == problems(text)


@pytest.mark.parametrize(
    "lines",
    [
        "http: https://u:hunter2@a",
        "http: https://a:hunter2/",
        "http: https://a/?key=hunter2 ",
        "http: 'https://a/?key=hunter2 '",
        "http: hunter2",
        'http: "https://a/\\0hunter2"',
        "http: https://a/${hunter2-}",
        "http: https://a\nheaders: hunter2",
        "http: https://a\nheaders: {A: hünter2}",
        'http: https://a\nheaders: {A: "hunter2\\0"}',
        "http: https://a\nheaders: {A: hunter2${x-}}",
        "http: https://a\nheaders: {A: !x hunter2}",
        "http: https://a\nheaders: {A: {B: hunter2}}",
        f"http: https://a\nheaders: {{A: hunter2{'a' * 5000}}}",
        "redis: a\npassword: hunter2",
        "redis: a\npassword: [hunter2]",
        'redis: a\nuser: "hunter2\\0"',
        "http: https://a\nauth: hunter2",
        "http: https://a\nauth: {bearer: hunter2}",
        "http: https://a\nauth: {basic: {user: a, password: hunter2}}",
        "http: https://a\nauth: {oauth2: {url: 'https://u:hunter2@a', client: a, secret: hunter2}}",
        'http: https://a\nmethod: POST\nsend: "hunter2\\0"',
        "http: https://a\nproxy: http://u:hunter2@a",
        "websocket: wss://u:hunter2@a",
    ],
)
def test_a_secret_is_not_repeated_in_an_error(lines: str) -> None:
    try:
        parse(monitor(lines))
    except StatusFileError as error:
        assert "nter2" not in str(error)


def test_a_message_never_carries_a_control_character_or_a_novel() -> None:
    for text in ('"\\e[2J\\u202e": 1', "k" * 100_000 + ": 1", "page: {name: " + "a" * 100_000 + "}"):
        began = time.process_time()
        try:
            parse(text)
        except StatusFileError as error:
            assert str(error).isprintable()
            assert len(str(error)) < 300
        # Not a look from each character of a long one to its end, which took half a minute.
        assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Zürich API", "zurich-api"),
        ("Straße / Größe", "strasse-grosse"),
        ("  Payments   API v2 ", "payments-api-v2"),
        ("Øresund & Łódź", "oresund-lodz"),
        ("404", "404"),
        ("no", "no"),
        ("1.10", "1-10"),
        ("a" * 63 + " bc", "a" * 63),
    ],
)
def test_a_slug_is_made_from_the_name(name: str, slug: str) -> None:
    [component] = parse(f"components: [{{name: {name}}}]").components
    assert (name.strip().replace("   ", " "), slug) == (re.sub(" +", " ", component.name), component.slug)


def test_keys_are_slugs_or_numbered_by_kind_and_a_slug_renames_no_other() -> None:
    def keys(second: str) -> list[str]:
        text = monitor(f"icmp: a\n- {{icmp: b{second}}}\n- icmp: c\n- tcp: d:1").replace("    - ", "  - ")
        return [monitor.key for monitor in parse(text).monitors()]

    assert ["a/icmp", "a/icmp-2", "a/icmp-3", "a/tcp"] == keys("")
    assert ["a/icmp", "own", "a/icmp-3", "a/tcp"] == keys(", slug: own")


def test_what_a_component_lies_behind_its_monitors_do() -> None:
    catalog = parse(
        "components:\n"
        "- {name: B, depends_on: a, monitors: [{http: https://b, depends_on: [a/icmp, a]}, {tcp: b:1}]}\n"
        "- {name: A, monitors: [{icmp: a}]}\n"
    )
    assert [("a/icmp", "a"), ("a",), ()] == [each.depends_on for each in catalog.monitors()]


def test_a_loop_of_parents_is_told_with_the_line_of_one_of_them() -> None:
    text = (
        "components:\n"
        "- {name: A, depends_on: c, monitors: [{icmp: a}]}\n"
        "- {name: B, monitors: [{icmp: b, depends_on: a}]}\n"
        "- {name: C, monitors: [{group: [b/icmp, d/icmp]}]}\n"
        "- {name: D, monitors: [{icmp: d}]}\n"
    )
    [(line, message)] = problems(text)
    assert line in (2, 3) and "lies behind itself" in message


def test_a_chain_of_ten_thousand_is_no_loop_and_takes_no_time() -> None:
    links = "".join(f"  - {{tcp: a:1, depends_on: m{n}, slug: m{n + 1}}}\n" for n in range(10_000))
    catalog = parse(f"components:\n- name: A\n  monitors:\n  - {{tcp: a:1, slug: m0}}\n{links}")
    assert 10_001 == sum(1 for _ in catalog.monitors())


def test_two_monitors_with_one_slug_are_told_with_both_lines() -> None:
    text = "components:\n- name: A\n  monitors:\n  - {icmp: a, slug: x}\n- name: B\n  monitors:\n  - icmp: a\n    slug: x\n"
    assert [(8, "monitor slug `x` is already used on line 4: give one of them another `slug`")] == problems(
        text
    )


def test_the_page_keeps_the_order_of_the_file() -> None:
    text = "components: [{name: C}]\ngroups: [{name: G, components: [{name: A}, {name: B}]}, {name: H}]\npage: {}"
    catalog = parse(text)
    assert [("C", None), ("A", "G"), ("B", "G")] == [(each.name, each.group) for each in catalog.components]
    assert ("G", "H") == catalog.groups


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("1500ms", 1.5), ("30s", 30), ("1.5h", 5400), ("5m", 300), ("7d", 604800), ("'1s'", 1)],
)
def test_durations_are_one_number_and_one_unit(written: str, seconds: float) -> None:
    assert seconds == only(f"icmp: a\nevery: {written}").every


def test_milliseconds_are_not_rounded() -> None:
    assert 0.009 == only("icmp: a\ntimeout: 9ms").timeout


@pytest.mark.parametrize(("written", "seconds"), [("1s", 1), ("4s", 4), ("10m", 5)])
def test_a_timeout_is_five_seconds_and_never_longer_than_every(written: str, seconds: float) -> None:
    assert seconds == only(f"icmp: a\nevery: {written}").timeout


@pytest.mark.parametrize(
    ("written", "kind", "target"),
    [
        ("tcp: '[2001:DB8::1]:443'", "tcp", "[2001:DB8::1]:443"),
        ("tcp: 192.0.2.1:0443", "tcp", "192.0.2.1:443"),
        ("tls: acme.example", "tls", "acme.example:443"),
        ("tls: '[::1]'", "tls", "[::1]:443"),
        ("tls: acme.example:8443", "tls", "acme.example:8443"),
        ("icmp: '[::1]'", "icmp", "::1"),
        ("icmp: a_b.example.", "icmp", "a_b.example."),
        ("dns: _sip._tcp.acme.example@ns.example:5353", "dns", "_sip._tcp.acme.example@ns.example:5353"),
        ("dns: acme.example@2001:db8::53", "dns", "acme.example@2001:db8::53"),
        ("dns: acme.example@[::1]:53", "dns", "acme.example@[::1]:53"),
        ("dns: 2001:db8::1\nrecord: ptr", "dns", "2001:db8::1"),
        ("http: HTTPS://bücher.example/ü", "http", "HTTPS://bücher.example/ü"),
        ("http: 'http://[::1]:8000/'", "http", "http://[::1]:8000/"),
        (
            "http: https://${HOST}:${PORT}/${PATH}?k=${KEY}",
            "http",
            "https://${HOST}:${PORT}/${PATH}?k=${KEY}",
        ),
        ("push: nightly", "push", "nightly"),
    ],
)
def test_a_target_is_kept_in_the_form_that_workers_read(written: str, kind: str, target: str) -> None:
    found = only(written)
    assert (kind, target) == (found.kind, found.target)


@pytest.mark.parametrize(
    ("written", "options"),
    [
        ("redis: a", {}),
        ("redis: a\nsecure: Yes\npassword: ${P}\nip: 6", {"secure": True, "password": "${P}", "ip": "6"}),
        ("icmp: a\ncount: 1", {}),
        ("icmp: a\ncount: 4\nexpect: {loss: 25%}", {"count": 4, "loss": 25.0}),
        ("http: https://a\nmethod: post\nsend: |\n      a\n      b", {"method": "POST", "send": "a\nb"}),
        ("http: https://a\nexpect: {size: 5-}", {"size": [5, 1 << 20]}),
        ("http: https://a\nexpect: {size: '-5'}", {"size": [0, 5]}),
        ("http: https://a\nauth: {bearer: ${T}}", {"auth": {"bearer": "${T}"}}),
        (
            "http: https://a\nauth: {basic: {user: me, password: 'x-${P}'}}",
            {"auth": {"basic": {"user": "me", "password": "x-${P}"}}},
        ),
        ("ntp: a\nexpect: {offset: 100ms}", {"offset": 0.1}),
        ("dns: a\nrecord: mx", {"record": "MX"}),
    ],
)
def test_the_words_of_a_kind_are_kept_as_they_are_meant(written: str, options: dict[str, object]) -> None:
    assert options == only(written).options


def test_a_kind_may_have_another_pace() -> None:
    assert (21600, 5) == (only("domain: a.example").every, only("domain: a.example").timeout)


@pytest.mark.parametrize(
    ("written", "spans"),
    [
        ("200", ((200, 200),)),
        ("200-299", ((200, 299),)),
        ("200, 204", ((200, 200), (204, 204))),
        ("[200, 300 - 399, '404,410']", ((200, 200), (300, 399), (404, 404), (410, 410))),
    ],
)
def test_a_status_is_a_number_a_span_or_several(written: str, spans: tuple[tuple[int, int], ...]) -> None:
    assert (
        spans
        == only(
            f"http: https://a\nexpect: {{status: {written}}}".replace("200, 204", "'200, 204'")
        ).expect.status
    )


@pytest.mark.parametrize(
    ("written", "pattern"),
    [
        ("/a.b/", "a.b"),
        ("a.b", r"a\.b"),
        ("/", r"\/"),
        ("/usr/bin", r"\/usr\/bin"),
        ("Grüße (neu)", r"Grüße\ \(neu\)"),
        ("|\n      one\n      two", "one\\\ntwo"),
    ],
)
def test_a_body_is_a_pattern_between_slashes_or_a_text(written: str, pattern: str) -> None:
    assert pattern == only(f"http: https://a\nexpect:\n  body: {written}").expect.body


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("up", '"up"'),
        ("200", "200"),
        ("-1.5e3", "-1.5e3"),
        ("'200'", '"200"'),
        ("true", "true"),
        ("yes", '"yes"'),
        ("True", '"True"'),
        ("null", "null"),
        ("''", '""'),
        ("010", '"010"'),
        ("0x10", '"0x10"'),
        ("2024-01-01", '"2024-01-01"'),
        ("[1, a, {b: null, '1': false}]", '[1,"a",{"b":null,"1":false}]'),
        ('"a\\"b\\n"', '"a\\"b\\n"'),
    ],
)
def test_a_json_value_is_json_where_it_reads_as_json_and_text_elsewhere(written: str, expected: str) -> None:
    assert {"$.a": expected} == only(f"http: https://a\nexpect: {{json: {{$.a: {written}}}}}").expect.json


def test_a_machine_without_time_zones_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tzdata", None)
    zoneinfo.reset_tzpath([])
    zones.cache_clear()
    try:
        assert "install its package tzdata" in problems("page: {time_zone: Europe/Berlin}")[0][1]
        assert "UTC" == parse("page: {time_zone: UTC}").page.time_zone
    finally:
        zoneinfo.reset_tzpath()
        zones.cache_clear()


def test_a_machine_without_time_zones_of_its_own_has_those_of_tzdata() -> None:
    zoneinfo.reset_tzpath([])
    zones.cache_clear()
    try:
        assert "Asia/Kathmandu" == parse("page: {time_zone: Asia/Kathmandu}").page.time_zone
        at = datetime(2026, 1, 1, tzinfo=zoneinfo.ZoneInfo.no_cache("Asia/Kathmandu"))
        assert timedelta(hours=5, minutes=45) == at.utcoffset()
    finally:
        zoneinfo.reset_tzpath()
        zones.cache_clear()


@pytest.mark.parametrize("on", [True, False])
def test_the_garbage_collector_is_left_as_it_was(on: bool) -> None:
    (gc.enable if on else gc.disable)()
    try:
        parse(SAMPLE)
        problems("page: *nobody")
        assert on == gc.isenabled()
    finally:
        gc.enable()


def test_unquoted_words_stay_what_was_written() -> None:
    found = only("icmp: a\nregions: [no, on, 1e3, 010]".replace("1e3", "'1e3'"))
    assert ("no", "on", "1e3", "010") == found.regions
    assert ("1.10", "yes") == only("dns: a\nexpect: {answer: [1.10, yes]}").expect.answer


def test_merged_defaults_give_way_to_what_a_monitor_says_itself() -> None:
    text = "x-near: &near {every: 1m, retries: 2}\nx-far: &far {retries: 5, timeout: 9s}\n" + monitor(
        "<<: [*near, *far]\nicmp: a\nevery: 2m"
    )
    [found] = parse(text).monitors()
    assert (120, 2, 9) == (found.every, found.retries, found.timeout)


def test_fifty_aliases_are_allowed_and_nobody_follows_them_twice() -> None:
    text = "x-m: &m {icmp: a}\ncomponents:\n- name: A\n  monitors: [" + ", ".join(["*m"] * 50) + "]"
    assert 50 == len(list(parse(text).monitors()))


def seconds(run: Callable[[], object]) -> float:
    """Of this thread's own work: what else runs on the machine does not count."""
    began = time.thread_time()
    run()
    took = time.thread_time() - began
    # A coverage tool's tracing makes it three times as much.
    return took if sys.gettrace() is None else took / 3


def test_a_bomb_ends_at_once() -> None:
    assert seconds(lambda: problems(BOMB)) < 1
    assert seconds(lambda: problems("x-a: &a 1\nx-b: [" + "*a," * 1_000_000 + "]")) < 1
    assert (
        seconds(lambda: problems("x-b: [" + ",".join(f"&a{n} 1" for n in range(100_000)) + "]\nfoo: 1")) < 2
    )


@pytest.mark.no_cover  # counting lines would make it three times as long
def test_the_twenty_thousand_and_first_monitor_is_one_too_many() -> None:
    head = "components:\n- name: A\n  monitors:\n"
    assert [(20_004, "this is one monitor too many: at most 20,000 in a file, so take some out")] == problems(
        head + "  - icmp: a\n" * 20_001
    )


def first_cells(text: str) -> set[str]:
    rows = re.findall(r"^\| (.*?) \|", text, re.MULTILINE)
    return {key for row in rows for key in re.findall(r"`(.*?)`", row)}


def test_the_reference_is_true_and_names_every_key() -> None:
    text = DOCS.read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    catalogs = [parse(block) for block in blocks]
    assert 6 == len(catalogs)
    for catalog in catalogs:
        for each in catalog.monitors():
            Expectation(each.expect)
    places = ("the file", "`page`", "a group", "a component", "a rule")
    keys = {key for place in places for key in KEYS[place]} | set(COMMON) | set(Expect.__struct_fields__)
    tables = re.findall(r"^\| key \|.*\n\|.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert keys | {"x-..."} == first_cells("".join(tables))


def test_the_reference_of_the_probes_has_a_section_for_every_kind() -> None:
    assert set(KINDS) == {title for title in SECTIONS if re.fullmatch("[a-z0-9]+", title)}


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_reference_says_of_a_kind_is_true(kind: str) -> None:
    section = SECTIONS[kind]
    blocks = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    assert blocks
    for block in blocks:
        listed = "".join(f"  {line}\n" for line in block.splitlines())
        catalog = parse(f"components:\n- name: A\n  monitors:\n{listed}")
        heard = msgspec.json.decode(msgspec.json.encode(catalog), type=Catalog)
        assert (catalog, catalog.revision) == (heard, heard.revision)
        for each in [each for each in heard.monitors() if each.kind == kind]:
            Expectation(each.expect)
            assert read_words(KINDS[kind], each.options).clash(each.target) is None
    shared = {word.name for struct in (Connecting, Securing) for word in words_of(struct)}
    own = {word.name for word in own_words(kind, expected=False)}
    assert own - shared == first_cells(section)
    assert own & shared <= first_cells(SECTIONS["What all connections have in common"])
    [said] = re.findall(r"^Expects: (.*)$", section, re.MULTILINE)
    expected = [*KINDS[kind].expects, *(word.name for word in own_words(kind, expected=True))]
    assert said == (", ".join(f"`{word}`" for word in expected) or "nothing")
    for inner in (word.inner for word in own_words(kind, expected=False)):
        assert inner is None or {f"`{word.name}`" for word in words_of(inner)} <= set(
            re.findall("`.*?`", section)
        )


def test_the_reference_of_the_probes_names_every_reason() -> None:
    rows = dict(re.findall(r"^\| (.*?) \| (.*?) \|$", SECTIONS["What comes out"], re.MULTILINE))
    assert {reason: words for reason, words in rows.items() if reason in REASONS} == REASONS


def test_no_word_of_a_kind_is_a_kind_or_a_word_of_all() -> None:
    """They stand side by side in the file."""
    own = {word.name for kind in KINDS for word in own_words(kind, expected=False)}
    assert not own & {*KINDS, *COMMON}
    expected = {word.name for kind in KINDS for word in own_words(kind, expected=True)}
    assert not expected & {*own, *KINDS, *COMMON, *Expect.__struct_fields__}


def test_what_the_file_may_expect_the_workers_can_judge() -> None:
    paths = ["$", "$.a.b[0]", "$['a b'].c", "$.ü-1", "$" + ".a" * 20]
    expect = ", ".join(f'"{path}": {n}' for n, path in enumerate(paths))
    found = only(f"http: https://a\nexpect: {{json: {{{expect}}}, body: '/{'(a|b)' * 99}/'}}")
    Expectation(found.expect)


FRAGMENTS = [
    "page:", "groups:", "components:", "monitors:", "name:", "slug:", "expect:", "json:", "headers:", "every:",
    "http:", "tcp:", "dns:", "tls:", "icmp:", "push:", "status:", "body:", "<<:", "x-a:", "&a", "*a", "!!str", "!x",
    "- ", "[", "]", "{", "}", ", ", "\n", "\n  ", "\n    ", " ", "30s", "a", "https://a", "${A}", "${", "'", '"',
    "|", ">", "?", ":", "#", "%", "@", "\t", "\\", "/a/", "$.a", "200-299", "[::1]:1", "1e999", "---", "...",
]  # fmt: skip
KEY_WORDS = sorted({key for keys in KEYS.values() for key in keys})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(FRAGMENTS),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEY_WORDS) | st.text(), inner, max_size=5)
    ),
    max_leaves=10,
)


def catalog_or_problems(read: Callable[[], Catalog]) -> None:
    began = time.thread_time()
    try:
        catalog = read()
    except StatusFileError as error:
        assert error.problems and str(error)
    else:
        assert catalog == msgspec.json.decode(msgspec.json.encode(catalog), type=Catalog)
        for each in catalog.monitors():
            Expectation(each.expect)
    assert time.thread_time() - began < 1


@given(st.text() | st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join))
@settings(max_examples=300, deadline=None)
def test_any_text_gives_a_catalog_or_problems(text: str) -> None:
    catalog_or_problems(lambda: parse(text))


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_gives_a_catalog_or_problems(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(SAMPLE)))
    end = data.draw(st.integers(start, min(start + 30, len(SAMPLE))))
    damage = data.draw(st.sampled_from(["", *FRAGMENTS]) | st.text(max_size=5))
    catalog_or_problems(lambda: parse(SAMPLE[:start] + damage + SAMPLE[end:]))


@given(st.dictionaries(st.sampled_from(["page", "groups", "components"]), VALUES))
@settings(max_examples=150, deadline=None)
def test_any_values_give_a_catalog_or_problems(values: dict[str, Any]) -> None:
    catalog_or_problems(lambda: parse(json.dumps(values, ensure_ascii=False)))


@given(
    st.dictionaries(st.sampled_from(KEYS["a monitor"]), VALUES),
    st.dictionaries(st.sampled_from(KEYS["`expect`"]), VALUES),
)
@settings(max_examples=100, deadline=None)
def test_any_monitor_gives_a_catalog_or_problems(values: dict[str, Any], expect: dict[str, Any]) -> None:
    document = {"components": [{"name": "A", "monitors": [values | {"http": "https://a", "expect": expect}]}]}
    catalog_or_problems(lambda: parse(json.dumps(document, ensure_ascii=False)))


@given(content=st.binary())
@settings(max_examples=100, deadline=None)
def test_any_bytes_give_a_catalog_or_problems(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(content)
    catalog_or_problems(lambda: load(file))


@pytest.mark.no_cover  # counting lines would make it three times as long
def test_a_file_of_ten_thousand_monitors_loads_in_three_seconds(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    file.write_text(large())
    catalogs: list[Catalog] = []
    assert seconds(lambda: catalogs.append(load(file))) < 3
    assert 10_000 == len(list(catalogs[0].monitors()))


def large() -> str:
    lines = ["components:"]
    for component in range(1000):
        lines += [f"- name: Component {component}", "  monitors:"]
        lines += [
            f"  - {{http: https://host-{component}-{n}.example/health, every: 30s, timeout: 5s, headers: {{A: ${{T}}}}, "
            f"expect: {{status: 200-299, body: '/ok-{component}-{n}/', json: {{$.db: up}}}}}}"
            for n in range(10)
        ]
    return "\n".join(lines)


def problem_of(path: Path) -> str:
    with pytest.raises(StatusFileError) as caught:
        load(path)
    [problem] = caught.value.problems
    assert 0 == problem.line
    assert str(caught.value) == f"{path}: {problem.message}"
    return problem.message


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    assert "there is no such file" in problem_of(tmp_path / "none.yaml")


def test_a_directory_is_one_sentence(tmp_path: Path) -> None:
    assert "it is a directory: name the YAML file itself" in problem_of(tmp_path)


def test_a_pipe_is_one_sentence_and_does_not_wait_for_its_other_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "it is not a regular file" in problem_of(tmp_path / "pipe")


def test_a_file_that_may_not_be_read_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "statuswire.yaml"
    file.write_text("page: {}")
    file.chmod(0)
    with nobody():
        assert "this process may not read it" in problem_of(file)


class nobody:
    """Root may read everything, so it must not be root who asks."""

    def __enter__(self) -> None:
        self.was = os.geteuid()
        if self.was == 0:
            os.seteuid(65534)

    def __exit__(self, *_: object) -> None:
        os.seteuid(self.was)


def test_a_name_that_no_file_can_have_is_one_sentence(tmp_path: Path) -> None:
    assert "it cannot be read" in problem_of(tmp_path / ("a" * 300))
    assert "it cannot be read" in problem_of(Path("a\0b"))


def test_a_file_in_another_encoding_is_told_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "statuswire.yaml"
    file.write_bytes("page:\n  name: Zürich\n".encode("latin-1"))
    with pytest.raises(StatusFileError) as caught:
        load(file)
    assert [Problem(2, "the byte 0xFC is not UTF-8: save the file as UTF-8")] == caught.value.problems
    file.write_bytes("page: {}\n".encode("utf-16"))
    assert "the file is UTF-16: save it as UTF-8" == problem_of(file)


def test_a_file_that_is_too_large_is_told_so_even_if_it_is_cut_within_a_letter(tmp_path: Path) -> None:
    file = tmp_path / "statuswire.yaml"
    file.write_bytes(b"#" + "ü".encode() * 3 * 1024 * 1024)
    assert "the file is larger than 4 MiB" in problem_of(file)


def test_a_byte_order_mark_and_windows_line_ends_are_welcome(tmp_path: Path) -> None:
    file = tmp_path / "statuswire.yaml"
    file.write_bytes(b"\xef\xbb\xbfpage:\r\n  name: A\r\n")
    assert "A" == load(file).page.name


@asynccontextmanager
async def watched(path: Path, rest: float = REST) -> AsyncIterator[list[Catalog | StatusFileError]]:
    heard: list[Catalog | StatusFileError] = []

    async def listen() -> None:
        async for found in watch(path, every=0.02, rest=rest):
            heard.append(found if isinstance(found, StatusFileError) else found.catalog)

    task = asyncio.create_task(listen())
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "statuswire.yaml"
    path.write_text("page: {name: one}")
    return path


def name_of(found: Catalog | StatusFileError) -> str:
    return found.page.name if isinstance(found, Catalog) else "bad"


async def test_watch_tells_the_file_as_it_stands_and_then_each_change(file: Path) -> None:
    async with watched(file) as heard:
        await eventually(lambda: len(heard) == 1)
        file.write_text("page: {name: two}")
        await eventually(lambda: len(heard) == 2)
        replacement = file.with_suffix(".new")
        replacement.write_text("page: {name: six}")
        replacement.rename(file)
        await eventually(lambda: len(heard) == 3)
    assert ["one", "two", "six"] == [name_of(found) for found in heard]


async def test_watch_hears_a_change_that_keeps_size_and_time(file: Path) -> None:
    os.utime(file, (1, 1))
    async with watched(file) as heard:
        await eventually(lambda: len(heard) == 1)
        file.write_text("page: {name: two}")
        os.utime(file, (1, 1))
        await eventually(lambda: len(heard) == 2)
    assert "two" == name_of(heard[1])


async def test_watch_says_nothing_of_a_file_that_was_only_touched(file: Path) -> None:
    async with watched(file) as heard:
        await eventually(lambda: len(heard) == 1)
        file.touch()
        # Nothing is to happen, and for that there is no condition to wait for.
        await asyncio.sleep(0.1)
        os.utime(file, (1, 1))
        await asyncio.sleep(0.1)
        file.write_text("page: {name: two}")
        await eventually(lambda: len(heard) == 2)
    assert ["one", "two"] == [name_of(found) for found in heard]


async def test_watch_tells_a_bad_file_once_and_the_good_one_after_it(file: Path) -> None:
    async with watched(file) as heard:
        await eventually(lambda: len(heard) == 1)
        file.write_text("paje: {}")
        await eventually(lambda: len(heard) == 2)
        file.unlink()
        await eventually(lambda: len(heard) == 3)
        file.write_text("page: {name: one}")
        await eventually(lambda: len(heard) == 4)
    assert ["one", "bad", "bad", "one"] == [name_of(found) for found in heard]
    assert "did you mean `page`?" in str(heard[1])
    assert "there is no such file" in str(heard[2])


@pytest.mark.no_cover  # counting lines would make it late
async def test_a_change_of_the_file_is_heard_within_a_tenth_of_a_second(file: Path) -> None:
    took = []

    async def listen() -> None:
        async for found in watch(file):
            heard.append(found.catalog.page.name if isinstance(found, Said) else "bad")
            came.set()

    heard: list[str] = []
    came = asyncio.Event()
    listening = asyncio.create_task(listen())
    for n in range(9):
        await came.wait()
        came.clear()
        await asyncio.sleep(0.007 * n)  # not in step with the glances
        began = time.perf_counter()
        file.write_text(f"page: {{name: n{n}}}")
        await came.wait()
        took.append(time.perf_counter() - began)
        came.set()
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    assert ["one", *(f"n{n}" for n in range(9))] == heard
    # The median: one that is late may be the machine's fault.
    assert sorted(took)[4] < 0.1


def test_a_process_that_watches_the_file_can_end(file: Path) -> None:
    async def look_once() -> None:
        async with watched(file) as heard:
            await eventually(lambda: len(heard) == 1)

    began = time.perf_counter()
    # It waits for its threads.
    asyncio.run(look_once())
    assert time.perf_counter() - began < 5.0


async def test_watch_waits_for_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    path = tmp_path / "late.yaml"
    async with watched(path) as heard:
        await eventually(lambda: len(heard) == 1)
        path.write_text("page: {name: late}")
        await eventually(lambda: len(heard) == 2)
    assert ["bad", "late"] == [name_of(found) for found in heard]


async def test_watch_does_not_take_half_a_file_for_the_whole(file: Path) -> None:
    """Each piece is a good file, or a bad one, but none of them is what the editor means."""
    async with watched(file, rest=0.2) as heard:
        await eventually(lambda: len(heard) == 1)
        with file.open("w") as pen:
            for piece in (
                "page: {name: two}\n",
                "components:\n",
                "- name: A\n",
                "  slug: b\n",
                "- name: B",
                "c\n",
            ):
                pen.write(piece)
                pen.flush()
                await asyncio.sleep(0.03)
        await eventually(lambda: len(heard) == 2)
    assert ["A", "Bc"] == [component.name for component in heard[1].components]  # type: ignore[union-attr]


async def test_watch_forgives_a_moment_without_a_file(file: Path) -> None:
    aside = file.with_suffix(".aside")
    async with watched(file) as heard:
        await eventually(lambda: len(heard) == 1)
        file.rename(aside)
        await asyncio.sleep(0.05)
        aside.write_text("page: {name: two}")
        aside.rename(file)
        await eventually(lambda: len(heard) == 2)
    assert ["one", "two"] == [name_of(found) for found in heard]


async def test_watch_gives_a_bad_file_one_chance_more(file: Path) -> None:
    async with watched(file) as heard:
        await eventually(lambda: len(heard) == 1)
        file.write_text("page: {name: ")
        # Long enough that it has been seen twice, and too short to be called bad.
        await asyncio.sleep(0.25)
        file.write_text("page: {name: two}")
        await eventually(lambda: len(heard) == 2)
    assert ["one", "two"] == [name_of(found) for found in heard]


@pytest.mark.no_cover  # counting lines would make it three times as long
async def test_ten_thousand_monitors_do_not_hold_up_the_loop(file: Path) -> None:
    file.write_text(large())
    worst = 0.0
    async with watched(file) as heard:
        began = last = time.perf_counter()
        while not heard:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            worst, last = max(worst, now - last), now
    assert 10_000 == len(list(heard[0].monitors()))  # type: ignore[union-attr]
    # A fortieth of it when nothing else runs; on the loop itself it would be nearly all.
    assert worst < (last - began) / 2
