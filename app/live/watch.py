"""What runs beside the hub for as long as the server does: following the feed, beating, and calling
silence by name."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from app.db.engine import DatabaseDown
from app.domain.board import Board
from app.domain.events import Silence, order
from app.domain.instant import to_ms
from app.feed import Feed, FeedDown, Gap
from app.live.hub import PAGE_BEATS, STALE_BEATS, Hub

log = structlog.get_logger("watch")


async def listen(feed: Feed, hub: Hub, reload: Callable[[], Awaitable[Board]]) -> None:
    """Keep the hub true to the feed, for ever. Behind a hole the database may know more than we do:
    another server may have heard what we missed."""
    known = (0, 0)
    async for item in feed.follow(hub.board.id, hub.link):
        if isinstance(item, Gap):
            hub.hear(item)
            known = await _catch_up(hub, item, reload)
        elif not item.id or order(item.id) > known:
            hub.hear(item)


async def _catch_up(hub: Hub, gap: Gap, reload: Callable[[], Awaitable[Board]]) -> tuple[int, int]:
    """The id up to which the database has told us all."""
    if order(gap.before) <= order(gap.after):
        return 0, 0  # a log that began anew, of which the database knows nothing
    try:
        board = await reload()
    except DatabaseDown as error:
        log.warning("behind a gap, and the database cannot tell us more", why=error.what)
        return 0, 0
    if order(board.id) > order(hub.board.id):
        hub.restore(board, board.id)
    return order(board.id)


async def beat(hub: Hub) -> None:
    """Proof of life, for ever. Looks more often than it beats, so that a lost feed is told at once."""
    looks, n = 5, 0
    while True:
        await asyncio.sleep(hub.beat_every / looks)
        n += 1
        if n % looks:
            hub.check()
        else:
            hub.beat(walls_only=n % (looks * PAGE_BEATS) != 0)


async def cut(hub: Hub) -> None:
    """Let go of viewers that take nothing, or whose time has run out, for ever; with a rhythm of its own, for
    beats may be a minute apart."""
    while True:
        await asyncio.sleep(1.0)
        hub.cut_stalled()
        hub.end_over()


async def watch(feed: Feed, hub: Hub, every: float = 1.0) -> None:
    """Announce what has fallen silent, for ever. Every server may: the key makes one event of it."""
    heard_since: float | None = None
    refused = False
    while True:
        await asyncio.sleep(every)
        # A Redis that is full or read-only answers us and takes no word of a worker's: those are waiting, and
        # said after a silence of ours they would be folded into it.
        if (state := hub.feed_state) == "down" or (refused and state != "ok"):
            heard_since = None
            continue
        refused = False
        heard_since = heard_since if heard_since is not None else time.monotonic()
        # Right after an outage the workers' own words are still on their way.
        if time.monotonic() - heard_since >= STALE_BEATS * hub.beat_every:
            refused = not await call_silent(feed, hub, heard_since)
            heard_since = None if refused else heard_since


async def call_silent(feed: Feed, hub: Hub, heard_since: float) -> bool:
    """Announce each monitor of which nothing has been heard for longer than its last word was good for.
    False if the feed did not take it."""
    now, heard = hub.now(), order(hub.board.id)
    silences: list[tuple[str, Silence]] = []
    for monitor, region, since in hub.board.past_best_before(now):
        # Clocks may differ, and ours may have been set: so it must have been silent by our stopwatch too.
        patience, respite = hub.board.patience(monitor, region)
        if hub.silent_for(monitor, region, heard_since + respite - patience) > patience:
            event = Silence(at=now, monitor=monitor, region=region, since=since)
            silences.append((f"silence/{monitor}/{region}:{to_ms(since)}", event))
    try:
        for start in range(0, len(silences), 500):
            await _announce(feed, silences[start : start + 500], heard)
    except FeedDown as error:
        why = str(error) or "no answer in time"
        log.warning("a silence could not be announced, will be again", error=why)
        return False
    if silences:
        log.info("fallen silent", monitors=len(silences))
    return True


async def _announce(feed: Feed, silences: list[tuple[str, Silence]], heard: tuple[int, int]) -> None:
    """`heard` is how far the board had heard that knows nothing of these silences."""
    announced = await feed.announce(silences)
    # What is earlier, the feed takes for said already. What the board had heard of is then another silence,
    # dated by a clock that was ahead: until that time has come, nobody would be silent under such a key.
    again = []
    for (key, event), its in zip(silences, announced, strict=True):
        if order(its.id) <= heard:
            producer, _, since = key.rpartition(":")
            again.append((f"{producer}/{since}:1", event))
    await feed.announce(again)
