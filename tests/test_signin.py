"""Signing in, staying signed in, and being signed out: by people, and by those who only pretend to be."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pyotp
import pytest

from app.db import sessions, tries
from app.db.engine import Database
from app.domain.instant import from_ms
from app.domain.people import Role
from app.security import second_factor
from app.security.signin import WRONG, set_up_token
from app.security.throttling import FREE_PER_ACCOUNT, LONGEST_WAIT, wait_of
from tests.make import after
from tests.people import HOME, PASSWORD, House
from tests.rows import rows

pytest_plugins = ["tests.databases"]

OURS = {"origin": HOME}


@pytest.fixture
async def mei(light: House) -> AsyncIterator[httpx.AsyncClient]:
    """An operator in her browser."""
    await light.user(Role.OPERATOR)
    async with light.client() as browser:
        await light.sign_in(browser)
        yield browser


def form_token(page: httpx.Response) -> str:
    match = re.search(r'name="form_token" value="(\w+)"', page.text)
    assert match, page.text
    return match[1]


async def submit(browser: httpx.AsyncClient, path: str, **typed: str) -> httpx.Response:
    """As a browser does from the account's page."""
    page = await browser.get("/account")
    return await browser.post(path, data={**typed, "form_token": form_token(page)}, headers=OURS)


async def test_fifty_set_ups_at_once_make_one_admin(house: House) -> None:
    token = set_up_token(house.server.secrets)

    async def set_up(n: int) -> int:
        async with house.client(address=f"198.51.100.{n}") as browser:
            typed = {"token": token, "name": "Mei", "email": f"mei{n}@example.org", "password": PASSWORD}
            return (await browser.post("/setup", data=typed, headers=OURS)).status_code

    codes = await asyncio.gather(*(set_up(n) for n in range(50)))
    assert codes.count(303) == 1, codes
    assert [row["role"] for row in await rows(house.server.changes.database, "SELECT role FROM users")] == [
        "admin"
    ]
    async with house.client() as browser:
        assert (await browser.get("/setup")).headers["location"] == "/login"


async def test_set_up_is_open_until_there_is_an_admin_whoever_was_added_before(light: House) -> None:
    await light.user(Role.OPERATOR)
    async with light.client() as browser:
        assert "Sign in" in (await browser.get("/login")).text
        assert (await browser.get("/setup")).status_code == 200
        typed = {"token": set_up_token(light.server.secrets), "password": PASSWORD, "name": "Ann"}
        taken = await browser.post("/setup", data={**typed, "email": "mei@example.org"}, headers=OURS)
        assert (taken.status_code, "account with the address" in taken.text) == (409, True)
        made = await browser.post("/setup", data={**typed, "email": "ann@example.org"}, headers=OURS)
        assert made.headers["location"] == "/admin"
        assert (await browser.get("/setup")).headers["location"] == "/login"


async def test_who_has_not_read_the_console_sets_up_nothing(light: House) -> None:
    async with light.client() as browser:
        assert (await browser.get("/login")).headers["location"] == "/setup"
        typed = {"token": "guessed", "name": "Eve", "email": "eve@example.org", "password": PASSWORD}
        answer = await browser.post("/setup", data=typed, headers=OURS)
        assert (answer.status_code, "not the token" in answer.text) == (422, True)
        typed |= {"token": set_up_token(light.server.secrets), "password": "short"}
        answer = await browser.post("/setup", data=typed, headers=OURS)
        assert (answer.status_code, "12 to 256" in answer.text) == (422, True)
    assert await rows(light.server.changes.database, "SELECT id FROM users") == []


async def test_a_session_is_a_cookie_that_nobody_else_can_read_or_make(light: House) -> None:
    await light.user(Role.ADMIN)
    typed = {"email": "mei@example.org", "password": PASSWORD}
    async with light.client() as browser:
        answer = await browser.post("/login", data=typed, headers=OURS)
        plain = next(each for each in answer.headers.get_list("set-cookie") if each.startswith("statuswire="))
        assert all(word in plain for word in ("HttpOnly", "SameSite=lax", "Path=/"))
        secret = plain.partition("=")[2].partition(";")[0]
        database = light.server.changes.database
        assert secret not in str(await rows(database, "SELECT * FROM sessions"))
        assert (await browser.get("/account")).status_code == 200
    async with light.client(address="127.0.0.1") as browser:
        behind_tls = {**OURS, "origin": "http://status.example", "x-forwarded-proto": "https"}
        answer = await browser.post("/login", data=typed, headers=behind_tls)
        [secure] = [c for c in answer.headers.get_list("set-cookie") if c.startswith("__Host-statuswire=")]
        assert "Secure" in secure
        assert "Domain" not in secure


