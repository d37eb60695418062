"""domain: ask the registry, by RDAP (RFC 9082 and 9083), until when a name is registered.

What is watched is the registration. A registry that does not answer says nothing of it, so that is
inconclusive and never down.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import httpx
import msgspec
from msgspec import Struct

from app.domain.kinds.domain import Domain as Words
from app.domain.monitor import Monitor
from app.domain.result import Outcome
from app.security.egress import NotResolved, ascii_name
from workers.probes.answer import Answer
from workers.probes.equipment import Equipment, Probe, words_of
from workers.probes.expect import decode
from workers.probes.run import Failed, Run, Unfit
from workers.probes.transport import Transport

T = TypeVar("T")

# Which registry answers for which top-level domain.
BOOTSTRAP: Final = "https://data.iana.org/rdap/dns.json"
_BOOTSTRAP_LIVES: Final = 86400.0
_REDIRECTS_AT_MOST: Final = 3
_MARGIN: Final = 0.02
# With these the name does not work, whatever the date says.
_BLOCKED: Final = frozenset({"client hold", "server hold", "pending delete", "redemption period"})


class _Event(Struct, frozen=True):
    eventAction: str = ""
    eventDate: str = ""


class _Registration(Struct, frozen=True):
    events: tuple[_Event, ...] = ()
    status: tuple[str, ...] = ()


class _Bootstrap(Struct, frozen=True):
    services: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]


class Domain(Probe, kind="domain"):
    def __init__(self, equipment: Equipment) -> None:
        super().__init__(equipment)
        self._transport = Transport(equipment.egress, equipment.certificates)
        self._servers: dict[str, str] = {}
        self._servers_until = 0.0

    async def probe(self, monitor: Monitor, run: Run) -> None:
        words = words_of(Words, monitor)
        name = ascii_name(monitor.target).rstrip(".").lower()
        try:
            async with asyncio.timeout(max(run.left - _MARGIN, 0.0)):
                server = self.equipment.fill(words.server, run) or await self._server_of(name, run)
                status, body = await self._get(f"{server.rstrip('/')}/domain/{name}", run)
        except (OSError, NotResolved, Failed) as error:
            raise _no_answer(error) from None
        run.answered()
        if status == 404:
            raise Failed("registration", f"The registry knows no {name}.")
        if status != 200:
            raise _no_answer(f"the status is {status}")
        _check(_decoded(body, _Registration), name, words.days, datetime.now(UTC), run)

    async def _server_of(self, name: str, run: Run) -> str:
        if time.monotonic() >= self._servers_until:
            status, body = await self._get(BOOTSTRAP, run)
            if status != 200:
                raise _no_answer(f"the list of registries has the status {status}")
            services = _decoded(body, _Bootstrap).services
            self._servers = {ending.lower(): _best(urls) for endings, urls in services for ending in endings}
            self._servers_until = time.monotonic() + _BOOTSTRAP_LIVES
        labels = name.split(".")
        for n in range(1, len(labels)):
            if server := self._servers.get(".".join(labels[n:])):
                return server
        raise Unfit(f"No registry of {name} answers by RDAP; if one does, name it as `server`.")

    async def _get(self, url: str, run: Run) -> tuple[int, bytes]:
        headers = {"Accept": "application/rdap+json, application/json", "User-Agent": "Statuswire"}
        for _ in range(_REDIRECTS_AT_MOST + 1):
            try:
                request = httpx.Request("GET", url, headers=headers | {"Connection": "close"})
                if request.url.scheme not in ("http", "https") or not request.url.host:
                    raise Unfit("The server is no http:// or https:// URL.")
                request.extensions = {"run": run}
                response = await self._transport.handle_async_request(request)
                if not response.is_redirect:
                    answer: Answer = response.extensions["answer"]
                    encoding = response.headers.get("content-encoding", "")
                    return response.status_code, decode(answer.body, encoding, answer.whole)[0]
                url = str(request.url.join(response.headers["location"]))
            except (httpx.InvalidURL, UnicodeError):
                raise Unfit("The server is no URL, or redirects to something that is none.") from None
        raise Failed("redirects", f"It redirects more than {_REDIRECTS_AT_MOST} times.")


def _check(registration: _Registration, name: str, days: float, now: datetime, run: Run) -> None:
    if blocked := sorted(_BLOCKED.intersection(each.lower() for each in registration.status)):
        raise Failed("registration", f"The registration of {name} is blocked: {', '.join(blocked)}.")
    until = _end_of(registration)
    left = (until - now) / timedelta(days=1)
    if left <= 0:
        raise Failed("registration", f"The registration of {name} ended on {until:%Y-%m-%d}.")
    if left < days:
        detail = f"The registration ends on {until:%Y-%m-%d}, in {left:.0f} days; {days:g} are right."
        run.concern = ("registration", detail)


def _end_of(registration: _Registration) -> datetime:
    for event in registration.events:
        if event.eventAction == "expiration":
            try:
                until = datetime.fromisoformat(event.eventDate)
            except ValueError:
                raise _no_answer("it says a date that is none") from None
            return until if until.tzinfo is not None else until.replace(tzinfo=UTC)
    raise Unfit("The registry does not tell when registrations end; so this cannot be watched.")


def _decoded(body: bytes, type: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=type)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise _no_answer("what it says is no RDAP") from None


def _best(urls: Sequence[str]) -> str:
    return next((url for url in urls if url.startswith("https:")), urls[0] if urls else "")


def _no_answer(why: Exception | str) -> Failed:
    if isinstance(why, Failed) and why.outcome is Outcome.INCONCLUSIVE:
        return why
    said = "it took too long" if isinstance(why, TimeoutError) else str(why).rstrip(".")
    return Failed("worker", f"The registry could not be asked: {said}.", Outcome.INCONCLUSIVE)
