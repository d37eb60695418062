"""Who comes back to a server that has just started is sent the very bytes that one who stayed was sent."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.db.engine import Database
from app.db.history import History
from app.db.recorder import Recorder
from app.domain.audience import PUBLIC, Audience
from app.domain.events import Acknowledgement, IncidentChange, Logged, MaintenanceChange, Override
from app.domain.incident import Affected, Impact, Incident, IncidentStatus
from app.domain.maintenance import Maintenance, MaintenanceStatus
from app.domain.standing import State
from app.domain.status import Status
from app.feed import Heard
from app.live.frames import Line
from app.live.hub import Hub
from app.live.stage import RESUME_PATCHES
from tests.make import (
    NOON,
    a_batch,
    a_catalog,
    a_catalog_change,
    a_change,
    a_component,
    a_log,
    a_monitor,
    a_sample,
    a_silence,
    after,
)
from tests.rows import empty, in_batches, record_all

pytest_plugins = ["tests.databases"]

# What lies behind the router is affected by it, and of the mill one monitor is paused.
CATALOG = a_catalog(
    a_component("router", a_monitor("router/icmp", regions=("eu", "us"))),
    a_component("shop", a_monitor("shop/http", depends_on=("router",)), a_monitor("shop/tcp")),
    a_component("mill", a_monitor("mill/http"), a_monitor("mill/tcp")),
    a_component("vault", hidden=True),
    paused=("mill/tcp",),
)
SLUGS = ("router", "shop", "mill", "vault")
KEYS = (
    ("router/icmp", "eu"),
    ("router/icmp", "us"),
    *((key, "local") for key in ("shop/http", "shop/tcp", "mill/http")),
)
FEW = Audience(frozenset({"shop", "mill"}))


class Screen:
    line = Line.SSE
    wall = True

    def __init__(self) -> None:
        self.raw: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.raw.append(data)

    def end(self, last: bytes, code: int) -> None:
        self.write(last)

    @property
    def news(self) -> list[bytes]:
        """Without beats, and without speed alone: who missed that is given the next."""
        return [data for data in self.raw if not data.startswith(b"event: beat") and not _is_speed(data)]


def _is_speed(data: bytes) -> bool:
    said = msgspec.json.decode(data.rpartition(b"data: ")[2])
    return set(said) == {"id", "at", "latency"}


def joined(hub: Hub, audience: Audience, since: str | None = None) -> Screen:
    hub.join(screen := Screen(), audience, since)
    return screen


def a_hub() -> Hub:
    return Hub(5.0, wall_clock=NOON.timestamp, monotonic=lambda: 0.0, soon=lambda job: job())


async def started(database: Database) -> Hub:
    hub = a_hub()
    board = await Recorder(database).load()
    complete_since, past = await History(database).recent(RESUME_PATCHES)
    hub.restore(board, complete_since or board.id, past)
    return hub


def an_incident(id: str, status: IncidentStatus, n: int, **other: object) -> Incident:
    given: dict[str, object] = {
        "title": f"Trouble {id}", "impact": Impact.MINOR, "since": NOON, "updated": after(n),
    }  # fmt: skip
    return Incident(id=id, status=status, **(given | other))  # type: ignore[arg-type]


def a_maintenance(id: str, status: MaintenanceStatus, *components: str) -> Maintenance:
    return Maintenance(
        id=id, series=id, title="Work", status=status, words="*Soon*", starts=NOON, ends=after(3600),
        components=components, first=NOON, lasts=3_600_000,
    )  # fmt: skip


@st.composite
def happenings(draw: st.DrawFn) -> list[tuple[str, Logged]]:
    """All that can befall four components, of which one is hidden, but for another catalog: of that everybody
    is sent a snapshot."""
    slugs, ids = st.sampled_from(SLUGS), st.sampled_from(["1", "2"])
    words = st.sampled_from(["", "Mei is on it", "Ola is on it"])
    statuses = st.none() | st.sampled_from([Status.OPERATIONAL, Status.PARTIAL, Status.MAJOR])
    states = st.sampled_from([State.UP, State.DOWN, State.DEGRADED])
    events: list[Logged] = [a_catalog_change(CATALOG)]
    for n, kind in enumerate(draw(st.lists(st.sampled_from("ssssssmqaaooiiw"), max_size=40)), 1):
        at = after(n)
        key, region = draw(st.sampled_from(KEYS))
        match kind:
            case "s":
                since = at - timedelta(seconds=draw(st.sampled_from([0, 0, 1, 3])))
                flapping = draw(st.booleans())
                events.append(a_change(draw(states), at, key, region, since, flapping=flapping))
            case "m":
                events.append(a_batch(a_sample(draw(states), at, key), region=region))
            case "q":
                events.append(a_silence(after(n + 100), key, region))
            case "a":
                events.append(Acknowledgement(at=at, component=draw(slugs), words=draw(words)))
            case "o":
                note = draw(st.sampled_from(["", "Their network is down"]))
                events.append(Override(at=at, component=draw(slugs), status=draw(statuses), note=note))
            case "i":
                incident = an_incident(
                    *(draw(ids), draw(st.sampled_from(IncidentStatus)), n),
                    acknowledged=draw(words),
                    impact=draw(st.sampled_from(Impact)),
                    impact_set=draw(st.booleans()),
                    felt=draw(st.dictionaries(slugs, st.sampled_from(Impact))),
                    components=tuple(Affected(slug, draw(statuses)) for slug in draw(st.sets(slugs))),
                )
                removed = draw(st.sampled_from([False, False, True]))
                events.append(IncidentChange(at=at, incident=incident, removed=removed))
            case _:
                work = a_maintenance(
                    draw(ids), draw(st.sampled_from(MaintenanceStatus)), *draw(st.sets(slugs))
                )
                events.append(MaintenanceChange(at=at, maintenance=work))
    return a_log(*events)


async def compare(
    database: Database, log: list[tuple[str, Logged]], missed: int, seed: int = 0
) -> list[bytes]:
    """What of the log's last `missed` events is told to one who stayed, and to one who comes back."""
    live, recorder = a_hub(), Recorder(database)
    live.restore(await recorder.load(), "0-0")
    hear(live, log[:-missed])
    stayed = [joined(live, audience) for audience in (PUBLIC, FEW)]
    hear(live, log[-missed:])
    for batch in in_batches(log, seed):
        await record_all(recorder, batch)
    back = await started(database)
    since = log[-missed - 1][0]
    for audience, screen in zip((PUBLIC, FEW), stayed, strict=True):
        assert joined(back, audience, since).news == screen.news[1:]
    return stayed[0].news[1:]


