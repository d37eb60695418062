"""http: what a target may do to us, and the honest result of each."""

import asyncio
import gzip
import logging
import socket
import ssl
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache

import httpx
import pytest
import trustme

from app.domain.monitor import Expect, Monitor
from app.domain.result import Outcome, Result
from app.security.egress import Egress, Policy
from tests.targets import (
    OK,
    Behaviour,
    asking,
    black_hole,
    closed_port,
    lengths,
    listening,
    redirect,
    repeating,
    resetting,
    response,
    saying,
    serving_names,
    silent,
    verdict,
)
from workers.probes import Probes
from workers.probes.answer import Answer
from workers.probes.equipment import Equipment
from workers.probes.run import REASONS, Failed, Run
from workers.probes.stream import Certificates, Stream
from workers.probes.transport import Transport, _Reading

ENVIRON = {"TOKEN": "s3cret-t0ken", "BROKEN": "a\r\nX-Evil: 1", "FOREIGN": "ü"}


@pytest.fixture(scope="module")
def tls(ca: trustme.CA) -> ssl.SSLContext:
    return serving_certificate(ca.issue_cert("localhost", "127.0.0.1"))


def serving_certificate(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def monitor(
    url: str,
    timeout: float = 0.5,
    key: str = "web/http",
    options: dict[str, object] | None = None,
    **expect: object,
) -> Monitor:
    return Monitor(
        key=key,
        kind="http",
        target=url,
        timeout=timeout,
        options=options or {},
        expect=Expect(**expect),  # type: ignore[arg-type]
    )


async def look(probes: Probes, behave: Behaviour, timeout: float = 0.5, **expect: object) -> Result:
    """One probe of a target that behaves so, which must be over when its time is."""
    async with listening(behave) as target:
        return await in_time(probes, monitor(f"{target.url}/", timeout, **expect))


async def in_time(probes: Probes, monitor: Monitor) -> Result:
    began = time.perf_counter()
    result = await probes.probe(monitor)
    assert time.perf_counter() - began < monitor.timeout + 0.5
    assert result.reason.startswith("status ") or not result.reason or result.reason in REASONS
    if result.outcome is not Outcome.OK:
        assert result.detail.endswith("."), result.detail
    return result


# A good answer


async def test_a_good_answer_is_ok_with_every_phase_and_the_address(probes: Probes) -> None:
    async with listening(saying(OK)) as target, serving_names({}):
        result = await in_time(probes, monitor(f"http://localhost:{target.port}/health"))
    assert verdict(result) == ("ok", "")
    assert result.address == "127.0.0.1"
    assert result.certificate_until is None
    phases = result.phases
    assert phases.tls is None
    parts = (phases.dns, phases.connect, phases.first_byte)
    assert phases.total is not None and all(part is not None and part > 0 for part in parts)
    assert sum(part or 0.0 for part in parts) <= phases.total < 0.5
    assert abs(result.at - datetime.now(UTC)) < timedelta(seconds=1)


async def test_over_tls_the_certificate_and_its_phase_are_told(probes: Probes, tls: ssl.SSLContext) -> None:
    async with listening(saying(OK), tls=tls) as target:
        result = await in_time(probes, monitor(f"https://localhost:{target.port}/", timeout=1.0))
    assert verdict(result) == ("ok", "")
    assert result.phases.tls is not None and result.phases.tls > 0
    assert result.certificate_until is not None and result.certificate_until > datetime.now(UTC)


async def test_over_tls_too_a_body_may_last_until_the_end(probes: Probes, tls: ssl.SSLContext) -> None:
    """With or without a word of farewell: both are common."""
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    size = 300_000

    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + b"x" * size)
        await writer.drain()
        await asyncio.sleep(0.05)  # then abort(), which says nothing

    for behave in (saying(head + b"x" * size), rude):
        async with listening(behave, tls=tls) as target:
            url = f"https://localhost:{target.port}/"
            result = await in_time(probes, monitor(url, timeout=1.0, body="^x{1000}.*x$"))
        assert verdict(result) == ("ok", "")


