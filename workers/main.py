"""The worker process: told what to probe by the feed, it probes, judges, and tells the feed. Redis is all it
needs of the others."""

import asyncio
import secrets
import signal
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, Final

import msgspec
import structlog

from app.config import Config, own_parts, places
from app.feed import Feed, FeedDown
from app.loop import loop_factory
from app.security.egress import Egress, Policy
from workers.lag import spare_what_stays
from workers.outbox import Outbox
from workers.own_health import OwnHealth
from workers.patrol import Patrol
from workers.probes import Probes
from workers.probes.equipment import Equipment
from workers.second_look import SecondLooks
from workers.share import Share
from workers.spool import Spool, left_behind

# Together less than the second that a stop may take.
_DRAIN_PATIENCE: Final = 0.5
_CLOSE_PATIENCE: Final = 0.2

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

log = structlog.get_logger(__name__)


def run(config: Config) -> int:
    """The exit code, once a signal or a fault of our own has ended it."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(work(config))


async def work(config: Config) -> int:
    """Until SIGTERM or SIGINT, which it heeds itself."""
    assert config.redis_url is not None, "a worker needs the URL of a Redis"
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for signum in _SIGNALS:
        loop.add_signal_handler(signum, stop.set)
    try:
        return await _work_until(stop, config, config.redis_url)
    finally:
        for signum in _SIGNALS:
            loop.remove_signal_handler(signum)


async def _work_until(stop: asyncio.Event, config: Config, redis_url: str) -> int:
    # Not after the machine: the name is seen in places where that one's is nobody's business.
    worker = f"{config.region}-{secrets.token_hex(4)}"
    feed = Feed(redis_url, beat=config.beat)
    probes = Probes(Equipment(Egress(Policy(own=own_parts(config)))))
    spools = config.data / "spool"
    left = list(left_behind(spools))
    outbox = Outbox(
        feed,
        worker,
        on_new_log=lambda: patrol.retell(),
        spool=Spool.create(spools, worker),
        left_behind=left,
    )
    looks = SecondLooks(feed)
    health = OwnHealth(canaries(config))
    patrol = Patrol(probes, outbox, worker, config.region, looks.call, health)
    share = Share(
        *(feed, patrol, worker, config.region, config.beat, outbox.begins),
        sign=config.sign_of_life,
        ghosts=[spool.worker for spool in left],
    )
    await probes.warm_up()
    spare_what_stays()
    log.info("the worker begins", worker=worker, region=config.region)

    delivering = asyncio.create_task(outbox.deliver())
    activities = [
        delivering,
        asyncio.create_task(patrol.patrol()),
        *map(asyncio.create_task, (share.hear_catalogs(), share.hear_workers(), share.beat())),
        *map(asyncio.create_task, (share.watch(), share.settle(), looks.deliver())),
    ]
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([stopping, *activities], return_when=asyncio.FIRST_COMPLETED)
    # None of them ever ends by itself, so one that has ended has failed.
    failures = [activity.exception() for activity in activities if activity.done()]
    for failure in failures:
        log.error("the worker ends by a fault of Statuswire itself", exc_info=failure)

    await end([stopping, *activities[1:]])
    patrol.flush()
    if not delivering.done() and not await outbox.drain(_DRAIN_PATIENCE):
        log.warning("the worker ends with events that the feed did not take", waiting=outbox.waiting)
    await end([delivering])
    outbox.close()
    # Only now, when all that we know of our monitors is with the feed.
    for closing in (share.farewell, probes.close, health.close, feed.close):
        await _close(closing)
    log.info("the worker has ended", worker=worker)
    return 1 if failures else 0


def canaries(config: Config) -> tuple[tuple[str, int], ...]:
    """Those of the settings, or else a Redis on another machine: whoever reaches nothing but his targets
    cannot know whose fault it is."""
    if config.canaries:
        return tuple((host, port) for text in config.canaries for host, port in places(f"tcp://{text}", 443))
    own = own_parts(msgspec.structs.replace(config, database_url="sqlite:///none"))
    return tuple(place for place in own if not _is_here(place[0]))


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel until it takes. On Python 3.11 a cancellation is lost that meets asyncio.wait_for, and with it
    redis-py, in the instant in which an answer comes."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.05)


async def _close(closing: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with suppress(*FeedDown):
        async with asyncio.timeout(_CLOSE_PATIENCE):
            await closing()
