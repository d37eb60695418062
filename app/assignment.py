"""From the file to the workers: what statuswire.yaml says becomes what is shown and what is probed.

The file is told to the feed only when it changes, so that two servers with two versions of it do not
quarrel for ever. What Redis may forget, the assignment of the workers, is looked after with every beat:
that is `settle`.
"""

import asyncio
from pathlib import Path
from secrets import token_hex

import structlog

from app import metrics
from app.domain.events import CatalogChange
from app.domain.monitor import Catalog
from app.feed import Feed, FeedDown
from app.live.hub import Hub
from app.statusfile.catalog import warnings
from app.statusfile.disk import watch
from app.statusfile.problem import StatusFileError

log = structlog.get_logger("assignment")


class Assignment:
    """`problem` is why the file on disk is not the one that is running; None while it is."""

    def __init__(self, file: Path, feed: Feed, hub: Hub) -> None:
        self._file = file
        self._feed = feed
        self._hub = hub
        self.problem: str | None = None
        self._wanted: Catalog | None = None
        self._name = token_hex(8)
        self._read = 0  # good versions of the file, so far

    async def read(self) -> None:
        """Take over each good version of the file, for ever. A bad one changes nothing but `problem`."""
        async for said in watch(self._file):
            metrics.CONFIG_OK.set(not isinstance(said, StatusFileError))
            self._hub.bad_file = isinstance(said, StatusFileError)
            if isinstance(said, StatusFileError):
                self.problem = str(said)
                for problem in self.problem.splitlines():
                    log.error("the config file is bad, the last good one goes on", problem=problem)
                continue
            if self.problem is not None:
                log.info("the config file is good again")
            self.problem = None
            for warning in warnings(said.catalog):
                log.warning("a word on the config file", warning=warning)
            self._wanted = said.catalog
            self._read += 1
            if self._hub.linked.is_set():
                await self._tell()

    async def settle(self) -> None:
        """See to it that workers find what they are to probe, for ever."""
        while True:
            # Said before we listen, a new catalog could be forgotten by Redis before we have heard it
            # ourselves; and then nobody would say it again.
            await self._hub.linked.wait()
            await self._tell()
            await asyncio.sleep(self._hub.beat_every)

    async def _tell(self) -> None:
        try:
            await self._tell_feed()
            catalog = self._hub.board.catalog
            if (
                self._wanted is None
                and await self._feed.assigned() != catalog.revision
                and catalog.components
            ):
                await self._feed.assign(catalog)
        except FeedDown:
            pass  # the follower says so already, and the next beat tries again

    async def _tell_feed(self) -> None:
        if (wanted := self._wanted) is None:
            return
        if wanted.revision != self._hub.board.catalog.revision:
            now = self._hub.now()
            event = CatalogChange(at=now, revision=wanted.revision, catalog=wanted)
            # Counted, and not dated: by a clock that was set back, a file that comes back would be taken for
            # a retry, and be dropped.
            await self._feed.announce([(f"catalog/{self._name}:{self._read}", event)])
            log.info("the catalog has changed", components=len(wanted.components))
        await self._feed.assign(wanted)
        if self._wanted is wanted:
            self._wanted = None
