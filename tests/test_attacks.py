"""What somebody sends who means ill: to a real server by a real socket, or to all of its routes at once."""

import asyncio
import json
import socket
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from itertools import product
from typing import Any
from urllib.parse import quote, unquote

import httpx
import pytest
import websockets
from litestar.routes import HTTPRoute
from websockets.exceptions import ConnectionClosed

from app.domain.people import Role
from app.pages.static import url
from app.security.callers import form_token
from app.security.headers import HEADERS
from app.security.issuing import issue_wall
from app.security.passwords import Passwords
from app.security.scopes import ADMIN, PUBLIC, SCOPES
from tests.conftest import eventually
from tests.people import HOME, PASSWORD, House
from tests.services import Valkey, Web, at_the_console

pytest_plugins = ["tests.databases"]

OURS = {"origin": HOME}
HANDSHAKE = (
    *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)


@pytest.fixture(scope="module")
async def web() -> AsyncIterator[Web]:
    """With a page for everybody, one with a password, and one for those who are signed in."""
    password = await Passwords().hash("open the door of vip")
    file = {
        "page": {"name": "Acme", "url": "https://status.acme.example"},
        "pages": [
            {"slug": "team", "name": "Team", "access": "signed-in", "components": ["website"]},
            {"slug": "vip", "name": "VIP", "access": "password", "password_hash": password},
        ],
        "components": [
            {"name": "Website", "monitors": [{"tcp": "127.0.0.1:9"}]},
            {"name": "Vault", "hidden": True, "monitors": [{"tcp": "127.0.0.1:9"}]},
        ],
    }
    with Valkey() as valkey, Web(valkey.start().url, STATUSWIRE_BEAT="0.4") as web:
        (web.folder / "statuswire.yaml").write_text(json.dumps(file))
        web.start()
        await eventually(lambda: web.get("/p/team")[0] == 303)
        yield web


def say(web: Web, words: bytes, within: float = 5.0) -> bytes:
    """What the server answers, up to the end of the connection, or of the head of a stream."""
    deadline, heard = time.monotonic() + within, b""
    with socket.create_connection(("127.0.0.1", web.port), within) as connection:
        connection.sendall(words)
        while time.monotonic() < deadline and (data := connection.recv(65536)):
            heard += data
            if b"\r\n\r\n" in heard and (b"event-stream" in heard or b" 101 " in heard):
                break
    return heard


