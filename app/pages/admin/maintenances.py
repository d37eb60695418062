"""Planned work at /admin: scheduled, once or again and again, begun and ended early, taken back."""

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from litestar.handlers import HTTPRouteHandler

from app.db.maintenances import Maintenances
from app.domain import recurrence
from app.domain.maintenance import (
    Maintenance,
    MaintenanceEdit,
    MaintenanceStatus,
    NewMaintenance,
    NewMaintenanceUpdate,
)
from app.domain.refused import Refused
from app.pages.admin import stories
from app.pages.admin.choices import choices
from app.pages.admin.desk import Asking, Desk, Form, Page, done, path
from app.pages.drawing import local, zone
from app.security.guard import caller_of

_SHOWN: Final = 50
# What comes again mostly comes so; all else is written as a rule.
RHYTHMS: Final = {"FREQ=DAILY": "every day", "FREQ=WEEKLY": "every week", "FREQ=MONTHLY": "every month"}
_AHEAD: Final = 4


class Pages:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._maintenances = Maintenances(desk.changes)
        self.verbs: dict[str, stories.Verb] = {
            "update": self._update,
            "begin": self._begin,
            "verify": self._verify,
            "complete": self._complete,
            "edit": self._edit,
            "cancel": self._cancel,
        }

    async def list(self, request: Asking) -> Page:
        found = await self._maintenances.recent(_SHOWN)
        ahead = sorted((each for each in found if not each.is_over), key=lambda each: each.starts)
        values = {"ahead": ahead, "over": [each for each in found if each.is_over]}
        return self._desk.page(request, "maintenances.html", "Maintenance", values)

    async def blank(self, request: Asking, form: Form | None = None, refused: Refused | None = None) -> Page:
        desk = self._desk
        starts = desk.hub.now().replace(minute=0) + timedelta(hours=1)
        values = {
            "choices": choices(desk.hub.board, form.all("components") if form else ()),
            "starts": local(starts, desk.where),
            "ends": local(starts + timedelta(hours=1), desk.where),
            "rhythms": RHYTHMS,
        }
        return desk.page(request, "maintenance_new.html", "Schedule maintenance", values, form, refused)

    async def show(
        self, request: Asking, id: str, form: Form | None = None, refused: Refused | None = None
    ) -> Page:
        maintenance = await self._maintenances.find(id)
        board = self._desk.hub.board
        values = {
            "maintenance": maintenance,
            "seen_at": stories.seen_at(maintenance, board),
            "there": zone(maintenance.time_zone),
            "choices": choices(board, maintenance.components),
            "named": [board.component(slug) or slug for slug in maintenance.components],
            "shown": board.shown,
            "coming": _coming(maintenance),
        }
        return self._desk.page(request, "maintenance.html", maintenance.title, values, form, refused)

    async def make(self, request: Asking, form: Form) -> str:
        time_zone = form.one("time_zone").strip() or self._desk.where.key
        there = recurrence.zone(time_zone)
        new = NewMaintenance(
            title=form.one("title"),
            words=form.one("words"),
            starts=form.need_instant("starts", there),
            ends=form.need_instant("ends", there),
            components=form.all("components"),
            recurrence=form.one("recurrence").strip() or form.one("rhythm"),
            time_zone=time_zone,
        )
        made = await self._maintenances.schedule(caller_of(request).actor, self._desk.hub.now(), new)
        return done(path("maintenances", made.id), "scheduled")

    async def _update(self, request: Asking, form: Form, id: str) -> str:
        status = form.chosen("status", MaintenanceStatus)
        new = NewMaintenanceUpdate(words=form.one("words"), status=status, private=form.has("private"))
        await self._maintenances.update(caller_of(request).actor, self._desk.hub.now(), id, new)
        return "noted" if new.private else "told"

    async def _begin(self, request: Asking, form: Form, id: str) -> str:
        await self._maintenances.begin(caller_of(request).actor, self._desk.hub.now(), id)
        return "told"

    async def _verify(self, request: Asking, form: Form, id: str) -> str:
        await self._maintenances.verify(caller_of(request).actor, self._desk.hub.now(), id)
        return "told"

    async def _complete(self, request: Asking, form: Form, id: str) -> str:
        await self._maintenances.complete(caller_of(request).actor, self._desk.hub.now(), id)
        return "told"

    async def _edit(self, request: Asking, form: Form, id: str) -> str:
        maintenance = await self._maintenances.find(id)
        there = zone(maintenance.time_zone)
        edit = MaintenanceEdit(
            title=form.one("title"),
            words=form.one("words"),
            starts=_kept(form, "starts", maintenance.starts, there),
            ends=_kept(form, "ends", maintenance.ends, there),
            components=form.all("components"),
        )
        known = int(form.one("version")) if form.one("version").isdecimal() else None
        await self._maintenances.edit(caller_of(request).actor, self._desk.hub.now(), id, edit, known)
        return "changed"

    async def _cancel(self, request: Asking, form: Form, id: str) -> str:
        actor, now = caller_of(request).actor, self._desk.hub.now()
        await self._maintenances.cancel(actor, now, id, series=form.has("series"))
        return "removed"


def routes(desk: Desk) -> list[HTTPRouteHandler]:
    return stories.routes(desk, Pages(desk), "maintenances", begins="schedule", ends="cancel")


def _coming(maintenance: Maintenance) -> list[tuple[datetime, datetime]]:
    """The next few of a series, by the clock on the wall there."""
    found: list[tuple[datetime, datetime]] = []
    lasts, at = timedelta(milliseconds=maintenance.lasts), maintenance.starts
    while maintenance.recurrence and len(found) < _AHEAD:
        following = recurrence.after(maintenance.recurrence, maintenance.time_zone, maintenance.first, at)
        if following is None:
            break
        found.append((following, recurrence.ends(following, lasts, maintenance.time_zone)))
        at = following
    return found


def _kept(form: Form, field: str, before: datetime, there: ZoneInfo) -> datetime:
    """The form has whole minutes: what was not touched keeps its seconds."""
    return before if form.one(field) == local(before, there) else form.need_instant(field, there)
