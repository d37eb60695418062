"""The database: transactions that are whole or not at all, and one sentence for whatever goes wrong."""

import asyncio
import re
import socket
import sqlite3
import time
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest
from piccolo.querystring import QueryString

from app.config import Config
from app.db import engine
from app.db.engine import (
    CLOSE_PATIENCE,
    Database,
    DatabaseDown,
    PooledPostgresEngine,
    PooledSQLiteEngine,
    WrongVersion,
    connect,
    engine_for,
)
from app.db.migrate import bring_up_to_date
from app.db.tables import SettingRow
from tests.conftest import eventually
from tests.rows import a_database, config_for, rows
from tests.services import Postgres, free_port

pytest_plugins = ["tests.databases"]


async def put(database: Database, name: str) -> None:
    async with database.writing() as transaction:
        await transaction.execute("INSERT INTO settings (name, value) VALUES ({}, {})", name, "x")


async def names(database: Database) -> list[str]:
    return [row["name"] for row in await rows(database, "SELECT name FROM settings ORDER BY name")]


# Transactions


async def test_a_transaction_that_raises_writes_nothing(database: Database) -> None:
    with pytest.raises(KeyError):
        async with database.writing() as transaction:
            await transaction.execute_many(
                "INSERT INTO settings (name, value) VALUES ({}, {})", [("a", "1"), ("b", "2")]
            )
            raise KeyError
    assert await names(database) == []
    await put(database, "c")
    assert await names(database) == ["c"]


async def test_execute_says_how_many_rows_it_touched(database: Database) -> None:
    async with database.writing() as transaction:
        await transaction.execute_many(
            "INSERT INTO settings (name, value) VALUES ({}, 'x')", [("a",), ("b",)]
        )
        await transaction.execute_many("INSERT INTO settings (name, value) VALUES ({}, 'x')", [])
        assert await transaction.execute("UPDATE settings SET value = {}", "y") == 2
        assert await transaction.execute("UPDATE settings SET value = {} WHERE name = {}", "y", "none") == 0
        assert await transaction.execute("DELETE FROM settings WHERE name = {}", "a") == 1


async def test_a_file_that_was_removed_or_replaced_takes_no_more_writes(
    sqlite_database: Database, tmp_path: Path
) -> None:
    file, elsewhere = tmp_path / "statuswire.db", tmp_path / "elsewhere.db"
    file.rename(elsewhere)
    with pytest.raises(
        DatabaseDown, match=r"statuswire\.db was removed or replaced while it was in use; put"
    ):
        await put(sqlite_database, "a")
    file.write_bytes(elsewhere.read_bytes())
    with pytest.raises(DatabaseDown, match="was removed or replaced"):
        await put(sqlite_database, "a")
    elsewhere.rename(file)
    await put(sqlite_database, "b")
    assert await names(sqlite_database) == ["b"]


async def test_all_that_one_transaction_reads_is_of_one_instant(database: Database) -> None:
    async with database.reading() as transaction:
        assert await transaction.fetch("SELECT name FROM settings") == []
        await put(database, "meanwhile")
        assert await transaction.fetch("SELECT name FROM settings") == []
    assert await names(database) == ["meanwhile"]


async def test_nothing_can_be_written_while_reading(database: Database) -> None:
    with pytest.raises(DatabaseDown, match="is read-only"):
        async with database.reading() as transaction:
            await transaction.execute("INSERT INTO settings (name, value) VALUES ('a', 'b')")


async def test_piccolos_own_queries_take_part_in_a_transaction(database: Database) -> None:
    with pytest.raises(KeyError):
        async with database.writing() as transaction:
            await SettingRow.insert(SettingRow(name="a", value="1"))
            assert await transaction.fetch(SettingRow.select(SettingRow.name)) == [{"name": "a"}]
            raise KeyError
    assert await SettingRow.count() == 0


