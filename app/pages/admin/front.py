"""What an operator sees first, and the audit log: what is wrong now, who is on it, and who changed what."""

import json
from collections.abc import Callable
from typing import Annotated, Any, Final

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter

from app.db import audit
from app.db.incidents import Incidents
from app.domain.status import SEVERITY, Status
from app.pages.admin.choices import failing
from app.pages.admin.desk import Asking, Desk, Page

_SHOWN: Final = 50
_RECENT: Final = 30
_Before = Annotated[int | None, QueryParameter(ge=1, le=1 << 53)]


def routes(desk: Desk, problem: Callable[[], str | None]) -> list[HTTPRouteHandler]:
    """`problem` is what is wrong with the file on disk, if anything is."""
    incidents = Incidents(desk.changes)

    @get("/admin", opt={"scope": "incidents:read"})
    async def front(request: Asking) -> Page:
        board = desk.hub.board
        rows = [(each, board.shown[each.slug]) for each in board.catalog.components]
        troubled = [row for row in rows if SEVERITY[row[1].status] > SEVERITY[Status.MAINTENANCE]]
        recent = await incidents.recent(_RECENT)
        values = {
            "troubled": sorted(troubled, key=lambda row: -SEVERITY[row[1].status]),
            "failing": failing(board),
            "count": len(rows),
            "incidents": [each for each in recent if each.is_open],
            "maintenances": sorted(board.operations.maintenances.values(), key=lambda each: each.starts),
            "problem": problem(),
        }
        return desk.page(request, "front.html", "Now", values)

    @get("/admin/audit", opt={"scope": "admin"})
    async def show_audit(request: Asking, before: _Before = None) -> Page:
        async with desk.changes.database.reading() as transaction:
            entries = await audit.list_entries(transaction, before, _SHOWN)
        older = entries[-1].id if len(entries) == _SHOWN else ""
        return desk.page(request, "audit.html", "Audit", {"entries": entries, "older": older, "text": _text})

    return [front, show_audit]


def _text(value: Any) -> str:
    return "" if value is None else json.dumps(value, indent=1, ensure_ascii=False)
