"""What may be a secret in what is said of a monitor is kept as `${NAME}` or not at all, and is repeated to
nobody: by no sentence, no answer, no page, no line of the audit log."""

import re
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from msgspec.structs import replace

from app.domain.board import Board
from app.domain.credentials import masked, redacted, restored, unmasked, written_out
from app.domain.explanation import explain
from app.domain.people import Role
from app.domain.refused import Refused
from app.security.scopes import ADMIN
from app.statusfile.catalog import parse
from app.statusfile.kinds import KINDS
from app.statusfile.problem import StatusFileError
from tests.make import NOON, a_catalog, a_component, a_monitor
from tests.people import HOME, House
from tests.rows import rows

pytest_plugins = ["tests.databases"]

CANARY = "xanary"


def complaint(lines: str) -> str:
    """What the reader says of a monitor whose first line is the fourth of the file."""
    first, *more = lines.split("\n")
    head = ["components:", "- name: A", "  monitors:", f"  - {first}", *(f"    {each}" for each in more)]
    with pytest.raises(StatusFileError) as refused:
        parse("\n".join(head))
    return str(refused.value)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_password_in_an_address_is_refused_and_not_repeated(kind: str) -> None:
    scheme = {"websocket": "wss"}.get(
        kind, kind if kind in ("http", "postgres", "redis", "mysql") else "https"
    )
    for target in (
        f"{scheme}://me:{CANARY}@a.example/x",
        f"me:{CANARY}@a.example:5432",
        f"{scheme}://{CANARY}@a.example",
        f"postgres://me:{CANARY}@[::1/x",
    ):
        # A name that is asked of a server of DNS is written with one, too.
        if not (kind == "dns" and "//" not in target):
            assert CANARY not in complaint(f"{kind}: '{target}'"), target
    assert CANARY not in complaint(f"https://me:{CANARY}@a.example: 1")


@pytest.mark.parametrize(
    ("lines", "line", "what"),
    [
        (f"http: https://a\nheaders:\n  A: x\n  Authorization: Bearer {CANARY}", 7, "header `Authorization`"),
        (f"websocket: wss://a\nheaders: {{X-Api-Key: {CANARY}}}", 5, "header `X-Api-Key`"),
        (f"http: https://a\nheaders: {{Set-Cookie: {CANARY}}}", 5, "header `Set-Cookie`"),
        (f"http: https://a\nauth: {{bearer: {CANARY}}}", 5, "`bearer`"),
        (f"http: https://a\nauth: {{basic: {{user: me, password: {CANARY}}}}}", 5, "`password`"),
        (f"postgres: a:5432\npassword: {CANARY}", 5, "`password`"),
        (f"http: https://a/x?access_token={CANARY}", 4, "`http` has the value of `access_token` in it,"),
        (f"http: https://a/?a=b&api_key={CANARY}#c", 4, "`http` has the value of `api_key` in it, which"),
        (f"http: https://a\nproxy: 'http://b/?secret={CANARY}'", 5, "`proxy` has the value of `secret`"),
    ],
)  # fmt: skip
def test_a_secret_in_the_clear_is_refused_with_its_line(lines: str, line: int, what: str) -> None:
    said = complaint(lines)
    assert said.startswith(f"statuswire.yaml:{line}: {what}") and "\n" not in said
    assert "must be ${NAME}, which each worker fills in from its own environment" in said
    assert CANARY not in said


def test_a_variable_is_no_secret() -> None:
    parse(
        "components: [{name: A, monitors: [{http: 'https://a/?token=${T}&x=1', headers: {Authorization: "
        "'Bearer ${T}'}, expect: {header: {set-cookie: session}}}]}]"
    )


def test_what_may_be_secret_is_masked_and_a_variable_is_shown() -> None:
    for text, shown in (
        ("https://a/?key=k&x=1#f", "https://a/?key=***&x=1#f"),
        ("https://a/?X-Api-Key=k", "https://a/?X-Api-Key=***"),
        ("https://a/?token=${T}&key=k${T}", "https://a/?token=${T}&key=***"),
        ("postgres://me:pw@h/db", "postgres://***@h/db"),
        ("https://a/?keyboard=qwerty", "https://a/?keyboard=qwerty"),
    ):
        assert redacted(text) == shown
        assert unmasked(shown, text) == text
    assert masked({"Cookie": "a", "b": ["?key=c", 1, None], "token": "${T}"}) == (
        {"Cookie": "***", "b": ["?key=***", 1, None], "token": "${T}"}
    )


def test_a_secret_goes_nowhere_but_where_it_went_before() -> None:
    known = a_monitor(target="https://a.example/?key=abc")
    sent = a_monitor(target="https://a.example/?key=***", every=90.0)
    assert restored(sent, known).target == known.target
    for elsewhere in ("https://evil.example/?key=***", "https://***@a.example/"):
        with pytest.raises(Refused, match="only the old URL may have"):
            restored(a_monitor(target=elsewhere), known)
    with pytest.raises(Refused):
        restored(sent, None)


