"""Answers that are kept for a request which may come again: an Idempotency-Key is one change, however often
it is sent. They are written in the transaction of the change itself.
"""

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from app.db.engine import Transaction
from app.domain.instant import to_ms

KEPT: Final = timedelta(hours=24)
AT_MOST: Final = 10_000


class Kept(Struct, frozen=True):
    """`asked` is the hash of the request it answers; `answer` is empty while its change is under way."""

    asked: str
    answer: str


async def begin(transaction: Transaction, key: str, asked: str, now: datetime) -> Kept | None:
    """None if the request is new: then it is for whoever asks to make the change, and to keep its answer."""
    await _make_room(transaction, now)
    new = await transaction.execute(
        "INSERT INTO answers (key, asked, answer, at) VALUES ({}, {}, '', {}) ON CONFLICT (key) DO NOTHING",
        key, asked, to_ms(now),
    )  # fmt: skip
    if new:
        return None
    [row] = await transaction.fetch("SELECT asked, answer FROM answers WHERE key = {}", key)
    return Kept(row["asked"], row["answer"])


async def find(transaction: Transaction, key: str, now: datetime) -> Kept | None:
    query = "SELECT asked, answer FROM answers WHERE key = {} AND at >= {}"
    rows = await transaction.fetch(query, key, to_ms(now - KEPT))
    return Kept(rows[0]["asked"], rows[0]["answer"]) if rows else None


async def keep(transaction: Transaction, key: str, answer: str) -> None:
    await transaction.execute("UPDATE answers SET answer = {} WHERE key = {}", answer, key)


async def _make_room(transaction: Transaction, now: datetime) -> None:
    await transaction.execute("DELETE FROM answers WHERE at < {}", to_ms(now - KEPT))
    [count] = await transaction.fetch("SELECT COUNT(*) AS answers FROM answers")
    if count["answers"] >= AT_MOST:
        await transaction.execute(
            "DELETE FROM answers WHERE key IN (SELECT key FROM answers ORDER BY at LIMIT {})", AT_MOST // 10
        )
