"""One account for each address and each account elsewhere, one session for each cookie."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

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

    async def run() -> None:
        engine = engine_finder()
        assert engine is not None
        for statement in STATEMENTS:
            await engine.run_ddl(statement)

    manager.add_raw(run)
    return manager
