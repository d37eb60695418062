"""redis: PING is answered, after AUTH where there is a password. Valkey and the like are the same."""

from typing import Annotated, ClassVar

from app.domain.words import Flag, Form, Place, Secret, Securing, Text


class Redis(Securing, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    target: ClassVar[Form] = Place(6379)

    secure: Annotated[bool, Flag()] = False
    user: Annotated[str, Text(variables=True)] = ""
    password: Annotated[str, Secret()] = ""

    def clash(self, target: str) -> tuple[str, str] | None:
        if self.user and not self.password:
            return "user", "`user` needs a `password` too"
        return super().clash(target)
