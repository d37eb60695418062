"""A provider leads the server nowhere that the gate does not let it: whatever it names as its own address,
its keys' or its tokens', and wherever it redirects, to what is forbidden not one connection is made."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from app.config import Provider
from app.security.egress import Egress, Policy
from app.security.oidc import NotProven, OpenId, _Metadata, _Tokens
from app.security.secrets import Secrets
from tests.targets import Target, farewell, listening, serving_names
from tests.test_egress_ways import Sentinels, sentinels

NAMES = {"inside.test": ["A 127.0.0.1"], "metadata.test": ["A 169.254.169.254"], "any.test": ["A 0.0.0.0"]}
FORBIDDEN = (
    *("127.0.0.1", "[::1]", "inside.test", "0.0.0.0", "any.test", "2130706433"),
    *("169.254.169.254", "metadata.test", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "100.100.100.200"),
)

Answers = Callable[[str, str], tuple[str, object]]


@asynccontextmanager
async def provider(answers: Answers) -> AsyncIterator[tuple[Target, Sentinels, OpenId]]:
    """On this machine, with the sentinels for a part of ours that nobody may be led to. `answers` has the
    head and the body, by the path that is asked for and where the provider is."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        line, body = answers(head.split(b" ")[1].decode(), f"http://{target.place}")
        encoded = msgspec.json.encode(body)
        writer.write(f"HTTP/1.1 {line}\r\nContent-Length: {len(encoded)}\r\n\r\n".encode() + encoded)
        await farewell(writer)

    async with sentinels() as sentinel, listening(behave) as target, serving_names(dict(NAMES)) as zone:
        own = tuple((host, sentinel.port) for host in ("127.0.0.1", "::1"))
        egress = Egress(Policy(private=True, own=own), nameservers=[zone.place])
        given = Provider(issuer=f"http://{target.place}", client="c", secret="s", role="")
        try:
            yield target, sentinel, OpenId(given, egress, Secrets(["k" * 32]))
        finally:
            await egress.close()


def metadata(home: str, **other: str) -> dict[str, str]:
    names = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint")
    return {"issuer": home, **{name: f"{home}/{name}" for name in names}, **other}


async def sign_in(openid: OpenId) -> None:
    """As far as it goes."""
    begun, sealed = await openid.begin("https://status.example/back", "/")
    [state] = parse_qs(urlsplit(begun).query)["state"]
    await openid.finish("code", state, sealed, "https://status.example/back")


@pytest.mark.parametrize("place", ["token_endpoint", "jwks_uri"])
async def test_what_a_provider_names_as_its_own_is_asked_through_the_gate(place: str) -> None:
    leads = [""]

    def answers(path: str, home: str) -> tuple[str, object]:
        if path.startswith("/.well-known"):
            return "200 OK", metadata(home, **{place: leads[0]})
        return "200 OK", {"id_token": "a.b.c"}

    async with provider(answers) as (target, sentinel, openid):
        for host in FORBIDDEN:
            openid._metadata = None
            leads[0] = f"http://{host}:{sentinel.port}/x"
            with pytest.raises(NotProven, match="does not answer as it should"):
                await sign_in(openid)
        assert len(target.visits) >= len(FORBIDDEN)
        assert await sentinel.has_seen_only_us()


async def test_a_provider_at_a_forbidden_address_is_not_asked() -> None:
    async with provider(lambda path, home: ("200 OK", {})) as (_, sentinel, openid):
        for host in FORBIDDEN:
            openid._provider = Provider(
                issuer=f"http://{host}:{sentinel.port}", client="c", secret="s", role=""
            )
            with pytest.raises(NotProven, match="does not answer as it should"):
                await openid.begin("https://status.example/back", "/")
            there = _Metadata("i", "a", "t", "j", f"http://{host}:{sentinel.port}/u")
            with pytest.raises(NotProven, match="does not answer as it should"):
                await openid._ask_more(there, _Tokens("a.b.c"), "mei")
        assert await sentinel.has_seen_only_us()


@pytest.mark.parametrize("code", [301, 302, 307, 308])
@pytest.mark.parametrize("place", ["/.well-known", "/token_endpoint", "/jwks_uri"])
async def test_no_redirect_of_a_provider_is_followed(code: int, place: str) -> None:
    leads = [""]

    def answers(path: str, home: str) -> tuple[str, object]:
        if path.startswith(place):
            return f"{code} Elsewhere\r\nLocation: {leads[0]}", {}
        return "200 OK", metadata(home) if path.startswith("/.well-known") else {"id_token": "a.b.c"}

    async with provider(answers) as (_, sentinel, openid):
        for host in ("127.0.0.1", "0.0.0.0", "169.254.169.254"):
            leads[0] = f"http://{host}:{sentinel.port}/latest/meta-data"
            with pytest.raises(NotProven, match=f"refuses: it answered {code}"):
                await sign_in(openid)
        assert await sentinel.has_seen_only_us()
