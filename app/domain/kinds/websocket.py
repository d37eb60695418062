"""websocket: the handshake succeeds and, where asked for, a message is answered as expected."""

from typing import Annotated, ClassVar

from msgspec import field

from app.domain.words import Form, Headers, Securing, Text, Url


class Websocket(Securing, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    target: ClassVar[Form] = Url(("ws", "wss"))
    expects = ("body", "slower_than", "certificate_days")

    headers: Annotated[dict[str, str], Headers()] = field(default_factory=dict)
    subprotocol: Annotated[str, Text(longest=100)] = ""
    send: Annotated[str, Text(longest=65536, lines=True, variables=True)] = ""
