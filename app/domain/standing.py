"""judge: one monitor as one worker sees it, from result to result. Here it is decided what "down" means.

The one thing to know: a standing needs `retries + 1` bad results in a row to get worse and `recoveries` good
ones to be up again, more while it flaps; an inconclusive result moves nothing, not even its age.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from app.domain.instant import Instant
from app.domain.monitor import Monitor
from app.domain.result import Outcome, Result

# So many changes within so long are flapping.
FLAPS: Final = 6
FLAPS_WITHIN: Final = timedelta(minutes=10)
# Good results in a row that are needed then, at least.
_RECOVERIES_WHILE_FLAPPING: Final = 2


class State(StrEnum):
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"


class Standing(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """`since` is when the state began: for down, the first failure of the run that led to it, not its
    confirmation, and likewise for up. `bad` counts failures in a row and `bad_since` is when they began;
    `slow` and `slow_since` are the same for results that were slow or worse, `answered` for what is no
    failure, until it is known to be down no more, and `good` and `good_since` for those that were well, until
    it is up. `flips` are the last changes, as many as make a monitor a flapping one. `seen` is when the last
    answer was had, and `running`, of a push, when the run began that has not ended."""

    monitor: str
    region: str
    state: State = State.UNKNOWN
    since: Instant
    seen: Instant | None = None
    reason: str = ""
    detail: str = ""
    bad: int = 0
    slow: int = 0
    bad_since: Instant | None = None
    slow_since: Instant | None = None
    answered: int = 0
    good: int = 0
    good_since: Instant | None = None
    flips: tuple[Instant, ...] = ()
    flapping: bool = False
    running: Instant | None = None


def unseen(monitor: Monitor, region: str, at: datetime) -> Standing:
    """Where every monitor begins."""
    return Standing(monitor=monitor.key, region=region, since=at)


def judge(standing: Standing, result: Result, retries: int, recoveries: int = 1) -> tuple[Standing, bool]:
    """The standing after `result`, and whether there is something to tell: another state, or that it began
    or ceased to flap. Pure: the same arguments give the same answer."""
    if result.outcome is Outcome.INCONCLUSIVE:
        return standing, False
    counted = _count(_calmed(standing, result.at), result)
    needed = max(recoveries, _RECOVERIES_WHILE_FLAPPING) if counted.flapping else recoveries
    after = _settle(counted, _state(counted, retries, needed), result)
    return after, (after.state, after.flapping) != (standing.state, standing.flapping)


def needs_retry(standing: Standing, retries: int) -> bool:
    """True while a run of results is under way that has not yet been confirmed: look again soon. A flapping
    monitor is not hurried to its next change."""
    if standing.good or (standing.answered and standing.state is State.DOWN):
        return not standing.flapping
    return (0 < standing.bad <= retries and standing.state is not State.DOWN) or (
        0 < standing.slow <= retries and standing.state not in (State.DEGRADED, State.DOWN)
    )


def _calmed(standing: Standing, at: datetime) -> Standing:
    """Without the changes that are too long ago to count, or lie ahead since a clock was set back."""
    flips = tuple(flip for flip in standing.flips if abs(at - flip) <= FLAPS_WITHIN)
    return standing if len(flips) == len(standing.flips) else replace(standing, flips=flips, flapping=False)


def _count(standing: Standing, result: Result) -> Standing:
    match result.outcome:
        case Outcome.OK:
            counted = replace(standing, bad=0, slow=0, bad_since=None, slow_since=None)
        case Outcome.SLOW:
            counted = replace(_count_slow(standing, result), bad=0, bad_since=None)
        case _:
            began = standing.bad_since or result.at
            counted = replace(_count_slow(standing, result), bad=standing.bad + 1, bad_since=began)
    # What goes on as it was is not counted.
    may_be_down, is_up = standing.state in (State.DOWN, State.UNKNOWN), standing.state is State.UP
    return replace(
        counted,
        seen=result.at,
        answered=standing.answered + 1 if may_be_down and not counted.bad else 0,
        good=standing.good + 1 if not is_up and not counted.slow else 0,
        good_since=(standing.good_since or result.at) if not is_up and not counted.slow else None,
    )


def _count_slow(standing: Standing, result: Result) -> Standing:
    # A failure counts here too: what is slow and fails by turns would else be called up for ever.
    return replace(standing, slow=standing.slow + 1, slow_since=standing.slow_since or result.at)


def _state(counted: Standing, retries: int, recoveries: int) -> State:
    if counted.good >= recoveries:
        return State.UP
    if counted.bad > retries or (counted.state is State.DOWN and counted.answered < recoveries):
        return State.DOWN
    # A slow answer is an answer: what was down is down no more, though it may not be well yet.
    if counted.slow > retries or counted.state is State.DOWN:
        return State.DEGRADED
    # Well and slow by turns, and neither ever often enough.
    if counted.state is State.UNKNOWN and counted.answered >= max(recoveries, retries + 1):
        return State.DEGRADED
    return counted.state


def _settle(counted: Standing, state: State, result: Result) -> Standing:
    if state is counted.state:
        # A good answer that does not yet count is no reason to be down.
        is_why = state is not State.UP and counted.slow
        return replace(counted, reason=result.reason, detail=result.detail) if is_why else counted
    return replace(
        _flipped(counted, result.at),
        state=state,
        reason=result.reason,
        detail=result.detail,
        since=max(_began(counted, state) or result.at, counted.since),
        answered=0,
        good=0 if state is State.UP else counted.good,
        good_since=None if state is State.UP else counted.good_since,
    )


def _flipped(counted: Standing, at: datetime) -> Standing:
    if counted.state is State.UNKNOWN:
        return counted  # to learn how something stands is no change of it
    flips = (*counted.flips, at)[-FLAPS:]
    return replace(counted, flips=flips, flapping=len(flips) == FLAPS)


def _began(counted: Standing, state: State) -> datetime | None:
    """Of a state that is new. None: with this result."""
    if state is State.UP:
        return counted.good_since
    if state is State.DOWN:
        return counted.bad_since
    # After an outage, what is merely slow begins with this answer and not with the outage.
    return counted.slow_since if counted.state is not State.DOWN else None
