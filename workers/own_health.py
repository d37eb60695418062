"""Whether this worker is fit to judge. A worker that has lost its own network must call nothing down.

So a failure that a broken path could explain is believed only after a canary has answered: an address that
has nothing to do with what is watched, asked after the failure was seen. What is found while the worker is
not well itself is no verdict; the monitors turn unknown in time, and are right again with the next look.
"""

import asyncio
import os
import resource
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import structlog
from msgspec import Struct
from msgspec.structs import replace

from app.domain.result import Outcome, Result
from app.security.egress import Egress, NotResolved, Refused, Trail
from workers.lag import Lag

CANARY_PATIENCE: Final = 2.0
LOOK_EVERY: Final = 1.0

# Of one look; what single probes lost by less is `patrol.doubt`'s matter.
_LAGGING: Final = 0.5
# What a clock may be slewed in one look: NTP does half a millisecond.
_STEP: Final = 1.0
# A link that is back is not yet a path: neighbours and routes are learnt anew, and a lost SYN is said again
# after a second.
SETTLES: Final = 2.0
_SPARE_DESCRIPTORS: Final = 32

# So many addresses, and half of all that were heard of in so many seconds, failing at once.
_MANY: Final = 3
_AT_ONCE: Final = 15.0
_REMEMBERED: Final = 10_000  # addresses
_FORGOTTEN: Final = 600.0  # what was not looked at for so long may be in no file any more

# What a broken path looks like from here, besides every `unreachable`: it may break in mid-answer.
_OF_THE_PATH: Final = frozenset({"timeout", "reset", "closed", "tls", "loss", "dns", "proxy"})
# What hangs on what day it is.
_OF_THE_CLOCK: Final = frozenset({"certificate", "registration", "clock"})
# Seconds. Less makes a difference to few certificates.
_CLOCKS_DIFFER: Final = 3600.0
_OF_CONTAINERS: Final = ("lo", "veth", "docker", "br-", "virbr", "cali", "cni", "flannel", "tap")
_INTERFACES: Final = Path("/sys/class/net")

log = structlog.get_logger(__name__)


class _Seen(Struct):
    """The last that was heard of an address."""

    at: float
    failed_since: float | None


class Question:
    """Asked once for all who wonder at the same time."""

    def __init__(self, ask: Callable[[], Awaitable[bool]]) -> None:
        self._ask = ask
        self.under_way: asyncio.Task[bool] | None = None
        self._next: asyncio.Task[bool] | None = None

    async def anew(self) -> bool:
        """The answer to what was asked after this call. Whoever comes while one question is under way waits
        for the next, all together: a thousand failures at once are two questions."""
        if self._next is None:
            self._next = asyncio.create_task(self._ask_after(self.under_way))
        return await asyncio.shield(self._next)

    def close(self) -> None:
        for asking in (self._next, self.under_way):
            if asking is not None:
                asking.cancel()

    async def _ask_after(self, before: asyncio.Task[bool] | None) -> bool:
        if before is not None:
            await asyncio.wait([before])
        self.under_way, self._next = self._next, None
        return await self._ask()


