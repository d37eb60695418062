"""What a cache between us and the visitor may keep: what is for everybody, and nothing of what stands
behind a door, by whichever route and for whomever."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from litestar import Request

from app.db.engine import READERS
from app.domain.board import Board
from app.domain.monitor import Page
from app.domain.pages import MAIN
from app.domain.people import Role
from app.live.streams import SSE_HEADERS
from app.pages.answer import Press
from app.security.issuing import issue_wall
from app.security.scopes import ADMIN
from tests.conftest import eventually
from tests.make import NOON, a_catalog, a_component
from tests.people import CHEAP, HOME, PASSWORD, House

pytest_plugins = ["tests.databases"]

HASH = CHEAP.hash(PASSWORD)
PAGES = (
    Page(slug="open"),
    Page(slug="inner", access="password", password_hash=HASH),
    Page(slug="staff", access="signed-in"),
)
# For everybody and for long: they have the hash of their content in their name, or say nothing of anybody.
FOR_LONG = ("/static/", "/statuswire.schema.json", "/v1/openapi.json")
STREAMS = ("/events", "/ws", "/p/{page}/events", "/p/{page}/ws")


@pytest.fixture
def house(light: House) -> House:
    light.server.hub.restore(Board(a_catalog("api", pages=PAGES), NOON), "1-0", [])
    return light


def paths(house: House, page: str) -> list[str]:
    """Each address that may be looked at, by the page it is of."""
    found = []
    for route in house.server.app.routes:
        if "GET" in getattr(route, "methods", ()) and route.path not in STREAMS:
            path = route.path_format if hasattr(route, "path_format") else route.path
            for name, value in (
                ("page", page),
                ("slug", "api"),
                ("token", "wall_x"),
                ("id", "x"),
                ("name", "x"),
            ):
                path = path.replace(f"{{{name}:str}}", value).replace(f"{{{name}}}", value)
            found.append(path.replace("/p/api", f"/p/{page}"))
    return found


async def said(client: httpx.AsyncClient, path: str) -> tuple[int, str]:
    answer = await client.get(path, follow_redirects=False)
    return answer.status_code, answer.headers.get("cache-control", "")


def is_for_one(cache_control: str) -> bool:
    return "no-store" in cache_control or cache_control == "private, no-cache"


async def test_no_cache_keeps_what_stands_behind_a_door(house: House) -> None:
    await house.user(Role.ADMIN)
    async with house.client() as nobody, house.client() as knows, house.client() as mei:
        await house.sign_in(mei)
        typed = {"password": PASSWORD}
        opened = await knows.post("/p/inner/password", data=typed, headers={"origin": HOME})
        assert opened.status_code == 303 and is_for_one(opened.headers["cache-control"])
        seen = 0
        for page in ("inner", "staff"):
            for path in (path for path in paths(house, page) if path.startswith("/p/")):
                for client in (nobody, knows, mei):
                    status, cache_control = await said(client, path)
                    assert is_for_one(cache_control), (path, status, cache_control)
                    seen += status == 200
        # Of each page: itself, its wall, its history and its component; by Mei both, and one by who knows.
        assert seen >= 12


async def test_what_is_for_everybody_may_be_kept_and_what_is_for_one_may_not(house: House) -> None:
    await house.user(Role.ADMIN)
    async with (
        house.client() as nobody,
        house.client() as mei,
        house.client(await house.token(ADMIN)) as program,
    ):
        await house.sign_in(mei)
        for client in (nobody, mei, program):
            for path in paths(house, "open"):
                status, cache_control = await said(client, path)
                of_a_page = status == 200 and cache_control == "no-cache"
                for_long = path.startswith(FOR_LONG) and cache_control.startswith("public")
                assert of_a_page or for_long or is_for_one(cache_control), (path, status, cache_control)
        for path in ("/", "/wall", "/history", "/p/open", "/p/open/components/api"):
            assert await said(nobody, path) == await said(mei, path) == (200, "no-cache"), path
    assert (b"cache-control", b"no-store") in SSE_HEADERS


async def test_a_page_that_is_closed_is_kept_by_nobody_from_then_on(house: House) -> None:
    """And a visitor who has it in their own browser may go on asking whether it is still the same."""
    await house.user(Role.VIEWER)
    async with house.change() as change:
        _, token = await issue_wall(change, "lobby", "open")
    async with house.client() as mei:
        await house.sign_in(mei)
        assert await said(mei, f"/wall/{token}") == (200, "private, no-cache")
        assert await said(mei, "/") == (200, "no-cache")
        closed = Page(slug=MAIN, access="signed-in")
        house.server.hub.restore(Board(a_catalog("api", page=closed), NOON), "2-0", [])
        answer = await mei.get("/")
        assert answer.headers["cache-control"] == "private, no-cache"
        again = await mei.get("/", headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.headers["cache-control"]) == (304, "private, no-cache")
    async with house.client() as nobody:
        tagged = await nobody.get("/", headers={"if-none-match": answer.headers["etag"]})
        assert (tagged.status_code, tagged.headers["cache-control"]) == (303, "no-store")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/history",
        "/components/api",
        "/wall",
        "/api/v2/summary.json",
        "/maintenance.ics",
        "/badge/api.svg",
    ],
)
async def test_a_page_that_is_closed_while_its_past_is_read_is_shown_to_nobody(
    house: House, path: str
) -> None:
    def becomes(name: str, **access: Any) -> None:
        page = Page(slug="open", name="Acme", **access)
        catalog = a_catalog(a_component("api", name=name), pages=(page,))
        house.server.hub.restore(Board(catalog, NOON), f"{name}-0", [])

    becomes("1")
    async with house.client() as nobody, AsyncExitStack() as readers:
        for _ in range(READERS):
            await readers.enter_async_context(house.server.history._database.reading())
        asked = asyncio.create_task(nobody.get(f"/p/open{path}"))
        await asyncio.sleep(0.1)
        assert not asked.done()
        becomes("2", access="password", password_hash=HASH)
        await readers.aclose()
        answer = await asked
    assert (answer.status_code, answer.headers["cache-control"]) == (401, "no-store")


async def test_what_is_packed_as_well_as_can_be_keeps_nobody_waiting() -> None:
    """However many pages are asked for at once, their best is made one after the other, on the side."""
    asked = Request[Any, Any, Any](
        {"type": "http", "method": "GET", "headers": [(b"accept-encoding", b"br")], "query_string": b""}
    )
    drawing = random.Random(1).randbytes(60_000).hex()
    presses = [Press("") for _ in range(2 * (os.cpu_count() or 1) + 16)]

    async def sizes() -> list[int]:
        coming = (press.answer(asked, "page", lambda: drawing, closed=False) for press in presses)
        answers = await asyncio.gather(*coming)
        return [len(answer.content) for answer in answers]

    await sizes()
    first = await sizes()
    # As whatever is drawn next, or a name that is looked up.
    await asyncio.to_thread(lambda: None)
    again = await sizes()
    assert sum(one != other for one, other in zip(first, again, strict=True)) <= 1
    await eventually(lambda: _are_below(max(first), sizes), 60.0)


async def test_what_is_not_of_now_any_more_is_not_packed_as_well_as_can_be() -> None:
    asked = Request[Any, Any, Any](
        {"type": "http", "method": "GET", "headers": [(b"accept-encoding", b"br")], "query_string": b""}
    )
    press, drawn = Press(""), []

    def draw() -> str:
        drawn.append(1)
        return "a page" * 1000

    async def give(key: str, is_now: bool) -> None:
        await press.answer(asked, key, draw, closed=False, is_now=lambda: is_now)

    await give("before", is_now=False)
    await give("now", is_now=True)
    await eventually(lambda: press.packings)
    assert (press.packings, len(drawn)) == (1, 2)
    await give("now", is_now=True)
    assert len(drawn) == 2
    # It has come back.
    await give("before", is_now=True)
    await eventually(lambda: press.packings == 2)
    assert len(drawn) == 3


async def _are_below(size: int, sizes: Callable[[], Awaitable[list[int]]]) -> bool:
    return max(await sizes()) < size
