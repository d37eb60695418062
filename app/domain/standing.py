"""judge: one monitor as one worker sees it, from result to result. Here it is decided what "down" means.

The one thing to know: a standing needs `retries + 1` bad results in a row to get worse, one good one to
get better, and an inconclusive result moves nothing, not even its age.
"""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from app.domain.instant import Instant
from app.domain.monitor import Monitor
from app.domain.result import Outcome, Result


class State(StrEnum):
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"


class Standing(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`since` is when the state began: for down, the first failure of the run that led to it, not its
    confirmation. `bad` counts failures in a row and `bad_since` is when they began; `slow` and `slow_since`
    are the same for results that were slow or worse."""

    monitor: str
    region: str
    state: State = State.UNKNOWN
    since: Instant
    reason: str = ""
    detail: str = ""
    bad: int = 0
    slow: int = 0
    bad_since: Instant | None = None
    slow_since: Instant | None = None


def unseen(monitor: Monitor, region: str, at: datetime) -> Standing:
    """Where every monitor begins."""
    return Standing(monitor=monitor.key, region=region, since=at)


def judge(standing: Standing, result: Result, retries: int) -> tuple[Standing, bool]:
    """The standing after `result`, and whether its state changed. Pure: the same arguments give the same
    answer."""
    match result.outcome:
        case Outcome.INCONCLUSIVE:
            return standing, False
        case Outcome.OK:
            counted = replace(standing, bad=0, slow=0, bad_since=None, slow_since=None)
        case Outcome.SLOW:
            counted = replace(_count_slow(standing, result), bad=0, bad_since=None)
        case Outcome.FAIL | Outcome.UNREACHABLE:
            began = standing.bad_since or result.at
            counted = replace(_count_slow(standing, result), bad=standing.bad + 1, bad_since=began)
    return _settle(counted, _state(counted, retries), result)


def needs_retry(standing: Standing, retries: int) -> bool:
    """True while a run of bad results is under way that has not yet been confirmed: look again soon."""
    return (0 < standing.bad <= retries and standing.state is not State.DOWN) or (
        0 < standing.slow <= retries and standing.state not in (State.DEGRADED, State.DOWN)
    )


def _count_slow(standing: Standing, result: Result) -> Standing:
    # A failure counts here too: what is slow and fails by turns would else be called up for ever.
    return replace(standing, slow=standing.slow + 1, slow_since=standing.slow_since or result.at)


def _state(counted: Standing, retries: int) -> State:
    if not counted.slow:
        return State.UP
    if counted.bad > retries or (counted.bad and counted.state is State.DOWN):
        return State.DOWN
    # A slow answer is an answer: what was down is down no more, though it may not be well yet.
    if counted.slow > retries or counted.state is State.DOWN:
        return State.DEGRADED
    return counted.state


def _settle(counted: Standing, state: State, result: Result) -> tuple[Standing, bool]:
    if state is State.UP and counted.state is State.UP:
        return counted, False
    after = replace(counted, state=state, reason=result.reason, detail=result.detail)
    if state is counted.state:
        return after, False
    return replace(after, since=max(_began(counted, state) or result.at, counted.since)), True


def _began(counted: Standing, state: State) -> datetime | None:
    """Of a state that is new. None: with this result."""
    if state is State.DOWN:
        return counted.bad_since
    # After an outage, what is merely slow begins with this answer and not with the outage.
    return counted.slow_since if counted.state is not State.DOWN else None
