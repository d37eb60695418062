"""What jobs say of themselves: when they were last heard to begin and to end, and their logs."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns import BigInt, BigSerial, Integer, Text

from migrations import add_columns, add_table

ID = "statuswire_0007_heartbeats"
VERSION = "1.38.0"
DESCRIPTION = "What jobs say of themselves"


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="statuswire", description=DESCRIPTION)
    add_columns(
        manager,
        "MonitorRegionRow",
        "monitor_regions",
        seen=BigInt(null=True, default=None),
        running=BigInt(null=True, default=None),
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
