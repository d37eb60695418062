"""What is probed, how, and what is expected of it; and the catalog of all of it, as the server hands it to
workers.

A Monitor carries `${NAME}` unexpanded: each worker fills it from its own environment, so a secret is
neither in the database nor in Redis.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from app.domain.rule import Rule

DEFAULT_REGION = "local"


class Expect(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """What a good answer looks like. Every assertion that is given must hold; without any, the protocol's
    own idea of success does (http: 200-399)."""

    status: tuple[tuple[int, int], ...] = ()  # inclusive ranges
    body: str | None = None  # a regular expression, RE2 syntax
    json: dict[str, str] = {}  # JSONPath -> the JSON text of the expected value
    header: dict[str, str] = {}  # name -> a text its value contains, without regard to case
    slower_than: float | None = None  # seconds: a right answer that took longer is slow
    certificate_days: float | None = (
        None  # a certificate that ends sooner is slow: it works, and will not for long
    )
    answer: tuple[str, ...] = ()  # dns: each of these is among the answers


# Without `gc`, as all values are of which a worker has tens of thousands: nothing in them can lead back to
# them, and whoever looks for garbage need not look here.
class Monitor(Struct, frozen=True, kw_only=True, gc=False):
    """`key` survives restarts and renames of the file. `target` is what the kind makes of it: a URL for http,
    host:port for tcp, a name for dns. Times are seconds."""

    key: str
    kind: str
    target: str
    every: float = 30.0
    timeout: float = 5.0
    retries: int = 1  # quick retries before down: retries=1 means two failures in a row
    recoveries: int = 1  # good answers in a row before up
    regions: tuple[str, ...] = (DEFAULT_REGION,)
    expect: Expect = Expect()
    options: dict[str, Any] = {}  # the words of its own kind, as `app/domain/kinds/` has them
    # What it lies behind: slugs of components, else keys of monitors.
    depends_on: tuple[str, ...] = ()

    @property
    def best_before(self) -> float:
        """Seconds after which a result says nothing any more."""
        return 2 * self.every + self.timeout


class Component(Struct, frozen=True, omit_defaults=True, kw_only=True):
    slug: str
    name: str
    description: str = ""
    group: str | None = None
    hidden: bool = False  # on no page but those that name it
    monitors: tuple[Monitor, ...] = ()


class Link(Struct, frozen=True):
    """At the foot of a page."""

    name: str
    url: str


class Page(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What one public is shown, and how. `slug` is empty for the page at `/`. `groups` and `components` name
    what is on it, in its order; None for both is all that is not hidden (`app/domain/pages.py`)."""

    slug: str = ""
    name: str = "Status"
    url: str | None = None
    time_zone: str = "UTC"
    hosts: tuple[str, ...] = ()  # the names under which a visitor finds it at `/`
    groups: tuple[str, ...] | None = None
    components: tuple[str, ...] | None = None
    access: str = "public"  # or password, or signed-in
    password_hash: str = ""
    language: str = "en"
    logo: str | None = None
    accent: str | None = None  # as #rrggbb
    links: tuple[Link, ...] = ()
    footer: str = ""


class Catalog(Struct, frozen=True, kw_only=True):
    """Everything a config file says, in the order it says it. `groups` in order; a component names its
    group. `page` is the one at `/`, `pages` are the others. `rules` open incidents by themselves.
    `paused` are keys of monitors at which nobody looks for now: operators say that, and no file."""

    page: Page = Page()
    groups: tuple[str, ...] = ()
    components: tuple[Component, ...] = ()
    rules: tuple[Rule, ...] = ()
    pages: tuple[Page, ...] = ()
    paused: tuple[str, ...] = ()

    @property
    def revision(self) -> str:
        """Equal for equal catalogs, whoever computes it: so neither of the two structs above may omit its
        defaults, which are told by identity."""
        return sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:16]

    def monitors(self) -> Iterator[Monitor]:
        for component in self.components:
            yield from component.monitors

    def watched(self) -> Iterator[Monitor]:
        """Those that are not paused."""
        paused = frozenset(self.paused)
        return (monitor for monitor in self.monitors() if monitor.key not in paused)
