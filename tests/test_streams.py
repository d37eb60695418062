"""/ws and /events of a real server, with real clients: well-behaved ones, lost ones, rude ones and slow
ones."""

import asyncio
import json
import os
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import websockets
from httpx_sse import ServerSentEvent, aconnect_sse
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.domain.events import Logged, StateChange
from app.domain.instant import from_seconds
from app.domain.standing import Standing, State
from app.feed import Feed
from tests.conftest import eventually
from tests.elsewhere import Elsewhere
from tests.services import Valkey, Web

BEAT = "0.4"
FILE = """
page: {name: Acme Status, url: https://status.acme.example}
components:
  - {name: API, slug: api, monitors: [{http: http://127.0.0.1:9, slug: api}]}
  - {name: Website, slug: web, monitors: [{http: http://127.0.0.1:9, slug: web}]}
"""


MOST = 60
MOST_PER_ADDRESS = 3
HANDED_OVER, TLS, ELSEWHERE = "handed over", "TLS ends here", "another server"


@pytest.fixture(scope="module")
def webs() -> Iterator[dict[str, Web]]:
    """Three servers of one feed; started side by side, for that takes longest."""
    given = {
        "STATUSWIRE_BEAT": BEAT,
        "STATUSWIRE_MAX_VIEWERS": str(MOST),
        "STATUSWIRE_MAX_PER_ADDRESS": str(MOST_PER_ADDRESS),
    }
    with Valkey() as valkey, ExitStack() as stack, ThreadPoolExecutor() as starting:
        url = valkey.start().url
        servers = {
            HANDED_OVER: stack.enter_context(Web(url, **given)),
            TLS: stack.enter_context(Elsewhere(url, tls=True, **given)),
            ELSEWHERE: stack.enter_context(Elsewhere(url, tls=False, **given)),
        }
        for server in servers.values():
            (server.folder / "statuswire.yaml").write_text(FILE)
        list(starting.map(lambda server: server.start(), servers.values()))
        yield servers


@pytest.fixture(scope="module", params=[HANDED_OVER, TLS, ELSEWHERE])
def web(request: pytest.FixtureRequest, webs: dict[str, Web]) -> Web:
    """The same promises, whether the sockets leave ASGI or not."""
    return webs[request.param]


@pytest.fixture(params=[HANDED_OVER, TLS])
def our_web(request: pytest.FixtureRequest, webs: dict[str, Web]) -> Web:
    """For what is beyond the power of an ASGI application, and so is promised behind our doors alone."""
    return webs[request.param]


def tls(web: Web) -> ssl.SSLContext | None:
    return web.tls if isinstance(web, Elsewhere) else None


@pytest.fixture
async def feed(webs: dict[str, Web]) -> AsyncIterator[Feed]:
    feed = Feed(webs[HANDED_OVER].environ["REDIS_URL"], beat=float(BEAT))
    for web in webs.values():
        await eventually(lambda web=web: b"Website" in web.get("/")[1])  # type: ignore[misc]
    yield feed
    await feed.close()


_said = 0


async def say(feed: Feed, slug: str, state: State) -> str:
    """A worker's word; the id it got."""
    global _said
    _said += 1
    at = from_seconds(datetime.now(UTC).timestamp())
    standing = Standing(monitor=slug, region="local", state=state, since=at)
    event = StateChange(trace=f"test:{_said}", at=at, worker="test", was=State.UNKNOWN, standing=standing)
    return (await feed.announce([(f"test:{_said}", event)]))[0].id


async def flips(feed: Feed, pairs: int) -> str:
    """Many changes in one go; the id of the last."""
    global _said
    events: list[tuple[str, Logged]] = []
    for n in range(2 * pairs):
        _said += 1
        at = from_seconds(datetime.now(UTC).timestamp())
        state = State.DOWN if n % 2 else State.UP
        standing = Standing(monitor="api", region="local", state=state, since=at)
        event = StateChange(trace=f"test:{_said}", at=at, worker="test", was=State.UNKNOWN, standing=standing)
        events.append((f"test:{_said}", event))
    return (await feed.announce(events))[-1].id


