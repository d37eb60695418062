"""Tries to sign in, counted before they are looked at: of a thousand at once, no more are heard than of a
thousand one after the other.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from app.db.engine import Transaction
from app.domain.instant import to_ms

FORGOTTEN: Final = timedelta(hours=1)  # without a try, and what was before counts no more
AT_MOST: Final = 10_000  # keys, so that invented names do not fill the disk


async def take(transaction: Transaction, key: str, now: datetime, wait: Callable[[int], float]) -> float:
    """Count one try. 0.0 if it may be heard, else the seconds until one may: and then it has not been
    counted, so that nobody is kept out by those who are turned away. `wait` says how long to be deaf after
    so many failures."""
    rows = await transaction.fetch("SELECT failures, until, at FROM tries WHERE key = {}", key)
    if not rows:
        await _make_room(transaction, now)
        await transaction.execute(
            "INSERT INTO tries (key, failures, until, at) VALUES ({}, 0, 0, {}) ON CONFLICT (key) DO NOTHING",
            key,
            to_ms(now),
        )
        rows = [{"failures": 0, "until": 0, "at": to_ms(now)}]
    [known] = rows
    if known["until"] > to_ms(now):
        return float(known["until"] - to_ms(now)) / 1000
    lapsed = known["at"] < to_ms(now - FORGOTTEN)
    failures = 1 if lapsed else known["failures"] + 1
    until = to_ms(now) + round(wait(failures) * 1000)
    taken = await transaction.execute(
        "UPDATE tries SET failures = {}, until = {}, at = {}"
        " WHERE key = {} AND failures = {} AND until <= {}",
        failures, until, to_ms(now), key, known["failures"], to_ms(now),
    )  # fmt: skip
    # Another try of the same key came in between, which Postgres allows.
    return 0.0 if taken else 1.0


async def forget(transaction: Transaction, key: str) -> None:
    """It was no failure, nor are those before it."""
    await transaction.execute("DELETE FROM tries WHERE key = {}", key)


async def take_back(transaction: Transaction, key: str) -> None:
    """It was no failure; those before it stay."""
    await transaction.execute(
        "UPDATE tries SET failures = failures - 1, until = 0 WHERE key = {} AND failures > 0", key
    )


async def _make_room(transaction: Transaction, now: datetime) -> None:
    await transaction.execute("DELETE FROM tries WHERE at < {}", to_ms(now - FORGOTTEN))
    [count] = await transaction.fetch("SELECT COUNT(*) AS tries FROM tries")
    if count["tries"] >= AT_MOST:
        await transaction.execute(
            "DELETE FROM tries WHERE key IN (SELECT key FROM tries ORDER BY at LIMIT {})", AT_MOST // 10
        )
