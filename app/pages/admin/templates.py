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

    @post("/admin/templates", opt=_WRITE, status_code=200)
    async def save_template(request: Asking) -> Page:
        async def save(request: Asking, form: Form) -> str:
            template = Template(
                name=form.one("name"),
                title=form.one("title"),
                words=form.one("words"),
                status=form.chosen("status", IncidentStatus, IncidentStatus.INVESTIGATING),
            )
            await incidents.save_template(caller_of(request).actor, desk.hub.now(), template)
            return done("/admin/templates", "changed")

        return await desk.take(request, "template", save, drawn)

    @post("/admin/templates/remove", opt=_WRITE, status_code=200)
    async def remove_template(request: Asking) -> Page:
        async def remove(request: Asking, form: Form) -> str:
            await incidents.remove_template(caller_of(request).actor, desk.hub.now(), form.one("name"))
            return done("/admin/templates", "removed")

        return await desk.take(request, "remove", remove, drawn)

    return [list_templates, save_template, remove_template]
