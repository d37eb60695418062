"""tcp: what is said over a connection, what comes back, and TLS from the start or after a while."""

import asyncio
import ssl
from collections.abc import Sequence

import pytest
import trustme

from app.domain.monitor import Expect, Monitor
from app.domain.result import Result
from tests.targets import Behaviour, certified, farewell, listening, silent, verdict
from workers.probes import Probes

ENVIRON = {"KEY": "k3y"}


async def look(
    probes: Probes, place: str, timeout: float = 1.0, body: str | None = None, **words: object
) -> Result:
    expect = Expect(body=body)
    return await probes.probe(
        Monitor(key="m", kind="tcp", target=place, timeout=timeout, options=words, expect=expect)
    )


def answering(lines: dict[bytes, bytes]) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(lines.get(line, b"what?\r\n"))

    return behave


async def test_what_is_sent_is_answered_as_expected(probes: Probes) -> None:
    async with listening(answering({b"key k3y\r\n": b"VERSION 1.6\r\n"})) as target:
        sent = "key ${KEY}\r\n"
        result = await look(probes, target.place, send=sent, body=r"^VERSION 1\.")
        assert verdict(result) == ("ok", "") and result.phases.first_byte is not None
        wrong = await look(probes, target.place, send="key k3y \r\n", body="VERSION", timeout=0.3)
        assert verdict(wrong) == ("fail", "timeout")


async def test_an_answer_may_come_in_pieces_and_without_being_asked_for(probes: Probes) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for letter in b"well":
            writer.write(bytes([letter]))
            await writer.drain()
            await asyncio.sleep(0.01)
        await reader.read()

    async with listening(behave) as target:
        assert verdict(await look(probes, target.place, body="^well$")) == ("ok", "")


@pytest.mark.parametrize("said", [b"", b"busy k3y\x1b[2J", b"x" * 100_000])
async def test_another_answer_fails_and_is_quoted_without_secrets(probes: Probes, said: bytes) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(said)
        await farewell(writer)

    async with listening(behave) as target:
        result = await look(probes, target.place, send="${KEY}\n", body="ready")
    assert verdict(result) in (("fail", "body"), ("fail", "reset"))
    assert "k3y" not in repr(result) and result.detail.isprintable() and len(result.detail) < 250


@pytest.mark.parametrize("piece", [b"x", b"\n", b"\x00" * 65536])
async def test_whoever_talks_without_end_is_heard_for_so_long(probes: Probes, piece: bytes) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)

    async with listening(behave) as target:
        result = await look(probes, target.place, body="ready", timeout=0.4)
    assert result.outcome == "fail" and result.reason in ("timeout", "body")
    assert result.took is None or result.took < 0.5


async def test_tls_from_the_start(probes: Probes, ca: trustme.CA) -> None:
    async with listening(answering({b"a\n": b"b\n"}), tls=certified(ca, "localhost")) as target:
        result = await look(probes, f"localhost:{target.port}", secure=True, send="a\n", body="b")
        assert verdict(result) == ("ok", "") and result.certificate_until is not None
        assert verdict(await look(probes, target.place, secure=True)) == ("fail", "certificate")


def starting_tls(context: ssl.SSLContext, *talk: tuple[bytes, bytes]) -> Behaviour:
    """Each line it hears and what it says to it; the first is said at once. Then TLS, and an echo."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for heard, said in talk:
            if heard:
                assert await reader.readline() == heard
            writer.write(said)
        await writer.start_tls(context)
        writer.write(b"you said " + await reader.readline())
        await farewell(writer)

    return behave


TALKS: dict[str, Sequence[tuple[bytes, bytes]]] = {
    "smtp": [
        (b"", b"220-mail.example\r\n220 ESMTP\r\n"),
        (b"EHLO statuswire.invalid\r\n", b"250-mail.example\r\n250-SIZE 1000\r\n250 STARTTLS\r\n"),
        (b"STARTTLS\r\n", b"220 go ahead\r\n"),
    ],
    "imap": [(b"", b"* OK IMAP4rev1 ready\r\n"), (b"a STARTTLS\r\n", b"a OK begin\r\n")],
    "pop3": [(b"", b"+OK ready\r\n"), (b"STLS\r\n", b"+OK begin\r\n")],
}


@pytest.mark.parametrize("protocol", TALKS)
async def test_tls_after_a_while(probes: Probes, ca: trustme.CA, protocol: str) -> None:
    async with listening(starting_tls(certified(ca, "localhost"), *TALKS[protocol])) as target:
        place = f"localhost:{target.port}"
        result = await look(probes, place, starttls=protocol, send="hello\r\n", body="^you said hello")
        assert verdict(result) == ("ok", "")
        assert result.phases.tls is not None and result.certificate_until is not None
        assert verdict(await look(probes, target.place, starttls=protocol)) == ("fail", "certificate")


@pytest.mark.parametrize("protocol", TALKS)
async def test_what_was_said_before_tls_is_not_taken_for_said_under_it(
    probes: Probes, ca: trustme.CA, protocol: str
) -> None:
    *first, (heard, said) = TALKS[protocol]
    behave = starting_tls(certified(ca, "localhost"), *first, (heard, said + b"you said hello\r\n"))
    async with listening(behave) as target:
        result = await look(probes, f"localhost:{target.port}", starttls=protocol, body="hello")
    assert verdict(result) == ("fail", "protocol")


@pytest.mark.parametrize(
    ("protocol", "said", "reason"),
    [
        ("smtp", b"554 no\r\n", "answer"),
        ("smtp", b"SSH-2.0-x\r\n", "protocol"),
        ("smtp", b"220-a\r\n" * 1000, "protocol"),
        ("smtp", b"x" * 100_000, "protocol"),
        ("imap", b"* BYE\r\n", "answer"),
        ("pop3", b"-ERR\r\n", "answer"),
        ("pop3", b"", "closed"),
        ("imap", b"* OK", "closed"),
    ],
)
async def test_whoever_does_not_go_over_to_tls_fails(
    probes: Probes, protocol: str, said: bytes, reason: str
) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await farewell(writer)

    async with listening(behave) as target:
        assert verdict(await look(probes, target.place, starttls=protocol)) == ("fail", reason)


@pytest.mark.parametrize("words", [{"starttls": "imap"}, {"secure": True}, {"body": "x"}])
async def test_silence_ends_with_the_probe(probes: Probes, words: dict[str, object]) -> None:
    async with listening(silent) as target:
        result = await look(probes, target.place, timeout=0.3, **words)  # type: ignore[arg-type]
    assert verdict(result) == ("fail", "timeout")
