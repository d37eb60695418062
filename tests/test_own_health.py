"""A worker that is not well itself calls nothing down."""

import asyncio
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.config import Config
from app.domain.board import Board, Patch
from app.domain.events import Beat
from app.domain.instant import from_seconds
from app.domain.monitor import Catalog, Component, Monitor
from app.domain.result import Outcome, Phases, Result
from app.domain.status import Status
from app.feed import Feed, Heard
from tests.conftest import eventually
from tests.make import NOON, a_silence
from tests.services import Worker, missing, wait_until
from tests.targets import black_hole, closed_port, listening, serving_names, silent
from workers import own_health
from workers.main import canaries, end
from workers.own_health import SETTLES, OwnHealth

FAR = "192.0.2.7"


def found(
    outcome: Outcome = Outcome.UNREACHABLE, reason: str = "timeout", address: str | None = FAR
) -> Result:
    return Result(at=NOON, outcome=outcome, reason=reason, address=address, phases=Phases())


@pytest.fixture
async def well(tmp_path: Path) -> AsyncIterator[OwnHealth]:
    """With a link and a canary that refuses, which is an answer."""
    with closed_port() as port:
        health = OwnHealth([("127.0.0.1", port)], interfaces=an_interface(tmp_path, "1"))
        yield health
        await health.close()


@contextmanager
def nobody() -> Iterator[list[tuple[str, int]]]:
    """Canaries that do not answer."""
    with black_hole() as one, black_hole() as other:
        yield [("127.0.0.1", one), ("127.0.0.1", other)]


def an_interface(folder: Path, carrier: str) -> Path:
    (folder / "eth0").mkdir(exist_ok=True)
    (folder / "eth0" / "carrier").write_text(carrier)
    (folder / "lo").mkdir(exist_ok=True)
    return folder


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_health, "CANARY_PATIENCE", 0.2)


async def test_a_failure_is_believed_when_a_canary_answers(well: OwnHealth) -> None:
    assert await well.doubt(found(), time.monotonic()) == found()
    assert well.trouble == ""


async def test_one_canary_of_several_is_enough(tmp_path: Path) -> None:
    with nobody() as silent_ones:
        async with listening(silent) as answers:
            health = OwnHealth(
                [*silent_ones, ("127.0.0.1", answers.port)], interfaces=an_interface(tmp_path, "1")
            )
            assert await health.doubt(found(), time.monotonic()) == found()
            await health.close()


@pytest.mark.parametrize(
    ("outcome", "reason", "doubted"),
    [
        (Outcome.UNREACHABLE, "timeout", True),
        (Outcome.UNREACHABLE, "no route", True),
        (Outcome.UNREACHABLE, "dns", True),
        (Outcome.UNREACHABLE, "refused", True),
        (Outcome.FAIL, "timeout", True),  # the link went in mid-answer
        (Outcome.FAIL, "closed", True),
        (Outcome.FAIL, "status 500", False),
        (Outcome.FAIL, "body", False),
        (Outcome.OK, "", False),
        (Outcome.SLOW, "certificate", False),
    ],
)
async def test_when_no_canary_answers_only_what_was_answered_is_a_verdict(
    tmp_path: Path, outcome: Outcome, reason: str, doubted: bool
) -> None:
    with nobody() as silent_ones:
        health = OwnHealth(silent_ones, interfaces=an_interface(tmp_path, "1"))
        result = await health.doubt(found(outcome, reason), time.monotonic())
        await health.close()
    assert (result.outcome is Outcome.INCONCLUSIVE) == doubted
    assert result.reason == ("worker" if doubted else reason)
    assert not doubted or "it lost its network, no canary answers" in result.detail


async def test_what_is_on_this_machine_needs_no_network(tmp_path: Path) -> None:
    health = OwnHealth(interfaces=an_interface(tmp_path, "0"))
    near = found(address="127.0.0.1")
    assert (await health.doubt(found(), time.monotonic())).outcome is Outcome.INCONCLUSIVE
    assert await health.doubt(near, time.monotonic()) == near


