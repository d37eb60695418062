"""Runs at /v1/runs: to make one is to have workers look at a monitor now. It is a thing to ask for and not
to keep: nothing is stored of it, and what is found is on the page and in the history of the monitor.
"""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from app.api.v1.catalog import InCatalog
from app.api.v1.resource import Asked
from app.domain.refused import Refused
from app.feed import Feed
from app.model import Model
from app.run_now import run_now


class RunGiven(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`monitor` is its key, such as `payments-api/http`."""

    monitor: Annotated[str, Meta(max_length=100)]


class RunShown(Struct, frozen=True, kw_only=True):
    """The workers of these regions were asked to look. What they find comes within seconds."""

    monitor: str
    component: str
    regions: tuple[str, ...]


class Runs(InCatalog[RunShown, RunGiven]):
    name, words = "runs", "what workers were asked to look at"
    writes = "monitors:write"
    shown, given = RunShown, RunGiven
    example: ClassVar = {"monitor": "payments-api/http"}

    def __init__(self, model: Model, feed: Feed) -> None:
        super().__init__(model)
        self._feed = feed

    async def ask(self, asked: Asked, given: RunGiven) -> RunShown:
        async with self._model.changes.database.reading() as transaction:
            running = (await self.place(transaction)).running
        for component in running.components:
            for monitor in component.monitors:
                if monitor.key == given.monitor and asked.sees_all([component.slug]):
                    await run_now(self._feed, running, monitor)
                    return RunShown(monitor=monitor.key, component=component.slug, regions=monitor.regions)
        sentence = "There is no monitor of this key: /v1/monitors lists them."
        raise Refused("monitor", sentence, "missing")

    def is_seen(self, asked: Asked, item: RunShown) -> bool:
        return asked.sees_all([item.component])
