"""Both ends of the feed, so that they cannot drift apart: announce() and follow(). Nobody else speaks to
Redis; which one it is, if there are several, `redis_nodes` finds out.

Redis pub/sub rings a bell and forgets; a stream remembers and is silent. Each event goes to both in one
atomic step, and carries the id of the one before it (`prev`), so that whoever follows knows at once that
something was missed and reads it from the log. One mechanism covers lost messages, killed connections,
restarts, trimming and FLUSHALL.
"""

import asyncio
import random
import re
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any, Final, TypeVar

import msgspec
import structlog
from msgspec import Struct, field
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.bell import Bell, Ear
from app.domain.board import START
from app.domain.clock import dated
from app.domain.events import (
    Beat,
    Event,
    Known,
    Logged,
    Retelling,
    Samples,
    SecondLook,
    StateChange,
    order,
)
from app.domain.instant import from_ms, to_ms
from app.domain.monitor import Catalog
from app.domain.result import Outcome
from app.domain.standing import Standing, State
from app.redis_nodes import nodes

FeedDown: Final = (RedisError, OSError, TimeoutError)  # what to catch; nobody need know that it is Redis

BATCH: Final = 500
LOOK_EVERY: Final = 5.0  # seconds, or a beat if that is less, between looks for another master
REMEMBERED: Final = (
    1000  # ids of what was heard: a log that has lost its end is told from a strange one by them
)
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
# Of each region: the channel of its workers; and by monitor its standing, and when there was last an answer.
REGION = "{statuswire}:region:"
STANDINGS = "{statuswire}:standings:"
ANSWERED = "{statuswire}:answered:"
ASKED_AT_A_TIME: Final = 5000  # monitors, of one round trip

# The last id that the log gave, and that of its last event: they differ where ids were moved on. It stands
# before the scripts that ask for it.
_ENDS = """
local function ends(log)
  local info = redis.pcall('XINFO', 'STREAM', log)
  if info.err then return nil end
  local generated, ended
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then generated = info[i + 1] end
    if info[i] == 'last-entry' and info[i + 1] then ended = info[i + 1][1] end
  end
  return generated, ended or generated
end
"""

# The counter is compared and kept in the same step as the event is written: a retry after a time-out, when
# nobody can know whether the first try was heard, finds it there and repeats nothing. One call for the whole
# list, not one for each event: were the second written when the first was refused (a server that is still
# loading, or out of memory), the first would be taken for said, and be lost.
#
# A producer may also say which id it was last told. If that is not what stands here, the log has lost its
# end, and nothing is written: what was lost must be said before it.
#
# The standings that the events tell of are kept in the same step, for the next worker that looks at these
# monitors: so it knows no less than what has been heard, and no other order of the two could be.
_ANNOUNCE = """
local log, identity_key, new_identity, at_most, bell = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3]
local known, count = ARGV[4], tonumber(ARGV[5])
local _, ended = ends(log)
local prev = ended or '0-0'
local identity = prev ~= '0-0' and redis.call('GET', identity_key)
local ids = {}
if known ~= '' and identity then
  local last = redis.call('HMGET', KEYS[3], 'counter', 'id')
  local again = last[1] and tonumber(last[1]) >= tonumber(ARGV[6])
  if not again and last[2] ~= known then return {identity, ids} end
end
for i = 3, count + 2 do
  local counter, event = ARGV[2 * i], ARGV[2 * i + 1]
  local said = redis.call('HMGET', KEYS[i], 'counter', 'id')
  if said[1] and identity and tonumber(said[1]) >= tonumber(counter) then
    ids[#ids + 1] = said[2]
  else
    if not identity then
      identity = new_identity
      redis.call('SET', identity_key, identity)
    end
    local id = redis.call('XADD', log, 'MAXLEN', '~', at_most, '*', 'prev', prev, 'event', event)
    redis.call('HSET', KEYS[i], 'counter', counter, 'id', id)
    redis.call('EXPIRE', KEYS[i], 86400)
    redis.call('PUBLISH', bell, id .. ' ' .. prev .. ' ' .. event)
    ids[#ids + 1] = id
    prev = id
  end
end
for i = count + 3, #KEYS do
  local flat = {}
  for monitor, value in pairs(cjson.decode(ARGV[count + 3 + i])) do
    flat[#flat + 1], flat[#flat + 2] = monitor, value
    if #flat == 1000 then
      redis.call('HSET', KEYS[i], unpack(flat))
      flat = {}
    end
  end
  if #flat > 0 then redis.call('HSET', KEYS[i], unpack(flat)) end
  redis.call('EXPIRE', KEYS[i], 86400)
end
return {identity, ids}
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
redis.call('PUBLISH', ARGV[4], ARGV[2])
return ms
"""

