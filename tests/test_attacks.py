"""What somebody sends who means ill: to a real server by a real socket, or to all of its routes at once."""

import json
import socket
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote, unquote

import httpx
import pytest

from app.db.engine import Database
from app.domain.people import Role
from app.security.passwords import Passwords
from app.security.scopes import ADMIN
from tests.conftest import eventually
from tests.people import HOME, PASSWORD, House
from tests.services import Valkey, Web

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
            {"slug": "team", "name": "Team", "access": "signed-in"},
            {"slug": "vip", "name": "VIP", "access": "password", "password_hash": password},
        ],
        "components": [{"name": "Website", "monitors": [{"tcp": "127.0.0.1:9"}]}],
    }
    with Valkey() as valkey, Web(valkey.start().url, STATUSWIRE_BEAT="0.4") as web:
        (web.folder / "statuswire.yaml").write_text(json.dumps(file))
        web.start()
        await eventually(lambda: web.get("/p/team")[0] == 303)
        yield web


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> House:
    return House(database, tmp_path)


@pytest.fixture
async def light(sqlite_database: Database, tmp_path: Path) -> House:
    return House(sqlite_database, tmp_path)


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


def ask(web: Web, path: str, *headers: str, method: str = "GET") -> bytes:
    lines = (f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{web.port}", *headers)
    close = () if any(line.startswith("Connection") for line in headers) else ("Connection: close",)
    return say(web, "\r\n".join((*lines, *close, "", "")).encode())


# What is sent on to sign in, to where one wanted to be.
@pytest.mark.parametrize(
    "slug", ["%0d%0aX-Evil:%201", "%0d%0a%0d%0a%3Cscript%3E", "%E6%BC%A2", "a%26then=//evil.example", "%00"]
)
def test_an_address_puts_nothing_into_a_header(web: Web, slug: str) -> None:
    answer = ask(web, f"/p/team/components/{slug}")
    head = answer.partition(b"\r\n\r\n")[0].decode()
    assert head.startswith(("HTTP/1.1 303 ", "HTTP/1.1 404 ")), answer
    assert "x-evil" not in head.lower().replace("%0d%0ax-evil", "")
    [*_, location] = [line for line in head.splitlines() if line.startswith("location: ")] or [""]
    assert location in ("", f"location: /login?then={quote('/p/team/components/' + unquote(slug))}")


@pytest.mark.parametrize("until", ["9" * 15, "253402300800000", "0", "", "-1"])
@pytest.mark.parametrize("path", ["/p/vip", "/events?page=vip", "/ws?page=vip"])
def test_a_ticket_that_nobody_has_signed_is_none(web: Web, path: str, until: str) -> None:
    shown = f"Cookie: statuswire-page-vip={until}.{'a' * 64}"
    answer = ask(web, path, shown, *(HANDSHAKE if path.startswith("/ws") else ()))
    assert answer.startswith((b"HTTP/1.1 401 ", b"HTTP/1.1 101 ")), answer
    assert b" 101 " not in answer or b"\x11\x31" in answer  # 4401
    assert "Traceback" not in web.logs


NASTY = ("\0", "a\0b", "\x1b[31m", "\u202e", "漢", "'; DROP TABLE users; --", "%", "a" * 3000)


@pytest.mark.parametrize("nasty", NASTY, ids=ascii)
async def test_no_word_that_is_typed_breaks_a_form(house: House, nasty: str) -> None:
    await house.user(Role.ADMIN)
    async with house.client() as browser:
        typed = {"email": nasty, "password": nasty, "code": nasty, "then": nasty}
        assert (await browser.post("/login", data=typed, headers=OURS)).status_code == 403
        typed |= {"email": "mei@example.org", "password": PASSWORD, "then": f"/{nasty}"}
        answer = await browser.post("/login", data=typed, headers=OURS)
        assert answer.status_code == 303
        assert answer.headers["location"].isascii()
        typed = {"token": nasty, "name": nasty, "email": nasty, "password": nasty}
        assert (await browser.post("/setup", data=typed, headers=OURS)).status_code == 422


@pytest.mark.parametrize("nasty", NASTY, ids=ascii)
async def test_no_word_in_an_address_or_a_cursor_breaks_the_api(house: House, nasty: str) -> None:
    async with house.client(await house.token(ADMIN)) as client:
        for name in ("users", "tokens", "walls", "audit"):
            for verb in ("GET", "DELETE"):
                answer = await client.request(verb, f"/v1/{name}/{quote(nasty, safe='')}")
                assert answer.status_code in (404, 405), (name, verb, answer.text)
            cursor = httpx.QueryParams({"cursor": encoded(nasty)})
            assert (await client.get(f"/v1/{name}", params=cursor)).status_code in (200, 422), name


def encoded(word: str) -> str:
    return urlsafe_b64encode(word.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"name":' * 50_000, b"\xff\xfe", b"1e999999", b'"\\ud800"']
)
async def test_no_json_breaks_the_api(light: House, body: bytes) -> None:
    async with light.client(await light.token(ADMIN)) as client:
        answer = await client.post("/v1/tokens", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 413), answer.text
