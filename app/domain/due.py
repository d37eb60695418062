"""What has come due: which maintenance begins or ends, whose acknowledgement is over, which outage opens an
incident by rule, and which such incident is over. Pure arithmetic on the board; `app/due.py` acts on it.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from app.domain.board import Board
from app.domain.events import Acknowledgement
from app.domain.incident import Incident
from app.domain.maintenance import Maintenance, due
from app.domain.rule import Outage, Rule
from app.domain.status import OUT, Status

_WELL: Final = frozenset({Status.OPERATIONAL, Status.DEGRADED})


def maintenances(board: Board, now: datetime) -> list[Maintenance]:
    """Those that begin or end by themselves."""
    return [each for each in board.operations.maintenances.values() if due(each, now) is not None]


def lapsed(board: Board, now: datetime) -> list[Acknowledgement]:
    """Those that say something no more: their time is over, or the trouble is."""
    return [
        said
        for slug, said in board.operations.acknowledgements.items()
        if (said.until is not None and said.until <= now)
        or ((shown := board.shown.get(slug)) and shown.status is Status.OPERATIONAL and shown.since > said.at)
    ]


def lapsed_incidents(board: Board, now: datetime) -> list[Incident]:
    """Those that nobody is on any more."""
    return [
        incident
        for incident in board.operations.incidents.values()
        if incident.acknowledged_until is not None and incident.acknowledged_until <= now
    ]


def outages(board: Board, rule: Rule, now: datetime) -> list[Outage]:
    """What the rule is for: out for long enough, and neither planned, nor set by hand, nor told by an
    incident already."""
    told = {each.slug for incident in board.operations.incidents.values() for each in incident.components}
    found = []
    for component in board.catalog.components:
        slug, shown = component.slug, board.shown[component.slug]
        if rule.components and slug not in rule.components:
            continue
        if shown.status not in OUT or slug in told or board.operations.status(slug) is not None:
            continue
        since = shown.out or shown.since
        if now - since >= timedelta(seconds=rule.after):
            found.append(Outage(slug, component.name, shown.status, since, board.pages_of(slug)))
    return found


def together(board: Board, found: Iterable[Outage]) -> Iterator[tuple[list[Outage], frozenset[str]]]:
    """The outages that one incident may name, and the slugs of all that it may."""
    for pages, group in groupby(sorted(found, key=_pages), key=_pages):
        names = (component.slug for component in board.catalog.components)
        yield list(group), frozenset(slug for slug in names if sorted(board.pages_of(slug)) == pages)


def recovered(board: Board, now: datetime) -> Iterator[tuple[Rule, Incident, list[str]]]:
    """The incidents of rules that are over, and the names in them that each page may be told which tells of
    them: people may have added what only one of these shows."""
    rules = {rule.name: rule for rule in board.catalog.rules}
    for incident in board.operations.incidents.values():
        rule = rules.get(incident.rule)
        if rule is not None and all(_is_well(board, each.slug, rule, now) for each in incident.components):
            yield rule, incident, _names(board, [each.slug for each in incident.components])


def _names(board: Board, slugs: list[str]) -> list[str]:
    told = frozenset[str]().union(*map(board.pages_of, slugs))
    found = (board.component(slug) for slug in slugs if board.pages_of(slug) == told)
    return [component.name for component in found if component is not None]


def _pages(outage: Outage) -> list[str]:
    return sorted(outage.pages)


def _is_well(board: Board, slug: str, rule: Rule, now: datetime) -> bool:
    shown = board.shown.get(slug)
    if shown is None:
        return True  # nobody watches it any more
    return shown.status in _WELL and now - shown.since >= timedelta(seconds=rule.settle)
