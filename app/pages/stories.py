"""What is told on a screen beside the components: open incidents and planned work, as an audience sees
them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from app.domain.audience import Audience, incidents, maintenances, show_incident, show_maintenance
from app.domain.board import Board
from app.domain.incident import Incident
from app.domain.maintenance import Maintenance, MaintenanceStatus
from app.domain.status import FELT, Status
from app.domain.told import PublicAffected, PublicIncident, PublicMaintenance, PublicUpdate

# What a screen calls each status of a story.
STAGES: Final = {
    "investigating": "Investigating",
    "identified": "Identified",
    "monitoring": "Monitoring",
    "resolved": "Resolved",
    "postmortem": "Postmortem",
    "scheduled": "Scheduled",
    "in_progress": "In progress",
    "verifying": "Verifying",
    "completed": "Completed",
}


class Said(Struct, frozen=True):
    """`words` are Markdown."""

    at: datetime
    stage: str
    words: str


class Story(Struct, frozen=True, kw_only=True):
    """`ends` is None for an incident that is open: nobody knows. `said` from the newest to the oldest."""

    id: str
    kind: str
    title: str
    status: str
    stage: str
    impact: str = "none"
    starts: datetime
    ends: datetime | None = None
    promise: datetime | None = None
    acknowledged: str = ""
    affects: str
    said: tuple[Said, ...]
    over: bool = False

    @property
    def felt(self) -> Status:
        """The colour and the shape of what it is about, or was."""
        return FELT[self.impact] if self.kind == "incident" else Status.MAINTENANCE

    @property
    def stands(self) -> Status:
        return Status.OPERATIONAL if self.over else self.felt


def stories(board: Board, audience: Audience) -> tuple[Story, ...]:
    """Incidents first, the newest before older ones, then what is planned, the next first."""
    return (
        *(of_incident(each, board) for each in incidents(board, audience)),
        *(of_maintenance(each, board) for each in maintenances(board, audience)),
    )


def show(told: Incident | Maintenance, board: Board, audience: Audience) -> Story | None:
    """One of them, also when it is over. None if it is none of this audience's business."""
    audience = audience.at(board)
    if isinstance(told, Incident):
        incident = show_incident(told, audience)
        return None if incident is None else of_incident(incident, board)
    maintenance = show_maintenance(told, audience)
    return None if maintenance is None else of_maintenance(maintenance, board)


def of_incident(incident: PublicIncident, board: Board) -> Story:
    return Story(
        id=incident.id,
        kind="incident",
        title=incident.title,
        status=incident.status,
        stage=STAGES[incident.status],
        impact=incident.impact,
        starts=datetime.fromisoformat(incident.since),
        ends=_instant(incident.resolved),
        over=incident.resolved is not UNSET,
        promise=_instant(incident.next_update_by),
        acknowledged=incident.acknowledged or "",
        affects=_names(incident.components, board),
        said=_said(incident.updates),
    )


def of_maintenance(maintenance: PublicMaintenance, board: Board) -> Story:
    starts = datetime.fromisoformat(maintenance.starts)
    planned = [Said(starts, "", maintenance.words)] if maintenance.words else []
    return Story(
        id=maintenance.id,
        kind="maintenance",
        title=maintenance.title,
        status=maintenance.status,
        stage=STAGES[maintenance.status],
        starts=starts,
        ends=datetime.fromisoformat(maintenance.ends),
        over=maintenance.status == MaintenanceStatus.COMPLETED,
        affects=_names(maintenance.components, board),
        said=(*_said(maintenance.updates), *planned),
    )


def _names(components: Iterable[PublicAffected], board: Board) -> str:
    found = (board.component(each.slug) for each in components)
    return ", ".join(component.name for component in found if component is not None)


def _said(updates: Iterable[PublicUpdate]) -> tuple[Said, ...]:
    return tuple(
        Said(datetime.fromisoformat(each.at), STAGES.get(each.status, each.status), each.words)
        for each in updates
    )


def _instant(at: str | UnsetType) -> datetime | None:
    return None if at is UNSET else datetime.fromisoformat(at)