async def test_piccolos_own_queries_work_outside_of_a_transaction_too(database: Database) -> None:
    await SettingRow.insert(SettingRow(name="a", value="1"))
    await SettingRow.update({SettingRow.value: "2"}, force=True)
    assert await SettingRow.select() == [{"name": "a", "value": "2"}]
    assert await SettingRow.raw("SELECT value FROM settings") == [{"value": "2"}]


async def test_many_who_read_and_then_write_all_succeed(database: Database, prepared_url: str) -> None:
    other = await connect(config_for(prepared_url))

    async def add(database: Database, name: str) -> None:
        async with database.writing() as transaction:
            await transaction.fetch("SELECT name FROM settings")
            await transaction.execute("INSERT INTO settings (name, value) VALUES ({}, 'x')", name)

    try:
        await asyncio.gather(*(add([database, other][n % 2], f"{n:03}") for n in range(200)))
        assert len(await names(database)) == 200
    finally:
        await other.close()


async def test_a_cancelled_writer_lets_the_next_one_write(database: Database) -> None:
    began = asyncio.Event()

    async def write_and_wait() -> None:
        async with database.writing() as transaction:
            await transaction.execute("INSERT INTO settings (name, value) VALUES ('a', 'b')")
            began.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(write_and_wait())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await put(database, "b")
    assert await names(database) == ["b"]


async def test_an_error_in_our_own_sql_is_no_trouble_of_the_database(database: Database) -> None:
    with pytest.raises((sqlite3.OperationalError, asyncpg.PostgresSyntaxError)):
        async with database.reading() as transaction:
            await transaction.fetch("SELEC")
    with pytest.raises((sqlite3.IntegrityError, asyncpg.DataError)):
        async with database.writing() as transaction:
            await transaction.execute("INSERT INTO settings (name, value) VALUES ({}, NULL)", 7)


async def test_a_closed_database_says_so(prepared_url: str) -> None:
    async with a_database(prepared_url) as database:
        await database.close()
        await database.close()
        with pytest.raises(DatabaseDown, match="is closed"):
            await names(database)


async def test_databases_can_be_opened_one_after_the_other(tmp_path: Path) -> None:
    for name in ("a", "b"):
        async with a_database(f"sqlite:///{tmp_path}/{name}.db") as database:
            await put(database, name)
            assert await names(database) == [name]
            assert [row["name"] for row in await SettingRow.select()] == [name]


# SQLite


async def test_sqlite_keeps_a_log_beside_the_file_and_checks_references(tmp_path: Path) -> None:
    async with a_database(f"sqlite:///{tmp_path}/s.db") as database:
        for transaction in (database.reading, database.writing):
            async with transaction() as asked:
                [mode] = await asked.fetch("PRAGMA journal_mode")
                [wait] = await asked.fetch("PRAGMA busy_timeout")
                [synchronous] = await asked.fetch("PRAGMA synchronous")
                [references] = await asked.fetch("PRAGMA foreign_keys")
            assert (mode["journal_mode"], wait["timeout"], synchronous["synchronous"]) == ("wal", 5000, 1)
            assert references["foreign_keys"] == 1


async def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    file = tmp_path / "s.db"
    with pytest.raises(
        WrongVersion, match=f"There is no database {file} yet; run `statuswire migrate` first"
    ):
        await connect(config_for(f"sqlite:///{file}"))
    assert not file.exists()


async def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    file = tmp_path / "s.db"
    file.write_bytes(b"It was a dark and stormy night." * 100)
    with pytest.raises(DatabaseDown, match=r"s\.db is no SQLite database; name another"):
        await connect(config_for(f"sqlite:///{file}"))
    with pytest.raises(DatabaseDown, match=r"s\.db is no SQLite database; name another"):
        await bring_up_to_date(config_for(f"sqlite:///{file}"))