_RECENT_BEATS = """
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local found = {}
-- One that bears a later date is passed over: this clock was set back, and nobody knows how old it is.
local fresh = redis.call('ZRANGEBYSCORE', KEYS[2], ms - ARGV[1], ms, 'WITHSCORES')
for i = 1, #fresh, 2 do
  local beat = redis.call('HGET', KEYS[1], fresh[i])
  if beat then found[#found + 1] = {beat, ms - fresh[i + 1]} end
end
return found
"""


# The ids that a follower has heard must not be given again, or clients would resume at the wrong place and
# the recorder take news for old. After a failover to a server whose clock is behind they would be: so whoever
# finds the end of the log before its own place moves the ids on. The answer is the last event's id.
_FIND_END = """
local generated, ended = ends(KEYS[1])
local identity = redis.call('GET', KEYS[2])
if not generated then return {identity, false} end
local function order(id)
  local ms, n = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(n)
end
if ARGV[2] == '' or ARGV[2] == identity then
  local ms, n = order(generated)
  local heard_ms, heard_n = order(ARGV[1])
  if heard_ms > ms or (heard_ms == ms and heard_n > n) then redis.pcall('XSETID', KEYS[1], ARGV[1]) end
end
return {identity, ended}
"""


class Announced(Struct, frozen=True):
    """`log` names the log that took the event. Another name than last time means that it is new or was
    emptied."""

    id: str
    log: str


class Forgotten(Exception):
    """The log has lost what it had taken. Say it again, and what comes after it, in one list."""


class Heard(Struct, frozen=True):
    """An event and its id in the log. Beats are not in the log and have none."""

    id: str
    event: Event
    ago: float = 0.0  # seconds since a beat was said that was not heard but found


class Gap(Struct, frozen=True):
    """The log no longer holds what came between these two ids: it was emptied, trimmed or forked."""

    after: str
    before: str


log = structlog.get_logger("feed")
T = TypeVar("T")

_encode = msgspec.json.Encoder().encode
_decode: Callable[[bytes], Event] = msgspec.json.Decoder(Event).decode
_decode_catalog = msgspec.json.Decoder(Catalog).decode
_decode_standing = msgspec.json.Decoder(Standing).decode
_decode_region: Callable[[bytes], Beat | SecondLook] = msgspec.json.Decoder(Beat | SecondLook).decode
_ID = re.compile(rb"[0-9]+-[0-9]+")
_RING = re.compile(rb"(\d{1,20}-\d{1,20}) (\d{1,20}-\d{1,20}) (.*)", re.DOTALL)
_NO_LOG = b"none"