class OwnHealth:
    """`canaries` are host:port pairs; that one refuses a connection is an answer. `trouble` says why what
    is found now is no verdict; empty if all is well."""

    def __init__(
        self,
        canaries: Sequence[tuple[str, int]] = (),
        monotonic: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        interfaces: Path = _INTERFACES,
        nameservers: Sequence[str] = (),
    ) -> None:
        self.trouble = ""
        self.no_dns = ""
        self.wrong_clock = ""
        self._canaries = canaries
        self._monotonic = monotonic
        self._wall_clock = wall_clock
        self._interfaces = interfaces
        # Its own gate: Redis may be a canary, and is out of bounds for probes.
        self._egress = Egress(nameservers=nameservers)
        self._process = ""
        self._troubled = float("-inf")
        self._seen: dict[str, _Seen] = {}
        self._canary = Question(self._does_a_canary_answer)
        self._dns = Question(lambda: self._egress.dns_answers(CANARY_PATIENCE))
        self._dnsless = float("-inf")
        self._offset = wall_clock() - monotonic()
        self._links = _link_changes(interfaces)

    async def watch(self, lag: Lag) -> None:
        """For ever."""
        while True:
            stolen = lag.stolen
            await asyncio.sleep(LOOK_EVERY)
            await self.look(lag.stolen - stolen)

    async def look(self, stolen: float = 0.0) -> None:
        """How this process is. The network is asked for only while it is lost: else each failure asks."""
        self._process = self._of_this_process(stolen)
        lost = self._of_a_moment()
        if not lost and self._lost_network:
            lost = await self._of_the_network() or self._of_many_failures()
        self._say(lost or self._process)
        if self.no_dns:
            await self._ask_dns()

    async def doubt(self, result: Result, began: float) -> Result:
        """The result of a probe that began at `began`; or no verdict, if it says that the target cannot be
        reached, or not in time, and this worker was not well since then."""
        if result.outcome is Outcome.INCONCLUSIVE:
            return result
        self._note(result)
        if _may_be_the_path(result):
            if not _is_near(result):
                self._say(await self._of_the_network() or self._of_many_failures() or self._process)
        elif result.reason in _OF_THE_CLOCK and self.wrong_clock:
            return _no_verdict(result, self.wrong_clock)
        elif result.reason != "slow":
            return result  # an answer is an answer, whatever else is broken
        if not self.trouble and self._troubled + SETTLES < began:
            if not _is_of_dns(result) or await self._has_dns_since(began):
                return result
        if _is_near(result) and self._lost_network:
            return result  # no network is needed for what is on this machine
        return _no_verdict(result, self.trouble or self.no_dns or "it was not well")

    def compare(self, at: float) -> None:
        """Its clock with that of Redis. Which of the two is wrong nobody knows, so no date is judged."""
        ahead = self._wall_clock() - at
        before, differs = self.wrong_clock, abs(ahead) > _CLOCKS_DIFFER
        self.wrong_clock = f"its clock and that of Redis differ by {abs(ahead):.0f} s" if differs else ""
        if differs and not before:
            log.warning("what hangs on the date is no verdict", why=self.wrong_clock)
        elif before and not differs:
            log.info("the clocks agree again", was=before)

    async def close(self) -> None:
        self._canary.close()
        self._dns.close()
        await self._egress.close()

    @property
    def told(self) -> str:
        """What is the matter, for operators. But for the first, most is judged all the same."""
        return self.trouble or self.no_dns or self.wrong_clock

    @property
    def _lost_network(self) -> bool:
        return self.trouble.startswith(_NETWORK)

    def _say(self, trouble: str) -> None:
        now = self._monotonic()
        if trouble:
            self._troubled = now
        if trouble and not self.trouble:
            lost = trouble.startswith(_NETWORK)
            notice = "worker lost its network" if lost else "this worker is not fit to judge"
            log.warning(f"{notice}: what fails now is no verdict", why=trouble)
        elif self.trouble and not trouble:
            log.info("this worker is fit to judge again", was=self.trouble)
        self.trouble = trouble

    # The network

    async def _of_the_network(self) -> str:
        if not _has_link(self._interfaces):
            return f"{_NETWORK}, no interface has a link"
        if lost := self._of_a_moment():
            return lost
        if self._canaries and not await self._canary.anew():
            return f"{_NETWORK}, no canary answers"
        return ""

    def _of_a_moment(self) -> str:
        """A link that went and has come back meanwhile: the kernel counts, and no canary could tell."""
        before, self._links = self._links, _link_changes(self._interfaces)
        gone = [name for name, changes in self._links.items() if changes > before.get(name, changes)]
        return f"{_NETWORK} for a moment, the link of {gone[0]} was gone" if gone else ""

    async def _does_a_canary_answer(self) -> bool:
        asked = [asyncio.create_task(self._answers(host, port)) for host, port in self._canaries]
        try:
            for answer in asyncio.as_completed(asked):
                if await answer:
                    return True
            return False
        finally:
            for each in asked:
                each.cancel()

    async def _answers(self, host: str, port: int) -> bool:
        try:
            async with asyncio.timeout(CANARY_PATIENCE):
                (await self._egress.connect(host, port, Trail(), CANARY_PATIENCE)).close()
        except (OSError, NotResolved, Refused) as error:
            return isinstance(error, ConnectionRefusedError)
        return True

    # Its DNS

    async def _has_dns_since(self, began: float) -> bool:
        """A name that could not be looked up is held against nobody if no name can be."""
        await self._ask_dns()
        return not self.no_dns and self._dnsless + SETTLES < began

    async def _ask_dns(self) -> None:
        answers, before = await self._dns.anew(), self.no_dns
        self.no_dns = "" if answers else _NO_DNS
        if not answers:
            self._dnsless = self._monotonic()
        if self.no_dns and not before:
            log.warning("worker lost its DNS: a name that it cannot look up is no verdict", why=_NO_DNS)
        elif before and not self.no_dns:
            log.info("this worker has DNS again")

    # Many failures at once

    def _note(self, result: Result) -> None:
        if result.address is None or _is_near(result):
            return
        now = self._monotonic()
        before = self._seen.pop(result.address, None)
        since = before.failed_since if before is not None else None
        failed = _may_be_the_path(result)
        self._seen[result.address] = _Seen(now, (since or now) if failed else None)
        if len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]

    def _of_many_failures(self) -> str:
        """Where a canary has answered, the targets are to blame, however many they are."""
        if self._canaries:
            return ""
        now = self._monotonic()
        # What began to fail while all was lost counts until it answers, or most others do.
        newest = float("inf") if self._lost_network else _AT_ONCE
        failing = [
            each
            for each in self._seen.values()
            if each.failed_since is not None
            and now - each.failed_since <= newest
            and now - each.at <= _FORGOTTEN
        ]
        recent = (each for each in self._seen.values() if now - each.at <= _AT_ONCE)
        well = sum(seen.failed_since is None for seen in recent)
        if len(failing) < _MANY or len(failing) < well:
            return ""
        return f"{_NETWORK}, {len(failing)} of {len(failing) + well} targets failed at once"

    # This process

    def _of_this_process(self, stolen: float) -> str:
        offset = self._wall_clock() - self._monotonic()
        step, self._offset = offset - self._offset, offset
        if abs(step) > _STEP:
            return f"its clock was set by {step:+.1f} s"
        if stolen > _LAGGING:
            return f"it stood still for {stolen:.1f} s"
        if (free := _free_descriptors()) < _SPARE_DESCRIPTORS:
            return f"only {free} file descriptors are left"
        return ""


