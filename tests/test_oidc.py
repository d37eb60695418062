"""Signing in at a provider: a real one runs beside the test, and what it signs may be tampered with."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey

from app.config import Config, ConfigError, Provider
from app.db.engine import Database
from app.domain.people import Role
from app.security.egress import Egress, Policy
from app.security.oidc import NotProven, OpenId, _Metadata
from app.security.secrets import Secrets
from tests.people import HOME, House
from tests.rows import rows
from tests.services import Process, free_port, wait_until

pytest_plugins = ["tests.databases"]

MEI, EVE, BEN = "mei-17", "eve-3", "ben-9"
CLAIMS = {
    MEI: {"email": "Mei@example.org", "email_verified": True, "name": "Mei"},
    EVE: {"email": "mei@example.org", "email_verified": False, "name": "Eve"},
    BEN: {"email": "ben@example.org", "email_verified": True, "name": "Ben"},
}


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """In a process of its own: it is not written for those who take warnings for errors."""
    with Process("oidc") as provider:
        url = f"http://localhost:{(port := free_port())}"
        provider.launch([sys.executable, "-m", "oidc_provider_mock", "--port", str(port)])
        wait_until(lambda: knows(url), 20.0, lambda: provider.logs)
        yield url


def knows(url: str) -> bool:
    """Whether it has been told who there is."""
    try:
        return all(httpx.put(f"{url}/users/{sub}", json=its).is_success for sub, its in CLAIMS.items())
    except httpx.TransportError:
        return False


@pytest.fixture
def house(sqlite_database: Database, tmp_path: Path, issuer: str) -> House:
    return at(sqlite_database, tmp_path, issuer)


def at(database: Database, folder: Path, issuer: str, role: str = "none") -> House:
    return House(
        database,
        folder,
        STATUSWIRE_OIDC_ISSUER=issuer,
        STATUSWIRE_OIDC_CLIENT="statuswire",
        STATUSWIRE_OIDC_SECRET="the provider knows it",
        STATUSWIRE_OIDC_ROLE=role,
    )


async def come_back_as(browser: httpx.AsyncClient, sub: str, then: str = "/account") -> str:
    """Through the provider's own form; the path and query to which it sends the browser back."""
    begun = await browser.get("/login/oidc", params={"then": then})
    assert begun.status_code == 303, begun.text
    asked = parse_qs(urlsplit(begun.headers["location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    async with httpx.AsyncClient() as elsewhere:
        answer = await elsewhere.post(begun.headers["location"], data={"sub": sub})
    assert answer.status_code == 302, answer.text
    assert answer.headers["location"].startswith(f"{HOME}/login/oidc/back?")
    return answer.headers["location"].removeprefix(HOME)


async def test_whom_an_admin_has_added_comes_in_and_stays_the_same_person(house: House) -> None:
    user = await house.user(Role.OPERATOR)
    async with house.client() as browser:
        answer = await browser.get(await come_back_as(browser, MEI, then="/v1/walls"))
        assert (answer.status_code, answer.headers["location"]) == (303, "/v1/walls"), answer.text
        assert "mei@example.org" in (await browser.get("/account")).text
    [row] = await rows(house.server.changes.database, "SELECT id, provider FROM users")
    assert row["id"] == user.id
    assert row["provider"].endswith(" mei-17")
    async with house.client() as browser:
        assert (await browser.get(await come_back_as(browser, MEI))).status_code == 303
    assert len(await rows(house.server.changes.database, "SELECT id FROM users")) == 1


async def test_an_address_that_is_not_proven_opens_nobodys_account(house: House) -> None:
    await house.user(Role.ADMIN)
    for sub in (EVE, BEN, "stranger"):
        async with house.client() as browser:
            answer = await browser.get(await come_back_as(browser, sub))
            assert (answer.status_code, 'role="alert"' in answer.text) == (403, True)
            assert (await browser.get("/account")).status_code == 401


async def test_strangers_become_what_the_settings_say(
    sqlite_database: Database, tmp_path: Path, issuer: str
) -> None:
    house = at(sqlite_database, tmp_path, issuer, role="viewer")
    await house.user(Role.ADMIN)
    async with house.client() as browser:
        assert (await browser.get(await come_back_as(browser, BEN))).status_code == 303
        assert "ben@example.org · viewer" in (await browser.get("/account")).text


async def test_what_one_browser_began_no_other_finishes_and_none_twice(house: House) -> None:
    await house.user(Role.VIEWER)
    async with house.client() as browser, house.client() as other:
        back = await come_back_as(browser, MEI)
        await come_back_as(other, MEI)
        assert (await other.get(back)).status_code == 403
        forged = back.replace("state=", "state=x")
        assert (await browser.get(forged)).status_code == 403
        assert (await browser.get(back)).status_code == 303
        assert (await browser.get(back)).status_code == 403


async def test_a_provider_that_does_not_answer_is_a_sentence(
    sqlite_database: Database, tmp_path: Path
) -> None:
    house = at(sqlite_database, tmp_path, "http://localhost:1")
    await house.user(Role.VIEWER)
    async with house.client() as browser:
        answer = await browser.get("/login/oidc")
        assert (answer.status_code, "does not answer as it should" in answer.text) == (502, True)
        assert "Sign in with localhost" in answer.text


NONCE = "the nonce of this sign-in"
METADATA = _Metadata("https://login.example", "https://login.example/a", "https://login.example/t", "k")


@contextmanager
def refusing() -> Iterator[None]:
    with pytest.raises(NotProven):
        yield


async def test_only_what_the_provider_signed_for_us_and_now_is_believed() -> None:
    theirs, another = RSAKey.generate_key(2048), RSAKey.generate_key(2048)
    openid = OpenId(
        Provider("https://login.example", "us", "secret", ""), Egress(Policy()), Secrets(["k" * 32])
    )
    openid._keys = time.monotonic(), KeySet([theirs])
    good = {
        **{"iss": "https://login.example", "aud": "us", "sub": "mei", "nonce": NONCE},
        **{"iat": int(time.time()), "exp": int(time.time()) + 60},
    }

    def signed(key: Any = theirs, alg: str = "RS256", **changed: object) -> str:
        claims = {name: value for name, value in {**good, **changed}.items() if value is not None}
        return jwt.encode({"alg": alg}, claims, key, algorithms=[alg])

    assert (await openid._check(METADATA, signed(), NONCE))["sub"] == "mei"
    assert await openid._check(METADATA, signed(aud=["us", "them"], azp="us"), NONCE)
    for token in (
        signed(another),
        signed(OctKey.generate_key(256), "HS256"),
        signed(aud="them"),
        signed(aud=["us", "them"]),
        signed(aud=["us", "them"], azp="them"),
        signed(iss="https://evil.example"),
        signed(nonce="another"),
        signed(nonce=None),
        signed(exp=int(time.time()) - 120),
        signed(exp=None),
        signed(iat=int(time.time()) + 3600),
        signed(sub=None),
        "e30." + signed().split(".")[1] + ".",
        "eyJhbGciOiJub25lIn0." + signed().split(".")[1] + ".",
        "no token at all",
    ):
        with refusing():
            await openid._check(METADATA, token, NONCE)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"STATUSWIRE_OIDC_ISSUER": "https://login.example"}, "belong together"),
        ({"STATUSWIRE_OIDC_ISSUER": "http://login.example"}, "must begin with https://"),
        ({"STATUSWIRE_OIDC_ROLE": "king"}, "must be one of"),
    ],
)
def test_a_provider_is_named_in_full_and_reached_by_tls(given: dict[str, str], said: str) -> None:
    whole = {"STATUSWIRE_OIDC_CLIENT": "us", "STATUSWIRE_OIDC_SECRET": "s"} if "belong" not in said else {}
    whole = {"STATUSWIRE_OIDC_ISSUER": "https://login.example", **whole} if whole else {}
    with pytest.raises(ConfigError, match=said):
        Config.read({**whole, **given})
