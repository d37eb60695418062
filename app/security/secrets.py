"""Secrets that must be kept and used again (seeds of second factors, credentials of channels): sealed in the
database, masked wherever they are shown.

The key is not in the database: it is STATUSWIRE_SECRET_KEY, or the file `secret.key` in the data directory,
which is made at the first start. Several keys, with commas between, are one that seals and others that still
open: so a key is changed while everything runs. Each sealed value says within what it is for and whose it is:
copied into another row, or given in another place, it does not open.
"""

import base64
import hmac
import os
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from app.config import Config

MASK: Final = "••••••••"
_FILE: Final = "secret.key"
# What older servers have sealed begins with a letter, a digit or a bracket, and has no purpose.
_BOUND: Final = "\x01"
_END: Final = "\x00"


class BadKey(Exception):
    """One sentence: what is wrong with the key, and what would be right."""


class Unreadable(Exception):
    """It was sealed with a key that is not there any more, or for something else."""


class Secrets:
    """`keys`: the first one seals, all of them open."""

    def __init__(self, keys: Sequence[str]) -> None:
        # One key for each purpose: what one of them gives away says nothing of the other.
        self._derived = [hmac.digest(key.encode(), b"statuswire derive", "sha256") for key in keys]
        self._fernet = MultiFernet([Fernet(_fernet_key(key)) for key in keys])

    def seal(self, text: str, purpose: str) -> str:
        """`purpose` is what it is for and, if there are several of these, whose: `second factor of <id>`."""
        return self._fernet.encrypt(f"{_BOUND}{purpose}{_END}{text}".encode()).decode()

    def open(self, sealed: str, purpose: str, younger_than: float | None = None) -> str:
        """`younger_than` seconds, if it is good for a while only."""
        try:
            ttl = None if younger_than is None else int(younger_than)
            opened = self._fernet.decrypt(sealed.encode(), ttl).decode()
        except (InvalidToken, ValueError):
            raise Unreadable from None
        if not opened.startswith(_BOUND):
            return opened
        its, _, text = opened.removeprefix(_BOUND).partition(_END)
        if its != purpose:
            raise Unreadable
        return text

    def reseal(self, sealed: str, purpose: str) -> str:
        """The same, by the first key, and bound to its purpose if it was not."""
        return self.seal(self.open(sealed, purpose), purpose)

    def derive(self, purpose: str) -> str:
        """A secret of 128 bits that is the same for all who have the first key."""
        return hmac.digest(self._derived[0], purpose.encode(), "sha256").hex()[:32]


def read_secrets(config: Config) -> Secrets:
    """Raises BadKey."""
    return Secrets(config.secret_keys or [_key_of(config.data / _FILE)])


def mask(secret: str) -> str:
    """What is shown in its place. It does not tell how long it is."""
    return MASK if secret else ""


def _key_of(file: Path) -> str:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            _make(file)
        file.chmod(0o600)
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise BadKey(
            f"The secret key {file} cannot be used: {why}; make it readable for this user, or set "
            "STATUSWIRE_SECRET_KEY."
        ) from None


def _make(file: Path) -> None:
    """Whole or not at all, and of several processes that begin at once one makes it."""
    draft = file.with_name(f"{file.name}.{token_hex(4)}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as opened:
            opened.write(token_hex(32) + "\n")
            opened.flush()
            os.fsync(opened.fileno())
        with suppress(FileExistsError):
            os.link(draft, file)
    finally:
        draft.unlink()


def _fernet_key(key: str) -> bytes:
    return base64.urlsafe_b64encode(sha256(b"statuswire seal" + key.encode()).digest())
