"""Components at /v1/components, and what operators say of one by hand: a status that holds whatever its
probes find until it is released, and who is on it.

What the config file names is shown with its place, and changed there.
"""

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct
from msgspec.structs import replace

from app.api.v1.catalog import InCatalog, Place, page_of
from app.api.v1.problem import Answered
from app.api.v1.resource import Asked, G, S
from app.api.v1.stories import AcknowledgementGiven
from app.api.v1.words import Name, Slug
from app.db.change import Change, Within
from app.db.engine import Transaction
from app.db.interventions import (
    ByHand,
    Interventions,
    OnIt,
    find_acknowledgement,
    find_override,
)
from app.domain.merge import with_component, without_component
from app.domain.monitor import Component
from app.domain.refused import Refused, no_component
from app.domain.status import Status
from app.statusfile.values import slug_of


class ComponentGiven(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without a slug it is made from the name. A `group` that is not there yet is made. A hidden one is on
    those pages alone that name it."""

    name: Name
    slug: Slug | None = None
    description: str = ""
    group: Name | None = None
    hidden: bool = False


class ComponentAltered(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All but its slug, on which its history hangs, and its monitors, which are a resource of their own."""

    name: Name
    description: str = ""
    group: Name | None = None
    hidden: bool = False


class ComponentShown(Struct, frozen=True, kw_only=True):
    """`monitors` by their keys. `origin` is the place in the config file, such as `statuswire.yaml:12`, or
    `database`."""

    id: str
    slug: str
    name: str
    description: str
    group: str | None
    hidden: bool
    monitors: tuple[str, ...]
    origin: str


class Components(InCatalog[ComponentShown, ComponentGiven]):
    name, words = "components", "a component"
    shown, given, altered = ComponentShown, ComponentGiven, ComponentAltered
    example: ClassVar = {"name": "Payments API", "group": "Payments", "description": "Card and SEPA payments"}

    async def list(
        self, transaction: Transaction, asked: Asked, after: str, limit: int
    ) -> Sequence[ComponentShown]:
        at = await self.place(transaction)
        found = {each.slug: each for each in at.running.components}
        return [_shown(at, found[slug]) for slug in page_of(found, after, limit)]

    async def find(self, transaction: Transaction, asked: Asked, id: str) -> ComponentShown | None:
        at = await self.place(transaction)
        found = at.component(id)
        return None if found is None else _shown(at, found)

    async def make(self, change: Change, asked: Asked, given: ComponentGiven) -> ComponentShown:
        slug = given.slug or slug_of(given.name)
        if not slug:
            raise Refused("slug", "No slug can be made from this name: give one, such as `api`.")
        if (await self.place(change.transaction)).component(slug) is not None:
            raise Refused("slug", f"There is a component `{slug}` already: change that one.", "conflict")
        component = Component(
            slug=slug,
            name=given.name,
            description=given.description,
            group=given.group,
            hidden=given.hidden,
        )
        await self.edit(change, with_component(component), given)
        return await self.need(change, asked, slug)

    async def alter(
        self, change: Change, asked: Asked, old: ComponentShown, given: ComponentAltered
    ) -> ComponentShown:
        component = (await self.place(change.transaction)).component(old.slug)
        assert component is not None
        said = {name: getattr(given, name) for name in given.__struct_fields__}
        await self.edit(change, with_component(replace(component, **said)), given)
        return await self.need(change, asked, old.slug)

    async def remove(self, change: Change, asked: Asked, old: ComponentShown) -> None:
        await self.refuse_ruled(change, "component", old.slug)
        await self.edit(change, without_component(old.slug))

    def is_seen(self, asked: Asked, item: ComponentShown) -> bool:
        return asked.sees_all([item.slug])


class _OfOne(InCatalog[S, G]):
    """What belongs to one component is seen by whoever sees that."""

    of_pages = True
    parent = "components"
    reads, writes = "components:read", "components:write"
    single = True

    async def slug(self, transaction: Transaction, asked: Asked) -> str:
        slugs = [each.slug for each in (await self.place(transaction)).running.components]
        seen = [slug for slug in slugs if asked.sees_all([slug])]
        if asked.parent not in seen:
            raise Answered(404, no_component(asked.parent, seen))
        return asked.parent


class OverrideGiven(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The status that it has until it is released, and a note that all who see it may read: why, and perhaps
    until when."""

    status: Status
    note: str = ""


class Override(_OfOne[ByHand, OverrideGiven]):
    name, words = "override", "the status of a component by hand"
    shown, given = ByHand, OverrideGiven
    example: ClassVar = {"status": "partial_outage", "note": "Their network is down, say our providers"}

    async def find(self, transaction: Transaction, asked: Asked, id: str) -> ByHand | None:
        return await find_override(transaction, await self.slug(transaction, asked))

    async def make(self, change: Change, asked: Asked, given: OverrideGiven) -> ByHand:
        slug = await self.slug(change.transaction, asked)
        await Interventions(Within(change)).override(change.actor, change.at, slug, given.status, given.note)
        found = await find_override(change.transaction, slug)
        assert found is not None
        return found

    async def alter(self, change: Change, asked: Asked, old: ByHand, given: OverrideGiven) -> ByHand:
        return await self.make(change, asked, given)

    async def remove(self, change: Change, asked: Asked, old: ByHand) -> None:
        await Interventions(Within(change)).release(change.actor, change.at, old.component)


class Acknowledgement(_OfOne[OnIt, AcknowledgementGiven]):
    name, words = "acknowledgement", "who is on a component"
    shown, given = OnIt, AcknowledgementGiven
    example: ClassVar = {"words": "Mei is on it"}

    async def find(self, transaction: Transaction, asked: Asked, id: str) -> OnIt | None:
        return await find_acknowledgement(transaction, await self.slug(transaction, asked))

    async def make(self, change: Change, asked: Asked, given: AcknowledgementGiven) -> OnIt:
        slug = await self.slug(change.transaction, asked)
        verbs = Interventions(Within(change))
        await verbs.acknowledge(change.actor, change.at, slug, given.words, given.until)
        found = await find_acknowledgement(change.transaction, slug)
        assert found is not None
        return found

    async def alter(self, change: Change, asked: Asked, old: OnIt, given: AcknowledgementGiven) -> OnIt:
        return await self.make(change, asked, given)

    async def remove(self, change: Change, asked: Asked, old: OnIt) -> None:
        await Interventions(Within(change)).unacknowledge(change.actor, change.at, asked.parent)


def _shown(at: Place, component: Component) -> ComponentShown:
    return ComponentShown(
        id=component.slug,
        slug=component.slug,
        name=component.name,
        description=component.description,
        group=component.group,
        hidden=component.hidden,
        monitors=tuple(monitor.key for monitor in component.monitors),
        origin=at.origin("component", component.slug),
    )
