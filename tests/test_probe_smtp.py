"""smtp and ssh: greeted as their servers greet, and told when it is another."""

import asyncio

import pytest
import trustme

from app.domain.monitor import Expect, Monitor
from app.domain.result import Result
from tests.conftest import eventually
from tests.targets import Behaviour, certified, farewell, listening, resetting, silent, verdict
from workers.probes import Probes


async def look(
    probes: Probes, kind: str, place: str, timeout: float = 1.0, body: str | None = None, **words: object
) -> Result:
    expect = Expect(body=body)
    return await probes.probe(
        Monitor(key="m", kind=kind, target=place, timeout=timeout, options=words, expect=expect)
    )


class Mail:
    """A server that speaks as much SMTP as is asked of it here, by RFC 5321 and 3207."""

    def __init__(self, ca: trustme.CA, offers: tuple[str, ...] = ("SIZE 1000", "STARTTLS")) -> None:
        self.context = certified(ca, "localhost")
        self.offers = offers
        self.heard: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220-mail.example ESMTP Postfix\r\n220 be welcome\r\n")
        while line := (await reader.readline()).decode().strip():
            self.heard.append(line)
            match line.split()[0]:
                case "EHLO":
                    lines = ["mail.example", *self.offers]
                    said = [f"250-{each}\r\n" for each in lines[:-1]] + [f"250 {lines[-1]}\r\n"]
                    writer.write("".join(said).encode())
                case "STARTTLS":
                    writer.write(b"220 go ahead\r\n")
                    await writer.start_tls(self.context)
                case "QUIT":
                    writer.write(b"221 bye\r\n")
                    return await farewell(writer)


async def test_a_mail_server_greets_and_is_left_politely(probes: Probes, ca: trustme.CA) -> None:
    async with listening(mail := Mail(ca)) as target:
        result = await look(probes, "smtp", target.place, body="Postfix")
        assert verdict(result) == ("ok", "") and result.phases.first_byte is not None
        await eventually(lambda: mail.heard == ["EHLO statuswire.invalid", "QUIT"])
        other = await look(probes, "smtp", target.place, body="Exim")
        assert verdict(other) == ("fail", "body")


async def test_a_mail_server_goes_over_to_tls(probes: Probes, ca: trustme.CA) -> None:
    async with listening(mail := Mail(ca)) as target:
        result = await look(probes, "smtp", f"localhost:{target.port}", starttls=True)
        assert verdict(result) == ("ok", "")
        assert result.phases.tls is not None and result.certificate_until is not None
        hello = "EHLO statuswire.invalid"
        await eventually(lambda: mail.heard == [hello, "STARTTLS", hello, "QUIT"])
        assert verdict(await look(probes, "smtp", target.place, starttls=True)) == ("fail", "certificate")


async def test_a_mail_server_may_have_tls_from_the_start(probes: Probes, ca: trustme.CA) -> None:
    async with listening(Mail(ca), tls=certified(ca, "localhost")) as target:
        result = await look(probes, "smtp", f"localhost:{target.port}", secure=True)
    assert verdict(result) == ("ok", "") and result.certificate_until is not None


async def test_a_mail_server_that_offers_no_tls_fails_where_it_is_wanted(
    probes: Probes, ca: trustme.CA
) -> None:
    async with listening(Mail(ca, offers=("SIZE 1000",))) as target:
        assert verdict(await look(probes, "smtp", target.place)) == ("ok", "")
        assert verdict(await look(probes, "smtp", target.place, starttls=True)) == ("fail", "tls")


def saying(said: bytes) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await farewell(writer)

    return behave


@pytest.mark.parametrize(
    ("kind", "said", "reason"),
    [
        ("smtp", b"421 too busy\r\n", "answer"),
        ("smtp", b"SSH-2.0-OpenSSH_9.2\r\n", "protocol"),
        ("smtp", b"220", "closed"),
        ("smtp", b"220 hello\r\n", "closed"),
        ("smtp", b"220 a\r\n250-x\r\n" + b"250-y\r\n" * 200, "protocol"),
        ("smtp", b"x" * 100_000, "protocol"),
        ("ssh", b"220 mail.example ESMTP\r\n" * 100, "protocol"),
        ("ssh", b"SSH-1.5-old\r\n", "protocol"),
        ("ssh", b"SSH-2.0-cut", "closed"),
        ("ssh", b"", "closed"),
        ("ssh", b"\x00" * 100_000, "protocol"),
    ],
)
async def test_another_greeting_fails(probes: Probes, kind: str, said: bytes, reason: str) -> None:
    async with listening(saying(said)) as target:
        result = await look(probes, kind, target.place)
    # Whoever closes while we still talk may cut the connection.
    assert verdict(result) in (("fail", reason), ("fail", "reset")) and result.detail.endswith(".")


@pytest.mark.parametrize("kind", ["smtp", "ssh"])
async def test_silence_ends_with_the_probe(probes: Probes, kind: str) -> None:
    async with listening(silent) as target:
        assert verdict(await look(probes, kind, target.place, timeout=0.3)) == ("fail", "timeout")


@pytest.mark.parametrize(
    ("said", "body", "answer"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "OpenSSH_9", ("ok", "")),
        (b"SSH-1.99-Cisco-1.25\n", None, ("ok", "")),
        (b"Unauthorised use is\r\nforbidden\r\nSSH-2.0-x\r\n", "^SSH-2.0-x$", ("ok", "")),
        (b"SSH-2.0-OpenSSH_7.4\r\n", "OpenSSH_9", ("fail", "body")),
    ],
)
async def test_ssh_says_which_it_speaks(
    probes: Probes, said: bytes, body: str | None, answer: tuple[str, str]
) -> None:
    heard: list[bytes] = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        heard.append(await reader.read())

    async with listening(behave) as target:
        result = await look(probes, "ssh", target.place, body=body)
        assert verdict(result) == answer
        await eventually(lambda: heard == [b"SSH-2.0-Statuswire\r\n"])


async def test_whoever_leaves_after_the_greeting_has_greeted(probes: Probes) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-x\r\n\r\n\r\n")
        await resetting(reader, writer)

    async with listening(behave) as target:
        assert verdict(await look(probes, "ssh", target.place)) == ("ok", "")