async def flip(feed: Feed, slug: str = "api") -> str:
    await say(feed, slug, State.UP)
    return await say(feed, slug, State.DOWN)


def ws(web: Web, query: str = "", **kwargs: Any) -> Any:
    address = web.url.replace("http", "ws", 1)
    return websockets.connect(f"{address}/ws{query}", ssl=tls(web), compression=None, **kwargs)


async def frame(socket: Any, kind: str) -> dict[str, Any]:
    """The next frame of a kind; beats in between are passed over."""
    async with asyncio.timeout(5):
        while (got := json.loads(await socket.recv()))["type"] != kind:
            pass
        return got  # type: ignore[no-any-return]


def client_of(web: Web) -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=10, verify=tls(web) or False)


@asynccontextmanager
async def sse(web: Web, query: str = "", **headers: str) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
    async with (
        client_of(web) as client,
        aconnect_sse(client, "GET", f"{web.url}/events{query}", headers=headers) as source,
    ):
        yield source.aiter_sse()


async def event(stream: AsyncIterator[ServerSentEvent], kind: str) -> ServerSentEvent:
    async with asyncio.timeout(5):
        async for got in stream:
            if got.event == kind:
                return got
    raise AssertionError(f"the stream ended before a {kind}")


async def test_a_change_reaches_both_kinds_of_viewer_with_the_id_it_has_in_the_log(
    web: Web, feed: Feed
) -> None:
    async with ws(web) as socket, sse(web) as stream:
        assert (await frame(socket, "snapshot"))["page"] == {
            "name": "Acme Status",
            "url": "https://status.acme.example",
        }
        assert json.loads((await event(stream, "snapshot")).data)["why"] == "first"
        await say(feed, "api", State.UP)
        await frame(socket, "patch")
        await event(stream, "patch")

        id = await say(feed, "api", State.DOWN)

        patch = await frame(socket, "patch")
        told = await event(stream, "patch")
        assert patch["id"] == told.id == id
        assert patch == {"type": "patch", **json.loads(told.data)}
        assert patch["components"][0]["status"] == "major_outage"


@pytest.mark.parametrize("by", ["since", "last-event-id"])
async def test_a_tool_that_was_away_is_told_every_transition_it_missed(web: Web, feed: Feed, by: str) -> None:
    async with sse(web) as stream:
        await event(stream, "snapshot")
        last = await flip(feed)
    missed = [
        await say(feed, "api", State.UP),
        await say(feed, "web", State.UP),
        await say(feed, "web", State.DOWN),
    ]
    query, headers = (f"?since={last}", {}) if by == "since" else ("", {"last-event-id": last})

    async with sse(web, query, **headers) as stream:
        # Beats may come between, if the server has not yet heard of all.
        got = [await event(stream, "patch") for _ in missed]

        assert [e.id for e in got] == missed


async def test_the_last_id_a_browser_saw_counts_more_than_the_address_it_began_with(
    web: Web, feed: Feed
) -> None:
    first = await flip(feed)
    last = await flip(feed)
    async with sse(web, f"?since={first}", **{"last-event-id": last}) as stream:
        assert (await anext(stream)).event == "beat"


@pytest.mark.parametrize("since", ["99999999999999-0", "0-0", "rubbish", "1-1-1", "%00", "-5", "9" * 400])
async def test_a_since_that_never_was_gets_a_snapshot(web: Web, feed: Feed, since: str) -> None:
    async with ws(web, f"?since={since}") as socket:
        assert (await frame(socket, "snapshot"))["why"] == "resume"
    async with sse(web, f"?since={since}") as stream:
        assert json.loads((await event(stream, "snapshot")).data)["why"] == "resume"


