"""What an audience may see. An allow-list, and the only one: what is not named here reaches no page and no
frame.

A public viewer sees the name, description, group, status, since and speed of a component, that it flaps,
the name of the component that it lies behind, what was said when it was set by hand, and who is on it; and
of incidents and maintenances what `told.py` has fields for, if they concern the whole page or a component
that the viewer sees. No address, header, raw error, monitor, region, reason or worker leaves this room.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from msgspec import UNSET, Struct, UnsetType

from app.domain.board import Board, Note, Patch, Shown
from app.domain.incident import Incident
from app.domain.instant import rfc3339
from app.domain.maintenance import Maintenance
from app.domain.monitor import Component
from app.domain.operations import Story
from app.domain.pages import MAIN, NOTHING
from app.domain.status import Overall, Tally
from app.domain.told import PublicIncident, PublicMaintenance, Removed, tell_incident, tell_maintenance


class Audience(Struct, frozen=True):
    """Who is looking: at which page, and at all that is on it or at those components alone that they asked
    for. Equal audiences are sent the same bytes, so a frame is encoded once for each.

    What is on a page is the catalog's matter and changes with it: `at` fills it in, and before that an
    audience sees nothing.
    """

    components: frozenset[str] | None = None
    page: str = MAIN
    on_page: frozenset[str] = frozenset()

    def at(self, board: Board) -> "Audience":
        found = board.page(self.page) or NOTHING
        return self if self.on_page == found.slugs else Audience(self.components, self.page, found.slugs)

    def sees(self, slug: str) -> bool:
        return slug in self.on_page and (self.components is None or slug in self.components)


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
    acknowledged: str | UnsetType = UNSET


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
    incidents: list[PublicIncident]
    maintenances: list[PublicMaintenance]


class PublicPatch(Struct, frozen=True, kw_only=True):
    """What changed. Each thing it names is given whole, so applying a patch twice is harmless."""

    id: str
    at: str
    status: PublicStatus | UnsetType = UNSET
    components: list[PublicChange] | UnsetType = UNSET
    incidents: list[PublicIncident | Removed] | UnsetType = UNSET
    maintenances: list[PublicMaintenance | Removed] | UnsetType = UNSET
    latency: dict[str, float] | UnsetType = UNSET
    notes: dict[str, str] | UnsetType = UNSET
    # Of those in `notes`. Who is on it stands at the end of the note as well: a wall asks whether anybody is.
    acknowledged: dict[str, str] | UnsetType = UNSET


def visible(board: Board, audience: Audience) -> Iterator[tuple[Component, Shown]]:
    """The components an audience may see, in the order of its page."""
    audience = audience.at(board)
    for component in (board.page(audience.page) or NOTHING).components:
        if audience.sees(component.slug):
            yield component, board.shown[component.slug]


def count(board: Board, audience: Audience) -> Tally:
    audience = audience.at(board)
    rows = ((component.slug, component.name, shown.status) for component, shown in visible(board, audience))
    tally = Tally(rows) if audience.components is None else Tally(rows, NO_SUCH_COMPONENT)
    for incident in board.operations.incidents.values():
        _tell(tally, incident, audience)
    return tally


def advance(tally: Tally, patch: Patch, audience: Audience) -> None:
    for change in patch.changes:
        tally.move(change.slug, change.status)
    for story in patch.incidents:
        _turn(tally, story.was, story.became, audience)


def retreat(tally: Tally, patch: Patch, audience: Audience) -> None:
    """To what it was before the patch."""
    for change in reversed(patch.changes):
        tally.move(change.slug, change.was)
    for story in reversed(patch.incidents):
        _turn(tally, story.became, story.was, audience)


def _turn(tally: Tally, one: Incident | None, other: Incident | None, audience: Audience) -> None:
    if one is not None:
        tally.forget(one.id)
    if other is not None:
        _tell(tally, other, audience)


def _tell(tally: Tally, incident: Incident, audience: Audience) -> None:
    if incident.is_open and _seen(_slugs(incident), audience) is not None:
        tally.tell(incident.id, incident.title, incident.impact_on(audience.on_page))


def sum_up(board: Board, audience: Audience) -> Overall:
    return count(board, audience).overall()


def snapshot(board: Board, audience: Audience, now: datetime, why: str, id: str = "") -> Snapshot:
    """`id` is the last event that changed what this audience sees; the board's own, unless given."""
    audience = audience.at(board)
    page = (board.page(audience.page) or NOTHING).page
    return Snapshot(
        id=id or board.id,
        now=rfc3339(now),
        why=why,
        page=PublicPage(page.name, page.url),
        status=public_status(sum_up(board, audience)),
        components=[
            PublicComponent(
                component.slug,
                component.name,
                component.group,
                shown.status,
                rfc3339(shown.since),
                spell(shown.note, audience) or UNSET,
                shown.note.acknowledged or UNSET,
            )
            for component, shown in visible(board, audience)
        ],
        incidents=list(incidents(board, audience)),
        maintenances=list(maintenances(board, audience)),
    )