async def test_without_a_link_no_canary_is_needed_to_know(tmp_path: Path) -> None:
    health = OwnHealth(interfaces=an_interface(tmp_path, "0"))
    result = await health.doubt(found(), time.monotonic())
    assert "no interface has a link" in result.detail
    an_interface(tmp_path, "1")
    await health.look()
    assert health.trouble == ""
    # A probe that began before says nothing yet, nor does one that begins while the path settles.
    assert (await health.doubt(found(), time.monotonic() - 1)).outcome is Outcome.INCONCLUSIVE
    assert (await health.doubt(found(), time.monotonic() + SETTLES / 2)).outcome is Outcome.INCONCLUSIVE
    assert await health.doubt(found(), time.monotonic() + SETTLES + 0.1) == found()


async def test_a_link_that_was_gone_for_a_moment_is_known_by_the_kernels_count(tmp_path: Path) -> None:
    changes = an_interface(tmp_path, "1") / "eth0" / "carrier_changes"
    changes.write_text("2")
    health = OwnHealth(interfaces=tmp_path)
    began = time.monotonic()
    assert await health.doubt(found(), began) == found()
    changes.write_text("4")
    result = await health.doubt(found(), began)
    assert "for a moment, the link of eth0 was gone" in result.detail
    # Of those that were under way then, all, and those that begin while the path settles; and none after it.
    assert (await health.doubt(found(), began)).outcome is Outcome.INCONCLUSIVE
    assert (await health.doubt(found(), began + SETTLES / 2)).outcome is Outcome.INCONCLUSIVE
    assert await health.doubt(found(), time.monotonic() + SETTLES + 0.1) == found()


async def test_that_the_network_is_lost_is_noticed_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    health = OwnHealth(interfaces=an_interface(tmp_path, "0"))
    for _ in range(20):
        await health.doubt(found(), time.monotonic())
        await health.look()
    an_interface(tmp_path, "1")
    await health.look()
    logged = capsys.readouterr().out
    assert logged.count("worker lost its network") == 1
    assert logged.count("fit to judge again") == 1


async def test_a_thousand_failures_at_once_are_two_questions(tmp_path: Path) -> None:
    async with listening(silent) as canary:
        health = OwnHealth([("127.0.0.1", canary.port)], interfaces=an_interface(tmp_path, "1"))
        first = asyncio.create_task(health.doubt(found(), time.monotonic()))
        await eventually(lambda: health._canary.under_way is not None)
        await asyncio.gather(first, *(health.doubt(found(), time.monotonic()) for _ in range(1000)))
        assert len(canary.visits) <= 2
        await health.close()


@pytest.mark.parametrize(
    ("outcome", "reason"), [(Outcome.UNREACHABLE, "dns"), (Outcome.UNREACHABLE, "timeout")]
)
async def test_a_worker_without_dns_calls_no_name_down_and_what_it_reaches_is_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], outcome: Outcome, reason: str
) -> None:
    """A canary that is an address answers all the while."""
    nameless, began = found(outcome, reason, address=None), time.monotonic()
    with closed_port() as port:
        async with serving_names({".": None}) as zone:
            health = OwnHealth(
                [("127.0.0.1", port)], interfaces=an_interface(tmp_path, "1"), nameservers=[zone.place]
            )
            said = await asyncio.gather(*(health.doubt(nameless, began) for _ in range(100)))
            assert {each.outcome for each in said} == {Outcome.INCONCLUSIVE}
            assert "none of its DNS servers answers" in said[0].detail
            assert health.told == "none of its DNS servers answers"
            assert await health.doubt(found(), began) == found()
            assert len(zone.asked) <= 2

            zone.names["."] = "REFUSED"  # an answer
            await health.look()
            assert health.told == ""
            # What was under way until then says nothing yet.
            assert (await health.doubt(nameless, began)).outcome is Outcome.INCONCLUSIVE
            later = time.monotonic() + SETTLES + 0.1
            assert await health.doubt(nameless, later) == nameless
            await health.close()
    logged = capsys.readouterr().out
    assert logged.count("worker lost its DNS") == logged.count("has DNS again") == 1


