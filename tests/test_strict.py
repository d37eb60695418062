"""A host whose page says `https` is asked by TLS alone from then on; no other host is shut out by that."""

import socket

import pytest

from app.domain.board import Board
from app.domain.monitor import Page
from app.security.headers import STRICT, StrictHosts
from tests.make import NOON, a_catalog
from tests.people import House
from tests.services import Valkey, Web, wait_until

pytest_plugins = ["tests.databases"]

HTTPS = Page(name="Acme", url="https://status.acme.example/")
OTHERS = (
    Page(slug="pay", url="https://pay.acme.example:8443", hosts=("pay.acme.example",)),
    Page(slug="lan", url="http://lan.acme.example"),
    Page(slug="shop", url="https://shop.acme.example:443/"),
    Page(slug="none"),
)


@pytest.mark.parametrize(
    ("host", "is_strict"),
    [
        *(("status.acme.example", True), ("STATUS.acme.example:443", True), ("pay.acme.example:8443", True)),
        *(("status.acme.example:8000", False), ("pay.acme.example", False), ("lan.acme.example", False)),
        *(("shop.acme.example", True), ("shop.acme.example:443", True)),
        *(("acme.example", False), ("127.0.0.1:8000", False), ("", False)),
    ],
)
def test_only_where_a_page_is_by_tls(host: str, is_strict: bool) -> None:
    catalog = a_catalog("api", page=HTTPS, pages=OTHERS)
    assert (host in StrictHosts(lambda: catalog)) is is_strict


async def test_every_answer_says_so_and_none_by_another_name(light: House) -> None:
    paths = ("/", "/wall", "/history", "/static/nothing.js", "/v1/components", "/v1/nothing", "/nothing")
    paths += ("/login", "/health/live", "/statuswire.schema.json", "/p/none", "/admin")
    async with light.client() as browser:
        for page, host, expected in (
            (HTTPS, "status.acme.example", STRICT[1]),
            (HTTPS, "127.0.0.1:8000", None),
            (Page(url="http://status.acme.example"), "status.acme.example", None),
            (Page(), "status.acme.example", None),
        ):
            light.server.hub.restore(Board(a_catalog("api", page=page, pages=OTHERS), NOON), "1-0", [])
            for path in paths:
                answer = await browser.get(path, headers={"host": host})
                assert answer.headers.get(STRICT[0]) == expected, (path, host, answer.status_code)


async def test_a_stream_whose_socket_leaves_says_so_too(valkey: Valkey) -> None:
    valkey.flush()
    with Web(valkey.url) as web:
        (web.folder / "statuswire.yaml").write_text("page: {url: https://status.acme.example}\n")
        web.start()
        # Until the file has been read.
        wait_until(lambda: STRICT[0] in head_of(web, "/"), 15.0, lambda: head_of(web, "/"))
        assert STRICT[0] in head_of(web, "/events") and STRICT[0] in head_of(web, "/events?page=none")
        assert STRICT[0] not in head_of(web, "/events", "127.0.0.1")


def head_of(web: Web, path: str, host: str = "status.acme.example") -> str:
    with socket.create_connection(("127.0.0.1", web.port), 5.0) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        return connection.recv(65536).partition(b"\r\n\r\n")[0].decode()
