"""People, their sessions, the tokens of programs and walls, tries to sign in, and answers that are kept."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns import BigInt, ForeignKey, Integer, Text
from piccolo.columns.base import OnDelete
from piccolo.table import Table

from migrations import add_table

ID = "statuswire_0004_people"
VERSION = "1.38.0"
DESCRIPTION = "People, sessions, tokens"


class UserRow(Table, tablename="users"):
    id = Text(primary_key=True)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="statuswire", description=DESCRIPTION)
    _add_people(manager)
    _add_tokens(manager)
    add_table(
        manager,
        "TryRow",
        "tries",
        key=Text(primary_key=True),
        failures=Integer(),
        until=BigInt(),
        at=BigInt(index=True),
    )
    add_table(
        manager,
        "AnswerRow",
        "answers",
        key=Text(primary_key=True),
        asked=Text(),
        answer=Text(),
        at=BigInt(index=True),
    )
    return manager


def _add_people(manager: MigrationManager) -> None:
    add_table(
        manager,
        "UserRow",
        "users",
        id=Text(primary_key=True),
        email=Text(),
        name=Text(),
        role=Text(),
        password=Text(null=True, default=None),
        totp=Text(null=True, default=None),
        totp_step=BigInt(),
        provider=Text(null=True, default=None),
        created=BigInt(),
    )
    add_table(
        manager,
        "SessionRow",
        "sessions",
        id=Text(primary_key=True),
        hash=Text(),
        user=ForeignKey(UserRow, null=False, on_delete=OnDelete.cascade, index=True),
        created=BigInt(),
        seen=BigInt(index=True),
        address=Text(),
        browser=Text(),
    )


def _add_tokens(manager: MigrationManager) -> None:
    add_table(
        manager,
        "TokenRow",
        "tokens",
        id=Text(primary_key=True),
        hash=Text(),
        name=Text(),
        scopes=Text(),
        pages=Text(),
        addresses=Text(),
        created=BigInt(),
        expires=BigInt(null=True, default=None),
        last_used=BigInt(null=True, default=None),
        made_by=Text(),
    )
    add_table(
        manager,
        "WallRow",
        "walls",
        id=Text(primary_key=True),
        hash=Text(),
        name=Text(),
        page=Text(),
        created=BigInt(),
        last_seen=BigInt(null=True, default=None),
        made_by=Text(),
    )
