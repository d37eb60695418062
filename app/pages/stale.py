"""What a screen says when it is not live: why, and as of when it knows what it shows. live.js and page.js say
the same as long as their script runs.
"""

from datetime import datetime, timedelta

from app.domain.events import order
from app.domain.instant import from_ms
from app.domain.status import Status
from app.live.hub import Hub
from app.pages.language import Language

SIGN = "◷"

# What Hub.feed_state means to people, where it is not ok.
WHY = {"stale": "no word from the probes", "down": "the server has lost its feed"}


def last_word(hub: Hub) -> datetime:
    """When a worker was last heard: its last beat or, if that has been missed, its last result. The id of the
    board will not do, for it may be that of a silence."""
    words = [hub.now() - timedelta(seconds=its) for its in hub.regions.values()]
    if hub.feed_state != "ok":
        words += hub.board.heard.values()
    ms, _ = order(hub.board.id)
    return min(hub.now(), max(words, default=from_ms(ms) if ms else hub.now()))


def last_known(status: Status, sentence: str, at: str, language: Language) -> str:
    """Once even the last results are past their best before, there is no state that could be named."""
    if status is Status.UNKNOWN:
        return language.say("Nothing heard since {time}", time=at)
    return language.say("Last known state, from {time}: {sentence}", time=at, sentence=sentence)