@pytest.mark.parametrize("answer", ["NXDOMAIN", "SERVFAIL", "REFUSED", []])
async def test_a_name_that_is_not_known_is_a_verdict_while_dns_says_anything(
    tmp_path: Path, answer: str | list[str]
) -> None:
    async with serving_names({".": answer}) as zone:
        health = OwnHealth(interfaces=an_interface(tmp_path, "1"), nameservers=[zone.place])
        nameless = found(Outcome.UNREACHABLE, "dns", address=None)
        assert await health.doubt(nameless, time.monotonic()) == nameless
        await health.close()


@pytest.mark.parametrize("off", [-86400.0, 86400.0])
async def test_while_its_clock_is_not_that_of_redis_a_worker_judges_no_date(
    well: OwnHealth, off: float
) -> None:
    """A certificate that has ended, or does not hold yet, by the clock of the worker alone."""
    ended, began = found(Outcome.FAIL, "certificate"), time.monotonic()
    well.compare(time.time() + off)
    said = await well.doubt(ended, began)
    assert (said.outcome, well.told) == (
        Outcome.INCONCLUSIVE,
        "its clock and that of Redis differ by 86400 s",
    )
    assert well.told in said.detail
    for other in (found(), found(Outcome.FAIL, "status 500"), found(Outcome.OK, "")):
        assert await well.doubt(other, began) == other
    well.compare(time.time() + 60)
    assert await well.doubt(ended, began) == ended
    assert well.told == ""


async def test_a_beat_tells_the_time_that_redis_has(redis_url: str) -> None:
    feed = Feed(redis_url)
    assert abs(await feed.beat(Beat(at=NOON, worker="w", region="eu", every=5.0)) - time.time()) < 5
    await feed.close()


async def test_half_of_all_targets_failing_at_once_is_the_workers_fault(tmp_path: Path) -> None:
    health = OwnHealth(interfaces=an_interface(tmp_path, "1"))
    now = time.monotonic()
    for n in range(3):
        await health.doubt(found(Outcome.OK, "", f"192.0.2.{n}"), now)
    said = [await health.doubt(found(address=f"198.51.100.{n}"), now) for n in range(4)]
    assert [each.outcome for each in said] == [Outcome.UNREACHABLE] * 2 + [Outcome.INCONCLUSIVE] * 2
    assert "3 of 6 targets failed at once" in said[2].detail
    # Until they answer.
    for n in range(4):
        await health.doubt(found(Outcome.OK, "", f"198.51.100.{n}"), now)
    await health.look()
    assert health.trouble == ""


async def test_many_monitors_of_one_target_are_one_target(tmp_path: Path) -> None:
    health = OwnHealth(interfaces=an_interface(tmp_path, "1"))
    for _ in range(9):
        assert await health.doubt(found(), time.monotonic()) == found()


async def test_many_failures_while_a_canary_answers_are_the_targets(well: OwnHealth) -> None:
    for n in range(9):
        its = found(address=f"192.0.2.{n}")
        assert await well.doubt(its, time.monotonic()) == its


async def test_what_has_long_been_dead_does_not_make_a_worker_suspect(tmp_path: Path) -> None:
    now = 0.0
    health = OwnHealth(monotonic=lambda: now, interfaces=an_interface(tmp_path, "1"))
    for n in range(3):
        its = found(address=f"192.0.2.{n}")
        assert await health.doubt(its, now) == its
        now += 20.0
        assert await health.doubt(its, now) == its


