"""/admin without a browser: every room answers, every form says what is wrong beside its field and keeps what
was typed, and nobody does what they may not."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.db.catalog import write_catalog
from app.db.definitions import read_definitions
from app.db.engine import Database
from app.domain.board import Board
from app.domain.monitor import Catalog
from app.domain.people import Role
from app.domain.rule import Rule
from app.statusfile.catalog import read
from tests.make import NOON
from tests.people import HOME, House
from tests.rows import rows

pytest_plugins = ["tests.databases"]

OURS = {"origin": HOME}
FILE = """
page: {name: Acme, time_zone: Europe/Berlin}
components:
  - name: Website
    monitors: [{http: "https://acme.example", headers: {X-Tag: canary-of-a-header}}]
incidents: [{name: Of the file}]
"""
ROOMS = (
    *("", "/incidents", "/incidents/new", "/maintenances", "/maintenances/new", "/components"),
    *("/components/new", "/components/website", "/pages", "/pages/-", "/pages/new", "/templates", "/walls"),
    *("/tokens", "/users", "/audit", "/rules"),
)


@pytest.fixture
async def house(sqlite_database: Database, tmp_path: Path) -> House:
    """With a file that names one component."""
    house = House(sqlite_database, tmp_path)
    said = read(FILE, "statuswire.yaml")
    house.server.model.take(said)
    house.server.hub.restore(Board(said.catalog, NOON), "0-0")
    async with sqlite_database.writing() as transaction:
        await write_catalog(transaction, Catalog(), said.catalog)
    return house


@pytest.fixture
async def mei(house: House) -> AsyncIterator[httpx.AsyncClient]:
    await house.user(Role.ADMIN)
    async with house.client() as browser:
        await house.sign_in(browser)
        yield browser


async def send(browser: httpx.AsyncClient, address: str, **typed: object) -> httpx.Response:
    token = re.search(r'name="form_token" value="(\w+)"', (await browser.get("/account")).text)
    assert token is not None
    return await browser.post(f"/admin{address}", data={"form_token": token[1], **typed}, headers=OURS)


async def test_every_room_answers(mei: httpx.AsyncClient) -> None:
    for room in ROOMS:
        answer = await mei.get(f"/admin{room}")
        assert (answer.status_code, "</html>" in answer.text) == (200, True), room
    for nothing in ("/incidents/none", "/maintenances/none", "/components/none", "/pages/none"):
        assert (await mei.get(f"/admin{nothing}")).status_code == 404, nothing
    assert (await mei.get("/admin/audit", params={"before": 10**30})).status_code == 400


async def test_who_may_not_is_shown_no_form_and_sends_none(house: House) -> None:
    await house.user(Role.VIEWER)
    async with house.client() as browser:
        assert (await browser.get("/admin", headers={"accept": "text/html"})).headers["location"] == (
            "/login?then=/admin"
        )
        await house.sign_in(browser)
        for room in ROOMS:
            answer = await browser.get(f"/admin{room}")
            forbidden = (room.endswith("/new") and room != "/pages/new") or room in (
                "/tokens",
                "/users",
                "/audit",
            )
            assert answer.status_code == (403 if forbidden else 200), room
            assert 'method="post"' not in answer.text, room
            assert "canary" not in answer.text, room
        for verb in (
            "/incidents/new",
            "/components/website/pause",
            "/templates",
            "/rules",
            "/walls",
            "/users",
            "/pages/-",
        ):
            assert (await send(browser, verb, name="x", title="x", words="x")).status_code == 403, verb


async def test_a_form_of_another_site_changes_nothing(house: House, mei: httpx.AsyncClient) -> None:
    typed = {"title": "x", "words": "y"}
    evil = await mei.post("/admin/incidents/new", data=typed, headers={"origin": "https://evil.example"})
    blind = await mei.post("/admin/incidents/new", data=typed, headers=OURS)
    assert (evil.status_code, blind.status_code) == (403, 403)
    assert await rows(house.server.changes.database, "SELECT id FROM incidents") == []


async def test_what_is_wrong_stands_beside_its_field_and_nothing_is_lost(mei: httpx.AsyncClient) -> None:
    answer = await send(
        mei,
        "/incidents/new",
        title=" ",
        words="We <look>.",
        components="website",
        **{"status-website": "major_outage"},
    )
    assert answer.status_code == 422
    assert re.search(r'id="post-title"[^>]*aria-describedby="post-title-wrong"', answer.text)
    assert answer.text.count("`title` is empty") == 1
    assert "We &lt;look&gt;.</textarea>" in answer.text
    assert re.search(r'value="website" checked', answer.text)
    assert '<option value="major_outage" selected>' in answer.text
    for address, field, typed in (
        ("/incidents/new", "post-since", {"title": "x", "words": "y", "since": "tomorrow"}),
        ("/maintenances/new", "schedule-time_zone", {"time_zone": "Mars/Phobos"}),
        ("/maintenances/new", "schedule-starts", {"title": "x", "starts": ""}),
        ("/components/new", "edit-monitors", {"name": "A", "monitors": "- htp: http://acme.example"}),
        ("/pages/new", "page-words", {"slug": "p", "name": "P", "words": "components: [nothing]"}),
        ("/walls", "issue-name", {"name": ""}),
        ("/tokens", "issue-scopes", {"name": "robot"}),
        ("/users", "add-email", {"name": "Ben", "email": "ben"}),
        ("/templates", "template-words", {"name": "a", "title": "b", "words": ""}),
        ("/rules", "rule-after", {"name": "a", "after": "soon"}),
    ):
        answer = await send(mei, address, **typed)
        assert (answer.status_code, f'id="{field}-wrong"' in answer.text) == (422, True), (
            address,
            answer.text,
        )


async def test_what_the_file_rules_is_shown_with_its_line_and_cannot_be_changed(
    mei: httpx.AsyncClient,
) -> None:
    page = await mei.get("/admin/components/website")
    assert "statuswire.yaml:4" in page.text and 'action="/admin/components/website/edit"' not in page.text
    refused = await send(mei, "/components/website/edit", name="Other")
    assert (refused.status_code, "statuswire.yaml, line 4" in refused.text) == (409, True)
    assert (await send(mei, "/components/website/remove")).status_code == 409
    assert (await send(mei, "/pages/-", name="Other")).status_code == 409


async def test_a_component_of_the_database_is_made_in_the_words_of_the_file(
    house: House, mei: httpx.AsyncClient
) -> None:
    monitors = "- http: https://api.acme.example\n  every: 10s\n- tcp: api.acme.example:443\n"
    made = await send(mei, "/components/new", name="Our API", group="Core", monitors=monitors)
    assert made.headers["location"] == "/admin/components/our-api?done=changed"
    async with house.server.changes.database.reading() as transaction:
        [component] = (await read_definitions(transaction)).components
    assert [monitor.key for monitor in component.monitors] == ["our-api/http", "our-api/tcp"]
    assert (component.group, component.monitors[0].every) == ("Core", 10.0)


async def test_a_rule_is_made_changed_and_removed_and_the_one_of_the_file_is_shown(
    house: House, mei: httpx.AsyncClient
) -> None:
    typed = {"name": "A/B", "after": "90s", "components": "website", "title": "{status} of {components}"}
    made = await send(mei, "/rules", **typed)
    assert made.headers["location"] == "/admin/rules?done=changed"
    taken = await send(mei, "/rules", name="A/B", after="2m")
    assert (taken.status_code, "There is a rule of this name already" in taken.text) == (409, True)
    await send(mei, "/rules/change", name="A/B", after="2m", settle="5m")

    async def kept() -> tuple[Rule, ...]:
        async with house.server.changes.database.reading() as transaction:
            return (await read_definitions(transaction)).rules

    assert await kept() == (Rule(name="A/B", after=120.0, settle=300.0),)
    # As the feed brings it.
    house.server.hub.restore(Board(house.server.model.running(), NOON), "0-0")
    page = (await mei.get("/admin/rules")).text
    assert 'value="2m"' in page and "statuswire.yaml:6" in page and page.count("Remove") == 1
    wrong = await send(mei, "/rules/change", name="A/B", components="nothing")
    assert (wrong.status_code, "no component has the slug" in wrong.text.lower()) == (422, True)
    for verb in ("/rules", "/rules/change", "/rules/remove"):
        ruled = await send(mei, verb, name="Of the file")
        assert (ruled.status_code, "is ruled by the file" in ruled.text) == (409, True)
    await send(mei, "/rules/remove", name="A/B")
    assert await kept() == ()
    verbs = [
        row["verb"]
        for row in await rows(house.server.changes.database, "SELECT verb FROM audit_log ORDER BY id")
    ]
    assert [verb for verb in verbs if verb.startswith("rule.")] == [
        *("rule.create", "rule.replace", "rule.delete")
    ]


async def test_to_add_a_template_overwrites_none(house: House, mei: httpx.AsyncClient) -> None:
    typed = {"name": "Provider", "title": "It is out", "words": "We look."}
    assert (await send(mei, "/templates", **typed)).status_code == 303
    taken = await send(mei, "/templates", **typed | {"title": "Another"})
    assert (taken.status_code, "There is a template of this name already" in taken.text) == (409, True)
    assert (await send(mei, "/templates/change", **typed | {"title": "Better"})).status_code == 303
    kept = await rows(house.server.changes.database, "SELECT title FROM templates")
    assert [row["title"] for row in kept] == ["Better"]


async def test_a_pause_is_kept_noted_once_and_taken_back(house: House, mei: httpx.AsyncClient) -> None:
    async def paused() -> tuple[str, ...]:
        async with house.server.changes.database.reading() as transaction:
            return (await read_definitions(transaction)).paused

    assert (await send(mei, "/components/website/pause", monitor="website/http")).status_code == 303
    assert await paused() == ("website/http",)
    assert house.server.model.running().paused == ("website/http",)
    assert (await send(mei, "/components/website/pause", monitor="website/none")).status_code == 404
    await send(mei, "/components/website/resume", monitor="website/http")
    assert await paused() == ()
    noted = await rows(
        house.server.changes.database,
        "SELECT verb, subject FROM audit_log WHERE verb LIKE 'mon%' ORDER BY id",
    )
    assert [(row["verb"], row["subject"]) for row in noted] == [
        ("monitor.pause", "monitor/website/http"),
        ("monitor.resume", "monitor/website/http"),
    ]


async def test_what_is_issued_is_shown_once(house: House, mei: httpx.AsyncClient) -> None:
    answer = await send(mei, "/tokens", name="robot", scopes="incidents:write", expires="30")
    token = re.search(r"sw_\w+", answer.text)
    assert token is not None
    assert token[0] not in (await mei.get("/admin/tokens")).text
    async with house.client(token[0]) as robot:
        assert (await robot.get("/admin/incidents")).status_code == 200
    wall = re.search(r"/wall/(wall_\w+)", (await send(mei, "/walls", name="lobby")).text)
    assert wall is not None
    async with house.client() as screen:
        assert (await screen.get(wall[0])).status_code == 200
    [row] = await rows(house.server.changes.database, "SELECT id FROM walls")
    await send(mei, "/walls/revoke", id=row["id"])
    async with house.client() as screen:
        assert (await screen.get(wall[0])).status_code == 404
