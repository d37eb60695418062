"""Whether a certificate was revoked: its authority is asked by OCSP (RFC 6960), at the address that the
certificate itself names, and believed if the answer is signed by it, in time, and about this certificate.

What cannot be learnt is no verdict: a responder that is away says nothing of the target. Certificates without
an address, as Let's Encrypt's are since 2025, leave nothing to ask.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from app.security.egress import NotResolved, Refused
from workers.probes.answer import Answer
from workers.probes.equipment import Equipment
from workers.probes.run import Failed, Run
from workers.probes.transport import Transport

# So long an answer is believed, if it does not itself end sooner; and so long nobody is asked again who did
# not answer. An answer is good for days, but whoever revokes does not wait for that.
_BELIEVED: Final = 3600.0
_LEFT_ALONE: Final = 300.0
# An answer without an end of its own.
_LASTS: Final = timedelta(days=1)
_CLOCKS_DIFFER: Final = timedelta(minutes=5)
_KEPT_AT_MOST: Final = 10_000
# Of the certificates that an answer brings along, in search of who signed it.
_SIGNERS_AT_MOST: Final = 5


class _NoAnswer(Exception):
    """A sentence's end: why nothing is known."""


class Revocations:
    def __init__(self, equipment: Equipment) -> None:
        self._transport = Transport(equipment.egress, equipment.certificates)
        # By certificate: what is to be said of it, whether that is a failure, and until when.
        self._kept: dict[bytes, tuple[str, bool, float]] = {}

    async def check(self, chain: list[bytes], run: Run) -> None:
        """Of the first of a chain that was verified. Raises Failed if it was revoked; leaves a remark with
        the run where nothing could be learnt."""
        if not chain:
            return
        said, revoked, until = self._kept.get(chain[0], ("", False, 0.0))
        if time.monotonic() >= until:
            said, revoked, lasts = await self._learn(chain, run)
            if len(self._kept) >= _KEPT_AT_MOST:
                self._kept.clear()
            self._kept[chain[0]] = said, revoked, time.monotonic() + lasts
        if revoked:
            raise Failed("certificate", said)
        run.remark = said

    async def _learn(self, chain: list[bytes], run: Run) -> tuple[str, bool, float]:
        """What is to be said, whether that is a failure, and for how many seconds."""
        try:
            # Half of what is left: at the run's own deadline the target would be called down.
            async with asyncio.timeout(max(run.left / 2, 0.0)):
                single, until = await self._ask(chain, run)
        except _NoAnswer as error:
            return f"Whether it was revoked is not known: {error}.", False, _LEFT_ALONE
        except (OSError, NotResolved, Refused, Failed) as error:
            why = "it took too long" if isinstance(error, TimeoutError) else str(error).rstrip(".")
            return f"Whether it was revoked is not known: {why}.", False, _LEFT_ALONE
        lasts = min((until - datetime.now(UTC)).total_seconds(), _BELIEVED)
        if (since := single.revocation_time_utc) is not None:
            return f"The certificate has been revoked since {since:%Y-%m-%d %H:%M} UTC.", True, lasts
        return "", False, lasts

    async def _ask(self, chain: list[bytes], run: Run) -> tuple[ocsp.OCSPSingleResponse, datetime]:
        leaf = x509.load_der_x509_certificate(chain[0])
        url = _responder_of(leaf)
        if len(chain) < 2:
            raise _NoAnswer("the certificate is its own authority")
        issuer = x509.load_der_x509_certificate(chain[1])
        # Some know nothing but SHA-1 here. It only names the authority, and vouches for nothing.
        body = await self._fetch(url, _request(leaf, issuer, SHA1()).public_bytes(Encoding.DER), run)
        try:
            return _answer(body, leaf, issuer, datetime.now(UTC))
        except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
            raise _NoAnswer("what the responder says is no OCSP") from None

    async def _fetch(self, url: httpx.URL, asked: bytes, run: Run) -> bytes:
        request = httpx.Request(
            "POST",
            url,
            content=asked,
            headers={"Content-Type": "application/ocsp-request", "Connection": "close"},
            # Its way there is no part of what the target took.
            extensions={"run": Run(timeout=run.left)},
        )
        response = await self._transport.handle_async_request(request)
        answer: Answer = response.extensions["answer"]
        if response.status_code != 200:
            raise _NoAnswer(f"the responder says {response.status_code}")
        return answer.body