def incidents(board: Board, audience: Audience) -> Iterator[PublicIncident]:
    """The open ones, the newest first."""
    audience = audience.at(board)
    found = board.operations.incidents.values()
    for incident in sorted(found, key=lambda each: (each.since, each.id), reverse=True):
        if (told := show_incident(incident, audience)) is not None:
            yield told


def maintenances(board: Board, audience: Audience) -> Iterator[PublicMaintenance]:
    """Those that are not over, the next first."""
    audience = audience.at(board)
    found = board.operations.maintenances.values()
    for maintenance in sorted(found, key=lambda each: (each.starts, each.id)):
        if (told := show_maintenance(maintenance, audience)) is not None:
            yield told


def show_incident(incident: Incident, audience: Audience) -> PublicIncident | None:
    """None if it is none of this audience's business. What is on its page, the audience must know already."""
    if incident.draft or (seen := _seen(_slugs(incident), audience)) is None:
        return None
    return tell_incident(incident, seen, audience.on_page)


def show_maintenance(maintenance: Maintenance, audience: Audience) -> PublicMaintenance | None:
    seen = _seen(maintenance.components, audience)
    return None if seen is None else tell_maintenance(maintenance, seen)


def narrow(patch: Patch, audience: Audience, status: Overall | None) -> PublicPatch | None:
    """The part of a patch that an audience may see, with the new `status` if the whole page's has changed.
    None if that is nothing. What is on its page, the audience must know already."""
    # Two changes of one component in one patch are its history. A screen shows now, which is the later of
    # them.
    last = {change.slug: change for change in patch.changes if audience.sees(change.slug)}
    latency = {slug: took for slug, took in patch.latency.items() if audience.sees(slug)}
    notes = {slug: spell(note, audience) for slug, note in patch.notes.items() if audience.sees(slug)}
    on_it = {slug: patch.notes[slug].acknowledged for slug in notes if patch.notes[slug].acknowledged}
    told = [_told(story, audience) for story in patch.incidents]
    planned = [_planned(story, audience) for story in patch.maintenances]
    news = [each for each in (*told, *planned) if each is not None]
    if not last and not latency and not notes and not news and status is None:
        return None
    return PublicPatch(
        id=patch.id,
        at=rfc3339(patch.at),
        status=UNSET if status is None else public_status(status),
        components=[
            PublicChange(change.slug, change.status, rfc3339(change.since)) for change in last.values()
        ]
        or UNSET,
        incidents=[each for each in told if each is not None] or UNSET,
        maintenances=[each for each in planned if each is not None] or UNSET,
        latency=latency or UNSET,
        notes=notes or UNSET,
        acknowledged=on_it or UNSET,
    )


def spell(note: Note, audience: Audience) -> str:
    """What an audience is told beside a status; empty if nothing. What it does not see has no name. Our own
    words come before those that somebody wrote: screens say them in their language."""
    affected = note.behind and audience.sees(note.behind)
    said = (
        f"affected by {note.name}" if affected else "",
        "flapping" if note.flapping else "",
        "paused" if note.paused else "",
        ": ".join(filter(None, ("set by hand", note.why))) if note.by_hand else "",
        note.acknowledged,
    )
    return ", ".join(filter(None, said))


def _told(story: Story[Incident], audience: Audience) -> PublicIncident | Removed | None:
    """To an audience that an incident concerns no more, it is removed."""
    if story.became is not None and (seen := _seen(_slugs(story.became), audience)) is not None:
        return tell_incident(story.became, seen, audience.on_page)
    was = story.was
    return None if was is None or _seen(_slugs(was), audience) is None else Removed(id=was.id)


def _planned(story: Story[Maintenance], audience: Audience) -> PublicMaintenance | Removed | None:
    if story.became is not None and (seen := _seen(story.became.components, audience)) is not None:
        return tell_maintenance(story.became, seen)
    was = story.was
    return None if was is None or _seen(was.components, audience) is None else Removed(id=was.id)


def _slugs(incident: Incident) -> list[str]:
    return [each.slug for each in incident.components]


def _seen(slugs: Iterable[str], audience: Audience) -> set[str] | None:
    """Those of them that an audience sees. None if it sees none; what names none is everybody's."""
    named = set(slugs)
    seen = {slug for slug in named if audience.sees(slug)}
    return seen if seen or not named else None


def public_status(status: Overall) -> PublicStatus:
    return PublicStatus(status.indicator, status.description)
