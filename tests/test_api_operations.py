"""The resources of /v1 that operators work with: what each verb comes to, and what is refused."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from app.db.engine import Database
from app.domain.board import Board
from app.domain.monitor import DEFAULT_REGION, Page
from app.feed import REGION
from app.security.scopes import ADMIN
from app.statusfile.catalog import read
from tests.conftest import eventually
from tests.make import NOON, a_catalog
from tests.people import House
from tests.rows import rows

pytest_plugins = ["tests.databases"]

INCIDENT = {"title": "Card payments fail", "words": "We see **errors**.", "components": [{"slug": "api"}]}
SPAN = {"starts": "2030-01-01T00:00:00Z", "ends": "2030-01-01T01:00:00Z"}


@pytest.fixture
async def desk(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """With the components api and shop."""
    async with house.client(await house.token(ADMIN)) as client:
        await made(client, "components", name="API", slug="api")
        await made(client, "components", name="Shop")
        yield client


async def made(client: httpx.AsyncClient, resource: str, **said: Any) -> Any:
    answer = await client.post(f"/v1/{resource}", json=said)
    assert answer.status_code == 201, answer.text
    assert (await client.get(answer.headers["location"])).json() == answer.json()
    return answer.json()


def blamed(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"][0]["field"]


async def test_an_incident_is_posted_told_of_and_resolved(house: House, desk: httpx.AsyncClient) -> None:
    incident = await made(desk, "incidents", **INCIDENT)
    place = f"incidents/{incident['id']}"
    await made(desk, f"{place}/updates", words="Found.", status="identified", components=[{"slug": "shop"}])
    note = await made(desk, f"{place}/updates", words="Ask Ben.", private=True)
    assert (note["n"], note["status"]) == (3, "identified")
    fixed = await desk.patch(f"/v1/{place}/updates/2", json={"words": "Found it."})
    assert fixed.json()["words"] == "Found it."
    assert (await desk.put(f"/v1/{place}/postmortem", json={"words": "p"})).status_code == 409
    await made(desk, f"{place}/updates", words="Well.", status="resolved")
    told = await desk.put(f"/v1/{place}/postmortem", json={"words": "DNS."})
    again = await desk.put(f"/v1/{place}/postmortem", json={"words": "It was DNS."})
    assert (told.json()["n"], again.json()["n"], again.json()["words"]) == (5, 5, "It was DNS.")
    now = (await desk.get(f"/v1/{place}")).json()
    assert (now["status"], now["components"]) == ("postmortem", [{"slug": "shop", "status": None}])
    assert [each["words"] for each in now["updates"]][1:] == ["Found it.", "Ask Ben.", "Well.", "It was DNS."]
    assert (await desk.delete(f"/v1/{place}/postmortem")).status_code == 204
    assert (await desk.get(f"/v1/{place}/postmortem")).status_code == 404
    assert (await desk.get(f"/v1/{place}")).json()["status"] == "resolved"
    lines = await rows(
        house.server.changes.database,
        "SELECT verb FROM audit_log WHERE subject LIKE 'incident/%' ORDER BY id",
    )
    assert len(lines) == 8, lines


async def test_a_draft_is_set_right_and_published_by_one_patch(desk: httpx.AsyncClient) -> None:
    draft = await made(desk, "incidents", **INCIDENT, draft=True)
    place = f"/v1/incidents/{draft['id']}"
    read = await desk.get(place)
    tag = {"if-match": read.headers["etag"]}
    public = await desk.patch(place, json={"title": "All fails", "draft": False}, headers=tag)
    assert (public.json()["title"], public.json()["draft"]) == ("All fails", False)
    assert (await desk.patch(place, json={"impact": "minor"}, headers=tag)).status_code == 412
    assert blamed(await desk.patch(place, json={"draft": True})) == (409, "draft")
    major = await desk.patch(place, json={"impact": "major"})
    assert (major.json()["impact"], major.json()["impact_set"]) == ("major", True)
    assert (await desk.patch(place, json={"impact": None})).json()["impact"] == "minor"


async def test_a_patch_that_is_refused_in_part_changes_nothing(desk: httpx.AsyncClient) -> None:
    work = await made(desk, "maintenances", title="Upgrade", components=["api"], **SPAN)
    place = f"/v1/maintenances/{work['id']}"
    assert (await desk.patch(place, json={"status": "in_progress"})).json()["status"] == "in_progress"
    answer = await desk.patch(place, json={"title": "Other", "status": "scheduled"})
    assert blamed(answer) == (409, "status")
    assert (await desk.get(place)).json()["title"] == "Upgrade"


async def test_a_status_by_hand_and_who_is_on_it_are_put_and_taken_back(desk: httpx.AsyncClient) -> None:
    incident = await made(desk, "incidents", **INCIDENT)
    for place, said in (
        ("/v1/components/api/override", {"status": "partial_outage"}),
        ("/v1/components/api/acknowledgement", {"words": "Mei is on it"}),
        (f"/v1/incidents/{incident['id']}/acknowledgement", {"words": "Mei is on it"}),
    ):
        assert (await desk.get(place)).status_code == 404
        assert (await desk.delete(place)).status_code == 404
        put = await desk.put(place, json=said)
        assert (put.status_code, put.json() | said) == (200, put.json())
        read = await desk.get(place)
        assert read.headers["etag"] == put.headers["etag"]
        assert (await desk.put(place, json=said, headers={"if-match": '"x"'})).status_code == 412
        assert (await desk.delete(place)).status_code == 204
        assert (await desk.put(place, json=said, headers={"if-match": '"x"'})).status_code == 412
    assert blamed(await desk.put("/v1/components/api/override", json={"status": "unknown"})) == (
        422,
        "status",
    )
    assert (await desk.put("/v1/components/none/override", json={"status": "operational"})).status_code == 404


async def test_the_catalog_is_made_changed_and_removed(desk: httpx.AsyncClient) -> None:
    await made(desk, "groups", name="Payments / EU")
    await desk.patch("/v1/components/api", json={"group": "Payments / EU"})
    renamed = await desk.put(f"/v1/groups/{quote('Payments / EU', safe='')}", json={"name": "EU"})
    assert (renamed.json()["name"], renamed.json()["components"]) == ("EU", ["api"])
    assert (await desk.get("/v1/components/api")).json()["group"] == "EU"
    monitor = await made(desk, "monitors", component="api", kind="http", target="https://a.example/")
    assert (monitor["id"], monitor["every"], monitor["origin"]) == ("api/http", 30.0, "database")
    slower = await desk.patch("/v1/monitors/api/http", json={"every": 60, "expect": {"status": [[200, 204]]}})
    assert (slower.json()["every"], slower.json()["expect"]) == (60.0, {"status": [[200, 204]]})
    page = await made(desk, "pages", slug="shops", name="Shops", groups=["EU"])
    assert (page["id"], page["groups"]) == ("shops", ["EU"])
    main = await desk.patch("/v1/pages/_main", json={"name": "Acme"})
    assert (main.status_code, main.json()["slug"]) == (200, "")
    for path in ("monitors/api/http", "pages/shops", "pages/_main", "groups/EU", "components/api"):
        assert (await desk.delete(f"/v1/{path}")).status_code == 204, path
    assert [each["slug"] for each in (await desk.get("/v1/components")).json()["items"]] == ["shop"]
    assert (await desk.get("/v1/pages/_main")).json()["name"] == "Status"


async def test_what_is_refused_names_the_field(desk: httpx.AsyncClient) -> None:
    async def wrong(resource: str, **said: Any) -> tuple[int, str]:
        return blamed(await desk.post(f"/v1/{resource}", json=said))

    assert await wrong("incidents", **INCIDENT | {"title": " "}) == (422, "title")
    assert await wrong("incidents", **INCIDENT | {"components": [{"slug": "apii"}]}) == (422, "components")
    assert await wrong("incidents", **INCIDENT | {"components": [{"slug": 1}]}) == (400, "components[0].slug")
    assert await wrong("maintenances", title="t", components=["api"], **SPAN, time_zone="Mars") == (
        *(422, "time_zone"),
    )
    assert await wrong("components", name="API", slug="api") == (409, "slug")
    http = {"component": "api", "target": "https://a.example/"}
    assert await wrong("monitors", **http, kind="carrier-pigeon") == (422, "kind")
    assert await wrong("monitors", **http, kind="http", every=0.1) == (422, "every")
    assert await wrong("monitors", **http, kind="http", depends_on=["none"]) == (422, "definition")
    assert await wrong("monitors", component="api", kind="http", target="ftp://a") == (422, "target")
    assert await wrong("monitors", **http, kind="http", expect={"json": {"$.a": "{"}}) == (422, "definition")
    assert await wrong("pages", slug="x", time_zone="Mars/Base") == (422, "time_zone")
    assert await wrong("pages", slug="x", groups=["none"]) == (422, "definition")
    await made(desk, "templates", name="a/b", title="t", words="w")
    assert await wrong("templates", name="a/b", title="t", words="w") == (409, "name")


async def test_a_rule_is_made_changed_and_removed(house: House, desk: httpx.AsyncClient) -> None:
    rule = await made(desk, "rules", name="Outage / EU", after=90, components=["api"])
    assert (rule["settle"], rule["origin"]) == (60.0, "database")
    assert [each["id"] for each in (await desk.get("/v1/rules")).json()["items"]] == ["Outage / EU"]
    assert await wrong_rule(desk, name=" Outage / EU ") == (409, "name")
    assert await wrong_rule(desk, name="B", components=["none"]) == (422, "definition")
    assert await wrong_rule(desk, name="B", words="x" * 1001) == (422, "words")
    place = f"/v1/rules/{quote(rule['id'], safe='')}"
    tag = (await desk.get(place)).headers["etag"]
    other = await desk.patch(place, json={"after": 120.5, "title": "{status}"}, headers={"if-match": tag})
    assert (other.json()["after"], other.json()["components"]) == (120.5, ["api"])
    late = await desk.put(place, json={}, headers={"if-match": tag})
    assert late.status_code == 412
    assert (await desk.put(place, json={})).json()["components"] == []
    async with house.client(await house.token("incidents:write", pages=("",))) as bound:
        assert (await bound.get("/v1/rules")).status_code == 403
        assert (await bound.delete(place)).status_code == 403
    assert (await desk.delete(place)).status_code == 204
    assert (await desk.get(place)).status_code == 404
    lines = await rows(
        house.server.changes.database, "SELECT verb FROM audit_log WHERE subject LIKE 'rule/%' ORDER BY id"
    )
    assert [line["verb"] for line in lines] == [
        *("rule.create", "rule.replace", "rule.replace", "rule.delete")
    ]


async def wrong_rule(desk: httpx.AsyncClient, **said: Any) -> tuple[int, str]:
    return blamed(await desk.post("/v1/rules", json=said))


async def test_a_rule_of_the_file_is_changed_in_the_file(house: House, desk: httpx.AsyncClient) -> None:
    house.server.model.take(read("components: [{name: Web}]\nincidents: [{name: Outage}]\n"))
    assert (await desk.get("/v1/rules/Outage")).json()["origin"] == "statuswire.yaml:2"
    for answer in (
        await desk.post("/v1/rules", json={"name": "Outage"}),
        await desk.patch("/v1/rules/Outage", json={"after": 30}),
        await desk.delete("/v1/rules/Outage"),
    ):
        assert answer.status_code == 409
        assert "ruled by the file statuswire.yaml, line 2" in answer.json()["detail"]


async def test_workers_are_asked_to_look_now(
    sqlite_database: Database, tmp_path: Path, redis_url: str
) -> None:
    house = House(sqlite_database, tmp_path, REDIS_URL=redis_url)
    async with house.client(await house.token(ADMIN)) as desk, Redis.from_url(redis_url).pubsub() as bell:
        await bell.subscribe(REGION + DEFAULT_REGION)
        await made(desk, "components", name="API", slug="api")
        await made(desk, "monitors", component="api", kind="http", target="https://a.example/")
        await made(desk, "monitors", component="api", kind="push", target="nightly")
        answer = await desk.post("/v1/runs", json={"monitor": "api/http"})
        assert (answer.status_code, answer.json()["regions"]) == (202, [DEFAULT_REGION])
        assert "location" not in answer.headers
        assert b'"monitor":"api/http"' in (await heard(bell))["data"]
        key = {"idempotency-key": "look-once"}
        said = [await desk.post("/v1/runs", json={"monitor": "api/http"}, headers=key) for _ in range(2)]
        assert [each.status_code for each in said] == [202, 202] and said[0].content == said[1].content
        assert b'"monitor":"api/http"' in (await heard(bell))["data"]
        assert await bell.get_message(ignore_subscribe_messages=True, timeout=0.1) is None
        again = await desk.post("/v1/runs", json={"monitor": "api/push"}, headers=key)
        assert again.status_code == 422
        await desk.patch("/v1/monitors/api/http", json={"paused": True})
        for key, code in (("api/http", 409), ("api/push", 422), ("none", 404)):
            assert blamed(await desk.post("/v1/runs", json={"monitor": key})) == (code, "monitor")
        async with house.client(await house.token("monitors:read")) as reader:
            assert (await reader.post("/v1/runs", json={"monitor": "api/http"})).status_code == 403
    await house.server.feed.close()


async def heard(bell: PubSub) -> Any:
    async def next_message() -> Any:
        return await bell.get_message(ignore_subscribe_messages=True, timeout=0.1)

    return await eventually(next_message)


async def test_without_redis_nobody_can_be_asked_to_look(desk: httpx.AsyncClient) -> None:
    await made(desk, "monitors", component="api", kind="http", target="https://a.example/")
    assert blamed(await desk.post("/v1/runs", json={"monitor": "api/http"})) == (409, "monitor")


async def test_nobody_waits_for_a_redis_that_does_not_answer_but_who_asks_it(
    sqlite_database: Database, tmp_path: Path
) -> None:
    called = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        house = House(sqlite_database, tmp_path, REDIS_URL=f"redis://127.0.0.1:{port}")
        async with house.client(await house.token(ADMIN)) as desk:
            await made(desk, "components", name="API", slug="api")
            await made(desk, "monitors", component="api", kind="http", target="https://a.example/")
            run = {"monitor": "api/http"}
            asking = asyncio.create_task(desk.post("/v1/runs", json=run, headers={"idempotency-key": "k"}))
            async with asyncio.timeout(10):
                await called.wait()
            await made(desk, "templates", name="Meanwhile", title="t", words="w")
            assert not asking.done()
            assert blamed(await asking) == (409, "monitor")
        await house.server.feed.close()


async def test_what_the_file_names_is_shown_with_its_line_and_changed_there(
    house: House, desk: httpx.AsyncClient
) -> None:
    house.server.model.take(read("components:\n  - {name: Web, monitors: [{http: https://w.example}]}\n"))
    web = (await desk.get("/v1/components/web")).json()
    assert web["origin"] == "statuswire.yaml:2"
    assert (await desk.get("/v1/monitors/web/http")).json()["origin"].startswith("statuswire.yaml:")
    # That nobody looks at it for now, no file says.
    for is_paused in (True, False):
        paused = await desk.patch("/v1/monitors/web/http", json={"paused": is_paused})
        assert (paused.status_code, paused.json()["paused"]) == (200, is_paused)
    for answer in (
        await desk.patch("/v1/components/web", json={"name": "W"}),
        await desk.delete("/v1/components/web"),
        await desk.patch("/v1/monitors/web/http", json={"every": 60}),
        await desk.delete("/v1/monitors/web/http"),
        await desk.post("/v1/monitors", json={"component": "web", "kind": "icmp", "target": "w.example"}),
    ):
        assert answer.status_code == 409, answer.text
        assert "is ruled by the file statuswire.yaml, line 2" in answer.json()["detail"]


async def test_a_token_of_one_page_has_to_do_with_that_alone(house: House, desk: httpx.AsyncClient) -> None:
    ours = await made(desk, "incidents", **INCIDENT)
    for slugs in (["shop"], ["api", "shop"], []):
        await made(desk, "incidents", **INCIDENT | {"components": [{"slug": slug} for slug in slugs]})
    catalog = a_catalog("api", "shop", pages=(Page(slug="apis", components=("api",)),))
    await made(desk, "pages", slug="apis", components=["api"])
    house.server.hub.restore(Board(catalog, NOON), "1-0", [])
    scopes = ("incidents:write", "components:write", "pages:write")
    async with house.client(await house.token(*scopes, pages=("apis",))) as bound:
        found = (await bound.get("/v1/incidents?limit=1")).json()
        assert ([each["id"] for each in found["items"]], found["next"]) == ([ours["id"]], None)
        assert [each["id"] for each in (await bound.get("/v1/components")).json()["items"]] == ["api"]
        assert (await bound.get("/v1/components/shop")).status_code == 404
        assert (
            await bound.put("/v1/components/shop/override", json={"status": "operational"})
        ).status_code == 404
        assert (await bound.get("/v1/pages/apis")).status_code == 200
        assert (await bound.patch("/v1/pages/apis", json={"components": ["shop"]})).status_code == 403
        assert (await bound.get("/v1/pages/_main")).status_code == 404
        theirs = INCIDENT | {"components": [{"slug": "shop"}]}
        assert (await bound.post("/v1/incidents", json=theirs)).status_code == 403
        assert (await bound.post("/v1/incidents", json=INCIDENT)).status_code == 201
        place = f"/v1/incidents/{ours['id']}"
        assert (await bound.patch(place, json={"components": [{"slug": "shop"}]})).status_code == 403
    assert len((await desk.get("/v1/incidents")).json()["items"]) == 5
    assert (await desk.get(place)).json()["components"][0]["slug"] == "api"


async def test_incidents_come_in_pages_the_newest_first(desk: httpx.AsyncClient) -> None:
    since = [f"2026-01-{day:02}T12:00:00Z" for day in (3, 1, 2, 1, 5)]
    ids = [(at, (await made(desk, "incidents", **INCIDENT, since=at))["id"]) for at in since]
    seen, cursor = [], ""
    while cursor is not None:
        page = (
            await desk.get("/v1/incidents", params={"limit": 2, "cursor": cursor} if cursor else {"limit": 2})
        ).json()
        seen += [each["id"] for each in page["items"]]
        cursor = page["next"]
    assert seen == [id for _, id in sorted(ids, reverse=True)]
