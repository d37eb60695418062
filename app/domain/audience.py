"""What an audience may see. An allow-list, and the only one: what is not named here reaches no page and no
frame.

A public viewer sees the name, description, group, status, since and speed of a component, that it flaps,
and the name of the component that it lies behind. No address,
header, raw error, monitor, region, reason or worker leaves this room.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from app.domain.board import Board, Note, Patch, Shown
from app.domain.instant import rfc3339
from app.domain.monitor import Component
from app.domain.status import Overall, Tally


class Audience(Struct, frozen=True):
    """Who is looking: everybody at every component, or at those alone that they asked for. Equal audiences
    are sent the same bytes, so a frame is encoded once for each."""

    components: frozenset[str] | None = None

    def sees(self, slug: str) -> bool:
        return self.components is None or slug in self.components


PUBLIC = Audience()

# To those who asked for components by name, and for none that exists. Which do, it does not say.
NO_SUCH_COMPONENT = "No component of that name is watched"


class PublicComponent(Struct, frozen=True):
    slug: str
    name: str
    group: str | None
    status: str
    since: str
    note: str | UnsetType = UNSET


class PublicChange(Struct, frozen=True):
    slug: str
    status: str
    since: str


class PublicStatus(Struct, frozen=True):
    indicator: str
    description: str


class PublicPage(Struct, frozen=True):
    name: str
    url: str | None


class Snapshot(Struct, frozen=True, kw_only=True):
    """The whole board as an audience may see it. `why` says what made it necessary."""

    id: str
    now: str
    why: str
    page: PublicPage
    status: PublicStatus
    components: list[PublicComponent]
    incidents: list[Any]
    maintenances: list[Any]


class PublicPatch(Struct, frozen=True, kw_only=True):
    """What changed. Each thing it names is given whole, so applying a patch twice is harmless."""

    id: str
    at: str
    status: PublicStatus | UnsetType = UNSET
    components: list[PublicChange] | UnsetType = UNSET
    latency: dict[str, float] | UnsetType = UNSET
    notes: dict[str, str] | UnsetType = UNSET


def visible(board: Board, audience: Audience) -> Iterator[tuple[Component, Shown]]:
    """The components an audience may see, in the order of the catalog."""
    for component in board.catalog.components:
        if audience.sees(component.slug):
            yield component, board.shown[component.slug]


def count(board: Board, audience: Audience) -> Tally:
    rows = ((component.slug, component.name, shown.status) for component, shown in visible(board, audience))
    return Tally(rows) if audience.components is None else Tally(rows, NO_SUCH_COMPONENT)


def sum_up(board: Board, audience: Audience) -> Overall:
    return count(board, audience).overall()


def snapshot(board: Board, audience: Audience, now: datetime, why: str, id: str = "") -> Snapshot:
    """`id` is the last event that changed what this audience sees; the board's own, unless given."""
    return Snapshot(
        id=id or board.id,
        now=rfc3339(now),
        why=why,
        page=PublicPage(board.catalog.page.name, board.catalog.page.url),
        status=public_status(sum_up(board, audience)),
        components=[
            PublicComponent(
                component.slug,
                component.name,
                component.group,
                shown.status,
                rfc3339(shown.since),
                spell(shown.note, audience) or UNSET,
            )
            for component, shown in visible(board, audience)
        ],
        incidents=[],
        maintenances=[],
    )


def narrow(patch: Patch, audience: Audience, status: Overall | None) -> PublicPatch | None:
    """The part of a patch that an audience may see, with the new `status` if the whole page's has changed.
    None if that is nothing."""
    # Two changes of one component in one patch are its history. A screen shows now, which is the later of
    # them.
    last = {change.slug: change for change in patch.changes if audience.sees(change.slug)}
    latency = {slug: took for slug, took in patch.latency.items() if audience.sees(slug)}
    notes = {slug: spell(note, audience) for slug, note in patch.notes.items() if audience.sees(slug)}
    if not last and not latency and not notes and status is None:
        return None
    return PublicPatch(
        id=patch.id,
        at=rfc3339(patch.at),
        status=UNSET if status is None else public_status(status),
        components=[
            PublicChange(change.slug, change.status, rfc3339(change.since)) for change in last.values()
        ]
        or UNSET,
        latency=latency or UNSET,
        notes=notes or UNSET,
    )


def spell(note: Note, audience: Audience) -> str:
    """What an audience is told beside a status; empty if nothing. What it does not see has no name."""
    affected = note.behind and audience.sees(note.behind)
    said = [*([f"affected by {note.name}"] if affected else []), *(["flapping"] if note.flapping else [])]
    return ", ".join(said)


def public_status(status: Overall) -> PublicStatus:
    return PublicStatus(status.indicator, status.description)
