"""Groups at /v1/groups: a name that components stand under. The file may have some of its components, the
database others."""

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct

from app.api.v1.catalog import InCatalog, Place, page_of
from app.api.v1.resource import Asked
from app.api.v1.words import Name
from app.db.change import Change
from app.db.engine import Transaction
from app.domain.merge import renamed_group, with_group, without_group
from app.domain.refused import Refused


class GroupGiven(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """It is called by its name."""

    name: Name


class GroupShown(Struct, frozen=True, kw_only=True):
    """`components` by their slugs, in order. `origin` is the place in the config file, or `database`."""

    id: str
    name: str
    components: tuple[str, ...]
    origin: str


class Groups(InCatalog[GroupShown, GroupGiven]):
    name, words = "groups", "a group"
    shown, given = GroupShown, GroupGiven
    has_slashes = True
    example: ClassVar = {"name": "Payments"}

    async def list(
        self, transaction: Transaction, asked: Asked, after: str, limit: int
    ) -> Sequence[GroupShown]:
        at = await self.place(transaction)
        return [_shown(at, name) for name in page_of(at.running.groups, after, limit)]

    async def find(self, transaction: Transaction, asked: Asked, id: str) -> GroupShown | None:
        at = await self.place(transaction)
        return _shown(at, id) if id in at.running.groups else None

    async def make(self, change: Change, asked: Asked, given: GroupGiven) -> GroupShown:
        await self._refuse_taken(change, given)
        await self.edit(change, with_group(given.name), given)
        return await self.need(change, asked, given.name)

    async def alter(self, change: Change, asked: Asked, old: GroupShown, given: GroupGiven) -> GroupShown:
        await self.refuse_ruled(change, "group", old.name)
        await self._refuse_taken(change, given)
        await self.edit(change, renamed_group(old.name, given.name), given)
        return await self.need(change, asked, given.name)

    async def remove(self, change: Change, asked: Asked, old: GroupShown) -> None:
        """Its components are in no group then."""
        await self.refuse_ruled(change, "group", old.name)
        await self.edit(change, without_group(old.name))

    def is_seen(self, asked: Asked, item: GroupShown) -> bool:
        return asked.sees_all(item.components)

    async def _refuse_taken(self, change: Change, given: GroupGiven) -> None:
        if given.name in (await self.place(change.transaction)).running.groups:
            raise Refused("name", "There is a group of this name already.", "conflict")


def _shown(at: Place, name: str) -> GroupShown:
    slugs = tuple(each.slug for each in at.running.components if each.group == name)
    return GroupShown(id=name, name=name, components=slugs, origin=at.origin("group", name))
