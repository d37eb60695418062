"""Latency in sheets, and notes: their tables."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns import BigInt, BigSerial, Boolean, Bytea, Integer, Text

from migrations import add_columns, add_table

ID = "statuswire_0006_history_1"
VERSION = "1.38.0"
DESCRIPTION = "Latency in sheets, and notes"


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="statuswire", description=DESCRIPTION)
    add_table(
        manager,
        "LatencyFreshRow",
        "latency_fresh",
        id=BigSerial(primary_key=True),
        component=Text(),
        start=BigInt(),
        samples=Integer(),
        said=Text(),
    )
    add_table(
        manager,
        "LatencySheetRow",
        "latency_sheets",
        id=BigSerial(primary_key=True),
        component=Text(),
        length=Integer(),
        start=BigInt(),
        sealed=Boolean(),
        samples=BigInt(),
        totals=Bytea(),
    )
    add_table(
        manager,
        "NoteRow",
        "notes",
        id=BigSerial(primary_key=True),
        component=Text(),
        event=Text(),
        at=BigInt(),
        trace=Text(),
        flapping=Boolean(),
        behind=Text(),
        name=Text(),
    )
    add_columns(manager, "MonitorRegionRow", "monitor_regions", flapping=Boolean())
    return manager
