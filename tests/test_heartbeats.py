"""Heartbeats on real servers: one change for each, whoever takes it, and no restart forgets any."""

import asyncio
import http.client
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from typing import Any

import pytest

from app.api.heartbeats import WAITING_AT_MOST, Allowance, Heartbeats
from app.domain.board import START
from app.domain.events import Heartbeat, Word
from app.feed import Feed, Gap, Heard
from app.security.heartbeats import Tokens, token_of
from tests.conftest import eventually
from tests.make import NOON, a_catalog
from tests.services import Statuswire, Valkey, Web

FILE = """
components:
  - {name: Backup, monitors: [{push: backup, slug: backup, every: 1h, max_runtime: 2s}]}
  - {name: Cron, monitors: [{push: cron, slug: cron, every: 2s, grace: 1s}]}
"""
SETTINGS = {"STATUSWIRE_BEAT": "0.4", "STATUSWIRE_SECRET_KEY": "a key that both of the servers have"}


class Installation:
    """Two servers on one Valkey and one database."""

    def __init__(self, valkey: Valkey, first: Web, second: Web) -> None:
        self.valkey, self.first, self.second = valkey, first, second
        self.tokens: dict[str, str] = {}

    def start(self) -> None:
        for web in (self.first, self.second):
            (web.folder / "statuswire.yaml").write_text(FILE)
            web.start()

    def find_tokens(self) -> None:
        told = self.command("heartbeats")
        self.tokens = dict(re.findall(r"^(\S+)  http://\S+/v1/heartbeats/(\S+)$", told, re.MULTILINE))

    def command(self, *words: str) -> str:
        environ = {"DATABASE_URL": self.first.database_url, "REDIS_URL": self.valkey.url}
        with Statuswire(*words, **SETTINGS, **environ) as command:
            assert command.run() == 0, command.logs
            return command.logs

    def say(
        self, web: Web, monitor: str, word: str = "", method: str = "POST", body: bytes = b"", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        path = f"/v1/heartbeats/{self.tokens.get(monitor, monitor)}{word and '/'}{word}"
        with closing(http.client.HTTPConnection("127.0.0.1", web.port, timeout=15.0)) as connection:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read()

    def spans(self, component: str) -> list[str]:
        file = self.first.database_url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(file)) as database:
            rows = database.execute(
                "SELECT status, reason FROM spans WHERE component = ? ORDER BY id", (component,)
            )
            return [" ".join(filter(None, row)) for row in rows][1:]  # the first is that nobody knew


@pytest.fixture(scope="module")
def house() -> Iterator[Installation]:
    with Valkey(aof=True) as valkey, Web(valkey.start().url, **SETTINGS) as first:
        with Web(valkey.url, first.database_url, **SETTINGS) as second:
            house = Installation(valkey, first, second)
            house.start()
            deadline = time.monotonic() + 20
            while len(house.tokens) < 2 and time.monotonic() < deadline:
                house.find_tokens()
            yield house


async def test_a_run_that_hangs_a_job_that_is_late_and_every_restart_in_between(house: Installation) -> None:
    say, spans = house.say, house.spans
    for method in ("GET", "HEAD", "POST", "PUT"):  # a repeated request, at either server
        for web in (house.first, house.second):
            assert say(web, "backup", method=method)[::2] == (204, b"")
    await eventually(lambda: spans("backup") == ["operational"])

    # Its start is known to one server, which is then killed; Redis restarts, and the log is emptied.
    assert say(house.first, "backup", "start")[0] == 204
    assert say(house.second, "cron")[0] == 204
    await eventually(lambda: spans("cron") == ["operational"])
    await asyncio.to_thread(house.first.kill)
    await asyncio.to_thread(house.valkey.stop)
    asking = asyncio.create_task(asyncio.to_thread(say, house.second, "cron"))  # waits until Redis is back
    await asyncio.to_thread(house.valkey.start)
    house.valkey.ask("FLUSHALL")
    assert (await asking)[0] == 204
    await asyncio.to_thread(house.first.start)

    await eventually(lambda: spans("backup") == ["operational", "major_outage did not end"], within=20)
    await eventually(lambda: spans("cron") == ["operational", "major_outage late"], within=20)
    assert say(house.second, "backup", "3", body=b"disk full\n" * 2000)[0] == 204  # it was down already
    assert say(house.first, "backup", "0", body=b"well \xff\0 again")[0] == 204
    assert say(house.first, "cron", "fail")[0] == 204
    await eventually(lambda: spans("backup")[2:] == ["operational"])
    assert spans("cron") == ["operational", "major_outage late"]

    told = await asyncio.to_thread(house.command, "explain", "backup")
    assert "exit 3\n    disk full" in told and "well" in told and told.count("disk full") <= 100
    for web in (house.first, house.second):
        assert not any(token in web.logs for token in house.tokens.values())
        page = web.get("/")[1].decode()
        assert "disk full" not in page and not any(token in page for token in house.tokens.values())


