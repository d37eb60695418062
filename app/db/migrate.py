"""Bring the tables up to date. Any number of processes may try at once: one does the work, the others wait
for it.

All steps run in one transaction together with the note that they have run. Piccolo writes that note after
its own transaction, so that a crash between the two would leave a database that no later run can migrate.
"""

import asyncio
import fcntl
import io
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, redirect_stdout
from pathlib import Path
from typing import Final

from app.config import Config
from app.db.engine import APP, Database, DatabaseDown, Transaction, known_migrations, refuse_newer

# Any number, as long as no other user of the same Postgres database takes the same.
_ADVISORY_LOCK: Final = 7_283_447_295


def migrate(config: Config, *, tell: bool = False) -> int:
    """The exit code: 0 if the tables are up to date now, else 2, after one sentence on stderr. To `tell` is
    to say on stdout what was done."""
    try:
        done = asyncio.run(bring_up_to_date(config))
    except DatabaseDown as error:
        print(error, file=sys.stderr)
        return 2
    if tell:
        print(done)
    return 0


async def bring_up_to_date(config: Config) -> str:
    """What was done, in a sentence."""
    if (file := config.sqlite_file) is None:
        return await _bring_up_to_date(config)
    _prepare(file)
    async with _locked(file.with_name(f"{file.name}.migrate")):
        return await _bring_up_to_date(config)


async def _bring_up_to_date(config: Config) -> str:
    database = Database(config, patient=True)
    await database.open()
    try:
        async with database.writing() as transaction:
            if not transaction.sqlite:
                await transaction.execute(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
            applied = await _applied(transaction)
            refuse_newer(database.name, applied)
            steps = sorted(set(known_migrations()) - applied)
            if steps:
                await _run(database)
    finally:
        await database.close()
    if not steps:
        return f"{database.name} is up to date; there was nothing to do."
    return f"{database.name} is up to date now; these steps were done: {', '.join(steps)}."


async def _applied(transaction: Transaction) -> set[str]:
    tables = "pg_tables WHERE schemaname = current_schema() AND tablename"
    if transaction.sqlite:
        tables = "sqlite_master WHERE name"
    if not await transaction.fetch(f"SELECT 1 AS one FROM {tables} = 'migration'"):
        return set()
    rows = await transaction.fetch("SELECT name FROM migration WHERE app_name = {}", APP)
    return {row["name"] for row in rows}


async def _run(database: Database) -> None:
    """Within the transaction that is under way: Piccolo's own become part of it."""
    # Imported only where there is something to do: it brings a code formatter along, which takes 0.2 s.
    from piccolo.apps.migrations.commands.forwards import ForwardsMigrationManager
    from piccolo.apps.migrations.tables import Migration

    from app import piccolo_conf
    from app.db.piccolo_app import APP_CONFIG

    piccolo_conf.DB = database.engine
    Migration._meta.db = database.engine
    path = list(sys.path)
    try:
        # It tells its story on stdout, in pictures.
        with redirect_stdout(io.StringIO()):
            steps = ForwardsMigrationManager(app_name=APP)
            await steps.create_migration_table()
            await steps.run_migrations(APP_CONFIG)
    finally:
        # Piccolo puts the folder of the migrations first.
        sys.path[:] = path


def _prepare(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # It may hold what targets answered: nobody else's business.
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise DatabaseDown(
            f"The database {file} cannot be opened for writing: {error.strerror}; DATABASE_URL or --data "
            "must lead to a file that this user may write or make."
        ) from error


@asynccontextmanager
async def _locked(file: Path) -> AsyncIterator[None]:
    """SQLite's own lock is not enough: the switch to WAL does not wait for it, and of 400 processes that
    migrated in groups of eight, one failed.

    The file stays where it is: whoever removed it could remove it from under another's lock.
    """
    try:
        lock = os.open(file, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise DatabaseDown(
            f"The lock {file} cannot be written: {error.strerror}; make the directory writable for this user."
        ) from error
    try:
        # Not in a thread: one that waits cannot be cancelled, and would take whatever has our number then.
        while not _taken(lock):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        yield
    finally:
        os.close(lock)


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
