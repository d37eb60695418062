"""What a platform asks of a real server, and what it is told when something is missing."""

import asyncio
import json
from collections.abc import Iterator

import httpx
import pytest
from litestar import Litestar

from app.api import health
from app.domain.events import STARTED_WITHIN
from app.metrics import WorkersHeard
from tests.conftest import eventually
from tests.make import a_beat
from tests.services import Valkey, Web

FILE = "components: [{name: Website, monitors: [{http: http://127.0.0.1:9}]}]\n"


@pytest.fixture(scope="module")
def parts() -> Iterator[tuple[Valkey, Web]]:
    with Valkey(aof=True) as valkey, Web(valkey.start().url, STATUSWIRE_BEAT="0.4") as web:
        (web.folder / "statuswire.yaml").write_text(FILE)
        web.start()
        yield valkey, web


def ready(web: Web) -> tuple[int, dict[str, str]]:
    status, body = web.get("/health/ready")
    return status, json.loads(body)


async def test_ready_says_what_is_missing_and_that_it_is_back(parts: tuple[Valkey, Web]) -> None:
    valkey, web = parts
    await eventually(lambda: ready(web)[0] == 200)
    assert ready(web)[1]["workers"] == "no worker is heard"

    await asyncio.to_thread(valkey.stop)
    await eventually(lambda: ready(web)[1]["redis"] != "ok")
    status, body = ready(web)
    assert (status, body["status"], body["redis"]) == (503, "waiting for redis", "Redis does not answer")
    assert web.get("/health/live")[0] == 200
    assert web.get("/")[0] == 200

    await asyncio.to_thread(valkey.start)
    await eventually(lambda: ready(web)[0] == 200)


async def test_metrics_name_what_an_operator_wants_to_know(parts: tuple[Valkey, Web]) -> None:
    _, web = parts
    await eventually(lambda: b"recorder_up 1.0" in web.get("/metrics")[1])
    _, body = web.get("/metrics")

    for name in (
        "statuswire_feed_up 1.0",
        "statuswire_feed_lag_seconds",
        "statuswire_recorder_lag_seconds",
        "statuswire_recorder_up 1.0",
        "statuswire_viewers",
        "statuswire_probe_to_push_seconds_bucket",
        "statuswire_worker_probes",
        "statuswire_config_ok 1.0",
    ):
        assert name in body.decode()


async def test_every_answer_carries_the_headers_that_keep_a_browser_safe(parts: tuple[Valkey, Web]) -> None:
    _, web = parts
    async with httpx.AsyncClient(base_url=web.url) as client:
        for path in (
            "/",
            "/wall",
            "/health/live",
            "/metrics",
            "/no/such",
            "/events?page=x",
            "/static/x/../y",
        ):
            answer = await client.get(path)
            assert answer.headers["x-content-type-options"] == "nosniff", path
            assert "default-src 'none'" in answer.headers["content-security-policy"], path
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"], path
            assert answer.headers["cross-origin-opener-policy"] == "same-origin", path
            assert "server" not in answer.headers, path


async def test_what_is_not_there_is_a_plain_404_and_what_is_wrong_no_traceback(
    parts: tuple[Valkey, Web],
) -> None:
    _, web = parts
    async with httpx.AsyncClient(base_url=web.url) as client:
        assert (await client.get("/no/such")).status_code == 404
        assert (await client.post("/")).status_code == 405
        for path in ("/%ff%fe", "/%00", "/" + "x" * 5000, "/static/a/b%2f..%2fc"):
            answer = await client.get(path)
            assert answer.status_code in (400, 404), path
            assert "Traceback" not in answer.text


async def test_only_a_lost_feed_makes_a_server_unready() -> None:
    """It has its board and can show it. A platform that took it away for a full disk would take away the page
    that says how things stand."""
    async with asking("127.0.0.1", redis="ok", database="is full") as client:
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")
        assert answer.json()["database"] == "is full"
    async with asking("127.0.0.1", redis="Redis does not answer", database="is full") as client:
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()["status"]) == (503, "waiting for redis")


def asking(client: str, **parts: str) -> httpx.AsyncClient:
    app = Litestar(health.routes(lambda: parts), openapi_config=None, logging_config=None)
    transport = httpx.ASGITransport(app=app, client=(client, 40000))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


@pytest.mark.parametrize(
    ("client", "seen"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("10.1.2.3", True),
        ("172.31.0.9", True),
        ("192.168.0.9", True),
        ("fd00::9", True),
        ("fe80::9%eth0", True),
        ("::ffff:10.1.2.3", True),
        ("198.51.100.7", False),
        ("172.32.0.1", False),
        ("2001:db8::1", False),
        ("::ffff:198.51.100.7", False),
        ("", False),
    ],
)
async def test_metrics_are_for_those_near_us(client: str, seen: bool) -> None:
    async with asking(client) as asked:
        answer = await asked.get("/metrics")
    assert answer.status_code == (200 if seen else 404)
    assert ("statuswire_feed_up" in answer.text) is seen


@pytest.mark.parametrize(
    ("headers", "seen"),
    [
        ([("X-Forwarded-For", "10.1.2.3")], True),
        ([("X-Forwarded-For", "10.1.2.3, 192.168.0.9")], True),
        ([("X-Forwarded-For", "198.51.100.7")], False),
        ([("X-Forwarded-For", "10.0.0.1, 198.51.100.7")], False),  # the first one is made up
        ([("X-Forwarded-For", "198.51.100.7, 10.0.0.1")], False),  # two proxies in a row
        ([("X-Forwarded-For", "10.0.0.1"), ("X-Forwarded-For", "198.51.100.7")], False),
        ([("X-Forwarded-For", "rubbish")], False),
        ([("X-Real-IP", "198.51.100.7")], False),
        ([("Forwarded", "for=198.51.100.7")], False),
    ],
)
async def test_a_proxy_beside_us_does_not_bring_the_public_near(
    headers: list[tuple[str, str]], seen: bool
) -> None:
    async with asking("127.0.0.1") as asked:
        answer = await asked.get("/metrics", headers=headers)
    assert answer.status_code == (200 if seen else 404)


def test_how_late_a_worker_is_and_what_it_missed_is_in_the_metrics() -> None:
    heard = WorkersHeard()
    starts = (5, 2, *[0] * (len(STARTED_WITHIN) - 2), 1)
    heard.beats = lambda: [a_beat("slow", starts=starts, missed=3, late=4, lag=1.5), a_beat("new")]
    found = {
        (sample.name.removeprefix("statuswire_worker_"), sample.labels.get("le", "")): sample.value
        for metric in heard.collect()
        for sample in metric.samples
        if sample.labels["worker"] == "slow"
    }
    assert [found[name, ""] for name in ("lag", "missed", "late")] == [1.5, 3, 4]
    lag = "start_lag_seconds_bucket"
    assert [found[lag, le] for le in ("0.001", "0.002", "1.0", "+Inf")] == [5, 7, 7, 8]


def test_a_worker_that_is_not_fit_to_judge_is_in_the_metrics() -> None:
    heard = WorkersHeard()
    heard.beats = lambda: [a_beat("well"), a_beat("lost", trouble="it lost its network")]
    [fit] = [metric for metric in heard.collect() if metric.name == "statuswire_worker_fit"]
    assert {sample.labels["worker"]: sample.value for sample in fit.samples} == {"well": 1, "lost": 0}
