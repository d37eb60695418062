"""Monitors at /v1/monitors: what is probed, how, and what is expected of it. A monitor belongs to one
component, and is called by its key, on which its history hangs.

Times are seconds. What may be a secret, also in a URL, is shown as ***, and stays what it is where that is
sent back.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from app.api.v1.catalog import InCatalog, Place, page_of
from app.api.v1.resource import Asked
from app.api.v1.stories import changed
from app.db.change import Change
from app.db.engine import Transaction
from app.domain.credentials import restored, shown
from app.domain.merge import with_component, with_pause, without_pause
from app.domain.monitor import DEFAULT_REGION, Component, Expect, Monitor
from app.domain.refused import Refused
from app.statusfile.kinds import KINDS

_USUAL = 30.0


class MonitorAltered(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`target` is what the kind makes of it: a URL for http, host:port for tcp, a name for dns. `options` are
    the words of the kind, as docs/PROBES.md has them. Without `every` it is that of the kind. Nobody looks at
    one that is paused, and that can be said of one that the file names too."""

    kind: str
    target: str
    every: float | None = None
    timeout: float | None = None
    retries: int = 1
    recoveries: int = 1
    regions: tuple[str, ...] = (DEFAULT_REGION,)
    expect: Expect = field(default_factory=Expect)  # Litestar wants defaults that have a hash
    options: dict[str, Any] = {}
    depends_on: tuple[str, ...] = ()
    paused: bool = False


class MonitorGiven(MonitorAltered, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A monitor of `component`. Without a key it is called by that and its kind, such as `shop/http`."""

    component: Annotated[str, Meta(max_length=80)]
    key: Annotated[str, Meta(max_length=100)] | None = None


class MonitorShown(Struct, frozen=True, kw_only=True):
    """`origin` is the place in the config file, such as `statuswire.yaml:12`, or `database`."""

    id: str
    component: str
    kind: str
    target: str
    every: float
    timeout: float
    retries: int
    recoveries: int
    regions: tuple[str, ...]
    expect: Expect
    options: dict[str, Any]
    depends_on: tuple[str, ...]
    paused: bool
    origin: str


class Monitors(InCatalog[MonitorShown, MonitorGiven]):
    name, words = "monitors", "a monitor"
    shown, given, altered = MonitorShown, MonitorGiven, MonitorAltered
    has_slashes = True
    example: ClassVar = {
        "component": "payments-api",
        "kind": "http",
        "target": "https://api.acme.example/health",
        "every": 30,
        "expect": {"status": [[200, 299]]},
    }

    async def list(
        self, transaction: Transaction, asked: Asked, after: str, limit: int
    ) -> Sequence[MonitorShown]:
        at = await self.place(transaction)
        found = _by_key(at)
        return [_shown(at, *found[key]) for key in page_of(found, after, limit)]

    async def find(self, transaction: Transaction, asked: Asked, id: str) -> MonitorShown | None:
        at = await self.place(transaction)
        found = _by_key(at).get(id)
        return None if found is None else _shown(at, *found)

    async def make(self, change: Change, asked: Asked, given: MonitorGiven) -> MonitorShown:
        at = await self.place(change.transaction)
        component = at.component(given.component)
        if component is None:
            raise Refused("component", f"There is no component `{given.component}`: name one by its slug.")
        key = given.key or _free_key(component, given.kind, _by_key(at))
        if key in _by_key(at):
            raise Refused("key", f"There is a monitor `{key}` already: change that one.", "conflict")
        monitors = (*component.monitors, _monitor(key, given, None))
        await self.edit(change, with_component(replace(component, monitors=monitors)), given)
        if given.paused:
            await self.edit(change, with_pause(key), given)
        return await self.need(change, asked, key)

    async def alter(
        self, change: Change, asked: Asked, old: MonitorShown, given: MonitorAltered
    ) -> MonitorShown:
        said = changed(self.said_of(old), given)
        if said.pop("paused", old.paused) != old.paused:
            await self.edit(change, with_pause(old.id) if given.paused else without_pause(old.id), given)
        if not said:
            return await self.need(change, asked, old.id)
        component, monitor = _by_key(await self.place(change.transaction))[old.id]
        new = _monitor(old.id, given, monitor)
        monitors = tuple(new if each.key == old.id else each for each in component.monitors)
        await self.edit(change, with_component(replace(component, monitors=monitors)), given)
        return await self.need(change, asked, old.id)

    async def remove(self, change: Change, asked: Asked, old: MonitorShown) -> None:
        await self.refuse_ruled(change, "monitor", old.id)
        component, _ = _by_key(await self.place(change.transaction))[old.id]
        monitors = tuple(each for each in component.monitors if each.key != old.id)
        await self.edit(change, with_component(replace(component, monitors=monitors)))

    def is_seen(self, asked: Asked, item: MonitorShown) -> bool:
        return asked.sees_all([item.component])


def _by_key(at: Place) -> dict[str, tuple[Component, Monitor]]:
    return {monitor.key: (each, monitor) for each in at.running.components for monitor in each.monitors}


def _free_key(component: Component, kind: str, taken: Mapping[str, object]) -> str:
    number = 1
    while (key := f"{component.slug}/{kind}" + (f"-{number}" if number > 1 else "")) in taken:
        number += 1
    return key


def _monitor(key: str, given: MonitorAltered, known: Monitor | None) -> Monitor:
    kind = KINDS.get(given.kind)
    if kind is None:
        raise Refused("kind", f"There is no kind of that name: there are {', '.join(sorted(KINDS))}.")
    every = given.every or kind.every or _USUAL
    said = Monitor(
        key=key,
        kind=given.kind,
        target=given.target,
        every=every,
        timeout=given.timeout or min(5.0, every),
        retries=given.retries,
        recoveries=given.recoveries,
        regions=given.regions,
        expect=given.expect,
        options=given.options,
        depends_on=given.depends_on,
    )
    return restored(said, known)


def _shown(at: Place, component: Component, monitor: Monitor) -> MonitorShown:
    fit = shown(monitor)
    said = {name: getattr(fit, name) for name in MonitorAltered.__struct_fields__ if name != "paused"}
    said["paused"] = monitor.key in at.running.paused
    origin = at.origin("monitor", monitor.key)
    return MonitorShown(id=monitor.key, component=component.slug, origin=origin, **said)
