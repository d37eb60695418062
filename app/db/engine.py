"""The database: SQLite in one file, or a Postgres server, opened by connect() and spoken to in transactions.

SQL is written once for both, with `{}` for a value, as everywhere in Piccolo. Whatever is wrong with the
database reaches the caller as DatabaseDown, one sentence for people.
"""

import asyncio
import os
import shlex
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, urlsplit

import aiosqlite
import asyncpg  # type: ignore[import-untyped]
from asyncpg import exceptions as pg
from piccolo.engine.postgres import PostgresEngine
from piccolo.engine.sqlite import SQLiteEngine, dict_factory
from piccolo.query import Select

from app.config import Config
from app.db.tables import TABLES

# Without this Piccolo looks for its engine in a top-level module named piccolo_conf.
os.environ.setdefault("PICCOLO_CONF", "app.piccolo_conf")

T = TypeVar("T")

# What a value becomes on its way out of SQLite. Piccolo's own do the same in Python, and took half of the
# time in which thousands of rows were read.
sqlite3.register_converter("INTEGER", int)
sqlite3.register_converter("BOOLEAN", b"1".__eq__)

APP: Final = "statuswire"
MIGRATIONS: Final = Path(__file__).resolve().parents[2] / "migrations"

READERS: Final = 3
POOL: Final = 10
PATIENCE: Final = 5.0  # seconds that a statement may take, or wait for a lock or for a connection
LONG_PATIENCE: Final = 3600.0
CONNECT_PATIENCE: Final = 3.0
CLOSE_PATIENCE: Final = 2.0
INTERRUPT_EVERY: Final = 0.02
ROWS_AT_A_TIME: Final = 1_000


class DatabaseDown(Exception):
    """One sentence: what is wrong with the database, and what would help. `what` says the former alone,
    without names and addresses, so that anybody may read it."""

    def __init__(self, sentence: str, what: str = "is not ready") -> None:
        super().__init__(sentence)
        self.what = what


class WrongVersion(DatabaseDown):
    """The database is well, but its tables are not of our version: that does not pass by itself."""


# SQL, and the rows of values that it is to be done for.
Statement = tuple[str, Sequence[tuple[object, ...]]]


