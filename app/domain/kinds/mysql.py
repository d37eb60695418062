"""mysql: it greets, and lets us in where there is a password. MariaDB is the same."""

from typing import Annotated, ClassVar

from app.domain.words import Flag, Form, Place, Secret, Securing, Text


class Mysql(Securing, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    target: ClassVar[Form] = Place(3306)
    expects = ("body", "slower_than", "certificate_days")

    secure: Annotated[bool, Flag()] = False
    user: Annotated[str, Text(variables=True)] = ""
    password: Annotated[str, Secret()] = ""

    def clash(self, target: str) -> tuple[str, str] | None:
        if self.password and not self.user:
            return "password", "`password` needs a `user` too"
        return super().clash(target)
