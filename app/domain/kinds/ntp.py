"""ntp: a time server answers, is synchronised itself, and its clock agrees with ours."""

from typing import Annotated, ClassVar

from app.domain.words import EXPECTED, Choice, Form, Place, Seconds, Whole, Words


class Ntp(Words, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    target: ClassVar[Form] = Place(123)

    ip: Annotated[str, Choice(("any", "4", "6"))] = "any"
    offset: Annotated[float | None, Seconds("1ms", "1d"), EXPECTED] = None  # to the worker's own clock
    stratum: Annotated[int, Whole(1, 15), EXPECTED] = 15  # up to this far from a clock of its own
