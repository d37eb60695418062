"""What is said beside a status by hand, and how bad an incident is of each of its components."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns import Text

from migrations import add_columns

ID = "statuswire_0009_said"
VERSION = "1.38.0"
DESCRIPTION = "Notes on overrides, and the impact on each component"


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="statuswire", description=DESCRIPTION)
    add_columns(manager, "OverrideRow", "overrides", note=Text())
    add_columns(manager, "IncidentRow", "incidents", felt=Text())
    return manager
