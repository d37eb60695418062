"""What another status page has becomes a file that our own reader takes, and the report names all the rest.
No file, however damaged or hostile, ends in anything but a sentence."""

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.incident import Impact, IncidentStatus
from app.domain.status import Status
from app.importing import gatus, statuspage, uptime_kuma
from app.importing.harvest import Harvest, NotReadable
from app.statusfile.catalog import parse
from tests.services import ROOT

SAMPLES = ROOT / "tests/samples"


def report(harvest: Harvest, *words: str) -> None:
    """Each of these is in a line of its own."""
    lines = harvest.report()
    assert all(any(word in line for line in lines) for word in words), lines


# Gatus


def test_the_example_of_gatus_is_taken_over() -> None:
    harvest = gatus.read((SAMPLES / "gatus.yaml").read_bytes())
    catalog = harvest.catalog()
    monitors = {monitor.key: monitor for monitor in catalog.monitors()}
    assert catalog.groups == ("core", "internal")
    assert list(monitors) == [
        *("front-end/http", "back-end/http", "monitoring/http", "nas/http"),
        *("example-dns-query/dns", "icmp-ping/icmp", "check-domain-expiration/domain"),
    ]
    front = monitors["front-end/http"]
    assert (front.every, front.timeout) == (300.0, 10.0)
    assert front.expect.status == ((200, 200),) and front.expect.json == {"$.status": '"UP"'}
    assert front.expect.slower_than == 0.15
    assert monitors["back-end/http"].expect.certificate_days == 2
    assert monitors["example-dns-query/dns"].target == "example.com@8.8.8.8"
    report(harvest, "changed: front-end: slower than 150 ms is degraded")


GATUS = """
ui:
  header: Acme
  logo: https://acme.example/logo.png
  buttons: [{name: Home, link: "https://acme.example"}]
alerting: {slack: {webhook-url: "https://hooks.example/secret"}}
x-default: &default {interval: 1m30s, conditions: ["[STATUS] == 200"]}
x-connected: &connected {conditions: ["[CONNECTED] == true"]}
endpoints:
  - {<<: *default, name: Plain, url: "https://a.example"}
  - {<<: *default, name: Off, enabled: false, url: "https://a.example"}
  - {<<: *default, name: Named, url: "https://me:hunter2@b.example/x"}
  - name: Many
    url: https://b.example/x?a=1&access_token=canary-query
    method: POST
    body: '{"a": 1}'
    headers: {X-Api-Key: canary-token, Accept: text/plain}
    client:
      timeout: 2m
      ignore-redirect: true
      oauth2: {token-url: "https://c.example", client-id: me, client-secret: canary-secret, scopes: [a]}
    conditions:
      - "[STATUS] == any(200, 204)"
      - "[BODY].data[0].id == 7"
      - "[BODY].name == pat(a*)"
      - "len([BODY].x) > 1"
  - name: Range
    url: https://a.example
    conditions: ["[STATUS] >= 200", "[STATUS] < 300", "[STATUS] != 201"]
  - {name: Words, url: "tcp://a.example:25", conditions: ["[BODY] == pat(*ready (now)*)"]}
  - {<<: *connected, name: Mail, url: "starttls://mail.example:587"}
  - {<<: *connected, name: Game, url: "udp://a.example:9"}
  - {<<: *connected, name: Zwei, group: G, url: "grpcs://a.example:443"}
  - {name: Bad, url: "https://", conditions: ["nonsense"]}
external-endpoints: [{name: Backup, token: canary-push, heartbeat: {interval: 24h}}]
announcements:
  - {timestamp: "2025-11-07T14:00:00Z", type: outage, message: Down, archived: true}
"""


