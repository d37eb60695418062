"""What a screen says when it is not live: why, and as of when it knows what it shows. live.js and page.js say
the same as long as their script runs.
"""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from app.domain.events import order
from app.domain.instant import from_ms
from app.domain.status import Overall, Status
from app.live.hub import Hub
from app.pages.drawing import recent

SIGN = "◷"

# What Hub.feed_state means to people, where it is not ok.
WHY = {"stale": "no word from the probes", "down": "the server has lost its feed"}


def last_word(hub: Hub) -> datetime:
    """When a worker was last heard. A server that has heard none since it started knows it from the board,
    though not from its id, which may be that of a silence."""
    if regions := hub.regions:
        return hub.now() - timedelta(seconds=min(regions.values()))
    if heard := hub.board.heard:
        return max(heard.values())
    ms, _ = order(hub.board.id)
    return from_ms(ms) if ms else hub.now()


def last_known(summed_up: Overall, at: datetime, now: datetime, where: ZoneInfo) -> str:
    """Once even the last results are past their best before, there is no state that could be named."""
    if summed_up.status is Status.UNKNOWN:
        return f"Nothing heard since {recent(at, now, where)}"
    return f"Last known state, from {recent(at, now, where)}: {summed_up.description}"