async def test_wrong_is_wrong_whatever_is_wrong(light: House) -> None:
    await light.user(Role.VIEWER)
    async with light.client() as browser:
        for email, password in (("mei@example.org", "not the password"), ("nobody@example.org", PASSWORD)):
            answer = await browser.post("/login", data={"email": email, "password": password}, headers=OURS)
            assert (answer.status_code, WRONG in answer.text) == (403, True)
            assert "set-cookie" not in answer.headers


async def test_a_thousand_tries_find_no_hearing_and_lock_nobody_out_for_good(light: House) -> None:
    """From addresses that are forged, as far as a header can, and from real ones."""
    await light.user(Role.ADMIN)
    async with light.client() as owner:
        await light.sign_in(owner)
        heard = 0
        for n in range(1000):
            real = f"203.0.113.{n % 250}"
            async with light.client(address=real, **{"x-forwarded-for": f"10.{n % 200}.{n % 7}.9"}) as eve:
                typed = {"email": "mei@example.org", "password": f"guess number {n}"}
                heard += (await eve.post("/login", data=typed, headers=OURS)).status_code == 403
        assert heard <= FREE_PER_ACCOUNT + 8
        async with light.client(address="203.0.113.1") as elsewhere:
            typed = {"email": "mei@example.org", "password": PASSWORD}
            answer = await elsewhere.post("/login", data=typed, headers=OURS)
            assert (answer.status_code, int(answer.headers["retry-after"]) <= LONGEST_WAIT + 1) == (429, True)
        # The owner's own browser is not kept waiting by what others do.
        owner.cookies.delete("statuswire")
        await light.sign_in(owner)


async def test_the_wait_grows_and_ends(database: Database) -> None:
    wait = wait_of(FREE_PER_ACCOUNT)
    assert [wait(n) for n in range(FREE_PER_ACCOUNT - 1, FREE_PER_ACCOUNT + 4)] == [0, 1, 2, 4, 8]
    assert wait(10_000) == LONGEST_WAIT

    async def take(seconds: float) -> float:
        async with database.writing() as transaction:
            return await tries.take(transaction, "account/mei", after(seconds), wait)

    assert [await take(0) for _ in range(FREE_PER_ACCOUNT)] == [0.0] * FREE_PER_ACCOUNT
    assert [await take(0.5), await take(0.5)] == [0.5, 0.5]
    assert await take(1) == 0.0
    assert await take(1) == 2.0
    later = 3 + tries.FORGOTTEN.total_seconds() + 1
    assert [await take(later) for _ in range(FREE_PER_ACCOUNT)] == [0.0] * FREE_PER_ACCOUNT


async def offered(browser: httpx.AsyncClient) -> tuple[str, str]:
    """The seed of a second factor, and as it is sealed in the form."""
    page = (await browser.get("/account")).text
    seed, sealed = (
        re.search(pattern, page)[1]  # type: ignore[index]
        for pattern in (r'class="seed">(\w+)<', r'name="seed" value="([^"]+)"')
    )
    return seed, sealed


async def test_a_code_is_good_once(light: House, mei: httpx.AsyncClient) -> None:
    seed, sealed = await offered(mei)
    assert (
        "code is wrong"
        in (await submit(mei, "/account/second-factor", seed=sealed, code="000000", password=PASSWORD)).text
    )
    now = light.server.hub.now()
    step = int(now.timestamp()) // second_factor.EVERY
    code, next_code = (pyotp.TOTP(seed).generate_otp(each) for each in (step, step + 1))
    assert (
        await submit(mei, "/account/second-factor", seed=sealed, code=code, password=PASSWORD)
    ).status_code == 303
    assert seed not in str(await rows(light.server.changes.database, "SELECT * FROM users"))
    typed = {"email": "mei@example.org", "password": PASSWORD}
    async with light.client(address="203.0.113.50") as browser:
        for given, status in (("", 403), (code, 403), (next_code, 303), (next_code, 403)):
            answer = await browser.post("/login", data={**typed, "code": given}, headers=OURS)
            assert answer.status_code == status, given


