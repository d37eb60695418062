"""record: the feed, batch by batch, into rows, exactly once.

A batch is one transaction that first moves the cursor, and only from where this recorder believes it to be.
Of two recorders one therefore finds that the other was first, and writes nothing; and whatever ends a
recorder, the next one goes on behind the last batch that is whole. Beats are not recorded.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import structlog
from msgspec import Struct

from app import metrics
from app.db import latency
from app.db.catalog import (
    read_catalog,
    read_cursor,
    write_catalog,
    write_past_changed,
    write_whole_since,
)
from app.db.engine import Database, DatabaseDown, Statement, Transaction
from app.db.tables import MonitorRegionRow, OperationRow, SpanRow
from app.domain.board import START, Board, Change, Patch, Shown
from app.domain.events import (
    Beat,
    CatalogChange,
    Heartbeat,
    Logged,
    Operation,
    Retelling,
    Revoked,
    Samples,
    Silence,
    StateChange,
    beyond,
    order,
)
from app.domain.instant import from_ms, from_seconds, to_ms
from app.domain.monitor import Catalog
from app.domain.operations import ends, key_of
from app.domain.standing import Standing, State
from app.domain.status import OUT, Status
from app.feed import Feed, FeedDown, Gap, Heard

log = structlog.get_logger("recorder")
_encode = msgspec.json.Encoder().encode
_decode_operation = msgspec.json.Decoder(Operation).decode

BATCH_EVENTS: Final = 500
BATCH_SECONDS: Final = 0.2
QUEUE: Final = 2 * BATCH_EVENTS
KEEP_LOG: Final = timedelta(days=1)  # of the log on Redis, for those who resume
KEEP_PATCHES: Final = 1_000  # more than anybody is told who resumes
TIDY_SECONDS: Final = 60.0
ROLL_UP_EACH: Final = 10  # times of tidying
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 5.0
# Longer than an installation with workers is ever quiet: each of them says something every second.
STAND_BY_SECONDS: Final = 3.0
QUIET_SECONDS: Final = 1.0


_Measured = dict[tuple[str, str], str]  # the component of a (monitor, region)


class _SomebodyElse(Exception):
    """The cursor is not where we left it."""


class Recorder:
    """`state` is "ok", or in a few words what is wrong; `cursor` the id of the last recorded event."""

    def __init__(
        self, database: Database, *, tidy: float = TIDY_SECONDS, stand_by: float = STAND_BY_SECONDS
    ) -> None:
        self.cursor = START
        self.state = "ok"
        self._database = database
        self._tidy_every = tidy
        self._stand_by_for = stand_by
        # None when it may hold more, or less, than the database does.
        self._board: Board | None = None
        self._measured: _Measured = {}
        self._waiting_since: float | None = None
        self._pause = FIRST_PAUSE
        self._proven = False

    @property
    def lag(self) -> float:
        """How many seconds ago the oldest event was said that is heard and not yet recorded. 0 if there is
        none."""
        return 0.0 if self._waiting_since is None else max(0.0, time.time() - self._waiting_since)

    async def load(self) -> Board:
        """The board at the cursor. It is the caller's own."""
        async with self._database.reading() as transaction:
            return await _load(transaction)

    async def record(self, batch: Sequence[Heard | Gap]) -> bool:
        """Write it all down, or raise DatabaseDown. False: somebody else was first, and nothing is written;
        the next call begins from what that one wrote."""
        if self._board is None:
            await self._reload()
        assert self._board is not None
        work = _Work(self._board, self.cursor, self._measured)
        self._board = None
        for item in batch:
            work.add(item)
        try:
            async with self._database.writing() as transaction:
                await _move_cursor(transaction, self.cursor, work.cursor)
                await work.write(transaction)
        except _SomebodyElse:
            return False
        self._board, self.cursor, self._measured = work.board, work.cursor, work.measured
        return True

    async def run(self, feed: Feed) -> None:
        """Record what is said on the feed, for ever, whatever happens to the database."""
        metrics.RECORDER_LAG.set_function(lambda: self.lag)
        tidying = asyncio.create_task(self._tidy(feed), name="tidy")
        try:
            while True:
                try:
                    await self._reload()
                    await self._follow(feed)
                    await self._stand_by()
                except DatabaseDown as error:
                    await self._wait(f"the database {error.what}", str(error), None)
                except Exception as error:
                    # A recorder that ended would look like one that has nothing to do.
                    await self._wait("cannot record", "an error of ours", error)
        finally:
            tidying.cancel()
            await asyncio.gather(tidying, return_exceptions=True)

    async def _reload(self) -> None:
        self._board = await self.load()
        self.cursor = self._board.id
        self._measured = _measured_monitors(self._board.catalog)

    async def _follow(self, feed: Feed) -> None:
        """Returns when somebody else has recorded what we were about to."""
        heard: asyncio.Queue[Heard | Gap | Exception] = asyncio.Queue(QUEUE)
        listening = asyncio.create_task(_listen(feed, self.cursor, heard), name="listen")
        try:
            while True:
                batch = await self._gather(heard)
                if not await self.record(batch):
                    return
                self._waiting_since = None
                self._well()
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _gather(self, heard: "asyncio.Queue[Heard | Gap | Exception]") -> list[Heard | Gap]:
        """The next events: all that have come, and not more than a transaction should hold."""
        batch = [_unless_error(await self._next(heard))]
        self._waiting_since = min(time.time(), _said_at(batch[0]))
        while len(batch) < BATCH_EVENTS and not heard.empty():
            batch.append(_unless_error(heard.get_nowait()))
        return batch

    async def _next(self, heard: "asyncio.Queue[Heard | Gap | Exception]") -> Heard | Gap | Exception:
        try:
            async with asyncio.timeout(None if self._proven else QUIET_SECONDS):
                return await heard.get()
        except TimeoutError:
            # What could not be written would have been heard again at once. So the trouble was with reading,
            # which has gone well by now.
            self._waiting_since = None
            self._well()
            return await heard.get()

    async def _stand_by(self) -> None:
        """Until whoever records no longer does. One is enough, and two would load the board for each other's
        batches all day."""
        self._waiting_since = None
        self._well()
        log.debug("another recorder is at work, this one stands by")
        moved = True
        while moved:
            before = self.cursor
            # Not in step with a third one.
            await asyncio.sleep(self._stand_by_for * random.uniform(1.0, 2.0))
            async with self._database.reading() as transaction:
                self.cursor = await read_cursor(transaction)
            moved = self.cursor != before

    async def _wait(self, state: str, why: str, error: Exception | None) -> None:
        if self.state != state:
            log.error("recording has stopped and is tried again", why=why, exc_info=error)
        self.state = state
        self._proven = False
        metrics.RECORDER_UP.set(0)
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def _well(self) -> None:
        if self.state != "ok":
            log.info("recording goes on", cursor=self.cursor)
        self.state = "ok"
        self._proven = True
        self._pause = FIRST_PAUSE
        metrics.RECORDER_UP.set(1)

    async def _tidy(self, feed: Feed) -> None:
        """Let go of what is no longer needed, for ever."""
        for times in itertools.count():
            await asyncio.sleep(self._tidy_every)
            try:
                await feed.trim(self.cursor, KEEP_LOG)
            except FeedDown as error:
                why = str(error) or "no answer in time"
                log.warning("the log on Redis could not be trimmed, will be later", why=why)
            if times % ROLL_UP_EACH == 0:
                await self._roll_up()

    async def _roll_up(self) -> None:
        try:
            await forget_patches(self._database)
            await latency.roll_up(self._database, _now())
        except DatabaseDown as error:
            log.warning("latencies could not be rolled up, will be later", why=str(error))
        except Exception as error:
            # Such as SumsDiffer. It must not take the trimming of the log with it.
            log.error("latencies could not be rolled up", exc_info=error)