def _responder_of(leaf: x509.Certificate) -> httpx.URL:
    with suppress(x509.ExtensionNotFound, ValueError, httpx.InvalidURL):
        for access in leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value:
            place = access.access_location
            if access.access_method == AuthorityInformationAccessOID.OCSP and isinstance(
                place, x509.UniformResourceIdentifier
            ):
                url = httpx.URL(place.value)
                if url.scheme in ("http", "https") and url.host and 1 <= (url.port or 80) <= 65535:
                    return url
    raise _NoAnswer("the certificate names no OCSP responder, so there is nothing to ask")


def _request(leaf: x509.Certificate, issuer: x509.Certificate, by: HashAlgorithm) -> ocsp.OCSPRequest:
    return ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, by).build()


def _answer(
    body: bytes, leaf: x509.Certificate, issuer: x509.Certificate, now: datetime
) -> tuple[ocsp.OCSPSingleResponse, datetime]:
    """What is said of the certificate, and until when that may be believed."""
    response = ocsp.load_der_ocsp_response(body)
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise _NoAnswer(f"the responder says {response.response_status.name.lower().replace('_', ' ')}")
    if not any(_has_signed(signer, response) for signer in _signers(response, issuer, now)):
        raise _NoAnswer("the answer is not signed by the certificate's authority")
    for single in response.responses:
        asked = _request(leaf, issuer, single.hash_algorithm)
        names = (single.serial_number, single.issuer_key_hash, single.issuer_name_hash)
        if names == (asked.serial_number, asked.issuer_key_hash, asked.issuer_name_hash):
            break
    else:
        raise _NoAnswer("the answer is about another certificate")
    until = single.next_update_utc or single.this_update_utc + _LASTS
    if not single.this_update_utc - _CLOCKS_DIFFER <= now < until:
        raise _NoAnswer(
            f"the answer was good from {single.this_update_utc:%Y-%m-%d %H:%M} to {until:%H:%M} UTC"
        )
    if single.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
        raise _NoAnswer("the responder does not know the certificate")
    return single, until


def _signers(
    response: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime
) -> Iterator[x509.Certificate]:
    """Who may have signed it: the authority itself, or whom it has given the right to with a certificate."""
    yield issuer
    for signer in response.certificates[:_SIGNERS_AT_MOST]:
        with suppress(x509.ExtensionNotFound, InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
            signer.verify_directly_issued_by(issuer)
            usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
            if ExtendedKeyUsageOID.OCSP_SIGNING in usage and (
                signer.not_valid_before_utc <= now < signer.not_valid_after_utc
            ):
                yield signer


def _has_signed(signer: x509.Certificate, response: ocsp.OCSPResponse) -> bool:
    key, by = signer.public_key(), response.signature_hash_algorithm
    signature, said = response.signature, response.tbs_response_bytes
    # What SHA-1 or MD5 vouches for may be about something else.
    is_weak = by is not None and by.digest_size < 32
    with suppress(InvalidSignature):
        if isinstance(key, rsa.RSAPublicKey) and by is not None and not is_weak:
            key.verify(signature, said, padding.PKCS1v15(), by)
            return True
        if isinstance(key, ec.EllipticCurvePublicKey) and by is not None and not is_weak:
            key.verify(signature, said, ec.ECDSA(by))
            return True
        if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            key.verify(signature, said)
            return True
    return False