def hear(hub: Hub, log: Sequence[tuple[str, Logged]]) -> None:
    for id, event in log:
        hub.hear(Heard(id, event))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(log=happenings(), kept=st.integers(1, 40), seed=st.integers(0, 99))
async def test_who_comes_back_to_a_new_server_is_sent_the_bytes_that_who_stayed_was_sent(
    database: Database, log: list[tuple[str, Logged]], kept: int, seed: int
) -> None:
    await empty(database)
    if kept < len(log):
        await compare(database, log, len(log) - kept, seed)


async def test_who_comes_back_is_told_who_is_on_it_what_is_set_by_hand_and_what_is_paused(
    database: Database,
) -> None:
    log = a_log(
        a_catalog_change(CATALOG),
        Acknowledgement(at=after(1), component="shop", words="Mei is on it"),
        Override(at=after(2), component="shop", status=Status.PARTIAL, note="their network"),
        a_change(State.DOWN, after(3), "shop/tcp", flapping=True),
        a_change(State.DOWN, after(4), "mill/http", flapping=True),
    )
    told = [msgspec.json.decode(data.rpartition(b"data: ")[2]) for data in await compare(database, log, 4)]
    assert [frame["notes"] for frame in told] == [
        {"shop": "Mei is on it"},
        {"shop": "set by hand: their network, Mei is on it"},
        {"shop": "flapping, set by hand: their network, Mei is on it"},
        {"mill": "flapping, paused"},
    ]
    assert told[2]["acknowledged"] == {"shop": "Mei is on it"}


async def test_a_state_that_lasted_no_time_is_told_again_although_it_leaves_no_span(
    database: Database,
) -> None:
    """The other region's word reaches back behind the first one's."""
    log = a_log(
        a_catalog_change(CATALOG),
        a_change(State.UP, after(1), "shop/http"),
        a_change(State.UP, after(1), "shop/tcp"),
        a_change(State.DOWN, after(5), "shop/http"),
        a_change(State.DOWN, after(6), "shop/tcp", since=after(4)),
    )
    assert len(await compare(database, log, 2)) == 2


async def test_measurements_that_came_with_a_change_are_told_again_with_it(database: Database) -> None:
    log = a_log(
        a_catalog_change(CATALOG),
        a_change(State.UP, after(1), "mill/http"),
        a_batch(a_sample(State.DOWN, after(2), "mill/http", took=12.5)),
    )
    [told] = await compare(database, log, 1)
    assert b'"latency":{"mill":12.5}' in told
