"""What comes due by itself, done by whichever server is there: maintenances begin and end, acknowledgements
lapse, rules open incidents and close them, and what the feed has lost of all that is told again.

The domain says what is due on the board. Each server asks it, and may be a moment behind another: so what is
done is decided once more within the transaction, where changes come one after the other.
"""

import asyncio
from datetime import datetime
from typing import Final

import structlog

from app.db.change import Changes
from app.db.engine import DatabaseDown
from app.db.incidents import Incidents
from app.db.interventions import Interventions
from app.db.maintenances import Maintenances
from app.db.operations import untold
from app.domain import due
from app.domain.events import Operation
from app.domain.refused import Refused
from app.live.hub import Hub

log = structlog.get_logger("due")

LOOK_EVERY: Final = 0.5
# Longer than an event takes to be told and folded, whatever else there is to do.
SETTLE_EVERY: Final = 5.0


class Attendance:
    def __init__(self, changes: Changes, hub: Hub) -> None:
        self._hub = hub
        self._changes = changes
        self._incidents = Incidents(changes)
        self._maintenances = Maintenances(changes)
        self._interventions = Interventions(changes)
        self._seen: set[tuple[str, str, datetime]] = set()

    async def attend(self) -> None:
        """Do what has come due, for ever."""
        said = ""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            why = ""
            try:
                await self.do(self._hub.now())
            except DatabaseDown as error:
                why = error.what
            except Refused as error:
                why = str(error)
            if why and why != said:
                log.warning("what is due cannot be done yet, will be", why=why)
            said = why

    async def do(self, now: datetime) -> None:
        """All that is due at `now`."""
        board = self._hub.board
        for maintenance in due.maintenances(board, now):
            await self._maintenances.advance(maintenance.id, now)
        for said in due.lapsed(board, now):
            await self._interventions.lapse(said.component, said.at, now)
        for incident in due.lapsed_incidents(board, now):
            await self._incidents.lapse(incident.id, now)
        # An outage on a board that hears nothing may be over long since.
        if self._hub.feed_state == "ok":
            await self._follow_rules(now)

    async def settle(self) -> None:
        """Tell again what a power cut or a failover took from the log, for ever."""
        before: dict[str, Operation] = {}
        while True:
            await asyncio.sleep(SETTLE_EVERY)
            try:
                before = await self.compare(before)
            except DatabaseDown:
                before = {}  # the recorder says so already

    async def compare(self, before: dict[str, Operation]) -> dict[str, Operation]:
        """What the board lacks of what is stored. What it lacked `before`, too, is told again."""
        if self._hub.feed_state == "down":
            return {}
        lacking = await untold(self._changes, self._hub.board.operations.said())
        lost = [event for key, event in lacking.items() if before.get(key) == event]
        if lost:
            log.warning("the feed had lost what operators said, it is told again", events=len(lost))
            await self._changes.tell_again(lost)
        return lacking

    async def _follow_rules(self, now: datetime) -> None:
        board = self._hub.board
        for rule, incident, names in list(due.recovered(board, now)):
            await self._incidents.close(rule, incident.id, names, now)
        for rule in board.catalog.rules:
            found = due.outages(board, rule, now)
            # An outage whose incident somebody has resolved stays on the board, and is asked for once.
            news = [each for each in found if (rule.name, each.slug, each.since) not in self._seen]
            for group, beside in due.together(board, news):
                await self._incidents.open(rule, group, beside, now)
                self._seen |= {(rule.name, each.slug, each.since) for each in group}
        self._seen = {mark for mark in self._seen if self._lasts(*mark[1:])}

    def _lasts(self, slug: str, since: datetime) -> bool:
        shown = self._hub.board.shown.get(slug)
        return shown is not None and since == (shown.out or shown.since)
