"""Why a monitor stands as it does, in lines for an operator: the results, the votes made of them, and the
rules by which the votes are counted. It decides nothing: what it says, `board` and `standing` have decided.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from app.domain import heartbeat
from app.domain.board import Board, quorum_of
from app.domain.credentials import redacted
from app.domain.dependencies import Parent, members_of
from app.domain.events import LATE, Beat, Sample
from app.domain.instant import rfc3339
from app.domain.monitor import DEFAULT_REGION, Component, Monitor
from app.domain.result import Outcome
from app.domain.standing import FLAPS, FLAPS_WITHIN, Standing, State

RESULTS_AT_MOST: Final = 12
LOGS_AT_MOST: Final = 5
LOG_SHOWN: Final = 1000  # characters, the last

_MEANS: Final = {
    State.UP: "up",
    State.DEGRADED: "degraded: slow, or a certificate that ends soon, or failing in a minority of regions",
    State.DOWN: "down",
    State.UNKNOWN: "unknown",
}


class Found(Struct, frozen=True):
    """One result, as the log has it."""

    region: str
    sample: Sample


def explain(
    board: Board,
    monitor: Monitor,
    now: datetime,
    found: Sequence[Found],
    beats: Sequence[Beat],
    logs: Sequence[heartbeat.Said] = (),
) -> Iterator[str]:
    """Lines. Of `found` and `beats` those are shown that concern the monitor; `logs` are its own."""
    yield from _head(board, monitor)
    if monitor.kind == "group":
        yield from _of_members(board, monitor)
    elif monitor.kind == heartbeat.KIND:
        yield from _of_heartbeats(board, monitor, now)
    else:
        yield from _of_votes(board, monitor, now)
    yield from _of_parents(board, monitor)
    yield from _of_rules(monitor)
    if monitor.kind == heartbeat.KIND:
        yield from _of_logs(logs)
    elif monitor.kind != "group":
        yield from _of_results(monitor, found)
        yield from _of_workers(monitor, beats, now)


def _head(board: Board, monitor: Monitor) -> Iterator[str]:
    component = board.owner(monitor.key)
    shown = board.shown[component.slug]
    yield f"{monitor.key}: {monitor.kind} {redacted(monitor.target)}"
    hides = _hidden_by(board, monitor)
    paused = ": it is paused, and nobody looks at it" if monitor.key in board.catalog.paused else ""
    behind = f": it is seen to be down, and lies behind {hides.name}" if hides else ""
    yield f"  verdict    {_MEANS[board.verdict(monitor)]}{paused or behind}"
    why = f" ({shown.reason})" if shown.reason else ""
    yield f"  page       {component.name} is {shown.status} since {rfc3339(shown.since)}{why}"
    if others := _others(board, component, monitor):
        yield f"  with       {others}"
    if shown.note.flapping:
        yield f"  flapping   {FLAPS} changes or more within {FLAPS_WITHIN / timedelta(minutes=1):g} minutes"


def _others(board: Board, component: Component, monitor: Monitor) -> str:
    rest = [each for each in component.monitors if each.key != monitor.key]
    return ", ".join(f"{each.key} {board.verdict(each)}" for each in rest)


def _of_votes(board: Board, monitor: Monitor, now: datetime) -> Iterator[str]:
    quorum = quorum_of(monitor)
    yield ""
    yield f"Votes: down takes {quorum} of {len(monitor.regions)}, and so does knowing at all"
    for region in monitor.regions:
        standing = board.standings.get((monitor.key, region))
        heard = board.heard.get((monitor.key, region))
        yield f"  {region:<12} {_vote(monitor, standing, heard, now)}"


def _vote(monitor: Monitor, standing: Standing | None, heard: datetime | None, now: datetime) -> str:
    if standing is None or heard is None:
        return "nothing: no worker of this region has had a verdict yet"
    ago = f"heard {_span(now - heard)} ago"
    if standing.state is State.UNKNOWN:
        return f"unknown since {rfc3339(standing.since)}: {standing.reason or 'not said why'}, {ago}"
    stale = now - heard > timedelta(seconds=monitor.best_before)
    why = ": ".join(filter(None, (standing.reason, standing.detail)))
    return (
        f"{standing.state} since {rfc3339(standing.since)}, {ago}"
        + (f", which is past its best before ({monitor.best_before:g} s)" if stale else "")
        + (", flapping" if standing.flapping else "")
        + (f"; {why}" if why else "")
    )


def _of_members(board: Board, group: Monitor) -> Iterator[str]:
    yield ""
    yield f"Members: needs {group.options.get('needs', 'all')} of them"
    known = {each.key: each for each in board.members(group)}
    for key in members_of(group):
        yield f"  {key:<24} {board.verdict(known[key]) if key in known else 'is gone from the file'}"


def _of_heartbeats(board: Board, monitor: Monitor, now: datetime) -> Iterator[str]:
    standing = board.standings.get((monitor.key, DEFAULT_REGION))
    yield ""
    if standing is None:
        yield "Heartbeats: none yet, and until the first one nothing is late"
        return
    yield "Heartbeats"
    if standing.seen is not None:
        yield f"  the last run ended {rfc3339(standing.seen)}, {_span(now - standing.seen)} ago"
    if standing.running is not None:
        yield f"  one is running since {rfc3339(standing.running)}, {_span(now - standing.running)}"
    if standing.state is not State.UP:
        yield f"  {standing.state} since {rfc3339(standing.since)}: {standing.reason}"
    if (due := heartbeat.due(monitor, standing)) is not None:
        yield f"  the next word is due by {rfc3339(due.at)}, else: {due.reason}"


def _of_logs(logs: Sequence[heartbeat.Said]) -> Iterator[str]:
    yield ""
    yield "What the job told, the newest last" if logs else "What the job told: nothing yet"
    for each in logs[-LOGS_AT_MOST:]:
        said = each.heartbeat
        yield f"  {rfc3339(said.at)}  {heartbeat.reason_of(said) or said.word}"
        lines = each.log[-LOG_SHOWN:].splitlines()
        yield from ("    " + "".join(c if c.isprintable() else " " for c in line) for line in lines)


def _of_parents(board: Board, monitor: Monitor) -> Iterator[str]:
    parents = board.parents(monitor)
    if not parents:
        return
    yield ""
    yield "Lies behind: what is down behind one that is down is called unknown"
    hides = _hidden_by(board, monitor)
    for parent in parents:
        stands = ", ".join(f"{each.key} {board.alone(each)}" for each in parent.monitors)
        hidden = ""
        if parent == hides:
            is_down = all(board.alone(each) is State.DOWN for each in parent.monitors)
            hidden = ", and so hides this one" if is_down else _UNTIL_LOOKED_AT
        yield f"  {parent.name:<12} {stands}{hidden}"


_UNTIL_LOOKED_AT: Final = "; it was down, and hides this one until that has been looked at again"


def _hidden_by(board: Board, monitor: Monitor) -> Parent | None:
    return board.behind(monitor) if board.alone(monitor) is State.DOWN else None


def _of_rules(monitor: Monitor) -> Iterator[str]:
    yield ""
    yield "Rules"
    if monitor.kind == "group":
        yield "  unknown as long as the members of whom nobody knows could decide it"
        return
    if monitor.kind == heartbeat.KIND:
        yield from _of_rhythm(monitor)
        return
    yield f"  every {monitor.every:g} s, given up after {monitor.timeout:g} s"
    yield f"  down after {monitor.retries + 1} bad results in a row, up after {monitor.recoveries} good"
    yield f"  a result is good for {monitor.best_before:g} s; then, in silence, it is unknown"
    if monitor.expect.slower_than is not None:
        yield f"  degraded if it takes longer than {monitor.expect.slower_than:g} s"
    if monitor.expect.certificate_days is not None:
        yield f"  degraded if the certificate ends within {monitor.expect.certificate_days:g} days"


def _of_rhythm(monitor: Monitor) -> Iterator[str]:
    options = monitor.options
    zone = options.get("time_zone", "UTC")
    rhythm = f"at {options['cron']} ({zone})" if "cron" in options else f"every {_length(monitor.every)}"
    grace = f"{_length(options.get('grace', 0))} later at the latest"
    yield f"  a run ends well {rhythm}, or {grace}; else it is late"
    if longest := options.get("max_runtime"):
        yield f"  a run that began ends within {_length(longest)}"


def _of_results(monitor: Monitor, found: Sequence[Found]) -> Iterator[str]:
    ours = [each for each in found if each.sample.monitor == monitor.key and each.region in monitor.regions]
    yield ""
    yield "Results, the newest last" if ours else "Results: none is in the log any more, or none came"
    for each in sorted(ours, key=lambda each: each.sample.at)[-RESULTS_AT_MOST:]:
        sample = each.sample
        took = "" if sample.took is None else f"{sample.took:.1f} ms"
        late = ", taken while the worker itself was late" if sample.late else ""
        none = ", no verdict" if sample.outcome is Outcome.INCONCLUSIVE else ""
        yield (
            f"  {rfc3339(sample.at)}  {each.region:<12} {sample.outcome:<12} {took:>10}  "
            f"then {sample.state}{late}{none}"
        )


def _of_workers(monitor: Monitor, beats: Sequence[Beat], now: datetime) -> Iterator[str]:
    last = {beat.worker: beat for beat in beats if beat.region in monitor.regions}
    yield ""
    yield "Workers" if last else "Workers: none of its regions is heard"
    for beat in last.values():
        health = f"no verdicts now: {beat.trouble}" if beat.trouble else "fit to judge"
        yield f"  {beat.worker:<24} heard {_span(now - beat.at)} ago, {health}"
        if beat.missed or beat.late or beat.lag > LATE:
            slow = f"{beat.missed} slots were missed and {beat.late} results say nothing of speed"
            begun = f"the last began up to {beat.lag * 1000:.0f} ms late"
            yield f"  {'':<24} it is slow itself: since it started {slow}; {begun}"


def _length(seconds: float) -> str:
    """As people write it in the file."""
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"


def _span(span: timedelta) -> str:
    seconds = max(span.total_seconds(), 0.0)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