class Transaction:
    """What may be asked while one lasts. `connection` is for Piccolo."""

    def __init__(self, engine: "Engine", connection: Any) -> None:
        self.connection = connection
        self.sqlite = isinstance(engine, SQLiteEngine)

    async def fetch(self, query: "str | Select[Any]", *values: object) -> list[dict[str, Any]]:
        sql: str
        arguments: Sequence[object]
        if isinstance(query, str):
            # Piccolo would take 10 ms for a thousand values.
            sql, arguments = self._placed(query), values
        else:
            compiled = query.querystrings[0].compile_string("sqlite" if self.sqlite else "postgres")
            sql, arguments = compiled
        if self.sqlite:
            return await self._in_thread(partial(_fetch_all, sql, arguments))
        return [dict(row) for row in await self.connection.fetch(sql, *arguments)]

    async def fetch_tuples(self, sql: str, *values: object) -> Sequence[Any]:
        """The columns of each row in their order, without their names: a third of the time for thousands."""
        if self.sqlite:
            return await self._in_thread(partial(_fetch_tuples, self._placed(sql), values))
        rows: Sequence[Any] = await self.connection.fetch(self._placed(sql), *values)
        return rows

    async def execute(self, sql: str, *values: object) -> int:
        """How many rows it touched."""
        if self.sqlite:
            return await self._in_thread(lambda on: int(on.execute(self._placed(sql), values).rowcount))
        answer: str = await self.connection.execute(self._placed(sql), *values)
        count = answer.rpartition(" ")[2]
        return int(count) if count.isdecimal() else 0

    async def execute_many(self, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
        await self.execute_all([(sql, rows)])

    async def execute_all(self, statements: Iterable[Statement]) -> None:
        """One after the other, each for all of its rows.

        History goes this way: Piccolo's own insert takes 25 times as long on SQLite, 7 times on Postgres.
        """
        if self.sqlite:
            for some in _in_slices(statements):
                await self._in_thread(partial(_run_all, [(self._placed(sql), rows) for sql, rows in some]))
        else:
            for sql, rows in statements:
                if rows:
                    await self.connection.executemany(self._placed(sql), rows)

    async def _in_thread(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """On the connection's own thread. aiosqlite offers one statement at a time and another way to the
        thread for closing its cursor: a change took twelve ways there and back, half of all that it cost."""
        done: T = await self.connection._execute(lambda: work(self.connection._conn))
        return done

    def _placed(self, sql: str) -> str:
        return sql.format(*("?" if self.sqlite else f"${n}" for n in range(1, sql.count("{}") + 1)))


def _fetch_all(sql: str, values: Sequence[object], connection: sqlite3.Connection) -> list[dict[str, Any]]:
    cursor = connection.execute(sql, values)
    # Piccolo's own asks for the names of the columns again with each row, which took most of the time.
    cursor.row_factory = None
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _fetch_tuples(sql: str, values: Sequence[object], connection: sqlite3.Connection) -> list[Any]:
    cursor = connection.execute(sql, values)
    cursor.row_factory = None
    return cursor.fetchall()


def _in_slices(statements: Iterable[Statement]) -> Iterator[list[Statement]]:
    """So many rows at a time: within a slice, nothing ends it if we are cancelled."""
    some: list[Statement] = []
    room = ROWS_AT_A_TIME
    for sql, rows in statements:
        first = 0
        while first < len(rows):
            some.append((sql, rows[first : first + room]))
            first += room
            room -= len(some[-1][1])
            if not room:
                yield some
                some, room = [], ROWS_AT_A_TIME
    if some:
        yield some


def _run_all(statements: Iterable[Statement], connection: sqlite3.Connection) -> None:
    for sql, rows in statements:
        connection.executemany(sql, rows)


class PooledSQLiteEngine(SQLiteEngine):
    """One connection that writes and a few that read, kept open.

    Piccolo's own engine opens a connection and a thread for each query: a single insert took 18 times as
    long, a read 6 times. Until open() this is that engine, as the `piccolo` command wants it.
    """

    __slots__ = ("_file", "_opened", "_readers", "_writers")

    def __init__(self, file: Path, *, patient: bool = False) -> None:
        super().__init__(
            path=str(file), timeout=LONG_PATIENCE if patient else PATIENCE, cached_statements=512
        )
        self._opened = False
        self._file: tuple[int, int] | None = None
        self._writers: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()
        self._readers: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()

    async def open(self) -> None:
        try:
            writer = await self._connect()
            self._writers.put_nowait(writer)
            # WAL stays with the file: readers go on while one writes, and see what was there before.
            await writer.execute_fetchall("PRAGMA journal_mode=WAL")
            for _ in range(READERS):
                reader = await self._connect()
                self._readers.put_nowait(reader)
                await reader.execute_fetchall("PRAGMA query_only=ON")
        except BaseException:
            for idle in (self._readers, self._writers):
                while not idle.empty():
                    await idle.get_nowait().close()
            raise
        self._file = _identity(self.path)
        self._opened = True

    async def close(self) -> None:
        """Returns when nothing is under way any more, or after a while: to stop must not take long."""
        if self._opened:
            self._opened = False
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_PATIENCE):
                    for idle, count in ((self._readers, READERS), (self._writers, 1)):
                        for _ in range(count):
                            await (await idle.get()).close()

    @asynccontextmanager
    async def transact(self, *, writing: bool) -> AsyncIterator[aiosqlite.Connection]:
        if not self._opened:
            raise DatabaseDown(f"The database {self.path} is closed.")
        idle = self._writers if writing else self._readers
        # Not wait_for: until Python 3.12 it swallows a cancellation that comes in the same turn.
        async with asyncio.timeout(PATIENCE):
            connection = await idle.get()
        try:
            if writing:
                self._refuse_another_file()
            # IMMEDIATE takes the lock on writing at once: of 8 writers that began DEFERRED, 7 failed with
            # "database is locked".
            await connection.execute_fetchall("BEGIN IMMEDIATE" if writing else "BEGIN")
            yield connection
            await connection.execute_fetchall("COMMIT")
        except BaseException:
            await _roll_back(connection)
            raise
        finally:
            idle.put_nowait(connection)

    async def check_version(self) -> None:
        """The library is part of Python: there is nothing to ask."""

    def _refuse_another_file(self) -> None:
        """A file that was deleted takes writes until it is closed, and then they are gone with it."""
        if _identity(self.path) != self._file:
            raise DatabaseDown(
                f"The database {self.path} was removed or replaced while it was in use; put it back, or "
                "start Statuswire again, which goes on with what is there.",
                "was removed or replaced",
            )

    async def _run_in_new_connection(
        self, query: str, args: list[Any] | None = None, query_type: str = "generic", table: Any = None
    ) -> Any:
        """Where Piccolo sends its queries outside of a transaction."""
        if not self._opened:
            return await super()._run_in_new_connection(query, args, query_type, table)
        async with self.transact(writing=query.lstrip()[:6].upper() != "SELECT") as connection:
            return await connection.execute_fetchall(query, args or [])

    async def _connect(self) -> aiosqlite.Connection:
        connecting = aiosqlite.connect(**self.connection_kwargs)
        # Its thread must not keep a process alive that has crashed before it could close.
        connecting._thread.daemon = True
        opening = asyncio.ensure_future(connecting)
        try:
            connection = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # aiosqlite itself forgets a connection whose opening was cancelled, and leaves it open.
            await (await opening).close()
            raise
        try:
            connection.row_factory = dict_factory  # type: ignore[assignment]
            for pragma in (
                "foreign_keys=ON",
                # The last instants before a power cut may be lost, but nothing is damaged; the log on Redis
                # says them again.
                "synchronous=NORMAL",
                "temp_store=MEMORY",
                "cache_size=-16000",
                "journal_size_limit=67108864",
            ):
                await connection.execute_fetchall(f"PRAGMA {pragma}")
        except BaseException:
            await connection.close()
            raise
        return connection


def _identity(file: str) -> tuple[int, int] | None:
    """Which file that name leads to; None if to none."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_dev, found.st_ino


async def _roll_back(connection: aiosqlite.Connection) -> None:
    """A statement that was cancelled still runs in its thread, which takes this one after it."""

    async def roll_back() -> None:
        # SQLite may have rolled back by itself.
        with suppress(sqlite3.Error):
            await connection.execute_fetchall("ROLLBACK")

    # A task, so that it happens even if we are cancelled once more.
    rolling = asyncio.create_task(roll_back())
    while not rolling.done():
        # Again and again: the statement may not yet have begun.
        await connection.interrupt()
        await asyncio.wait([rolling], timeout=INTERRUPT_EVERY)
    if connection.in_transaction:
        # The last of the interruptions met the rolling back itself.
        await roll_back()


class PooledPostgresEngine(PostgresEngine):
    """A pool of connections, and limits for whatever is asked."""

    def __init__(self, url: str, *, patient: bool = False) -> None:
        asked = parse_qs(urlsplit(url).query)
        patience = LONG_PATIENCE if patient else PATIENCE
        limit = str(int(patience * 1000))
        settings: dict[str, Any] = {
            "dsn": url,
            "timeout": CONNECT_PATIENCE,
            # The server's own limit ends a slow statement; this one is for a server that is gone.
            "command_timeout": 2 * patience,
            "server_settings": {
                "application_name": APP,
                "statement_timeout": limit,
                # A process that was frozen in the middle must not hold the cursor for ever.
                "idle_in_transaction_session_timeout": limit,
            },
        }
        if "target_session_attrs" not in asked:
            # Of several hosts, the one that can be written to.
            settings["target_session_attrs"] = "read-write"
        super().__init__(config=settings)

    async def open(self) -> None:
        self.pool = await asyncpg.create_pool(**self.config, min_size=0, max_size=POOL)

    async def close(self) -> None:
        pool, self.pool = self.pool, None
        if pool is not None:
            try:
                async with asyncio.timeout(CLOSE_PATIENCE):
                    await pool.close()
            except TimeoutError:
                pool.terminate()

    @asynccontextmanager
    async def transact(self, *, writing: bool) -> AsyncIterator[Any]:
        if self.pool is None:
            raise DatabaseDown("The database is closed.")
        async with self._acquired(self.pool) as connection:
            isolation = "read_committed" if writing else "repeatable_read"
            transaction = connection.transaction(isolation=isolation, readonly=not writing)
            # Not as a context manager: its own rolling back waits ten seconds for a server that has frozen,
            # and then raises that in place of our cancellation. Jobs that go on after every DatabaseDown
            # would never end.
            await transaction.start()
            try:
                yield connection
            except BaseException:
                await self._roll_back(connection, transaction)
                raise
            await transaction.commit()

    async def _roll_back(self, connection: Any, transaction: Any) -> None:
        """Or let go of the connection, and the server does it by itself."""
        try:
            async with asyncio.timeout(CLOSE_PATIENCE):
                await transaction.rollback()
        except BaseException as error:
            connection.terminate()
            if not isinstance(error, Exception):
                raise

    @asynccontextmanager
    async def _acquired(self, pool: Any) -> AsyncIterator[Any]:
        try:
            connection = await pool.acquire(timeout=PATIENCE)
        except pg.PostgresError as error:
            if _postgres_trouble(error) is not None:
                raise
            # What asyncpg does not know of a URL it sends along as a setting: libpq's connect_timeout.
            raise pg.ClientConfigurationError(str(error)) from error
        try:
            yield connection
        finally:
            # What cannot be given back is closed by the pool. That is no failure of what was done with it,
            # and nothing to be told in place of a cancellation.
            with suppress(Exception):
                await pool.release(connection, timeout=CLOSE_PATIENCE)

    async def check_version(self) -> None:
        """Piccolo would connect here already, and print what it thinks of a server that does not answer."""


Engine = PooledSQLiteEngine | PooledPostgresEngine


def engine_for(config: Config, *, patient: bool = False) -> Engine:
    """Not yet connected to anything. A patient one may take as long as a migration takes, and wait for
    another's."""
    if (file := config.sqlite_file) is not None:
        return PooledSQLiteEngine(file, patient=patient)
    return PooledPostgresEngine(config.database_url, patient=patient)


class Database:
    """Everything happens within reading() or writing(). Begin no task within: it would take the transaction
    along, and fail when that is over."""

    def __init__(self, config: Config, *, patient: bool = False) -> None:
        self.engine = engine_for(config, patient=patient)
        self.name = _name(config)

    async def open(self) -> None:
        with self._plainly():
            await self.engine.open()
        for table in TABLES:
            table._meta.db = self.engine

    async def close(self) -> None:
        await self.engine.close()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """All that is read within is of one instant."""
        async with self._transaction(writing=False) as transaction:
            yield transaction

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Transaction]:
        """All of it is written, or, if anything is raised within, nothing."""
        async with self._transaction(writing=True) as transaction:
            yield transaction

    @asynccontextmanager
    async def _transaction(self, *, writing: bool) -> AsyncIterator[Transaction]:
        with self._plainly():
            async with self.engine.transact(writing=writing) as connection:
                transaction = Transaction(self.engine, connection)
                # Where Piccolo looks for one, so that its own queries take part.
                current: ContextVar[Any] = self.engine.current_transaction
                token = current.set(transaction)
                try:
                    yield transaction
                finally:
                    current.reset(token)

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        """Errors of the database become DatabaseDown. Errors in our own SQL stay what they are."""
        try:
            yield
        except (sqlite3.Error, pg.PostgresError, pg.InterfaceError, pg.InternalClientError, OSError) as error:
            known = _sqlite_trouble(error) if isinstance(error, sqlite3.Error) else _postgres_trouble(error)
            if known is None:
                raise
            what, more = known
            raise DatabaseDown(f"{self.name} {what}{more}.", what) from error


