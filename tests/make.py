"""Builders for tests: each gives a whole, valid thing, and a test names only what it is about."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from app.domain.board import Board
from app.domain.events import Beat, CatalogChange, Logged, Retelling, Sample, Samples, Silence, StateChange
from app.domain.monitor import DEFAULT_REGION, Catalog, Component, Monitor
from app.domain.result import Outcome, Phases, Result
from app.domain.standing import Standing, State

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
API = "api/http"  # the key of a_monitor()


def after(seconds: float, start: datetime = NOON) -> datetime:
    return start + timedelta(milliseconds=round(seconds * 1000))


def a_monitor(key: str = API, **other: object) -> Monitor:
    """Best before 65 s: every 30 s, with a time-out of 5."""
    given: dict[str, object] = {"kind": "http", "target": "http://127.0.0.1:1/"}
    return Monitor(key=key, **(given | other))  # type: ignore[arg-type]


def a_component(slug: str = "api", *monitors: Monitor, **other: object) -> Component:
    """With one http monitor, `<slug>/http`, unless told otherwise."""
    given: dict[str, object] = {"name": slug.title(), "monitors": monitors or (a_monitor(f"{slug}/http"),)}
    return Component(slug=slug, **(given | other))  # type: ignore[arg-type]


def a_catalog(*components: Component | str, **other: object) -> Catalog:
    """The component `api` alone, unless told otherwise; a bare slug is a component with one monitor."""
    built = (a_component(c) if isinstance(c, str) else c for c in components or ("api",))
    return Catalog(components=tuple(built), **other)  # type: ignore[arg-type]


def a_board(*components: Component | str) -> Board:
    return Board(a_catalog(*components), NOON)


def a_result(
    outcome: Outcome = Outcome.OK, at: datetime = NOON, took: float | None = 0.1, reason: str = ""
) -> Result:
    """`took` is seconds."""
    return Result(at=at, outcome=outcome, phases=Phases(total=took), reason=reason)


def a_standing(
    state: State = State.UP,
    since: datetime = NOON,
    monitor: str = API,
    region: str = DEFAULT_REGION,
    **other: object,
) -> Standing:
    return Standing(monitor=monitor, region=region, state=state, since=since, **other)  # type: ignore[arg-type]


def a_change(
    state: State = State.DOWN,
    at: datetime = NOON,
    monitor: str = API,
    region: str = DEFAULT_REGION,
    since: datetime | None = None,
    trace: str = "t",
    **other: object,
) -> StateChange:
    """`since` is `at`, unless told otherwise; `other` goes to the standing."""
    standing = a_standing(state, since or at, monitor, region, **other)
    return StateChange(trace=trace, at=at, worker="w", was=State.UNKNOWN, standing=standing)


def a_retelling(*standings: Standing, at: datetime = NOON) -> Retelling:
    return Retelling(trace="t", at=at, worker="w", standings=standings)


def a_sample(
    state: State = State.UP,
    at: datetime = NOON,
    monitor: str = API,
    outcome: Outcome = Outcome.OK,
    took: float | None = 100.0,
    late: bool = False,
) -> Sample:
    """`took` is milliseconds."""
    return Sample(monitor, at, outcome, state, took, late)


def a_batch(*samples: Sample, region: str = DEFAULT_REGION) -> Samples:
    """Said at the instant of its last sample."""
    return Samples(at=samples[-1].at if samples else NOON, worker="w", region=region, samples=samples)


def a_silence(since: datetime, monitor: str = API, region: str = DEFAULT_REGION) -> Silence:
    return Silence(at=since, monitor=monitor, region=region, since=since)


def a_catalog_change(catalog: Catalog, at: datetime = NOON) -> CatalogChange:
    return CatalogChange(at=at, revision=catalog.revision, catalog=catalog)


def a_beat(worker: str = "w", at: datetime = NOON, region: str = DEFAULT_REGION, **other: object) -> Beat:
    return Beat(at=at, worker=worker, region=region, **({"every": 5.0} | other))  # type: ignore[arg-type]


def a_log(*events: Logged) -> list[tuple[str, Logged]]:
    """The events with ids, as a log has them."""
    return [(f"{n}-0", event) for n, event in enumerate(events, 1)]


def keyed(producer: str, events: Sequence[Logged], start: int = 1) -> list[tuple[str, Logged]]:
    """The events with keys, as announce() wants them."""
    return [(f"{producer}:{n}", event) for n, event in enumerate(events, start)]
