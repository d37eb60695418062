"""judge: one monitor as one worker sees it, from result to result. Here it is decided what "down" means.

The one thing to know: a standing needs `retries + 1` bad results in a row to get worse, one good one to
get better, and an inconclusive result moves nothing, not even its age.
"""

from datetime import datetime
from enum import StrEnum

import msgspec
from msgspec import Struct

from app.domain.monitor import Monitor
from app.domain.result import Outcome, Result


class State(StrEnum):
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"


class Standing(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`since` is when the state began: for down, the first failure of the run that led to it, not its
    confirmation. `bad` and `slow` count results in a row, `bad_since` is when the present run began."""

    monitor: str
    region: str
    state: State = State.UNKNOWN
    since: datetime
    reason: str = ""
    detail: str = ""
    bad: int = 0
    slow: int = 0
    bad_since: datetime | None = None


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
            return _settle(standing, State.UP, result, result.at, bad=0, slow=0)
        case Outcome.SLOW:
            run = standing.slow + 1
            began = _began(standing, result, run)
            confirmed = run > retries or standing.state is State.DEGRADED
            state = State.DEGRADED if confirmed else _while_waiting(standing)
            return _settle(standing, state, result, began, bad=0, slow=run)
        case Outcome.FAIL | Outcome.UNREACHABLE:
            run = standing.bad + 1
            began = _began(standing, result, run)
            confirmed = run > retries or standing.state is State.DOWN
            state = State.DOWN if confirmed else standing.state
            return _settle(standing, state, result, began, bad=run, slow=0)


def _began(standing: Standing, result: Result, run: int) -> datetime:
    return result.at if run == 1 or standing.bad_since is None else standing.bad_since


def _while_waiting(standing: Standing) -> State:
    # A slow answer is an answer: what was down is down no more, though it may not be well yet.
    return State.DEGRADED if standing.state is State.DOWN else standing.state


def _settle(
    standing: Standing, state: State, result: Result, began: datetime, *, bad: int, slow: int
) -> tuple[Standing, bool]:
    changed = state is not standing.state
    after = msgspec.structs.replace(
        standing,
        state=state,
        since=max(began, standing.since) if changed else standing.since,
        reason=result.reason if changed or state is not State.UP else standing.reason,
        detail=result.detail if changed or state is not State.UP else standing.detail,
        bad=bad,
        slow=slow,
        bad_since=began if bad or slow else None,
    )
    return after, changed


def needs_retry(standing: Standing, retries: int) -> bool:
    """True while a run of bad results is under way that has not yet been confirmed: look again soon."""
    return (0 < standing.bad <= retries and standing.state is not State.DOWN) or (
        0 < standing.slow <= retries and standing.state is not State.DEGRADED
    )
