"""What jobs say of themselves: when they were last heard to begin and to end, and their logs."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns import BigInt, BigSerial, Integer, Text

from migrations.statuswire_0001_tables import add_table

ID = "statuswire_0007_heartbeats"
VERSION = "1.38.0"
DESCRIPTION = "What jobs say of themselves"


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="statuswire", description=DESCRIPTION)
    for name in ("seen", "running"):
        column = BigInt(null=True, default=None)
        manager.add_column(
            table_class_name="MonitorRegionRow",
            tablename="monitor_regions",
            column_name=name,
            column_class_name="BigInt",
            column_class=BigInt,
            params=column._meta.params,
        )
    add_table(
        manager,
        "HeartbeatLogRow",
        "heartbeat_logs",
        id=BigSerial(primary_key=True),
        monitor=Text(index=True),
        at=BigInt(),
        word=Text(),
        code=Integer(null=True, default=None),
        log=Text(),
    )
    return manager
