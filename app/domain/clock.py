"""What a clock says that is ahead of the log's. Without this, one word from the future would keep a
monitor from being called silent until that future has come.

The log's clock is in the id of each event, so every server dates an event alike.
"""

from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from app.domain.events import Heartbeat, Logged, Retelling, Sample, Samples, StateChange
from app.domain.standing import Standing, State

# Clocks that are kept by NTP are nearer to each other than this.
AHEAD: Final = timedelta(seconds=5)


def dated(event: Logged, latest: datetime) -> Logged:
    """The event as it was said, or, if its clock is ahead, dated at the instant when the log took it."""
    match event:
        case StateChange() if event.at > latest + AHEAD:
            return replace(event, at=latest, standing=_begun(event.standing, latest))
        case Retelling() if event.at > latest + AHEAD:
            standings = tuple(_begun(standing, latest) for standing in event.standings)
            return replace(event, at=latest, standings=standings)
        case Samples() if any(sample.at > latest + AHEAD for sample in event.samples):
            return replace(event, at=latest, samples=_at_once(event.samples, latest))
        case Heartbeat() if event.at > latest + AHEAD:
            return replace(event, at=latest)
        case _:
            return event


def _begun(standing: Standing, latest: datetime) -> Standing:
    seen = None if standing.seen is None else min(standing.seen, latest)
    return replace(standing, since=min(standing.since, latest), seen=seen)


def _at_once(samples: tuple[Sample, ...], latest: datetime) -> tuple[Sample, ...]:
    """All at one instant. Of several words on one monitor only the last says how it stands."""
    last = {sample.monitor: n for n, sample in enumerate(samples)}
    return tuple(
        replace(sample, at=latest, state=sample.state if last[sample.monitor] == n else State.UNKNOWN)
        for n, sample in enumerate(samples)
    )