async def enrol(
    house: House, browser: httpx.AsyncClient, steps: int = 0, present: str = "", **typed: str
) -> httpx.Response:
    """A new app, by a code of that many steps from now on, and one of the `present` app's."""
    seed, sealed = await offered(browser)
    step = int(house.server.hub.now().timestamp()) // second_factor.EVERY + steps
    code = pyotp.TOTP(seed).generate_otp(step)
    old = {"present_code": pyotp.TOTP(present).generate_otp(step)} if present else {}
    answer = await submit(browser, "/account/second-factor", seed=sealed, code=code, **old, **typed)
    answer.extensions["seed"] = seed
    return answer


async def test_who_finds_a_browser_open_puts_no_app_of_theirs_in_the_owners_place(
    light: House, mei: httpx.AsyncClient
) -> None:
    kept = "SELECT totp FROM users"
    for typed in ({}, {"password": "guessed"}):
        answer = await enrol(light, mei, **typed)
        assert (answer.status_code, "The password is wrong." in answer.text) == (422, True)
    assert await rows(light.server.changes.database, kept) == [{"totp": None}]
    assert (await enrol(light, mei, password=PASSWORD)).status_code == 303
    mine = await rows(light.server.changes.database, kept)
    assert "To move to another app" in (await mei.get("/account")).text
    for typed in ({}, {"password": "guessed"}):
        assert (await enrol(light, mei, **typed)).status_code == 422
    assert await rows(light.server.changes.database, kept) == mine
    assert (await enrol(light, mei, password=PASSWORD)).status_code == 303
    assert await rows(light.server.changes.database, kept) != mine
    tried = [(await enrol(light, mei, password="guessed")).status_code for _ in range(FREE_PER_ACCOUNT + 1)]
    assert tried == [422] * FREE_PER_ACCOUNT + [429]


async def test_who_signs_in_elsewhere_moves_to_another_app_by_a_code_of_the_present_one(
    light: House, mei: httpx.AsyncClient
) -> None:
    async with light.server.changes.database.writing() as transaction:
        await transaction.execute("UPDATE users SET password = NULL")
    first = await enrol(light, mei)
    assert first.status_code == 303
    present = first.extensions["seed"]
    for old in ("", pyotp.random_base32()):
        answer = await enrol(light, mei, present=old, password=PASSWORD)
        assert (answer.status_code, "present app is wrong" in answer.text) == (422, True)
    # That code was used when it was enrolled.
    assert (await enrol(light, mei, present=present)).status_code == 422
    assert (await enrol(light, mei, steps=1, present=present)).status_code == 303


async def test_a_seed_that_was_offered_to_somebody_else_is_none(light: House, mei: httpx.AsyncClient) -> None:
    await light.user(Role.VIEWER, "eve@example.org")
    async with light.client() as eve:
        await light.sign_in(eve, "eve@example.org")
        seed, sealed = await offered(eve)
    code = pyotp.TOTP(seed).at(light.server.hub.now())
    answer = await submit(mei, "/account/second-factor", seed=sealed, code=code, password=PASSWORD)
    assert (answer.status_code, "too old" in answer.text) == (422, True)


async def test_a_form_of_another_site_changes_nothing(light: House, mei: httpx.AsyncClient) -> None:
    page = await mei.get("/account")
    token = form_token(page)
    for headers in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://status.example.evil.example"},
        {"origin": "http://status.example:81"},
        {"sec-fetch-site": "cross-site"},
    ):
        answer = await mei.post("/logout", data={"form_token": token}, headers=headers)
        assert answer.status_code == 403, headers
    for data in ({}, {"form_token": ""}, {"form_token": "0" * 32}):
        assert (await mei.post("/logout", data=data, headers=OURS)).status_code == 403
    assert (await mei.get("/account")).status_code == 200
    evil = {"origin": "https://evil.example"}
    typed = {"email": "mei@example.org", "password": PASSWORD}
    async with light.client() as browser:
        assert (await browser.post("/login", data=typed, headers=evil)).status_code == 403
    # The same by JSON, as a script of ours would send it.
    wall = {"json": {"name": "x"}}
    assert (await mei.post("/v1/walls", **wall, headers=OURS)).status_code == 403  # type: ignore[arg-type]
    ours = {**OURS, "x-form-token": token}
    assert (await mei.post("/v1/walls", **wall, headers=ours)).status_code == 201  # type: ignore[arg-type]


