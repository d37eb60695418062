"""What fails in one region for the first time is looked at in the others at once, and no more often than that
is worth."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from app.domain.events import SecondLook, StateChange
from app.domain.monitor import Monitor
from app.domain.standing import State
from app.feed import Feed, Heard
from tests.conftest import eventually
from tests.make import a_catalog, a_component, a_monitor
from tests.services import Valkey
from tests.targets import OK, asking, listening, response
from workers.main import end
from workers.outbox import Outbox
from workers.patrol import Patrol
from workers.probes import Probes
from workers.second_look import AT_A_TIME, SecondLooks
from workers.share import Share

BAD = response(status="500 Oops")
BEAT = 1.0


class Worker:
    """All that a worker of one region runs."""

    def __init__(self, url: str, region: str) -> None:
        self.feed = Feed(url, beat=BEAT)
        self.probes = Probes()
        self.outbox = Outbox(self.feed, region)
        self.looks = SecondLooks(self.feed)
        self.calls: list[SecondLook] = []
        self.patrol = Patrol(self.probes, self.outbox, region, region, self._call)
        self.share = Share(self.feed, self.patrol, region, region, BEAT, self.outbox.begins)

    def _call(self, look: SecondLook, regions: object) -> None:
        self.calls.append(look)
        self.looks.call(look, cast(list[str], regions))


class Log:
    def __init__(self) -> None:
        self.down: dict[str, dict[str, float]] = {}  # by monitor and region, when it was heard
        self.up: set[tuple[str, str]] = set()

    async def follow(self, feed: Feed) -> None:
        async for item in feed.follow("0-0"):
            if isinstance(item, Heard) and isinstance(item.event, StateChange):
                standing = item.event.standing
                if standing.state is State.DOWN:
                    self.down.setdefault(standing.monitor, {})[standing.region] = time.monotonic()
                else:
                    self.up.add((standing.monitor, standing.region))


@asynccontextmanager
async def regions(url: str, *names: str) -> AsyncIterator[tuple[Log, list[Worker]]]:
    workers = [Worker(url, name) for name in names]
    feed, log = Feed(url, beat=BEAT), Log()
    tasks = [asyncio.create_task(log.follow(feed))]
    for worker in workers:
        await worker.probes.warm_up()
        share = worker.share
        activities = (share.hear_catalogs(), share.hear_workers(), share.beat(), share.settle())
        others = (worker.patrol.patrol(), worker.outbox.deliver(), worker.looks.deliver())
        tasks += [asyncio.create_task(activity) for activity in (*activities, *others)]
    try:
        yield log, workers
        assert not any(task.done() for task in tasks), "an activity has ended"
    finally:
        await end(tasks)
        for worker in workers:
            await worker.probes.close()
            await worker.feed.close()
        await feed.close()


async def assign(url: str, *monitors: Monitor) -> None:
    feed = Feed(url, beat=BEAT)
    await feed.assign(a_catalog(a_component("api", *monitors)))
    await feed.close()


async def test_what_fails_for_the_first_time_is_known_to_a_majority_without_waiting_for_their_intervals(
    redis_url: str,
) -> None:
    every, names, said = 3.0, ("eu", "us", "asia"), [OK]
    async with listening(asking(lambda _: said[0])) as target, regions(redis_url, *names) as (log, _):
        monitors = [
            a_monitor(f"m{n}", target=target.url, every=every, timeout=1.0, retries=0, regions=names)
            for n in range(30)
        ]
        await assign(redis_url, *monitors)
        await eventually(lambda: len(log.up) == 90)
        # By now each region has its own slots.
        await eventually(lambda: len(target.visits) >= 2 * 90)
        began = time.monotonic()
        said[0] = BAD

        await eventually(lambda: len(log.down) == 30 and all(len(at) == 3 for at in log.down.values()))

    second = [sorted(at.values())[1] - began for at in log.down.values()]
    mean = sum(second) / len(second)
    print(f"mean {mean:.3f} s, longest {max(second):.3f} s")
    # The slots of three regions lie evenly: the first to see it comes after a sixth of an interval, on
    # average. Without a call the second would come a third later.
    assert mean <= every / 6 + 0.3
    # The last comes right behind.
    spread = [max(at.values()) - min(at.values()) for at in log.down.values()]
    assert sum(spread) / len(spread) < 0.3


async def test_a_call_is_made_once_in_an_interval_and_not_by_who_was_called(redis_url: str) -> None:
    said = [OK]
    async with listening(asking(lambda _: said[0])) as target, regions(redis_url, "eu", "us") as (log, both):
        monitor = a_monitor("m", target=target.url, every=60.0, timeout=1.0, retries=9, regions=("eu", "us"))
        await assign(redis_url, monitor)
        await eventually(lambda: len(log.up) == 2)
        eu, us = both
        await eventually(lambda: all(just_looked(worker) is False for worker in both))
        said[0] = BAD
        visits = len(target.visits)
        eu.patrol.look("m")  # as if it were due
        eu.patrol._watches["m"].called = float("-inf")

        await eventually(lambda: us.patrol._watches["m"].standing.bad >= 1)

        assert [look.region for look in eu.calls] == ["eu"] and us.calls == []
        # It gets better and fails again within the interval: that is for the quick retries alone.
        said[0] = OK
        await eventually(lambda: not eu.patrol._watches["m"].standing.bad)
        said[0] = BAD
        await eventually(lambda: just_looked(eu) is False)
        eu.patrol.look("m")
        await eventually(lambda: eu.patrol._watches["m"].standing.bad >= 1)
        assert len(eu.calls) == 1
        assert len(target.visits) > visits


def just_looked(worker: Worker) -> bool:
    return time.monotonic() - worker.patrol._watches["m"].looked < 1.05


async def test_who_has_just_looked_or_does_not_look_at_it_does_not_heed_a_call(redis_url: str) -> None:
    async with listening(asking(lambda _: OK)) as target, regions(redis_url, "eu") as (log, [eu]):
        await assign(redis_url, a_monitor("m", target=target.url, every=60.0, regions=("eu",)))
        await eventually(lambda: log.up)
        for n in range(50):
            await eu.feed.ask([("eu", SecondLook(monitor=key, region="us")) for key in ("m", "other")])
            assert len(target.visits) == 1, n
        await eventually(lambda: just_looked(eu) is False)
        for _ in range(50):
            await eu.feed.ask([("eu", SecondLook(monitor="m", region="us"))])
        await eventually(lambda: len(target.visits) == 2)


async def test_without_redis_a_call_is_let_go_and_too_many_are_too() -> None:
    with Valkey() as server:
        feed = Feed(server.start().url, beat=BEAT)
        looks = SecondLooks(feed)
        delivering = asyncio.create_task(looks.deliver())
        server.kill()
        for n in range(AT_A_TIME * 2):
            looks.call(SecondLook(monitor=f"m{n}", region="eu"), ["us"])
        assert len(looks._waiting) == AT_A_TIME
        await eventually(lambda: not looks._waiting)
        server.start()
        heard: list[str] = []

        async def hear() -> None:
            async for said in feed.among("us"):
                heard.append(cast(SecondLook, said).monitor)

        hearing = asyncio.create_task(hear())

        async def heard_again() -> bool:
            looks.call(SecondLook(monitor="again", region="eu"), ["us"])
            return bool(heard)

        await eventually(heard_again)
        assert set(heard) == {"again"}
        await end([delivering, hearing])
        await feed.close()