def test_who_has_no_token_is_told_nothing_and_asked_to_slow_down(house: Installation) -> None:
    answers = [house.say(house.second, f"guess-{n}") for n in range(30)]
    assert {status for status, *_ in answers[:20]} == {404}
    status, headers, body = answers[-1]
    assert status == 429 and int(headers["retry-after"]) > 0
    assert headers["content-type"].startswith("application/problem+json") and b"too many tokens" in body
    # Who has one is not held up by others from the same address.
    assert house.say(house.second, "backup")[0] == 204
    for word in ("stop", "256", "-1", "1/2"):
        assert house.say(house.second, "backup", word)[0] == 404
    too_long = house.say(house.second, "backup", body=bytes((1 << 20) + 1))
    assert too_long[0] == 413 and b"1 MiB" in too_long[2]
    answers = [house.say(house.second, "backup") for _ in range(40)]
    assert 429 in {status for status, *_ in answers}


async def test_of_many_at_once_each_that_is_taken_is_in_the_log_whatever_redis_does() -> None:
    with Valkey(aof=True) as valkey:
        feed = Feed(valkey.start().url, beat=0.2)
        nothing: Any = None
        heartbeats = Heartbeats(feed, nothing, nothing, a_catalog)
        said = [Heartbeat(at=NOON, monitor=f"job-{n}", word=Word.SUCCESS) for n in range(WAITING_AT_MOST)]
        await asyncio.gather(*(heartbeats.take(each, "") for each in said))
        async with aclosing(feed.follow(START)) as items:
            assert await _monitors(items, len(said)) == [each.monitor for each in said]
        taking = []
        for each in said[:60]:
            taking.append(asyncio.create_task(heartbeats.take(each, "")))
            if each.monitor in ("job-20", "job-40"):
                await asyncio.to_thread(valkey.stop if valkey.running else valkey.start)
            await asyncio.sleep(0.005)
        await asyncio.gather(*taking)
        async with aclosing(feed.follow(START)) as items:
            assert (await _monitors(items, len(said) + 60))[-60:] == [each.monitor for each in said[:60]]
        await feed.close()


async def _monitors(items: AsyncIterator[Heard | Gap], count: int) -> list[str]:
    """Of the first so many heartbeats."""
    found = []
    async with asyncio.timeout(10):
        async for item in items:
            assert isinstance(item, Heard) and isinstance(item.event, Heartbeat)
            found.append(item.event.monitor)
            if len(found) == count:
                break
    return found


def test_an_allowance_is_for_each_and_comes_back() -> None:
    now = [0.0]
    allowance = Allowance(3, 2.0, lambda: now[0])
    assert [allowance.take("a") for _ in range(4)] == [0, 0, 0, 2.0]
    assert allowance.take("b") == 0
    now[0] = 2.0
    assert [allowance.take("a") for _ in range(2)] == [0, 2.0]
    for n in range(Allowance.KNOWN_AT_MOST + 5):
        allowance.take(str(n))
    assert len(allowance._used_up) == Allowance.KNOWN_AT_MOST


def test_a_token_is_of_one_monitor_and_one_installation() -> None:
    here = Tokens(b"secret", ["a", "b"])
    assert [here.monitor(token_of(b"secret", key)) for key in ("a", "b", "c")] == ["a", "b", None]
    assert here.monitor(token_of(b"other", "a")) is here.monitor("") is here.monitor("\ud800") is None
    assert re.fullmatch(r"[\w-]{32}", token_of(b"secret", "a"))
