"""Our part of the region's monitors: who else is there, what is ours therefore, and the handover.

Each reckons for itself, from the beats that all workers of a region hear. Whoever loses a monitor leaves it
at once; whoever gains it begins a moment later, with the standing that the feed remembers. So none is looked
at twice, and none begins from nothing.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog
from msgspec.structs import replace

from app.domain.events import Beat, Known
from app.domain.instant import from_seconds
from app.domain.monitor import Catalog
from app.domain.share import share_of
from app.feed import Feed, FeedDown
from workers.patrol import Patrol

# Beats after which a worker that is not heard is gone, and how often in a beat we look.
GONE_AFTER: Final = 1.5
_LOOKS_IN_A_BEAT: Final = 10
# Seconds in which all have heard who came or went, and what those who leave a monitor have just said of it
# is with the feed.
HANDOVER: Final = 0.1

log = structlog.get_logger(__name__)


class Members:
    """The other workers of a region that share its monitors, and when each was last heard."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._heard: dict[str, tuple[float, float]] = {}  # and how long it may be silent

    def names(self) -> list[str]:
        return list(self._heard)

    def hear(self, beat: Beat, now: float) -> bool:
        """True if somebody has come, or has said farewell."""
        if beat.worker == self._worker:
            return False
        is_known = beat.worker in self._heard
        if beat.shares:
            self._heard[beat.worker] = now, GONE_AFTER * beat.every
        else:
            self._heard.pop(beat.worker, None)
        return is_known is not beat.shares

    def silent(self, now: float) -> list[str]:
        return [worker for worker, (at, patience) in self._heard.items() if now - at > patience]

    def remove(self, workers: Iterable[str]) -> None:
        for worker in workers:
            self._heard.pop(worker, None)

    def excuse(self, now: float) -> None:
        """It was us who could not hear."""
        self._heard = {worker: (now, patience) for worker, (_, patience) in self._heard.items()}


class Share:
    """It begins when `begins` is set: what a worker before us had left to say is with the feed by then. The
    `ghosts` are workers who are known to be gone, whatever their last beats say."""

    def __init__(
        self,
        feed: Feed,
        patrol: Patrol,
        worker: str,
        region: str,
        every: float,
        begins: asyncio.Event,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        sign: Path | None = None,
        ghosts: Collection[str] = (),
    ) -> None:
        self._begins = begins
        self._sign = sign
        self._ghosts = ghosts
        self._feed = feed
        self._patrol = patrol
        self._worker = worker
        self._region = region
        self._every = every
        self._monotonic = monotonic
        self._members = Members(worker)
        self._catalog: Catalog | None = None
        self._is_linked = False
        self._changed = asyncio.Event()
        self._joining = asyncio.Event()
        self._knows_the_others = asyncio.Event()

    async def hear_catalogs(self) -> None:
        """For ever."""
        await self._begins.wait()
        await self._bury()
        async for catalog in self._feed.catalogs():
            self._catalog = catalog
            self._joining.set()
            self._changed.set()

    async def hear_workers(self) -> None:
        """For ever."""
        async for said in self._feed.among(self._region, self._link):
            if not isinstance(said, Beat):
                self._patrol.look(said.monitor)
            elif self._members.hear(said, self._monotonic()):
                word = "takes its part" if said.shares else "has said farewell"
                log.info(f"another worker {word}", other=said.worker)
                self._changed.set()

    async def beat(self) -> None:
        """For ever. The first that says that we share comes at once. That Redis is away is said by the feed
        and by the outbox; a beat that is not heard is just missing, and the sign of life grows old."""
        while True:
            self._joining.clear()
            with suppress(*FeedDown):
                beat = self._patrol.beat(self._every)
                at = await self._feed.beat(replace(beat, shares=self._catalog is not None))
                self._patrol.compare_clocks(at)
                self._touch()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._joining.wait()

    def _touch(self) -> None:
        if self._sign is None:
            return
        try:
            self._sign.touch()
        except OSError as error:
            log.error("the sign of life cannot be written", file=str(self._sign), error=error.strerror)

    async def watch(self) -> None:
        """Miss those who are gone, for ever."""
        while True:
            before = self._monotonic()
            await asyncio.sleep(self._every / _LOOKS_IN_A_BEAT)
            if self._monotonic() - before > GONE_AFTER * self._every and self._members.names():
                # The machine stood still: others have taken over, and know better by now how things stand.
                self._patrol.leave(set(self._patrol.watched))
                self._changed.set()
            if self._is_linked and (silent := self._members.silent(self._monotonic())):
                await self._look_for(silent)

    async def settle(self) -> None:
        """Watch what is ours, whatever changes, for ever."""
        await self._knows_the_others.wait()
        revision = ""
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._catalog is None:
                continue
            self._patrol.leave(set(self._patrol.watched) - self._ours(self._catalog))
            if self._members.names():
                await asyncio.sleep(HANDOVER)
            revision = await self._settle(self._catalog, revision)

    async def farewell(self) -> None:
        """What is ours is the others' from now on."""
        await self._feed.farewell(self._patrol.beat(self._every))

    async def _bury(self) -> None:
        """Say the farewell of those who could not: else each of the region would leave them their part for a
        beat and a half, and we too, though we know."""
        with suppress(*FeedDown):
            for ghost in self._ghosts:
                beat = Beat(
                    at=from_seconds(time.time()), worker=ghost, region=self._region, every=self._every
                )
                await self._feed.farewell(beat)
        self._members.remove(self._ghosts)

    def _link(self, up: bool) -> None:
        self._is_linked = up
        self._members.excuse(self._monotonic())
        if up:
            self._knows_the_others.set()

    async def _look_for(self, silent: list[str]) -> None:
        """Nobody is given up who is merely not heard by us: Redis must say so too, and it must have heard us
        in the same time, or it stood still itself."""
        alive: list[Beat] = []
        with suppress(*FeedDown):
            alive = await self._feed.alive(self._region)
        names = {beat.worker for beat in alive}
        if self._worker not in names:
            self._members.excuse(self._monotonic())
            return
        news = [self._members.hear(beat, self._monotonic()) for beat in alive]
        if gone := set(silent) - names:
            self._members.remove(gone)
            log.warning("workers are heard no more; the others take over", workers=sorted(gone))
        if gone or any(news):
            self._changed.set()

    def _ours(self, catalog: Catalog) -> set[str]:
        keys = [monitor.key for monitor in catalog.watched() if self._region in monitor.regions]
        return share_of(self._worker, self._members.names(), keys)

    async def _settle(self, catalog: Catalog, revision: str) -> str:
        ours = self._ours(catalog)
        known = await self._known(ours - set(self._patrol.watched))
        watched = self._patrol.assign(catalog, ours, known)
        words = {"monitors": watched, "of_others": len(known), "workers": 1 + len(self._members.names())}
        log.info("monitors to watch", revision=catalog.revision, **words)
        if catalog.revision != revision:
            await self._forget_what_is_gone(catalog)
        return catalog.revision

    async def _known(self, gained: set[str]) -> dict[str, Known]:
        """Nothing, if Redis is away just now: then they are looked at anew."""
        if gained:
            with suppress(*FeedDown):
                return await self._feed.standings(self._region, sorted(gained))
        return {}

    async def _forget_what_is_gone(self, catalog: Catalog) -> None:
        keys = {monitor.key for monitor in catalog.watched() if self._region in monitor.regions}
        with suppress(*FeedDown):
            await self._feed.forget(self._region, all_but=keys)
