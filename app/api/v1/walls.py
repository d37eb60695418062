"""Tokens of walls at /v1/walls. The answer to POST has the address that the screen is to open, this once."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from app.api.v1.problem import Answered
from app.api.v1.resource import Asked, Resource
from app.api.v1.words import Name
from app.db import tokens
from app.db.change import Change
from app.db.engine import Transaction
from app.domain.people import Wall
from app.security import issuing


class WallGiven(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`page` is the slug of the one that it shows; empty: the first one."""

    name: Name
    page: Annotated[str, Meta(pattern=r"^[a-z0-9-]{0,80}$")] = ""


class WallIssued(Wall, frozen=True, kw_only=True):
    """With the path that the screen opens, of which the end is its token."""

    path: str


class Walls(Resource[Wall, WallGiven]):
    name, words = "walls", "a wall"
    shown, given, issued = Wall, WallGiven, WallIssued
    example: ClassVar = {"name": "Lobby"}
    of_pages = True

    async def list(self, transaction: Transaction, asked: Asked, after: str, limit: int) -> Sequence[Wall]:
        return await tokens.list_walls(transaction, after, limit, asked.caller.pages)

    async def find(self, transaction: Transaction, asked: Asked, id: str) -> Wall | None:
        found = await tokens.find_wall(transaction, id)
        return None if found is None or not asked.caller.may_see(found[0].page) else found[0]

    async def make(self, change: Change, asked: Asked, given: WallGiven) -> WallIssued:
        _refuse_another(asked, given)
        wall, text = await issuing.issue_wall(change, given.name, given.page)
        fields = {name: getattr(wall, name) for name in wall.__struct_fields__}
        return WallIssued(**fields, path=f"/wall/{text}")

    async def alter(self, change: Change, asked: Asked, old: Wall, given: WallGiven) -> Wall:
        _refuse_another(asked, given)
        return await issuing.alter_wall(change, old, given.name, given.page)

    async def remove(self, change: Change, asked: Asked, old: Wall) -> None:
        await issuing.revoke_wall(change, old)


def _refuse_another(asked: Asked, given: WallGiven) -> None:
    if not asked.caller.may_see(given.page):
        raise Answered(403, "This token is for other pages than this one.", "page")