def test_conditions_of_gatus_become_what_means_the_same() -> None:
    harvest = gatus.read(GATUS.encode())
    catalog = harvest.catalog()
    monitors = {monitor.key: monitor for monitor in catalog.monitors()}
    assert "canary" not in harvest.text() and "hunter2" not in harvest.text()
    assert not any("canary" in line for line in harvest.report())
    many = monitors["many/http"]
    assert many.target == "https://b.example/x?a=1&access_token=${GATUS_MANY_ACCESS_TOKEN}"
    assert many.timeout == 60.0
    assert many.expect.status == ((200, 200), (204, 204)) and many.expect.json == {"$.data[0].id": "7"}
    assert many.options["headers"] == {"X-Api-Key": "${GATUS_MANY_X_API_KEY}", "Accept": "text/plain"}
    assert many.options["auth"]["oauth2"]["secret"] == "${GATUS_MANY_CLIENT_SECRET}"
    assert monitors["named/http"].target == "https://b.example/x"
    assert monitors["named/http"].options["auth"]["basic"]["user"] == "me"
    assert monitors["range/http"].expect.status == ((200, 200), (202, 299))
    assert monitors["words/tcp"].expect.body == r"(?s)^.*ready \(now\).*$"
    assert monitors["mail/smtp"].options == {"starttls": True}
    assert monitors["backup/push"].every == 86400.0
    assert catalog.page.name == "Acme" and catalog.page.links[0].name == "Home"
    assert catalog.groups == ("G",)
    [incident] = harvest.incidents
    assert (incident.title, incident.status, incident.impact) == (
        "Down",
        IncidentStatus.RESOLVED,
        Impact.MAJOR,
    )
    report(
        harvest,
        "left out: `alerting`",
        "left out: Off: it is disabled",
        "left out: Game: there is no kind of monitor for udp",
        "left out: Bad: ",
        "left out: Many: no assertion means the same as the condition 'len([BODY].x) > 1'",
        "to do: Many: set GATUS_MANY_X_API_KEY",
    )


# Statuspage


OUT = "aaaaaaaaaaa2"
SUMMARY = {
    "page": {"name": "Example", "url": "https://status.example.com", "time_zone": "Etc/UTC"},
    "components": [
        {"id": "aaaaaaaaaaa1", "name": "Git", "position": 2, "group_id": "gggggggggggg", "group": False},
        {"id": OUT, "name": "Site", "position": 1, "group_id": None, "group": False, "description": "It"},
        {"id": "gggggggggggg", "name": "Core", "position": 3, "group": True, "components": ["aaaaaaaaaaa1"]},
    ],
    "incidents": [
        {
            "id": "h028tnzw1n5l",
            "name": "Elevated errors",
            "status": "monitoring",
            "impact": "minor",
            "created_at": "2026-01-02T10:00:00.000Z",
            "components": [{"id": OUT, "status": "major_outage"}],
            "incident_updates": [
                {"status": "monitoring", "body": "Fixed", "display_at": "2026-01-02T12:00:00.000+01:00"},
                {"status": "investigating", "body": "Hm", "display_at": "2026-01-02T10:00:00.000Z"},
            ],
        },
        {"id": "p028tnzw1n5l", "name": "Work", "scheduled_for": "2026-02-02T10:00:00.000Z"},
        {"id": "q028tnzw1n5l", "name": "Mute", "created_at": "2026-01-02T10:00:00.000Z"},
    ],
}


@pytest.mark.parametrize(
    "content",
    [
        SUMMARY,
        {**SUMMARY, "components": SUMMARY["components"][:2], "component_groups": SUMMARY["components"][2:]},
    ],
)
def test_a_statuspage_is_taken_over(content: object) -> None:
    harvest = statuspage.read(msgspec.json.encode(content))
    catalog = harvest.catalog()
    assert (catalog.page.name, catalog.page.time_zone) == ("Example", "UTC")
    assert [(each.slug, each.group) for each in catalog.components] == [("git", "Core"), ("site", None)]
    [incident] = harvest.incidents
    assert (incident.id, incident.status, incident.impact) == ("h028tnzw1n5l", "monitoring", Impact.MINOR)
    assert [update.words for update in incident.updates] == ["Hm", "Fixed"]
    assert incident.updates[1].at == datetime(2026, 1, 2, 11, tzinfo=UTC)
    assert [(each.slug, each.status) for each in incident.components] == [("site", Status.MAJOR)]
    report(harvest, "left out: Work: planned work", "left out: Mute: it says nothing")


