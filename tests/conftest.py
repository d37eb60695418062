"""Real services for every test: a private Valkey and Postgres per test process, flushed or new per test."""

import asyncio
import gc
import inspect
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import pytest
import trustme
from hypothesis import HealthCheck, settings

from tests.services import GenuineRedis, Postgres, Valkey
from workers.probes import Probes
from workers.probes.equipment import Equipment
from workers.probes.stream import Certificates

# Imported by the fixtures that need them: most modules of tests need neither a browser nor a whole server.
if TYPE_CHECKING:
    from playwright.async_api import Browser

    from app.db.engine import Database
    from tests.people import House

T = TypeVar("T")

# How long an example takes says more about the machine than about us.
settings.register_profile("statuswire", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("statuswire")


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    """Shared by all tests of this process; a test that stops or kills a server starts one of its own."""
    with Valkey() as server:
        yield server.start()


@pytest.fixture(scope="session")
def genuine_redis() -> Iterator[Valkey]:
    with GenuineRedis() as server:
        yield server.start()


@pytest.fixture
def redis_url(valkey: Valkey) -> str:
    valkey.flush()
    return valkey.url


@pytest.fixture(params=["valkey", "redis"])
def any_redis_url(request: pytest.FixtureRequest) -> str:
    """Once on Valkey, once on a genuine Redis: REDIS_TEST_URL's if that is set, which is then flushed."""
    if request.param == "valkey":
        return cast(str, request.getfixturevalue("redis_url"))
    if url := os.environ.get("REDIS_TEST_URL"):
        from redis import Redis

        with Redis.from_url(url) as client:
            client.flushall()
        return url
    server = cast(Valkey, request.getfixturevalue("genuine_redis"))
    server.flush()
    return server.url


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server.start()


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    """Whom the `probes` trust."""
    return trustme.CA()


@pytest.fixture(scope="module")
async def probes(request: pytest.FixtureRequest, ca: trustme.CA) -> AsyncIterator[Probes]:
    """With the module's ENVIRON for the worker's environment, if it has one."""
    environ = getattr(request.module, "ENVIRON", os.environ)
    with ca.cert_pem.tempfile() as cafile:
        probes = Probes(Equipment(certificates=Certificates(cafile), environ=environ))
        yield probes
    await probes.close()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/statuswire.db"


@pytest.fixture
async def postgres_url(postgres: Postgres) -> str:
    return await postgres.create_database()


@pytest.fixture(params=["sqlite", "postgres"])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """A new empty database on each engine; the tables are the test's own matter."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/statuswire.db"
    else:
        yield await cast(Postgres, request.getfixturevalue("postgres")).create_database()


async def eventually(condition: Callable[[], T | Awaitable[T]], within: float = 10.0) -> T:
    """What `condition` returns once it is truthy. An AssertionError inside it means not yet."""
    deadline = time.monotonic() + within
    while True:
        try:
            value = condition()
            value = cast(T, await value if inspect.isawaitable(value) else value)
            if value:
                return value
            last = f"last it was {value!r}"
        except AssertionError as error:
            last = f"last it said: {error}"
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s; {last}")
        await asyncio.sleep(0.01)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--examples", type=int, default=2, help="of schemathesis, for each operation and mode")


def pytest_configure() -> None:
    gc.disable()


def pytest_collection_finish() -> None:
    _spare_what_stays()
    gc.enable()


@pytest.fixture(scope="module", autouse=True)
def spared() -> Iterator[None]:
    yield
    if not gc.get_freeze_count():
        # A worker ran here, which looks at all of it again when another catalog comes.
        _spare_what_stays()


def _spare_what_stays() -> None:
    """What is loaded and collected stays. To look for garbage in it again and again took a third of all the
    processor time of a process of tests; our servers spare it too."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lines are counted in the tests that name an example. To count them once more in each of the hundreds
    that Hypothesis finds takes three times as long and covers nothing new."""
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator["Browser"]:
    """Of all modules of this process: what a page keeps is kept in its context, and each has its own."""
    from tests.browser import chromium

    async with chromium() as browser:
        yield browser


@pytest.fixture
async def house(database: "Database", tmp_path: Path) -> "House":
    """For modules with the databases of tests/databases.py."""
    from tests.people import House

    return House(database, tmp_path)


@pytest.fixture
async def light(sqlite_database: "Database", tmp_path: Path) -> "House":
    """On SQLite alone, for what has nothing to do with the engine."""
    from tests.people import House

    return House(sqlite_database, tmp_path)
