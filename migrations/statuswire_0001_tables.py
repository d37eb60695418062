"""The tables of the first version."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns import BigInt, BigSerial, ForeignKey, Integer, Text
from piccolo.columns.base import OnDelete
from piccolo.table import Table

from migrations import add_table

ID = "statuswire_0001_tables"
VERSION = "1.38.0"
DESCRIPTION = "The tables of the first version"


class GroupRow(Table, tablename="groups"):
    name = Text(primary_key=True)


class ComponentRow(Table, tablename="components"):
    slug = Text(primary_key=True)


class MonitorRow(Table, tablename="monitors"):
    key = Text(primary_key=True)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="statuswire", description=DESCRIPTION)
    add_table(manager, "GroupRow", "groups", name=Text(primary_key=True), position=Integer())
    add_table(
        manager,
        "ComponentRow",
        "components",
        slug=Text(primary_key=True),
        name=Text(),
        description=Text(),
        group=ForeignKey(GroupRow, null=True, default=None, on_delete=OnDelete.set_null),
        position=Integer(),
    )
    add_table(
        manager,
        "MonitorRow",
        "monitors",
        key=Text(primary_key=True),
        component=ForeignKey(ComponentRow, null=False, on_delete=OnDelete.cascade),
        position=Integer(),
        definition=Text(),
    )
    add_table(
        manager,
        "MonitorRegionRow",
        "monitor_regions",
        key=Text(primary_key=True),
        monitor=ForeignKey(MonitorRow, null=False, on_delete=OnDelete.cascade),
        region=Text(),
        state=Text(),
        since=BigInt(),
        reason=Text(),
        detail=Text(),
        heard_at=BigInt(),
    )
    add_table(
        manager,
        "SpanRow",
        "spans",
        id=BigSerial(primary_key=True),
        component=Text(),
        status=Text(),
        was=Text(),
        since=BigInt(),
        until=BigInt(null=True, default=None),
        event=Text(),
        n=Integer(),
        at=BigInt(),
        monitor=Text(),
        reason=Text(),
        trace=Text(),
    )
    add_table(
        manager,
        "LatencyRollupRow",
        "latency_rollups",
        id=BigSerial(primary_key=True),
        component=Text(),
        length=Integer(),
        start=BigInt(),
        samples=Integer(),
        counts=Text(),
    )
    add_table(manager, "FeedCursorRow", "feed_cursor", name=Text(primary_key=True), at=Text())
    add_table(
        manager,
        "GapRow",
        "gaps",
        id=BigSerial(primary_key=True),
        after=Text(),
        before=Text(),
        at=BigInt(),
    )
    add_table(manager, "SettingRow", "settings", name=Text(primary_key=True), value=Text())
    return manager