async def test_a_clock_that_was_set_a_loop_that_stood_still_and_no_descriptors_are_trouble(
    tmp_path: Path,
) -> None:
    offset = 0.0
    health = OwnHealth(wall_clock=lambda: time.time() + offset, interfaces=an_interface(tmp_path, "1"))
    await health.look()
    assert health.trouble == ""
    offset = -3600.0
    await health.look()
    assert "its clock was set by -3600.0 s" in health.trouble
    assert (await health.doubt(found(), time.monotonic())).outcome is Outcome.INCONCLUSIVE
    await health.look()
    assert health.trouble == ""
    await health.look(stolen=0.8)
    assert "it stood still for 0.8 s" in health.trouble
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, hard))
    try:
        await health.look()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "file descriptors are left" in health.trouble


@pytest.mark.parametrize(
    ("redis_url", "given", "expected"),
    [
        ("redis://r.test:7000", "", (("r.test", 7000),)),
        ("redis://r.test", "192.0.2.1:53, [2001:db8::1]:443", (("192.0.2.1", 53), ("2001:db8::1", 443))),
        ("redis://127.0.0.1", "", ()),
        ("redis://localhost", "", ()),
        ("unix:///tmp/redis.sock", "", ()),
    ],
)
def test_a_redis_on_another_machine_is_a_canary_unless_others_are_named(
    redis_url: str, given: str, expected: tuple[tuple[str, int], ...]
) -> None:
    assert canaries(Config.read({"REDIS_URL": redis_url, "STATUSWIRE_CANARIES": given})) == expected


# A network that goes away

SERVES = """
import http.server, socketserver, time, sys
class Slow(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.15)  # long enough for a link to go in mid-answer
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *_): pass
class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True; request_queue_size = 100; allow_reuse_address = True
print("ready", flush=True)
while True:
    try:
        Server(("10.231.7.2", 8080), Slow).serve_forever()
    except OSError:
        time.sleep(0.02)
"""
EVERY = 1.0
TIMES = int(os.environ.get("STATUSWIRE_LINK_CUTS", "2"))


