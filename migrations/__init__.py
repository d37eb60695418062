"""One file for each step of the tables, run in the order of their names, the same on SQLite and Postgres.

A step is never changed after a release. Raw SQL goes into a file of its own: within one, Piccolo runs it
before it makes tables. On SQLite, Piccolo can neither add a table constraint nor change a column's type,
default or nullness: make a new table and copy.
"""

from collections.abc import Iterable

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns import Column
from piccolo.engine import engine_finder


def add_table(manager: MigrationManager, class_name: str, tablename: str, **columns: Column) -> None:
    manager.add_table(class_name, tablename=tablename)
    add_columns(manager, class_name, tablename, **columns)


def add_columns(manager: MigrationManager, class_name: str, tablename: str, **columns: Column) -> None:
    for name, column in columns.items():
        manager.add_column(
            table_class_name=class_name,
            tablename=tablename,
            column_name=name,
            column_class_name=type(column).__name__,
            column_class=type(column),
            params=column._meta.params,
        )


def add_statements(manager: MigrationManager, statements: Iterable[str]) -> None:
    async def run() -> None:
        engine = engine_finder()
        assert engine is not None
        for statement in statements:
            await engine.run_ddl(statement)

    manager.add_raw(run)
