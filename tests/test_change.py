"""No change is stored that is not told, and none is told that is not stored, wherever the server dies."""

import asyncio
import faulthandler
import multiprocessing
import os
import signal
import time
from collections.abc import AsyncIterator, Coroutine, Generator
from functools import partial
from itertools import count
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from app import outbox
from app.db.change import Changes
from app.db.engine import Database, connect
from app.domain.actor import Actor
from app.domain.events import CatalogChange, Logged
from app.feed import LOG, Feed
from tests.conftest import eventually
from tests.make import NOON, a_catalog, a_catalog_change
from tests.rows import config_for, rows
from tests.services import Valkey

pytest_plugins = ["tests.databases"]

MEI = Actor("user", "mei", "192.0.2.7")
LONGEST = 20.0  # seconds that a process may live


@pytest.fixture
async def feed(redis_url: str) -> AsyncIterator[Feed]:
    feed = Feed(redis_url, beat=0.2)
    yield feed
    await feed.close()


def an_event(name: str) -> CatalogChange:
    return replace(a_catalog_change(a_catalog()), revision=name)


async def change(changes: Changes, name: str) -> None:
    """A row, a line of the audit log, and an event, all of that name."""
    async with changes.by(MEI, NOON) as it:
        await it.transaction.execute("INSERT INTO settings (name, value) VALUES ({}, {})", name, "new")
        await it.note("setting.set", name, None, {"value": "new"})
        await it.tell(an_event(name))


async def told(redis_url: str) -> list[str]:
    async with Redis.from_url(redis_url) as raw:
        entries = await raw.xrange(LOG)
    events = [msgspec.json.decode(fields[b"event"], type=Logged) for _, fields in entries]  # type: ignore[arg-type]
    return [event.revision for event in events if isinstance(event, CatalogChange)]


async def stored(database: Database) -> list[str]:
    return [row["name"] for row in await rows(database, "SELECT name FROM settings ORDER BY name")]


async def noted(database: Database) -> list[str]:
    return [row["subject"] for row in await rows(database, "SELECT subject FROM audit_log ORDER BY id")]


class Mortal:
    """Awaits something, and kills its process at one of the points of it: an even one when it begins to wait,
    an odd one when what it waited for has come."""

    def __init__(self, work: Coroutine[Any, Any, None], point: int) -> None:
        self._work = work
        self._point = point

    def __await__(self) -> Generator[Any, Any, None]:
        resume: Any = self._work.send
        given: Any = None
        for waits in count():
            try:
                awaited = resume(given)
            except StopIteration:
                return
            self._die_at(2 * waits)
            resume = self._work.send
            try:
                given = yield awaited
            except BaseException as error:
                resume, given = self._work.throw, error
            self._die_at(2 * waits + 1)

    def _die_at(self, point: int) -> None:
        if point == self._point:
            os.kill(os.getpid(), signal.SIGKILL)


def change_and_die(url: str, redis_url: str, name: str, point: int) -> None:
    """A server that changes something and tells it, in a process of its own."""
    faulthandler.dump_traceback_later(LONGEST / 2)

    async def work() -> None:
        changes, feed = Changes(await connect(config_for(url))), Feed(redis_url, beat=0.2)

        async def path() -> None:
            await change(changes, name)
            await outbox.empty(changes, feed)

        await Mortal(path(), point)
        await feed.close()
        await changes.database.close()

    asyncio.run(work())


async def test_a_change_is_stored_noted_and_told_once_or_not_at_all_wherever_the_server_dies(
    database: Database, prepared_url: str, redis_url: str, feed: Feed
) -> None:
    """SIGKILL before and after each await of the path."""
    nursery = multiprocessing.get_context("forkserver")
    nursery.set_forkserver_preload(["tests.test_change"])
    changes = Changes(database)
    outcomes: set[tuple[bool, bool]] = set()
    for point in count():
        name = f"change {point:03}"
        process = nursery.Process(target=change_and_die, args=(prepared_url, redis_url, name, point))
        process.start()
        await asyncio.to_thread(process.join, LONGEST)
        # One that does not come so far dies as well, where it is.
        process.kill()
        await asyncio.to_thread(process.join, LONGEST)
        died = process.exitcode == -signal.SIGKILL
        assert died or process.exitcode == 0
        outcomes.add((name in await stored(database), name in await told(redis_url)))
        # The server that is started next.
        await outbox.empty(changes, feed)
        assert await stored(database) == sorted(await told(redis_url)) == await noted(database)
        if not died:
            break
    # It died before the commit, between that and the telling, and after both.
    assert outcomes == {(False, False), (True, False), (True, True)}


