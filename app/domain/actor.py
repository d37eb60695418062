"""Who changes something, by whichever door they came."""

from typing import Literal, TypeAlias

from msgspec import Struct

Kind: TypeAlias = Literal["user", "token", "file", "rule", "console"]


class Actor(Struct, frozen=True):
    """`name` is the user's, the token's or the rule's, or that of the file; `address` is where the request
    came from, empty for what happens on the machine itself. `known_as`: how the public may know them, where
    that is another name. A user's own is an address for mail."""

    kind: Kind
    name: str
    address: str = ""
    known_as: str = ""

    @property
    def origin(self) -> str:
        """`user mei`: as it is written beside what they did."""
        return f"{self.kind} {self.name}"
