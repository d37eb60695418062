"""The patches for those who resume, whole: made again of spans and notes, they lacked what operators say."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns import BigSerial, Text

from migrations import add_table

ID = "statuswire_0008_patches_1"
VERSION = "1.38.0"
DESCRIPTION = "The patches for those who resume"


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="statuswire", description=DESCRIPTION)
    add_table(manager, "PatchRow", "patches", id=BigSerial(primary_key=True), event=Text(), patch=Text())
    return manager