async def test_over_ipv6(probes: Probes) -> None:
    async with listening(saying(OK), host="::1") as target:
        result = await in_time(probes, monitor(f"{target.url}/"))
    assert verdict(result) == ("ok", "")
    assert result.address == "::1"


async def test_the_request_is_one_that_servers_expect(probes: Probes) -> None:
    heads: list[str] = []
    async with listening(asking(lambda head: heads.append(head) or OK)) as target:  # type: ignore[func-returns-value]
        await in_time(probes, monitor(f"{target.url}/a%20b?c=d#e"))
        assert heads[0].startswith("GET /a%20b?c=d HTTP/1.1\r\n")
        assert f"\r\nHost: {target.place}\r\n" in heads[0]
        assert "\r\nConnection: close\r\n" in heads[0]


@pytest.mark.parametrize(
    "raw",
    [
        response(status="204 No Content"),
        b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + lengths([b"a", b"bc"]),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;ext=1\r\na\r\n0\r\nTrailer: x\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n\x00\x01",
        OK + b"and more than was promised",
        OK.replace(b"Connection: close\r\n", b"") + OK,
    ],
    ids=lambda raw: raw.decode("latin1").partition("\r\n\r\n")[0][:50],
)
async def test_every_form_of_answer_is_read_to_its_own_end(probes: Probes, raw: bytes) -> None:
    status = ((100, 399),)
    result = await look(probes, saying(raw), status=status)
    assert verdict(result) == ("ok", "")


async def test_an_answer_may_come_in_single_bytes(probes: Probes) -> None:
    result = await look(probes, saying(*(OK[at : at + 1] for at in range(len(OK)))), body="^ok$")
    assert verdict(result) == ("ok", "")