async def forget_patches(database: Database, keep: int = KEEP_PATCHES) -> None:
    """Let go of all but the last ones."""
    async with database.writing() as transaction:
        await transaction.execute(
            f"DELETE FROM patches WHERE id <= (SELECT id FROM patches ORDER BY id DESC LIMIT 1 OFFSET {keep})"
        )


class _Work:
    """What a batch changes, worked out before the first statement: the transaction is to be short."""

    def __init__(self, board: Board, cursor: str, measured: _Measured) -> None:
        self.board = board
        self.cursor = cursor
        self.measured = measured
        self._latency = latency.Fresh()
        self._gaps: list[tuple[str, str]] = []
        self._patches: list[tuple[str, str]] = []
        self._whole_since: str | None = None
        self._past_changed: str | None = None
        self._old_catalog: Catalog | None = None
        # As they were before the batch: of those alone that it may have changed.
        self._standings: dict[tuple[str, str], tuple[Standing | None, datetime | None]] = {}
        self._spans = [_Spans()]
        self._operations: dict[str, Operation] = {}

    def add(self, item: Heard | Gap) -> None:
        if isinstance(item, Gap):
            self._gaps.append((item.after, item.before))
            # As in the hub: ids of a log that is gone are no places in the new one, also when its own have
            # passed them.
            self._whole_since = beyond(self.cursor, item.after)
            # The event behind the hole is still to come, and moves the cursor itself. A log that begins
            # anew is to be read from its start, and one that went on without us from where it did.
            self.cursor = min(self.cursor, item.before, key=order)
        elif not isinstance(item.event, Beat) and order(item.id) > order(self.cursor):
            self.cursor = item.id
            self._fold(item.id, item.event)

    async def write(self, transaction: Transaction) -> None:
        if self._old_catalog is not None:
            await write_catalog(transaction, self._old_catalog, self.board.catalog)
        if self._whole_since is not None:
            await write_whole_since(transaction, self._whole_since)
        if self._past_changed is not None:
            await write_past_changed(transaction, self._past_changed)
        await transaction.execute_all(self._statements())

    def _statements(self) -> Iterator[Statement]:
        for spans in self._spans:
            yield from spans.statements()
        yield from self._standing_statements()
        yield from self._operation_statements()
        yield self._latency.statement
        yield (
            "INSERT INTO patches (event, patch) VALUES ({}, {}) ON CONFLICT (event) DO NOTHING",
            self._patches,
        )
        yield (
            "INSERT INTO gaps (after, before, at) VALUES ({}, {}, {}) ON CONFLICT (after, before) DO NOTHING",
            [(after, before, to_ms(_now())) for after, before in self._gaps],
        )

    def _fold(self, id: str, event: Logged) -> None:
        match event:
            case StateChange():
                self._remember_all_of(event.standing.monitor)
            case Retelling():
                self._remember_all_of(*(standing.monitor for standing in event.standings))
            case Silence() | Heartbeat():
                self._remember_all_of(event.monitor)
            case Samples():
                self._remember_all_of(*(sample.monitor for sample in event.samples))
                self._measure(event)
            case CatalogChange():
                self._adopt(id, event)
                return
            case Revoked():
                pass
            case _:
                self._operations[key_of(event)] = event
        if (patch := self.board.fold(id, event)) is not None:
            self._spans[-1].add(patch)
            self._look_back(id, (change.since for change in patch.changes))
            if patch.is_news:
                self._patches.append((id, _encode(patch).decode()))

    def _remember_all_of(self, *monitors: str) -> None:
        """In all their regions: by a new word of one, others may be found silent."""
        for key in monitors:
            if (monitor := self.board.monitor(key)) is not None:
                self._remember((key, region) for region in monitor.regions)

    def _remember(self, keys: Iterable[tuple[str, str]]) -> None:
        for key in keys:
            if key not in self._standings:
                self._standings[key] = self.board.standings.get(key), self.board.heard.get(key)

    def _adopt(self, id: str, event: CatalogChange) -> None:
        old, shown, standings = self.board.catalog, set(self.board.shown), self.board.standings
        self._remember(standings)
        patch = self.board.fold(id, event)
        if patch is None:
            return
        if self._old_catalog is None:
            self._old_catalog = old
        self._whole_since = id
        self._look_back(id, (patch.at, *(change.since for change in patch.changes)))
        self.measured = _measured_monitors(self.board.catalog)
        now = set(self.board.shown)
        self._spans.append(_Spans(patch, came=now - shown, went=shown - now))

    def _look_back(self, id: str, touched: Iterable[datetime]) -> None:
        """What history has worked out of longer ago holds only as long as nothing reaches back to it."""
        long_ago = order(id)[0] - latency.DAY * 1000
        if any(to_ms(at) < long_ago for at in touched):
            self._past_changed = id

    def _measure(self, event: Samples) -> None:
        for sample in event.samples:
            slug = self.measured.get((sample.monitor, event.region))
            if slug is not None and sample.took is not None and not sample.late:
                self._latency.add(slug, sample.at, sample.took)

    def _standing_statements(self) -> Iterator[Statement]:
        gone, changed, heard = [], [], []
        for key, (old, old_heard) in self._standings.items():
            now = self.board.standings.get(key)
            if now is None:
                if old is not None:
                    gone.append((_standing_key(*key),))
            elif now is not old:
                changed.append(_standing_row(now, self.board.heard[key]))
            elif (at := self.board.heard[key]) != old_heard:
                heard.append((to_ms(at), _standing_key(*key)))
        yield "DELETE FROM monitor_regions WHERE key = {}", gone
        yield (
            "INSERT INTO monitor_regions"
            " (key, monitor, region, state, since, reason, detail, heard_at, flapping, seen, running)"
            " VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})"
            " ON CONFLICT (key) DO UPDATE SET state = excluded.state, since = excluded.since,"
            " reason = excluded.reason, detail = excluded.detail, heard_at = excluded.heard_at,"
            " flapping = excluded.flapping, seen = excluded.seen, running = excluded.running",
            changed,
        )
        yield "UPDATE monitor_regions SET heard_at = {} WHERE key = {}", heard

    def _operation_statements(self) -> Iterator[Statement]:
        ended = [(key,) for key, event in self._operations.items() if ends(event)]
        yield "DELETE FROM operations WHERE key = {}", ended
        yield (
            "INSERT INTO operations (key, event) VALUES ({}, {})"
            " ON CONFLICT (key) DO UPDATE SET event = excluded.event",
            [(key, _encode(event).decode()) for key, event in self._operations.items() if not ends(event)],
        )