async def test_nothing_is_changed_by_looking(light: House, mei: httpx.AsyncClient) -> None:
    database = light.server.changes.database
    before = await rows(database, "SELECT id FROM audit_log")
    for path in ("/account", "/login", "/setup", "/logout", "/v1/walls", "/"):
        await mei.get(path)
    assert await rows(database, "SELECT id FROM audit_log") == before


async def test_who_is_not_signed_in_is_led_to_the_form_and_back(light: House) -> None:
    await light.user(Role.VIEWER)
    async with light.client() as browser:
        answer = await browser.get("/account", headers={"accept": "text/html"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/login?then=/account")
        assert (await browser.get("/account")).status_code == 401
        typed = {"email": "mei@example.org", "password": PASSWORD}
        for then, goes in (
            ("/account", "/account"),
            ("//evil.example", "/admin"),
            ("https://evil.example", "/admin"),
            ("/\\evil.example", "/admin"),
        ):
            answer = await browser.post("/login", data={**typed, "then": then}, headers=OURS)
            assert answer.headers["location"] == goes


async def test_a_new_password_ends_all_other_sessions(light: House, mei: httpx.AsyncClient) -> None:
    async with light.client(address="203.0.113.8") as other:
        await light.sign_in(other)
        answer = await submit(mei, "/account/password", old="wrong", new="another long one")
        assert (answer.status_code, "present password is wrong" in answer.text) == (422, True)
        answer = await submit(mei, "/account/password", old=PASSWORD, new="another long one")
        assert answer.status_code == 201 or answer.status_code == 200
        assert (await other.get("/account")).status_code == 401
    assert (await mei.get("/account")).status_code == 200


async def test_who_may_do_less_or_signs_out_is_out(light: House, mei: httpx.AsyncClient) -> None:
    async with light.client(await light.token("admin")) as admin:
        [user] = (await admin.get("/v1/users")).json()["items"]
        assert (await mei.get("/v1/walls")).status_code == 200
        await admin.patch(f"/v1/users/{user['id']}", json={"role": "viewer"})
        ours = {**OURS, "x-form-token": form_token(await mei.get("/account"))}
        assert (await mei.post("/v1/walls", json={"name": "x"}, headers=ours)).status_code == 403
    assert (await submit(mei, "/logout")).headers["location"] == "/"
    assert (await mei.get("/account")).status_code == 401


async def test_a_session_ends_when_it_is_idle_and_when_it_is_old(
    light: House, mei: httpx.AsyncClient
) -> None:
    [row] = await rows(light.server.changes.database, "SELECT * FROM sessions")
    began = from_ms(row["created"])
    async with light.server.changes.database.reading() as transaction:
        for later, there in ((timedelta(hours=11), True), (timedelta(hours=13), False)):
            found = await sessions.find_session(transaction, row["hash"], began + later)
            assert (found is not None) is there
    async with light.server.changes.database.writing() as transaction:
        await sessions.see_session(transaction, row["id"], began + timedelta(days=8))
        assert await sessions.find_session(transaction, row["hash"], began + timedelta(days=8)) is None


async def test_who_signs_in_is_told_what_is_wrong_in_their_language(light: House) -> None:
    await light.user(Role.VIEWER)
    async with light.client(**{"accept-language": "fr"}) as browser:
        asked = await browser.get("/login?then=/p/staff&lang=ar")
        assert '<html lang="ar" dir="rtl">' in asked.text and 'action="/login?lang=ar"' in asked.text
        typed = {"email": "mei@example.org", "password": "not hers", "then": "/p/staff"}
        wrong = await browser.post("/login?lang=de", data=typed, headers=OURS)
        assert "Die Adresse, das Passwort oder der Code ist falsch." in wrong.text
        for _ in range(FREE_PER_ACCOUNT + 1):
            wrong = await browser.post("/login", data=typed, headers=OURS)
        assert wrong.status_code == 429
        assert "Trop d" in wrong.text and 'value="/p/staff"' in wrong.text
