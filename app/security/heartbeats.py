"""The tokens by which jobs are known: each is made of its monitor's key and the installation's secret, so
that none is kept anywhere, and none has to be invented for the config file.
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from hashlib import sha256

_BYTES = 24


def token_of(secret: bytes, monitor: str) -> str:
    return urlsafe_b64encode(_digest(secret, "token", monitor)[:_BYTES]).decode()


class Tokens:
    """Whose token it is. Looked for by a digest that only we can make: how long that takes tells nobody how
    much of a guess was right."""

    def __init__(self, secret: bytes, monitors: Iterable[str]) -> None:
        self._secret = secret
        self._monitors = {self._mark(token_of(secret, monitor)): monitor for monitor in monitors}

    def monitor(self, token: str) -> str | None:
        return self._monitors.get(self._mark(token))

    def _mark(self, token: str) -> bytes:
        return _digest(self._secret, "mark", token)


def _digest(secret: bytes, purpose: str, text: str) -> bytes:
    return hmac.digest(secret, f"{purpose}\0{text}".encode(errors="replace"), sha256)
