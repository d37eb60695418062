"""The second factor: six digits that an app makes of a seed and the time, each good for one sign-in."""

import hmac
import re
from datetime import datetime
from typing import Final

import pyotp

ISSUER: Final = "Statuswire"
EVERY: Final = 30  # seconds; what is typed may be of the step before or after
_AROUND: Final = (0, -1, 1)


def new_seed() -> str:
    return pyotp.random_base32()


def purpose(user: str) -> str:
    """For which the seed of this user (by their id) is sealed, so that it is nobody else's."""
    return f"second factor of {user}"


def uri(seed: str, email: str) -> str:
    """What apps read from a QR code, or from a link."""
    return str(pyotp.TOTP(seed).provisioning_uri(name=email, issuer_name=ISSUER))


def step_of(seed: str, code: str, now: datetime) -> int | None:
    """The step in whose time that code is right; None if it is not."""
    typed = re.sub(r"\s", "", code)
    if not re.fullmatch(r"[0-9]{6}", typed):
        return None
    here = int(now.timestamp()) // EVERY
    for step in (here + around for around in _AROUND):
        if hmac.compare_digest(pyotp.TOTP(seed).generate_otp(step), typed):
            return step
    return None