class _Row(Struct):
    """A span that is to be inserted."""

    component: str
    status: Status
    was: Status
    since: int
    until: int | None
    event: str
    n: int
    at: int
    monitor: str = ""
    reason: str = ""
    trace: str = ""


class _Spans:
    """The spans that end and begin with a run of patches. A run begins anew with each change of the catalog,
    of which the components that `came` and `went` are told."""

    def __init__(
        self, patch: Patch | None = None, came: Iterable[str] = (), went: Iterable[str] = ()
    ) -> None:
        self._rows: list[_Row] = []
        self._open: dict[str, _Row] = {}
        self._ends: dict[str, int] = {}  # of spans that were open before
        self._cut: list[tuple[str, int]] = []
        if patch is not None:
            at = to_ms(patch.at)
            self._cut = [(slug, at) for slug in sorted({*came, *went})]
            for n, slug in enumerate(sorted(came)):
                self._begin(_Row(slug, Status.UNKNOWN, Status.UNKNOWN, at, None, patch.id, n, at))
            self.add(patch)

    def add(self, patch: Patch) -> None:
        first = len(self._open) if patch.catalog else 0
        for n, change in enumerate(patch.changes, first):
            since = to_ms(change.since)
            if (row := self._open.get(change.slug)) is not None:
                row.until = since
            else:
                self._ends[change.slug] = since
            self._begin(_row(patch, n, change))

    def statements(self) -> Iterator[Statement]:
        # Nothing is known of a component before it came or after it went, whatever the clock of a worker
        # said: else its spans would overlap when it comes back.
        yield "DELETE FROM spans WHERE component = {} AND since >= {}", self._cut
        yield (
            "UPDATE spans SET until = {} WHERE component = {} AND (until IS NULL OR until > {})",
            [(at, slug, at) for slug, at in self._cut],
        )
        yield (
            "UPDATE spans SET until = {} WHERE component = {} AND until IS NULL",
            [(end, slug) for slug, end in self._ends.items()],
        )
        # A state that lasted no time at all was never true.
        yield (
            "DELETE FROM spans WHERE component = {} AND until = {} AND since = until",
            list(self._ends.items()),
        )
        yield (
            "INSERT INTO spans (component, status, was, since, until, event, n, at, monitor, reason, trace)"
            " VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})"
            " ON CONFLICT (event, component, n) DO NOTHING",
            [
                (
                    row.component, row.status.value, row.was.value, row.since, row.until, row.event, row.n,
                    row.at, row.monitor, _text(row.reason), row.trace,
                )
                for row in self._rows
                if row.until != row.since
            ],
        )  # fmt: skip

    def _begin(self, row: _Row) -> None:
        self._rows.append(row)
        self._open[row.component] = row


