"""What belongs to heartbeats and is no state: the secret that their tokens are made of, and the logs that
jobs send along.

A log goes from the server that took it straight into the database, and not by the feed, which a day of it
would fill. It may be lost where the heartbeat is not.
"""

from typing import Any, Final

from app.db.engine import Database, Transaction
from app.db.tables import HeartbeatLogRow, SettingRow
from app.domain.events import Heartbeat, Word
from app.domain.heartbeat import Said
from app.domain.instant import from_ms, to_ms

LOGS_KEPT: Final = 20  # of each monitor
_SECRET: Final = "heartbeat_secret"


async def kept_secret(transaction: Transaction, new: str) -> str:
    """The one there is, or from now on `new`: it is sealed, and the same for all servers."""
    await transaction.execute(
        "INSERT INTO settings (name, value) VALUES ({}, {}) ON CONFLICT (name) DO NOTHING", _SECRET, new
    )
    [row] = await transaction.fetch(SettingRow.select(SettingRow.value).where(SettingRow.name == _SECRET))
    return str(row["value"])


async def change_secret(transaction: Transaction, sealed: str) -> None:
    await transaction.execute("UPDATE settings SET value = {} WHERE name = {}", sealed, _SECRET)


async def keep_log(database: Database, said: Said) -> None:
    heartbeat = said.heartbeat
    async with database.writing() as transaction:
        await transaction.execute(
            "INSERT INTO heartbeat_logs (monitor, at, word, code, log) VALUES ({}, {}, {}, {}, {})",
            heartbeat.monitor,
            to_ms(heartbeat.at),
            heartbeat.word.value,
            heartbeat.code,
            said.log,
        )
        await transaction.execute(
            "DELETE FROM heartbeat_logs WHERE monitor = {} AND id NOT IN"
            " (SELECT id FROM heartbeat_logs WHERE monitor = {} ORDER BY id DESC LIMIT {})",
            heartbeat.monitor,
            heartbeat.monitor,
            LOGS_KEPT,
        )


async def kept_logs(database: Database, monitor: str) -> list[Said]:
    """The newest last."""
    kept = HeartbeatLogRow.select().where(HeartbeatLogRow.monitor == monitor).order_by(HeartbeatLogRow.id)
    async with database.reading() as transaction:
        return [_said(row) for row in await transaction.fetch(kept)]


def _said(row: dict[str, Any]) -> Said:
    word = Heartbeat(at=from_ms(row["at"]), monitor=row["monitor"], word=Word(row["word"]), code=row["code"])
    return Said(word, row["log"])
