"""http: who we say we are, what we send, and which way it goes."""

import asyncio
import base64
import ssl
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import trustme

from app.domain.monitor import Expect, Monitor
from app.domain.result import Result
from app.security.egress import Egress, Policy
from tests.targets import (
    OK,
    Behaviour,
    asking,
    farewell,
    listening,
    redirect,
    repeating,
    response,
    saying,
    serving_names,
    silent,
    verdict,
)
from workers.probes import Probes
from workers.probes.equipment import Equipment

ENVIRON = {"PASSWORD": "correct horse", "TOKEN": "t0ken-of-ours", "SECRET": "cl1ent-secret", "ID": "me:too"}


async def look(probes: Probes, url: str, timeout: float = 1.0, key: str = "m", **words: object) -> Result:
    expect = words.pop("expect", {})
    monitor = Monitor(
        key=key,
        kind="http",
        target=url,
        timeout=timeout,
        options=words,
        expect=Expect(**expect),  # type: ignore[arg-type]
    )
    return await probes.probe(monitor)


class Requests:
    """A server that keeps what it was sent, and answers as it is told to."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers) or [OK]
        self.seen: list[tuple[str, bytes]] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((line[16:] for line in head.splitlines() if line.startswith("Content-Length: ")), "0")
        self.seen.append((head, await reader.readexactly(int(length))))
        writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
        await farewell(writer)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_every_method_is_asked_with(probes: Probes, method: str) -> None:
    async with listening(server := Requests()) as target:
        assert verdict(await look(probes, target.url, method=method)) == ("ok", "")
    assert server.seen[0][0].startswith(f"{method} / HTTP/1.1\r\n")


async def test_a_body_is_sent_whole_and_its_variables_are_filled(probes: Probes) -> None:
    async with listening(server := Requests()) as target:
        headers = {"Content-Type": "application/json"}
        sent = '{"token": "${TOKEN}", "ü": "' + "x" * 50_000 + '"}'
        for _ in range(2):
            result = await look(probes, target.url, method="POST", headers=headers, send=sent)
            assert verdict(result) == ("ok", "")
    assert [body.decode() for _, body in server.seen] == [sent.replace("${TOKEN}", "t0ken-of-ours")] * 2
    assert "\r\nContent-Type: application/json\r\n" in server.seen[0][0]


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        (
            {"basic": {"user": "probe", "password": "${PASSWORD}"}},
            "Basic " + base64.b64encode(b"probe:correct horse").decode(),
        ),
        ({"bearer": "${TOKEN}"}, "Bearer t0ken-of-ours"),
    ],
    ids=["basic", "bearer"],
)
async def test_we_say_who_we_are(probes: Probes, auth: dict[str, object], header: str) -> None:
    async with listening(server := Requests()) as target:
        assert verdict(await look(probes, target.url, auth=auth)) == ("ok", "")
    assert f"\r\nAuthorization: {header}\r\n" in server.seen[0][0]


async def test_a_password_that_is_not_set_is_our_fault(probes: Probes) -> None:
    result = await look(probes, "http://127.0.0.1:1/", auth={"bearer": "${NOT_SET}"})
    assert verdict(result) == ("inconclusive", "worker") and "NOT_SET" in result.detail


TOKEN = b'{"access_token": "fresh-%d", "token_type": "Bearer", "expires_in": 3600}'


async def test_a_token_is_fetched_once_and_kept(probes: Probes) -> None:
    tokens, server = Requests(response(TOKEN % 1), response(TOKEN % 2)), Requests()
    async with listening(tokens) as login, listening(server) as target:
        auth = {
            "oauth2": {
                "url": f"{login.url}/token",
                "client": "${ID}",
                "secret": "${SECRET}",
                "scope": "read all",
            }
        }
        for _ in range(2):
            assert verdict(await look(probes, target.url, auth=auth)) == ("ok", "")
        server.answers = [response(b"fresh-1", "401 Unauthorized"), OK]
        refused = await look(probes, target.url, auth=auth)
        assert verdict(refused) == ("fail", "status 401")
        assert verdict(await look(probes, target.url, auth=auth)) == ("ok", "")
    assert len(tokens.seen) == 2
    head, form = tokens.seen[0]
    assert head.startswith("POST /token HTTP/1.1\r\n")
    assert f"\r\nAuthorization: Basic {base64.b64encode(b'me:too:cl1ent-secret').decode()}\r\n" in head
    assert parse_qs(form.decode()) == {"grant_type": ["client_credentials"], "scope": ["read all"]}
    said = [head.partition("Authorization: ")[2].partition("\r\n")[0] for head, _ in server.seen]
    assert said == ["Bearer fresh-1", "Bearer fresh-1", "Bearer fresh-1", "Bearer fresh-2"]


@pytest.mark.parametrize("lives", [b"", b', "expires_in": "3600"', b', "expires_in": null'])
async def test_how_long_a_token_lives_may_be_written_as_text_or_not_at_all(
    probes: Probes, lives: bytes
) -> None:
    tokens = Requests(response(b'{"access_token": "a"' + lives + b"}"))
    async with listening(tokens) as login, listening(Requests()) as target:
        auth = {"oauth2": {"url": login.url, "client": "me", "secret": "${SECRET}"}}
        for _ in range(2):
            assert verdict(await look(probes, target.url, auth=auth)) == ("ok", "")
    assert len(tokens.seen) == 1


async def test_a_slow_token_is_not_the_targets_time(probes: Probes) -> None:
    tokens = saying(b"", response(TOKEN % 1), pause=0.2)
    async with listening(tokens) as login, listening(Requests()) as target:
        auth = {"oauth2": {"url": login.url, "client": "me", "secret": "${SECRET}"}}
        result = await look(probes, target.url, auth=auth, expect={"slower_than": 0.15})
    assert verdict(result) == ("ok", "")


NO_TOKEN: dict[str, Behaviour] = {
    "refused": saying(response(b"cl1ent-secret", "403 Forbidden")),
    "no json": saying(response(b"<html>cl1ent-secret")),
    "another json": saying(response(b'{"error": "cl1ent-secret"}')),
    "no header": saying(response(b'{"access_token": "a\\r\\nX-Evil: 1"}')),
    "garbage": saying(b"\x00\x01\r\n\r\n"),
    "closed": saying(),
}


@pytest.mark.parametrize("behave", NO_TOKEN.values(), ids=list(NO_TOKEN))
async def test_without_a_token_the_target_is_not_asked(probes: Probes, behave: Behaviour) -> None:
    async with listening(behave) as login, listening(silent) as target:
        auth = {"oauth2": {"url": login.url, "client": "me", "secret": "${SECRET}"}}
        result = await look(probes, target.url, auth=auth)
        assert target.visits == []
    assert verdict(result) == ("unreachable", "auth")
    assert "cl1ent-secret" not in repr(result) and result.detail.endswith(".")


@pytest.mark.parametrize("endless", [silent, repeating(b"HTTP/1.1 200 OK\r\n\r\n", b"x", 0.05)])
async def test_a_token_that_never_comes_ends_with_the_probe(probes: Probes, endless: Behaviour) -> None:
    async with listening(endless) as login, listening(silent) as target:
        auth = {"oauth2": {"url": login.url, "client": "me", "secret": "${SECRET}"}}
        result = await look(probes, target.url, timeout=0.3, auth=auth)
    assert result.reason == "timeout" and result.outcome != "ok"


async def test_tokens_are_fetched_through_the_gate() -> None:
    async with listening(silent) as sentinel, listening(silent) as target:
        probes = Probes(
            Equipment(Egress(Policy(own=(("127.0.0.1", sentinel.port),))), environ=ENVIRON),
        )
        auth = {"oauth2": {"url": sentinel.url, "client": "me", "secret": "${SECRET}"}}
        result = await look(probes, target.url, auth=auth)
        assert verdict(result) == ("inconclusive", "not permitted")
        assert sentinel.visits == target.visits == []
        await probes.close()


@pytest.mark.parametrize(
    ("redirects", "hops", "answer"),
    [
        (0, 1, ("ok", "")),
        (1, 1, ("ok", "")),
        (1, 2, ("fail", "redirects")),
        (7, 7, ("ok", "")),
        (7, 8, ("fail", "redirects")),
    ],
)
async def test_as_many_redirects_are_followed_as_are_allowed(
    probes: Probes, redirects: int, hops: int, answer: tuple[str, str]
) -> None:
    def step(head: str) -> bytes:
        at = int(head.split()[1][1:] or 0)
        return OK if at == hops else redirect(f"/{at + 1}")

    async with listening(asking(step)) as target:
        assert verdict(await look(probes, f"{target.url}/0", redirects=redirects)) == answer
        assert len(target.visits) == min(redirects, hops) + 1


async def test_what_is_sent_goes_to_no_other_origin(probes: Probes) -> None:
    async with listening(other := Requests()) as elsewhere:
        moved = redirect(elsewhere.url, "307 Temporary Redirect")
        async with listening(Requests(moved)) as target:
            result = await look(probes, target.url, method="POST", send="${TOKEN}")
        assert verdict(result) == ("fail", "redirects")
        async with listening(Requests(redirect("/there", "308 Permanent Redirect"), OK)) as target:
            assert verdict(await look(probes, target.url, method="POST", send="${TOKEN}")) == ("ok", "")
    assert other.seen == []


@pytest.mark.parametrize(
    ("size", "answer"),
    [([2, 2], ("ok", "")), ([3, 9], ("fail", "size")), ([0, 1], ("fail", "size"))],
)
async def test_the_size_of_the_body_is_as_expected(
    probes: Probes, size: list[int], answer: tuple[str, str]
) -> None:
    async with listening(saying(OK)) as target:
        assert verdict(await look(probes, target.url, size=size)) == answer


async def test_a_body_beyond_what_is_read_is_too_large_for_any_size(probes: Probes) -> None:
    async with listening(saying(response(b"x" * ((1 << 20) + 1)))) as target:
        result = await look(probes, target.url, size=[0, 1 << 20])
    assert verdict(result) == ("fail", "size") and "larger than 1 MiB" in result.detail


# Files


def mutual(server: trustme.LeafCert, clients: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.configure_cert(context)
    clients.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


async def test_a_certificate_of_ours_is_shown_to_a_server_that_asks(
    probes: Probes, ca: trustme.CA, tmp_path: Path
) -> None:
    clients = trustme.CA()
    ours = clients.issue_cert("statuswire.example")
    both, certificate, key = (tmp_path / name for name in ("both.pem", "certificate.pem", "key.pem"))
    ours.private_key_and_cert_chain_pem.write_to_path(both)
    ours.cert_chain_pems[0].write_to_path(certificate)
    ours.private_key_pem.write_to_path(key)
    async with listening(saying(OK), tls=mutual(ca.issue_cert("localhost"), clients)) as target:
        url = f"https://localhost:{target.port}/"
        assert verdict(await look(probes, url, certificate=str(both))) == ("ok", "")
        words = {"certificate": str(certificate), "certificate_key": str(key)}
        assert verdict(await look(probes, url, **words)) == ("ok", "")
        without = await look(probes, url)
        assert without.outcome == "fail" and without.reason in ("tls", "reset", "closed")


async def test_an_authority_of_ones_own_is_trusted_and_read_again_when_it_changes(
    probes: Probes, tmp_path: Path
) -> None:
    own, other = trustme.CA(), trustme.CA()
    file = tmp_path / "ca.pem"
    other.cert_pem.write_to_path(file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.issue_cert("localhost").configure_cert(context)
    async with listening(saying(OK), tls=context) as target:
        url = f"https://localhost:{target.port}/"
        assert verdict(await look(probes, url)) == ("fail", "certificate")
        assert verdict(await look(probes, url, ca=str(file))) == ("fail", "certificate")
        own.cert_pem.write_to_path(file)
        assert verdict(await look(probes, url, ca=str(file))) == ("ok", "")


@pytest.mark.parametrize("content", [None, "no PEM at all", "encrypted"])
async def test_files_that_cannot_be_read_are_our_fault(
    probes: Probes, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "it.pem"
    if content == "encrypted":
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        file.write_bytes(
            ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"password"),
            )
        )
    elif content is not None:
        file.write_text(content)
    for word in ("ca", "certificate"):
        async with listening(silent) as target:
            result = await look(probes, f"https://{target.place}/", **{word: str(file)})
        assert verdict(result) == ("inconclusive", "worker") and str(file) in result.detail


async def test_another_origin_is_not_shown_our_certificate(
    probes: Probes, ca: trustme.CA, tmp_path: Path
) -> None:
    clients = trustme.CA()
    both = tmp_path / "both.pem"
    clients.issue_cert("statuswire.example").private_key_and_cert_chain_pem.write_to_path(both)
    shown: list[object] = []

    async def curious(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown.append(writer.get_extra_info("peercert"))
        await saying(OK)(reader, writer)

    context = mutual(ca.issue_cert("127.0.0.1"), clients)
    context.verify_mode = ssl.CERT_OPTIONAL
    async with listening(curious, tls=context) as other:
        moved = redirect(f"https://127.0.0.1:{other.port}/")
        async with listening(saying(moved), tls=mutual(ca.issue_cert("localhost"), clients)) as target:
            url = f"https://localhost:{target.port}/"
            assert verdict(await look(probes, url, certificate=str(both))) == ("ok", "")
            assert verdict(await look(probes, f"https://{other.place}/", certificate=str(both))) == ("ok", "")
    assert [bool(each) for each in shown] == [False, True]


# Proxies


CONNECTED = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n"


def proxying(seen: list[str], answer: bytes = CONNECTED) -> Behaviour:
    """A proxy that knows CONNECT."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        seen.append(head)
        writer.write(answer)
        if b" 200 " not in answer:
            return await farewell(writer)
        host, _, port = head.split()[1].rpartition(":")
        upstream, up = await asyncio.open_connection(host.strip("[]"), int(port))

        async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()

        try:
            await asyncio.wait(
                [asyncio.create_task(carry(reader, up)), asyncio.create_task(carry(upstream, writer))],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            up.transport.abort()

    return behave


async def test_a_proxy_is_told_the_judged_address_and_no_secret(probes: Probes, ca: trustme.CA) -> None:
    seen: list[str] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    async with (
        listening(proxying(seen)) as proxy,
        listening(server := Requests()) as plain,
        listening(saying(OK), tls=context) as secure,
    ):
        words = {"proxy": proxy.url, "auth": {"bearer": "${TOKEN}"}}
        result = await look(probes, f"http://localhost:{plain.port}/a", ip="4", **words)
        assert verdict(result) == ("ok", "") and result.address == "127.0.0.1"
        result = await look(probes, f"https://localhost:{secure.port}/", ip="4", **words)
        assert verdict(result) == ("ok", "") and result.phases.tls is not None
        assert result.certificate_until is not None
    assert seen[0].startswith(f"CONNECT 127.0.0.1:{plain.port} HTTP/1.1\r\nHost: 127.0.0.1:{plain.port}\r\n")
    assert "t0ken" not in "".join(seen)
    assert (
        server.seen[0][0].startswith("GET /a HTTP/1.1\r\n")
        and f"Host: localhost:{plain.port}" in server.seen[0][0]
    )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 403 Forbidden t0ken-of-ours\r\n\r\n", "proxy"),
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "proxy"),
        (b"SSH-2.0-OpenSSH\r\n", "proxy"),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "proxy"),
        (b"", "closed"),
    ],
)
async def test_a_proxy_that_does_not_lead_there_is_no_way(probes: Probes, answer: bytes, reason: str) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await farewell(writer)

    async with listening(behave) as proxy, listening(silent) as target:
        words = {"proxy": proxy.url, "auth": {"bearer": "${TOKEN}"}}
        result = await look(probes, target.url, **words)
    assert verdict(result) in (("unreachable", reason), ("fail", reason)) and "t0ken" not in repr(result)