async def connect(config: Config) -> Database:
    """Open the database, if it is of our version."""
    if (file := config.sqlite_file) is not None and not file.exists():
        # SQLite would make an empty one.
        sentence = f"There is no database {file} yet; run `{_migrate_command(config)}` first."
        raise WrongVersion(sentence, "is not there")
    database = Database(config)
    await database.open()
    try:
        async with database.reading() as transaction:
            applied = await transaction.fetch("SELECT name FROM migration WHERE app_name = {}", APP)
        check_version(database.name, (row["name"] for row in applied))
    except BaseException:
        await database.close()
        raise
    return database


def _migrate_command(config: Config) -> str:
    """With the data folder, if that is where the file would be: without it, it would be made elsewhere."""
    is_there = config.sqlite_file == config.data / "statuswire.db" and config.data != Path("data")
    return f"statuswire migrate --data {shlex.quote(str(config.data))}" if is_there else "statuswire migrate"


async def knock(config: Config) -> None:
    """Whether the database lets us in at all, whatever its tables are. Raises DatabaseDown if not."""
    database = Database(config)
    await database.open()
    try:
        async with database.reading() as transaction:
            await transaction.fetch("SELECT 1 AS one")
    finally:
        await database.close()


def known_migrations() -> list[str]:
    return sorted(file.stem for file in MIGRATIONS.glob(f"{APP}_*.py"))


