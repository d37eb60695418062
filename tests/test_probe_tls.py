"""tls and tcp: the connection itself, and what its certificate says."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from app.domain.monitor import Expect, Monitor
from app.domain.result import Result
from tests.conftest import eventually
from tests.targets import certified, listening, silent
from workers.probes import Probes
from workers.probes.equipment import Equipment
from workers.probes.stream import Certificates


def serving(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


async def look(
    probes: Probes, target: str, kind: str = "tls", timeout: float = 1.0, **expect: object
) -> Result:
    return await probes.probe(
        Monitor(key="m", kind=kind, target=target, timeout=timeout, expect=Expect(**expect))  # type: ignore[arg-type]
    )


async def test_a_valid_certificate_is_ok_and_tells_when_it_ends(probes: Probes, ca: trustme.CA) -> None:
    until = datetime(2040, 1, 2, 3, 4, 5, tzinfo=UTC)
    async with listening(silent, tls=serving(ca.issue_cert("localhost", not_after=until))) as target:
        result = await look(probes, f"localhost:{target.port}", certificate_days=14.0)
    assert (result.outcome, result.reason) == ("ok", "")
    assert result.certificate_until == until
    assert result.phases.tls is not None and result.phases.total is not None


async def test_who_is_looked_at_sees_a_whole_handshake(probes: Probes, ca: trustme.CA) -> None:
    """Its last word waits for what is said next, and here nothing is."""
    async with listening(silent, tls=serving(ca.issue_cert("localhost"))) as target:
        await look(probes, f"localhost:{target.port}")
        await eventually(lambda: len(target.visits) == 1, within=2.0)


async def test_an_address_may_be_what_a_certificate_is_for(probes: Probes, ca: trustme.CA) -> None:
    async with listening(silent, host="::1", tls=serving(ca.issue_cert("::1"))) as target:
        assert (await look(probes, f"[::1]:{target.port}")).outcome == "ok"


async def test_of_a_chain_the_date_counts_that_comes_first(tmp_path: Path) -> None:
    """The leaf is good for long, and what it hangs on is not."""
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    root = trustme.CA()
    between = ending(root, soon)
    file = tmp_path / "root.pem"
    root.cert_pem.write_to_path(file)
    until = datetime(2040, 1, 2, tzinfo=UTC)
    probes = Probes(Equipment(certificates=Certificates(str(file))))
    async with listening(silent, tls=certified(between, "localhost", not_after=until)) as target:
        result = await look(probes, f"localhost:{target.port}", certificate_days=14.0)
    await probes.close()
    assert (result.outcome, result.reason) == ("slow", "certificate")
    assert result.certificate_until == soon


def ending(root: trustme.CA, until: datetime) -> trustme.CA:
    """An authority below `root` that ends then. trustme itself makes none that ends."""
    between = root.create_child_ca()
    old = x509.load_pem_x509_certificate(between.cert_pem.bytes())
    issuer_key = serialization.load_pem_private_key(root.private_key_pem.bytes(), None)
    builder = x509.CertificateBuilder(old.issuer, old.subject, old.public_key(), old.serial_number)
    builder = builder.not_valid_before(old.not_valid_before_utc).not_valid_after(until)
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    new = builder.sign(issuer_key, hashes.SHA256())  # type: ignore[arg-type]
    made = trustme.CA.from_pem(new.public_bytes(serialization.Encoding.PEM), between.private_key_pem.bytes())
    made.parent_cert = between.parent_cert
    return made


async def test_another_name_may_be_asked_for(probes: Probes, ca: trustme.CA) -> None:
    async with listening(silent, tls=certified(ca, "shop.example")) as target:
        assert (await look(probes, target.place)).reason == "certificate"
        asked = Monitor(
            key="m", kind="tls", target=target.place, timeout=1.0, options={"server_name": "shop.example"}
        )
        assert (await probes.probe(asked)).outcome == "ok"


@pytest.mark.parametrize(("spoken", "wanted", "reason"), [("1.2", "1.3", "version"), ("1.3", "1.2", "")])
async def test_an_older_version_than_expected_fails(
    probes: Probes, ca: trustme.CA, spoken: str, wanted: str, reason: str
) -> None:
    context = certified(ca, "localhost")
    context.maximum_version = ssl.TLSVersion[f"TLSv{spoken.replace('.', '_')}"]
    async with listening(silent, tls=context) as target:
        place = f"localhost:{target.port}"
        asked = Monitor(key="m", kind="tls", target=place, timeout=1.0, options={"version": wanted})
        result = await probes.probe(asked)
    assert (result.outcome, result.reason) == ("fail" if reason else "ok", reason)


PAST = datetime(2020, 1, 1, tzinfo=UTC)
FUTURE = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)


@pytest.mark.parametrize(
    ("name", "until", "trusted", "what"),
    [
        ("localhost", PAST, True, "expired"),
        ("example.org", FUTURE, True, "localhost"),
        ("localhost", FUTURE, False, "issuer"),
    ],
    ids=["expired", "another name", "another issuer"],
)
@pytest.mark.parametrize("kind", ["tls", "http"])
async def test_a_bad_certificate_fails_and_still_tells_when_it_ends(
    probes: Probes, ca: trustme.CA, kind: str, name: str, until: datetime, trusted: bool, what: str
) -> None:
    issuer = ca if trusted else trustme.CA()
    certificate = issuer.issue_cert(name, not_before=PAST - timedelta(days=1), not_after=until)
    async with listening(silent, tls=serving(certificate)) as target:
        place = f"localhost:{target.port}"
        result = await look(probes, f"https://{place}/" if kind == "http" else place, kind)
    assert (result.outcome, result.reason) == ("fail", "certificate")
    assert what in result.detail and result.detail.endswith(".")
    assert result.certificate_until == until
    assert result.took is None


async def test_a_certificate_signed_by_itself_fails(probes: Probes, ca: trustme.CA) -> None:
    alone = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with alone.private_key_pem.tempfile() as key, alone.cert_pem.tempfile() as certificate:
        context.load_cert_chain(certificate, key)
    async with listening(silent, tls=context) as target:
        result = await look(probes, f"localhost:{target.port}")
    assert (result.outcome, result.reason) == ("fail", "certificate")
    assert "self" in result.detail and result.certificate_until is not None


async def test_a_bad_certificate_stays_one_if_the_second_look_at_it_hangs(
    probes: Probes, ca: trustme.CA
) -> None:
    """The verdict is there; only the date is missing."""
    context = serving(ca.issue_cert("localhost", not_before=PAST - timedelta(days=1), not_after=PAST))
    connections = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        if connections == 1:
            await writer.start_tls(context)
        await asyncio.sleep(60)

    async with listening(once) as target:
        result = await look(probes, f"localhost:{target.port}", timeout=0.5)
        assert connections == 2
    assert (result.outcome, result.reason) == ("fail", "certificate")
    assert result.certificate_until is None


async def test_a_port_that_takes_connections_is_all_tcp_asks_for(probes: Probes) -> None:
    async with listening(silent) as target:
        result = await look(probes, target.place, "tcp")
        assert (result.outcome, result.reason, result.address) == ("ok", "", "127.0.0.1")
        assert result.phases.connect is not None and result.phases.tls is None


async def test_tcp_can_be_slow(probes: Probes) -> None:
    async with listening(silent) as target:
        result = await look(probes, target.place, "tcp", slower_than=0.0)
    assert (result.outcome, result.reason) == ("slow", "slow")


@pytest.mark.parametrize(
    "target", ["127.0.0.1", "127.0.0.1:", ":80", "a:0", "a:65536", "a:x", "[::1]", "::1", "", "a:²"]
)
async def test_what_is_no_place_is_our_fault(probes: Probes, target: str) -> None:
    result = await look(probes, target, "tcp")
    assert (result.outcome, result.reason) == ("inconclusive", "worker")
    assert "is no host:port" in result.detail


async def test_a_kind_of_a_newer_server_is_our_fault(probes: Probes) -> None:
    result = await look(probes, "x", "telepathy")
    assert (result.outcome, result.reason) == ("inconclusive", "worker")
    assert "telepathy" in result.detail
