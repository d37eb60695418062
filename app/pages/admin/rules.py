"""Rules at /admin/rules: which outages open an incident by themselves, after how long, and in which words.
The file and the database define them, as they do components: one that the file has is changed there.
"""

from typing import Final

from litestar import get, post
from litestar.handlers import HTTPRouteHandler

from app.domain.merge import Edit, with_new_rule, with_rule, without_rule
from app.domain.refused import Refused
from app.domain.rule import Rule
from app.model import DATABASE
from app.pages.admin.desk import Asking, Desk, Form, Page, done
from app.security.guard import caller_of
from app.statusfile.values import seconds_in
from app.statusfile.writing import duration

# A rule posts incidents, so who may do that may have it done.
_READ: Final = {"scope": "incidents:read"}
_WRITE: Final = {"scope": "incidents:write"}
_USUAL: Final = Rule(name="")


class Pages:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def list(self, request: Asking, form: Form | None = None, refused: Refused | None = None) -> Page:
        origins = self._desk.model.origins()
        rules = self._desk.hub.board.catalog.rules
        values = {
            "rules": [(rule, origins.get(("rule", rule.name), DATABASE)) for rule in rules],
            "usual": _USUAL,
            "span": duration,
        }
        return self._desk.page(request, "rules.html", "Rules", values, form, refused)

    async def add(self, request: Asking, form: Form) -> str:
        rule = _read(form)
        return await self._save(request, rule, with_new_rule(rule))

    async def change(self, request: Asking, form: Form) -> str:
        rule = _read(form)
        return await self._save(request, rule, with_rule(rule))

    async def _save(self, request: Asking, rule: Rule, edit: Edit) -> str:
        desk = self._desk
        await desk.model.change(caller_of(request).actor, desk.hub.now(), edit)
        await desk.until_shown(lambda board: rule in board.catalog.rules)
        return done("/admin/rules", "changed")

    async def remove(self, request: Asking, form: Form) -> str:
        name, desk = form.one("name"), self._desk
        desk.refuse_ruled("rule", name, "name")
        await desk.model.change(caller_of(request).actor, desk.hub.now(), without_rule(name))
        await desk.until_shown(lambda board: all(rule.name != name for rule in board.catalog.rules))
        return done("/admin/rules", "removed")


def routes(desk: Desk) -> list[HTTPRouteHandler]:
    pages = Pages(desk)

    @get("/admin/rules", opt=_READ)
    async def list_rules(request: Asking) -> Page:
        return await pages.list(request)

    @post("/admin/rules", opt=_WRITE, status_code=200)
    async def add_rule(request: Asking) -> Page:
        return await desk.take(request, "rule", pages.add, pages.list)

    @post("/admin/rules/change", opt=_WRITE, status_code=200)
    async def change_rule(request: Asking) -> Page:
        return await desk.take(request, "change", pages.change, pages.list)

    @post("/admin/rules/remove", opt=_WRITE, status_code=200)
    async def remove_rule(request: Asking) -> Page:
        return await desk.take(request, "remove", pages.remove, pages.list)

    return [list_rules, add_rule, change_rule, remove_rule]


def _read(form: Form) -> Rule:
    """What is left empty is as usual. Whether it can be kept the model says, by the file's own reader."""
    name = form.one("name").strip()
    if not name:
        raise Refused("name", "`name` is empty: give the rule one, such as Outage.")
    return Rule(
        name=name,
        after=_seconds(form, "after", _USUAL.after),
        settle=_seconds(form, "settle", _USUAL.settle),
        components=form.lines("components"),
        title=form.one("title").strip() or _USUAL.title,
        words=form.one("words").strip() or _USUAL.words,
        closing=form.one("closing").strip() or _USUAL.closing,
    )


def _seconds(form: Form, field: str, usual: float) -> float:
    text = form.one(field).strip()
    seconds = seconds_in(text) if text else usual
    if seconds is None:
        raise Refused(field, f"`{field}` is no span of time: write one number and one unit, such as 5m.")
    return seconds