def test_one_answer_of_its_api_is_enough() -> None:
    harvest = statuspage.read(msgspec.json.encode(SUMMARY["components"]))
    assert [each.name for each in harvest.catalog().components] == ["Git", "Site"]


# Uptime Kuma


KUMA = """
INSERT INTO monitor (id, name, type, url, interval, maxretries, active, method, headers, auth_method,
    basic_auth_user, basic_auth_pass, accepted_statuscodes_json, weight) VALUES
  (1, 'Shop', 'http', 'https://shop.example/', 60, 2, 1, 'GET', '{"X-Api-Key": "canary-key"}', 'basic',
   'me', 'canary-password', '["200-299","304"]', 2000);
INSERT INTO monitor (id, name, type, url, keyword, interval) VALUES
  (2, 'Words', 'keyword', 'https://shop.example/?token=canary-query', 'Add to basket', 20);
INSERT INTO monitor (id, name, type, hostname, port, interval) VALUES
  (3, 'Port', 'port', 'shop.example', 443, 60), (4, 'Ping', 'ping', '192.0.2.1', NULL, 60);
INSERT INTO monitor (id, name, type, hostname, dns_resolve_type, dns_resolve_server, interval) VALUES
  (5, 'Dns', 'dns', 'shop.example', 'MX', '192.0.2.53', 60);
INSERT INTO monitor (id, name, type, url, interval, upside_down) VALUES
  (6, 'Upside', 'http', 'https://shop.example/', 60, 1);
INSERT INTO monitor (id, name, type, interval, active) VALUES
  (7, 'Paused', 'ping', 60, 0), (8, 'Box', 'docker', 60, 1);
INSERT INTO monitor (id, name, type, database_connection_string, interval) VALUES
  (9, 'Base', 'postgres', 'postgres://me:canary-pw@db.example:5433/shop', 60);
INSERT INTO monitor (id, name, type, push_token, interval) VALUES
  (10, 'Backup', 'push', 'canary-token', 86400);
INSERT INTO monitor (id, name, type, interval) VALUES (11, 'Backend', 'group', 60);
UPDATE monitor SET parent = 11 WHERE id = 9;
INSERT INTO status_page (id, slug, title, icon, theme, footer_text) VALUES
  (1, 'default', 'Acme Status', '/icon.svg', 'auto', 'Imprint'),
  (2, 'inner', 'Inside', '/icon.svg', 'auto', NULL);
INSERT INTO "group" (id, name, public, weight, status_page_id) VALUES
  (1, 'Public', 1, 1, 1), (2, 'All', 1, 1, 2);
INSERT INTO monitor_group (monitor_id, group_id, weight) VALUES (1, 1, 2), (3, 1, 1), (9, 2, 1);
INSERT INTO status_page_cname (status_page_id, domain) VALUES (2, 'status.inside.example');
INSERT INTO incident (id, title, content, style, created_date, active, status_page_id) VALUES
  (1, 'Trouble', 'We look into it.', 'danger', '2026-01-01 10:00:00', 1, 1);
INSERT INTO heartbeat (important, monitor_id, status, time) VALUES
  (1, 1, 1, '2026-01-01 00:00:00.000'), (0, 1, 1, '2026-01-01 00:01:00.000'),
  (1, 1, 2, '2026-01-01 00:09:00.000'), (1, 1, 0, '2026-01-01 00:10:00.000'),
  (1, 1, 1, '2026-01-01 00:20:00.000'), (0, 1, 1, '2026-01-01 01:00:00.000');
"""