async def _listen(feed: Feed, after: str, heard: "asyncio.Queue[Heard | Gap | Exception]") -> None:
    """For ever. The queue is bounded: when the database is slow, this one waits, and Redis remembers."""
    try:
        async with aclosing(feed.follow(after, pace=BATCH_SECONDS)) as items:
            async for item in items:
                if isinstance(item, Gap) or not isinstance(item.event, Beat):
                    await heard.put(item)
    except Exception as error:
        await heard.put(error)


async def _load(transaction: Transaction) -> Board:
    cursor = await read_cursor(transaction)
    catalog = await read_catalog(transaction)
    standings = await transaction.fetch(MonitorRegionRow.select())
    spans = await transaction.fetch(
        SpanRow.select(SpanRow.component, SpanRow.status, SpanRow.since, SpanRow.reason).where(
            SpanRow.until.is_null()
        )
    )
    out = await _out_since(transaction)
    said = await transaction.fetch(OperationRow.select(OperationRow.event).order_by(OperationRow.key))
    board = Board(catalog, from_ms(order(cursor)[0]), cursor)
    board.restore(
        [_standing(row) for row in standings],
        {(row["monitor"], row["region"]): from_ms(row["heard_at"]) for row in standings},
        {
            row["component"]: Shown(
                Status(row["status"]),
                from_ms(row["since"]),
                row["reason"],
                out=_instant(out.get(row["component"])),
            )
            for row in spans
        },
        [_decode_operation(row["event"]) for row in said],
    )
    return board


