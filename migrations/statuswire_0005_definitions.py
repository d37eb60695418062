"""What operators define in the database, beside the file; and components that are hidden."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns import Integer, Text

from migrations import add_columns, add_table

ID = "statuswire_0005_definitions"
VERSION = "1.38.0"
DESCRIPTION = "What operators define in the database, and components that are hidden"


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="statuswire", description=DESCRIPTION)
    add_table(
        manager,
        "DefinitionRow",
        "definitions",
        key=Text(primary_key=True),
        kind=Text(),
        position=Integer(),
        definition=Text(),
    )
    add_columns(manager, "ComponentRow", "components", hidden=Integer(default=0))
    return manager
