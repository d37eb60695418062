"""`statuswire config` and `import`, on a database: what runs as a file, and a file as what runs."""

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from argon2 import PasswordHasher

from app.cli import main
from app.db.backfill import backfill
from app.db.catalog import write_catalog
from app.db.definitions import write_definitions
from app.db.engine import Database, connect
from app.domain.credentials import Variables
from app.domain.monitor import Catalog
from app.domain.status import Status
from app.domain.uptime import Span
from app.statusfile.catalog import parse
from app.statusfile.writing import write
from tests.make import NOON, a_catalog, a_component, a_monitor, after
from tests.rows import config_for, rows
from tests.test_importing import SAMPLES, SUMMARY, a_kuma

# pytest imports it itself, as the plugin it is.
if TYPE_CHECKING:
    from tests.databases import Prepared

pytest_plugins = ["tests.databases"]

FILE = "components: [{name: Shop, monitors: [{http: https://a.example, every: 1m}]}, {name: Cart}]"
OTHER = "components: [{name: Shop, monitors: [{http: https://a.example, every: 2m}]}]"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    prepared: "Prepared", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """A command in a folder with a database of its own."""
    monkeypatch.chdir(tmp_path)
    url = asyncio.run(prepared.sqlite_url(tmp_path / "statuswire.db"))
    monkeypatch.setenv("DATABASE_URL", url)

    def command(*words: str) -> tuple[int, str, str]:
        code = main(words)
        return code, *capsys.readouterr()

    return command


def asked(folder: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "statuswire.db")) as database:
        return database.execute(sql).fetchall()


def told(folder: Path) -> str:
    """The catalog that was told last, which a server would have taken over by now."""
    [(event,)] = asked(folder, "SELECT event FROM outbox ORDER BY id DESC LIMIT 1")
    return str(event)


