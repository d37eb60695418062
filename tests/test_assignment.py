"""The config file on its way to the page and to the workers, with a real server in between."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets

from app.assignment import Assignment
from app.db.change import Changes
from app.db.engine import Database
from app.domain.board import Board
from app.domain.monitor import Catalog
from app.feed import Feed
from app.live.hub import Hub
from app.live.watch import listen
from app.model import Model
from tests.conftest import eventually
from tests.rows import rows
from tests.services import Valkey, Web

pytest_plugins = ["tests.databases"]

BEAT = 0.3
BAD_FILE = "the file on disk has mistakes or is missing; the last good one runs"
FILE = "components: [{name: Website, monitors: [{http: http://127.0.0.1:9}]}]\n"
BIGGER = "components: [{name: Website, monitors: [{http: http://127.0.0.1:9}]}, {name: Shop}]\n"


@pytest.fixture
def parts() -> Iterator[tuple[Valkey, Web]]:
    with Valkey() as valkey, Web(valkey.start().url, STATUSWIRE_BEAT=str(BEAT)) as web:
        (web.folder / "statuswire.yaml").write_text(FILE)
        web.start()
        yield valkey, web


@pytest.fixture
async def feed(parts: tuple[Valkey, Web]) -> AsyncIterator[Feed]:
    feed = Feed(parts[0].url, beat=BEAT)
    yield feed
    await feed.close()


def config_state(web: Web) -> str:
    return str(json.loads(web.get("/health/ready")[1])["config"])


async def test_a_changed_file_is_on_every_screen_and_with_the_workers(
    parts: tuple[Valkey, Web], feed: Feed
) -> None:
    _, web = parts
    catalogs = feed.catalogs()
    assert names(await anext(catalogs)) == ["Website"]
    await eventually(lambda: b"Website" in web.get("/")[1])
    async with websockets.connect(f"ws://127.0.0.1:{web.port}/ws") as socket:
        assert shown(await snapshot(socket)) == ["website"]

        (web.folder / "statuswire.yaml").write_text(BIGGER)

        assert shown(await snapshot(socket)) == ["website", "shop"]
    assert names(await anext(catalogs)) == ["Website", "Shop"]
    await catalogs.aclose()


async def test_a_bad_file_keeps_the_last_good_one_and_says_which_line(parts: tuple[Valkey, Web]) -> None:
    _, web = parts
    await eventually(lambda: b"Website" in web.get("/")[1])

    (web.folder / "statuswire.yaml").write_text("components:\n  - nam: Website\n")

    # Which line it is, and what it says, is the operator's business: the public may read /health/ready.
    await eventually(lambda: config_state(web) == BAD_FILE)
    await eventually(lambda: ":2: " in web.logs and "did you mean `name`" in web.logs)
    assert b"Website" in web.get("/")[1]
    assert web.get("/health/ready")[0] == 200
    assert b"statuswire_config_ok 0.0" in web.get("/metrics")[1]

    (web.folder / "statuswire.yaml").write_text(FILE)

    await eventually(lambda: config_state(web) == "ok")


async def test_a_redis_that_forgot_is_told_again(parts: tuple[Valkey, Web], feed: Feed) -> None:
    valkey, _ = parts
    await eventually(feed.assigned)

    valkey.flush()

    await eventually(feed.assigned)


async def test_a_server_without_its_file_goes_on_with_what_the_database_knows(
    parts: tuple[Valkey, Web],
) -> None:
    _, web = parts
    await eventually(lambda: b"Website" in web.get("/")[1])
    await eventually(lambda: b"statuswire_recorder_lag_seconds 0.0" in web.get("/metrics")[1])
    web.stop()
    (web.folder / "statuswire.yaml").unlink()

    web.start(migrate=False)

    assert b"Website" in web.get("/")[1]
    await eventually(lambda: config_state(web) == BAD_FILE)
    await eventually(lambda: "statuswire.yaml" in web.logs)


async def test_a_file_that_comes_back_is_taken_over_though_the_clock_was_set_back(
    redis_url: str, tmp_path: Path, sqlite_database: Database
) -> None:
    ahead = 0.0
    hub = Hub(BEAT, wall_clock=lambda: time.time() + ahead)
    feed, log = Feed(redis_url, beat=BEAT), Feed(redis_url, beat=BEAT)
    file = tmp_path / "statuswire.yaml"
    assignment = Assignment(file, feed, hub, Model(Changes(sqlite_database)))

    async def none() -> Board:
        return hub.board

    running = [asyncio.create_task(listen(log, hub, none))]
    try:
        await eventually(hub.linked.is_set)
        running.append(asyncio.create_task(assignment.read()))
        for text, names in ((FILE, ["website"]), (BIGGER, ["website", "shop"]), (FILE, ["website"])):
            file.write_text(text)
            await eventually(lambda names=names: list(hub.board.shown) == names, within=5)  # type: ignore[misc]
            ahead -= 10.0
        assert await feed.assigned() == hub.board.catalog.revision
        noted = "SELECT subject FROM audit_log WHERE kind = 'file'"
        await eventually(lambda: is_as_long(sqlite_database, noted, 3))
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await feed.close()
        await log.close()


async def is_as_long(database: Database, query: str, length: int) -> bool:
    return len(await rows(database, query)) == length


async def snapshot(socket: Any) -> dict[str, Any]:
    while (frame := json.loads(await socket.recv()))["type"] != "snapshot":
        pass
    return frame  # type: ignore[no-any-return]


def names(catalog: Catalog) -> list[str]:
    return [component.name for component in catalog.components]


def shown(frame: dict[str, Any]) -> list[str]:
    return [component["slug"] for component in frame["components"]]