_NETWORK: Final = "it lost its network"
_NO_DNS: Final = "none of its DNS servers answers"


def _may_be_the_path(result: Result) -> bool:
    return result.outcome is Outcome.UNREACHABLE or (
        result.outcome is Outcome.FAIL and result.reason in _OF_THE_PATH
    )


def _no_verdict(result: Result, why: str) -> Result:
    detail = f"No verdict, because of this worker itself: {why}."
    return replace(result, outcome=Outcome.INCONCLUSIVE, reason="worker", detail=detail)


def _is_of_dns(result: Result) -> bool:
    """Whether it came no further than to ask for an address."""
    waited = result.reason == "timeout" and result.outcome is Outcome.UNREACHABLE
    return result.address is None and (result.reason == "dns" or waited)


def _is_near(result: Result) -> bool:
    return result.address is not None and _is_loopback(result.address)


@lru_cache(4096)  # asked of every result
def _is_loopback(address: str) -> bool:
    return ip_address(address).is_loopback


def _has_link(interfaces: Path) -> bool:
    """True also where the kernel does not say."""
    try:
        others = [each for each in interfaces.iterdir() if each.name != "lo"]
    except OSError:
        return True
    return any(_is_up(each) for each in others)


def _is_up(interface: Path) -> bool:
    # One that is switched off has no carrier to be read, and EINVAL says so.
    with suppress(OSError):
        return (interface / "carrier").read_text().strip() == "1"
    return False


def _link_changes(interfaces: Path) -> dict[str, int]:
    """How often the link of each interface has come and gone. Those of containers come and go with them, and
    are none of ours."""
    found = {}
    with suppress(OSError):
        for interface in interfaces.iterdir():
            if not interface.name.startswith(_OF_CONTAINERS):
                with suppress(OSError, ValueError):
                    found[interface.name] = int((interface / "carrier_changes").read_text())
    return found


def _free_descriptors() -> int:
    """The soft limit is what counts. Where the kernel does not list those in use, plenty."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        return limit - len(os.listdir("/proc/self/fd"))
    except OSError:
        return _SPARE_DESCRIPTORS
