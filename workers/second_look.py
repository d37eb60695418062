"""Calls for a second look, on their way to other regions: what fails here for the first time is looked at
there at once. They are worth something now or never, so they do not wait for a Redis that is away, and a few
that are too many are let go."""

import asyncio
from collections import deque
from collections.abc import Collection
from contextlib import suppress
from typing import Final

from app.domain.events import SecondLook
from app.feed import Feed, FeedDown

AT_A_TIME: Final = 500


class SecondLooks:
    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        # When a whole network fails here, all of it does at once.
        self._waiting: deque[tuple[str, SecondLook]] = deque(maxlen=AT_A_TIME)
        self._filled = asyncio.Event()

    def call(self, look: SecondLook, regions: Collection[str]) -> None:
        self._waiting += [(region, look) for region in regions]
        self._filled.set()

    async def deliver(self) -> None:
        """For ever."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            calls = list(self._waiting)
            self._waiting.clear()
            with suppress(*FeedDown):
                await self._feed.ask(calls)
