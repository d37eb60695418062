"""What the resources of the catalog stand on: groups, components, monitors and pages are shown as they run,
the file's part and the database's, and changed in the database's part by the model."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from app.api.v1.resource import Asked, G, Resource, S
from app.db.change import Change
from app.db.engine import Transaction
from app.domain.merge import Edit, merged, names
from app.domain.monitor import Catalog, Component
from app.domain.refused import Refused
from app.model import DATABASE, Model

# A word of the file, alone or with its value: `every`, or `every: 100ms`.
_NAMED: Final = re.compile(r"`([a-z_]+)[:`]")


class Place(Struct, frozen=True):
    """What runs, and where each of it is defined."""

    running: Catalog
    defined: Catalog
    origins: dict[tuple[str, str], str]

    def origin(self, kind: str, name: str) -> str:
        return self.origins.get((kind, name), DATABASE)

    def component(self, slug: str) -> Component | None:
        return next((each for each in self.running.components if each.slug == slug), None)


class InCatalog(Resource[S, G]):
    def __init__(self, model: Model) -> None:
        self._model = model

    async def place(self, transaction: Transaction) -> Place:
        file, defined = await self._model.stored(transaction)
        return Place(merged(file, defined), defined, self._model.origins(file))

    async def edit(self, change: Change, edit: Edit, given: Struct | None = None) -> None:
        """What is refused is said of the field of `given` that it names, if it names one."""
        try:
            await self._model.edit(change, edit)
        except Refused as no:
            if no.kind != "invalid" or given is None or (field := _blamed(str(no), given)) is None:
                raise
            raise Refused(field, str(no)) from None

    async def refuse_ruled(self, change: Change, kind: str, name: str) -> None:
        """Raises Refused for what only the file defines: there is nothing here to remove."""
        place = await self.place(change.transaction)
        if (kind, name) not in set(names(place.defined)):
            self._model.refuse_ruled(kind, name)

    async def need(self, change: Change, asked: Asked, id: str) -> S:
        """What was made or changed a moment ago."""
        found = await self.find(change.transaction, asked, id)
        assert found is not None
        return found


def _blamed(sentence: str, given: Struct) -> str | None:
    """The file has the target under its kind: `http: example.org`."""
    words = _NAMED.findall(sentence)
    if getattr(given, "kind", None) in words:
        return "target"
    return next((word for word in words if word in given.__struct_fields__), None)


def page_of(names: Iterable[str], after: str, limit: int) -> Sequence[str]:
    """In an order that stays when the order of the file does not."""
    return sorted(name for name in names if name > after)[:limit]
