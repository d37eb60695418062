"""The tables are brought up to date once, whoever tries and however often, the same on both engines."""

import asyncio
import fcntl
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest
from piccolo.apps.migrations.auto.diffable_table import DiffableTable
from piccolo.apps.migrations.auto.schema_differ import SchemaDiffer
from piccolo.apps.migrations.auto.schema_snapshot import SchemaSnapshot
from piccolo.apps.migrations.commands.base import BaseMigrationManager

from app.db.catalog import write_whole_since
from app.db.engine import APP, MIGRATIONS, Transaction, connect, known_migrations
from app.db.history import History
from app.db.migrate import bring_up_to_date, migrate
from app.db.piccolo_app import APP_CONFIG
from app.db.tables import TABLES
from app.domain.instant import from_ms
from tests.rows import a_database, config_for, rows
from tests.services import ROOT, Statuswire, free_port


async def test_four_processes_at_once_all_succeed(database_url: str) -> None:
    with ExitStack() as stack:
        started = [
            stack.enter_context(Statuswire("migrate", DATABASE_URL=database_url)).start() for _ in range(4)
        ]
        codes = [await asyncio.to_thread(command.process.wait, 60) for command in started if command.process]
        assert codes == [0] * 4, [command.logs for command in started]
    database = await connect(config_for(database_url))
    try:
        found = await rows(database, "SELECT name FROM migration ORDER BY name")
        assert [row["name"] for row in found] == known_migrations()
        assert await rows(database, "SELECT * FROM feed_cursor") == [{"name": "feed", "at": "0-0"}]
    finally:
        await database.close()


