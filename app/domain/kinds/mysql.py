"""mysql: it greets, lets us in where there is a password, and answers a query. MariaDB is the same."""

from typing import Annotated, ClassVar

from app.domain.words import Flag, Form, Place, Secret, Securing, Text


class Mysql(Securing, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    target: ClassVar[Form] = Place(3306)
    expects = ("body", "answer", "slower_than", "certificate_days")

    secure: Annotated[bool, Flag()] = False
    user: Annotated[str, Text(variables=True)] = ""
    password: Annotated[str, Secret()] = ""
    database: Annotated[str, Text()] = ""
    query: Annotated[str, Text(longest=2000, lines=True)] = ""

    def clash(self, target: str) -> tuple[str, str] | None:
        if self.password and not self.user:
            return "password", "`password` needs a `user` too"
        if self.query and not self.user:
            return "query", "`query` needs a `user` too, who may ask it"
        return super().clash(target)