async def _out_since(transaction: Transaction) -> dict[str, int]:
    """Of the components that are out, since when, whatever changed between partly and wholly."""
    out = ", ".join(f"'{status}'" for status in sorted(OUT))
    rows = await transaction.fetch(
        f"WITH present AS (SELECT component FROM spans WHERE until IS NULL AND status IN ({out})),"
        " well AS (SELECT component, max(until) AS until FROM spans"
        f" WHERE status NOT IN ({out}) AND component IN (SELECT component FROM present) GROUP BY component)"
        " SELECT spans.component, min(spans.since) AS since"
        " FROM spans LEFT JOIN well ON well.component = spans.component"
        " WHERE spans.component IN (SELECT component FROM present)"
        " AND (spans.until IS NULL OR spans.until > coalesce(well.until, 0)) GROUP BY spans.component"
    )
    return {row["component"]: row["since"] for row in rows}


async def _move_cursor(transaction: Transaction, before: str, after: str) -> None:
    moved = await transaction.execute(
        "UPDATE feed_cursor SET at = {} WHERE name = 'feed' AND at = {}", after, before
    )
    if not moved:
        raise _SomebodyElse


def _standing(row: dict[str, Any]) -> Standing:
    """Without the counts of results in a row: these are the worker's own, and a board reads none of them."""
    return Standing(
        monitor=row["monitor"],
        region=row["region"],
        state=State(row["state"]),
        since=from_ms(row["since"]),
        reason=row["reason"],
        detail=row["detail"],
        flapping=bool(row["flapping"]),
        seen=_instant(row["seen"]),
        running=_instant(row["running"]),
    )


def _instant(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)


def _ms(at: datetime | None) -> int | None:
    return None if at is None else to_ms(at)


def _standing_key(monitor: str, region: str) -> str:
    return f"{monitor}@{region}"


def _standing_row(standing: Standing, heard: datetime) -> tuple[object, ...]:
    return (
        _standing_key(standing.monitor, standing.region),
        standing.monitor,
        standing.region,
        standing.state.value,
        to_ms(standing.since),
        _text(standing.reason),
        _text(standing.detail),
        to_ms(heard),
        standing.flapping,
        _ms(standing.seen),
        _ms(standing.running),
    )


def _row(patch: Patch, n: int, change: Change) -> _Row:
    return _Row(
        component=change.slug,
        status=change.status,
        was=change.was,
        since=to_ms(change.since),
        until=None,
        event=patch.id,
        n=n,
        at=to_ms(patch.at),
        monitor=change.monitor,
        reason=change.reason,
        trace=patch.trace,
    )


def _measured_monitors(catalog: Catalog) -> _Measured:
    """Whose samples are a component's latency: those of its first monitor, as on the board."""
    return {
        (component.monitors[0].key, region): component.slug
        for component in catalog.components
        if component.monitors
        for region in component.monitors[0].regions
    }


def _text(said: str) -> str:
    """What a target said may hold what no database takes: Postgres refuses a zero, and would the same event
    again for ever."""
    return said.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def _said_at(item: Heard | Gap) -> float:
    return time.time() if isinstance(item, Gap) else order(item.id)[0] / 1000


def _unless_error(item: Heard | Gap | Exception) -> Heard | Gap:
    if isinstance(item, Exception):
        raise item
    return item


def _now() -> datetime:
    return from_seconds(time.time())
