"""The words of a config file that belong to one kind of monitor: what they are called, how each is written,
and what it is if it is not given.

A kind is one module in `app/domain/kinds/`, with one Words in it. Its fields are its words, and the type of
each says in which Form the file has it; the reader and the docs go by that, so nothing is said twice.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

W = TypeVar("W", bound="Words")


class Form(Struct, frozen=True):
    """How a value is written; `app/statusfile/forms.py` has a reading for each."""


class Text(Form, frozen=True):
    """`variables`: a worker fills `${NAME}` in it from its own environment."""

    longest: int = 300
    lines: bool = False
    variables: bool = False


class Secret(Form, frozen=True):
    """Text with a `${NAME}` in it: the value itself would end up in Redis and in the database."""


class Flag(Form, frozen=True):
    """yes or no."""


class Choice(Form, frozen=True):
    """One of these, in any case."""

    among: tuple[str, ...]


class Whole(Form, frozen=True):
    least: int
    most: int


class Number(Form, frozen=True):
    least: float
    most: float
    what: str  # "a number of days"


class Percent(Form, frozen=True):
    """`20%`, of 100."""


class Seconds(Form, frozen=True):
    """A duration. Both ends are told as they are written."""

    shortest: str
    longest: str


class Span(Form, frozen=True):
    """`500-20000`, where either end may be left out."""

    most: int


class Cron(Form, frozen=True):
    """Five fields, as in a crontab."""


class Zone(Form, frozen=True):
    """A time zone."""


class Headers(Form, frozen=True):
    """Names and values, with variables in the values."""


class Slug(Form, frozen=True):
    pass


class Url(Form, frozen=True):
    """Without user and password; variables may stand in it."""

    schemes: tuple[str, ...] = ("http", "https")


class Host(Form, frozen=True):
    pass


class Place(Form, frozen=True):
    """host:port. `port` stands in for one that is not given; None if one must be."""

    port: int | None = None


class Question(Form, frozen=True):
    """What is asked of DNS: a name, or name@server."""


class Members(Form, frozen=True):
    """The keys of other monitors, at least two."""


class Share(Form, frozen=True):
    """any, all, or a percentage."""


class File(Form, frozen=True):
    """A file on the worker's machine."""


class _Expected(Struct, frozen=True):
    pass


# The mark of a word that stands in `expect` and not beside it.
EXPECTED: Final = _Expected()

Family: TypeAlias = Annotated[str, Choice(("any", "4", "6", "both"))]


class Words(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """`target` is the form of the value after the kind itself, `every` how often where nobody says so (None
    if the kind knows no pace), `expects` those words of Expect that fit. Nothing looks at what is not
    `probed`: it is pushed to us, or made of others."""

    target: ClassVar[Form]
    every: ClassVar[float | None] = 30.0
    probed: ClassVar[bool] = True
    expects: ClassVar[tuple[str, ...]] = ("slower_than",)

    def clash(self, target: str) -> tuple[str, str] | None:
        """Which word does not go with the others, and a sentence why. None if all is well."""
        return None

    @property
    def options(self) -> dict[str, Any]:
        """As a Monitor carries them: what is not the default, in nothing but JSON's own types."""
        options: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return options


class Connecting(Words, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The kinds that make a TCP connection."""

    # `both` is two probes in one, and both must be well.
    ip: Family = "any"


class Securing(Connecting, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The kinds that may speak TLS. The files are on the worker's machine."""

    expects: ClassVar[tuple[str, ...]] = ("slower_than", "certificate_days")

    ca: Annotated[str, File()] = ""  # instead of the system's own
    certificate: Annotated[str, File()] = ""  # ours, for a server that asks for one
    certificate_key: Annotated[str, File()] = ""  # of that certificate, unless it is in the same file

    def clash(self, target: str) -> tuple[str, str] | None:
        if self.certificate_key and not self.certificate:
            return "certificate_key", "`certificate_key` belongs to a certificate: give `certificate` too"
        return None


# The clash of a kind that has both words.
TLS_TWICE: Final = (
    "starttls",
    "`starttls` begins TLS within a connection that `secure` has it from the start in",
)


def read_words(kind: type[W], options: Mapping[str, Any]) -> W:
    """Raises msgspec.ValidationError where the options are of a newer Statuswire than this."""
    return msgspec.convert(options, kind)
