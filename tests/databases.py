"""Fixtures for modules that name this one in `pytest_plugins`: databases that have their tables already."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.db.engine import Database, connect
from app.db.migrate import bring_up_to_date
from tests.rows import a_database, config_for, empty
from tests.services import Postgres


class Prepared:
    """Empty databases that have their tables: to migrate one for each test would take half of the time."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "prepared.db"
        self._postgres_url: str | None = None

    async def sqlite_url(self, file: Path) -> str:
        if not self._file.exists():
            await bring_up_to_date(config_for(f"sqlite:///{self._file}"))
        shutil.copy(self._file, file)
        return f"sqlite:///{file}"

    async def postgres_url(self, server: Postgres) -> str:
        """Always the same one, emptied."""
        if self._postgres_url is None:
            self._postgres_url = await server.create_database()
        async with a_database(self._postgres_url) as database:
            await empty(database)
        return self._postgres_url


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return Prepared(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(params=["sqlite", "postgres"])
async def prepared_url(request: pytest.FixtureRequest, prepared: Prepared, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return await prepared.sqlite_url(tmp_path / "statuswire.db")
    return await prepared.postgres_url(request.getfixturevalue("postgres"))


@pytest.fixture
async def database(prepared_url: str) -> AsyncIterator[Database]:
    database = await connect(config_for(prepared_url))
    yield database
    await database.close()


@pytest.fixture
async def sqlite_database(prepared: Prepared, tmp_path: Path) -> AsyncIterator[Database]:
    database = await connect(config_for(await prepared.sqlite_url(tmp_path / "statuswire.db")))
    yield database
    await database.close()
