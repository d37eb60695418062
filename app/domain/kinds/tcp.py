"""tcp: a connection is taken and, where asked for, what comes over it is as expected."""

from typing import Annotated, ClassVar

from app.domain.words import TLS_TWICE, Choice, Flag, Form, Place, Securing, Text


class Tcp(Securing, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    target: ClassVar[Form] = Place()
    expects = ("body", "slower_than", "certificate_days")

    send: Annotated[str, Text(longest=4096, lines=True, variables=True)] = ""
    secure: Annotated[bool, Flag()] = False
    starttls: Annotated[str, Choice(("smtp", "imap", "pop3"))] = ""

    def clash(self, target: str) -> tuple[str, str] | None:
        if self.secure and self.starttls:
            return TLS_TWICE
        return super().clash(target)
