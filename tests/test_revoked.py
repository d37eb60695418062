"""Whoever may not watch any more is gone within two seconds, on every server, by whichever door."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest
import websockets
from websockets.exceptions import ConnectionClosed

from app.live.named import Named
from tests.conftest import eventually
from tests.make import NOON, after
from tests.services import Statuswire, Valkey, Web, at_the_console

SOON = 2.0


@pytest.fixture(scope="module")
async def servers() -> AsyncIterator[tuple[Web, Web]]:
    """Two, on one database and one Redis."""
    with Valkey() as valkey, Web(valkey.start().url, STATUSWIRE_BEAT="0.4") as first:
        first.start()
        with Web(valkey.url, first.database_url, STATUSWIRE_BEAT="0.4") as second:
            yield first, second.start(migrate=False)


async def until_closed(socket: websockets.ClientConnection) -> int:
    try:
        while True:
            await socket.recv()
    except ConnectionClosed as closed:
        assert closed.rcvd is not None
        return closed.rcvd.code


async def test_a_token_that_is_revoked_at_the_console_ends_its_streams_everywhere(
    servers: tuple[Web, Web],
) -> None:
    made = at_the_console(servers[0], "token", "create", "tool", "--scope", "incidents:read")
    bearer = {"Authorization": f"Bearer {made['token']}"}
    async with AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(
                websockets.connect(f"ws://127.0.0.1:{web.port}/ws", additional_headers=bearer)
            )
            for web in servers
            for _ in range(10)
        ]
        nobody = await stack.enter_async_context(websockets.connect(f"ws://127.0.0.1:{servers[0].port}/ws"))
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=10))
        stream = await stack.enter_async_context(
            client.stream("GET", f"{servers[1].url}/events", headers=bearer)
        )
        assert stream.status_code == 200
        reading = asyncio.create_task(stream.aread())

        at_the_console(servers[0], "token", "revoke", made["id"])
        said = time.monotonic()
        codes = await asyncio.wait_for(asyncio.gather(*map(until_closed, sockets)), 10)
        await asyncio.wait_for(reading, 10)
        assert time.monotonic() - said < SOON
        assert set(codes) == {4401}
        assert (await client.get(f"{servers[1].url}/events", headers=bearer)).status_code == 401
        assert json.loads(await nobody.recv())["type"] in ("snapshot", "patch", "beat")
        with pytest.raises(ConnectionClosed) as closed:
            async with websockets.connect(
                f"ws://127.0.0.1:{servers[1].port}/ws", additional_headers=bearer
            ) as again:
                await again.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401


async def test_a_wall_shows_its_page_without_a_login_until_its_token_is_revoked(
    servers: tuple[Web, Web],
) -> None:
    made = at_the_console(servers[0], "token", "create", "lobby", "--wall")
    text = made["path"].removeprefix("/wall/")
    assert servers[1].get(made["path"])[0] == 200
    assert servers[1].get("/wall/wall_aaaaaaaa_" + "a" * 32)[0] == 404
    async with websockets.connect(f"ws://127.0.0.1:{servers[1].port}/ws?wall={text}") as screen:
        admin = at_the_console(servers[0], "token", "create", "admin", "--scope", "admin")["token"]
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {admin}"}) as client:
            [wall] = (await client.get(f"{servers[0].url}/v1/walls")).json()["items"]
            assert wall["last_seen"] is not None
            said = time.monotonic()
            assert (await client.delete(f"{servers[0].url}/v1/walls/{wall['id']}")).status_code == 204
        assert await asyncio.wait_for(until_closed(screen), 10) == 4401
        assert time.monotonic() - said < SOON
    assert servers[1].get(made["path"])[0] == 404
    async with websockets.connect(f"ws://127.0.0.1:{servers[1].port}/ws?wall={text}") as screen:
        # A final no: the screen says so, and does not come back.
        assert await until_closed(screen) == 4403


async def test_a_stream_ends_with_the_time_of_its_token(servers: tuple[Web, Web]) -> None:
    made = at_the_console(servers[0], "token", "create", "x", "--scope", "admin", "--expires", "4s")
    bearer = {"Authorization": f"Bearer {made['token']}"}
    async with websockets.connect(
        f"ws://127.0.0.1:{servers[0].port}/ws", additional_headers=bearer
    ) as socket:
        assert await asyncio.wait_for(until_closed(socket), 10) == 4401


async def test_at_the_console_people_are_let_in_again(servers: tuple[Web, Web]) -> None:
    web = servers[0]
    password = at_the_console(web, "user", "add", "mei@example.org", "--role", "operator")["password"]
    new = at_the_console(web, "user", "reset", "mei@example.org")["password"]
    async with httpx.AsyncClient(base_url=web.url, headers={"origin": web.url}) as browser:
        for typed, status in ((password, 403), (new, 303)):
            given = {"email": "mei@example.org", "password": typed}
            assert (await browser.post("/login", data=given)).status_code == status
    with Statuswire("token", "revoke", "none", DATABASE_URL=web.database_url) as command:
        assert command.run() == 2
        assert command.logs.count("\n") == 1
        assert "There is no token" in command.logs


async def test_the_set_up_token_stands_on_the_console(servers: tuple[Web, Web]) -> None:
    await eventually(lambda: "give it" in servers[0].logs)


def test_only_those_who_said_who_they_are_are_kept() -> None:
    named: Named[str] = Named()
    named.enter("a", frozenset(("session/1", "user/1")), after(5))
    named.enter("b", frozenset(("session/2", "user/1")), None)
    assert (named.of("session/1"), named.of("user/1"), named.of("user/2")) == (["a"], ["a", "b"], [])
    assert (named.over(NOON), named.over(after(5))) == ([], ["a"])
    named.leave("a")
    named.leave("never there")
    assert list(named) == ["b"]
