"""domain: a name is registered, and for long enough. Asked of its registry by RDAP."""

from typing import Annotated, ClassVar

from app.domain.words import EXPECTED, Form, Host, Number, Url, Words


class Domain(Words, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    target: ClassVar[Form] = Host()
    # Registries count what they are asked, and a registration ends on a day and not at a second.
    every: ClassVar[float | None] = 6 * 3600.0
    expects = ()

    server: Annotated[str, Url()] = ""  # which RDAP server to ask; the one that IANA names, if not given
    days: Annotated[float, Number(0, 3650, "a number of days"), EXPECTED] = 30
