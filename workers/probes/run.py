"""One run of a probe: how far it came, and how it ended.

A probe writes into its Run as it goes, for a deadline may cut it off anywhere. It returns if the target is
well and raises if not; what each exception says of the target is decided here, once for all protocols.
"""

import errno
import ssl
import time
from datetime import datetime, timedelta
from typing import Final

from msgspec import field

from app.domain.instant import from_seconds
from app.domain.monitor import Expect, Monitor
from app.domain.result import Outcome, Phases, Result
from app.security.egress import NO_ROUTE, NotResolved, Refused, Trail

# Every class of reason there is, besides "status 500" and its kind. People with a wall token read these.
REASONS: Final = {
    "timeout": "no answer, or no whole one, in time",
    "dns": "the name has no address, or DNS gave no answer",
    "refused": "the connection was refused",
    "no route": "no way leads to the address",
    "reset": "the connection was cut by the other side",
    "closed": "the connection was closed before the answer was whole",
    "tls": "no TLS could be spoken",
    "certificate": "the certificate is not valid, or will not be for long",
    "protocol": "the answer is not in the protocol's language",
    "redirects": "redirected too often, or to nowhere",
    "too large": "the answer is larger than anything that is read",
    "header": "a header is not as expected",
    "body": "the body is not as expected",
    "json": "a value in the body is not as expected",
    "size": "the body is larger or smaller than expected",
    "answer": "other answers came than expected",
    "auth": "the target does not accept who we say we are",
    "proxy": "the proxy did not lead there",
    "version": "an older version of TLS was spoken than expected",
    "loss": "more pings were lost than expected",
    "clock": "the clock is off, or says itself that it is not to be relied on",
    "registration": "the domain's registration has ended, is blocked, or ends soon",
    "slow": "a right answer that took longer than it may",
    "not permitted": "Statuswire may not look there, or not in this way",
    "worker": "the worker could not look: its own fault, not the target's",
}

# Errors that are ours: no descriptors, memory, buffers, ports or network left.
_OURS: Final = frozenset(
    {
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.ENETDOWN),
        *(errno.EINVAL, errno.EBADF, errno.ENOTSOCK),
    }
)
_FORBIDDEN: Final = frozenset({errno.EPERM, errno.EACCES})
_CUT: Final = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED})

_QUOTED_AT_MOST: Final = 120

_UNTIL_THEN: Final = {
    "dns": "DNS had not answered",
    "connect": "there was no connection",
    "tls": "the TLS handshake was not over",
    "first_byte": "not a byte of an answer had come",
    "rest": "the answer was not whole",
    "answer": "there was no answer",
}


_BUSY: Final = "This worker had too many large answers to read at once, and this one did not get its turn."


class Failed(Exception):
    """The target, or the path to it, is not as it should be. `detail` is a sentence for operators."""

    def __init__(self, reason: str, detail: str, outcome: Outcome = Outcome.FAIL) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.reason = reason
        self.detail = detail


class Unfit(Failed):
    """We could not look as the monitor asks us to; that is about us, not about the target."""

    def __init__(self, detail: str, reason: str = "worker") -> None:
        super().__init__(reason, detail, Outcome.INCONCLUSIVE)


FORESEEN: Final = (Failed, Refused, NotResolved, OSError, MemoryError)


class Secrets(list[str]):
    """What was filled in for one run. A trace in the log shows values, and these it does not show."""

    def __repr__(self) -> str:
        return f"({len(self)} secrets)"


