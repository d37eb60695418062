"""grpc: a service says of itself that it is serving, by gRPC's own health protocol."""

from typing import Annotated, ClassVar

from app.domain.words import Flag, Form, Place, Securing, Text


class Grpc(Securing, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    target: ClassVar[Form] = Place()

    secure: Annotated[bool, Flag()] = False
    service: Annotated[str, Text(longest=200)] = ""  # the server as a whole, if not given
