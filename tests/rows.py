"""Databases for tests, and what stands in them."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from typing import Any

from msgspec.structs import replace

from app.config import Config
from app.db.change import Changes
from app.db.engine import Database, connect
from app.db.migrate import bring_up_to_date
from app.db.recorder import Recorder
from app.db.tables import TABLES, FeedCursorRow
from app.domain.board import Board, Patch
from app.domain.events import Logged, order
from app.domain.standing import State
from app.feed import Gap, Heard
from tests.make import a_batch, a_catalog, a_catalog_change, a_change, a_log, a_sample, after


def config_for(url: str) -> Config:
    return Config.read({"DATABASE_URL": url})


@asynccontextmanager
async def a_database(url: str) -> AsyncIterator[Database]:
    """With its tables, and open."""
    await bring_up_to_date(config_for(url))
    database = await connect(config_for(url))
    try:
        yield database
    finally:
        await database.close()


async def empty(database: Database) -> None:
    """As it was when it was made."""
    async with database.writing() as transaction:
        for table in reversed(TABLES):
            if table is not FeedCursorRow:
                await transaction.execute(f"DELETE FROM {table._meta.tablename}")
        await transaction.execute("UPDATE feed_cursor SET at = '0-0'")


async def rows(database: Database, sql: str, *values: object) -> list[dict[str, Any]]:
    async with database.reading() as transaction:
        return await transaction.fetch(sql, *values)


async def spans(database: Database, component: str = "api") -> list[tuple[str, int, int | None]]:
    """(status, since, until), oldest first."""
    found = await rows(database, "SELECT * FROM spans WHERE component = {} ORDER BY id", component)
    return [(row["status"], row["since"], row["until"]) for row in found]


async def fold_outbox(changes: Changes, board: Board) -> list[Patch]:
    """What a server would tell, and another would make of it: the patches."""
    patches = []
    for untold in await changes.untold(1000):
        ms, _ = order(board.id)
        if (patch := board.fold(f"{ms + 1}-0", untold.event)) is not None:
            patches.append(patch)
        await changes.forget([untold])
    return patches


def heard(log: Iterable[tuple[str, Logged]]) -> list[Heard | Gap]:
    return [Heard(id, event) for id, event in log]


def folded(log: Sequence[tuple[str, Logged]]) -> Board:
    board = Board()
    for id, event in log:
        board.fold(id, event)
    return board


async def record_all(recorder: Recorder, log: Sequence[tuple[str, Logged]]) -> None:
    assert await recorder.record(heard(log))


def essence(board: Board) -> dict[str, object]:
    """All that a board says and decides by. Latencies come with the next sample, and the counts of results
    in a row are the worker's own."""
    return {
        "id": board.id,
        "catalog": board.catalog,
        "heard": board.heard,
        "shown": {slug: (s.status, s.since, s.reason, s.note) for slug, s in board.shown.items()},
        "standings": {
            key: replace(standing, bad=0, slow=0, bad_since=None) for key, standing in board.standings.items()
        },
    }


def in_batches(log: list[tuple[str, Logged]], seed: int) -> list[list[tuple[str, Logged]]]:
    dice, batches = random.Random(seed), []
    while log:
        size = dice.choice([1, 2, 5, 40])
        batches.append(log[:size])
        log = log[size:]
    return batches


def long_log(n: int = 600) -> list[tuple[str, Logged]]:
    """Changes and samples of ten components, the same each time."""
    dice = random.Random(7)
    slugs = [f"c{i}" for i in range(10)]
    events: list[Logged] = [a_catalog_change(a_catalog(*slugs))]
    for second in range(1, n):
        monitor = f"{dice.choice(slugs)}/http"
        state = dice.choice([State.UP, State.DOWN, State.DEGRADED])
        if second % 100 == 0:
            events.append(a_catalog_change(a_catalog(*slugs[: dice.randint(5, 10)]), after(second)))
        elif second % 3:
            events.append(a_change(state, after(second), monitor))
        else:
            events.append(a_batch(a_sample(state, after(second), monitor, took=float(second))))
    return a_log(*events)


def record_two_by_two(url: str, told: Connection) -> None:
    """In a process of its own, which may be killed: what of the long log is not yet recorded."""

    async def record() -> None:
        database = await connect(config_for(url))
        recorder = Recorder(database)
        cursor = order((await recorder.load()).id)
        told.send("ready")
        rest = [item for item in long_log() if order(item[0]) > cursor]
        for first in range(0, len(rest), 2):
            await record_all(recorder, rest[first : first + 2])
        await database.close()
        told.send("done")

    asyncio.run(record())
