"""What incidents and maintenances have in common in the database: what was said of them, and the components
they are about.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from piccolo.columns import BigInt
from piccolo.query import Select

from app.db.engine import Transaction
from app.db.tables import ComponentRow, DefinitionRow, IncidentRow, MaintenanceRow, UpdateRow
from app.domain.incident import Update
from app.domain.instant import from_ms, to_ms
from app.domain.refused import Refused, no_component


async def read_updates(transaction: Transaction, subjects: Sequence[str]) -> dict[str, tuple[Update, ...]]:
    """Of each subject, such as `incident/3f2a`, the oldest first."""
    if not subjects:
        return {}
    rows = await transaction.fetch(
        UpdateRow.select().where(UpdateRow.subject.is_in(list(subjects))).order_by(UpdateRow.at, UpdateRow.n)
    )
    found: dict[str, tuple[Update, ...]] = {}
    for row in rows:
        update = Update(
            n=row["n"],
            at=from_ms(row["at"]),
            status=row["status"],
            words=row["words"],
            private=bool(row["private"]),
            author=row["author"],
        )
        found[row["subject"]] = (*found.get(row["subject"], ()), update)
    return found


def newest_behind(
    rows: type[IncidentRow] | type[MaintenanceRow], begins: BigInt, before: tuple[int, str], limit: int
) -> Select[Any]:
    """Those behind the one that begins at that millisecond and has that id, the newest first."""
    at, id = before
    is_behind = (begins < at) | ((begins == at) & (rows.id < id))
    return rows.select().where(is_behind).order_by(begins, rows.id, ascending=False).limit(limit)


async def write_updates(
    transaction: Transaction, subject: str, before: Sequence[Update], after: Sequence[Update]
) -> None:
    """Those alone that are not as they were."""
    known = {update.n: update for update in before}
    changed = [update for update in after if known.get(update.n) != update]
    kept = {update.n for update in after}
    gone = [n for n in known if n not in kept] + [update.n for update in changed if update.n in known]
    await transaction.execute_many(
        "DELETE FROM updates WHERE subject = {} AND n = {}", [(subject, n) for n in gone]
    )
    await transaction.execute_many(
        "INSERT INTO updates (subject, n, at, status, words, private, author)"
        " VALUES ({}, {}, {}, {}, {}, {}, {})",
        [
            (subject, each.n, to_ms(each.at), each.status, each.words, each.private, each.author)
            for each in changed
        ],
    )


async def refuse_unknown(transaction: Transaction, slugs: Iterable[str], field: str = "components") -> None:
    """What is not in the catalog can neither fail nor be worked on."""
    rows = await transaction.fetch(ComponentRow.select(ComponentRow.slug))
    # What was defined a moment ago may not be recorded yet. It is told before whatever is said of it now.
    defined = await transaction.fetch(DefinitionRow.select(DefinitionRow.key))
    news = (row["key"].removeprefix("component/") for row in defined if row["key"].startswith("component/"))
    known = [*(row["slug"] for row in rows), *news]
    for slug in slugs:
        if slug not in known:
            raise Refused(field, no_component(slug, known))


def may_be_id(given: str) -> bool:
    """False for what names nothing of ours, and what Postgres would not even compare."""
    return re.fullmatch("[a-z0-9-]{1,64}", given) is not None


def refuse_stale(known: int, given: int | None) -> None:
    """`given` is the version that somebody has read and means to change; None if they do not care."""
    if given is not None and given != known:
        raise Refused("version", "Somebody else has changed this meanwhile: read it again.", "conflict")
