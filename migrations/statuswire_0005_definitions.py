"""What operators define in the database, beside the file; and components that are hidden."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns import Column, Integer, Text

ID = "statuswire_0005_definitions"
VERSION = "1.38.0"
DESCRIPTION = "What operators define in the database, and components that are hidden"


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="statuswire", description=DESCRIPTION)

    def add(table: str, tablename: str, name: str, column: Column) -> None:
        manager.add_column(
            table_class_name=table,
            tablename=tablename,
            column_name=name,
            column_class_name=type(column).__name__,
            column_class=type(column),
            params=column._meta.params,
        )

    manager.add_table("DefinitionRow", tablename="definitions")
    for name, column in (
        ("key", Text(primary_key=True)),
        ("kind", Text()),
        ("position", Integer()),
        ("definition", Text()),
    ):
        add("DefinitionRow", "definitions", name, column)
    add("ComponentRow", "components", "hidden", Integer(default=0))
    return manager
