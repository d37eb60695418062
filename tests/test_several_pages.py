"""Several pages from one installation: each is drawn of its own components, and knows of no others."""

import asyncio
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
import websockets

from app.domain.audience import PUBLIC, Audience, narrow, snapshot, sum_up
from app.domain.board import Board
from app.domain.monitor import Link, Page
from app.domain.pages import MAIN, of_host
from app.domain.standing import State
from app.feed import Heard
from app.live.hub import Hub
from tests.conftest import eventually
from tests.make import NOON, a_catalog, a_catalog_change, a_change, a_component, after
from tests.people import CHEAP
from tests.services import Web
from tests.test_hub import Screen
from tests.test_pages_render import Server, serving

PASSWORD = "a long password"
HASH = CHEAP.hash(PASSWORD)
INTERNAL = Page(
    slug="internal",
    name="Inside",
    hosts=("inside.example",),
    components=("canary", "shop"),
    access="password",
    password_hash=HASH,
    language="fr",
    accent="#0b6bcb",
    logo="https://acme.example/inside.svg",
)
STAFF = Page(slug="staff", name="Staff", components=("canary",), access="signed-in")
PAYMENTS = Page(
    slug="payments",
    name="Acme Payments",
    hosts=("status.payments.example",),
    groups=("Payments",),
    accent="#0b6bcb",
    links=(Link("Imprint", "https://acme.example/imprint"),),
    footer="A sentence in the footer",
    logo="https://acme.example/logo.svg",
)
CATALOG = a_catalog(
    a_component("pay", group="Payments"),
    a_component("secret-pay", group="Payments", hidden=True),
    "shop",
    a_component("canary", hidden=True),
    groups=("Payments",),
    pages=(PAYMENTS, INTERNAL, STAFF),
)


def seen(board: Board, page: str) -> list[str]:
    return [each.slug for each in snapshot(board, Audience(page=page), NOON, "first").components]


@pytest.mark.parametrize(
    "page, slugs",
    [(MAIN, ["pay", "shop"]), ("payments", ["pay"]), ("internal", ["canary", "shop"]), ("nope", [])],
)
def test_a_page_has_its_own_components_in_its_own_order(page: str, slugs: list[str]) -> None:
    assert seen(Board(CATALOG, NOON), page) == slugs


def test_what_happens_elsewhere_is_told_to_no_page() -> None:
    board = Board(CATALOG, NOON)
    for slug in ("pay", "shop", "canary", "secret-pay"):
        board.fold("1-0", a_change(State.UP, monitor=f"{slug}/http"))
    patch = board.fold("2-0", a_change(State.DOWN, after(1), monitor="canary/http"))
    assert patch is not None
    for audience in (PUBLIC, Audience(page="payments"), Audience(frozenset({"canary"}))):
        assert narrow(patch, audience.at(board), None) is None
        assert "canary" not in msgspec.json.encode(snapshot(board, audience, NOON, "first")).decode()
    assert sum_up(board, PUBLIC).description == "All systems operational"
    assert sum_up(board, Audience(page="internal")).description == "Major outage: Canary"


def test_an_audience_that_nobody_has_placed_sees_nothing() -> None:
    assert not Audience().sees("shop")


@pytest.mark.parametrize(
    "host, slug",
    [
        ("status.payments.example", "payments"),
        ("STATUS.Payments.example.:8443", "payments"),
        ("status.acme.example", MAIN),
        ("[::1]:8000", MAIN),
        ("", MAIN),
    ],
)
def test_a_host_name_leads_to_its_page(host: str, slug: str) -> None:
    assert of_host(CATALOG, host) == slug


def test_who_watches_a_page_that_goes_or_gets_another_password_is_turned_out() -> None:
    hub = Hub(5.0, wall_clock=lambda: NOON.timestamp(), monotonic=lambda: 0.0, soon=lambda job: job())
    hub.restore(Board(CATALOG, NOON), "0-0")
    screens = {page: Screen() for page in (MAIN, "payments", "internal")}
    for page, screen in screens.items():
        hub.join(screen, Audience(page=page), None)
    other = msgspec.structs.replace(INTERNAL, password_hash="other")
    changed = a_catalog(*CATALOG.components, pages=(other,))
    hub.hear(Heard("5-0", a_catalog_change(changed)))
    assert [screen.ended for screen in screens.values()] == [None, 4401, 4401]


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        async with serving(Path(folder), CATALOG) as serving_it:
            yield serving_it


@pytest.mark.parametrize("path", ["/p/payments", "/p/payments/wall"])
async def test_a_page_is_at_its_address(server: Server, path: str) -> None:
    text = (await server.client.get(path)).text
    assert 'data-slug="pay"' in text and "Acme Payments" in text and "shop" not in text.lower()
    assert '<html lang="en"' in text and 'data-slug="payments"' in text


async def test_a_page_is_at_the_root_of_its_host(server: Server) -> None:
    text = (await server.client.get("/", headers={"host": "status.payments.example"})).text
    assert "Acme Payments" in text and "Shop" not in text
    assert "Shop" in (await server.client.get("/")).text


async def test_a_page_has_its_own_looks(server: Server) -> None:
    answer = await server.client.get("/p/payments")
    for word in ("Imprint", "A sentence in the footer", "https://acme.example/logo.svg"):
        assert word in answer.text
    assert "https://acme.example" in answer.headers["content-security-policy"]
    assert "--link:" in answer.text.replace(" ", "")
    assert 'href="/p/payments/components/pay"' in answer.text
    assert (await server.client.get("/p/payments/components/pay")).status_code == 200
    assert (await server.client.get("/p/payments/history")).status_code == 200


