"""Passwords: argon2id, and what is not accepted as one.

A hash takes 19 MiB and some 30 ms of a core on purpose. It is reckoned in a thread, and by few at a time:
who floods the login must not take the memory and the cores from the page.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

T = TypeVar("T")

SHORTEST: Final = 12
LONGEST: Final = 256
AT_ONCE: Final = 2
BUSY: Final = "Too many ask at once; try again in a moment."
WAITING: Final = 32

# The first of OWASP's choices that fits into little memory.
_hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
# Of a password that nobody knows, for accounts that do not exist: a wrong name is to take as long as a wrong
# password. Made once, so that no start of a server has to.
_NOBODY: Final = (
    "$argon2id$v=19$m=19456,t=2,p=1$S8/JhzSSWEs5NTSwrHTboQ$JOyFh83v+GR2E94X6LWFsfZRNGg/RpK9bn6oS28KRV8"
)
# Of the lists of what is tried first, those that are long enough to be accepted otherwise.
_COMMON: Final = frozenset(
    (
        *("123456789012", "1234567890123", "12345678901234", "123456789123", "password1234", "password12345"),
        *(
            "passwordpassword",
            "qwertyuiop12",
            "qwertyuiop123",
            "qwertyuiopasdf",
            "1q2w3e4r5t6y",
            "abcdefghijkl",
        ),
        *("administrator", "administrator1", "iloveyou1234", "letmein12345", "welcome12345", "changeme1234"),
        *(
            "1qaz2wsx3edc",
            "zaq12wsxcde3",
            "adminadminadmin",
            "statuswire12",
            "statuswire123",
            "statuspage123",
        ),
    )
)


class Busy(Exception):
    """Too many wait for their password to be checked."""


def refusal(password: str) -> str | None:
    """Why it is none to be used, in a sentence; None if it is."""
    if not SHORTEST <= len(password) <= LONGEST:
        return f"A password has from {SHORTEST} to {LONGEST} characters; this one has {len(password)}."
    if password.lower() in _COMMON or len(set(password)) < 5:
        return "This password is one of the first that are tried; choose another."
    return None


class Passwords:
    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        return await self._in_turn(lambda: _hasher.hash(password))

    async def is_right(self, password: str, hash: str | None) -> bool:
        """False also where there is no hash, and then not sooner."""
        right = await self._in_turn(lambda: _is_right(password, hash or _NOBODY))
        return right and hash is not None

    async def _in_turn(self, job: Callable[[], T]) -> T:
        if self._waiting >= WAITING:
            raise Busy
        self._waiting += 1
        try:
            async with self._free:
                return await asyncio.to_thread(job)
        finally:
            self._waiting -= 1


def _is_right(password: str, hash: str) -> bool:
    try:
        # What nobody could have set is not worth the time.
        return _hasher.verify(hash, password[: LONGEST + 1])
    except (VerificationError, InvalidHashError):
        return False
