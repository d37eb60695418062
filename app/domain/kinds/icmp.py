"""icmp: a ping is answered."""

from typing import Annotated, ClassVar

from app.domain.words import EXPECTED, Choice, Form, Host, Percent, Whole, Words


class Icmp(Words, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    target: ClassVar[Form] = Host()

    count: Annotated[int, Whole(1, 20)] = 1
    ip: Annotated[str, Choice(("any", "4", "6"))] = "any"
    loss: Annotated[float, Percent(), EXPECTED] = 0.0  # up to this much may be lost

    def clash(self, target: str) -> tuple[str, str] | None:
        if self.loss and self.count == 1:
            return "loss", "`loss` of one ping is all or nothing: send more, as with `count: 5`"
        return None
