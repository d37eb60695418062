"""/ws and /events of a real server, with real clients: well-behaved ones, lost ones, rude ones and slow
ones."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
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
from tests.services import Valkey, Web

BEAT = "0.4"
FILE = """
page: {name: Acme Status, url: https://status.acme.example}
components:
  - {name: API, slug: api, monitors: [{http: http://127.0.0.1:9, slug: api}]}
  - {name: Website, slug: web, monitors: [{http: http://127.0.0.1:9, slug: web}]}
"""


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with Valkey() as valkey, Web(valkey.start().url, STATUSWIRE_BEAT=BEAT) as server:
        (server.folder / "statuswire.yaml").write_text(FILE)
        server.start()
        yield server


@pytest.fixture
async def feed(web: Web) -> AsyncIterator[Feed]:
    feed = Feed(web.environ["REDIS_URL"], beat=float(BEAT))
    await eventually(lambda: b"Website" in web.get("/")[1])
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
    return websockets.connect(f"ws://127.0.0.1:{web.port}/ws{query}", compression=None, **kwargs)


async def frame(socket: Any, kind: str) -> dict[str, Any]:
    """The next frame of a kind; beats in between are passed over."""
    async with asyncio.timeout(5):
        while (got := json.loads(await socket.recv()))["type"] != kind:
            pass
        return got  # type: ignore[no-any-return]


@asynccontextmanager
async def sse(web: Web, query: str = "", **headers: str) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
    async with (
        httpx.AsyncClient(timeout=10) as client,
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
        got = [(await anext(stream)) for _ in range(3)]

        assert [e.id for e in got] == missed[-3:]
        assert {e.event for e in got} == {"patch"}


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
        reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
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
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{web.url}/events")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
        assert (await client.get(f"{web.url}/ws")).status_code == 426


async def test_a_stream_says_how_it_is_to_be_handled(web: Web, feed: Feed) -> None:
    async with httpx.AsyncClient() as client, client.stream("GET", f"{web.url}/events") as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["x-content-type-options"] == "nosniff"
        lines = answer.aiter_lines()
        assert any([line.startswith("retry: ") async for line in _until_blank(lines, 1)])


async def _until_blank(lines: AsyncIterator[str], blanks: int) -> AsyncIterator[str]:
    async for line in lines:
        yield line
        blanks -= not line
        if not blanks:
            return


async def test_who_does_not_read_holds_up_nobody_and_is_given_one_snapshot_later(
    web: Web, feed: Feed
) -> None:
    with closing(socket.socket()) as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.connect(("127.0.0.1", web.port))
        stuck.sendall(b"GET /events HTTP/1.1\r\nhost: x\r\n\r\n")
        async with ws(web) as healthy:
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
        stuck.settimeout(5)
        received = b""
        while b'"why":"slow"' not in received[-200_000:]:
            data = stuck.recv(1 << 20)
            assert data, "cut, though it had come back"
            received += data

    assert received.count(b'"why":"slow"') >= 1
    assert received.count(b"event: patch") < 2000


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