class Feed:
    """One connection to the feed: for speaking, for following, or both. `beat` is the rhythm of the
    installation in seconds; nothing heard for two and a half of them is taken for a broken connection."""

    def __init__(self, url: str, *, beat: float = 5.0) -> None:
        self._beat = beat
        self._patience = max(2.0, beat)
        self._lost = False
        # redis-py would reconnect a dropped subscription behind our back and lose what was said meanwhile: of
        # 40 messages around one Redis restart 18 were gone, without an exception. With no retries every drop
        # surfaces.
        self._nodes = nodes(url)
        self._redis: Redis = self._nodes.client(
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,  # see _ask
            socket_connect_timeout=self._patience,
            health_check_interval=0,
            # In the third redis-py writes each message out once more, for a log that nobody reads.
            protocol=2,
        )
        self._bells: dict[str, Bell] = {}
        self._announce = self._redis.register_script(_ENDS + _ANNOUNCE)
        self._find_end = self._redis.register_script(_ENDS + _FIND_END)
        self._say_beat = self._redis.register_script(_BEAT)
        self._recent = self._redis.register_script(_RECENT_BEATS)

    # What is said

    async def announce(self, events: Sequence[tuple[str, Logged]], known: str = "") -> list[Announced]:
        """Write (key, event) pairs to the log and ring the bell for each, in order, all of them or none.

        A key is `producer:counter`, and a producer's counter grows. On FeedDown say the same list again, as
        often as it takes: what was heard the first time is not repeated.

        `known` is the last id that this producer was told. Forgotten if the log does not hold that any more.
        """
        if not events:
            return []
        keys = [LOG, LOG_IDENTITY]
        args: list[str | bytes | int] = [token_hex(8), LOG_AT_MOST, BELL, known, len(events)]
        for key, event in events:
            producer, _, counter = key.rpartition(":")
            keys.append(SAID + producer)
            args += [counter, _encode(event)]
        for kept, by_monitor in _kept(events).items():
            keys.append(kept)
            # In one piece: as arguments they would cost more than all the rest.
            args.append(_encode(by_monitor))
        identity, ids = await self._ask(self._announce(keys=keys, args=args))
        if not ids:
            raise Forgotten
        return [Announced(id.decode(), identity.decode()) for id in ids]

    async def beat(self, beat: Beat) -> float:
        """The time that Redis has, in seconds since 1970."""
        args: list[str | bytes] = [beat.worker, _encode(beat), BELL, REGION + beat.region]
        return int(await self._ask(self._say_beat(keys=[BEATS, BEATS_AT], args=args))) / 1000

    async def farewell(self, beat: Beat) -> None:
        """A worker's last word, to those of its region alone: to all others it is no proof of life."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hdel(BEATS, beat.worker)
            pipe.zrem(BEATS_AT, beat.worker)
            pipe.publish(REGION + beat.region, _encode(beat))
            await self._ask(pipe.execute())

    async def ask(self, looks: Sequence[tuple[str, SecondLook]]) -> None:
        """Ring in other regions: (region, for what)."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for region, look in looks:
                pipe.publish(REGION + region, _encode(look))
            await self._ask(pipe.execute())

    async def assign(self, catalog: Catalog) -> None:
        """Tell the workers what to probe."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(CATALOG, mapping={"revision": catalog.revision, "catalog": _encode(catalog)})
            pipe.publish(ASSIGNED, catalog.revision)
            await self._ask(pipe.execute())

    async def assigned(self) -> str | None:
        """The revision of what workers are told to probe; None if Redis has forgotten it."""
        revision: Any = await self._ask(self._redis.hget(CATALOG, "revision"))
        return None if revision is None else str(revision, "ascii", "replace")

    async def trim(self, cursor: str, keep: timedelta) -> None:
        """Let go of what is older than `keep`, but nothing behind which the recorder still is."""
        oldest = min(order(cursor), (to_ms(datetime.now(UTC) - keep), 0))
        await self._ask(self._redis.xtrim(LOG, minid=f"{oldest[0]}-{oldest[1]}", approximate=True))

    async def forget(self, region: str, all_but: Collection[str]) -> None:
        """Let go of the standings of monitors that are in the region no more."""
        for key in (STANDINGS + region, ANSWERED + region):
            fields: Any = await self._ask(self._redis.hkeys(key))
            gone = [field for field in fields if field.decode(errors="replace") not in all_but]
            for start in range(0, len(gone), ASKED_AT_A_TIME):
                found: Any = self._redis.hdel(key, *gone[start : start + ASKED_AT_A_TIME])
                await self._ask(found)

    # What is heard

    async def standings(self, region: str, monitors: Sequence[str]) -> dict[str, Known]:
        """What is remembered of these monitors; those are missing of which nothing is."""
        known: dict[str, Known] = {}
        for start in range(0, len(monitors), ASKED_AT_A_TIME):
            asked = list(monitors[start : start + ASKED_AT_A_TIME])
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hmget(STANDINGS + region, asked)
                pipe.hmget(ANSWERED + region, asked)
                pipe.time()
                standings, answered, (seconds, micros) = await self._ask(pipe.execute())
            now = seconds * 1000 + micros // 1000
            for monitor, raw, at in zip(asked, standings, answered, strict=True):
                standing = None if raw is None else _understand(_decode_standing, raw)
                if standing is not None and at is not None and at.isdigit():
                    known[monitor] = Known(standing, from_ms(int(at)), (now - int(at)) / 1000)
        return known

    async def alive(self, region: str) -> list[Beat]:
        """The last beats of the workers of a region that were heard within a beat and a half, by the clock
        of Redis."""
        beats = [heard.event for heard in await self._beats()]
        return [beat for beat in beats if isinstance(beat, Beat) and beat.region == region]

    async def among(
        self, region: str, on_link: Callable[[bool], None] = lambda up: None
    ) -> AsyncGenerator[Beat | SecondLook, None]:
        """What workers say to those of a region, from the last beats on; for ever."""
        session = self._for_ever(lambda: self._hear_region(region, on_link), on_link)
        async with aclosing(session) as items:
            async for item in items:
                yield item

    async def catalogs(self) -> AsyncGenerator[Catalog, None]:
        """The present catalog, then each new one, for ever."""
        place = _Place("")
        async with aclosing(self._for_ever(lambda: self._hear_catalogs(place))) as catalogs:
            async for catalog in catalogs:
                yield catalog

    async def follow(
        self, after: str, on_link: Callable[[bool], None] = lambda up: None, pace: float = 0.0
    ) -> AsyncGenerator[Heard | Gap, None]:
        """Every event of the log after the id `after`, each once and in order, with beats in between; for
        ever.

        A Gap comes before the first event behind a hole that cannot be filled. `on_link` is told True each
        time the follower has caught up and hears the bell, and False when it has lost it. With a `pace`,
        what comes within so many seconds comes at once.
        """
        place = _Place(after)
        session = self._for_ever(lambda: self._hear(place, on_link, pace), on_link)
        async with aclosing(session) as items:
            async for item in items:
                yield item

    async def close(self) -> None:
        await self._redis.aclose()

    async def _hear(
        self, place: "_Place", on_link: Callable[[bool], None], pace: float
    ) -> AsyncGenerator[Heard | Gap, None]:
        """Listen first and read second, so that nothing can fall between the two."""
        async with self._listen(BELL, pace) as bell:
            for found in await self._beats():
                yield found
            ring, behind = b"", True
            while True:
                if behind:
                    async with aclosing(self._read(place)) as items:
                        async for item in items:
                            yield item
                    if (heard := place.only_rung(ring)) is not None:
                        yield heard
                    on_link(True)
                ring = await bell.take()
                heard, behind = place.take(ring)
                if heard is not None:
                    yield heard

    async def _read(self, place: "_Place") -> AsyncGenerator[Heard | Gap, None]:
        """All that stands in the log behind our place, checked link by link."""
        start, is_gap = await self._start(place)
        if is_gap:
            yield Gap(place.at, start)
        if start != place.at:
            place.at = start
        entries: Any = True
        while entries:
            entries = await self._ask(self._redis.xrange(LOG, min=f"({place.at}", max="+", count=BATCH))
            for raw_id, fields in entries:
                id = raw_id.decode()
                if place.lacks(fields.get(b"prev", b"")):
                    yield Gap(place.at, id)
                place.move(id)
                if (event := _logged(id, fields.get(b"event", b""))) is not None:
                    yield Heard(id, event)

    async def _start(self, place: "_Place") -> tuple[str, bool]:
        """The id to read on from, and whether something is missing before it. Mostly that is our place."""
        known = place.log
        same = b"" if known in (None, _NO_LOG) else known
        identity, ended = await self._ask(self._find_end(keys=[LOG, LOG_IDENTITY], args=[place.at, same]))
        # If there is no log, the first event of the next one will say so itself.
        found = place.log = _NO_LOG if ended is None else identity or b""
        if found == _NO_LOG:
            return place.at, False
        if known not in (None, _NO_LOG, found):
            return START, True  # another log: all of it is news, however its ids compare with ours
        end: str = ended.decode()
        if order(end) >= order(place.at):
            return place.at, False
        return place.before(end)

    async def _hear_region(
        self, region: str, on_link: Callable[[bool], None]
    ) -> AsyncGenerator[Beat | SecondLook, None]:
        async with self._listen(REGION + region) as bell:
            for beat in await self.alive(region):
                yield beat
            on_link(True)
            while True:
                ring = await bell.take()
                if ring and (said := _understand(_decode_region, ring)) is not None:
                    yield said

    async def _hear_catalogs(self, place: "_Place") -> AsyncGenerator[Catalog, None]:
        async with self._listen(ASSIGNED) as bell:
            while True:
                if await self.assigned() not in (None, place.at):
                    found: Any = self._redis.hmget(CATALOG, "revision", "catalog")
                    revision, raw = await self._ask(found)
                    if revision is not None and raw is not None:
                        place.at = revision.decode(errors="replace")
                        if (catalog := _understand(_decode_catalog, raw)) is not None:
                            yield catalog
                await bell.take()

    async def _beats(self) -> list[Heard]:
        """What a newcomer would otherwise wait a whole beat for."""
        window = int(1.5 * self._beat * 1000)
        found = await self._ask(self._recent(keys=[BEATS, BEATS_AT], args=[window]))
        return [Heard("", beat, ms / 1000) for raw, ms in found if isinstance(beat := _event(raw), Beat)]

    # The connection

    async def _ask(self, answer: Awaitable[Any]) -> Any:
        """Wait for an answer, but not for ever."""
        # redis-py's own time-out sends through asyncio.wait_for, which on Python 3.11 swallows a cancellation
        # that comes while something is sent, one in four when we tried: the task would then never end.
        async with asyncio.timeout(self._patience):
            return await answer

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
                    log.warning("the feed is lost and looked for", error=str(error) or "no answer in time")
                self._lost = True
                on_link(False)
            # Spread, so that a whole installation does not come back in the same instant.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, 1.0)

    @asynccontextmanager
    async def _listen(self, channel: str, pace: float = 0.0) -> AsyncGenerator[Ear, None]:
        bell = self._bells.get(channel)
        if bell is None or bell.is_over:
            bell = self._bells[channel] = Bell(
                self._redis.pubsub(), channel, self._beat, self._ask, self._moved
            )
        ear = Ear(pace)
        try:
            await bell.enter(ear)
            if self._lost:
                log.info("the feed is back")
            self._lost = False
            yield ear
        finally:
            bell.leave(ear)
            if bell.is_idle:
                if self._bells.get(channel) is bell:
                    del self._bells[channel]
                await bell.close()

    async def _moved(self, connection: Any) -> None:
        await self._nodes.moved(connection, min(self._beat, LOOK_EVERY))


class _Place(Struct):
    """How far a follower has come, and the name of the log it is in. It outlives the connection."""

    at: str
    log: bytes | None = None
    heard: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def move(self, id: str) -> None:
        self.at = id
        self.heard.append(id)

    def before(self, end: str) -> tuple[str, bool]:
        """Where to read on in a log that ends before our place: a power cut or a failover took the rest.
        If we had heard its last event we lack nothing, and to begin anew would play a whole day of old
        outages once more. If not, others have gone on without us from the last event that we have in
        common."""
        if not self.heard or end in self.heard:
            log.warning("the log has lost its end, which we had heard", after=end, heard=self.at)
            return self.at, False
        common = [id for id in self.heard if order(id) < order(end)]
        return (common[-1] if common else START), True

    def take(self, ring: bytes) -> tuple[Heard | None, bool]:
        """What one ring of the bell says, mostly the very next event; and whether one before it was
        missed."""
        if ring.startswith(b"{"):
            beat = _event(ring)
            return (Heard("", beat) if isinstance(beat, Beat) else None), False
        if (said := _RING.fullmatch(ring)) is None:
            if ring:
                log.error("a ring of the bell was not understood and is passed over")
            return None, False
        id, prev = said[1].decode(), said[2].decode()
        if prev == self.at != START:
            self.move(id)
            event = _logged(id, said[3])
            return (None if event is None else Heard(id, event)), False
        # The first event of a log is always read from there, and the name of the log with it. Anything else
        # that is not beyond our place was read already, while the bell was still ringing for it.
        return None, prev == START or order(id) > order(self.at)

    def only_rung(self, ring: bytes) -> Heard | None:
        """The very next event, which the bell has said and the log, read since, does not hold: it was emptied
        in between."""
        if (said := _RING.fullmatch(ring)) is None or said[2].decode() != self.at:
            return None
        self.move(id := said[1].decode())
        event = _logged(id, said[3])
        return None if event is None else Heard(id, event)

    def lacks(self, prev: bytes) -> bool:
        """True if the event that `prev` names, which came before the next one, is not known here. One that we
        are past is the end of a log that has lost what was behind it: we had heard that."""
        if not _ID.fullmatch(prev) or prev == START.encode():
            return prev != self.at.encode()
        before = prev.decode()
        if order(before) >= order(self.at):
            return before != self.at
        return bool(self.heard) and before not in self.heard


def _kept(events: Sequence[tuple[str, Logged]]) -> dict[str, dict[str, str]]:
    """By hash and monitor, what these events tell whoever looks next. The last word counts."""
    kept: dict[str, dict[str, str]] = {}
    for _, event in events:
        match event:
            case StateChange(standing=standing):
                kept.setdefault(STANDINGS + standing.region, {})[standing.monitor] = _text(standing)
                kept.setdefault(ANSWERED + standing.region, {})[standing.monitor] = str(to_ms(event.at))
            case Retelling():
                for told in event.standings:
                    kept.setdefault(STANDINGS + told.region, {})[told.monitor] = _text(told)
            case Samples():
                answered = kept.setdefault(ANSWERED + event.region, {})
                for sample in event.samples:
                    if sample.outcome is not Outcome.INCONCLUSIVE and sample.state is not State.UNKNOWN:
                        answered[sample.monitor] = str(to_ms(sample.at))
    return kept


def _text(standing: Standing) -> str:
    return _encode(standing).decode()


def _event(payload: bytes) -> Event | None:
    return _understand(_decode, payload)


def _logged(id: str, payload: bytes) -> Event | None:
    event = _event(payload)
    return event if event is None or isinstance(event, Beat) else dated(event, from_ms(order(id)[0]))


def _understand(decode: Callable[[bytes], T], payload: bytes) -> T | None:
    """None for what we do not understand: a newer worker may say things that this server does not know
    yet."""
    try:
        return decode(payload)
    except (ValueError, RecursionError) as error:  # bad JSON, bad UTF-8, a million open brackets
        log.error("something on the feed was not understood and is passed over", error=str(error))
        return None
