"""ssh: a server says that it speaks SSH."""

from typing import ClassVar

from app.domain.words import Connecting, Form, Place


class Ssh(Connecting, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    target: ClassVar[Form] = Place(22)
    expects = ("body", "slower_than")
