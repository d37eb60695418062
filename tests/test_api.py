"""/v1 as a program finds it: who may do what, and how it is answered when something is wrong."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from litestar.routes import HTTPRoute

from app.domain.people import Role
from app.security import scopes
from app.security.scopes import ADMIN, PERSON, PUBLIC, SCOPES
from app.security.throttling import BURST
from tests.people import HOME, House
from tests.rows import rows

pytest_plugins = ["tests.databases"]

A_TOKEN = {"name": "deploys", "scopes": ["incidents:write"]}


@pytest.fixture
async def admin(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client(await house.token(ADMIN)) as client:
        yield client


def guarded(house: House) -> list[tuple[str, str, str]]:
    """(method, path, scope) of each route."""
    return [
        (method, path_of(route), str(handler.opt["scope"]))
        for route in house.server.app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if "scope" in handler.opt
        for method in sorted(handler.http_methods)
    ]


def path_of(route: HTTPRoute) -> str:
    return "".join(f"/{part if isinstance(part, str) else 'none'}" for part in route.path_components)


async def test_every_route_is_closed_to_every_scope_but_its_own(light: House) -> None:
    for held in (*SCOPES, None):
        token = "" if held is None else await light.token(held)
        async with light.client(token, address=f"198.51.100.{SCOPES.index(held) if held else 99}") as client:
            for method, path, needed in guarded(light):
                if needed == PUBLIC:
                    continue
                answer = await client.request(method, path, json={})
                is_in = held is not None and scopes.covers((held,), needed)
                refused = 401 if held is None else 403
                assert (answer.status_code == refused) is not is_in, (held, method, path, needed, answer.text)


async def test_each_role_may_do_what_it_is_for(light: House) -> None:
    may = {
        Role.VIEWER: {PERSON, *scopes.READ},
        Role.OPERATOR: {PERSON, *scopes.READ, *scopes.WRITE},
        Role.ADMIN: {PERSON, *SCOPES},
    }
    for role, its in may.items():
        held = scopes.OF_ROLE[role]
        assert {scope for scope in (PERSON, *SCOPES) if scopes.covers(held, scope)} == its


def test_a_token_is_no_person_and_writing_is_reading() -> None:
    assert not scopes.covers((ADMIN,), PERSON)
    assert scopes.covers(("walls:write",), "walls:read")
    assert not scopes.covers(("walls:read",), "walls:write")
    assert not scopes.covers(("walls:write",), "pages:read")
    assert not scopes.covers((ADMIN,), "no such scope")


async def test_a_token_is_shown_once_and_stored_as_a_hash(house: House, admin: httpx.AsyncClient) -> None:
    made = await admin.post("/v1/tokens", json=A_TOKEN)
    assert made.status_code == 201
    token = made.json()["token"]
    assert token.startswith(f"sw_{made.json()['id']}_")
    read = await admin.get(made.headers["location"])
    assert "token" not in read.json()
    assert read.json()["scopes"] == ["incidents:write"]
    database = house.server.changes.database
    for table in ("tokens", "audit_log", "answers", "outbox"):
        assert token.rpartition("_")[2] not in str(await rows(database, f"SELECT * FROM {table}"))


async def test_a_token_that_is_revoked_is_over_at_once(house: House, admin: httpx.AsyncClient) -> None:
    made = (await admin.post("/v1/tokens", json={"name": "x", "scopes": ["walls:read"]})).json()
    async with house.client(made["token"]) as client:
        assert (await client.get("/v1/walls")).status_code == 200
        assert (await admin.delete(f"/v1/tokens/{made['id']}")).status_code == 204
        answer = await client.get("/v1/walls")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
    [told] = await rows(house.server.changes.database, "SELECT event FROM outbox")
    assert f"token/{made['id']}" in told["event"]


async def test_a_token_is_good_from_its_addresses_and_until_it_expires(light: House) -> None:
    token = await light.token("walls:read", addresses=("203.0.113.0/24",))
    async with light.client(token, "203.0.113.9") as near, light.client(token, "198.51.100.9") as far:
        assert (await near.get("/v1/walls")).status_code == 200
        assert (await far.get("/v1/walls")).status_code == 401
    async with light.client(await light.token(ADMIN)) as admin:
        late = await admin.post("/v1/tokens", json={**A_TOKEN, "expires": "2020-01-01T00:00:00Z"})
        assert (late.status_code, late.json()["errors"][0]["field"]) == (422, "expires")


@pytest.mark.parametrize(
    "shown",
    [
        "Bearer sw_aaaaaaaa_" + "a" * 32,
        "Bearer sw_x",
        "Bearer ",
        "Basic bWVpOm1laQ==",
        "Bearer wall_aaaaaaaa_" + "a" * 32,
        "Bearer " + "x" * 5000,
    ],
)
async def test_a_token_that_is_none_is_a_401_and_no_more(light: House, shown: str) -> None:
    async with light.client() as client:
        answer = await client.get("/v1/walls", headers={"authorization": shown})
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"


async def test_whatever_is_wrong_is_a_problem_that_names_the_field(admin: httpx.AsyncClient) -> None:
    async def wrong(**given: object) -> tuple[int, str, str]:
        answer = await admin.post("/v1/tokens", json=given)
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["status"] == answer.status_code
        return answer.status_code, problem["errors"][0]["field"], problem["detail"]

    assert await wrong(**A_TOKEN, colour="red") == (400, "colour", "Object contains unknown field `colour`.")
    assert (await wrong(name="x"))[:2] == (400, "")
    assert (await wrong(name=1, scopes=["admin"]))[:2] == (400, "name")
    assert (await wrong(name="x", scopes=["fly"]))[:2] == (400, "scopes[0]")
    assert (await wrong(**A_TOKEN, addresses=["nowhere"]))[:2] == (422, "addresses")
    assert (await wrong(name="\0", scopes=["admin"]))[:2] == (400, "name")
    for path in ("/v1/no/such", "/v1/tokens/none", "/v1/audit/none"):
        answer = await admin.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    answer = await admin.put("/v1/tokens")
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]


async def test_only_json_is_read_and_not_too_much_of_it(light: House) -> None:
    async with light.client(await light.token(ADMIN)) as admin:
        for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
            answer = await admin.post("/v1/walls", content=b'{"name": "x"}', headers={"content-type": kind})
            assert answer.status_code == 415, kind
        assert (await admin.post("/v1/walls", json={"name": "x" * 300_000})).status_code == 413
        broken = await admin.post("/v1/walls", content=b"{", headers={"content-type": "application/json"})
        assert broken.status_code == 400


async def test_a_list_comes_in_pages_and_each_thing_once(admin: httpx.AsyncClient) -> None:
    made = {(await admin.post("/v1/walls", json={"name": f"wall {n}"})).json()["id"] for n in range(7)}
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        asked = {"limit": "3", **({"cursor": cursor} if cursor else {})}
        page = (await admin.get("/v1/walls", params=asked)).json()
        seen += [wall["id"] for wall in page["items"]]
        cursor, pages = page["next"], pages + 1
    assert (set(seen), len(seen), pages) == (made, 7, 3)
    assert (await admin.get("/v1/walls", params={"cursor": "\u00e4"})).status_code == 422
    assert (await admin.get("/v1/walls", params={"limit": "0"})).status_code == 400
    newest = (await admin.get("/v1/audit", params={"limit": "1"})).json()
    older = (await admin.get("/v1/audit", params={"limit": "1", "cursor": newest["next"]})).json()
    assert int(older["items"][0]["id"]) == int(newest["items"][0]["id"]) - 1


async def test_two_that_change_the_same_thing_do_not_overwrite_each_other(admin: httpx.AsyncClient) -> None:
    made = await admin.post("/v1/walls", json={"name": "lobby"})
    place = made.headers["location"]
    read = await admin.get(place)
    tag = {"if-match": read.headers["etag"]}
    assert (await admin.get(place, headers={"if-none-match": read.headers["etag"]})).status_code == 304

    first = await admin.patch(place, json={"name": "foyer"}, headers=tag)
    assert (first.status_code, first.json()["name"]) == (200, "foyer")
    assert (await admin.patch(place, json={"name": "hall"}, headers=tag)).status_code == 412
    assert (await admin.put(place, json={"name": "hall"}, headers=tag)).status_code == 412
    assert (await admin.delete(place, headers=tag)).status_code == 412
    assert (await admin.get(place)).headers["etag"] == first.headers["etag"]
    assert (await admin.delete(place, headers={"if-match": first.headers["etag"]})).status_code == 204
    assert (await admin.get(place)).status_code == 404


async def test_a_request_that_is_sent_again_is_one_change(house: House, admin: httpx.AsyncClient) -> None:
    key = {"idempotency-key": "deploy-17"}
    answers = await asyncio.gather(*(admin.post("/v1/tokens", json=A_TOKEN, headers=key) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert len({answer.headers["location"] for answer in answers}) == 1
    database = house.server.changes.database
    assert len(await rows(database, "SELECT id FROM tokens WHERE name = 'deploys'")) == 1
    assert len(await rows(database, "SELECT id FROM audit_log WHERE after LIKE '%deploys%'")) == 1

    other = await admin.post("/v1/tokens", json={**A_TOKEN, "name": "x"}, headers=key)
    assert other.status_code == 422
    async with house.client(await house.token(ADMIN)) as another:
        assert (await another.post("/v1/tokens", json=A_TOKEN, headers=key)).json()["id"] != answers[
            0
        ].json()["id"]
    refused = await admin.post("/v1/walls", json={"name": " x "}, headers={"idempotency-key": "a b"})
    assert refused.status_code == 400


async def test_the_audit_log_says_who_did_what_from_where(house: House, admin: httpx.AsyncClient) -> None:
    made = (await admin.post("/v1/walls", json={"name": "lobby"})).json()
    await admin.patch(f"/v1/walls/{made['id']}", json={"name": "foyer"})
    newest = (await admin.get("/v1/audit")).json()["items"][0]
    assert (newest["kind"], newest["name"], newest["address"]) == ("token", "test", "192.0.2.7")
    assert (newest["verb"], newest["subject"]) == ("wall.change", f"wall/{made['id']}")
    assert (newest["before"]["name"], newest["after"]["name"]) == ("lobby", "foyer")
    entry = await admin.get(f"/v1/audit/{newest['id']}")
    assert entry.json() == newest
    assert (await admin.delete(f"/v1/audit/{newest['id']}")).status_code == 405


async def test_there_is_always_an_admin(house: House, admin: httpx.AsyncClient) -> None:
    only = await house.user(Role.ADMIN)
    place = f"/v1/users/{only.id}"
    assert (await admin.patch(place, json={"role": "viewer"})).status_code == 409
    assert (await admin.delete(place)).status_code == 409
    second = await admin.post("/v1/users", json={"email": "Ben@example.org", "name": "Ben", "role": "admin"})
    assert (second.status_code, second.json()["email"]) == (201, "ben@example.org")
    assert (await admin.post("/v1/users", json={"email": "ben@example.org", "name": "B"})).status_code == 409
    assert (await admin.patch(place, json={"role": "viewer"})).status_code == 200


async def test_who_asks_too_often_is_told_when_to_come_back(light: House) -> None:
    async with light.client(await light.token("walls:read")) as busy, light.client("sw_x") as guesser:
        for client in (busy, guesser):
            # At once: a slow machine would ask them one by one more slowly than is allowed.
            answers = await asyncio.gather(*(client.get("/v1/walls/none") for _ in range(int(BURST) + 100)))
            answer = next(each for each in answers if each.status_code == 429)
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.headers["content-type"] == "application/problem+json"
    async with light.client(await light.token("walls:read")) as other:
        assert (await other.get("/v1/walls")).status_code == 200


async def test_no_other_web_site_may_read_but_what_is_made_for_it(light: House) -> None:
    async with light.client(await light.token(ADMIN)) as client:
        evil = {"origin": "https://evil.example"}
        for path in ("/v1/tokens", "/", "/wall", "/health/ready", "/login", "/account"):
            answer = await client.get(path, headers=evil)
            assert "access-control-allow-origin" not in answer.headers, path
        described = await client.get("/v1/openapi.json", headers=evil)
        assert described.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in described.headers
        assert (await client.post("/v1/walls", json={"name": "x"}, headers=evil)).status_code == 403


async def test_every_answer_carries_the_headers_that_keep_a_browser_safe(light: House) -> None:
    async with light.client() as client:
        for path in (
            "/v1/tokens",
            "/v1/openapi.json",
            "/v1/no",
            "/login",
            "/setup",
            "/account",
            "/wall/none",
        ):
            answer = await client.get(path)
            for name in ("x-content-type-options", "content-security-policy", "referrer-policy"):
                assert name in answer.headers, (path, name)


async def test_what_fails_within_is_told_to_the_log_and_to_nobody_else(light: House) -> None:
    async with light.client(await light.token(ADMIN)) as client:
        await light.server.changes.database.close()
        answer = await client.get("/v1/tokens")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert HOME not in answer.text
