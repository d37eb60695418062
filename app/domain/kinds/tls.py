"""tls: a handshake, a certificate that is valid for this name, and when its chain ends."""

from typing import Annotated, ClassVar

from app.domain.words import EXPECTED, Choice, Flag, Form, Host, Place, Securing


class Tls(Securing, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    target: ClassVar[Form] = Place(443)

    server_name: Annotated[str, Host()] = (
        ""  # whom the certificate is for, if it is not the host of the target
    )
    revocation: Annotated[bool, Flag()] = False  # its authority is asked whether it was revoked
    version: Annotated[str, Choice(("1.2", "1.3")), EXPECTED] = ""  # this one at least
