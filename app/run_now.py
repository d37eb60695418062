"""Run now: an operator has workers look at a monitor before it is due. Only the bell says it, so nothing is
stored, and what they find comes as it always does.
"""

import asyncio
from typing import Final

from app.domain.events import SecondLook
from app.domain.monitor import Catalog, Monitor
from app.domain.refused import Refused
from app.feed import Feed, FeedDown

# No worker is in it, so each takes the call for another region's.
_NOWHERE: Final = ""
# Who asks waits for it.
_PATIENCE: Final = 1.0


def is_probed(monitor: Monitor) -> bool:
    """By workers. A heartbeat comes by itself, and a group is made of others."""
    return monitor.kind not in ("push", "group")


async def run_now(feed: Feed, catalog: Catalog, monitor: Monitor) -> None:
    """Raises Refused where no worker would look, or none can be asked."""
    if monitor.key in catalog.paused:
        raise Refused("monitor", f"{monitor.key} is paused: resume it, and it is looked at.", "conflict")
    if not is_probed(monitor):
        raise Refused("monitor", f"No worker looks at {monitor.key}: it is of the kind {monitor.kind}.")
    try:
        async with asyncio.timeout(_PATIENCE):
            await ask_workers(feed, monitor)
    except FeedDown:
        sentence = "Redis does not answer, so no worker hears of it: try again."
        raise Refused("monitor", sentence, "conflict") from None


async def ask_workers(feed: Feed, monitor: Monitor) -> None:
    """Raises FeedDown."""
    look = SecondLook(monitor=monitor.key, region=_NOWHERE)
    await feed.ask([(region, look) for region in monitor.regions])