def a_kuma(folder: Path, version: str) -> Path:
    file = folder / "kuma.db"
    with closing(sqlite3.connect(file)) as database:
        database.executescript((SAMPLES / f"uptime_kuma_{version}.sql").read_text() + KUMA)
    return file


@pytest.mark.parametrize("version", ["1.23", "2"])
def test_a_database_of_uptime_kuma_is_taken_over(tmp_path: Path, version: str) -> None:
    harvest = uptime_kuma.read(a_kuma(tmp_path, version))
    catalog = harvest.catalog()
    monitors = {monitor.key: monitor for monitor in catalog.monitors()}
    assert set(monitors) == {
        *("shop/http", "words/http", "port/tcp", "ping/icmp", "dns/dns", "base/postgres", "backup/push"),
    }
    assert "canary" not in harvest.text() and not any("canary" in line for line in harvest.report())
    shop = monitors["shop/http"]
    assert (shop.every, shop.retries, shop.expect.status) == (60.0, 2, ((200, 299), (304, 304)))
    assert shop.options["auth"] == {"basic": {"user": "me", "password": "${KUMA_SHOP_PASSWORD}"}}
    assert monitors["words/http"].target == "https://shop.example/?token=${KUMA_WORDS_TOKEN}"
    assert monitors["words/http"].expect.body == "Add\\ to\\ basket"
    assert monitors["dns/dns"].target == "shop.example@192.0.2.53"
    assert monitors["base/postgres"].options["database"] == "shop"
    assert (catalog.page.name, catalog.page.components) == ("Acme Status", ("port", "shop"))
    assert [(page.slug, page.hosts) for page in catalog.pages] == [("inner", ("status.inside.example",))]
    assert {each.slug for each in catalog.components if each.hidden} == {"words", "ping", "dns", "backup"}
    assert {each.slug: each.group for each in catalog.components}["base"] == "Backend"
    report(
        harvest,
        "left out: Upside: it is upside down",
        "left out: Paused: it is paused",
        "left out: Box: there is no kind of monitor for docker",
    )


@pytest.mark.parametrize("version", ["1.23", "2"])
def test_what_uptime_kuma_remembers_is_taken_over(tmp_path: Path, version: str) -> None:
    harvest = uptime_kuma.read(a_kuma(tmp_path, version))
    stretches = [(each.status, f"{each.since:%H:%M}", f"{each.until:%H:%M}") for each in harvest.history]
    assert stretches == [
        (Status.OPERATIONAL, "00:00", "00:10"),
        (Status.MAJOR, "00:10", "00:20"),
        (Status.OPERATIONAL, "00:20", "01:00"),
    ]
    [incident] = harvest.incidents
    assert (incident.title, incident.impact, incident.is_open) == ("Trouble", Impact.MAJOR, True)


def test_the_file_of_uptime_kuma_is_not_touched(tmp_path: Path) -> None:
    file = a_kuma(tmp_path, "2")
    before = file.read_bytes()
    (tmp_path / "kuma.db-wal").write_bytes(b"a journal of somebody else")
    uptime_kuma.read(file)
    assert file.read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["kuma.db", "kuma.db-wal"]


# What is none


def a_view(file: Path) -> None:
    """Tables that are views: what they would run has no end."""
    with closing(sqlite3.connect(file)) as database:
        endless = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT id FROM n"
        database.execute(f"CREATE VIEW monitor AS {endless}")
        database.execute(f"CREATE VIEW heartbeat AS {endless}")