async def test_a_proxy_is_told_who_we_are_and_the_target_is_not(probes: Probes) -> None:
    seen: list[str] = []
    async with listening(proxying(seen)) as proxy, listening(server := Requests()) as target:
        who = {"user": "us", "password": "${PASSWORD}"}
        assert verdict(await look(probes, target.url, proxy=proxy.url, proxy_auth=who)) == ("ok", "")
    said = base64.b64encode(b"us:correct horse").decode()
    assert f"\r\nProxy-Authorization: Basic {said}\r\n\r\n" in seen[0]
    assert said not in server.seen[0][0] and "Proxy" not in server.seen[0][0]


async def test_what_is_forbidden_stays_so_through_a_proxy() -> None:
    seen: list[str] = []
    async with listening(silent) as sentinel, listening(proxying(seen)) as proxy:
        probes = Probes(Equipment(Egress(Policy(own=(("127.0.0.1", sentinel.port),)))))
        for target, through in (
            (sentinel.url, proxy.url),
            ("http://169.254.169.254/", proxy.url),
            ("http://127.0.0.1:1/", sentinel.url),
        ):
            assert verdict(await look(probes, target, proxy=through)) == ("inconclusive", "not permitted")
        async with listening(saying(redirect("http://169.254.169.254/"))) as target:
            result = await look(probes, target.url, proxy=proxy.url)
            assert verdict(result) == ("inconclusive", "not permitted")
        await probes.close()
        assert sentinel.visits == [] and [head.split()[1] for head in seen] == [target.place]