async def test_what_fails_within_a_change_leaves_nothing(database: Database, feed: Feed) -> None:
    changes = Changes(database)
    with pytest.raises(LookupError):
        async with changes.by(MEI, NOON) as it:
            await it.note("setting.set", "a")
            await it.tell(an_event("a"))
            raise LookupError
    assert await changes.untold(10) == []
    assert await noted(database) == []
    assert not changes.stored.is_set()


async def test_nothing_is_told_that_is_not_in_the_audit_log(sqlite_database: Database) -> None:
    changes = Changes(sqlite_database)
    with pytest.raises(RuntimeError, match="not in the audit log"):
        async with changes.by(MEI, NOON) as it:
            await it.tell(an_event("a"))
    assert await changes.untold(10) == []


async def test_the_audit_log_says_who_when_from_where_what_and_what_was_before(database: Database) -> None:
    async with Changes(database).by(MEI, NOON) as it:
        await it.note("page.rename", "page/main", {"name": "A"}, {"name": "B"})
    [row] = await rows(database, "SELECT * FROM audit_log")
    del row["id"]
    assert row == {
        "at": 1769860800000,
        "kind": "user",
        "name": "mei",
        "address": "192.0.2.7",
        "verb": "page.rename",
        "subject": "page/main",
        "before": '{"name":"A"}',
        "after": '{"name":"B"}',
    }


async def test_a_change_is_told_within_milliseconds(
    sqlite_database: Database, redis_url: str, feed: Feed
) -> None:
    changes = Changes(sqlite_database)
    telling = asyncio.create_task(outbox.tell(changes, feed))
    await eventually(lambda: not changes.stored.is_set())
    took = []
    for n in range(20):
        began = time.perf_counter()
        await change(changes, f"{n:02}")
        await eventually(partial(has_told, redis_url, n + 1))
        took.append(time.perf_counter() - began)
    telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)
    # A look at the outbox every five seconds would take a hundred times as long.
    assert sorted(took)[len(took) // 2] < 0.05, took


async def has_told(redis_url: str, number: int) -> bool:
    return len(await told(redis_url)) == number


async def test_changes_of_two_servers_are_told_once_and_in_the_order_of_their_commits(
    database: Database, prepared_url: str, redis_url: str, feed: Feed
) -> None:
    mine, theirs = Changes(database), Changes(await connect(config_for(prepared_url)))
    telling = [asyncio.create_task(outbox.tell(changes, feed)) for changes in (mine, theirs)]

    async def many(changes: Changes, name: str) -> None:
        for n in range(15):
            await change(changes, f"{name} {n:02}")

    async def is_all_told() -> bool:
        return await has_told(redis_url, 30) and await mine.untold(10) == []

    await asyncio.gather(many(mine, "mine"), many(theirs, "theirs"))
    try:
        await eventually(is_all_told)
    finally:
        for task in telling:
            task.cancel()
        await asyncio.gather(*telling, return_exceptions=True)
        await theirs.database.close()
    assert await told(redis_url) == await noted(database)


async def test_what_is_stored_while_redis_is_away_is_told_when_it_is_back(sqlite_database: Database) -> None:
    changes = Changes(sqlite_database)
    with Valkey() as valkey:
        feed = Feed(valkey.url, beat=0.2)
        telling = asyncio.create_task(outbox.tell(changes, feed))
        for n in range(3):
            await change(changes, f"{n}")
        valkey.start()
        await eventually(lambda: has_told(valkey.url, 3))
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        await feed.close()
