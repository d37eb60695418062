"""One kind of thing under /v1: what it shows, what may be said of it, and a method for each thing that can be
done. The verbs that it has no method for do not exist; `verbs.py` makes the routes of the others.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from operator import getitem
from typing import Any, ClassVar, Generic, TypeVar, get_type_hints

import msgspec
from msgspec import UNSET, Struct, UnsetType

from app.api.v1.problem import Problem
from app.db.change import Change
from app.db.engine import Transaction
from app.security.callers import Caller

S = TypeVar("S", bound=Struct)  # what is shown
G = TypeVar("G", bound=Struct)  # what is given


class Asked(Struct, frozen=True):
    """Who asks, and the id of what the thing belongs to, where it belongs to another. `sees` are the slugs of
    the components on the pages that the caller is bound to; None for who is bound to none."""

    caller: Caller
    parent: str = ""
    sees: frozenset[str] | None = None

    def sees_all(self, slugs: Iterable[str]) -> bool:
        """Who is bound to pages has to do with what is on them and nowhere else, and not with what is on
        none."""
        return self.sees is None or (bool(named := set(slugs)) and named <= self.sees)


class Resource(Generic[S, G]):
    """`given` is what POST and PUT take, `altered` what PUT takes if that is less, `shown` what is answered,
    and `issued` what POST answers if that is more. With a `parent` the path is /v1/<parent>/{parent}/<name>;
    `single`, if that has one of them at the most, which PUT makes as well. `example` is what POST may be
    sent."""

    name: ClassVar[str]
    words: ClassVar[str]  # what one of them is, in the description: "a token"
    shown: ClassVar[type[Struct]]
    given: ClassVar[type[Struct]]
    altered: ClassVar[type[Struct] | None] = None
    issued: ClassVar[type[Struct] | None] = None
    parent: ClassVar[str] = ""
    single: ClassVar[bool] = False
    has_slashes: ClassVar[bool] = False  # in its ids
    example: ClassVar[dict[str, Any] | None] = None
    # Whoever is bound to pages may come, and is asked for what the parent is.
    of_pages: ClassVar[bool] = False
    reads: ClassVar[str] = ""  # the scope; `<name>:read` unless said
    writes: ClassVar[str] = ""

    async def list(self, transaction: Transaction, asked: Asked, after: str, limit: int) -> Sequence[S]:
        """Those behind the one whose place is `after`, in an order that does not change."""
        raise NotImplementedError

    async def find(self, transaction: Transaction, asked: Asked, id: str) -> S | None:
        raise NotImplementedError

    async def make(self, change: Change, asked: Asked, given: G) -> Struct:
        raise NotImplementedError

    async def ask(self, asked: Asked, given: G) -> S:
        """What POST does for what is asked for and not kept. No transaction is open."""
        raise NotImplementedError

    async def alter(self, change: Change, asked: Asked, old: S, given: Any) -> S:
        raise NotImplementedError

    async def remove(self, change: Change, asked: Asked, old: S) -> None:
        raise NotImplementedError

    def id_of(self, item: S) -> str:
        return str(item.id)  # type: ignore[attr-defined]

    def place_of(self, item: S) -> str:
        """What `list` is given as `after`."""
        return self.id_of(item)

    def is_seen(self, asked: Asked, item: S) -> bool:
        """Whether who is bound to pages has to do with it. Where nothing says so, they are not let in."""
        return True

    def said_of(self, item: S) -> Any:
        """What PUT would say to leave it as it is: PATCH goes from there."""
        said = self.altered or self.given
        return said(**{name: getattr(item, name) for name in said.__struct_fields__})


def structs_of(resource: Resource[Any, Any]) -> list[type[Struct]]:
    """All that the description of its routes must tell of."""
    found: list[type[Struct]] = [resource.shown, Problem]
    if not resource.single:
        found.append(list_of(resource.shown))
    if resource.issued is not None:
        found.append(resource.issued)
    if hasattr(resource, "given"):
        found.append(resource.given)
        if not resource.single:
            found += [resource.altered or resource.given, partly(resource.altered or resource.given)]
    return found


@cache
def list_of(shown: type[Struct]) -> type[Struct]:
    items = getitem(list, shown)  # type: ignore[call-overload]
    words = {"__doc__": "One page of a list. `next` is the `cursor` of the next one, null after the last."}
    fields: list[Any] = [("items", items), ("next", str | None, None)]
    return msgspec.defstruct(f"{shown.__name__}List", fields, namespace=words)


@cache
def partly(given: type[Struct]) -> type[Struct]:
    """The same, of which any part may be left out."""
    types = get_type_hints(given, include_extras=True)
    fields = [(name, types[name] | UnsetType, UNSET) for name in given.__struct_fields__]
    return msgspec.defstruct(
        f"{given.__name__}Patch",
        fields,
        forbid_unknown_fields=True,
        kw_only=True,
        namespace={"__doc__": f"Any part of {given.__name__}; what is left out stays."},
    )
