"""What operators define in the database, beside what the file names: a Catalog of its own, a row for each
group, component and page, and for each monitor that is paused."""

from typing import Final

import msgspec

from app.db.engine import Transaction
from app.db.tables import DefinitionRow
from app.domain.merge import PAUSE
from app.domain.monitor import Catalog, Component, Page
from app.domain.pages import MAIN
from app.domain.rule import Rule

_decode_component: Final = msgspec.json.Decoder(Component).decode
_decode_page: Final = msgspec.json.Decoder(Page).decode


async def read_definitions(transaction: Transaction) -> Catalog:
    rows = await transaction.fetch(DefinitionRow.select().order_by(DefinitionRow.position))
    said: dict[str, list[str]] = {}
    for row in rows:
        said.setdefault(row["kind"], []).append(row["definition"])
    pages = [_decode_page(text) for text in said.get("page", ())]
    return Catalog(
        page=next((page for page in pages if page.slug == MAIN), Page()),
        groups=tuple(msgspec.json.decode(text, type=str) for text in said.get("group", ())),
        components=tuple(_decode_component(text) for text in said.get("component", ())),
        pages=tuple(page for page in pages if page.slug != MAIN),
        rules=tuple(msgspec.json.decode(text, type=Rule) for text in said.get("rule", ())),
        paused=tuple(msgspec.json.decode(text, type=str) for text in said.get(PAUSE, ())),
    )


async def write_definitions(transaction: Transaction, old: Catalog, new: Catalog) -> None:
    before, after = _rows(old), _rows(new)
    await transaction.execute_many(
        "DELETE FROM definitions WHERE key = {}", [(key,) for key in before if key not in after]
    )
    await transaction.execute_many(
        "INSERT INTO definitions (key, kind, position, definition) VALUES ({}, {}, {}, {})"
        " ON CONFLICT (key) DO UPDATE SET position = excluded.position, definition = excluded.definition",
        [(key, *row) for key, row in after.items() if before.get(key) != row],
    )


def _rows(catalog: Catalog) -> dict[str, tuple[str, int, str]]:
    pages = ([catalog.page] if catalog.page != Page() else []) + list(catalog.pages)
    things: list[tuple[str, str, object]] = [
        *(("page", page.slug, page) for page in pages),
        *(("rule", rule.name, rule) for rule in catalog.rules),
        *(("group", group, group) for group in catalog.groups),
        *(("component", component.slug, component) for component in catalog.components),
        *((PAUSE, key, key) for key in catalog.paused),
    ]
    return {
        f"{kind}/{name}": (kind, n, msgspec.json.encode(thing).decode())
        for n, (kind, name, thing) in enumerate(things)
    }
