"""What operators have said, as the tables have it now: the events that would tell a board all of it.

The feed has told each once. A power cut of Redis or a failover may have taken it from the log before anybody
had heard it, and only whoever compares notices.
"""

from app.db.change import Changes
from app.db.engine import Transaction
from app.db.incidents import read_open
from app.db.maintenances import read_ahead
from app.db.tables import AcknowledgementRow, OutboxRow, OverrideRow
from app.domain.events import Acknowledgement, IncidentChange, MaintenanceChange, Operation, Override
from app.domain.instant import from_ms
from app.domain.operations import key_of
from app.domain.status import Status


async def read_operations(transaction: Transaction) -> dict[str, Operation]:
    """By the key of each. What is over is not among them."""
    said: list[Operation] = [
        IncidentChange(at=each.updated, incident=each.public()) for each in await read_open(transaction)
    ]
    said += (
        MaintenanceChange(at=each.starts, maintenance=each.public()) for each in await read_ahead(transaction)
    )
    for row in await transaction.fetch(OverrideRow.select()):
        status = Status(row["status"])
        at, component = from_ms(row["at"]), row["component"]
        said.append(Override(at=at, component=component, status=status, note=row["note"]))
    for row in await transaction.fetch(AcknowledgementRow.select()):
        said.append(
            Acknowledgement(
                at=from_ms(row["at"]),
                component=row["component"],
                words=row["words"],
                until=None if row["until"] is None else from_ms(row["until"]),
            )
        )
    return {key_of(event): event for event in said}


async def untold(changes: Changes, board: dict[str, Operation]) -> dict[str, Operation]:
    """What is not as `board` has it, though nothing waits to be told: as it is now, or as it ends."""
    async with changes.database.reading() as transaction:
        if await transaction.fetch(OutboxRow.select(OutboxRow.id).limit(1)):
            return {}
        stored = await read_operations(transaction)
    lacking = {key: event for key, event in stored.items() if _essence(board.get(key)) != _essence(event)}
    return lacking | {key: _end(event) for key, event in board.items() if key not in stored}


def _essence(event: Operation | None) -> object:
    """Without the instant at which it was said."""
    match event:
        case IncidentChange(incident=incident):
            return incident
        case MaintenanceChange(maintenance=maintenance):
            return maintenance
        case Override(status=status, note=note):
            return status, note
        case Acknowledgement(words=words, until=until):
            return words, until
        case None:
            return None


def _end(event: Operation) -> Operation:
    match event:
        case IncidentChange(at=at, incident=incident):
            return IncidentChange(at=at, incident=incident, removed=True)
        case MaintenanceChange(at=at, maintenance=maintenance):
            return MaintenanceChange(at=at, maintenance=maintenance, removed=True)
        case Override(at=at, component=component):
            return Override(at=at, component=component)
        case Acknowledgement(at=at, component=component):
            return Acknowledgement(at=at, component=component)
