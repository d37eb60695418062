"""What operators define in the database, beside the file; and components that are hidden."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns import Column, Integer, Text
from piccolo.engine import engine_finder

ID = "statuswire_0005_definitions"
VERSION = "1.38.0"
DESCRIPTION = "What operators define in the database, and components that are hidden"


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="statuswire", description=DESCRIPTION)
    manager.add_table("DefinitionRow", tablename="definitions")
    columns: dict[str, Column] = {
        "key": Text(primary_key=True),
        "kind": Text(),
        "position": Integer(),
        "definition": Text(),
    }
    for name, column in columns.items():
        manager.add_column(
            table_class_name="DefinitionRow",
            tablename="definitions",
            column_name=name,
            column_class_name=type(column).__name__,
            column_class=type(column),
            params=column._meta.params,
        )

    async def run() -> None:
        engine = engine_finder()
        assert engine is not None
        await engine.run_ddl("ALTER TABLE components ADD COLUMN hidden INTEGER NOT NULL DEFAULT 0")

    manager.add_raw(run)
    return manager
