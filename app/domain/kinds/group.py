"""group: others stand for it, and it is well while enough of them are. The board works it out."""

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

from app.domain.monitor import Monitor
from app.domain.words import Form, Members, Share, Words

_SEPARATOR = ","


class Group(Words, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    target: ClassVar[Form] = Members()
    every: ClassVar[float | None] = None
    probed: ClassVar[bool] = False
    expects: ClassVar[tuple[str, ...]] = ()

    needs: Annotated[str, Share()] = "all"  # any, all or a share such as 60%


def needed_of(group: Monitor, members: int) -> int:
    """How many of so many have to be up. What a newer server may have written and this one cannot read is
    taken for all: a board has to go on."""
    needs = str(group.options.get("needs", "all"))
    if needs == "any":
        return 1
    share = needs.removesuffix("%")
    return max(1, math.ceil(members * int(share) / 100)) if share.isdecimal() else members


def members_of(target: str) -> Sequence[str]:
    """The keys of the monitors that a group's target names."""
    return target.split(_SEPARATOR)


def as_target(members: Sequence[str]) -> str:
    return _SEPARATOR.join(members)