async def test_a_damaged_database_is_said_to_be_damaged(tmp_path: Path) -> None:
    file = tmp_path / "s.db"
    async with a_database(f"sqlite:///{file}"):
        pass
    with file.open("r+b") as damaged:
        damaged.seek(4096)
        damaged.write(b"\xff" * (file.stat().st_size - 4096))
    with pytest.raises(
        DatabaseDown, match=r"s\.db is damaged; stop Statuswire, move the file away"
    ) as caught:
        async with opened(f"sqlite:///{file}") as database:
            await names(database)
    assert caught.value.what == "is damaged"


def opened(url: str) -> "Opened":
    return Opened(url)


class Opened:
    """A database as it is, without a look at its tables first."""

    def __init__(self, url: str) -> None:
        self._database = Database(config_for(url))

    async def __aenter__(self) -> Database:
        await self._database.open()
        return self._database

    async def __aexit__(self, *_: object) -> None:
        await self._database.close()


async def test_a_locked_database_is_waited_for_and_then_said_to_be_locked(tmp_path: Path) -> None:
    file = tmp_path / "s.db"
    async with a_database(f"sqlite:///{file}") as database:
        assert isinstance(database.engine, PooledSQLiteEngine)
        other = sqlite3.connect(file, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            writing = asyncio.create_task(put(database, "patient"))
            await asyncio.sleep(0.2)
            other.execute("COMMIT")
            await writing
            writer = await database.engine._writers.get()
            await writer.execute_fetchall("PRAGMA busy_timeout = 10")
            database.engine._writers.put_nowait(writer)
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DatabaseDown, match=r"s\.db is locked by another program; end that one"):
                await put(database, "b")
            assert await names(database) == ["patient"]
            other.execute("COMMIT")
            await put(database, "b")
        finally:
            other.close()


async def test_a_database_in_a_folder_that_is_a_file_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    url = f"sqlite:///{tmp_path}/file/s.db"
    with pytest.raises(DatabaseDown, match="cannot be opened"):
        async with opened(url):
            pass
    with pytest.raises(DatabaseDown, match="cannot be opened for writing: "):
        await bring_up_to_date(config_for(url))


SLOW = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000000) "
    "SELECT sum(i) AS s FROM n"
)


@pytest.mark.parametrize("writing", [False, True])
async def test_a_cancelled_statement_of_sqlite_is_ended_and_not_waited_for(
    tmp_path: Path, writing: bool
) -> None:
    async with a_database(f"sqlite:///{tmp_path}/s.db") as database:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2), database.engine.transact(writing=writing) as connection:
                await connection.execute_fetchall(SLOW)
        assert time.monotonic() - began < 0.6
        await put(database, "after")
        for _ in range(4):  # each reader, and the one that was interrupted among them
            assert await names(database) == ["after"]


async def test_many_cancelled_statements_of_sqlite_are_ended_too(tmp_path: Path) -> None:
    """Between two of them there is nothing that could be interrupted."""
    async with a_database(f"sqlite:///{tmp_path}/s.db") as database:
        many = [(f"{n}", "x") for n in range(1_000_000)]
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), database.writing() as transaction:
                await transaction.execute_many("INSERT INTO settings (name, value) VALUES ({}, {})", many)
        assert time.monotonic() - began < 0.6
        await put(database, "after")
        assert await names(database) == ["after"]


async def test_a_reader_that_is_not_given_back_makes_others_wait_only_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "PATIENCE", 0.05)
    async with a_database(f"sqlite:///{tmp_path}/s.db") as database:
        async with database.reading(), database.reading(), database.reading():
            with pytest.raises(DatabaseDown, match="does not answer in time"):
                await names(database)
        assert await names(database) == []


# Postgres


async def test_a_postgres_that_is_not_there_is_said_to_be_unreachable() -> None:
    url = f"postgres://me:secret@127.0.0.1:{free_port()}/db"
    with pytest.raises(DatabaseDown, match=r"The Postgres database db at 127\.0\.0\.1:\d+ cannot be reached"):
        await connect(config_for(url))


async def test_a_postgres_that_never_answers_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "CONNECT_PATIENCE", 0.3)
    loop = asyncio.get_running_loop()
    before = loop.time()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(DatabaseDown, match="does not answer in time"):
            await connect(config_for(f"postgres://me:secret@127.0.0.1:{port}/db"))
    assert loop.time() - before < 2