def test_a_file_is_planned_applied_and_pruned(run: Run, tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(FILE)
    code, plan, _ = run("config", "plan", "one.yaml")
    assert (code, plan.splitlines()[-1]) == (0, "2 to create, 0 to change, 0 to delete.")
    assert "+ component shop" in plan and "every: 1m" in plan
    assert asked(tmp_path, "SELECT * FROM definitions") == []
    assert run("config", "apply", "one.yaml")[1] == plan
    assert "Shop" in told(tmp_path)
    (tmp_path / "other.yaml").write_text(OTHER)
    code, output, _ = run("config", "apply", "other.yaml", "--prune", "--json")
    # No server runs here, which would have taken over the first.
    assert code == 0 and [step["name"] for step in json.loads(output)["changes"]] == ["shop"]
    assert asked(tmp_path, "SELECT key FROM definitions") == [("component/shop",)]
    assert len(asked(tmp_path, "SELECT * FROM audit_log WHERE kind = 'console'")) == 4


def test_what_no_server_has_taken_up_yet_is_said_to_be_so(run: Run, tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(FILE)
    assert run("config", "plan", "one.yaml")[2] == run("config", "export")[2] == ""
    assert run("config", "apply", "one.yaml")[0] == 0
    for words in (("plan", "one.yaml"), ("plan", "one.yaml", "--json"), ("export",)):
        code, _, errors = run("config", *words)
        assert code == 0 and errors.startswith("statuswire: the database holds more, which no server has")
        assert errors.count("\n") == 1


def test_an_import_without_a_database_says_so_before_anything_else(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    code, output, errors = run(
        *("import", "gatus", str(SAMPLES / "gatus.yaml"), "--apply", "--data", "else where")
    )
    assert (code, output) == (2, "")
    assert errors == (
        "statuswire: There is no database else where/statuswire.db yet; "
        "run `statuswire migrate --data 'else where'` first.\n"
    )


def test_heartbeats_says_when_nobody_has_told_it_where_the_server_is(run: Run, tmp_path: Path) -> None:
    async def store(before: Catalog, file: str) -> None:
        database = await connect(config_for(f"sqlite:///{tmp_path}/statuswire.db"))
        async with database.writing() as transaction:
            await write_catalog(transaction, before, parse(file))
        await database.close()

    job = "components: [{name: Job, monitors: [{push: job, every: 1h}]}]"
    asyncio.run(store(Catalog(), job))
    code, output, errors = run("heartbeats", "--port", "8123")
    assert code == 0 and output.startswith("job/push  http://127.0.0.1:8123/v1/heartbeats/")
    assert errors.startswith(
        "statuswire: the page has no `url`, so these are of a server at http://127.0.0.1"
    )
    asyncio.run(store(parse(job), f"page: {{url: https://status.example}}\n{job}"))
    code, output, errors = run("heartbeats")
    assert output.startswith("job/push  https://status.example/v1/heartbeats/") and errors == ""


def test_what_is_applied_is_told_at_once_where_redis_is_and_else_left_to_a_server(
    run: Run, tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.yaml").write_text(FILE)
    (tmp_path / "other.yaml").write_text(OTHER)
    monkeypatch.setenv("REDIS_URL", redis_url)
    assert run("config", "apply", "one.yaml")[0] == 0
    assert asked(tmp_path, "SELECT * FROM outbox") == []
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    assert run("config", "apply", "other.yaml", "--prune")[0] == 0
    assert "Shop" in told(tmp_path)


def test_what_runs_is_exported_as_a_file(run: Run, tmp_path: Path) -> None:
    code, output, _ = run("config", "export")
    assert (code, parse(output).components) == (0, ())
    told_json = json.loads(run("config", "export", "--json")[1])
    assert set(told_json) == {"config", "revision", "origins"}


def test_what_an_older_release_stored_in_the_clear_is_neither_exported_nor_planned(
    run: Run, tmp_path: Path
) -> None:
    clear = {
        "headers": {"Authorization": "Bearer hidden-1", "X-Api-Key": "hidden-2"},
        "auth": {"user": "mei", "password": "hidden-3"},
    }
    hook = "https://u:hidden-4@a.example/?token=hidden-5&n=1"
    old = a_catalog(a_component("shop", a_monitor("shop/http", target=hook, options=clear)))

    async def store() -> None:
        database = await connect(config_for(f"sqlite:///{tmp_path}/statuswire.db"))
        async with database.writing() as transaction:
            await write_catalog(transaction, Catalog(), old)
            await write_definitions(transaction, Catalog(), old)
        await database.close()

    asyncio.run(store())
    for words in (("export",), ("export", "--json")):
        code, output, errors = run("config", *words)
        assert code == 0 and "${SHOP_HTTP_AUTHORIZATION}" in output and "hidden" not in output + errors
        assert errors.count("\n") == 1 and "SHOP_HTTP_PASSWORD" in errors and "SHOP_HTTP_TOKEN" in errors
    (tmp_path / "two.yaml").write_text("components: [{name: Shop, monitors: [{http: https://a.example}]}]")
    for words in (("plan", "two.yaml"), ("plan", "two.yaml", "--json")):
        code, output, errors = run("config", *words)
        assert code == 0 and "***" in output and "hidden" not in output + errors


def test_what_is_exported_of_an_older_release_can_be_applied() -> None:
    clear = {"headers": {"Authorization": "Bearer abc", "X-Trace": "1"}, "body": "token=1"}
    old = a_catalog(
        a_component("shop", a_monitor("shop/http", target="https://a.example/?token=a&key=b", options=clear)),
        a_component("1st", a_monitor("1st/http", target="https://a.example/?token=a&token=b")),
    )
    variables = Variables()
    new = parse(write(variables.of(old)))
    assert variables.names == [
        *("SHOP_HTTP_TOKEN", "SHOP_HTTP_AUTHORIZATION", "_1ST_HTTP_TOKEN", "_1ST_HTTP_TOKEN__2")
    ]
    first, second = new.components
    assert first.monitors[0].target == "https://a.example/?token=${SHOP_HTTP_TOKEN}&key=b"
    assert first.monitors[0].options["headers"]["Authorization"] == "${SHOP_HTTP_AUTHORIZATION}"
    assert (
        second.monitors[0].target == "https://a.example/?token=${_1ST_HTTP_TOKEN}&token=${_1ST_HTTP_TOKEN__2}"
    )
    # What is right stays the very same.
    assert Variables().of(new) is new


def test_a_bad_file_is_answered_with_its_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("components:\n  - nam: x\n")
    for command in ("plan", "apply"):
        code, output, errors = run("config", command, "bad.yaml")
        assert (code, output) == (2, "") and "bad.yaml:2: " in errors
        assert "does not exist" in run("config", command, "none.yaml")[2]


def test_the_schema_is_printed(run: Run) -> None:
    assert json.loads(run("config", "schema")[1])["title"] == "statuswire.yaml"


def test_a_password_becomes_what_the_file_takes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("a long password\n"))
    hashed = run("config", "password")[1].strip()
    assert PasswordHasher().verify(hashed, "a long password")
    page = f"pages: [{{slug: x, components: [], access: password, password_hash: '{hashed}'}}]"
    assert parse(page).pages[0].password_hash == hashed
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert run("config", "password")[0] == 2


def test_an_import_is_printed_first_and_applied_when_asked(run: Run, tmp_path: Path) -> None:
    file = str(a_kuma(tmp_path, "2"))
    code, output, report = run("import", "uptime-kuma", file)
    assert code == 0 and "shop" in output and parse(output)
    assert "left out: Paused: it is paused" in report and "3 stretches of history" in report
    assert asked(tmp_path, "SELECT * FROM definitions") == []
    assert "7 components" in report and ", 2 pages, 1 incident, " in report
    assert "to a new address, which `statuswire heartbeats` shows" in report
    for times in range(2):
        code, _, report = run("import", "uptime-kuma", file, "--apply")
        assert code == 0 and f"{['1 incident', '0 incidents'][times]}, {[3, 0][times]} stretches" in report
    assert len(asked(tmp_path, "SELECT * FROM spans WHERE id < 0")) == 3
    assert asked(tmp_path, "SELECT title FROM incidents") == [("Trouble",)]


def test_an_import_is_for_programs_too(run: Run, tmp_path: Path) -> None:
    found = json.loads(run("import", "gatus", str(SAMPLES / "gatus.yaml"), "--json")[1])
    assert set(found) == {"config", "incidents", "history", "report"}


@pytest.mark.parametrize("source", ["uptime-kuma", "gatus", "statuspage"])
@pytest.mark.parametrize("file", ["none", ".", "bad"])
def test_what_cannot_be_taken_over_is_one_line(run: Run, tmp_path: Path, source: str, file: str) -> None:
    (tmp_path / "bad").write_bytes(b"\x00\xff")
    code, output, errors = run("import", source, file)
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert "cannot be taken over. " in errors


async def test_history_from_elsewhere_ends_where_ours_begins(database: Database) -> None:
    spans = [
        Span(component="shop", status=Status.OPERATIONAL, since=NOON, until=after(100)),
        Span(component="shop", status=Status.MAJOR, since=after(100), until=after(300)),
        Span(component="shop", status=Status.OPERATIONAL, since=after(300), until=after(400)),
    ]
    ms = int(after(200).timestamp() * 1000)
    async with database.writing() as transaction:
        await transaction.execute(
            "INSERT INTO spans (component, status, was, since, event, n, at, monitor, reason, trace)"
            " VALUES ('shop', 'operational', 'unknown', {}, '7-0', 0, {}, '', '', '')", ms, ms,
        )  # fmt: skip
        assert await backfill(transaction, spans) == 2
        assert await backfill(transaction, spans) == 0
    found = await rows(database, "SELECT id, status, since, until FROM spans ORDER BY id")
    assert [row["status"] for row in found] == ["operational", "major_outage", "operational"]
    assert found[1]["until"] == found[2]["since"] == ms and found[1]["id"] < 0


class _Statuspage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        summary = {"page": SUMMARY["page"], "components": SUMMARY["components"]}
        answers = {
            "/api/v2/summary.json": summary,
            "/api/v2/incidents.json": {"incidents": SUMMARY["incidents"]},
        }
        found = answers.get(self.path)
        body = json.dumps(found).encode()
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_a_page_of_statuspage_is_asked_at_its_address(run: Run) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Statuspage) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        code, output, report = run("import", "statuspage", f"{address}/")
        assert (code, [each.name for each in parse(output).components]) == (0, ["Git", "Site"])
        assert ", 1 page, 1 incident, " in report
        code, output, errors = run("import", "statuspage", f"{address}/nowhere")
        server.shutdown()
    assert (code, output, errors.count("\n")) == (2, "", 1) and "give the address of a page" in errors
    code, output, errors = run("import", "statuspage", "http://127.0.0.1:9")
    assert (code, output, errors.count("\n")) == (2, "", 1)


def test_who_is_added_is_given_a_password_that_is_said_to_be_one(run: Run) -> None:
    for words in (("user", "add", "mei@example.org"), ("user", "reset", "mei@example.org")):
        code, output, errors = run(*words)
        assert code == 0 and len(output.strip()) == 20 and " " not in output
        assert errors == (
            "statuswire: the password of mei@example.org to begin with, shown this once: "
            "another is chosen at /account\n"
        )
    assert run("user", "add", "ben@example.org", "--json")[2] == ""
