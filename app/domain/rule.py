"""A rule of automatic incidents, and what the incident says that it opens. When it does, `due.py` says."""

from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from typing import Final

from msgspec import Struct

from app.domain.incident import Affected, Impact, felt_of
from app.domain.instant import to_ms
from app.domain.status import Status, worst

_SPOKEN: Final = {Status.PARTIAL: "partial outage", Status.MAJOR: "major outage"}


class Rule(Struct, frozen=True, kw_only=True):
    """`after` is how many seconds a component must be out, `settle` how many it must be well again. Without
    `components` it is for all. In its words `{components}` and `{status}` are filled in."""

    name: str
    after: float = 300.0
    settle: float = 60.0
    components: tuple[str, ...] = ()
    title: str = "{components}: {status}"
    words: str = "Our monitoring has seen a {status} of {components}. We are looking into it."
    closing: str = "Our monitoring has seen {components} recover."


class Outage(Struct, frozen=True):
    """`pages` are those that show the component. One incident names what is on the same pages and nothing
    else, or a page would tell of what it does not show."""

    slug: str
    name: str
    status: Status
    since: datetime
    pages: frozenset[str] = frozenset()


def opened(rule: Rule, outages: list[Outage], now: datetime) -> tuple[str, str, str]:
    """The id, title and words of a new incident. Whoever opens it finds the same id."""
    first = min(outages, key=lambda outage: (outage.since, outage.slug))
    mark = f"{rule.name}\n{first.slug}\n{to_ms(first.since)}"
    id = sha256(mark.encode()).hexdigest()[:10]
    return id, filled(rule.title, outages)[:200], filled(rule.words, outages)


def felt(outages: Iterable[Outage]) -> dict[str, Impact]:
    return felt_of(Affected(outage.slug, outage.status) for outage in outages)


def filled(text: str, outages: list[Outage]) -> str:
    status = _SPOKEN.get(worst(outage.status for outage in outages), "outage")
    return text.replace("{components}", listed([each.name for each in outages])).replace("{status}", status)


def listed(names: list[str]) -> str:
    """`A, B and C`; of many, the first few."""
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} others"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""
