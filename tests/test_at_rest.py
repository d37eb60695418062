"""Whoever finds a copy of the database has nothing by it: what is secret stands in no byte of it."""

import re
from pathlib import Path

import httpx
import pyotp
import pytest

from app.config import Config
from app.console import rotate_secrets
from app.db.engine import Database
from app.db.heartbeats import kept_secret
from app.domain.people import Role
from app.security.heartbeats import read_secret, token_of
from app.security.scopes import ADMIN
from app.security.second_factor import EVERY
from app.security.secrets import Secrets, Unreadable
from tests.people import CONSOLE, HOME, PASSWORD, House

pytest_plugins = ["tests.databases"]

OLD, NEW = "o" * 32, "n" * 32


def contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.name.startswith("statuswire.db"))


async def enrolled(house: House, browser: httpx.AsyncClient) -> str:
    """The seed of a second factor that is asked for from now on."""
    page = (await browser.get("/account")).text
    seed, sealed, token = (
        re.search(pattern, page)[1]  # type: ignore[index]
        for pattern in (
            r'class="seed">(\w+)<',
            r'name="seed" value="([^"]+)"',
            r'name="form_token" value="(\w+)"',
        )
    )
    code = pyotp.TOTP(seed).at(house.server.hub.now())
    typed = {"seed": sealed, "code": code, "password": PASSWORD, "form_token": token}
    answer = await browser.post("/account/second-factor", data=typed, headers={"origin": HOME})
    assert answer.status_code == 303, answer.text
    return seed


async def test_a_copy_of_the_database_opens_nothing(sqlite_database: Database, tmp_path: Path) -> None:
    house = House(sqlite_database, tmp_path)
    await house.user(Role.ADMIN)
    token = await house.token(ADMIN)
    once, again = {"idempotency-key": "once"}, {"idempotency-key": "again"}
    async with house.client() as browser, house.client(token) as client:
        await house.sign_in(browser)
        made = await client.post("/v1/tokens", json={"name": "x", "scopes": [ADMIN]}, headers=once)
        wall = await client.post("/v1/walls", json={"name": "x"}, headers=again)
        secret = await read_secret(sqlite_database, house.server.secrets)
        secrets = {
            "the password": PASSWORD,
            "the session": browser.cookies["statuswire"],
            "the second factor": await enrolled(house, browser),
            "the token": token.rpartition("_")[2],
            "a token in an answer that is kept": made.json()["token"].rpartition("_")[2],
            "a wall in an answer that is kept": wall.json()["path"].rpartition("_")[2],
            "what heartbeats are known by": secret.hex(),
            "a heartbeat": token_of(secret, "job/push"),
        }
    kept = contents(tmp_path)
    assert b"mei@example.org" in kept
    assert [name for name, text in secrets.items() if text.encode() in kept] == []


async def test_a_key_is_changed_and_the_old_one_opens_nothing_any_more(
    database: Database, prepared_url: str
) -> None:
    """And what an older server has kept open is sealed at the next start."""
    async with database.writing() as transaction:
        await kept_secret(transaction, "a" * 64)
    assert await read_secret(database, Secrets([OLD])) == bytes.fromhex("a" * 64)
    given = {"STATUSWIRE_SECRET_KEY": f"{NEW},{OLD}", "DATABASE_URL": prepared_url}
    assert await rotate_secrets(Config.read(given), CONSOLE) == (1, 0)
    assert await read_secret(database, Secrets([NEW])) == bytes.fromhex("a" * 64)
    with pytest.raises(Unreadable):
        await read_secret(database, Secrets([OLD]))


async def test_what_is_sealed_for_one_opens_in_no_other_place(
    sqlite_database: Database, tmp_path: Path
) -> None:
    """Whoever may write to the database signs in as nobody by copying what they know."""
    house = House(sqlite_database, tmp_path)
    await house.user(Role.ADMIN)
    await house.user(Role.VIEWER, "eve@example.org")
    async with house.client() as browser:
        await house.sign_in(browser, "eve@example.org")
        seed = await enrolled(house, browser)
    async with sqlite_database.writing() as transaction:
        await transaction.execute("UPDATE users SET totp = (SELECT totp FROM users WHERE totp IS NOT NULL)")
    code = pyotp.TOTP(seed).at(house.server.hub.now().timestamp() + EVERY)
    for email, status in (("mei@example.org", 403), ("eve@example.org", 303)):
        async with house.client() as browser:
            typed = {"email": email, "password": PASSWORD, "code": code}
            answer = await browser.post("/login", data=typed, headers={"origin": HOME})
            assert answer.status_code == status, email


async def test_an_answer_that_is_kept_is_for_its_own_request(
    sqlite_database: Database, tmp_path: Path
) -> None:
    house = House(sqlite_database, tmp_path)
    async with house.client(await house.token(ADMIN)) as client:
        asked = [("/v1/walls", {"name": "x"}, {"idempotency-key": key}) for key in ("one", "two")]
        for path, body, key in asked:
            assert (await client.post(path, json=body, headers=key)).status_code == 201
        async with sqlite_database.writing() as transaction:
            await transaction.execute("UPDATE answers SET answer = (SELECT MIN(answer) FROM answers)")
        again = [(await client.post(path, json=body, headers=key)).status_code for path, body, key in asked]
    assert sorted(again) == [201, 409]
