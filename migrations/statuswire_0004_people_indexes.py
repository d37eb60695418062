"""One account for each address and each account elsewhere, one session for each cookie."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from migrations import add_statements

ID = "statuswire_0004_people_indexes"
VERSION = "1.38.0"
DESCRIPTION = "What is unique about people"

STATEMENTS = (
    "CREATE UNIQUE INDEX users_email ON users (email)",
    "CREATE UNIQUE INDEX users_provider ON users (provider)",
    "CREATE UNIQUE INDEX sessions_hash ON sessions (hash)",
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="statuswire", description=DESCRIPTION)
    add_statements(manager, STATEMENTS)
    return manager