async def test_a_wrong_name_or_user_is_said_and_the_password_is_not(postgres_url: str) -> None:
    elsewhere = re.sub(r"/test_\d+", "/nowhere", postgres_url).replace("postgres@", "postgres:secret@")
    with pytest.raises(DatabaseDown, match=r"The Postgres database nowhere at .* does not exist") as caught:
        await connect(config_for(elsewhere))
    assert "secret" not in str(caught.value)
    stranger = postgres_url.replace("postgres@", "stranger:secret@")
    with pytest.raises(DatabaseDown, match="does not let us in; check the user and the password") as caught:
        await connect(config_for(stranger))
    assert "secret" not in str(caught.value)


async def test_a_statement_that_takes_too_long_is_ended(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "PATIENCE", 0.2)
    async with a_database(postgres_url) as database:
        with pytest.raises(DatabaseDown, match="did not finish in time"):
            async with database.reading() as transaction:
                await transaction.fetch("SELECT pg_sleep(5)")
        assert await names(database) == []


async def test_a_migration_beside_a_running_server_costs_one_more_try(postgres_url: str) -> None:
    """Jobs go on after every DatabaseDown, and end the server after what is none."""
    async with a_database(postgres_url) as database:

        async def read() -> None:
            async with database.reading() as transaction:
                await transaction.fetch("SELECT * FROM settings")

        await read()
        async with database.writing() as transaction:
            await transaction.execute("ALTER TABLE settings ADD COLUMN more TEXT")
        with pytest.raises(DatabaseDown, match="was migrated meanwhile"):
            await read()
        await read()


async def test_no_connection_left_is_said(postgres: Postgres, postgres_url: str) -> None:
    async with a_database(postgres_url):
        admin = await asyncpg.connect(postgres_url)
        try:
            await admin.execute("CREATE ROLE few LOGIN CONNECTION LIMIT 0")
            with pytest.raises(DatabaseDown, match="has no connection left for us"):
                await connect(config_for(postgres_url.replace("postgres@", "few@")))
        finally:
            await admin.execute("DROP ROLE few")
            await admin.close()


async def test_a_user_without_rights_is_told_so(postgres_url: str) -> None:
    async with a_database(postgres_url):
        admin = await asyncpg.connect(postgres_url)
        try:
            await admin.execute("CREATE ROLE nobody LOGIN")
            with pytest.raises(DatabaseDown, match="does not allow what we need"):
                await connect(config_for(postgres_url.replace("postgres@", "nobody@")))
        finally:
            await admin.execute("DROP ROLE nobody")
            await admin.close()


async def test_a_cancellation_is_not_lost_on_a_postgres_that_has_frozen() -> None:
    """Else a server that is told to stop would not: its jobs go on after every DatabaseDown."""
    with Postgres() as server:
        async with a_database(await server.start().create_database()) as database:

            async def write(name: str, statements: int) -> None:
                async with database.writing() as transaction:
                    insert = "INSERT INTO settings (name, value) VALUES ({}, 'x')"
                    await transaction.execute(insert, name)
                    server.pause()
                    for _ in range(statements):
                        await transaction.fetch("SELECT 1")

            for name, statements in (("in a statement", 1), ("at the end", 0)):
                writing = asyncio.create_task(write(name, statements))
                _, pending = await asyncio.wait([writing], timeout=0.3)
                assert pending
                writing.cancel()
                _, late = await asyncio.wait([writing], timeout=2 * CLOSE_PATIENCE + 1)
                server.resume()
                assert not late
                assert writing.cancelled()
            # Of the other, Postgres had been told to keep it.
            assert await names(database) == ["at the end"]


