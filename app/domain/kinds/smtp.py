"""smtp: a mail server greets and takes our EHLO, under TLS where asked for."""

from typing import Annotated, ClassVar

from app.domain.words import TLS_TWICE, Flag, Form, Place, Securing


class Smtp(Securing, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    target: ClassVar[Form] = Place(25)
    expects = ("body", "slower_than", "certificate_days")

    secure: Annotated[bool, Flag()] = False
    starttls: Annotated[bool, Flag()] = False

    def clash(self, target: str) -> tuple[str, str] | None:
        if self.secure and self.starttls:
            return TLS_TWICE
        return super().clash(target)
