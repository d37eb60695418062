"""The index of patches; and notes go, with all that could be told of the time before: whoever resumes from
there is sent a snapshot, once."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from migrations import add_statements

ID = "statuswire_0008_patches_2"
VERSION = "1.38.0"
DESCRIPTION = "The index of patches, and the end of notes"

STATEMENTS = (
    "CREATE UNIQUE INDEX patches_once ON patches (event)",
    "UPDATE settings SET value = (SELECT at FROM feed_cursor WHERE name = 'feed') WHERE name = 'whole_since'",
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="statuswire", description=DESCRIPTION)
    add_statements(manager, STATEMENTS)
    manager.drop_table("NoteRow", tablename="notes")
    return manager