def check_version(name: str, applied: Iterable[str]) -> None:
    refuse_newer(name, applied := set(applied))
    if not applied.issuperset(known_migrations()):
        raise WrongVersion(f"{name} is of an older version; run `statuswire migrate` first.", "is too old")


def refuse_newer(name: str, applied: Iterable[str]) -> None:
    """We do not know what a later version means by its tables, so we neither read nor write them."""
    newer = set(applied).difference(known_migrations())
    if newer:
        raise WrongVersion(
            f"{name} was written by a newer Statuswire ({max(newer)} is unknown here); "
            "start that version again, or restore the backup that was made before it.",
            "is too new",
        )


def _name(config: Config) -> str:
    if config.sqlite_file is not None:
        return f"The database {config.sqlite_file}"
    url = urlsplit(config.database_url)
    # The password is between the colon and the last @ of netloc, or in the query; neither is repeated.
    where = url.netloc.rpartition("@")[2] or parse_qs(url.query).get("host", ["?"])[0]
    return f"The Postgres database {url.path.strip('/')} at {where}"


# What is wrong, and what an operator should know besides.
_Trouble = tuple[str, str]

_MIGRATE = "lacks tables of this version", "; run `statuswire migrate` first"
_LOCKED = "is locked by another program", "; end that one, and it goes on by itself"
_MAKE_WRITABLE = "; make the file and its directory writable for this user"


