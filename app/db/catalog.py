"""The catalog in its tables: groups, components and monitors, each with its place in the order of the config
file; and what is written down beside it, one value each."""

from collections.abc import Iterable
from typing import Final
from uuid import uuid4

import msgspec

from app.db.engine import Transaction
from app.db.tables import ComponentRow, FeedCursorRow, GroupRow, MonitorRow, SettingRow
from app.domain.monitor import Catalog, Component, Monitor

_PAGE: Final = "page"
# What came before this event cannot be told as patches: components came or went, or something was lost.
_WHOLE_SINCE: Final = "whole_since"
# The last event that reached back beyond a day, by the clock of the log.
_PAST_CHANGED: Final = "past_changed"
# Another one whenever sheets of latency were written or let go.
_SHEETS_CHANGED: Final = "sheets_changed"


async def read_catalog(transaction: Transaction) -> Catalog:
    """Equal to the one that was written, so that its revision is too."""
    groups = await transaction.fetch(GroupRow.select().order_by(GroupRow.position))
    components = await transaction.fetch(ComponentRow.select().order_by(ComponentRow.position))
    definitions = await transaction.fetch(
        MonitorRow.select(MonitorRow.component, MonitorRow.definition).order_by(MonitorRow.position)
    )
    monitors: dict[str, list[Monitor]] = {}
    for row in definitions:
        monitor = msgspec.json.decode(row["definition"], type=Monitor)
        monitors.setdefault(row["component"], []).append(monitor)
    kept = msgspec.json.decode(await read_setting(transaction, _PAGE) or "{}", type=Catalog)
    return Catalog(
        page=kept.page,
        pages=kept.pages,
        rules=kept.rules,
        paused=kept.paused,
        groups=tuple(row["name"] for row in groups),
        components=tuple(
            Component(
                slug=row["slug"],
                name=row["name"],
                description=row["description"],
                group=row["group"],
                hidden=bool(row["hidden"]),
                monitors=tuple(monitors.get(row["slug"], ())),
            )
            for row in components
        ),
    )


async def write_catalog(transaction: Transaction, old: Catalog, new: Catalog) -> None:
    """Rows that stay are updated and not made anew: others may refer to them."""
    # Within a catalog, because a page that is like the default and one that is the default are encoded
    # differently there, and the revision is made of that.
    kept = Catalog(page=new.page, pages=new.pages, rules=new.rules, paused=new.paused)
    await write_setting(transaction, _PAGE, msgspec.json.encode(kept).decode())
    await transaction.execute_many(
        "INSERT INTO groups (name, position) VALUES ({}, {})"
        " ON CONFLICT (name) DO UPDATE SET position = excluded.position",
        [(name, n) for n, name in enumerate(new.groups)],
    )
    await transaction.execute_many(
        'INSERT INTO components (slug, name, description, "group", position, hidden)'
        " VALUES ({}, {}, {}, {}, {}, {})"
        " ON CONFLICT (slug) DO UPDATE SET name = excluded.name, description = excluded.description,"
        ' "group" = excluded."group", position = excluded.position, hidden = excluded.hidden',
        [
            (each.slug, each.name, each.description, each.group, n, int(each.hidden))
            for n, each in enumerate(new.components)
        ],
    )
    await transaction.execute_many(
        "INSERT INTO monitors (key, component, position, definition) VALUES ({}, {}, {}, {})"
        " ON CONFLICT (key) DO UPDATE SET component = excluded.component, position = excluded.position,"
        " definition = excluded.definition",
        [
            (monitor.key, component.slug, n, msgspec.json.encode(monitor).decode())
            for component in new.components
            for n, monitor in enumerate(component.monitors)
        ],
    )
    await _delete(transaction, "monitors", "key", _gone(_keys(old), _keys(new)))
    await _delete(transaction, "components", "slug", _gone(_slugs(old), _slugs(new)))
    await _delete(transaction, "groups", "name", _gone(old.groups, new.groups))


async def read_whole_since(transaction: Transaction) -> str | None:
    return await read_setting(transaction, _WHOLE_SINCE)


async def write_whole_since(transaction: Transaction, id: str) -> None:
    await write_setting(transaction, _WHOLE_SINCE, id)


async def read_past_changed(transaction: Transaction) -> str | None:
    """Another one than last time if spans of more than a day ago have changed in between."""
    return await read_setting(transaction, _PAST_CHANGED)


async def write_past_changed(transaction: Transaction, id: str) -> None:
    await write_setting(transaction, _PAST_CHANGED, id)


async def read_sheets_changed(transaction: Transaction) -> str | None:
    """Another one than last time if any sheet of latency has changed in between."""
    return await read_setting(transaction, _SHEETS_CHANGED)


async def write_sheets_changed(transaction: Transaction) -> None:
    # No count: a backup that is put back, and goes on counting, would come by a number that was there before.
    await write_setting(transaction, _SHEETS_CHANGED, uuid4().hex)


async def read_cursor(transaction: Transaction) -> str:
    rows = await transaction.fetch(FeedCursorRow.select(FeedCursorRow.at).where(FeedCursorRow.name == "feed"))
    return str(rows[0]["at"])


async def read_setting(transaction: Transaction, name: str) -> str | None:
    rows = await transaction.fetch(SettingRow.select(SettingRow.value).where(SettingRow.name == name))
    return str(rows[0]["value"]) if rows else None


async def write_setting(transaction: Transaction, name: str, value: str) -> None:
    await transaction.execute(
        "INSERT INTO settings (name, value) VALUES ({}, {})"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        name,
        value,
    )


async def _delete(transaction: Transaction, table: str, column: str, values: Iterable[str]) -> None:
    await transaction.execute_many(
        f"DELETE FROM {table} WHERE {column} = {{}}", [(value,) for value in sorted(values)]
    )


def _gone(old: Iterable[str], new: Iterable[str]) -> set[str]:
    return set(old).difference(new)


def _slugs(catalog: Catalog) -> list[str]:
    return [component.slug for component in catalog.components]


def _keys(catalog: Catalog) -> list[str]:
    return [monitor.key for monitor in catalog.monitors()]
