"""`/v1/heartbeats/{token}`: a job says that it begins, that it has ended, or with which exit code.

Taken means that the log on Redis has it; until then the job waits, for a few seconds at most, and is then
told to try again. What a heartbeat makes of its monitor is worked out by `fold`. Jobs use curl without `-X`
too, so every method does the same. The token is all the login there is, and is never logged.
"""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from secrets import token_hex
from typing import Any, Final

import structlog
from litestar import Request, Response, route
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from app.db.engine import Database, DatabaseDown
from app.db.heartbeats import keep_log
from app.domain import heartbeat
from app.domain.events import Heartbeat, Word
from app.domain.heartbeat import Said
from app.domain.instant import from_seconds
from app.domain.monitor import Catalog
from app.feed import Feed, FeedDown
from app.security import scopes
from app.security.callers import Callers
from app.security.heartbeats import Tokens, read_secret
from app.security.secrets import Secrets, Unreadable

LOG_AT_MOST: Final = 10_000  # bytes of what a job tells; the end of it, where errors stand
READ_AT_MOST: Final = 1 << 20
# For Redis to be back. Most jobs try again, but not all, and a restart takes no longer.
PATIENCE: Final = 10.0
WAITING_AT_MOST: Final = 200

# The token in the path is looked at here.
PUBLIC_SCOPE: Final = {"scope": scopes.PUBLIC}
_METHODS: Final = [HttpMethod.GET, HttpMethod.HEAD, HttpMethod.POST, HttpMethod.PUT]

log = structlog.get_logger("heartbeats")


class Allowance:
    """`most` at once, and another one each `every` seconds. Of those who ask the last ten thousand are
    known."""

    KNOWN_AT_MOST: Final = 10_000

    def __init__(self, most: int, every: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._spare = (most - 1) * every
        self._every = every
        self._monotonic = monotonic
        self._used_up: OrderedDict[str, float] = OrderedDict()

    def take(self, who: str) -> float:
        """Seconds to wait; 0 for those who need not."""
        now = self._monotonic()
        until = max(self._used_up.pop(who, now), now)
        is_allowed = until - now <= self._spare
        self._used_up[who] = until + self._every if is_allowed else until
        if len(self._used_up) > self.KNOWN_AT_MOST:
            self._used_up.popitem(last=False)
        return 0.0 if is_allowed else until - now - self._spare


class Refused(Exception):
    def __init__(self, status: int, sentence: str, after: float = 0.0) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.after = status, sentence, after


class Heartbeats:
    """Who may speak, and how it gets into the feed. `catalog` is the present one."""

    def __init__(
        self, feed: Feed, database: Database, secrets: Secrets, catalog: Callable[[], Catalog]
    ) -> None:
        self._feed = feed
        self._database = database
        self._secrets = secrets
        self._catalog = catalog
        self._read: Catalog | None = None
        self._secret = b""
        self._tokens = Tokens(b"", ())
        self._name = token_hex(8)
        self._said = 0
        self._untold: dict[str, Heartbeat] = {}
        self._telling = asyncio.Lock()
        self._guesses = Allowance(20, 3.0)
        self._words = Allowance(20, 0.2)

    async def open(self) -> None:
        """Before this no token is known. Raises DatabaseDown."""
        try:
            self._secret = await read_secret(self._database, self._secrets)
        except Unreadable:
            log.error("no heartbeat can be taken: the key that sealed their secret is not among those given")

    def monitor(self, token: str, address: str) -> str:
        """Whose token it is. Raises Refused."""
        if (monitor := self._known().monitor(token)) is None:
            if after := self._guesses.take(address):
                raise Refused(429, "There were too many tokens from your address that nobody has.", after)
            raise Refused(404, "Nobody has this token: `statuswire heartbeats` shows those there are.")
        if after := self._words.take(monitor):
            raise Refused(429, "This monitor has had too many heartbeats; say less often how it is.", after)
        return monitor

    async def take(self, said: Heartbeat, told: str) -> None:
        """Returns when the feed has it. Raises Refused."""
        if len(self._untold) >= WAITING_AT_MOST:
            raise Refused(503, "Too many heartbeats wait for Redis; try again.", 10.0)
        self._said += 1
        key = f"heartbeat/{self._name}:{self._said}"
        self._untold[key] = said
        try:
            async with asyncio.timeout(PATIENCE):
                await self._announce(key)
        except TimeoutError:
            raise Refused(503, "Redis does not answer, so this was not taken; try again.", 10.0) from None
        finally:
            self._untold.pop(key, None)
        if told:
            await self._keep(Said(said, told))

    async def _announce(self, key: str) -> None:
        """With all that wait, in the order of their counters: of two that are on their way at once the later
        one may be first, and the feed would then take the other for a retry."""
        async with self._telling:
            while key in self._untold:
                some = list(self._untold.items())
                try:
                    await self._feed.announce(some)
                except FeedDown:
                    await asyncio.sleep(0.1)
                else:
                    for told, _ in some:
                        self._untold.pop(told, None)

    async def _keep(self, said: Said) -> None:
        try:
            await keep_log(self._database, said)
        except DatabaseDown as error:
            log.warning("the log of a heartbeat was lost", monitor=said.heartbeat.monitor, why=error.what)

    def _known(self) -> Tokens:
        if (catalog := self._catalog()) is not self._read and self._secret:
            pushed = [monitor.key for monitor in catalog.monitors() if monitor.kind == heartbeat.KIND]
            self._tokens, self._read = Tokens(self._secret, pushed), catalog
        return self._tokens


def routes(heartbeats: Heartbeats, callers: Callers) -> list[HTTPRouteHandler]:
    paths = ["/v1/heartbeats/{token:str}", "/v1/heartbeats/{token:str}/{word:str}"]

    @route(paths, http_method=_METHODS, opt=PUBLIC_SCOPE, status_code=200, request_max_body_size=None)
    async def hear(
        request: Request[Any, Any, Any], token: FromPath[str], word: FromPath[str] = ""
    ) -> Response[Any]:
        at = from_seconds(time.time())
        try:
            monitor = heartbeats.monitor(token, callers.visitor(request.scope).address)
            outcome = _outcome(word)
            said = Heartbeat(at=at, monitor=monitor, word=outcome.word, code=outcome.code)
            await heartbeats.take(said, await _told(request))
        except Refused as refused:
            return _refusal(refused)
        return Response(None, status_code=204, headers={"cache-control": "no-store"})

    return [hear]


class _Outcome(Struct, frozen=True):
    word: Word
    code: int | None = None


def _outcome(word: str) -> _Outcome:
    if word in ("", "start", "fail"):
        return _Outcome(Word(word or "success"))
    if not re.fullmatch(r"[0-9]{1,3}", word) or int(word) > 255:
        raise Refused(404, "Behind the token may stand start, fail, or an exit code from 0 to 255.")
    return _Outcome(Word.FAIL if int(word) else Word.SUCCESS, int(word))


async def _told(request: Request[Any, Any, Any]) -> str:
    told, read = b"", 0
    async for chunk in request.stream():
        told = (told + chunk)[-LOG_AT_MOST:]
        if (read := read + len(chunk)) > READ_AT_MOST:
            raise Refused(413, "A heartbeat may bring 1 MiB, of which the last 10 kB are kept.")
    return told.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _refusal(refused: Refused) -> Response[Any]:
    body = {"type": "about:blank", "status": refused.status, "detail": refused.sentence}
    headers = {"cache-control": "no-store"}
    if refused.after:
        headers["retry-after"] = str(int(refused.after) + 1)
    return Response(body, status_code=refused.status, media_type="application/problem+json", headers=headers)