class WorkerApart(Worker):
    """In a network namespace of its own, whose one link leads to another, in which stand a target and a
    canary. Redis is reached by its socket, which needs no network."""

    def __init__(self, redis_url: str, folder: Path) -> None:
        canary = {"STATUSWIRE_CANARIES": "10.231.7.2:9", "STATUSWIRE_BEAT": "0.5"}
        super().__init__(redis_url, folder / "none.yaml", **canary)

    def launch(self, command: list[str], **kwargs: object) -> None:
        begin = ["sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
        super().launch([shutil.which("unshare") or "", "--net", *begin, *command], **kwargs)

    def connect(self, target: int) -> None:
        """By a link to the namespace of the process `target`."""
        assert self.process is not None
        pid, ours = self.process.pid, os.stat("/proc/self/ns/net")
        # Until then it would be done to this machine.
        wait_until(
            lambda: not os.path.samestat(os.stat(f"/proc/{pid}/ns/net"), ours), 10.0, lambda: self.logs
        )
        self.ip("link", "add", "here", "type", "veth", "peer", "name", "there")
        self.ip("link", "set", "there", "netns", str(target))
        self.ip("addr", "add", "10.231.7.1/24", "dev", "here")
        self.ip("link", "set", "here", "up")
        for words in ("addr add 10.231.7.2/24 dev there", "link set there up"):
            _ip(target, *words.split())

    def ip(self, *words: str) -> None:
        assert self.process is not None
        _ip(self.process.pid, *words)


def _ip(pid: int, *words: str) -> None:
    done = subprocess.run(["nsenter", "-t", str(pid), "-n", "ip", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def apart(redis_url: str, tmp_path: Path) -> Iterator[WorkerApart]:
    tools = all(shutil.which(name) for name in ("ip", "nsenter", "unshare"))
    if not tools or subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode:
        if os.geteuid() != 0:
            pytest.skip("a network namespace of one's own takes root")
        missing("a network namespace of one's own (ip, nsenter, unshare)")
    serving = ["unshare", "--net", sys.executable, "-c", SERVES]
    with subprocess.Popen(serving, stdout=subprocess.PIPE, text=True) as target:
        try:
            assert target.stdout is not None and target.stdout.readline() == "ready\n"
            with WorkerApart(redis_url, tmp_path) as worker:
                worker.start()
                worker.connect(target.pid)
                yield worker
        finally:
            target.kill()


class Screen:
    """What a server shows that is awake: its board, and the statuses that were on it."""

    def __init__(self, catalog: Catalog) -> None:
        self.board = Board(catalog, from_seconds(time.time()))
        self.shown: list[tuple[Status, str]] = []
        self.troubles: list[str] = []

    async def follow(self, feed: Feed) -> None:
        async for item in feed.follow("0-0"):
            if isinstance(item, Heard) and isinstance(item.event, Beat):
                if item.event.trouble not in ("", *self.troubles[-1:]):
                    self.troubles.append(item.event.trouble)
            elif isinstance(item, Heard):
                self._note(self.board.fold(item.id, item.event))  # type: ignore[arg-type]

    async def call_silent(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            for monitor, region, since in list(self.board.past_best_before(from_seconds(time.time()))):
                self._note(self.board.fold(self.board.id, a_silence(since, monitor, region)))

    def _note(self, patch: Patch | None) -> None:
        self.shown += [(change.status, change.reason) for change in patch.changes] if patch else []

    def all_are(self, status: Status) -> bool:
        return {shown.status for shown in self.board.shown.values()} == {status}


def a_wide_catalog() -> Catalog:
    """Many looks under way at any time, of which each takes 0.15 s of its second; and one target that is
    looked at without a second try."""
    monitors = [
        Monitor(
            key=f"m{n}/http", kind="http", target="http://10.231.7.2:8080/", every=EVERY, timeout=0.9,
            retries=n % 2,
        )
        for n in range(12)
    ]  # fmt: skip
    return Catalog(
        components=tuple(Component(slug=f"m{n}", name=f"M{n}", monitors=(m,)) for n, m in enumerate(monitors))
    )


@pytest.mark.timeout(60 + 15 * TIMES)
async def test_a_worker_whose_link_goes_in_mid_probe_calls_nothing_down(
    apart: WorkerApart, redis_url: str
) -> None:
    catalog = a_wide_catalog()
    screen = Screen(catalog)
    feed = Feed(redis_url, beat=0.5)
    await feed.assign(catalog)
    tasks = [asyncio.create_task(screen.follow(feed)), asyncio.create_task(screen.call_silent())]
    try:
        await eventually(lambda: screen.all_are(Status.OPERATIONAL), within=20)
        recovered = []
        for _ in range(TIMES):
            await asyncio.sleep(random.random() * EVERY)  # anywhere in an interval
            apart.ip("link", "set", "here", "down")
            # The best before, and a second for the word to come round.
            await eventually(lambda: screen.all_are(Status.UNKNOWN), within=2 * EVERY + 0.9 + 1.0)
            apart.ip("link", "set", "here", "up")
            began = time.monotonic()
            await eventually(lambda: screen.all_are(Status.OPERATIONAL))
            recovered.append(time.monotonic() - began)
        long = apart.logs.count("worker lost its network")
        for _ in range(3 * TIMES):  # too short for anybody to be asked meanwhile
            apart.ip("link", "set", "here", "down")
            await asyncio.sleep(random.random() * 0.1)
            apart.ip("link", "set", "here", "up")
            await asyncio.sleep(random.random())
        await eventually(lambda: screen.all_are(Status.OPERATIONAL))
        assert {status for status, _ in screen.shown} == {Status.OPERATIONAL, Status.UNKNOWN}
        # Samples leave once a second; a machine that is busy takes its time.
        assert max(recovered) < EVERY + 1.0 + 1.0, recovered
        # A cut that follows within two seconds of the link's return is the same trouble, and told once.
        assert 1 <= long <= TIMES, apart.logs
        assert any("lost its network" in trouble for trouble in screen.troubles)
    finally:
        await end(tasks)
        await feed.close()
