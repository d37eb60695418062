"""Tokens as text: `sw_<id>_<secret>` for a program, `wall_<id>_<secret>` for a screen. Who has the text has
the token, so it is shown once, and only its hash is kept.

The secret has 160 random bits: it cannot be guessed, so that a hash which is slow on purpose would protect
nothing more, and each request would pay for it.
"""

import hmac
import re
from hashlib import sha256
from secrets import choice
from typing import Final

from msgspec import Struct

PROGRAM: Final = "sw"
WALL: Final = "wall"
# Without what is easily taken for another.
_LETTERS: Final = "abcdefghijkmnpqrstuvwxyz23456789"
_FORM: Final = re.compile(rf"({PROGRAM}|{WALL})_([{_LETTERS}]{{8}})_([{_LETTERS}]{{32}})")


class Text(Struct, frozen=True):
    """A token taken apart."""

    kind: str
    id: str
    secret: str

    def __str__(self) -> str:
        return f"{self.kind}_{self.id}_{self.secret}"

    @property
    def hash(self) -> str:
        return hash_of(self.secret)


def new(kind: str) -> Text:
    return Text(kind, some_letters(8), some_letters(32))


def parse(text: str) -> Text | None:
    """None if it has not the form of a token."""
    match = _FORM.fullmatch(text)
    return None if match is None else Text(*match.groups())


def hash_of(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def is_hash_of(secret: str, hash: str) -> bool:
    """In the same time, wherever the two differ."""
    return hmac.compare_digest(hash_of(secret), hash)


def some_letters(count: int) -> str:
    """Five random bits each."""
    return "".join(choice(_LETTERS) for _ in range(count))
