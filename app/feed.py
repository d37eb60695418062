"""Both ends of the feed, so that they cannot drift apart: announce() and follow(). Nobody else speaks to
Redis.

Redis pub/sub rings a bell and forgets; a stream remembers and is silent. Each event goes to both in one
atomic step, and carries the id of the one before it (`prev`), so that whoever follows knows at once that
something was missed and reads it from the log. One mechanism covers lost messages, killed connections,
restarts, trimming and FLUSHALL.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any, Final, TypeVar

import msgspec
import structlog
from msgspec import Struct
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from app.domain.events import Beat, Event, Logged
from app.domain.instant import to_ms
from app.domain.monitor import Catalog

FeedDown: Final = (RedisError, OSError, TimeoutError)  # what to catch; nobody need know that it is Redis

START: Final = "0-0"
BATCH: Final = 500
# Only a recorder that is away for long lets the log grow to this; what falls off then is noticed and kept as
# a gap.
LOG_AT_MOST: Final = 100_000

# The braces put all keys into one slot of a Redis Cluster, where a script may touch no other.
LOG = "{statuswire}:feed"
LOG_IDENTITY = "{statuswire}:log"
BELL = "{statuswire}:bell"
SAID = "{statuswire}:said:"
CATALOG = "{statuswire}:catalog"
ASSIGNED = "{statuswire}:assigned"
BEATS = "{statuswire}:beats"
BEATS_AT = "{statuswire}:beats:at"

# The counter is compared and kept in the same step as the event is written: a retry after a time-out, when
# nobody can know whether the first try was heard, finds it there and repeats nothing.
_ANNOUNCE = """
local said = redis.call('HMGET', KEYS[3], 'counter', 'id')
local identity = redis.call('GET', KEYS[2])
if said[1] and identity and tonumber(said[1]) >= tonumber(ARGV[1]) then return {said[2], identity} end
local prev = '0-0'
local info = redis.pcall('XINFO', 'STREAM', KEYS[1])
if not info.err then
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then prev = info[i + 1] end
  end
end
if prev == '0-0' or not identity then
  identity = ARGV[3]
  redis.call('SET', KEYS[2], identity)
end
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[4], '*', 'prev', prev, 'event', ARGV[2])
redis.call('HSET', KEYS[3], 'counter', ARGV[1], 'id', id)
redis.call('EXPIRE', KEYS[3], 86400)
redis.call('PUBLISH', ARGV[5], id .. ' ' .. prev .. ' ' .. ARGV[2])
return {id, identity}
"""

_BEAT = """
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], ms, ARGV[1])
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], 0, ms - 60000)) do
  redis.call('HDEL', KEYS[1], gone)
  redis.call('ZREM', KEYS[2], gone)