class Run(Trail):
    """`stage` is what is waited for: one of dns, connect, tls, first_byte, rest, turn, answer. Phases of
    several connections, as redirects make them, add up. `secrets` are in no detail, whoever repeats them."""

    timeout: float = 5.0
    family: str = "any"
    secrets: Secrets = field(default_factory=Secrets)
    concern: tuple[str, str] | None = None  # a reason and a detail: it is right, and may not stay so
    remark: str = ""  # a detail of what is right
    tls: float | None = None
    first_byte: float | None = None
    total: float | None = None
    certificate_until: datetime | None = None
    began: float = field(default_factory=time.perf_counter)

    @property
    def left(self) -> float:
        return self.began + self.timeout - time.perf_counter()

    def heard(self, asked: float, held: float) -> None:
        """The first of an answer to what was `asked` is here, and the kernel had held it for so long."""
        waited = time.perf_counter() - asked
        held = min(held, waited)
        self.first_byte = (self.first_byte or 0.0) + waited - held
        self.held += held
        self.stage = "rest"

    def answered(self) -> None:
        """The answer is there, right or wrong. What is done with it afterwards is our time, not the
        target's."""
        self.total = time.perf_counter() - self.began

    def quoted(self, said: bytes | str) -> str:
        """What a target said, as an operator may read it: short, printable, and without our secrets."""
        text = said.decode(errors="replace") if isinstance(said, bytes) else said
        text = "".join(c if c.isprintable() else " " for c in self._without_secrets(text[:4096])).strip()
        return f'"{text}"' if len(text) <= _QUOTED_AT_MOST else f'"{text[:_QUOTED_AT_MOST]}..."'

    def ended_well(self, expect: Expect) -> Result:
        if self.concern is not None:
            return self._result(Outcome.SLOW, *self.concern)
        days = expect.certificate_days
        until = self.certificate_until
        if (
            days is not None
            and until is not None
            and (lasts := until - from_seconds(time.time())) < timedelta(days=days)
        ):
            left = max(lasts / timedelta(days=1), 0.0)
            detail = f"The certificate ends in {left:.1f} days; {days:g} were expected at least."
            return self._result(Outcome.SLOW, "certificate", detail)
        if expect.slower_than is not None and self.total is not None and self.total > expect.slower_than:
            detail = f"It took {self.total * 1000:.0f} ms; up to {expect.slower_than * 1000:.0f} is right."
            return self._result(Outcome.SLOW, "slow", detail)
        return self._result(Outcome.OK, detail=self.remark)

    def ended_badly(self, error: BaseException, monitor: Monitor) -> Result:
        """What an exception says of the target. One that is not FORESEEN is a bug of ours: nothing."""
        match error:
            case Failed():
                return self._result(error.outcome, error.reason, error.detail)
            case Refused():
                return self._result(Outcome.INCONCLUSIVE, "not permitted", str(error))
            case NotResolved():
                return self._result(Outcome.UNREACHABLE, "dns", str(error))
            case TimeoutError():
                if self.stage == "turn":
                    return self._result(Outcome.INCONCLUSIVE, "worker", _BUSY)
                detail = f"After {monitor.timeout:g} s {_UNTIL_THEN[self.stage]}{self._whence()}."
                return self._result(self._path_or_target(), "timeout", detail)
            case ssl.SSLCertVerificationError():
                detail = f"The certificate is not valid: {error.verify_message.rstrip('.')}."
                return self._result(Outcome.FAIL, "certificate", detail)
            case ssl.SSLError():
                # Only those that OpenSSL itself made have a reason.
                why = (getattr(error, "reason", None) or str(error)).replace("_", " ").lower()
                return self._result(Outcome.FAIL, "tls", f"The TLS handshake failed: {why}.")
            case OSError():
                return self._result(*self._failed_call(error))
            case MemoryError():
                return self._result(Outcome.INCONCLUSIVE, "worker", "This worker is out of memory.")
            case _:
                what = f"A fault of Statuswire itself: {type(error).__name__}. The log has more."
                return self._result(Outcome.INCONCLUSIVE, "worker", what)

    def _failed_call(self, error: OSError) -> tuple[Outcome, str, str]:
        why = error.strerror or str(error) or type(error).__name__
        if error.errno in _OURS:
            return Outcome.INCONCLUSIVE, "worker", f"This worker could not look: {why}."
        if error.errno in _FORBIDDEN:
            return Outcome.INCONCLUSIVE, "not permitted", f"This machine forbids the connection: {why}."
        if error.errno == errno.ECONNREFUSED:
            return Outcome.UNREACHABLE, "refused", f"The connection was refused{self._whence()}."
        if error.errno in _CUT:
            return self._path_or_target(), "reset", f"The connection was cut{self._whence()}: {why}."
        if error.errno in NO_ROUTE:
            return Outcome.UNREACHABLE, "no route", f"No way leads there{self._whence()}: {why}."
        return Outcome.UNREACHABLE, "no route", f"The connection failed{self._whence()}: {why}."

    def _path_or_target(self) -> Outcome:
        """Before there is a connection the path is to blame, afterwards the target."""
        return Outcome.UNREACHABLE if self.stage in ("dns", "connect", "answer") else Outcome.FAIL

    def _without_secrets(self, text: str) -> str:
        # The longest first: one may be a part of another.
        for secret in sorted(filter(None, self.secrets), key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def _whence(self) -> str:
        return f" ({self.address})" if self.address is not None else ""

    def _phases(self) -> Phases:
        dns, connect, tls, first_byte, total = self.dns, self.connect, self.tls, self.first_byte, self.total
        if total is None:
            return Phases(dns, connect, tls, first_byte)
        known = (dns or 0.0) + (connect or 0.0) + (tls or 0.0) + (first_byte or 0.0) + self.held
        return Phases(dns, connect, tls, first_byte, max(total - known, 0.0), self.held, total)

    def _result(self, outcome: Outcome, reason: str = "", detail: str = "") -> Result:
        return Result(
            at=from_seconds(time.time()),
            outcome=outcome,
            phases=self._phases(),
            reason=reason,
            detail=self._without_secrets(detail) if detail else "",
            address=None if self.address is None else self.address.host,
            certificate_until=self.certificate_until,
        )