async def test_to_head_there_is_no_body_whatever_its_length_says() -> None:
    async with listening(asking(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")) as target:
        async with httpx.AsyncClient(transport=Transport(Egress(), Certificates())) as client:
            request = client.build_request("HEAD", target.url, extensions={"run": Run()})
            answered = await asyncio.wait_for(client.send(request), 1)
    assert answered.status_code == 200 and answered.extensions["answer"].whole


async def test_cookies_of_one_target_are_not_told_to_another(probes: Probes) -> None:
    heads: list[str] = []

    def answer(head: str) -> bytes:
        heads.append(head)
        return response(Set_Cookie="session=1")

    async with listening(asking(answer)) as target:
        for _ in range(2):
            await in_time(probes, monitor(f"{target.url}/"))
    assert len(heads) == 2 and "cookie" not in "".join(heads).lower()


# Expectations


@pytest.mark.parametrize(
    ("expect", "reason"),
    [
        ({}, "status 503"),
        ({"status": ((500, 599),)}, ""),
        ({"status": ((200, 200), (503, 503))}, ""),
        ({"status": ((200, 299),)}, "status 503"),
    ],
)
async def test_the_status_is_one_of_those_expected(
    probes: Probes, expect: dict[str, object], reason: str
) -> None:
    result = await look(probes, saying(response(b"down", "503 Service Unavailable")), **expect)
    assert verdict(result) == ("fail" if reason else "ok", reason)
    assert result.took is not None  # it did answer


@pytest.mark.parametrize(
    ("expect", "reason"),
    [
        ({"header": {"server": "NGINX"}}, ""),
        ({"header": {"Server": "apache"}}, "header"),
        ({"header": {"x-none": "a"}}, "header"),
        ({"body": r'"ok":\s*true'}, ""),
        ({"body": "^no$"}, "body"),
        ({"json": {"$.db": '"up"', "$.n[1]": "2.0", '$["a b"]': "null"}}, ""),
        ({"json": {"$.db": '"down"'}}, "json"),
        ({"json": {"$.none": "null"}}, "json"),
        ({"json": {"$.ok": "1"}}, "json"),
    ],
)
async def test_header_body_and_json_are_as_expected(
    probes: Probes, expect: dict[str, object], reason: str
) -> None:
    body = b'\xef\xbb\xbf{"ok": true, "db": "up", "n": [1, 2], "a b": null}'
    result = await look(probes, saying(response(body, Server="nginx/1.25")), **expect)
    assert verdict(result) == ("fail" if reason else "ok", reason)


async def test_what_is_no_json_holds_no_value(probes: Probes) -> None:
    for body in (b"<html>", b"", b'"\xff"', b"[" * 100_000):
        result = await look(probes, saying(response(body)), json={"$.db": "1"})
        assert verdict(result) == ("fail", "json")


async def test_a_right_answer_that_took_too_long_is_slow(probes: Probes) -> None:
    result = await look(probes, saying(b"", OK, pause=0.1), slower_than=0.05)
    assert verdict(result) == ("slow", "slow")
    assert "up to 50 is right" in result.detail


async def test_a_certificate_that_ends_soon_is_slow(probes: Probes, ca: trustme.CA) -> None:
    soon = ca.issue_cert("localhost", not_after=datetime.now(UTC) + timedelta(days=5))
    async with listening(saying(OK), tls=serving_certificate(soon)) as target:
        url = f"https://localhost:{target.port}/"
        result = await in_time(probes, monitor(url, timeout=1.0, certificate_days=14.0))
        assert verdict(result) == ("slow", "certificate")
        assert "5.0 days; 14 were expected" in result.detail
        assert verdict(await in_time(probes, monitor(url, timeout=1.0, certificate_days=3.0))) == ("ok", "")


async def test_a_pattern_or_path_that_cannot_be_read_is_our_fault_not_the_targets(probes: Probes) -> None:
    for expect in ({"body": "a(?=b)"}, {"body": "x" * 501}, {"json": {"db": "1"}}, {"json": {"$.a": "up"}}):
        result = await look(probes, saying(OK), **expect)
        assert verdict(result) == ("inconclusive", "worker")


async def test_a_changed_monitor_is_prepared_anew(probes: Probes) -> None:
    async with listening(asking(lambda head: response(head.split()[1].encode()))) as target:
        for path in ("/one", "/two"):
            result = await in_time(probes, monitor(target.url + path, key="same", body=f"^{path}$"))
            assert verdict(result) == ("ok", "")


# Redirects


async def test_redirects_are_followed_and_their_times_add_up(probes: Probes) -> None:
    def answer(head: str) -> bytes:
        path = head.split()[1]
        return OK if path == "/c" else redirect({"/a": "b", "/b": "/c"}[path])

    async with listening(asking(answer)) as target:
        result = await in_time(probes, monitor(f"{target.url}/a"))
        assert len(target.visits) == 3
    assert verdict(result) == ("ok", "")


async def test_a_redirect_that_is_expected_is_the_answer(probes: Probes) -> None:
    async with listening(saying(redirect("http://127.0.0.1:1/"))) as target:
        result = await in_time(probes, monitor(target.url, status=((301, 302),)))
    assert verdict(result) == ("ok", "")


@pytest.mark.parametrize(
    "location",
    [
        *("ftp://127.0.0.1/", "file:///etc/passwd", "//", "http://a:0x/", "//a:99999"),
        *("javascript:alert(1)", "http://xn--a/"),
    ],
)
async def test_a_redirect_to_what_is_no_url_fails(probes: Probes, location: str) -> None:
    assert verdict(await look(probes, saying(redirect(location)))) == ("fail", "redirects")


async def test_a_redirect_to_a_refused_address_opens_no_connection() -> None:
    async with listening(silent) as sentinel:
        probes = Probes(Equipment(Egress(Policy(own=(("127.0.0.1", sentinel.port),)))))
        for refused in (
            sentinel.url,
            f"http://localhost:{sentinel.port}",
            f"http://[::ffff:127.0.0.1]:{sentinel.port}",
        ):
            async with listening(saying(redirect(refused))) as target:
                result = await in_time(probes, monitor(target.url))
                assert verdict(result) == ("inconclusive", "not permitted")
        for metadata in ("169.254.169.254", "[fd00:ec2::254]", "100.100.100.200"):
            async with listening(saying(redirect(f"http://{metadata}/latest"))) as target:
                assert verdict(await in_time(probes, monitor(target.url))) == (
                    "inconclusive",
                    "not permitted",
                )
        assert sentinel.visits == []
        await probes.close()


async def test_each_redirect_is_judged_anew_when_a_name_rebinds() -> None:
    async with serving_names({"site.test": ["A 127.0.0.1"]}) as zone:
        probes = Probes(Equipment(Egress(nameservers=[zone.place])))

        def answer(_: str) -> bytes:
            zone.names["other.test"] = ["A 169.254.169.254"]
            return redirect("http://other.test/")

        async with listening(asking(answer)) as target:
            result = await in_time(probes, monitor(f"http://site.test:{target.port}/"))
        assert verdict(result) == ("inconclusive", "not permitted")
        await probes.close()


@pytest.mark.parametrize("form", ["2130706433", "0x7f.1", "017700000001", "127.1", "127.0.0.1.", "①②⑦.⓪.⓪.①"])
async def test_addresses_in_disguise_reach_at_most_what_they_say(form: str) -> None:
    """None of them slips past the judgement: either no name at all, or the address it stands for."""
    async with listening(silent) as sentinel:
        probes = Probes(Equipment(Egress(Policy(own=(("127.0.0.1", sentinel.port),)))))
        result = await in_time(probes, monitor(f"http://{form}:{sentinel.port}/"))
        assert result.outcome in (Outcome.INCONCLUSIVE, Outcome.UNREACHABLE)
        assert sentinel.visits == []
        await probes.close()


async def test_another_origin_is_told_no_secret(probes: Probes) -> None:
    heads: dict[str, str] = {}

    def remember(name: str, said: bytes) -> Callable[[str], bytes]:
        def answer(head: str) -> bytes:
            heads[name] = head
            return said

        return answer

    async with listening(asking(remember("other", OK))) as other:
        async with listening(asking(remember("same", redirect(f"{other.url}/there")))) as same:
            headers = {"Authorization": "Bearer ${TOKEN}", "X-Api-Key": "${TOKEN}", "Cookie": "a=${TOKEN}"}
            url = f"http://user:password@127.0.0.1:{same.port}/"
            result = await in_time(probes, monitor(url, options={"headers": headers}))
    assert verdict(result) == ("ok", "")
    assert heads["same"].count("s3cret-t0ken") >= 2
    told = heads["other"].lower()
    assert not any(word in told for word in ("s3cret", "authorization", "x-api-key", "cookie", "password"))
    assert "user-agent: statuswire" in told


async def test_the_same_origin_keeps_what_it_was_told(probes: Probes) -> None:
    heads: list[str] = []

    def answer(head: str) -> bytes:
        heads.append(head)
        return redirect("/there") if len(heads) == 1 else OK

    async with listening(asking(answer)) as target:
        headers = {"X-Api-Key": "${TOKEN}"}
        await in_time(
            probes,
            monitor(target.url, options={"headers": headers}),
        )
    assert ["s3cret-t0ken" in head for head in heads] == [True, True]


# Secrets


async def test_variables_are_filled_from_the_workers_environment(probes: Probes) -> None:
    heads: list[str] = []
    async with listening(asking(lambda head: heads.append(head) or OK)) as target:  # type: ignore[func-returns-value]
        url = f"{target.url}/?token=${{TOKEN}}"
        headers = {"Authorization": "Bearer ${TOKEN}"}
        result = await in_time(probes, monitor(url, options={"headers": headers}))
    assert verdict(result) == ("ok", "")
    assert "?token=s3cret-t0ken " in heads[0] and "Authorization: Bearer s3cret-t0ken\r\n" in heads[0]


@pytest.mark.parametrize(
    ("headers", "what"),
    [
        (
            {"Authorization": "Bearer ${PAYMENTS_TOKEN}"},
            "PAYMENTS_TOKEN is not set in this worker's environment.",
        ),
        ({"X-A": "${BROKEN}"}, "The value for the header X-A"),
        ({"X-A": "${FOREIGN}"}, "The value for the header X-A"),
        ({"X A": "1"}, "'X A' cannot be the name of a header."),
    ],
)
async def test_headers_that_cannot_be_sent_are_our_fault(
    probes: Probes, headers: dict[str, str], what: str
) -> None:
    async with listening(saying(OK)) as target:
        result = await in_time(
            probes,
            monitor(target.url, options={"headers": headers}),
        )
        assert target.visits == []
    assert verdict(result) == ("inconclusive", "worker")
    assert what in result.detail and "Evil" not in result.detail


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/", "127.0.0.1", "http://", "http://[::1", "http://a:99999/", "${"]
)
async def test_what_is_no_http_url_is_our_fault(probes: Probes, url: str) -> None:
    assert verdict(await in_time(probes, monitor(url))) == ("inconclusive", "worker")


async def test_no_secret_is_in_a_result_or_a_log(probes: Probes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {"Authorization": "Bearer ${TOKEN}"}
    bad = [
        saying(response(b"s3cret-t0ken", "500 Oops", X_Echo="s3cret-t0ken")),
        saying(b"s3cret-t0ken is not HTTP"),
        saying(redirect("ftp://s3cret-t0ken/")),
        saying(redirect("http://s3cret-t0ken.invalid:0/x")),
        saying(response(b"s3cret-t0ken", Server="s3cret-t0ken")),
        silent,
        resetting,
    ]
    for behave in bad:
        async with listening(behave) as target:
            url = f"{target.url}/?key=${{TOKEN}}"
            result = await in_time(
                probes,
                monitor(url, 0.3, options={"headers": headers}, header={"server": "nginx"}, body="nginx"),
            )
            assert result.outcome is not Outcome.OK
            if "invalid" not in result.detail:
                assert "s3cret" not in repr(result)
    assert "s3cret" not in caplog.text


# Hostile targets


HOSTILE: dict[str, tuple[Behaviour, tuple[str, str]]] = {
    "takes and says nothing": (silent, ("fail", "timeout")),
    "resets": (resetting, ("fail", "reset")),
    "closes": (saying(), ("fail", "closed")),
    "closes in the headers": (saying(b"HTTP/1.1 200 OK\r\nA: b\r\n"), ("fail", "closed")),
    "garbage": (saying(b"\x00\xff\x16\x03garbage\r\n\r\n"), ("fail", "protocol")),
    "another protocol": (saying(b"220 mail.example ESMTP\r\n"), ("fail", "protocol")),
    "one byte a second": (
        repeating(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x", 0.1),
        ("fail", "timeout"),
    ),
    "dripping headers": (repeating(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n", 0.1), ("fail", "timeout")),
    "10,000 headers": (
        saying(b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: y\r\n" % n for n in range(10_000)) + b"\r\n"),
        ("fail", "too large"),
    ),
    "headers without end": (repeating(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"), ("fail", "too large")),
    "one endless header": (repeating(b"HTTP/1.1 200 OK\r\nA: ", b"x" * 4096), ("fail", "too large")),
    "an endless status line": (repeating(b"HTTP/1.1 200 ", b"x" * 4096), ("fail", "too large")),
    "1xx without end": (repeating(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), ("fail", "too large")),
    "promises more than it says": (
        saying(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort"),
        ("fail", "closed"),
    ),
    "chunks that break off": (
        saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
        ("fail", "closed"),
    ),
    "chunk garbage": (
        saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab"),
        ("fail", "protocol"),
    ),
    "two lengths": (
        saying(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        ("fail", "protocol"),
    ),
}


@pytest.mark.parametrize(("behave", "expected"), HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_target_gets_an_honest_result_in_time(
    probes: Probes, behave: Behaviour, expected: tuple[str, str]
) -> None:
    assert verdict(await look(probes, behave)) == expected


def test_of_ten_thousand_headers_no_more_are_parsed_than_are_allowed() -> None:
    answer = Answer("GET")
    with pytest.raises(Failed, match="There are more than 100 header lines"):
        answer.feed(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000)
    assert len(answer.headers) == 101


async def test_a_body_in_tiny_chunks_lets_others_have_their_turn() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        ours.connect(listener.getsockname())
        ours.setblocking(False)
        theirs, _ = listener.accept()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        theirs.setblocking(False)
        sent = theirs.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 30_000)
        assert sent >= 2 * 65536, "this machine's buffers are too small for the test"
        theirs.close()
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        counting = asyncio.create_task(count())
        with pytest.raises(Failed, match="The body broke off"):
            stream = Stream(ours)
            await _Reading(stream, Answer("GET", keep=False), 0.0).take(await stream.read(), Run())
        counting.cancel()
        # Its own first turn only takes it to where it counts.
        assert turns >= sent // 65536 - 1


async def test_a_redirect_loop_ends(probes: Probes) -> None:
    async with listening(asking(lambda _: redirect("/loop"))) as target:
        result = await in_time(probes, monitor(target.url))
        assert len(target.visits) == 6
    assert verdict(result) == ("fail", "redirects")


ENDLESS = {
    "no length": b"HTTP/1.1 200 OK\r\n\r\n",
    "a vast length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
}


@pytest.mark.parametrize("head", ENDLESS.values(), ids=ENDLESS)
async def test_of_an_endless_body_a_mebibyte_is_read(probes: Probes, head: bytes) -> None:
    """Nobody asked what is in it, so the status decides; what is asked of it cannot be told."""
    endless = repeating(head, b"x" * 65536)
    assert verdict(await look(probes, endless, timeout=2.0)) == ("ok", "")
    assert verdict(await look(probes, endless, timeout=2.0, body="^x")) == ("ok", "")
    assert verdict(await look(probes, endless, timeout=2.0, body="y")) == ("fail", "too large")
    assert verdict(await look(probes, endless, timeout=2.0, json={"$.a": "1"})) == ("fail", "too large")


async def test_what_nobody_will_look_at_is_not_waited_for(probes: Probes) -> None:
    async def stalling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ENDLESS["a vast length"] + b"x" * ((1 << 20) + 1))
        await silent(reader, writer)

    assert verdict(await look(probes, stalling, timeout=2.0)) == ("ok", "")


@pytest.mark.parametrize(("count", "expected"), [(10, ("ok", "")), (11, ("fail", "too large"))])
async def test_only_so_many_interim_answers_are_heard(
    probes: Probes, count: int, expected: tuple[str, str]
) -> None:
    behave = saying(b"HTTP/1.1 102 Processing\r\n\r\n" * count + OK)
    assert verdict(await look(probes, behave)) == expected


async def test_chunks_are_read_to_twice_a_mebibyte_whatever_is_in_them(probes: Probes) -> None:
    tiny = repeating(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;" + b"e" * 9000 + b"\r\na\r\n"
    )
    assert verdict(await look(probes, tiny, timeout=2.0, body="b")) == ("fail", "too large")


@cache
def bomb(layers: int) -> bytes:
    """Packed when it is asked for, and not by every process that collects the tests."""
    return bytes(100 << 20) if not layers else gzip.compress(bomb(layers - 1), compresslevel=1, mtime=0)


def deflated(body: bytes, bits: int) -> bytes:
    compress = zlib.compressobj(wbits=bits)
    return compress.compress(body) + compress.flush()


@pytest.mark.parametrize(
    ("encoding", "raw"),
    [
        ("gzip", gzip.compress(b"hello", mtime=0)),
        ("X-GZIP", gzip.compress(b"hello", mtime=0)),
        ("deflate", zlib.compress(b"hello")),
        ("deflate", deflated(b"hello", -15)),
        ("gzip, gzip", gzip.compress(gzip.compress(b"hello", mtime=0), mtime=0)),
        ("identity", b"hello"),
    ],
)
async def test_an_encoded_body_is_decoded(probes: Probes, encoding: str, raw: bytes) -> None:
    result = await look(probes, saying(response(raw, Content_Encoding=encoding)), body="^hello$")
    assert verdict(result) == ("ok", "")


@pytest.mark.parametrize(
    ("encoding", "raw", "reason"),
    [
        ("gzip", b"no gzip at all", "body"),
        ("gzip", gzip.compress(b"hello" * 100, mtime=0)[:-20], "body"),
        ("gzip", b"", "body"),
        ("br", b"hello", "body"),
        ("gzip, gzip, gzip", b"hello", "body"),
        ("gzip", 1, "too large"),
        ("gzip, gzip", 2, "too large"),
    ],
    ids=["lie", "broken off", "empty", "brotli", "thrice", "bomb", "double bomb"],
)
async def test_a_badly_encoded_body_or_a_bomb_fails_at_no_cost(
    probes: Probes, encoding: str, raw: bytes | int, reason: str
) -> None:
    body = bomb(raw) if isinstance(raw, int) else raw
    behave = saying(response(body, Content_Encoding=encoding))
    began = time.process_time()
    assert verdict(await look(probes, behave, timeout=2.0, body="hello")) == ("fail", reason)
    assert time.process_time() - began < 0.5
    assert verdict(await look(probes, behave, timeout=2.0)) == ("ok", "")  # nobody asked


# The path


async def test_a_refused_connection_is_unreachable(probes: Probes) -> None:
    with closed_port() as port:
        result = await in_time(probes, monitor(f"http://127.0.0.1:{port}/"))
    assert verdict(result) == ("unreachable", "refused")
    assert result.took is None and result.address == "127.0.0.1"


async def test_a_connection_that_is_swallowed_is_unreachable(probes: Probes) -> None:
    with black_hole() as port:
        result = await in_time(probes, monitor(f"http://127.0.0.1:{port}/", timeout=0.3))
    assert verdict(result) == ("unreachable", "timeout")
    assert result.detail == f"After 0.3 s there was no connection (127.0.0.1:{port})."


async def test_a_name_that_resolves_to_nothing_is_unreachable() -> None:
    async with serving_names({"silent.test": None}) as zone:
        probes = Probes(Equipment(Egress(nameservers=[zone.place])))
        result = await in_time(probes, monitor("http://nowhere.test/"))
        assert verdict(result) == ("unreachable", "dns")
        result = await in_time(probes, monitor("http://silent.test/", timeout=0.3))
        assert verdict(result) == ("unreachable", "timeout")
        assert result.detail == "After 0.3 s DNS had not answered."
        await probes.close()


async def test_garbage_instead_of_tls_is_no_tls(probes: Probes) -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await asyncio.sleep(0.1)

    async with listening(garbage) as target:
        result = await in_time(probes, monitor(f"https://{target.place}/"))
    assert verdict(result) == ("fail", "tls")


async def test_a_server_that_closes_in_the_handshake_speaks_no_tls(probes: Probes) -> None:
    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write_eof()
        await asyncio.sleep(0.1)

    async with listening(closing) as target:
        result = await in_time(probes, monitor(f"https://{target.place}/"))
    assert verdict(result) == ("fail", "tls")
    assert "closed in the midst" in result.detail


async def test_a_handshake_that_never_ends_times_out(probes: Probes) -> None:
    async with listening(silent) as target:
        result = await in_time(probes, monitor(f"https://{target.place}/", timeout=0.3))
    assert verdict(result) == ("fail", "timeout")
    assert "TLS handshake" in result.detail
