"""dns: a record is there, and is the one expected."""

from typing import Annotated, ClassVar

from app.domain.words import EXPECTED, Choice, Flag, Form, Question, Words

RECORDS = (
    "A", "AAAA", "CAA", "CNAME", "DNSKEY", "DS", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SOA", "SRV", "SVCB",
    "TLSA", "TXT",
)  # fmt: skip


class Dns(Words, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    target: ClassVar[Form] = Question()
    expects = ("answer", "slower_than")

    record: Annotated[str, Choice(RECORDS)] = "A"
    authenticated: Annotated[bool, Flag(), EXPECTED] = False  # the server says that DNSSEC vouches for it

    def clash(self, target: str) -> tuple[str, str] | None:
        name = target.partition("@")[0]
        is_address = ":" in name or name.replace(".", "").isdigit()
        if is_address and self.record != "PTR":
            return "dns", "`dns` takes a name: write one, or add `record: PTR` to look up an address"
        return None