def test_what_is_sent_along_goes_nowhere_but_where_it_went_before() -> None:
    known = a_monitor(target="https://a.example/", options={"send": "a=1&key=abc", "method": "POST"})
    sent = replace(known, options={"send": "a=1&key=***", "method": "PUT"})
    assert restored(sent, known).options["send"] == "a=1&key=abc"
    for other in (
        replace(sent, target="https://evil.example/"),
        replace(sent, options={"send": "a=2&key=***"}),
        replace(sent, options={"headers": {"Referer": "https://a/?key=***"}}),
    ):
        with pytest.raises(Refused, match="write it as") as no:
            restored(other, known)
        assert no.value.field == "options"


def test_a_long_text_is_searched_in_no_time() -> None:
    began = time.perf_counter()
    dotted = "a." * 32_000 + " ://u:p@b"
    for text in (dotted, "?" + "token" * 13_000, "?token" * 10_000, "&" * 65_000, "?next=/a?token=b" * 4_000):
        assert not list(written_out(text)) or "=b" in text
        assert "token=b" not in redacted(text)
    assert time.perf_counter() - began < 1


@pytest.fixture
async def desk(light: House) -> AsyncIterator[httpx.AsyncClient]:
    async with light.client(await light.token(ADMIN)) as client:
        assert (await client.post("/v1/components", json={"name": "API"})).status_code == 201
        yield client


URL = f"https://a.example/?key={CANARY}"


async def test_rest_shows_no_secret_of_a_url_and_keeps_it_where_the_mask_comes_back(
    light: House, desk: httpx.AsyncClient
) -> None:
    given = {"component": "api", "kind": "http", "target": URL, "options": {"headers": {"Referer": URL}}}
    made = await desk.post("/v1/monitors", json=given)
    assert (made.status_code, made.json()["target"]) == (201, "https://a.example/?key=***")
    place = made.headers["location"]
    sent = {name: made.json()[name] for name in ("kind", "target", "options")}
    answers = [
        made,
        await desk.get(place),
        await desk.get("/v1/monitors"),
        await desk.put(place, json={**sent, "every": 90}),
        await desk.patch(place, json={"target": sent["target"], "retries": 2}),
        await desk.get("/v1/audit"),
    ]
    moved = await desk.patch(place, json={"target": "https://evil.example/?key=***"})
    assert (moved.status_code, moved.json()["errors"][0]["field"]) == (422, "target")
    assert [answer.status_code for answer in answers] == [201, 200, 200, 200, 200, 200]
    assert [answer.text for answer in answers if CANARY in answer.text] == []
    [kept] = await rows(light.server.changes.database, "SELECT definition FROM definitions")
    assert kept["definition"].count(URL) == 2
    assert CANARY not in str(await rows(light.server.changes.database, "SELECT * FROM audit_log"))


async def test_rest_takes_no_secret_in_the_clear(desk: httpx.AsyncClient) -> None:
    http = {"component": "api", "kind": "http", "target": "https://a.example/"}
    for other, sentence in (
        ({"target": f"https://me:{CANARY}@a.example/"}, "must not hold a user or password"),
        ({"target": f"https://a.example/?token={CANARY}"}, "must be ${NAME}"),
        ({"options": {"headers": {"Authorization": f"Bearer {CANARY}"}}}, "must be ${NAME}"),
        ({"options": {"headers": {"Authorization": "***"}}}, "must be ${NAME}"),
        ({"kind": "postgres", "target": f"postgres://me:{CANARY}@a.example/db"}, "must not be a URL"),
    ):
        answer = await desk.post("/v1/monitors", json=http | other)
        assert (answer.status_code, sentence in answer.text) == (422, True), answer.text
        assert CANARY not in answer.text
    assert CANARY not in (await desk.get("/v1/audit")).text


async def test_admin_shows_no_secret_of_a_url_and_keeps_it_where_the_mask_comes_back(light: House) -> None:
    await light.user(Role.ADMIN)
    catalog = a_catalog(a_component("api", a_monitor("api/http", target=URL)))
    light.server.hub.restore(Board(catalog, NOON), "1-0", [])
    async with light.client() as browser:
        await light.sign_in(browser)
        page = (await browser.get("/admin/components/api")).text
        assert page.count("https://a.example/?key=***") == 2 and CANARY not in page
        token = re.search(r'name="form_token" value="(\w+)"', page)
        assert token is not None
        typed = {"form_token": token[1], "name": "API", "monitors": "- http: https://a.example/?key=***"}
        answer = await browser.post(
            "/admin/components/api/edit", data=typed, headers={"origin": HOME}, follow_redirects=False
        )
        assert answer.status_code in (200, 303), answer.text
        assert CANARY not in answer.text
    [kept] = await rows(light.server.changes.database, "SELECT definition FROM definitions")
    assert URL in kept["definition"]
    noted = str(await rows(light.server.changes.database, "SELECT * FROM audit_log"))
    assert CANARY not in noted and "?key=***" in noted


def test_explain_repeats_no_secret() -> None:
    board = Board(a_catalog(a_component("api", a_monitor("api/http", target=URL))), NOON)
    monitor = board.monitor("api/http")
    assert monitor is not None
    said = "\n".join(explain(board, monitor, NOON, [], []))
    assert CANARY not in said and "?key=***" in said
