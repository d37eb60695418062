"""The tokens by which jobs are known: each is made of its monitor's key and the installation's secret, so
that none is kept anywhere, and none has to be invented for the config file.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from hashlib import sha256
from secrets import token_hex

from app.db.engine import Database, Transaction
from app.db.heartbeats import change_secret, kept_secret
from app.security.secrets import Secrets

_BYTES = 24
_PURPOSE = "heartbeats"


async def read_secret(database: Database, secrets: Secrets) -> bytes:
    """The same for all servers. Whoever asks first makes it. Raises Unreadable, or DatabaseDown."""
    async with database.writing() as transaction:
        kept = await kept_secret(transaction, secrets.seal(token_hex(32), _PURPOSE))
        if _is_open(kept):
            await change_secret(transaction, kept := secrets.seal(kept, _PURPOSE))
    return bytes.fromhex(secrets.open(kept, _PURPOSE))


async def reseal_secret(transaction: Transaction, secrets: Secrets) -> None:
    """By the first key. Raises Unreadable."""
    kept = await kept_secret(transaction, secrets.seal(token_hex(32), _PURPOSE))
    seal = secrets.seal if _is_open(kept) else secrets.reseal
    await change_secret(transaction, seal(kept, _PURPOSE))


def _is_open(kept: str) -> bool:
    """As older servers kept it."""
    return re.fullmatch(r"[0-9a-f]{64}", kept) is not None


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
