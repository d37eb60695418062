"""From the outbox to the feed: what was stored with a change is told, in order, by whichever server is there.

A commit wakes this job at once, so that a change is on the screens within milliseconds. Whatever it dies at,
the next one says the same events with the same keys, and the feed takes each of them once.
"""

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from app import metrics
from app.db.change import Changes
from app.db.engine import DatabaseDown
from app.feed import Feed, FeedDown

log = structlog.get_logger("outbox")

AT_A_TIME: Final = 100
# Between two looks at what another process has put there: the command line, or a server that has died.
LOOK_EVERY: Final = 1.0
FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0


async def tell(changes: Changes, feed: Feed) -> None:
    """Keep the outbox empty, for ever, whatever happens to Redis and the database."""
    pause = FIRST_PAUSE
    while True:
        changes.stored.clear()
        try:
            await empty(changes, feed)
        except (*FeedDown, DatabaseDown) as error:
            if pause == FIRST_PAUSE:
                log.warning(
                    "changes are stored and cannot be told yet, will be",
                    why=str(error) or "no answer in time",
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            continue
        pause = FIRST_PAUSE
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY):
                await changes.stored.wait()


async def empty(changes: Changes, feed: Feed) -> None:
    """Tell all that is in the outbox now."""
    while untold := await changes.untold(AT_A_TIME):
        metrics.UNTOLD.set(len(untold))
        await feed.announce([(each.key, each.event) for each in untold])
        await changes.forget(untold)
    metrics.UNTOLD.set(0)
