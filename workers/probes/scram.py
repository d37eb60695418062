"""SCRAM-SHA-256 (RFC 5802 and 7677): to prove that we know a password without saying it, and to have proven
that the server knows it too.
"""

import hmac
import secrets
from base64 import b64decode, b64encode
from hashlib import pbkdf2_hmac, sha256
from typing import Final

from workers.probes.run import Failed

# Postgres has 4,096. A hostile server may ask for any number, and we would hash for hours.
_ITERATIONS_AT_MOST: Final = 100_000


class Scram:
    def __init__(self, password: str) -> None:
        self._password = password.encode()
        self._nonce = b64encode(secrets.token_bytes(18))
        self._bare = b"n=,r=" + self._nonce
        self._server_signature = b""

    @property
    def first(self) -> bytes:
        return b"n,," + self._bare

    def final(self, challenge: bytes) -> bytes:
        """The proof, in answer to the server's first message."""
        fields = _fields(challenge)
        nonce, salt, iterations = (
            fields.get(b"r", b""),
            _decoded(fields.get(b"s", b"")),
            fields.get(b"i", b""),
        )
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise Failed("protocol", "The server's challenge is not for us.")
        if not iterations.isdigit() or len(iterations) > 9 or not 0 < int(iterations) <= _ITERATIONS_AT_MOST:
            raise Failed("protocol", f"It asks for more than {_ITERATIONS_AT_MOST:,} rounds of hashing.")
        salted = pbkdf2_hmac("sha256", self._password, salt, int(iterations))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        without_proof = b"c=biws,r=" + nonce
        signed = b",".join((self._bare, challenge, without_proof))
        signature = hmac.digest(sha256(client_key).digest(), signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        server_key = hmac.digest(salted, b"Server Key", "sha256")
        self._server_signature = hmac.digest(server_key, signed, "sha256")
        return without_proof + b",p=" + b64encode(proof)

    def verify(self, last: bytes) -> None:
        """Raises Failed if the server has not proven that it knows the password."""
        proven = _decoded(_fields(last).get(b"v", b""))
        if not self._server_signature or not hmac.compare_digest(proven, self._server_signature):
            raise Failed("auth", "The server could not prove that it knows the password.")


def _fields(message: bytes) -> dict[bytes, bytes]:
    return {part[:1]: part[2:] for part in message.split(b",") if part[1:2] == b"="}


def _decoded(text: bytes) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise Failed("protocol", "The server's challenge cannot be read.") from None
