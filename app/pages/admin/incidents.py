"""Incidents at /admin: posted with what fails now already chosen, updated, resolved, and looked back on."""

from typing import Final

from litestar.handlers import HTTPRouteHandler

from app.db.incidents import Incidents
from app.domain.incident import Edit, Impact, Incident, IncidentStatus, NewIncident, NewUpdate
from app.domain.refused import Refused
from app.pages.admin import stories
from app.pages.admin.choices import SPANS, STATUSES, affected, choices, failing, impact_now, in_span
from app.pages.admin.desk import Asking, Desk, Form, Page, done, path
from app.pages.drawing import local
from app.security.guard import caller_of

_SHOWN: Final = 50
_OPEN: Final = (IncidentStatus.INVESTIGATING, IncidentStatus.IDENTIFIED, IncidentStatus.MONITORING)
RESOLVED: Final = "This incident is resolved."


class Pages:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._incidents = Incidents(desk.changes)
        self.verbs: dict[str, stories.Verb] = {
            "update": self._update,
            "resolve": self._resolve,
            "postmortem": self._postmortem,
            "acknowledge": self._acknowledge,
            "unacknowledge": self._unacknowledge,
            "publish": self._publish,
            "edit": self._edit,
            "rewrite": self._rewrite,
            "remove": self._remove,
        }

    async def list(self, request: Asking) -> Page:
        incidents = await self._incidents.recent(_SHOWN)
        return self._desk.page(request, "incidents.html", "Incidents", {"incidents": incidents})

    async def blank(self, request: Asking, form: Form | None = None, refused: Refused | None = None) -> Page:
        board = self._desk.hub.board
        wanted = [*request.query_params.getall("component", []), *failing(board)]
        known = [slug for slug in dict.fromkeys(wanted) if board.component(slug) is not None]
        values = {
            "choices": choices(board, known if form is None else form.all("components")),
            "impact": impact_now(board, known),
            "impacts": tuple(Impact),
            "stages": _OPEN,
            "statuses": STATUSES,
            "spans": SPANS,
            "templates": await self._incidents.templates(),
        }
        return self._desk.page(request, "incident_new.html", "Post an incident", values, form, refused)

    async def show(
        self, request: Asking, id: str, form: Form | None = None, refused: Refused | None = None
    ) -> Page:
        incident = await self._incidents.find(id)
        board = self._desk.hub.board
        values = {
            "incident": incident,
            "seen_at": stories.seen_at(incident, board),
            "choices": choices(board, [each.slug for each in incident.components], incident.components),
            "named": [board.component(each.slug) or each for each in incident.components],
            "shown": board.shown,
            "impacts": tuple(Impact),
            "stages": _OPEN,
            "next": _next(incident),
            "statuses": STATUSES,
            "spans": SPANS,
            "closing": RESOLVED,
        }
        return self._desk.page(request, "incident.html", incident.title, values, form, refused)

    async def make(self, request: Asking, form: Form) -> str | Page:
        if form.has("template"):
            return await self.blank(request, await self._filled(form))
        desk, now = self._desk, self._desk.hub.now()
        new = NewIncident(
            title=form.one("title"),
            words=form.one("words"),
            status=form.chosen("status", IncidentStatus, IncidentStatus.INVESTIGATING),
            impact=form.chosen("impact", Impact),
            components=affected(form),
            since=form.instant("since", desk.where),
            next_update_by=in_span(form, "next_update_by", now),
            draft=form.has("draft"),
        )
        incident = await self._incidents.post(caller_of(request).actor, now, new)
        return done(path("incidents", incident.id), "kept" if new.draft else "posted")

    async def _filled(self, form: Form) -> Form:
        """With the words of a template, and all else as it was typed."""
        for each in await self._incidents.templates():
            if each.name == form.one("template"):
                words = {"title": (each.title,), "words": (each.words,), "status": (each.status.value,)}
                return Form(form.name, {**form.given, **words})
        raise Refused("template", "This template is not there any more: choose another.")

    async def _update(self, request: Asking, form: Form, id: str) -> str:
        now, private = self._desk.hub.now(), form.has("private")
        incident = await self._incidents.find(id)
        # A form without boxes is one in which they were not changed.
        named = affected(form) if form.has("names") else incident.components
        new = NewUpdate(
            words=form.one("words"),
            status=None if private else form.chosen("status", IncidentStatus),
            components=None if private or named == incident.components else named,
            next_update_by=in_span(form, "next_update_by", now),
            private=private,
        )
        await self._incidents.update(caller_of(request).actor, now, id, new)
        return "noted" if private else "told"

    async def _resolve(self, request: Asking, form: Form, id: str) -> str:
        await self._incidents.resolve(caller_of(request).actor, self._desk.hub.now(), id, form.one("words"))
        return "resolved"

    async def _postmortem(self, request: Asking, form: Form, id: str) -> str:
        new = NewUpdate(words=form.one("words"), status=IncidentStatus.POSTMORTEM)
        await self._incidents.update(caller_of(request).actor, self._desk.hub.now(), id, new)
        return "told"

    async def _acknowledge(self, request: Asking, form: Form, id: str) -> str:
        now = self._desk.hub.now()
        until = in_span(form, "until", now)
        actor, words = caller_of(request).actor, form.one("words") or on_it(request)
        await self._incidents.acknowledge(actor, now, id, words, until)
        return "acknowledged"

    async def _unacknowledge(self, request: Asking, form: Form, id: str) -> str:
        await self._incidents.unacknowledge(caller_of(request).actor, self._desk.hub.now(), id)
        return "changed"

    async def _publish(self, request: Asking, form: Form, id: str) -> str:
        await self._incidents.publish(caller_of(request).actor, self._desk.hub.now(), id)
        return "posted"

    async def _edit(self, request: Asking, form: Form, id: str) -> str:
        where = self._desk.where
        incident = await self._incidents.find(id)
        # The form has whole minutes: what was not touched keeps its seconds.
        is_same = form.one("since") == local(incident.since, where)
        edit = Edit(
            title=form.one("title"),
            impact=form.chosen("impact", Impact),
            since=incident.since if is_same else form.need_instant("since", where),
            components=affected(form),
        )
        version = form.one("version")
        known = int(version) if version.isdecimal() else None
        await self._incidents.edit(caller_of(request).actor, self._desk.hub.now(), id, edit, known)
        return "changed"

    async def _rewrite(self, request: Asking, form: Form, id: str) -> str:
        n = form.one("n")
        words = None if form.has("take_back") else form.one("words")
        number = int(n) if n.isdecimal() else 0
        await self._incidents.rewrite(caller_of(request).actor, self._desk.hub.now(), id, number, words)
        return "changed"

    async def _remove(self, request: Asking, form: Form, id: str) -> str:
        await self._incidents.remove(caller_of(request).actor, self._desk.hub.now(), id)
        return "removed"


def on_it(request: Asking) -> str:
    """By the name that people know, where there is one: everybody reads it."""
    session = caller_of(request).session
    return f"{session.user.name} is on it" if session is not None else ""


def routes(desk: Desk) -> list[HTTPRouteHandler]:
    return stories.routes(desk, Pages(desk), "incidents", begins="post", ends="remove")


def _next(incident: Incident) -> IncidentStatus:
    """What an update mostly makes of it."""
    later = {
        IncidentStatus.INVESTIGATING: IncidentStatus.IDENTIFIED,
        IncidentStatus.IDENTIFIED: IncidentStatus.MONITORING,
    }
    return later.get(incident.status, incident.status)
