"""postgres: it lets us in and answers a query."""

from typing import Annotated, ClassVar

from app.domain.words import Flag, Form, Place, Secret, Securing, Text


class Postgres(Securing, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    target: ClassVar[Form] = Place(5432)
    expects = ("answer", "slower_than", "certificate_days")

    secure: Annotated[bool, Flag()] = False
    user: Annotated[str, Text(variables=True)] = "postgres"
    password: Annotated[str, Secret()] = ""
    database: Annotated[str, Text()] = ""  # that of the user's name
    query: Annotated[str, Text(longest=2000, lines=True)] = "SELECT 1"
