"""The indexes of latency and notes; and what was measured before goes from its old table into the new one."""

from typing import Any

import msgspec
from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder
from piccolo.querystring import QueryString

from migrations import add_statements

ID = "statuswire_0006_history_2"
VERSION = "1.38.0"
DESCRIPTION = "The indexes of latency and notes, and the old latencies"

STATEMENTS = (
    "CREATE UNIQUE INDEX latency_fresh_once ON latency_fresh (component, start)",
    "CREATE UNIQUE INDEX latency_sheets_once ON latency_sheets (component, length, start)",
    # What nothing above knows: of each component the sheet of this hour and that of today.
    "CREATE INDEX latency_sheets_open ON latency_sheets (component, length, start) WHERE NOT sealed",
    # What is due to be sealed or let go, oldest first.
    "CREATE INDEX latency_sheets_by_start ON latency_sheets (length, start)",
    "CREATE UNIQUE INDEX notes_once ON notes (event, component)",
)
FRESH = (
    "INSERT INTO latency_fresh AS fresh (component, start, samples, said) VALUES ({}, {}, {}, {})"
    " ON CONFLICT (component, start)"
    " DO UPDATE SET samples = fresh.samples + excluded.samples, said = fresh.said || excluded.said"
)
AT_ONCE = 1000
HOUR_MS = 3_600_000


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="statuswire", description=DESCRIPTION)
    add_statements(manager, STATEMENTS)

    async def run() -> None:
        engine = engine_finder()
        assert engine is not None
        last: Any = 0
        while rows := await engine.run_querystring(
            QueryString(
                "SELECT id, component, start, counts FROM latency_rollups WHERE id > {}"
                f" ORDER BY id LIMIT {AT_ONCE}",
                last,
            )
        ):
            for row in rows:
                await engine.run_querystring(QueryString(FRESH, *as_fresh(row)))
            last = rows[-1]["id"]

    manager.add_raw(run)
    manager.drop_table("LatencyRollupRow", tablename="latency_rollups")
    return manager


def as_fresh(row: dict[str, Any]) -> tuple[object, ...]:
    """An old row of an hour or a day becomes what was measured in its first minute."""
    counts = msgspec.json.decode(row["counts"], type=dict[int, int])
    minute = chr(33 + row["start"] % HOUR_MS // 60_000)
    said = "".join((minute + chr(33 + bucket)) * count for bucket, count in counts.items())
    return row["component"], row["start"] // HOUR_MS * HOUR_MS, sum(counts.values()), said