def torn(file: Path) -> None:
    content = a_kuma(file.parent, "2").read_bytes()
    file.write_bytes(content[: len(content) // 3])


def empty_database(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE other (id INTEGER)")


@pytest.mark.parametrize(
    "make",
    [
        a_view,
        torn,
        empty_database,
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(b"SQLite format 3\0" + bytes(200)),
        lambda file: file.mkdir(),
        lambda file: None,
    ],
)
def test_what_is_no_database_of_uptime_kuma_is_a_sentence(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    file = tmp_path / "given.db"
    make(file)
    with pytest.raises(NotReadable) as refused:
        uptime_kuma.read(file)
    assert str(refused.value).endswith(".") and "\n" not in str(refused.value)


def test_no_damage_to_the_file_ends_in_anything_else(tmp_path: Path) -> None:
    whole = a_kuma(tmp_path, "2").read_bytes()
    chance = random.Random(7)
    file = tmp_path / "damaged.db"
    for _ in range(60):
        content = bytearray(whole)
        for _ in range(chance.choice((1, 20, 400))):
            content[chance.randrange(len(content))] = chance.randrange(256)
        file.write_bytes(content)
        try:
            parse(uptime_kuma.read(file).text())
        except NotReadable:
            pass


def test_a_value_of_any_kind_in_any_column_ends_in_nothing_else(tmp_path: Path) -> None:
    odd = [
        None,
        -1,
        2**40,
        1.5,
        "",
        "\x00\x1b[2J",
        "a" * 5000,
        b"\xff\xfe",
        "https://[",
        "${",
        "\u202e",
        "{}",
    ]
    file = a_kuma(tmp_path, "2")
    with closing(sqlite3.connect(file)) as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(monitor)") if row[1] != "id"]
    chance = random.Random(7)
    for _ in range(40):
        with closing(sqlite3.connect(file)) as database:
            database.execute("PRAGMA ignore_check_constraints = ON")
            for column in chance.sample(columns, 10):
                try:
                    database.execute(
                        f'UPDATE monitor SET "{column}" = ? WHERE id = ?',
                        (chance.choice(odd), chance.randint(1, 11)),
                    )
                except sqlite3.IntegrityError:
                    continue
            database.commit()
        try:
            parse(uptime_kuma.read(file).text())
        except NotReadable:
            pass


def trees(keys: str, texts: list[str]) -> st.SearchStrategy[object]:
    """What JSON may hold, with keys that the reader looks for."""
    leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(texts)
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(keys.split()), inner, max_size=6)
        ),
        max_leaves=30,
    )


OF_STATUSPAGE = (
    "page components incidents id name group group_id incident_updates body status created_at position impact"
)
OF_GATUS = (
    "endpoints name url conditions client timeout headers dns query-name interval ui title announcements "
    "message timestamp oauth2 ssh group"
)


@given(trees(OF_STATUSPAGE, ["2026-01-02T10:00:00Z", "resolved", "h028tnzw1n5l"]))
def test_no_json_ends_in_anything_but_a_harvest_or_a_sentence(content: object) -> None:
    try:
        parse(statuspage.read(msgspec.json.encode({"components": content, "incidents": content})).text())
    except NotReadable:
        pass


@given(trees(OF_GATUS, ["https://a.example", "[STATUS] == 200", "[BODY] == pat(*)", "tcp://a:1", "1h"]))
def test_no_yaml_ends_in_anything_but_a_harvest_or_a_sentence(content: object) -> None:
    try:
        # Every JSON is YAML.
        parse(gatus.read(msgspec.json.encode({"endpoints": content})).text())
    except NotReadable:
        pass


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"a: [", b"- 1", b"endpoints: !!python/object:os.system x", b"&a [*a]"]
)
def test_what_is_no_config_of_gatus_is_a_sentence(content: bytes) -> None:
    with pytest.raises(NotReadable) as refused:
        gatus.read(content)
    assert str(refused.value).rstrip(")").endswith(".") and "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b"{}", b"[" * 100_000, b'{"components": 1}'])
def test_what_is_no_statuspage_is_a_sentence(content: bytes) -> None:
    with pytest.raises(NotReadable):
        statuspage.read(content)
