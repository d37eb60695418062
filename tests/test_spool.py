"""The spool: what was said while the feed was away outlives its worker, and nothing else costs anything."""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from app.domain.events import Logged, Retelling
from app.domain.instant import from_ms
from app.domain.standing import Standing, State
from app.feed import LOG, Feed
from tests.conftest import eventually
from tests.make import a_catalog, a_component, a_monitor
from tests.services import Valkey, Worker
from tests.targets import OK, asking, listening, response
from tests.test_outbox import change, samples
from workers import spool as spool_room
from workers.main import end
from workers.outbox import Outbox
from workers.spool import Spool, left_behind


@pytest.fixture
def server() -> Iterator[Valkey]:
    with Valkey(aof=True) as server:
        yield server.start()


def a_spool(folder: Path, worker: str = "w1") -> Spool:
    spool = Spool.create(folder, worker)
    assert spool is not None
    return spool


def keyed(*created: Callable[[str], Logged], worker: str = "w1") -> list[tuple[str, Logged]]:
    return [(f"{worker}:{n}", create(f"{worker}:{n}")) for n, create in enumerate(created, 1)]


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def abandon(spool: Spool) -> None:
    """As kill -9 does: the lock goes, the file stays."""
    os.close(spool._file)


async def log_of(server: Valkey) -> list[dict[str, object]]:
    async with Redis.from_url(server.url) as raw:
        return [json.loads(fields[b"event"]) for _, fields in await raw.xrange(LOG)]


# The file


def test_what_was_kept_is_read_by_the_next_with_its_keys_and_in_order(tmp_path: Path) -> None:
    events = keyed(change(0), samples(1, count=3), change(2))
    spool = a_spool(tmp_path)
    spool.keep(events)
    assert list(left_behind(tmp_path)) == []  # it lives
    abandon(spool)
    [found] = left_behind(tmp_path)
    assert list(found.read()) == events
    # And one finder is enough.
    assert list(left_behind(tmp_path)) == []
    found.clear()
    found.close()
    assert list(tmp_path.iterdir()) == []


def test_what_was_heard_is_not_read_again(tmp_path: Path) -> None:
    events = keyed(*(change(n) for n in range(5)))
    spool = a_spool(tmp_path)
    spool.keep(events[:4])
    spool.mark_heard("w1:3")
    spool.keep(events[4:])
    assert list(spool.read()) == events[3:]
    spool.clear()
    assert spool.is_empty
    spool.close()


def test_a_broken_line_is_passed_over_and_counted(tmp_path: Path) -> None:
    events = keyed(*(change(n) for n in range(4)))
    spool = a_spool(tmp_path)
    spool.keep(events)
    abandon(spool)
    whole = spool.path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for tail in range(1, len(lines[3])):
        spool.path.write_bytes(whole[:-tail])
        [found] = left_behind(tmp_path)
        assert (list(found.read()), found.broken) == (events[:3], 1)
        abandon(found)
    spool.path.write_bytes(lines[0] + b"\x00\xff\n" + lines[1].replace(b"m1", b"m7") + lines[2] + b"\n")
    [found] = left_behind(tmp_path)
    assert (list(found.read()), found.broken) == ([events[0], events[2]], 3)
    abandon(found)


def test_it_is_bounded_and_the_last_of_its_room_is_for_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(spool_room, "SAMPLES_AT_MOST", 2_000)
    monkeypatch.setattr(spool_room, "BYTES_AT_MOST", 4_000)
    spool = a_spool(tmp_path)
    spool.keep(keyed(*(samples(n, count=5) for n in range(20))))
    few = len(list(spool.read()))
    assert 0 < few < 20 and spool.unkept == 20 - few
    spool.keep((f"w1:{100 + n}", change(n)("t")) for n in range(30))
    assert 2_000 < spool.path.stat().st_size <= 4_000
    assert spool.unkept == 50 - len(list(spool.read()))
    assert capsys.readouterr().out.count("takes no more") == 1
    abandon(spool)


