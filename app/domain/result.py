"""What one run of a probe found. A probe never raises: whatever happens to it is a Result."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct


class Outcome(StrEnum):
    """`fail`: the target answered, and wrongly. `unreachable`: the path to it failed. `inconclusive`: our
    own fault, so it says nothing of the target and moves nothing."""

    OK = "ok"
    SLOW = "slow"
    FAIL = "fail"
    UNREACHABLE = "unreachable"
    INCONCLUSIVE = "inconclusive"


class Phases(Struct, frozen=True, omit_defaults=True, gc=False):
    """Where the time went, in seconds. None where the protocol has no such phase or it was not reached.

    They add up to the total. `held` is what our own loop came late to: the kernel knows since when an answer
    was there. `rest` is all that is left: what followed the first byte, and addresses tried in vain.
    """

    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    rest: float | None = None
    held: float | None = None
    total: float | None = None


class Result(Struct, frozen=True, kw_only=True, gc=False):
    """`at` is the instant the answer was had. `reason` is a class such as "timeout", fit to be shown to
    people with a wall token; `detail` is for operators only: it may name addresses, and may quote what the
    target said."""

    at: datetime
    outcome: Outcome
    phases: Phases = Phases()
    reason: str = ""
    detail: str = ""
    address: str | None = None
    certificate_until: datetime | None = None

    @property
    def took(self) -> float | None:
        return self.phases.total