@pytest.mark.parametrize("proxy", ["http://[::1", "${SECRET}", "http://a:99999/", "https://a/"])
async def test_a_proxy_that_is_no_url_is_our_fault(probes: Probes, proxy: str) -> None:
    result = await look(probes, "http://127.0.0.1:1/", proxy=proxy)
    assert verdict(result) == ("inconclusive", "worker") and "cl1ent" not in repr(result)


async def test_a_silent_proxy_ends_with_the_probe(probes: Probes) -> None:
    async with listening(silent) as proxy:
        result = await look(probes, "http://127.0.0.1:1/", timeout=0.3, proxy=proxy.url)
    assert verdict(result) == ("unreachable", "timeout")


# Families


async def test_one_family_or_both_are_asked() -> None:
    async with serving_names({"site.test": ["A 127.0.0.1", "AAAA ::1"], "old.test": ["A 127.0.0.1"]}) as zone:
        probes = Probes(Equipment(Egress(nameservers=[zone.place])))
        async with listening(saying(OK)) as four, listening(saying(OK), host="::1", port=four.port) as six:
            for family, visits in (("4", (1, 0)), ("6", (1, 1)), ("both", (2, 2))):
                result = await look(probes, f"http://site.test:{four.port}/", ip=family)
                assert verdict(result) == ("ok", "")
                assert (len(four.visits), len(six.visits)) == visits
                assert result.address == ("127.0.0.1" if family == "4" else "::1")
            for family in ("6", "both"):
                result = await look(probes, f"http://old.test:{four.port}/", ip=family)
                assert verdict(result) == ("unreachable", "dns")
                assert result.detail == "old.test has no IPv6 address."
        async with listening(saying(OK)) as four:
            result = await look(probes, f"http://site.test:{four.port}/", ip="both")
            assert verdict(result) == ("unreachable", "refused") and "[::1]" in result.detail
        await probes.close()


async def test_words_of_a_newer_server_are_our_fault(probes: Probes) -> None:
    result = await look(probes, "http://127.0.0.1:1/", telepathy=True)
    assert verdict(result) == ("inconclusive", "worker") and "may be older than the config" in result.detail