async def test_a_postgres_that_comes_back_is_spoken_to_again() -> None:
    with Postgres() as server:
        url = await server.start().create_database()
        async with a_database(url) as database:
            await put(database, "before")
            server.stop()
            with pytest.raises(DatabaseDown, match="cannot be reached"):
                await names(database)
            server.start()
            await eventually(lambda: is_up(database))
            assert await names(database) == ["before"]


async def is_up(database: Database) -> bool:
    try:
        return await names(database) is not None
    except DatabaseDown:
        return False


def sentences() -> list[tuple[Exception, str]]:
    """What no test can bring about, in the words of the drivers."""
    pg = asyncpg.exceptions
    return [
        (pg.DataCorruptedError("invalid page"), r"is damaged \(invalid page\); restore a backup"),
        (pg.OutOfMemoryError("out of memory"), r"is full \(out of memory\)"),
        (pg.DeadlockDetectedError("deadlock"), r"did not finish in time"),
        (pg.InternalClientError("?"), r"cannot be reached"),
        (ConnectionResetError(), r"cannot be reached \(ConnectionResetError\)"),
    ]


@pytest.mark.parametrize(("error", "sentence"), sentences())
async def test_every_known_error_becomes_a_sentence(error: Exception, sentence: str) -> None:
    database = Database(config_for("postgres://me:secret@127.0.0.1/db"))
    with pytest.raises(DatabaseDown, match=sentence), database._plainly():
        raise error


# Versions


async def test_a_database_of_a_newer_version_is_refused(database_url: str) -> None:
    await in_migrations(database_url, "INSERT", "statuswire_9999_future")
    for refuses in (
        lambda: connect(config_for(database_url)),
        lambda: bring_up_to_date(config_for(database_url)),
    ):
        with pytest.raises(
            WrongVersion, match=r"was written by a newer Statuswire .statuswire_9999_future"
        ) as e:
            await refuses()
        assert e.value.what == "is too new"


async def test_a_database_of_an_older_version_asks_to_be_migrated(database_url: str) -> None:
    await in_migrations(database_url, "DELETE", "statuswire_0002_indexes")
    with pytest.raises(WrongVersion, match="is of an older version; run `statuswire migrate` first"):
        await connect(config_for(database_url))


async def test_a_database_without_tables_asks_to_be_migrated(postgres_url: str, tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "s.db").close()
    for url in (postgres_url, f"sqlite:///{tmp_path}/s.db"):
        with pytest.raises(
            DatabaseDown, match="lacks tables of this version; run `statuswire migrate` first"
        ):
            await connect(config_for(url))


async def in_migrations(url: str, what: str, name: str) -> None:
    async with a_database(url) as database, database.writing() as transaction:
        if what == "INSERT":
            await transaction.execute(
                "INSERT INTO migration (name, app_name) VALUES ({}, 'statuswire')", name
            )
        else:
            await transaction.execute("DELETE FROM migration WHERE name = {}", name)


# The piccolo command


async def test_until_it_is_opened_an_engine_is_piccolos_own(tmp_path: Path) -> None:
    """As the `piccolo` command uses it: no pool, no loop to belong to."""
    async with a_database(f"sqlite:///{tmp_path}/s.db") as database:
        await put(database, "a")
    plain = engine_for(config_for(f"sqlite:///{tmp_path}/s.db"))
    assert await plain.run_querystring(QueryString("SELECT name FROM settings")) == [{"name": "a"}]


@pytest.mark.parametrize(
    ("url", "kind"),
    [("sqlite:///data/s.db", PooledSQLiteEngine), ("postgres://me@h/db", PooledPostgresEngine)],
)
async def test_the_engine_is_chosen_by_the_url_and_connects_to_nothing_yet(url: str, kind: type) -> None:
    assert isinstance(engine_for(Config.read({"DATABASE_URL": url})), kind)


def test_the_default_is_sqlite_in_the_data_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chosen = engine_for(Config.read({"STATUSWIRE_DATA": str(tmp_path)}))
    assert isinstance(chosen, PooledSQLiteEngine)
    assert chosen.path == f"{tmp_path}/statuswire.db"
