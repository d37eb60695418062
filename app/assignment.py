"""From file and database to the workers: what both say becomes what is shown and what is probed.

It is told to the feed only when file or database change, so that two servers with two versions of a file do
not quarrel for ever. What Redis may forget, the assignment of the workers, is looked after with every beat:
that is `settle`.
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

import structlog

from app import metrics
from app.db.engine import DatabaseDown
from app.domain.events import CatalogChange
from app.domain.monitor import Catalog
from app.feed import Feed, FeedDown
from app.live.hub import Hub
from app.model import Model
from app.statusfile.catalog import warnings
from app.statusfile.disk import watch
from app.statusfile.problem import StatusFileError

log = structlog.get_logger("assignment")


class Assignment:
    """`problem` is why the file on disk is not the one that is running; None while it is."""

    def __init__(self, file: Path, feed: Feed, hub: Hub, model: Model) -> None:
        self._file = file
        self._feed = feed
        self._hub = hub
        self._model = model
        self.problem: str | None = None
        self._wanted: Catalog | None = None
        self._name = token_hex(8)
        self._said = 0  # what we wanted, so far
        self._is_noted = True  # in the audit log

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
            self._model.take(said)
            self._want()
            if self._hub.linked.is_set():
                await self._tell()
            self._is_noted = False
            await self._note()

    async def settle(self) -> None:
        """See to it that workers find what they are to probe, and that what another process defined in the
        database is what runs, for ever."""
        while True:
            # Said before we listen, a new catalog could be forgotten by Redis before we have heard it
            # ourselves; and then nobody would say it again.
            await self._hub.linked.wait()
            with suppress(DatabaseDown):
                if await self._model.read():
                    self._want()
            await self._tell()
            await self._note()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._hub.beat_every):
                    await self._model.changed.wait()
                    self._model.changed.clear()
                    await self._until_heard(self._model.running().revision)

    async def _until_heard(self, revision: str) -> None:
        """What is changed here comes to us by the feed, and to the workers by us: not before the board knows
        what they will speak of."""
        for _ in range(100):
            if self._hub.board.catalog.revision == revision:
                return
            await asyncio.sleep(0.02)

    async def _note(self) -> None:
        """Behind what is told: no screen waits for the audit log. Without a database it is tried again."""
        if not self._is_noted:
            with suppress(DatabaseDown):
                await self._model.note_file(self._hub.now())
                self._is_noted = True

    def _want(self) -> None:
        # A server whose file was never good has nothing to say for it, and would take away what runs.
        if self._model.file is not None:
            self._wanted = self._model.running()
            self._said += 1

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
            await self._feed.announce([(f"catalog/{self._name}:{self._said}", event)])
            log.info("the catalog has changed", components=len(wanted.components))
        await self._feed.assign(wanted)
        if self._wanted is wanted:
            self._wanted = None