def request(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join(
        (f"{method} {path} HTTP/1.1", "Host: x", *headers, "Connection: close", "", "")
    ).encode()


def handshake(path: str, *headers: str, version: int = 13) -> bytes:
    wanted = [line.replace("13", str(version)) for line in HANDSHAKE]
    return "\r\n".join((f"GET {path} HTTP/1.1", "Host: x", *wanted, *headers, "", "")).encode()


# What is sent on to sign in, to where one wanted to be.
@pytest.mark.parametrize(
    "slug", ["%0d%0aX-Evil:%201", "%0d%0a%0d%0a%3Cscript%3E", "%E6%BC%A2", "a%26then=//evil.example", "%00"]
)
def test_an_address_puts_nothing_into_a_header(web: Web, slug: str) -> None:
    answer = say(web, request(f"/p/team/components/{slug}"))
    head = answer.partition(b"\r\n\r\n")[0].decode()
    assert head.startswith(("HTTP/1.1 303 ", "HTTP/1.1 404 ")), answer
    assert "x-evil" not in head.lower().replace("%0d%0ax-evil", "")
    [*_, location] = [line for line in head.splitlines() if line.startswith("location: ")] or [""]
    assert location in ("", f"location: /login?then={quote('/p/team/components/' + unquote(slug))}")


@pytest.mark.parametrize("until", ["9" * 15, "253402300800000", "0", "", "-1"])
@pytest.mark.parametrize("path", ["/p/vip", "/events?page=vip", "/ws?page=vip"])
def test_a_ticket_that_nobody_has_signed_is_none(web: Web, path: str, until: str) -> None:
    shown = f"Cookie: statuswire-page-vip={until}.{'a' * 64}"
    answer = say(web, (handshake if path.startswith("/ws") else request)(path, shown))
    assert answer.startswith((b"HTTP/1.1 401 ", b"HTTP/1.1 101 ")), answer
    assert b" 101 " not in answer or b"\x11\x31" in answer  # 4401
    assert "Traceback" not in web.logs


NASTY = ("\0", "a\0b", "\x1b[31m", "\u202e", "漢", "'; DROP TABLE users; --", "%", "a" * 3000)


async def test_no_word_that_is_typed_breaks_a_form(house: House) -> None:
    await house.user(Role.ADMIN)
    for n, nasty in enumerate(NASTY):
        # Each from elsewhere, for who fails too often is not heard any more.
        async with house.client(address=f"192.0.2.{n}") as browser:
            typed = {"email": nasty, "password": nasty, "code": nasty, "then": nasty}
            answer = await browser.post("/login", data=typed, headers=OURS)
            assert answer.status_code == 403, ascii(nasty)
            typed |= {"email": "mei@example.org", "password": PASSWORD, "then": f"/{nasty}"}
            answer = await browser.post("/login", data=typed, headers=OURS)
            assert (answer.status_code, answer.headers["location"].isascii()) == (303, True), ascii(nasty)
            typed = {"token": nasty, "name": nasty, "email": nasty, "password": nasty}
            answer = await browser.post("/setup", data=typed, headers=OURS)
            assert answer.status_code == 422, ascii(nasty)


async def test_no_word_in_an_address_or_a_cursor_breaks_the_api(house: House) -> None:
    house.server.requests.burst = house.server.requests.per_second = 1e9
    async with house.client(await house.token(ADMIN)) as client:
        for nasty, name in product(NASTY, ("users", "tokens", "walls", "audit")):
            for verb in ("GET", "DELETE"):
                answer = await client.request(verb, f"/v1/{name}/{quote(nasty, safe='')}")
                assert answer.status_code in (404, 405), (name, verb, answer.text)
            cursor = httpx.QueryParams({"cursor": encoded(nasty)})
            answer = await client.get(f"/v1/{name}", params=cursor)
            assert answer.status_code in (200, 422), (name, ascii(nasty))


def encoded(word: str) -> str:
    return urlsafe_b64encode(word.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"name":' * 50_000, b"\xff\xfe", b"1e999999", b'"\\ud800"']
)
async def test_no_json_breaks_the_api(light: House, body: bytes) -> None:
    async with light.client(await light.token(ADMIN)) as client:
        answer = await client.post("/v1/tokens", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 413), answer.text


ANSWERS = {
    "a page": (request("/"), 200),
    "a page for nobody": (request("/p/team"), 303),
    "a page with a password": (request("/p/vip"), 401),
    "a page that is none": (request("/no"), 404),
    "a wall that is none": (request("/wall/wall_none"), 404),
    "a file": (request(url("page.js")), 200),
    "a file that is none": (request("/static/..%2f..%2fetc/passwd"), 404),
    "a head": (request("/", method="HEAD"), 200),
    "what may be done": (request("/login", method="OPTIONS"), 204),
    "what may not be done": (request("/", method="DELETE"), 405),
    "a stream": (request("/events"), 200),
    "a stream of nothing": (request("/events?page=no"), 404),
    "a stream that is asked to do something": (request("/events", method="POST"), 405),
    "a socket without a handshake": (request("/ws"), 426),
    "a handshake from another site": (handshake("/ws", "Origin: https://evil.example"), 403),
    "a handshake with nobody": (handshake("/no"), 403),
    "a handshake of another version": (handshake("/ws", version=12), 426),
    "a handshake with a body": (handshake("/ws", "Sec-WebSocket-Key: x"), 400),
    "a form from another site": (request("/login", "Origin: https://evil.example", method="POST"), 403),
    "a token that is none": (request("/v1/users", "Authorization: Bearer x"), 401),
    "a heartbeat of nobody": (request("/v1/heartbeats/x"), 404),
    "a head that is too large": (request("/", f"A: {'a' * 17_000}"), 431),
    "no HTTP": (b"GARBAGE\r\n\r\n", 400),
    "two lengths": (request("/", "Content-Length: 5", "Transfer-Encoding: chunked", method="POST"), 400),
    "how it is": (request("/health/ready"), 200),
    "the description": (request("/v1/openapi.json"), 200),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_each_answer_keeps_a_browser_safe(web: Web, case: str) -> None:
    said, status = ANSWERS[case]
    head = say(web, said).partition(b"\r\n\r\n")[0].decode()
    assert head.startswith(f"HTTP/1.1 {status} "), head
    given = [line.partition(": ")[0].lower() for line in head.splitlines()[1:]]
    assert {name: given.count(name) for name in HEADERS} == dict.fromkeys(HEADERS, 1)
    policy = next(line for line in head.splitlines() if line.lower().startswith("content-security-policy"))
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy


async def test_who_is_revoked_while_they_wait_to_be_let_in_is_not_let_in(web: Web) -> None:
    """A stream that asks to go on from a moment that is still to come waits for it, for half a second."""
    admin = at_the_console(web, "token", "create", "admin", "--scope", "admin")["token"]
    bearer = {"Authorization": f"Bearer {admin}"}
    async with httpx.AsyncClient(base_url=web.url, headers=bearer, timeout=10) as client:
        made = (await client.post("/v1/tokens", json={"name": "x", "scopes": ["incidents:read"]})).json()
        theirs = {"Authorization": f"Bearer {made['token']}"}
        since = f"{int(time.time() * 1000) + 3000}-0"
        async with asyncio.TaskGroup() as tasks:
            coming = tasks.create_task(
                outcome(f"ws://127.0.0.1:{web.port}/ws?since={since}", additional_headers=theirs)
            )
            await asyncio.sleep(0.2)
            assert (await client.delete(f"/v1/tokens/{made['id']}")).status_code == 204
        assert coming.result() == 4401


async def outcome(url: str, within: float = 2.5, **given: Any) -> int | None:
    """The code with which a stream is closed in that time; None if it goes on."""
    try:
        async with asyncio.timeout(within), websockets.connect(url, **given) as stream:
            while True:
                await stream.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 0
    except TimeoutError:
        return None


async def test_a_token_for_some_pages_sees_and_makes_nothing_of_others(light: House) -> None:
    async with light.change() as change:
        theirs, _ = await issue_wall(change, "lobby", "team")
        other, _ = await issue_wall(change, "board room", "vip")
    async with light.client(await light.token("walls:write", pages=("team",))) as client:
        listed = (await client.get("/v1/walls")).json()["items"]
        assert [wall["id"] for wall in listed] == [theirs.id]
        assert (await client.get(f"/v1/walls/{other.id}")).status_code == 404
        assert (await client.delete(f"/v1/walls/{other.id}")).status_code == 404
        for page in ("vip", ""):
            body = {"name": "mine", "page": page}
            assert (await client.post("/v1/walls", json=body)).status_code == 403
            assert (await client.patch(f"/v1/walls/{theirs.id}", json=body)).status_code == 403
        assert (await client.post("/v1/walls", json={"name": "x", "page": "team"})).status_code == 201


async def test_a_token_for_some_pages_does_nothing_that_is_of_the_whole(light: House) -> None:
    """Whatever does not say that it looks for pages, today and of what is still to come."""
    bound = await light.token(*(scope for scope in SCOPES if scope != ADMIN), pages=("team",))
    async with light.client(bound) as client, light.client(await light.token(ADMIN)) as admin:
        for route in light.server.app.routes:
            for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
                if handler.opt.get("scope", PUBLIC) == PUBLIC or handler.opt.get("of_pages"):
                    continue
                path = "".join(f"/{part if isinstance(part, str) else 'x'}" for part in route.path_components)
                for verb in handler.http_methods:
                    assert (await client.request(verb, path, json={})).status_code == 403, (verb, path)
        words = {"name": "x", "scopes": ["admin"], "pages": ["team"]}
        assert (await admin.post("/v1/tokens", json=words)).status_code == 422


async def test_a_password_that_is_reset_ends_the_sessions_of_whoever_knew_the_old_one(web: Web) -> None:
    password = at_the_console(web, "user", "add", "eve@example.org")["password"]
    async with httpx.AsyncClient(base_url=web.url, headers={"origin": web.url}) as browser:
        typed = {"email": "eve@example.org", "password": password}
        assert (await browser.post("/login", data=typed)).status_code == 303
        cookie = f"statuswire={browser.cookies['statuswire']}"
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(
                outcome(f"ws://127.0.0.1:{web.port}/ws", within=20, additional_headers={"Cookie": cookie})
            )
            await asyncio.to_thread(at_the_console, web, "user", "reset", "eve@example.org")
        assert watching.result() == 4401
        assert (await browser.get("/account")).status_code == 401


async def test_the_public_is_not_told_the_address_of_whoever_acknowledges(light: House) -> None:
    await light.user(Role.OPERATOR, "secret.mei@example.org")
    async with light.client() as browser:
        await light.sign_in(browser, "secret.mei@example.org")
        form = {"x-form-token": form_token(browser.cookies["statuswire"]), **OURS}
        given = {"title": "It fails", "words": "We look."}
        made = (await browser.post("/v1/incidents", json=given, headers=form)).json()
        path = f"/v1/incidents/{made['id']}"
        answer = await browser.put(f"{path}/acknowledgement", json={}, headers=form)
        assert answer.json()["words"] == "Mei is on it"


async def test_a_token_for_some_pages_changes_nothing_of_others_by_an_update(web: Web) -> None:
    admin = at_the_console(web, "token", "create", "admin", "--scope", "admin")["token"]
    async with httpx.AsyncClient(base_url=web.url, timeout=10) as client:
        words = {"name": "x", "scopes": ["incidents:write"], "pages": ["team"]}
        made = await client.post("/v1/tokens", json=words, headers={"Authorization": f"Bearer {admin}"})
        client.headers["Authorization"] = f"Bearer {made.json()['token']}"
        given = {"title": "It fails", "words": "We look.", "components": [{"slug": "website"}]}
        incident = await client.post("/v1/incidents", json=given)
        assert incident.status_code == 201, incident.text
        path = f"/v1/incidents/{incident.json()['id']}"
        more = {"words": "More.", "components": [{"slug": "website"}, {"slug": "vault"}]}
        assert (await client.post(f"{path}/updates", json=more)).status_code == 403
        assert [each["slug"] for each in (await client.get(path)).json()["components"]] == ["website"]
        assert (await client.delete(path)).status_code == 204
