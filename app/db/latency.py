"""How fast answers came: histograms of a minute, which become hours after two days and days after three
months, so that a percentile over any window is one sum.

Each sample is in exactly one row, whichever length that has. A row goes only in the transaction in which it
was added to the next longer one and the sums were found right.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from app.db.engine import Database, Transaction
from app.domain.histogram import Histogram
from app.domain.instant import to_ms

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86400

# Of what length, after what time, becomes what.
_AGES: Final = ((MINUTE, timedelta(hours=48), HOUR), (HOUR, timedelta(days=90), DAY))
# One transaction: the recorder and the push must not wait long.
AT_ONCE: Final = 500
# Most samples are of the last two minutes. Older ones come too, from a worker that was cut off, and then the
# row is read: it may have been rolled up meanwhile.
_KEPT: Final = timedelta(minutes=3)
# Postgres takes 32,767 values in a statement.
_MOST_VALUES: Final = 10_000

_UPSERT: Final = (
    "INSERT INTO latency_rollups (component, length, start, samples, counts) VALUES ({}, {}, {}, {}, {})"
    " ON CONFLICT (component, length, start)"
    " DO UPDATE SET samples = excluded.samples, counts = excluded.counts"
)

Place = tuple[str, int]  # a component, and a start in milliseconds

_decode_counts = msgspec.json.Decoder(dict[int, int]).decode


class SumsDiffer(Exception):
    """A roll-up would have lost or invented samples. Nothing was changed."""


class Minutes:
    """The minutes that are being written. What is kept here need not be read again, as long as nobody else
    writes: forget() it when somebody does."""

    def __init__(self) -> None:
        self._kept: dict[Place, Histogram] = {}

    def forget(self) -> None:
        self._kept.clear()

    async def add(
        self, transaction: Transaction, samples: Mapping[Place, Histogram]
    ) -> dict[Place, Histogram]:
        """Write down, and return what to keep() once that is committed."""
        unknown = [place for place in samples if place not in self._kept]
        known = self._kept | await read_rows(transaction, MINUTE, unknown)
        sums = {
            place: known[place].merge(more) if place in known else more for place, more in samples.items()
        }
        await _write_rows(transaction, MINUTE, sums)
        return sums

    def keep(self, sums: Mapping[Place, Histogram], now: datetime) -> None:
        oldest = to_ms(now - _KEPT)
        self._kept = {place: sum for place, sum in {**self._kept, **sums}.items() if place[1] >= oldest}


async def roll_up(database: Database, now: datetime, at_once: int = AT_ONCE) -> int:
    """Make longer rows of what is old enough; the number of rows that are gone. May be stopped and begun
    again at any point."""
    gone = 0
    for length, age, longer in _AGES:
        before = _start(to_ms(now - age), longer)
        while count := await _roll_up_some(database, length, before, longer, at_once):
            gone += count
    return gone


async def read_histogram(
    transaction: Transaction, component: str, start: datetime, end: datetime
) -> Histogram:
    """All samples of the rows that begin within the window."""
    rows = await transaction.fetch(
        "SELECT counts FROM latency_rollups WHERE component = {} AND length IN (60, 3600, 86400)"
        " AND start >= {} AND start < {}",
        component,
        to_ms(start),
        to_ms(end),
    )
    return Histogram(_sum_up(row["counts"] for row in rows))


async def read_rows(transaction: Transaction, length: int, places: Iterable[Place]) -> dict[Place, Histogram]:
    wanted = set(places)
    components = sorted({component for component, _ in wanted})
    starts = sorted({start for _, start in wanted})
    found: dict[Place, Histogram] = {}
    for some in _chunks(components):
        for few in _chunks(starts):
            rows = await transaction.fetch(
                "SELECT component, start, counts FROM latency_rollups WHERE length = {}"
                f" AND component IN ({_marks(some)}) AND start IN ({_marks(few)})",
                length,
                *some,
                *few,
            )
            for row in rows:
                place = row["component"], row["start"]
                if place in wanted:
                    found[place] = Histogram(_decode_counts(row["counts"]))
    return found


async def _write_rows(transaction: Transaction, length: int, sums: Mapping[Place, Histogram]) -> None:
    await transaction.execute_many(
        _UPSERT,
        [
            (component, length, start, sum.count, msgspec.json.encode(sum.counts).decode())
            # Always in the same order, so that no two transactions can wait for each other.
            for (component, start), sum in sorted(sums.items(), key=lambda item: item[0])
        ],
    )


async def _roll_up_some(database: Database, length: int, before: int, longer: int, at_once: int) -> int:
    async with database.writing() as transaction:
        # Whoever holds the cursor's row is the only one who writes: a recorder takes it first, too.
        await transaction.execute("UPDATE feed_cursor SET at = at WHERE name = 'feed'")
        rows = await transaction.fetch(
            "SELECT id, component, start, samples, counts FROM latency_rollups"
            f" WHERE length = {{}} AND start < {{}} ORDER BY start, component LIMIT {at_once}",
            length,
            before,
        )
        texts: dict[Place, list[str]] = {}
        for row in rows:
            place = row["component"], _start(row["start"], longer)
            texts.setdefault(place, []).append(row["counts"])
        there = await read_rows(transaction, longer, texts)
        sums = {place: Histogram(_sum_up(some)) for place, some in texts.items()}
        merged = {place: sum.merge(there.get(place, Histogram())) for place, sum in sums.items()}
        await _write_rows(transaction, longer, merged)
        written = await read_rows(transaction, longer, texts)
        added = sum(h.count for h in written.values()) - sum(h.count for h in there.values())
        if added != sum(row["samples"] for row in rows):
            raise SumsDiffer(f"{added} samples instead of {sum(row['samples'] for row in rows)}")
        await transaction.execute_many(
            "DELETE FROM latency_rollups WHERE id = {}", [(row["id"],) for row in rows]
        )
    return len(rows)


def _sum_up(texts: Iterable[str]) -> dict[int, int]:
    sums: dict[int, int] = {}
    for text in texts:
        for bucket, count in _decode_counts(text).items():
            sums[bucket] = sums.get(bucket, 0) + count
    return sums


def start_of_minute(at: datetime) -> int:
    return _start(to_ms(at), MINUTE)


def _start(ms: int, length: int) -> int:
    return ms - ms % (length * 1000)


def _chunks(values: list[str] | list[int]) -> Iterable[list[str] | list[int]]:
    return (values[n : n + _MOST_VALUES] for n in range(0, len(values), _MOST_VALUES))


def _marks(values: list[str] | list[int]) -> str:
    return ", ".join(["{}"] * len(values))
