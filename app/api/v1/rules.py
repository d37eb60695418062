"""Rules at /v1/rules: which outages open an incident by themselves, after how long, and in which words. A
rule is called by its name; what the file names is shown with its place, and changed there.
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from msgspec import Meta, Struct
from msgspec.structs import asdict, replace

from app.api.v1.catalog import InCatalog, Place, page_of
from app.api.v1.resource import Asked
from app.api.v1.words import Name
from app.db.change import Change
from app.db.engine import Transaction
from app.domain.merge import with_new_rule, with_rule, without_rule
from app.domain.rule import Rule

_USUAL = Rule(name="")


class RuleAltered(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All but its name. `after` is how many seconds a component must be out, `settle` how many it must be
    well again. Without `components`, by their slugs, it is for all. In its words `{components}` and
    `{status}` are filled in."""

    after: Annotated[float, Meta(ge=1, le=7 * 86400)] = _USUAL.after
    settle: Annotated[float, Meta(ge=1, le=86400)] = _USUAL.settle
    components: tuple[str, ...] = ()
    title: str = _USUAL.title
    words: str = _USUAL.words
    closing: str = _USUAL.closing


class RuleGiven(RuleAltered, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """It is called by its name."""

    name: Name


class RuleShown(Struct, frozen=True, kw_only=True):
    """`origin` is the place in the config file, such as `statuswire.yaml:12`, or `database`."""

    id: str
    name: str
    after: float
    settle: float
    components: tuple[str, ...]
    title: str
    words: str
    closing: str
    origin: str


class Rules(InCatalog[RuleShown, RuleGiven]):
    name, words = "rules", "a rule"
    # Who may post incidents may have it done. Rules are of all pages, so tokens of some are not let in.
    reads, writes = "incidents:read", "incidents:write"
    shown, given, altered = RuleShown, RuleGiven, RuleAltered
    has_slashes = True
    example: ClassVar = {"name": "Outage", "after": 120, "title": "{components}: {status}"}

    async def list(
        self, transaction: Transaction, asked: Asked, after: str, limit: int
    ) -> Sequence[RuleShown]:
        at = await self.place(transaction)
        found = {rule.name: rule for rule in at.running.rules}
        return [_shown(at, found[name]) for name in page_of(found, after, limit)]

    async def find(self, transaction: Transaction, asked: Asked, id: str) -> RuleShown | None:
        at = await self.place(transaction)
        return next((_shown(at, rule) for rule in at.running.rules if rule.name == id), None)

    async def make(self, change: Change, asked: Asked, given: RuleGiven) -> RuleShown:
        rule = replace(Rule(**asdict(given)), name=given.name.strip())
        await self.edit(change, with_new_rule(rule), given)
        return await self.need(change, asked, rule.name)

    async def alter(self, change: Change, asked: Asked, old: RuleShown, given: RuleAltered) -> RuleShown:
        await self.edit(change, with_rule(Rule(name=old.name, **asdict(given))), given)
        return await self.need(change, asked, old.name)

    async def remove(self, change: Change, asked: Asked, old: RuleShown) -> None:
        await self.refuse_ruled(change, "rule", old.name)
        await self.edit(change, without_rule(old.name))


def _shown(at: Place, rule: Rule) -> RuleShown:
    return RuleShown(id=rule.name, origin=at.origin("rule", rule.name), **asdict(rule))
