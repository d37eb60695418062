"""Latency in sheets, and notes: their tables."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns import BigInt, BigSerial, Boolean, Bytea, Column, Integer, Text

ID = "statuswire_0006_history_1"
VERSION = "1.38.0"
DESCRIPTION = "Latency in sheets, and notes"


def add_columns(manager: MigrationManager, class_name: str, tablename: str, **columns: Column) -> None:
    for name, column in columns.items():
        manager.add_column(
            table_class_name=class_name,
            tablename=tablename,
            column_name=name,
            column_class_name=type(column).__name__,
            column_class=type(column),
            params=column._meta.params,
        )


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="statuswire", description=DESCRIPTION)
    manager.add_table("LatencyFreshRow", tablename="latency_fresh")
    add_columns(
        manager,
        "LatencyFreshRow",
        "latency_fresh",
        id=BigSerial(primary_key=True),
        component=Text(),
        start=BigInt(),
        samples=Integer(),
        said=Text(),
    )
    manager.add_table("LatencySheetRow", tablename="latency_sheets")
    add_columns(
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
    manager.add_table("NoteRow", tablename="notes")
    add_columns(
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