end
redis.call('PUBLISH', ARGV[3], ARGV[2])
"""

_RECENT_BEATS = """
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local fresh = redis.call('ZRANGEBYSCORE', KEYS[2], ms - ARGV[1], '+inf')
if #fresh == 0 then return {} end
return redis.call('HMGET', KEYS[1], unpack(fresh))
"""


class Announced(Struct, frozen=True):
    """`log` names the log that took the event. Another name than last time means that it is new or was
    emptied."""

    id: str
    log: str


class Heard(Struct, frozen=True):
    """An event and its id in the log. Beats are not in the log and have none."""

    id: str
    event: Event


class Gap(Struct, frozen=True):
    """The log no longer holds what came between these two ids: it was emptied, trimmed or forked."""

    after: str
    before: str


log = structlog.get_logger("feed")
T = TypeVar("T")

_encode = msgspec.json.Encoder().encode
_decode: Callable[[bytes], Event] = msgspec.json.Decoder(Event).decode
_decode_catalog = msgspec.json.Decoder(Catalog).decode


class Feed:
    """One connection to the feed: for speaking, for following, or both. `beat` is the rhythm of the
    installation in seconds; nothing heard for two and a half of them is taken for a broken connection."""

    def __init__(self, url: str, *, beat: float = 5.0) -> None:
        self._beat = beat
        self._lost = False
        # redis-py would reconnect a dropped subscription behind our back and lose what was said meanwhile: of
        # 40 messages around one Redis restart 18 were gone, without an exception. With no retries every drop
        # surfaces.
        self._redis: Redis = Redis.from_url(
            url,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=max(2.0, beat),
            socket_connect_timeout=max(2.0, beat),
            health_check_interval=0,
        )
        self._announce = self._redis.register_script(_ANNOUNCE)
        self._say_beat = self._redis.register_script(_BEAT)
        self._recent = self._redis.register_script(_RECENT_BEATS)

    # What is said

    async def announce(self, events: Sequence[tuple[str, Logged]]) -> list[Announced]:
        """Write (key, event) pairs to the log and ring the bell for each, in order, in one round trip.

        A key is `producer:counter`, the counter growing by one. On FeedDown say the same list again, as
        often as it takes: what was heard the first time is not repeated.
        """
        async with self._redis.pipeline(transaction=False) as pipe:
            for key, event in events:
                producer, _, counter = key.rpartition(":")
                await self._announce(
                    keys=[LOG, LOG_IDENTITY, SAID + producer],
                    args=[counter, _encode(event), token_hex(8), LOG_AT_MOST, BELL],
                    client=pipe,
                )
            answers = await pipe.execute()
        return [Announced(id.decode(), identity.decode()) for id, identity in answers]

    async def beat(self, beat: Beat) -> None:
        await self._say_beat(keys=[BEATS, BEATS_AT], args=[beat.worker, _encode(beat), BELL])

    async def assign(self, catalog: Catalog) -> None:
        """Tell the workers what to probe."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(CATALOG, mapping={"revision": catalog.revision, "catalog": _encode(catalog)})
            pipe.publish(ASSIGNED, catalog.revision)
            await pipe.execute()

    async def assigned(self) -> str | None:
        """The revision of what workers are told to probe; None if Redis has forgotten it."""
        revision: Any = await self._redis.hget(CATALOG, "revision")
        return None if revision is None else str(revision, "ascii")

    async def trim(self, cursor: str, keep: timedelta) -> None:
        """Let go of what is older than `keep`, but nothing behind which the recorder still is."""
        oldest = min(_order(cursor), (to_ms(datetime.now(UTC) - keep), 0))
        await self._redis.xtrim(LOG, minid=f"{oldest[0]}-{oldest[1]}", approximate=True)

    # What is heard

    async def catalogs(self) -> AsyncGenerator[Catalog, None]:
        """The present catalog, then each new one, for ever."""
        place = _Place("")
        async with aclosing(self._for_ever(lambda: self._hear_catalogs(place))) as catalogs:
            async for catalog in catalogs:
                yield catalog

    async def follow(
        self, after: str, on_link: Callable[[bool], None] = lambda up: None
    ) -> AsyncGenerator[Heard | Gap, None]:
        """Every event of the log after the id `after`, each once and in order, with beats in between; for
        ever.

        A Gap comes before the first event behind a hole that cannot be filled. `on_link` is told True each
        time the follower has caught up and hears the bell, and False when it has lost it.
        """
        place = _Place(after)
        async with aclosing(self._for_ever(lambda: self._hear(place, on_link), on_link)) as items:
            async for item in items:
                yield item

    async def close(self) -> None:
        await self._redis.aclose()

    async def _hear(
        self, place: "_Place", on_link: Callable[[bool], None]
    ) -> AsyncGenerator[Heard | Gap, None]:
        """Listen first and read second, so that nothing can fall between the two."""
        async with self._listen(BELL) as pubsub:
            for beat in await self._beats():
                yield Heard("", beat)
            async for item in self._read(place):
                yield item
            on_link(True)
            while True:
                ring = await self._ring(pubsub)
                if ring.startswith(b"{"):
                    if (beat_heard := _event(ring)) is not None:
                        yield Heard("", beat_heard)
                elif ring:
                    async for item in self._take(place, *ring.split(b" ", 2)):
                        yield item

    async def _take(
        self, place: "_Place", raw_id: bytes, raw_prev: bytes, payload: bytes
    ) -> AsyncGenerator[Heard | Gap, None]:
        """One ring of the bell: mostly the very next event, which is in it."""
        id, prev = raw_id.decode(), raw_prev.decode()
        if prev == place.at:
            place.at = id
            if (event := _event(payload)) is not None:
                yield Heard(id, event)
        elif _order(id) > _order(place.at) or prev == START:
            async for item in self._read(place):
                yield item
        # Else it was read from the log already, while the bell was still ringing for it.

    async def _read(self, place: "_Place") -> AsyncGenerator[Heard | Gap, None]:
        """All that stands in the log behind our place, checked link by link."""
        if await self._went_back(place.at):
            yield Gap(place.at, START)
            place.at = START
        entries: Any = True
        while entries:
            entries = await self._redis.xrange(LOG, min=f"({place.at}", max="+", count=BATCH)
            for raw_id, fields in entries:
                id = raw_id.decode()
                if fields.get(b"prev", b"").decode() != place.at:
                    yield Gap(place.at, id)
                place.at = id
                if (event := _event(fields.get(b"event", b""))) is not None:
                    yield Heard(id, event)

    async def _went_back(self, at: str) -> bool:
        """True if the log ends before `at`: it was emptied, and the clock of Redis stands earlier than it
        did."""
        try:
            info = await self._redis.xinfo_stream(LOG)
        except ResponseError:
            return False  # there is no log; the first event of the next one will say so itself
        return _order(info["last-generated-id"].decode()) < _order(at)

    async def _hear_catalogs(self, place: "_Place") -> AsyncGenerator[Catalog, None]:
        async with self._listen(ASSIGNED) as pubsub:
            while True:
                revision = await self.assigned()
                if revision is not None and revision != place.at:
                    raw: Any = await self._redis.hget(CATALOG, "catalog")
                    place.at = revision
                    yield _decode_catalog(raw)
                await self._ring(pubsub)

    async def _beats(self) -> list[Beat]:
        """What a newcomer would otherwise wait a whole beat for."""
        window = int(2.5 * self._beat * 1000)
        found = [_event(raw) for raw in await self._recent(keys=[BEATS, BEATS_AT], args=[window]) if raw]
        return [beat for beat in found if isinstance(beat, Beat)]

    # The connection

    async def _for_ever(
        self,
        session: Callable[[], AsyncGenerator[T, None]],
        on_link: Callable[[bool], None] = lambda up: None,
    ) -> AsyncGenerator[T, None]:
        """What the sessions yield, one after the other, whatever happens to Redis."""
        pause = 0.05
        while True:
            try:
                async with aclosing(session()) as items:
                    async for item in items:
                        pause = 0.05
                        yield item
            except FeedDown as error:
                if not self._lost:
                    log.warning("the feed is lost and looked for", error=str(error))
                self._lost = True
                on_link(False)
            # Spread, so that a whole installation does not come back in the same instant.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, 1.0)

    @asynccontextmanager
    async def _listen(self, channel: str) -> AsyncGenerator[PubSub, None]:
        pubsub = self._redis.pubsub()
        try:
            await pubsub.subscribe(channel)
            if await pubsub.get_message(timeout=2 * self._beat) is None:
                raise TimeoutError("Redis does not confirm a subscription")
            if self._lost:
                log.info("the feed is back")
            self._lost = False
            yield pubsub
        finally:
            with suppress(*FeedDown):
                await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _ring(self, pubsub: PubSub) -> bytes:
        """The next message. Empty after a beat without one, if the connection is still alive."""
        message = await pubsub.get_message(timeout=self._beat)
        if message is None:
            await pubsub.ping()
            message = await pubsub.get_message(timeout=1.5 * self._beat)
        if message is None:
            raise TimeoutError("Redis has gone silent")
        if message["type"] == "subscribe":
            raise ConnectionError("the subscription was lost and made anew")
        data: bytes = message["data"] if message["type"] == "message" else b""
        return data


class _Place(Struct):
    """How far a follower has come. It outlives the connection."""

    at: str


def _order(id: str) -> tuple[int, int]:
    ms, _, n = id.partition("-")
    return int(ms), int(n)


def _event(payload: bytes) -> Event | None:
    """None for what we do not understand: a newer worker may say things that this server does not know
    yet."""
    try:
        return _decode(payload)
    except msgspec.DecodeError as error:
        log.error("an event was not understood and is passed over", error=str(error))
        return None