def _sqlite_trouble(error: sqlite3.Error) -> _Trouble | None:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest says where in the library it happened
    if code == sqlite3.SQLITE_ERROR and "no such" in str(error):
        return _MIGRATE
    return {
        sqlite3.SQLITE_FULL: ("is full", ": the disk is; free some space, and it goes on by itself"),
        sqlite3.SQLITE_READONLY: ("is read-only", _MAKE_WRITABLE),
        sqlite3.SQLITE_PERM: ("may not be opened", _MAKE_WRITABLE),
        sqlite3.SQLITE_CANTOPEN: ("cannot be opened", _MAKE_WRITABLE),
        sqlite3.SQLITE_CORRUPT: ("is damaged", "; stop Statuswire, move the file away, restore a backup"),
        sqlite3.SQLITE_NOTADB: ("is no SQLite database", "; name another in DATABASE_URL, or move it away"),
        sqlite3.SQLITE_IOERR: ("cannot be read or written", f" ({error}); look at the disk"),
        sqlite3.SQLITE_BUSY: _LOCKED,
        sqlite3.SQLITE_LOCKED: _LOCKED,
    }.get(code)


def _postgres_trouble(error: Exception) -> _Trouble | None:
    if isinstance(error, ValueError) and not isinstance(error, pg.ClientConfigurationError):
        return None  # a value of ours that has not the type of its column
    said = f" ({getattr(error, 'strerror', None) or str(error) or type(error).__name__})"
    match error:
        case pg.UndefinedTableError() | pg.UndefinedColumnError():
            return _MIGRATE
        case pg.InvalidCachedStatementError():
            # Each connection is told so once, for each of its statements that reads the changed table.
            return "was migrated meanwhile", "; ask again"
        case pg.TooManyConnectionsError():
            return "has no connection left for us", "; raise max_connections, or end other clients"
        case pg.InsufficientResourcesError():
            return "is full", f"{said}; free some space, and it goes on by itself"
        case pg.ReadOnlySQLTransactionError() | pg.TargetServerAttributeNotMatched():
            return "is read-only", "; DATABASE_URL must name a primary that accepts writes"
        case pg.InvalidAuthorizationSpecificationError():
            return "does not let us in", "; check the user and the password in DATABASE_URL"
        case pg.InvalidCatalogNameError():
            return "does not exist", "; create it first"
        case pg.InsufficientPrivilegeError():
            return "does not allow what we need", f"{said}; let the user create and use tables"
        case pg.DataCorruptedError() | pg.IndexCorruptedError():
            return "is damaged", f"{said}; restore a backup"
        case pg.QueryCanceledError() | pg.LockNotAvailableError() | pg.DeadlockDetectedError():
            return "did not finish in time", said
        case OSError() if "rejected SSL upgrade" in str(error):
            # asyncpg says so of whatever answers with another letter than it hopes for.
            return "cannot be reached", ": it has no TLS, or is no Postgres; correct the address or sslmode"
        case TimeoutError():
            return "does not answer in time", "; it is busy, or something between us and it is broken"
        case (
            pg.PostgresConnectionError()
            | pg.OperatorInterventionError()
            | pg.IdleInTransactionSessionTimeoutError()
            | pg.InterfaceError()
            | pg.InternalClientError()
            | OSError()
        ):
            return "cannot be reached", f"{said}; it must be running, and DATABASE_URL be right"
    return None
