"""What incidents and maintenances have in common under /v1: how what was said of them and who is on it looks,
and the places of their lists."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from app.domain.incident import Update
from app.domain.instant import Instant

# Earlier than nothing that is: the place before the newest.
NEWEST: Final = (1 << 62, "")


class UpdateShown(Update, frozen=True, kw_only=True, omit_defaults=False):
    """`n` names it within its subject. `words` are Markdown. A private one is a note among operators."""


class UpdateAltered(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Other words; when it was said and of what stays."""

    words: str


class AcknowledgementGiven(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without `words`: "Mei is on it". Everybody may read them. Without `until` it stays until it is over."""

    words: str = ""
    until: Instant | None = None


class AcknowledgementShown(Struct, frozen=True, kw_only=True):
    """Who is on it, in their words, and until when they have said so."""

    words: str
    until: Instant | None = None


def changed(old: Any, given: Any) -> dict[str, Any]:
    """The fields of what was given that are not as they were."""
    names = given.__struct_fields__
    return {name: value for name in names if (value := getattr(given, name)) != getattr(old, name)}


def place(ms: int, id: str) -> str:
    return f"{ms}/{id}"


def opened(place: str) -> tuple[int, str]:
    """The newest, for what is no place."""
    ms, _, id = place.partition("/")
    return (int(ms), id) if ms.isascii() and ms.isdecimal() and len(ms) < 16 else NEWEST


def of_updates(said: Sequence[Any], after: str = "") -> list[UpdateShown]:
    """By their numbers, which do not change, from behind the one that is `after`."""
    last = int(after) if after.isascii() and after.isdecimal() and len(after) < 10 else 0
    found = (msgspec.convert(each, UpdateShown, from_attributes=True) for each in said)
    return sorted((each for each in found if each.n > last), key=lambda each: each.n)
