"""A certificate that was revoked fails, as its own authority says; and nobody else is believed."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from app.domain.monitor import Monitor
from app.domain.result import Result
from tests.targets import Target, closed_port, farewell, listening, response, silent
from workers.probes import Probes

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass
class Party:
    certificate: x509.Certificate
    key: Any


def authority(ca: trustme.CA) -> Party:
    key = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    return Party(x509.load_pem_x509_certificate(ca.cert_pem.bytes()), key)


def certify(
    by: Party, *extensions: x509.ExtensionType, key: Key | None = None, until: datetime = NOW + DAY
) -> Party:
    key = key or ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder(
        by.certificate.subject,
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a party")]),
        key.public_key(),
        x509.random_serial_number(),
        NOW - DAY,
        until,
    )
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(by.certificate.public_key()),  # type: ignore[arg-type]
        critical=False,
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return Party(builder.sign(by.key, hashes.SHA256()), key)


def delegate(by: Party, *usage: x509.ObjectIdentifier, **more: Any) -> Party:
    return certify(by, x509.ExtendedKeyUsage(usage or [ExtendedKeyUsageOID.OCSP_SIGNING]), **more)


@dataclass
class Responder:
    """What it says, and how it signs: by itself well, and each test spoils one thing."""

    by: Party
    leaf: Party | None = None
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD
    signer: Party | None = None
    since: datetime = NOW - HOUR
    until: datetime | None = NOW + HOUR
    hash: hashes.HashAlgorithm = field(default_factory=hashes.SHA256)
    raw: bytes | None = None
    asked: list[ocsp.OCSPRequest] = field(default_factory=list)
    url: str = ""

    async def behave(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        self.asked.append(ocsp.load_der_ocsp_request(await reader.readexactly(length)))
        writer.write(response(self.answer() if self.raw is None else self.raw))
        await farewell(writer)

    def answer(self) -> bytes:
        assert self.leaf is not None
        signer, revoked = self.signer or self.by, self.status is ocsp.OCSPCertStatus.REVOKED
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=self.leaf.certificate,
            issuer=self.by.certificate,
            algorithm=self.hash,
            cert_status=self.status,
            this_update=self.since,
            next_update=self.until,
            revocation_time=datetime(2026, 1, 2, 3, 4) if revoked else None,
            revocation_reason=None,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, signer.certificate)
        if signer is not self.by:
            builder = builder.certificates([signer.certificate])
        return builder.sign(signer.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@pytest.fixture
async def responder(ca: trustme.CA) -> AsyncIterator[Responder]:
    its = Responder(authority(ca))
    async with listening(its.behave) as target:
        its.url = target.url
        yield its


@asynccontextmanager
async def shop(by: Party, url: str, folder: Path) -> AsyncIterator[tuple[Party, Target]]:
    """A server whose certificate says that it can be asked for there."""
    place = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url))
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    leaf = certify(by, names, *([x509.AuthorityInformationAccess([place])] if url else []))
    file = folder / "shop.pem"
    file.write_bytes(
        leaf.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + leaf.certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    async with listening(silent, tls=context) as target:
        yield leaf, target


async def look(probes: Probes, target: Target, timeout: float = 3.0) -> Result:
    place, options = f"localhost:{target.port}", {"revocation": True}
    return await probes.probe(Monitor(key="m", kind="tls", target=place, timeout=timeout, options=options))


async def found(probes: Probes, responder: Responder, folder: Path) -> tuple[str, str, str]:
    async with shop(responder.by, responder.url, folder) as (leaf, target):
        responder.leaf = responder.leaf or leaf
        result = await look(probes, target)
    return result.outcome, result.reason, result.detail


GOOD = ("ok", "", "")


async def test_a_good_one_is_ok_and_its_authority_is_not_asked_each_time(
    probes: Probes, responder: Responder, tmp_path: Path
) -> None:
    async with shop(responder.by, responder.url, tmp_path) as (leaf, target):
        responder.leaf = leaf
        for _ in range(3):
            result = await look(probes, target)
            assert (result.outcome, result.reason, result.detail) == GOOD
    [asked] = responder.asked
    assert asked.serial_number == leaf.certificate.serial_number


async def test_a_revoked_one_fails_and_says_since_when(
    probes: Probes, responder: Responder, tmp_path: Path
) -> None:
    responder.status = ocsp.OCSPCertStatus.REVOKED
    outcome, reason, detail = await found(probes, responder, tmp_path)
    assert (outcome, reason) == ("fail", "certificate")
    assert detail == "The certificate has been revoked since 2026-01-02 03:04 UTC."


async def test_it_is_not_asked_for_where_nobody_wants_to_know(
    probes: Probes, responder: Responder, tmp_path: Path
) -> None:
    responder.status = ocsp.OCSPCertStatus.REVOKED
    async with shop(responder.by, responder.url, tmp_path) as (_, target):
        monitor = Monitor(key="m", kind="tls", target=f"localhost:{target.port}", timeout=3.0)
        assert (await probes.probe(monitor)).outcome == "ok"
    assert responder.asked == []


@pytest.mark.parametrize("key", [None, rsa.generate_private_key(65537, 2048)], ids=["ec", "rsa"])
async def test_who_was_given_the_right_may_sign(
    probes: Probes, responder: Responder, tmp_path: Path, key: Key | None
) -> None:
    responder.signer = delegate(responder.by, key=key)
    responder.status = ocsp.OCSPCertStatus.REVOKED
    assert (await found(probes, responder, tmp_path))[0] == "fail"


async def test_an_answer_may_name_the_authority_by_another_hash(
    probes: Probes, responder: Responder, tmp_path: Path
) -> None:
    responder.hash, responder.until = hashes.SHA1(), None
    assert await found(probes, responder, tmp_path) == GOOD


def by_a_stranger(its: Responder) -> None:
    its.signer = authority(trustme.CA())


def by_a_delegate_of_a_stranger(its: Responder) -> None:
    its.signer = delegate(authority(trustme.CA()))


def by_another_server(its: Responder) -> None:
    its.signer = delegate(its.by, ExtendedKeyUsageOID.SERVER_AUTH)


def by_a_delegate_of_once(its: Responder) -> None:
    its.signer = delegate(its.by, until=NOW - HOUR)


def of_last_week(its: Responder) -> None:
    its.since, its.until = NOW - 7 * DAY, NOW - 6 * DAY


def of_last_week_without_an_end(its: Responder) -> None:
    its.since, its.until = NOW - 7 * DAY, None


def of_tomorrow(its: Responder) -> None:
    its.since, its.until = NOW + DAY, NOW + 2 * DAY


def of_another_one(its: Responder) -> None:
    its.leaf = certify(its.by)


def nonsense(its: Responder) -> None:
    its.raw = b"<html>"


def a_refusal(its: Responder) -> None:
    refused = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    its.raw = refused.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (by_a_stranger, "not signed by"),
        (by_a_delegate_of_a_stranger, "not signed by"),
        (by_another_server, "not signed by"),
        (by_a_delegate_of_once, "not signed by"),
        (of_last_week, "was good from"),
        (of_last_week_without_an_end, "was good from"),
        (of_tomorrow, "was good from"),
        (of_another_one, "about another certificate"),
        (nonsense, "no OCSP"),
        (a_refusal, "says try later"),
    ],
)
async def test_an_answer_that_cannot_be_relied_on_is_none(
    probes: Probes, responder: Responder, tmp_path: Path, spoil: Callable[[Responder], None], why: str
) -> None:
    """Neither that it is good, nor that it was revoked: that would be a way to turn a page red."""
    responder.status = ocsp.OCSPCertStatus.REVOKED
    spoil(responder)
    outcome, reason, detail = await found(probes, responder, tmp_path)
    assert (outcome, reason) == ("ok", "")
    assert detail.startswith("Whether it was revoked is not known: ")
    assert why in detail


async def test_a_responder_that_does_not_know_it_says_nothing(
    probes: Probes, responder: Responder, tmp_path: Path
) -> None:
    responder.status = ocsp.OCSPCertStatus.UNKNOWN
    outcome, _, detail = await found(probes, responder, tmp_path)
    assert outcome == "ok"
    assert "does not know the certificate" in detail


async def test_without_a_responder_there_is_nothing_to_ask(
    probes: Probes, ca: trustme.CA, tmp_path: Path
) -> None:
    async with shop(authority(ca), "", tmp_path) as (_, target):
        result = await look(probes, target)
    assert result.outcome == "ok"
    assert "there is nothing to ask" in result.detail


async def test_a_responder_that_is_away_or_silent_brings_nobody_down(
    probes: Probes, ca: trustme.CA, tmp_path: Path
) -> None:
    with closed_port() as port:
        async with shop(authority(ca), f"http://127.0.0.1:{port}/", tmp_path) as (_, target):
            assert "refused" in (away := await look(probes, target)).detail
    async with (
        listening(silent) as mute,
        shop(authority(ca), mute.url, tmp_path) as (_, target),
    ):
        assert "too long" in (late := await look(probes, target, timeout=0.5)).detail
        # Nor is it waited for each time.
        assert (again := await look(probes, target, timeout=0.5)).detail == late.detail
        assert len(mute.visits) == 1
    assert {away.outcome, late.outcome, again.outcome} == {"ok"}


async def test_who_asks_goes_through_the_gate(probes: Probes, ca: trustme.CA, tmp_path: Path) -> None:
    async with shop(authority(ca), "http://169.254.169.254/", tmp_path) as (_, target):
        result = await look(probes, target)
    assert result.outcome == "ok"
    assert "link-local" in result.detail