async def test_a_filter_is_sent_its_components_alone(web: Web, feed: Feed) -> None:
    async with ws(web, "?components=web") as socket:
        assert [c["slug"] for c in (await frame(socket, "snapshot"))["components"]] == ["web"]
        await flip(feed, "api")
        id = await flip(feed, "web")

        seen = [await frame(socket, "patch")]
        while seen[-1]["id"] != id:
            seen.append(await frame(socket, "patch"))
        assert {c["slug"] for patch in seen for c in patch["components"]} == {"web"}


@pytest.mark.parametrize("query", ["?components=%20", "?components=" + ",".join(f"c{n}" for n in range(101))])
async def test_a_filter_that_cannot_be_is_refused_with_a_sentence(web: Web, feed: Feed, query: str) -> None:
    status, body = web.get(f"/events{query}")
    assert status == 400
    assert "slugs with commas between" in json.loads(body)["detail"]

    async with ws(web, query) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4400


async def test_a_page_that_is_not_there_is_a_final_no(web: Web, feed: Feed) -> None:
    assert web.get("/events?page=other")[0] == 404
    async with ws(web, "?page=other") as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4404


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://127.0.0.1.evil.example",
        "https://status.acme.example.evil.example",
        "http://status.acme.example",
        "http://127.0.0.1:1",
    ],
)
async def test_another_sites_script_cannot_open_the_socket(web: Web, feed: Feed, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with ws(web, origin=origin):
            pass
    assert refused.value.response.status_code == 403


async def test_our_own_page_may_open_the_socket_under_either_name(web: Web, feed: Feed) -> None:
    for origin in (web.url, "https://status.acme.example"):
        async with ws(web, origin=origin) as socket:
            await frame(socket, "snapshot")


@pytest.mark.parametrize("rubbish", ["hello", "{}", b"\x00\xff", "x" * 4000])
async def test_who_talks_to_the_socket_is_told_that_it_does_not_listen(
    web: Web, feed: Feed, rubbish: str | bytes
) -> None:
    async with ws(web) as socket:
        await frame(socket, "snapshot")
        await socket.send(rubbish)
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4400


@pytest.mark.parametrize(
    "raw", [b"\xff\xff\xff\xff", b"\x81\x05hello", b"\x83\x80\x00\x00\x00\x00", b"\x81\xff" + b"\x7f" * 12]
)
async def test_malformed_frames_end_that_socket_and_no_other(web: Web, feed: Feed, raw: bytes) -> None:
    async with ws(web) as healthy:
        await frame(healthy, "snapshot")
        reader, writer = await asyncio.open_connection("127.0.0.1", web.port, ssl=tls(web))
        writer.write(
            b"GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert b"101" in await reader.readline()
        writer.write(raw)
        async with asyncio.timeout(5):
            await reader.read(-1)  # it is closed
        writer.close()

        id = await flip(feed)
        while (await frame(healthy, "patch"))["id"] != id:
            pass


async def test_the_stream_answers_get_alone(web: Web, feed: Feed) -> None:
    async with client_of(web) as client:
        answer = await client.post(f"{web.url}/events")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
        assert (await client.get(f"{web.url}/ws")).status_code == 426


async def test_a_stream_says_how_it_is_to_be_handled(web: Web, feed: Feed) -> None:
    async with client_of(web) as client, client.stream("GET", f"{web.url}/events") as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["x-content-type-options"] == "nosniff"
        lines = answer.aiter_lines()
        assert any([line.startswith("retry: ") async for line in _until_blank(lines, 1)])


async def test_a_stream_has_the_same_head_whichever_way_it_goes(webs: dict[str, Web], feed: Feed) -> None:
    heads = []
    for web in webs.values():
        async with client_of(web) as client, client.stream("GET", f"{web.url}/events") as answer:
            assert answer.headers.pop("date")
            heads.append(sorted(answer.headers.items()))
    assert heads[0] == heads[1] == heads[2]
    assert ("x-content-type-options", "nosniff") in heads[0]
    assert any(name == "content-security-policy" for name, _ in heads[0])


async def _until_blank(lines: AsyncIterator[str], blanks: int) -> AsyncIterator[str]:
    async for line in lines:
        yield line
        blanks -= not line
        if not blanks:
            return


@pytest.mark.parametrize(("size", "code"), [(4097, 1009), (100_000, 1009)])
async def test_who_says_much_is_told_that_it_is_too_much(web: Web, feed: Feed, size: int, code: int) -> None:
    async with ws(web) as socket:
        await frame(socket, "snapshot")
        await socket.send("x" * size)
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


async def test_more_pings_than_anybody_needs_are_rudeness(our_web: Web, feed: Feed) -> None:
    async with ws(our_web) as socket:
        await frame(socket, "snapshot")
        with pytest.raises(ConnectionClosed) as closed:
            # No more than that: what a server has not read when it closes costs the viewer the farewell.
            for _ in range(11):
                await socket.ping()
            while True:
                await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4400


async def test_one_address_has_so_many_streams_and_no_more(web: Web, feed: Feed) -> None:
    seen = {"x-forwarded-for": "192.0.2.1"}
    async with AsyncExitStack() as open:
        for _ in range(MOST_PER_ADDRESS):
            await open.enter_async_context(ws(web, additional_headers=seen))
        async with client_of(web) as client:
            answer = await client.get(f"{web.url}/events", headers=seen)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
        assert "from your address" in answer.json()["detail"]
        async with ws(web, additional_headers=seen) as socket:
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4429
    async with ws(web, additional_headers=seen) as socket:
        await frame(socket, "snapshot")


async def test_each_line_of_a_proxy_counts_and_the_last_one_is_nearest(
    webs: dict[str, Web], feed: Feed
) -> None:
    lines = [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-for", "127.0.0.1:80")]
    async with AsyncExitStack() as open:
        for _ in range(MOST_PER_ADDRESS):
            await open.enter_async_context(ws(webs[HANDED_OVER], additional_headers=lines))
        async with client_of(webs[HANDED_OVER]) as client:
            answer = await client.get(f"{webs[HANDED_OVER].url}/events", headers=lines)
    assert answer.status_code == 429


async def test_a_server_that_is_full_says_when_to_come_back(web: Web, feed: Feed) -> None:
    await eventually(lambda: viewers(web) == 0)
    async with AsyncExitStack() as open:
        for _ in range(MOST):
            await open.enter_async_context(ws(web))
        await eventually(lambda: viewers(web) == MOST)
        async with client_of(web) as client:
            answer = await client.get(f"{web.url}/events")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
        async with ws(web) as socket:
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013
    await eventually(lambda: viewers(web) == 0)


def viewers(web: Web) -> float:
    return sum(metric(web, f'statuswire_viewers{{kind="{kind}"}}') for kind in ("ws", "sse"))


def metric(web: Web, name: str) -> float:
    lines = web.get("/metrics")[1].decode().splitlines()
    return sum(float(line.removeprefix(name)) for line in lines if line.startswith(f"{name} "))


@contextmanager
def stuck(web: Web, path: str = "/events", *headers: str) -> Iterator[socket.socket]:
    """A viewer that asks, and then reads nothing until the test does."""
    with socket.socket() as viewer:
        viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        viewer.settimeout(5)
        viewer.connect(("127.0.0.1", web.port))
        context = tls(web)
        with context.wrap_socket(viewer, server_hostname="127.0.0.1") if context else viewer as asking:
            asking.sendall("\r\n".join([f"GET {path} HTTP/1.1", "host: x", *headers, "", ""]).encode())
            yield asking


async def test_who_does_not_read_holds_up_nobody_and_is_given_one_snapshot_later(
    webs: dict[str, Web], our_web: Web, feed: Feed
) -> None:
    with stuck(our_web) as viewer:
        async with ws(our_web) as healthy:
            await frame(healthy, "snapshot")
            seen: list[str] = []

            async def read() -> None:
                async for raw in healthy:
                    seen.append(json.loads(raw)["id"])

            reading = asyncio.create_task(read())
            # More than all buffers on the way can hold, and sooner than the stuck one is cut.
            for _ in range(20):
                last = await flips(feed, 50)
            await eventually(lambda: last in seen)
            reading.cancel()
        received = b""
        while b'"why":"slow"' not in received[-200_000:]:
            data = viewer.recv(1 << 20)
            assert data, "cut, though it had come back"
            received += data
        # It is as live as anybody again, and is not told twice.
        last = await flip(feed)
        while last.encode() not in received[-10_000:]:
            data = viewer.recv(1 << 20)
            assert data, "cut, though it had come back"
            received += data

    slow = re.findall(rb'"id":"([0-9-]+)","now":"[^"]+","why":"slow"', received)
    # Over ASGI it may have been slow before, each time that more came in one turn of the loop than may wait,
    # until the buffers on the way are full: at most once for each time that many were said.
    assert len(slow) == 1 if our_web is webs[HANDED_OVER] else len(slow) == len(set(slow)) <= 20
    assert received.count(b"event: patch") < 2000


async def test_who_takes_nothing_is_cut_within_ten_seconds(webs: dict[str, Web], feed: Feed) -> None:
    cut = 'statuswire_slow_viewers_total{end="cut"}'
    handshake = (
        *("upgrade: websocket", "connection: upgrade"),
        *("sec-websocket-version: 13", "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="),
    )
    ours = [webs[HANDED_OVER], webs[TLS]]
    async with AsyncExitStack() as stack:
        open_before = {web: open_files(web) for web in ours}
        cut_before = {web: metric(web, cut) for web in ours}
        for web in ours:
            for asked in (("/events",), ("/ws", *handshake)):
                stack.enter_context(stuck(web, *asked))
        healthy = [await stack.enter_async_context(ws(web)) for web in ours]
        seen = ["", ""]

        async def read(n: int) -> None:
            with suppress(ConnectionClosed):
                async for raw in healthy[n]:
                    seen[n] = json.loads(raw)["id"]

        reading = [asyncio.create_task(read(n)) for n in range(2)]
        for _ in range(20):
            last = await flips(feed, 50)
        await eventually(lambda: seen == [last, last], within=20)
        full = time.monotonic()
        for web in ours:
            # A busy machine may cut one that reads as well, if it reads too slowly.
            await eventually(lambda web=web: metric(web, cut) >= cut_before[web] + 2, within=15)  # type: ignore[misc]
        assert time.monotonic() - full < 12  # two of them for a busy machine
        # While they still hold on to it, and do not read the farewell that it might wait to be rid of.
        for web, before in open_before.items():
            await eventually(lambda web=web, before=before: open_files(web) <= before + 1)  # type: ignore[misc]
            assert "Traceback" not in web.logs and "ASGI callable" not in web.logs
        for task in reading:
            task.cancel()


def open_files(web: Web) -> int:
    assert web.process is not None
    return len(os.listdir(f"/proc/{web.process.pid}/fd"))


async def test_a_restart_says_bye_and_the_same_ids_go_on_after_it(web: Web, feed: Feed) -> None:
    async with ws(web) as socket:
        await frame(socket, "snapshot")
        last = await flip(feed)
        while (await frame(socket, "patch"))["id"] != last:
            pass
        assert await asyncio.to_thread(web.stop, 3.0) == 0
        bye = await frame(socket, "bye")
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert 0 < bye["after"] <= 5
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    missed = [await say(feed, "api", State.UP), await say(feed, "api", State.DOWN)]
    await asyncio.to_thread(web.start, migrate=False)

    async with ws(web, f"?since={last}") as socket:
        assert [(await frame(socket, "patch"))["id"] for _ in missed] == missed
    async with ws(web, f"?since={missed[0]}") as socket:
        assert (await frame(socket, "patch"))["id"] == missed[1]
