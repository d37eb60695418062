"""How an incident and a maintenance look to whoever may see them: the same in frames, snapshots and answers.

Part of the allow-list of `audience.py`: private notes, drafts, authors and rules have no field here.
"""

from msgspec import UNSET, Struct, UnsetType

from app.domain.incident import Incident, Update
from app.domain.instant import rfc3339
from app.domain.maintenance import Maintenance


class Markdown:
    """Text that becomes HTML in the room that shows it: frames write it out when they are encoded."""

    __slots__ = ("source",)

    def __init__(self, source: str) -> None:
        self.source = source


class PublicAffected(Struct, frozen=True):
    slug: str
    status: str | UnsetType = UNSET


class PublicUpdate(Struct, frozen=True, kw_only=True):
    """`words` as they were written, in Markdown, and the safe HTML of them."""

    at: str
    status: str
    words: str
    html: Markdown


class PublicIncident(Struct, frozen=True, kw_only=True):
    """`updates` from the newest to the oldest."""

    id: str
    title: str
    status: str
    impact: str
    since: str
    updated: str
    resolved: str | UnsetType = UNSET
    next_update_by: str | UnsetType = UNSET
    acknowledged: str | UnsetType = UNSET
    components: list[PublicAffected]
    updates: list[PublicUpdate]


class PublicMaintenance(Struct, frozen=True, kw_only=True):
    id: str
    title: str
    status: str
    starts: str
    ends: str
    words: str
    html: Markdown
    components: list[PublicAffected]
    updates: list[PublicUpdate]


class Removed(Struct, frozen=True, kw_only=True):
    """It was there and is not any more, or is none of this audience's business now."""

    id: str
    removed: bool = True


def tell_incident(incident: Incident, slugs: set[str], on_page: frozenset[str]) -> PublicIncident:
    """`slugs` are the components that the audience sees. How bad it is follows from all that are on its page,
    whichever of them it has asked for."""
    return PublicIncident(
        id=incident.id,
        title=incident.title,
        status=incident.status,
        impact=incident.impact_on(on_page),
        since=rfc3339(incident.since),
        updated=rfc3339(incident.updated),
        resolved=UNSET if incident.resolved is None else rfc3339(incident.resolved),
        next_update_by=UNSET if incident.next_update_by is None else rfc3339(incident.next_update_by),
        acknowledged=incident.acknowledged or UNSET,
        components=[
            PublicAffected(each.slug, each.status or UNSET)
            for each in incident.components
            if each.slug in slugs
        ],
        updates=_updates(incident.updates),
    )


def tell_maintenance(maintenance: Maintenance, slugs: set[str]) -> PublicMaintenance:
    return PublicMaintenance(
        id=maintenance.id,
        title=maintenance.title,
        status=maintenance.status,
        starts=rfc3339(maintenance.starts),
        ends=rfc3339(maintenance.ends),
        words=maintenance.words,
        html=Markdown(maintenance.words),
        components=[PublicAffected(slug) for slug in maintenance.components if slug in slugs],
        updates=_updates(maintenance.updates),
    )


def _updates(updates: tuple[Update, ...]) -> list[PublicUpdate]:
    return [
        PublicUpdate(at=rfc3339(each.at), status=each.status, words=each.words, html=Markdown(each.words))
        for each in reversed(updates)
        if not each.private
    ]
