"""What operators do: incidents, maintenances, overrides, acknowledgements; the audit log and the outbox."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns import BigInt, BigSerial, Boolean, ForeignKey, Integer, Text
from piccolo.columns.base import OnDelete
from piccolo.table import Table

from migrations import add_table

ID = "statuswire_0003_operations"
VERSION = "1.38.0"
DESCRIPTION = "What operators do"


class IncidentRow(Table, tablename="incidents"):
    id = Text(primary_key=True)


class MaintenanceRow(Table, tablename="maintenances"):
    id = Text(primary_key=True)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="statuswire", description=DESCRIPTION)
    _add_what_is_kept_of_changes(manager)
    _add_incidents(manager)
    _add_maintenances(manager)
    return manager


def _add_what_is_kept_of_changes(manager: MigrationManager) -> None:
    add_table(
        manager,
        "AuditRow",
        "audit_log",
        id=BigSerial(primary_key=True),
        at=BigInt(index=True),
        kind=Text(),
        name=Text(),
        address=Text(),
        verb=Text(),
        subject=Text(index=True),
        before=Text(null=True, default=None),
        after=Text(null=True, default=None),
    )
    add_table(
        manager,
        "OutboxRow",
        "outbox",
        id=BigSerial(primary_key=True),
        key=Text(),
        event=Text(),
    )
    add_table(
        manager,
        "OperationRow",
        "operations",
        key=Text(primary_key=True),
        event=Text(),
    )


def _add_incidents(manager: MigrationManager) -> None:
    add_table(
        manager,
        "IncidentRow",
        "incidents",
        id=Text(primary_key=True),
        title=Text(),
        status=Text(),
        impact=Text(),
        impact_set=Boolean(),
        since=BigInt(index=True),
        updated=BigInt(),
        resolved=BigInt(null=True, default=None),
        next_update_by=BigInt(null=True, default=None),
        draft=Boolean(),
        rule=Text(),
        acknowledged=Text(),
        acknowledged_until=BigInt(null=True, default=None),
        version=Integer(),
    )
    add_table(
        manager,
        "IncidentComponentRow",
        "incident_components",
        id=BigSerial(primary_key=True),
        incident=ForeignKey(IncidentRow, null=False, on_delete=OnDelete.cascade, index=True),
        component=Text(index=True),
        status=Text(null=True, default=None),
        position=Integer(),
    )
    add_table(
        manager,
        "UpdateRow",
        "updates",
        id=BigSerial(primary_key=True),
        subject=Text(index=True),
        n=Integer(),
        at=BigInt(),
        status=Text(),
        words=Text(),
        private=Boolean(),
        author=Text(),
    )
    add_table(
        manager,
        "TemplateRow",
        "templates",
        name=Text(primary_key=True),
        title=Text(),
        status=Text(),
        words=Text(),
    )


def _add_maintenances(manager: MigrationManager) -> None:
    add_table(
        manager,
        "MaintenanceRow",
        "maintenances",
        id=Text(primary_key=True),
        series=Text(index=True),
        title=Text(),
        status=Text(),
        words=Text(),
        starts=BigInt(index=True),
        ends=BigInt(),
        recurrence=Text(),
        time_zone=Text(),
        first=BigInt(),
        lasts=BigInt(),
        version=Integer(),
    )
    add_table(
        manager,
        "MaintenanceComponentRow",
        "maintenance_components",
        id=BigSerial(primary_key=True),
        maintenance=ForeignKey(MaintenanceRow, null=False, on_delete=OnDelete.cascade, index=True),
        component=Text(index=True),
        position=Integer(),
    )
    add_table(
        manager,
        "OverrideRow",
        "overrides",
        component=Text(primary_key=True),
        status=Text(),
        at=BigInt(),
        author=Text(),
    )
    add_table(
        manager,
        "AcknowledgementRow",
        "acknowledgements",
        component=Text(primary_key=True),
        words=Text(),
        at=BigInt(),
        until=BigInt(null=True, default=None),
        author=Text(),
    )