def test_what_a_full_disk_took_half_of_does_not_break_what_comes_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = a_spool(tmp_path)
    events = keyed(*(change(n) for n in range(3)))
    spool.keep(events[:1])
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, line: write(file, line[:20]))
    spool.keep(events[1:2])
    monkeypatch.undo()
    spool.keep(events[2:])
    assert (list(spool.read()), spool.broken, spool.unkept) == ([events[0], events[2]], 0, 1)
    abandon(spool)


def test_where_there_is_no_writing_that_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert Spool.create(tmp_path / "file" / "spool", "w1") is None
    assert list(left_behind(tmp_path / "file" / "spool")) == []
    assert capsys.readouterr().out.count("the spool cannot be written") == 1


# With the outbox


async def test_while_the_feed_is_there_nothing_is_written(
    server: Valkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed, spool = Feed(server.url, beat=0.3), a_spool(tmp_path)
    monkeypatch.setattr(os, "write", None)
    outbox = Outbox(feed, "w1", spool=spool)
    delivering = asyncio.create_task(outbox.deliver())
    for n in range(300):
        outbox.put(change(n))
    assert await outbox.drain(5.0)
    monkeypatch.undo()
    await end([delivering])
    outbox.close()
    assert names(tmp_path) == []
    await feed.close()


async def test_after_an_outage_the_spool_is_empty_again(server: Valkey, tmp_path: Path) -> None:
    feed, spool = Feed(server.url, beat=0.3), a_spool(tmp_path)
    outbox = Outbox(feed, "w1", spool=spool)
    delivering = asyncio.create_task(outbox.deliver())
    outbox.put(change(0))
    assert await outbox.drain(5.0)
    server.kill()
    for n in range(1, 500):
        outbox.put(change(n))
    await eventually(lambda: len(list(spool.read())) == 499)
    outbox.put(change(500))
    assert len(list(spool.read())) == 500
    server.start()
    assert await outbox.drain(10.0)
    assert spool.is_empty
    await end([delivering])
    outbox.close()
    assert [event["standing"]["monitor"] for event in await log_of(server)] == [  # type: ignore[index]
        f"m{n}" for n in range(501)
    ]
    await feed.close()


async def test_a_worker_that_ends_while_the_feed_is_away_leaves_what_it_had_to_say(
    server: Valkey, tmp_path: Path
) -> None:
    feed = Feed(server.url, beat=0.3)
    outbox = Outbox(feed, "w1", spool=a_spool(tmp_path))
    delivering = asyncio.create_task(outbox.deliver())
    server.pause()  # and so not even known to be away
    outbox.put(change(0))
    await eventually(lambda: outbox._batch)
    outbox.put(change(1))
    assert not await outbox.drain(0.1)
    await end([delivering])
    outbox.close()
    server.resume()

    heir = Outbox(feed, "w2", spool=a_spool(tmp_path, "w2"), left_behind=left_behind(tmp_path))
    delivering = asyncio.create_task(heir.deliver())
    heir.put(change(2))
    assert await heir.drain(5.0)
    # The first had been on its way and was heard, or not: once in any case.
    assert [event["trace"] for event in await log_of(server)] == ["w1:1", "w1:2", "w2:1"]
    await end([delivering])
    heir.close()
    assert names(tmp_path) == []
    await feed.close()


async def test_what_others_have_looked_at_since_is_not_said_any_more(server: Valkey, tmp_path: Path) -> None:
    """It would be taken for news."""
    standing = Standing(monitor="m5", region="local", since=from_ms(5), state=State.UP)

    def retelling(key: str) -> Logged:
        return Retelling(trace=key, at=from_ms(5), worker="w1", standings=(standing,))

    spool = a_spool(tmp_path)
    spool.keep(keyed(change(1), change(2), samples(3), retelling))
    abandon(spool)
    feed = Feed(server.url, beat=0.3)
    newer = change(1)("w3:1")
    await feed.announce([("w3:1", newer), ("w3:2", samples(1)("")), ("w3:3", later(1))])

    heir = Outbox(feed, "w2", left_behind=left_behind(tmp_path))
    delivering = asyncio.create_task(heir.deliver())
    heir.put(change(9))
    assert await heir.drain(5.0)

    said = await log_of(server)
    assert [event.get("trace", "samples") for event in said] == [
        *("w3:1", "samples", "w3:3"),
        *("w1:2", "samples", "w2:1"),
    ]
    await end([delivering])
    await feed.close()


async def test_what_others_have_overtaken_in_a_long_outage_of_ours_alone_is_let_go(
    server: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.outbox.LONG_AWAY", 0.1)
    gate = Feed(f"{server.url}x", beat=0.3)  # as if a cable were cut
    feed = Feed(server.url, beat=0.3)
    outbox = Outbox(gate, "w1")
    delivering = asyncio.create_task(outbox.deliver())
    outbox.put(change(1))
    await eventually(lambda: outbox._batch)
    for n in (1, 2, 3):
        outbox.put(change(n))
    outbox.put(samples(1))
    await feed.announce([("w3:1", later(1))])
    began = time.monotonic()
    await eventually(lambda: time.monotonic() - began > 0.5)
    gate._redis, gate._announce = feed._redis, feed._announce
    assert await outbox.drain(5.0)
    assert [event.get("trace", "samples") for event in await log_of(server)] == [
        *("w3:3", "w1:3", "w1:4", "samples")
    ]
    await end([delivering])
    await gate.close()


def later(n: int) -> Logged:
    return replace(change(n)("w3:3"), at=from_ms(1_000_000))


# As a process


async def test_kill_9_of_a_worker_in_an_outage_of_redis_loses_repeats_and_reorders_nothing(
    server: Valkey, tmp_path: Path
) -> None:
    answers = Counter[str]()

    def changing(request: str) -> bytes:
        """Down and up by turns for each monitor; too few for any of them to be called flapping."""
        path = request.split()[1]
        answers[path] += 1
        return response(status="500 Oops") if answers[path] % 2 else OK

    def a_worker() -> Worker:
        return Worker(
            server.url, tmp_path / "none.yaml", STATUSWIRE_DATA=str(tmp_path), STATUSWIRE_BEAT="0.5"
        )

    async with listening(asking(changing)) as target:
        feed = Feed(server.url, beat=0.5)
        monitors = [
            a_monitor(f"m{n}", target=f"{target.url}/{n}", every=0.5, timeout=5.0, retries=0)
            for n in range(12)
        ]
        await feed.assign(a_catalog(a_component("api", *monitors)))
        with a_worker() as first, a_worker() as second:
            first.start()
            await eventually(lambda: len(target.visits) >= 12)
            server.kill()
            during = len(target.visits) + 20
            await eventually(lambda: len(target.visits) >= during)
            await eventually(lambda: any(spooled(path) >= 12 for path in (tmp_path / "spool").iterdir()))
            first.kill()
            [left] = (tmp_path / "spool").iterdir()
            waiting = spooled(left)
            server.start()
            second.start()
            await eventually(lambda: "left behind" in second.logs, within=20)
            assert await asyncio.to_thread(second.stop) == 0

    log = await log_of(server)
    changes = [event for event in log if event["type"] == "state"]
    traces = [str(event["trace"]).rpartition(":") for event in changes]
    firsts = [int(n) for worker, _, n in traces if worker == traces[0][0]]
    seen = [event["standing"] for event in changes if str(event["trace"]).startswith(traces[0][0])]
    assert waiting >= 12
    # All that it saw before it was killed: a change with each answer, and no answer is missing.
    for monitor in monitors:
        states = [standing["state"] for standing in seen if standing["monitor"] == monitor.key]  # type: ignore[index]
        assert states == [("down", "up")[n % 2] for n in range(len(states))]
    assert firsts == sorted(set(firsts)) and len(seen) >= during - len(monitors)
    ids = [worker for worker, _, _ in traces]
    assert ids == sorted(ids, key=[*dict.fromkeys(ids)].index), "the second began before the first was done"
    await feed.close()


def spooled(path: Path) -> int:
    return path.read_bytes().count(b'"type":"state"')
