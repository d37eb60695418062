"""Words that are ready before anything has happened, at /admin/templates."""

from typing import Final

from litestar import get, post
from litestar.handlers import HTTPRouteHandler

from app.db.incidents import Incidents
from app.domain.incident import IncidentStatus, Template
from app.domain.refused import Refused
from app.pages.admin.desk import Asking, Desk, Form, Page, done
from app.security.guard import caller_of

_WRITE: Final = {"scope": "templates:write"}


def routes(desk: Desk) -> list[HTTPRouteHandler]:
    incidents = Incidents(desk.changes)

    async def drawn(request: Asking, form: Form | None = None, refused: Refused | None = None) -> Page:
        values = {"templates": await incidents.templates(), "stages": tuple(IncidentStatus)}
        return desk.page(request, "templates.html", "Templates", values, form, refused)

    @get("/admin/templates", opt={"scope": "templates:read"})
    async def list_templates(request: Asking) -> Page:
        return await drawn(request)

    async def add(request: Asking, form: Form) -> str:
        await incidents.add_template(caller_of(request).actor, desk.hub.now(), _read(form))
        return done("/admin/templates", "changed")

    async def change(request: Asking, form: Form) -> str:
        await incidents.save_template(caller_of(request).actor, desk.hub.now(), _read(form))
        return done("/admin/templates", "changed")

    @post("/admin/templates", opt=_WRITE, status_code=200)
    async def add_template(request: Asking) -> Page:
        return await desk.take(request, "template", add, drawn)

    @post("/admin/templates/change", opt=_WRITE, status_code=200)
    async def change_template(request: Asking) -> Page:
        return await desk.take(request, "change", change, drawn)

    @post("/admin/templates/remove", opt=_WRITE, status_code=200)
    async def remove_template(request: Asking) -> Page:
        async def remove(request: Asking, form: Form) -> str:
            await incidents.remove_template(caller_of(request).actor, desk.hub.now(), form.one("name"))
            return done("/admin/templates", "removed")

        return await desk.take(request, "remove", remove, drawn)

    return [list_templates, add_template, change_template, remove_template]


def _read(form: Form) -> Template:
    return Template(
        name=form.one("name"),
        title=form.one("title"),
        words=form.one("words"),
        status=form.chosen("status", IncidentStatus, IncidentStatus.INVESTIGATING),
    )
