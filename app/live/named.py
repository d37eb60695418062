"""Viewers that have said who they are, so that their streams end with what let them in: a token that is
revoked or runs out, a session that is over, a person who may do less than before.

Most viewers are nobody in particular, and none of them is in here.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Generic, TypeVar

from msgspec import Struct

V = TypeVar("V")


class _Name(Struct, frozen=True):
    owners: frozenset[str]
    until: datetime | None


class Named(Generic[V]):
    def __init__(self) -> None:
        self._names: dict[V, _Name] = {}

    def enter(self, viewer: V, owners: frozenset[str], until: datetime | None) -> None:
        self._names[viewer] = _Name(owners, until)

    def leave(self, viewer: V) -> None:
        self._names.pop(viewer, None)

    def of(self, owner: str) -> list[V]:
        return [viewer for viewer, name in self._names.items() if owner in name.owners]

    def over(self, now: datetime) -> list[V]:
        """Those whose time has run out."""
        return [v for v, name in self._names.items() if name.until is not None and name.until <= now]

    def __iter__(self) -> Iterator[V]:
        return iter(tuple(self._names))
