"""Words that are ready before anything has happened, at /v1/templates. A template is called by its name."""

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct

from app.api.v1.resource import Asked, Resource
from app.db.change import Change, Within
from app.db.engine import Transaction
from app.db.incidents import Incidents, find_template, list_templates
from app.domain.incident import IncidentStatus, Template


class TemplateAltered(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All but its name."""

    title: str
    words: str
    status: IncidentStatus = IncidentStatus.INVESTIGATING


class Templates(Resource[Template, Template]):
    name, words = "templates", "a template"
    shown, given, altered = Template, Template, TemplateAltered
    has_slashes = True
    example: ClassVar = {
        "name": "Provider",
        "title": "Card payments fail",
        "words": "Our provider has trouble. We are in touch.",
    }

    async def list(
        self, transaction: Transaction, asked: Asked, after: str, limit: int
    ) -> Sequence[Template]:
        found = sorted(await list_templates(transaction), key=lambda each: each.name)
        return [each for each in found if each.name > after][:limit]

    async def find(self, transaction: Transaction, asked: Asked, id: str) -> Template | None:
        return await find_template(transaction, id)

    async def make(self, change: Change, asked: Asked, given: Template) -> Template:
        return await Incidents(Within(change)).add_template(change.actor, change.at, given)

    async def alter(self, change: Change, asked: Asked, old: Template, given: TemplateAltered) -> Template:
        new = Template(name=old.name, title=given.title, words=given.words, status=given.status)
        return await Incidents(Within(change)).save_template(change.actor, change.at, new)

    async def remove(self, change: Change, asked: Asked, old: Template) -> None:
        await Incidents(Within(change)).remove_template(change.actor, change.at, old.name)

    def id_of(self, item: Template) -> str:
        return item.name
