"""`statuswire explain MONITOR`: from the database what was recorded, from the feed what came since, and from
both why the page says what it says. It reads alone, so it may run beside everything else."""

import asyncio
import difflib
import time
from collections.abc import Iterator
from contextlib import aclosing, suppress
from datetime import timedelta
from typing import Final

from app.config import Config
from app.db.engine import connect
from app.db.heartbeats import kept_logs
from app.db.recorder import Recorder
from app.domain.board import Board
from app.domain.events import Beat, Samples, order
from app.domain.explanation import Found, explain
from app.domain.instant import from_seconds, to_ms
from app.feed import Feed, Gap, Heard

# What is shown of results, at least: some of each interval that people use.
_LOOK_BACK: Final = timedelta(minutes=10)
_PATIENCE: Final = 10.0


class Unexplained(Exception):
    """One sentence: there is no such monitor, or nobody to ask."""


async def explain_monitor(config: Config, redis_url: str, key: str) -> str:
    database = await connect(config)
    try:
        board = await Recorder(database).load()
        logs = await kept_logs(database, key)
    finally:
        await database.close()
    found, beats = await _catch_up(Feed(redis_url, beat=config.beat), board)
    if (monitor := board.monitor(key)) is None:
        raise Unexplained(_no_such(board, key))
    return "\n".join(explain(board, monitor, from_seconds(time.time()), found, beats, logs))


async def _catch_up(feed: Feed, board: Board) -> tuple[list[Found], list[Beat]]:
    """Fold what is in the log behind the board, and keep the results of the last minutes."""
    found: list[Found] = []
    beats: list[Beat] = []
    caught_up = asyncio.Event()
    since = to_ms(from_seconds(time.time()) - _LOOK_BACK)
    after = min(board.id, f"{since}-0", key=order)

    async def read() -> None:
        items = feed.follow(after, lambda up: caught_up.set() if up else None)
        async with aclosing(items):
            async for item in items:
                _take(board, item, found, beats)

    following = asyncio.create_task(read())
    try:
        async with asyncio.timeout(_PATIENCE):
            await caught_up.wait()
    except TimeoutError:
        raise Unexplained("Redis does not answer; without it nobody knows how things stand now.") from None
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        await feed.close()
    return found, beats


def _take(board: Board, item: Heard | Gap, found: list[Found], beats: list[Beat]) -> None:
    if isinstance(item, Gap):
        return  # what is missing was noticed by the server, and is recorded
    if isinstance(item.event, Beat):
        beats.append(item.event)
        return
    if isinstance(item.event, Samples):
        found += (Found(item.event.region, sample) for sample in item.event.samples)
    if order(item.id) > order(board.id):
        board.fold(item.id, item.event)


def _no_such(board: Board, key: str) -> str:
    keys = list(_keys(board))
    if not keys:
        return "no monitor is known yet: start the server with a config file first."
    if (component := board.component(key)) is not None and component.monitors:
        ours = ", ".join(monitor.key for monitor in component.monitors)
        return f"{key} is a component; ask for one of its monitors: {ours}."
    close = _near(key, keys)
    hint = f"did you mean {close}?" if close else f"there are {len(keys)}, such as {keys[0]}."
    return f"no monitor has the key {key!r}; {hint}"


def _near(key: str, keys: list[str]) -> str:
    """Of a component whose slug is near: a kind that both have would make any two keys alike."""
    slugs = dict.fromkeys(each.partition("/")[0] for each in keys)
    near = difflib.get_close_matches(key.partition("/")[0], slugs, n=1)
    ours = [each for each in keys if each.partition("/")[0] in near]
    return next(iter(difflib.get_close_matches(key, ours, n=1, cutoff=0)), "")


def _keys(board: Board) -> Iterator[str]:
    return (monitor.key for monitor in board.catalog.monitors())
