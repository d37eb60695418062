"""The indexes of the first version, and its one cursor."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from migrations import add_statements

ID = "statuswire_0002_indexes"
VERSION = "1.38.0"
DESCRIPTION = "The indexes of the first version, and its one cursor"

STATEMENTS = (
    # An event that is applied twice writes one row, and no component has two states at once.
    "CREATE UNIQUE INDEX spans_once ON spans (event, component, n)",
    "CREATE UNIQUE INDEX spans_open ON spans (component) WHERE until IS NULL",
    # Most windows are recent, and end now: by its end a span of long ago is passed over unread.
    "CREATE INDEX spans_by_component ON spans (component, until)",
    "CREATE INDEX monitors_by_component ON monitors (component)",
    "CREATE INDEX monitor_regions_by_monitor ON monitor_regions (monitor)",
    "CREATE UNIQUE INDEX latency_rollups_once ON latency_rollups (component, length, start)",
    # What is due to be rolled up, oldest first.
    "CREATE INDEX latency_rollups_by_start ON latency_rollups (length, start)",
    "CREATE UNIQUE INDEX gaps_once ON gaps (after, before)",
    "INSERT INTO feed_cursor (name, at) VALUES ('feed', '0-0')",
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="statuswire", description=DESCRIPTION)
    add_statements(manager, STATEMENTS)
    return manager
