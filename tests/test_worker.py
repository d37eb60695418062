"""The worker process: from the catalog to the feed, and a clean end."""

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Timer

import pytest

from app.config import Config
from app.domain.events import Beat, Event, Retelling, Samples, StateChange
from app.domain.monitor import Catalog, Component, Monitor
from app.domain.standing import State
from app.feed import Feed, Heard
from tests.conftest import eventually
from tests.services import Valkey, Worker, wait_until
from tests.targets import OK, listening, response, saying, silent
from workers.lag import Lag
from workers.main import end, own_parts, run, work


def config(redis_url: str, **environ: str) -> Config:
    return Config.read(
        {"REDIS_URL": redis_url, "STATUSWIRE_BEAT": "0.2", "STATUSWIRE_REGION": "lab", **environ}
    )


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker writes, it writes there."""
    monkeypatch.chdir(tmp_path)


def catalog(url: str, every: float = 0.1) -> Catalog:
    monitor = Monitor(key="web/http", kind="http", target=url, every=every, timeout=0.5, regions=("lab",))
    return Catalog(components=(Component(slug="web", name="Web", monitors=(monitor,)),))


class Server:
    """The other end of the feed, as far as a worker cares."""

    def __init__(self, url: str) -> None:
        self.feed = Feed(url, beat=0.2)
        self.heard: list[Event] = []

    def states(self) -> list[State]:
        return [event.standing.state for event in self.heard if isinstance(event, StateChange)]

    def beats(self) -> list[Beat]:
        return [event for event in self.heard if isinstance(event, Beat)]

    async def follow(self) -> None:
        async for item in self.feed.follow("0-0"):
            if isinstance(item, Heard):
                self.heard.append(item.event)


@asynccontextmanager
async def serving(url: str) -> AsyncIterator[Server]:
    server = Server(url)
    task = asyncio.create_task(server.follow())
    try:
        yield server
    finally:
        await end([task])
        await server.feed.close()


@asynccontextmanager
async def working(redis_url: str, **environ: str) -> AsyncIterator["asyncio.Task[int]"]:
    """In this process, which takes the signal for it."""
    task = asyncio.create_task(work(config(redis_url, **environ)))
    try:
        yield task
    finally:
        if not task.done():
            os.kill(os.getpid(), signal.SIGTERM)
            assert await asyncio.wait_for(task, 2.0) == 0


async def test_from_the_catalog_to_the_feed(redis_url: str) -> None:
    async with listening(saying(OK)) as target, serving(redis_url) as server, working(redis_url):
        await eventually(server.beats)
        assert server.beats()[0].monitors == 0
        await server.feed.assign(catalog(target.url))
        await eventually(lambda: server.states() == [State.UP])
        await eventually(lambda: any(isinstance(event, Samples) for event in server.heard))
        beat = await eventually(lambda: server.beats()[-1].probes.get("ok") and server.beats()[-1])
    assert (beat.region, beat.every, beat.monitors, beat.dropped) == ("lab", 0.2, 1, 0)
    # Of the machine it says nothing: the name is on the feed and in /metrics.
    assert re.fullmatch("lab-[0-9a-f]{8}", beat.worker)
    assert beat.worker == next(event.worker for event in server.heard if isinstance(event, StateChange))


async def test_a_new_catalog_is_heeded_while_it_runs(redis_url: str) -> None:
    async with (
        listening(saying(OK)) as good,
        listening(saying(response(status="500 Oops"))) as bad,
        serving(redis_url) as server,
        working(redis_url),
    ):
        await server.feed.assign(catalog(good.url))
        await eventually(lambda: server.states() == [State.UP])
        await server.feed.assign(catalog(bad.url))
        await eventually(lambda: server.states() == [State.UP, State.DOWN])


async def test_a_feed_that_has_forgotten_is_told_again(redis_url: str, valkey: Valkey) -> None:
    async with listening(saying(OK)) as target, serving(redis_url) as server, working(redis_url):
        await server.feed.assign(catalog(target.url))
        await eventually(lambda: server.states() == [State.UP])
        valkey.flush()
        retelling = await eventually(
            lambda: next((event for event in server.heard if isinstance(event, Retelling)), None)
        )
    assert [(s.monitor, s.state) for s in retelling.standings] == [("web/http", State.UP)]


async def test_it_waits_for_a_redis_that_comes_later_and_says_so_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Valkey() as server_process:
        async with listening(saying(OK)) as target, working(server_process.url) as task:
            began = time.monotonic()
            await eventually(lambda: time.monotonic() - began > 1.0)
            assert not task.done()
            server_process.start()
            async with serving(server_process.url) as server:
                await server.feed.assign(catalog(target.url))
                await eventually(lambda: server.states() == [State.UP])
                await eventually(server.beats)
    assert capsys.readouterr().out.count("the feed is lost") == 1


async def test_its_sign_of_life_is_as_old_as_the_last_beat_that_redis_took(tmp_path: Path) -> None:
    sign = tmp_path / "beat"
    with Valkey() as server_process:
        server_process.start()
        async with working(server_process.url, STATUSWIRE_SIGN_OF_LIFE=str(sign)):
            await eventually(sign.exists)
            first = sign.stat().st_mtime_ns
            await eventually(lambda: sign.stat().st_mtime_ns > first)
            server_process.stop()
            last, since = sign.stat().st_mtime_ns, time.monotonic()
            await eventually(lambda: time.monotonic() - since > 1.0)
            assert sign.stat().st_mtime_ns == last


async def test_a_sign_of_life_that_cannot_be_written_ends_nothing(
    redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with working(redis_url, STATUSWIRE_SIGN_OF_LIFE="/proc/beat") as task:
        await eventually(lambda: "the sign of life cannot be written" in capsys.readouterr().out)
        assert not task.done()


async def test_it_ends_within_a_second_even_without_redis_and_amid_a_probe() -> None:
    with Valkey() as server_process:
        server_process.start()
        async with listening(silent) as target, serving(server_process.url) as server:
            async with working(server_process.url) as task:
                await server.feed.assign(catalog(target.url))
                await eventually(lambda: target.open)
                server_process.kill()
                began = time.monotonic()
                os.kill(os.getpid(), signal.SIGINT)
                assert await asyncio.wait_for(task, 2.0) == 0
                assert time.monotonic() - began < 1.0


async def test_it_ends_at_whatever_moment_the_signal_comes(redis_url: str) -> None:
    """Also while it still connects: on Python 3.11 a cancellation may be lost there."""
    for milliseconds in range(12):
        async with working(redis_url) as task:
            await asyncio.sleep(milliseconds / 1000)
            began = time.monotonic()
            os.kill(os.getpid(), signal.SIGTERM)
            assert await asyncio.wait_for(task, 2.0) == 0
            assert time.monotonic() - began < 1.0


async def test_a_task_that_lost_its_cancellation_is_ended_all_the_same() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(60)  # as asyncio.wait_for goes on when an answer comes in that instant

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await asyncio.wait_for(end([task]), 1.0)
    assert task.cancelled()


async def test_what_is_said_last_is_still_heard(redis_url: str) -> None:
    async with listening(saying(OK)) as target, serving(redis_url) as server:
        async with working(redis_url):
            await server.feed.assign(catalog(target.url))
            await eventually(lambda: server.states() == [State.UP])
        # Sampled within the last second, and not yet flushed when the signal came.
        await eventually(lambda: any(isinstance(event, Samples) for event in server.heard))


async def test_a_fault_of_our_own_ends_it_with_code_1(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(self: Lag) -> None:
        raise ZeroDivisionError("oh dear")

    monkeypatch.setattr(Lag, "watch", broken)
    assert await asyncio.wait_for(work(config(redis_url)), 3.0) == 1
    assert "oh dear" in capsys.readouterr().out


def test_as_a_process_it_heeds_sigterm_with_exit_code_0(redis_url: str, tmp_path: Path) -> None:
    with Worker(redis_url, tmp_path / "none.yaml") as worker:
        worker.start()
        wait_until(lambda: "the worker begins" in worker.logs, 10.0, lambda: worker.logs)
        began = time.monotonic()
        assert worker.stop() == 0, worker.logs
        assert time.monotonic() - began < 3.0
        assert "the worker has ended" in worker.logs


def test_run_is_an_event_loop_around_it(redis_url: str) -> None:
    timer = Timer(0.7, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    assert run(config(redis_url)) == 0
    timer.join()


@pytest.mark.parametrize(
    ("redis_url", "database_url", "own"),
    [
        ("redis://r.test", "sqlite:///x.db", (("r.test", 6379),)),
        ("rediss://:pw@r.test:7000/1", "postgres://u:p@db.test/x", (("r.test", 7000), ("db.test", 5432))),
        ("unix:///tmp/redis.sock", "postgresql://[::1]:5433/x", (("::1", 5433),)),
        ("unix:///tmp/redis.sock", "postgres://a.test:1,b.test/x", (("a.test", 1), ("b.test", 5432))),
        ("unix:///tmp/redis.sock", "postgres:///x?host=a.test&port=7", (("a.test", 7),)),
        ("unix:///tmp/redis.sock", "postgres:///x?host=/run/postgresql", ()),
    ],
)
def test_our_own_redis_and_database_are_known(
    redis_url: str, database_url: str, own: tuple[tuple[str, int], ...]
) -> None:
    assert own_parts(config(redis_url, DATABASE_URL=database_url)) == own