async def test_a_second_migration_changes_nothing_and_says_nothing(
    database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = list(sys.path)
    await bring_up_to_date(config_for(database_url))
    async with a_database(database_url) as database:
        before = await rows(database, "SELECT * FROM migration")
    await bring_up_to_date(config_for(database_url))
    async with a_database(database_url) as database:
        assert await rows(database, "SELECT * FROM migration") == before
    assert capfd.readouterr() == ("", "")
    assert sys.path == path


async def test_a_migration_that_is_interrupted_leaves_nothing_behind(database_url: str) -> None:
    """Also no table without the note that it was made, which the next run would stumble over."""
    config = config_for(database_url)
    steps = 0
    while True:
        steps += 1
        task = asyncio.create_task(bring_up_to_date(config))
        # Not every single step: there are hundreds.
        for _ in range(steps * 7):
            await asyncio.sleep(0)
        if task.done():
            break
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await tables_of(database_url) == set()
        if steps > 12:
            break
    async with a_database(database_url) as database:
        assert await rows(database, "SELECT * FROM feed_cursor") == [{"name": "feed", "at": "0-0"}]


async def test_a_migration_waits_for_another_one(tmp_path: Path) -> None:
    config = config_for(f"sqlite:///{tmp_path}/s.db")
    with (tmp_path / "s.db.migrate").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        waiting = asyncio.create_task(bring_up_to_date(config))
        await asyncio.wait({waiting}, timeout=0.3)
        assert not waiting.done()
        fcntl.flock(other, fcntl.LOCK_UN)
        await waiting
    await (await connect(config)).close()


async def tables_of(url: str) -> set[str]:
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as file:
            found = {name for (name,) in file.execute("SELECT name FROM sqlite_master")}
        file.close()
        return found
    connection = await asyncpg.connect(url)
    try:
        asked = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        return {row["tablename"] for row in await connection.fetch(asked)}
    finally:
        await connection.close()


async def test_the_migrations_make_what_the_tables_say(tmp_path: Path) -> None:
    """So that the next step can be written by `piccolo migrations new statuswire --auto`."""
    async with a_database(f"sqlite:///{tmp_path}/s.db"):
        managers = await BaseMigrationManager().get_migration_managers(APP_CONFIG)
        made = SchemaSnapshot(managers).get_snapshot()
        wanted = [
            DiffableTable(
                class_name=table.__name__,
                tablename=table._meta.tablename,
                columns=table._meta.non_default_columns,
            )
            for table in TABLES
        ]
        differ = SchemaDiffer(schema=wanted, schema_snapshot=made, auto_input="y")
        assert [change.statements for change in differ.get_alter_statements() if change.statements] == []


async def test_both_engines_get_the_same_tables_and_indexes(sqlite_url: str, postgres_url: str) -> None:
    async with AsyncExitStack() as both:
        sqlite = await both.enter_async_context(a_database(sqlite_url))
        postgres = await both.enter_async_context(a_database(postgres_url))
        indexes = await rows(
            sqlite, "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        )
        theirs = await rows(
            postgres,
            "SELECT indexname AS name FROM pg_indexes"
            " WHERE schemaname = 'public' AND indexname NOT LIKE '%_pkey'",
        )
        assert {row["name"] for row in indexes} == {row["name"] for row in theirs}
        for table in TABLES:
            name = table._meta.tablename
            ours = await rows(sqlite, f"PRAGMA table_info({name})")
            theirs = await rows(
                postgres,
                "SELECT column_name AS name, is_nullable FROM information_schema.columns"
                " WHERE table_name = {}",
                name,
            )
            nullable = {row["name"]: not row["notnull"] for row in ours}
            assert nullable == {row["name"]: row["is_nullable"] == "YES" for row in theirs}


async def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "down" / "s.db"
    async with a_database(f"sqlite:///{file}") as database:
        await rows(database, "SELECT 1 AS one")
        for name in ("s.db", "s.db-wal", "s.db-shm"):
            assert stat.S_IMODE((file.parent / name).stat().st_mode) == 0o600


def test_every_migration_names_itself_as_its_file_does() -> None:
    for file in MIGRATIONS.glob("*.py"):
        if file.name != "__init__.py":
            assert f'ID = "{file.stem}"' in file.read_text()
            assert file.stem.startswith(f"{APP}_")


def test_the_command_says_in_one_sentence_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "s.db"
    file.write_text("not a database, but long enough to look like one " * 40)
    assert_one_sentence(f"sqlite:///{file}", f"The database {file} is no SQLite database; ")
    assert_one_sentence(f"sqlite:///{file}/s.db", "cannot be opened for writing: ")
    (tmp_path / "t.db.migrate").mkdir()
    assert_one_sentence(f"sqlite:///{tmp_path}/t.db", "t.db.migrate cannot be written: ")


def test_the_command_says_in_one_line_what_it_did(tmp_path: Path) -> None:
    file = tmp_path / "s.db"
    for sentence in (
        f"The database {file} is up to date now; these steps were done: {', '.join(known_migrations())}.\n",
        f"The database {file} is up to date; there was nothing to do.\n",
    ):
        with Statuswire("migrate", DATABASE_URL=f"sqlite:///{file}") as command:
            assert command.run() == 0
            assert command.logs == sentence
    # `up` starts it at each of its own starts, and has other things to say.
    with Statuswire("migrate", DATABASE_URL=f"sqlite:///{file}", STATUSWIRE_SUPERVISED="1") as command:
        assert (command.run(), command.logs) == (0, "")


def assert_one_sentence(url: str, sentence: str) -> None:
    with Statuswire("migrate", DATABASE_URL=url) as command:
        assert command.run() == 2
        assert sentence in command.logs
        assert len(command.logs.splitlines()) == 1


def test_the_exit_code_is_two_for_a_postgres_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert migrate(config_for(f"postgres://me:secret@127.0.0.1:{free_port()}/db")) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "cannot be reached" in said.err
    assert "secret" not in said.err


def test_the_piccolo_command_knows_our_migrations(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    assert migrate(config_for(url)) == 0
    told = subprocess.run(
        [sys.executable, "-m", "piccolo.main", "migrations", "check"],
        env={**os.environ, "DATABASE_URL": url, "PICCOLO_CONF": "app.piccolo_conf", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr
    ran = [line.split()[-1] for line in told.stdout.splitlines() if line.startswith("statuswire ")]
    assert ran == ["True"] * len(known_migrations())


async def test_latencies_of_before_they_were_in_sheets_are_taken_along(database_url: str) -> None:
    """A minute, an hour and a day as the first version wrote them."""
    async with a_database(database_url) as database, database.writing() as transaction:
        await as_first_version(transaction)
        await transaction.execute_many(
            "INSERT INTO latency_rollups (id, component, length, start, samples, counts)"
            " VALUES ({}, 'api', {}, {}, {}, {})",
            [
                (1, 60, 3_660_000, 3, '{"40":2,"41":1}'),
                (2, 3600, 3_600_000, 4, '{"40":4}'),
                (3, 86400, 0, 5, '{"0":5}'),
            ],
        )
    async with a_database(database_url) as database:
        found = await History(database).latency("api", from_ms(0), from_ms(7_200_000))
        assert found.counts == {0: 5, 40: 6, 41: 1}
        minute = await History(database).latency("api", from_ms(3_660_000), from_ms(3_720_000))
        assert minute.counts == {40: 2, 41: 1}
    assert "latency_rollups" not in await tables_of(database_url)


async def test_of_the_time_before_patches_were_kept_whole_nothing_is_replayed(database_url: str) -> None:
    async with a_database(database_url) as database, database.writing() as transaction:
        await as_first_version(transaction)
        await transaction.execute("UPDATE feed_cursor SET at = '9-0'")
        await write_whole_since(transaction, "1-0")
    async with a_database(database_url) as database:
        assert await History(database).recent(500) == ("9-0", [])
    assert "notes" not in await tables_of(database_url)


async def as_first_version(transaction: Transaction) -> None:
    """Of what other steps made nothing is taken back: it is only the second halves of history and of patches
    that are to run again."""
    sheets = ("latency_sheets_once", "latency_sheets_open", "latency_sheets_by_start")
    for index in ("latency_fresh_once", *sheets, "patches_once"):
        await transaction.execute(f"DROP INDEX {index}")
    await transaction.execute(
        "CREATE TABLE latency_rollups (id BIGINT PRIMARY KEY, component TEXT, length INTEGER,"
        " start BIGINT, samples INTEGER, counts TEXT)"
    )
    await transaction.execute("CREATE TABLE notes (id BIGINT PRIMARY KEY, event TEXT, component TEXT)")
    for name in ("statuswire_0006_history_2", "statuswire_0008_patches_2"):
        await transaction.execute("DELETE FROM migration WHERE name = {}", name)
