"""How fast answers came: histograms by the minute for two days, by the hour for three months and by the day
for ever, so that a percentile over any window is a few rows; `measured.py` reads them.

A measurement is first written to the fresh rows, and from there it is gathered into the sheet of its hour.
When an hour is over, its sheet is sealed: from then on the sheet of the day knows all of it, and so on. What
comes late goes to the sheet it belongs to and to those above that know that one already. So each measurement
is, at any instant, in exactly one place of which nothing above knows yet, or in the sheet of its month.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from app.db.catalog import write_sheets_changed
from app.db.engine import Database, Statement, Transaction
from app.domain.histogram import bucket_of
from app.domain.instant import to_ms
from app.domain.sheet import Counts, Sheet, counts_of, number_of

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86400


class Level(Struct, frozen=True):
    """Sheets of so many pieces of so many seconds. They are `kept` for so long; None is for ever."""

    length: int
    pieces: int
    kept: timedelta | None

    @property
    def stretch(self) -> int:
        """Milliseconds of a sheet."""
        return self.length * self.pieces * 1000

    def sheet_of(self, ms: int) -> int:
        return ms - ms % self.stretch


LEVELS: Final = (
    Level(MINUTE, 60, timedelta(hours=48)),
    Level(HOUR, 24, timedelta(days=90)),
    Level(DAY, 32, None),
)
TOP: Final = len(LEVELS) - 1

# Whatever comes later than that after its hour, or its day, costs one more writing.
SEAL_AFTER: Final = timedelta(minutes=5)
# One transaction: the recorder and the push must not wait long.
AT_ONCE: Final = 100
# Postgres takes 32,767 values in a statement.
_MOST_VALUES: Final = 5_000
# Minutes and buckets are written as characters, beginning with the first one that can be seen.
_FIRST: Final = 33

_FRESH: Final = (
    "INSERT INTO latency_fresh AS fresh (component, start, samples, said) VALUES ({}, {}, {}, {})"
    " ON CONFLICT (component, start)"
    " DO UPDATE SET samples = fresh.samples + excluded.samples, said = fresh.said || excluded.said"
)
_UPSERT: Final = (
    "INSERT INTO latency_sheets (component, length, start, sealed, samples, totals)"
    " VALUES ({}, {}, {}, {}, {}, {}) ON CONFLICT (component, length, start)"
    " DO UPDATE SET samples = excluded.samples, totals = excluded.totals"
)

Place = tuple[str, int]  # a component, and a start in milliseconds


class SumsDiffer(Exception):
    """A step would have lost or invented samples. Nothing was changed."""


class Fresh:
    """What a batch measured, as text that is put behind what stands in the row of its hour: so nothing need
    be read, or remembered, to write it. Two characters each, the minute and the bucket."""

    def __init__(self) -> None:
        self._said: dict[Place, list[str]] = {}

    def add(self, component: str, at: datetime, took: float) -> None:
        hour, minute = divmod(to_ms(at) // 60_000, 60)
        said = self._said.setdefault((component, hour * 3_600_000), [])
        said.append(chr(_FIRST + minute) + chr(_FIRST + bucket_of(took)))

    @property
    def statement(self) -> Statement:
        # Always in the same order, so that no two transactions can wait for each other.
        return _FRESH, [
            (component, start, len(said), "".join(said))
            for (component, start), said in sorted(self._said.items())
        ]


def pieces_of(said: str) -> Iterable[tuple[int, int]]:
    """(minute, bucket) of each sample in a fresh row."""
    raw = said.encode("latin-1")
    for minute, bucket in zip(raw[::2], raw[1::2], strict=True):
        yield minute - _FIRST, bucket - _FIRST


# Rolling up


async def roll_up(database: Database, now: datetime, at_once: int = AT_ONCE) -> int:
    """Gather what is fresh, seal what is over, let go of what is old; the number of rows that were dealt
    with. May be stopped and begun again at any point: each step is whole."""
    done = await _all(_gather, database, at_once)
    for n, level in enumerate(LEVELS[:-1]):
        over = to_ms(now - SEAL_AFTER) - level.stretch
        done += await _all(_seal, database, at_once, n, over)
    for n, level in enumerate(LEVELS[:-1]):
        assert level.kept is not None
        done += await _all(_prune, database, at_once, n, to_ms(now - level.kept) - level.stretch)
    return done


async def _all(step: Callable[..., Awaitable[int]], database: Database, at_once: int, *what: int) -> int:
    done = 0
    while True:
        async with database.writing() as transaction:
            # Whoever holds the cursor's row is the only one who writes: a recorder takes it first, too.
            await transaction.execute("UPDATE feed_cursor SET at = at WHERE name = 'feed'")
            count = await step(transaction, at_once, *what)
            if count:
                await write_sheets_changed(transaction)
        # Who has waited for the database gets it now; without this, we would again and again.
        await asyncio.sleep(0)
        done += count
        if count < at_once:
            return done


async def _gather(transaction: Transaction, at_once: int) -> int:
    rows = await transaction.fetch(
        f"SELECT id, component, start, samples, said FROM latency_fresh ORDER BY id LIMIT {at_once}"
    )
    more: dict[Place, dict[int, int]] = {}
    for row in rows:
        for minute, bucket in pieces_of(row["said"]):
            counts = more.setdefault((row["component"], row["start"] + minute * 60_000), {})
            counts[bucket] = counts.get(bucket, 0) + 1
    await _add(transaction, 0, more, sum(row["samples"] for row in rows))
    await _delete(transaction, "latency_fresh", rows)
    return len(rows)


async def _seal(transaction: Transaction, at_once: int, n: int, over: int) -> int:
    """Tell the sheets above of those that began by then."""
    rows = await transaction.fetch(
        "SELECT id, component, start, samples, totals FROM latency_sheets"
        f" WHERE NOT sealed AND length = {{}} AND start <= {{}} ORDER BY start, component LIMIT {at_once}",
        LEVELS[n].length,
        over,
    )
    more = {(row["component"], row["start"]): Sheet(row["totals"]).total for row in rows}
    await _add(transaction, n + 1, more, sum(row["samples"] for row in rows))
    await transaction.execute_many(
        "UPDATE latency_sheets SET sealed = {} WHERE id = {}", [(True, row["id"]) for row in rows]
    )
    return len(rows)


async def _prune(transaction: Transaction, at_once: int, n: int, old: int) -> int:
    """Let go of the sealed sheets that began by then, if those above know all that is in them."""
    rows = await transaction.fetch(
        "SELECT id, component, start, samples, totals FROM latency_sheets"
        f" WHERE sealed AND length = {{}} AND start <= {{}} ORDER BY start, component LIMIT {at_once}",
        LEVELS[n].length,
        old,
    )
    above = LEVELS[n + 1]
    kept = await _read(
        transaction, above.length, {(row["component"], above.sheet_of(row["start"])) for row in rows}
    )
    for row in rows:
        sheet = kept.get((row["component"], above.sheet_of(row["start"])))
        piece = row["start"] % above.stretch // (above.length * 1000)
        known = counts_of(0 if sheet is None else number_of(sheet["totals"], piece, piece + 1))
        its = Sheet(row["totals"]).total
        if sum(its.values()) != row["samples"] or any(known[b] < count for b, count in its.items()):
            raise SumsDiffer(f"{sum(known)} samples are kept of {row['samples']}")
    await _delete(transaction, "latency_sheets", rows)
    return len(rows)


async def _add(transaction: Transaction, n: int, more: Mapping[Place, Counts], samples: int) -> None:
    """Add to the pieces that begin there, and to the sheets above that know these already. `samples` is how
    many there must be more of afterwards."""
    level = LEVELS[n]
    pieces: dict[Place, dict[int, Counts]] = {}
    for (component, start), counts in more.items():
        sheet = component, level.sheet_of(start)
        pieces.setdefault(sheet, {})[(start - sheet[1]) // (level.length * 1000)] = counts
    there = await _read(transaction, level.length, pieces)
    sheets = {place: Sheet(there[place]["totals"] if place in there else b"") for place in pieces}
    for place, its in pieces.items():
        for piece, counts in its.items():
            sheets[place].add(piece, counts)
    await transaction.execute_many(
        _UPSERT,
        [
            (component, level.length, start, n == TOP, sum(sheet.total.values()), sheet.encode())
            for (component, start), sheet in sorted(sheets.items(), key=lambda item: item[0])
        ],
    )
    await _check(transaction, level, there, pieces, samples)
    if n < TOP and any(row["sealed"] for row in there.values()):
        late = {place: _sum(pieces[place].values()) for place, row in there.items() if row["sealed"]}
        await _add(transaction, n + 1, late, sum(sum(counts.values()) for counts in late.values()))


async def _check(
    transaction: Transaction,
    level: Level,
    before: Mapping[Place, dict[str, Any]],
    places: Iterable[Place],
    samples: int,
) -> None:
    written = await _read(transaction, level.length, places)
    counted = sum(sum(Sheet(row["totals"]).total.values()) for row in written.values())
    added = counted - sum(row["samples"] for row in before.values())
    if added != samples:
        raise SumsDiffer(f"{added} samples instead of {samples}")


async def _read(
    transaction: Transaction, length: int, places: Iterable[Place]
) -> dict[Place, dict[str, Any]]:
    wanted = set(places)
    found: dict[Place, dict[str, Any]] = {}
    for few in chunks(sorted({start for _, start in wanted})):
        for some in chunks(sorted({component for component, _ in wanted})):
            rows = await transaction.fetch(
                "SELECT component, start, sealed, samples, totals FROM latency_sheets WHERE length = {}"
                f" AND component IN ({marks(some)}) AND start IN ({marks(few)})",
                length,
                *some,
                *few,
            )
            places_of = (((row["component"], row["start"]), row) for row in rows)
            found |= {place: row for place, row in places_of if place in wanted}
    return found


async def _delete(transaction: Transaction, table: str, rows: Iterable[dict[str, Any]]) -> None:
    await transaction.execute_many(f"DELETE FROM {table} WHERE id = {{}}", [(row["id"],) for row in rows])


def _sum(several: Iterable[Counts]) -> dict[int, int]:
    total: dict[int, int] = {}
    for counts in several:
        for bucket, count in counts.items():
            total[bucket] = total.get(bucket, 0) + count
    return total


def chunks(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (values[n : n + _MOST_VALUES] for n in range(0, len(values), _MOST_VALUES))


def marks(values: Sequence[object]) -> str:
    return ", ".join(["{}"] * len(values))