async def test_no_page_betrays_what_is_hidden(server: Server) -> None:
    closed = ("/p/internal", "/p/internal/wall", "/p/internal/history", "/p/staff", "/p/staff/wall")
    for path in ("/", "/wall", "/history", "/p/payments", "/p/payments/wall", "/p/payments/history", *closed):
        answer = await server.client.get(path, follow_redirects=False)
        assert "canary" not in answer.text.lower() and "secret-pay" not in answer.text, path
    for path in ("/components/canary", "/p/payments/components/canary", "/p/payments/components/secret-pay"):
        assert (await server.client.get(path)).status_code == 404
    assert (await server.client.get("/p/internal/components/canary")).status_code == 401


async def test_a_page_that_is_none_is_not_found(server: Server) -> None:
    for path in ("/p/nope", "/p/nope/wall", "/p/Internal"):
        assert (await server.client.get(path)).status_code == 404


async def test_a_password_opens_its_page_and_no_other(server: Server) -> None:
    client = server.client
    form = await client.get("/p/internal")
    assert (form.status_code, 'action="/p/internal/password"' in form.text) == (401, True)
    wrong = await client.post("/p/internal/password", data={"password": "another password"})
    assert (wrong.status_code, "est pas le mot de passe." in wrong.text) == (403, True)
    right = await client.post("/p/internal/password", data={"password": PASSWORD}, follow_redirects=False)
    assert (right.status_code, right.headers["location"]) == (303, "/p/internal")
    assert "HttpOnly" in right.headers["set-cookie"]
    assert "Canary" in (await client.get("/p/internal")).text
    assert "Canary" in (await client.get("/p/internal/wall")).text
    [cookie] = [each for each in client.cookies.jar if each.name == "statuswire-page-internal"]
    client.cookies.clear()
    for forged in (f"{int(NOON.timestamp() * 1000) + 10**9}.00", cookie.value[:-1] + "x", "x"):
        answer = await client.get("/p/internal", headers={"cookie": f"statuswire-page-internal={forged}"})
        assert answer.status_code == 401
    answer = await client.get("/p/staff", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?then=/p/staff")


async def test_the_form_for_a_password_looks_and_speaks_as_its_page(server: Server) -> None:
    form = await server.client.get("/p/internal")
    assert '<html lang="fr" dir="ltr">' in form.text and "Mot de passe" in form.text
    assert '<img src="https://acme.example/inside.svg"' in form.text and "--link:#" in form.text
    policy = form.headers["content-security-policy"]
    look = form.text.partition("<style>")[2].partition("</style>")[0]
    assert "https://acme.example/inside.svg" in policy
    assert b64encode(sha256(look.encode()).digest()).decode() in policy
    german = await server.client.get("/p/internal", headers={"accept-language": "de-CH"})
    assert "Seite öffnen" in german.text and "lang=" not in german.text.split("<body>")[1]
    asked = await server.client.get("/p/internal?lang=ar")
    assert 'dir="rtl"' in asked.text and 'action="/p/internal/password?lang=ar"' in asked.text
    wrong = await server.client.post("/p/internal/password?lang=ja", data={"password": "no"})
    assert (wrong.status_code, "パスワードが違います。" in wrong.text) == (403, True)
    hosted = await server.client.get("/", headers={"host": "inside.example"})
    assert 'name="then" value="/"' in hosted.text


async def test_who_is_sent_to_sign_in_keeps_the_language_that_they_asked_for(server: Server) -> None:
    sent = await server.client.get("/p/staff?lang=ar", follow_redirects=False)
    assert sent.headers["location"] == "/login?then=/p/staff%3Flang%3Dar&lang=ar"


async def test_passwords_are_not_tried_for_ever(server: Server) -> None:
    post, wrong = server.client.post, {"password": "x"}
    codes = [(await post("/p/internal/password", data=wrong)).status_code for _ in range(12)]
    assert 429 in codes and codes[-1] == 429


STREAMED = f"""
pages:
  - {{slug: payments, hosts: [payments.localhost], groups: [Payments]}}
  - {{slug: internal, components: [canary], access: password, password_hash: "{HASH}"}}
groups: [{{name: Payments, components: [{{name: Pay}}]}}]
components: [{{name: Shop}}, {{name: Canary, hidden: yes}}]
"""


async def first_frame(url: str, **more: object) -> dict[str, object]:
    async with websockets.connect(url, **more) as socket:  # type: ignore[arg-type]
        return msgspec.json.decode(await socket.recv(), type=dict[str, object])


async def test_each_page_has_streams_of_its_own(redis_url: str) -> None:
    with Web(redis_url) as web:
        (web.folder / "statuswire.yaml").write_text(STREAMED)
        await asyncio.to_thread(web.start)
        await eventually(lambda: b"Pay" in web.get("/p/payments")[1])
        ours = f"ws://127.0.0.1:{web.port}/ws"
        for query, slugs in (("", ["pay", "shop"]), ("?page=payments", ["pay"])):
            frame = await first_frame(ours + query)
            assert [each["slug"] for each in frame["components"]] == slugs  # type: ignore[index,attr-defined]
        named = f"ws://payments.localhost:{web.port}/ws"
        frame = await first_frame(named, host="127.0.0.1", port=web.port)
        assert [each["slug"] for each in frame["components"]] == ["pay"]  # type: ignore[index,attr-defined]
        for query, code in (("?page=internal", 4401), ("?page=nope", 4404)):
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await first_frame(ours + query)
            assert closed.value.rcvd is not None and closed.value.rcvd.code == code
        assert [web.get(f"/events?page={page}")[0] for page in ("internal", "nope")] == [401, 404]
