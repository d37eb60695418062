"""The hub against viewers that keep what they are sent. No sockets here: those are test_streams' matter."""

from datetime import timedelta

import msgspec
import pytest

from app import metrics
from app.domain.audience import PUBLIC, Audience
from app.domain.board import Board, Patch
from app.domain.events import Beat, CatalogChange, Sample, Samples, StateChange
from app.domain.instant import from_ms, to_ms
from app.domain.monitor import Catalog, Component, Monitor
from app.domain.result import Outcome
from app.domain.standing import Standing, State
from app.feed import Gap, Heard
from app.live import hub as hub_module
from app.live import stage as stage_module
from app.live.crowd import FILTERS_PER_ADDRESS, Crowded
from app.live.frames import Line
from app.live.hub import Hub
from tests.make import a_beat

NOON = from_ms(1_795_000_000_000)
CATALOG = Catalog(
    components=tuple(
        Component(
            slug=slug,
            name=slug.title(),
            monitors=(Monitor(key=f"{slug}/http", kind="http", target="http://x"),),
        )
        for slug in ("api", "web")
    )
)


class Screen:
    """A viewer that takes everything at once."""

    def __init__(self, line: Line = Line.WEBSOCKET, wall: bool = False) -> None:
        self.line = line
        self.wall = wall
        self.raw: list[bytes] = []
        self.ended: int | None = None

    def write(self, data: bytes) -> None:
        self.raw.append(data)

    def end(self, last: bytes, code: int) -> None:
        self.write(last)
        self.ended = code

    @property
    def frames(self) -> list[dict[str, object]]:
        return [msgspec.json.decode(data) for data in self.raw]

    def of(self, kind: str) -> list[dict[str, object]]:
        return [frame for frame in self.frames if frame["type"] == kind]


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def wall(self) -> float:
        return to_ms(NOON) / 1000 + self.seconds - 1000.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hub(clock: Clock) -> Hub:
    hub = Hub(5.0, clock.wall, clock.monotonic, soon=lambda job: job())
    hub.restore(Board(CATALOG, NOON, "1-0"), "1-0")
    return hub


def change(n: int, slug: str = "api", state: State = State.DOWN) -> Heard:
    at = NOON + timedelta(seconds=n)
    standing = Standing(monitor=f"{slug}/http", region="local", state=state, since=at)
    return Heard(
        f"{n}-0", StateChange(trace=f"w:{n}", at=at, worker="w", was=State.UNKNOWN, standing=standing)
    )


def measured(n: int, took: float, slug: str = "api", state: State = State.UP) -> Heard:
    at = NOON + timedelta(seconds=n)
    sample = Sample(f"{slug}/http", at, Outcome.OK, state, took)
    return Heard(f"{n}-0", Samples(at=at, worker="w", region="local", samples=(sample,)))


def alive(clock: Clock) -> Heard:
    return Heard("", Beat(at=from_ms(int(clock.wall() * 1000)), worker="w", region="local", every=5.0))


def joined(hub: Hub, since: str | None = None, audience: Audience = PUBLIC, **kwargs: object) -> Screen:
    screen = Screen(**kwargs)  # type: ignore[arg-type]
    hub.join(screen, audience, since)
    return screen


def test_the_first_frame_is_the_whole_board_and_the_second_says_whether_it_is_live(hub: Hub) -> None:
    screen = joined(hub)

    first, second = screen.frames
    assert (first["type"], first["why"], first["id"]) == ("snapshot", "first", "1-0")
    assert [c["slug"] for c in first["components"]] == ["api", "web"]  # type: ignore[attr-defined]
    assert (second["type"], second["feed"]) == ("beat", "down")


def test_a_patch_reaches_every_viewer_on_both_transports_once(hub: Hub) -> None:
    screens = [joined(hub) for _ in range(3)]
    stream = joined(hub, line=Line.SSE)

    hub.hear(change(2))

    for screen in screens:
        (patch,) = screen.of("patch")
        assert patch["components"] == [
            {"slug": "api", "status": "major_outage", "since": "2026-11-18T11:06:42.000Z"}
        ]
        assert patch["status"] == {"indicator": "critical", "description": "Major outage: Api"}
    assert stream.raw[-1].startswith(b'event: patch\nid: 2-0\ndata: {"id":"2-0"')
    assert stream.raw[-1].endswith(b"\n\n")


def test_the_frames_of_both_transports_carry_the_same_object(hub: Hub) -> None:
    screen, stream = joined(hub), joined(hub, line=Line.SSE)
    hub.hear(change(2))

    on_ws = screen.frames[-1]
    on_sse = msgspec.json.decode(stream.raw[-1].split(b"data: ")[1])

    assert on_ws == {"type": "patch", **on_sse}


def test_what_changes_nothing_is_not_sent(hub: Hub) -> None:
    screen = joined(hub)
    hub.hear(change(2))
    hub.hear(change(3))

    assert [patch["id"] for patch in screen.of("patch")] == ["2-0"]


def test_who_comes_back_is_sent_what_it_missed_and_nothing_else(hub: Hub) -> None:
    hub.hear(change(2))
    watching = joined(hub, since="1-0")
    hub.hear(change(3, "web"))
    hub.hear(change(4, state=State.UP))

    back = joined(hub, since="2-0")

    assert back.of("snapshot") == []
    assert [patch["id"] for patch in back.of("patch")] == ["3-0", "4-0"]
    assert back.of("patch") == watching.of("patch")[1:]


def test_who_missed_nothing_is_sent_a_beat_alone(hub: Hub) -> None:
    hub.hear(change(2))

    assert [frame["type"] for frame in joined(hub, since="2-0").frames] == ["beat"]


@pytest.mark.parametrize("since", ["0-0", "0-7", "9-0", "99999999999999-0"])
def test_an_id_that_was_never_sent_gets_a_snapshot(hub: Hub, since: str) -> None:
    hub.hear(change(2))

    assert joined(hub, since=since).frames[0]["why"] == "resume"


def test_who_missed_more_than_we_keep_gets_a_snapshot(hub: Hub) -> None:
    joined(hub)
    for n in range(2, stage_module.RESUME_PATCHES + 4):
        hub.hear(change(n, state=State.DOWN if n % 2 else State.UP))

    assert joined(hub, since="2-0").frames[0]["type"] == "snapshot"
    replayed = joined(hub, since="3-0").of("patch")
    assert len(replayed) == stage_module.RESUME_PATCHES
    assert replayed[0]["id"] == "4-0"


def test_what_we_keep_for_those_who_come_back_is_bounded_in_bytes(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_module, "RESUME_BYTES", 1000)
    joined(hub)
    for n in range(2, 30):
        hub.hear(change(n, state=State.DOWN if n % 2 else State.UP))

    assert joined(hub, since="2-0").frames[0]["type"] == "snapshot"
    assert len(joined(hub, since="28-0").of("patch")) == 1


def test_a_new_audience_is_replayed_what_it_would_have_been_sent(hub: Hub) -> None:
    """Nobody watched with this filter while it happened; its frames are found by walking back."""
    everybody = joined(hub)
    filtered = joined(hub, audience=Audience(frozenset({"api"})))
    for item in (
        change(2),
        change(3, "web"),
        change(4, state=State.UP),
        change(5, "web", State.UP),
        change(6),
    ):
        hub.hear(item)
    hub.leave(filtered)

    again = joined(hub, since="1-0", audience=Audience(frozenset({"api"})))

    assert again.of("patch") == filtered.of("patch")
    assert [patch["id"] for patch in again.of("patch")] == ["2-0", "4-0", "6-0"]
    assert joined(hub, since="1-0").of("patch") == everybody.of("patch")


def test_who_comes_with_a_filter_of_its_own_costs_no_more_than_it_asks_for(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []
    whole = stage_module.frames.patch
    monkeypatch.setattr(stage_module.frames, "patch", lambda body: encoded.append(body.id) or whole(body))
    for n in range(2, 42):
        hub.hear(change(n, state=State.DOWN if n % 2 else State.UP))
    encoded.clear()

    own = Audience(frozenset({"api"}))
    hub.leave(joined(hub, audience=own))
    assert encoded == []
    back = joined(hub, since="38-0", audience=own)
    assert sorted(encoded) == ["39-0", "40-0", "41-0"]
    earlier = joined(hub, since="36-0", audience=own)

    assert sorted(encoded) == ["37-0", "38-0", "39-0", "40-0", "41-0"]
    assert [patch["id"] for patch in back.of("patch")] == ["39-0", "40-0", "41-0"]
    assert [patch["id"] for patch in earlier.of("patch")] == ["37-0", "38-0", "39-0", "40-0", "41-0"]


def test_what_is_looked_up_for_one_who_comes_back_is_bounded_in_bytes(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_module, "RESUME_BYTES", 1000)
    for n in range(2, 30):
        hub.hear(change(n, state=State.DOWN if n % 2 else State.UP))

    assert joined(hub, since="2-0").frames[0]["type"] == "snapshot"
    assert [patch["id"] for patch in joined(hub, since="27-0").of("patch")] == ["28-0", "29-0"]
    assert joined(hub, since="2-0").frames[0]["type"] == "snapshot"


def test_one_address_may_not_take_all_the_filters(hub: Hub) -> None:
    for n in range(FILTERS_PER_ADDRESS):
        hub.join(Screen(), Audience(frozenset({f"c{n}"})), None, "192.0.2.1")
    with pytest.raises(Crowded):
        hub.join(Screen(), Audience(frozenset({"one-more"})), None, "192.0.2.1")
    hub.join(Screen(), Audience(frozenset({"c1"})), None, "192.0.2.1")
    hub.join(Screen(), PUBLIC, None, "192.0.2.1")
    hub.join(Screen(), Audience(frozenset({"one-more"})), None, "192.0.2.2")


def test_one_address_may_not_come_with_ever_new_filters_and_the_refusals_are_counted(
    hub: Hub, clock: Clock
) -> None:
    def come(name: str, address: str = "192.0.2.1") -> None:
        screen = Screen()
        # As a route does, which asks first.
        hub.admit(Audience(frozenset({name})), address)
        hub.join(screen, Audience(frozenset({name})), "1-0", address)
        hub.leave(screen)

    limit = "filters_per_second_of_address"
    before = metrics.CROWDED.labels(limit)._value.get()
    for n in range(FILTERS_PER_ADDRESS):
        come(f"c{n}")
    with pytest.raises(Crowded) as hasty:
        come("one-more")
    assert hasty.value.limit == limit
    assert metrics.CROWDED.labels(limit)._value.get() == before + 1
    come("one-more", "192.0.2.2")

    clock.seconds += hasty.value.after

    for n in range(FILTERS_PER_ADDRESS):
        come(f"c{n}")


def test_a_filter_sees_its_components_alone_and_sums_up_those(hub: Hub) -> None:
    hub.hear(change(2, "web"))
    screen = joined(hub, audience=Audience(frozenset({"api"})))
    hub.hear(change(3, "web", State.UP))

    snapshot = screen.frames[0]
    assert [c["slug"] for c in snapshot["components"]] == ["api"]  # type: ignore[attr-defined]
    assert snapshot["status"]["description"] == "State unknown: Api"  # type: ignore[index]
    assert screen.of("patch") == []


def test_there_are_only_so_many_filters_at_a_time(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "AUDIENCES", 2)
    first = joined(hub, audience=Audience(frozenset({"a"})))
    joined(hub, audience=Audience(frozenset({"b"})))
    with pytest.raises(Crowded):
        joined(hub, audience=Audience(frozenset({"c"})))

    hub.leave(first)

    joined(hub, audience=Audience(frozenset({"c"})))


def test_a_snapshot_is_encoded_once_however_many_ask_for_it(hub: Hub) -> None:
    screens = [joined(hub) for _ in range(50)]

    assert len({id(screen.raw[0]) for screen in screens}) == 1


def test_a_catalog_change_sends_everybody_a_snapshot(hub: Hub) -> None:
    screen = joined(hub)
    hub.hear(change(2))
    grown = msgspec.structs.replace(
        CATALOG, components=(*CATALOG.components, Component(slug="new", name="New"))
    )
    hub.hear(Heard("3-0", CatalogChange(at=NOON, revision=grown.revision, catalog=grown)))

    assert screen.frames[-1]["why"] == "catalog"
    assert screen.frames[-1]["components"][0]["status"] == "major_outage"  # type: ignore[index]
    assert joined(hub, since="2-0").frames[0]["type"] == "snapshot"


def test_a_gap_in_the_log_sends_everybody_a_snapshot(hub: Hub) -> None:
    screen = joined(hub)
    hub.hear(Gap("1-0", "5-0"))

    assert screen.frames[-1]["why"] == "gap"


def test_latency_waits_for_the_beat_and_the_last_one_wins(hub: Hub) -> None:
    hub.hear(change(2, state=State.UP))
    screen = joined(hub, wall=True)
    hub.hear(measured(3, 80.0))
    hub.hear(measured(4, 90.0))
    assert screen.of("patch") == []

    hub.beat(walls_only=True)

    assert [(patch["id"], patch["latency"]) for patch in screen.of("patch")] == [("4-0", {"api": 90.0})]


def test_no_two_patches_have_the_same_id(hub: Hub) -> None:
    screen = joined(hub, wall=True)
    for n in range(2, 40, 2):
        hub.hear(measured(n, float(n), state=State.UP if n % 3 else State.DOWN))
        hub.hear(change(n + 1, state=State.DOWN if n % 4 else State.UP))
        hub.beat(walls_only=True)

    ids = [patch["id"] for patch in screen.of("patch")]
    assert len(ids) == len(set(ids)) > 10


def test_walls_hear_every_beat_and_pages_every_third(hub: Hub) -> None:
    wall, page = joined(hub, wall=True), joined(hub)
    for walls_only in (True, True, False):
        hub.beat(walls_only)

    assert (len(wall.of("beat")), len(page.of("beat"))) == (4, 2)


def test_a_beat_is_no_place_to_resume_from(hub: Hub) -> None:
    stream = joined(hub, line=Line.SSE)

    assert stream.raw[-1].startswith(b"event: beat\ndata: ")


def test_everybody_is_told_at_once_when_the_feed_goes_and_when_it_comes_back(hub: Hub, clock: Clock) -> None:
    page = joined(hub)
    hub.link(True)
    hub.hear(alive(clock))
    clock.seconds += 12.6  # two and a half beats without a worker
    hub.check()
    hub.check()
    hub.link(False)
    hub.link(True)
    hub.hear(alive(clock))

    assert [beat["feed"] for beat in page.of("beat")] == [
        "down",
        "stale",
        "ok",
        "stale",
        "down",
        "stale",
        "ok",
    ]


def test_a_beat_tells_when_each_region_was_heard(hub: Hub, clock: Clock) -> None:
    hub.link(True)
    hub.hear(alive(clock))
    clock.seconds += 3

    assert joined(hub).of("beat")[0]["regions"] == {"local": 3.0}


def test_a_beat_that_was_only_found_is_as_old_as_it_is(hub: Hub, clock: Clock) -> None:
    hub.link(True)
    hub.hear(Heard("", a_beat(region="far"), ago=7.0))
    assert hub.regions == {"far": 7.0}

    clock.seconds += 5.6  # two and a half beats since it was said
    assert hub.feed_state == "stale"

    hub.hear(Heard("", a_beat(region="far")))
    hub.hear(Heard("", a_beat("another", region="far"), ago=7.0))
    assert hub.regions == {"far": 0.0}


def test_a_worker_that_is_no_longer_heard_is_forgotten(hub: Hub, clock: Clock) -> None:
    hub.hear(alive(clock))
    assert [beat.worker for beat in hub.workers()] == ["w"]

    clock.seconds += 61

    assert hub.workers() == []


def test_a_beat_tells_where_workers_are_in_no_state_to_judge_and_neither_which_nor_why(hub: Hub) -> None:
    viewer = joined(hub)
    hub.hear(Heard("", a_beat("w-1", region="eu", trouble="it lost its network, the link of eth7 was gone")))
    hub.hear(Heard("", a_beat("w-2", region="us")))
    hub.beat(walls_only=False)
    told = viewer.of("beat")[-1]
    assert told["unfit"] == {"eu": 1}
    assert "eth7" not in str(told) and "w-1" not in str(told)
    hub.hear(Heard("", a_beat("w-1", region="eu")))
    hub.beat(walls_only=False)
    assert "unfit" not in viewer.of("beat")[-1]


def test_bye_comes_with_a_delay_for_each(hub: Hub) -> None:
    screens = [joined(hub) for _ in range(20)]
    hub.farewell(within=5.0)

    delays = [screen.frames[-1]["after"] for screen in screens]
    assert all(0.2 <= delay <= 5.0 for delay in delays)  # type: ignore[operator]
    assert len(set(delays)) > 5
    assert {screen.ended for screen in screens} == {1012}


def test_who_has_left_is_sent_nothing_more(hub: Hub) -> None:
    screen = joined(hub)
    before = len(screen.raw)
    hub.leave(screen)
    hub.leave(screen)
    hub.hear(change(2))
    hub.resync(screen)

    assert len(screen.raw) == before


def test_a_slow_viewer_gets_one_snapshot_for_all_it_missed(hub: Hub) -> None:
    screen = joined(hub)
    hub.hear(change(2))
    hub.resync(screen)

    assert screen.frames[-1]["why"] == "slow"
    assert screen.frames[-1]["id"] == "2-0"


def test_a_restart_can_replay_what_the_database_remembers(clock: Clock) -> None:
    """The same frames as were sent before it, rebuilt from the patches that history keeps."""
    before = Hub(5.0, clock.wall, clock.monotonic, soon=lambda job: job())
    before.restore(Board(CATALOG, NOON, "1-0"), "1-0")
    screen = joined(before)
    patches: list[Patch] = []
    for item in (change(2), change(3, "web"), change(4, state=State.UP)):
        before.hear(item)
    patches.extend(before._past)

    after = Hub(5.0, clock.wall, clock.monotonic, soon=lambda job: job())
    after.restore(before.board, "1-0", patches)

    assert joined(after, since="1-0").of("patch") == screen.of("patch")


def test_a_log_that_begins_anew_with_an_earlier_clock_is_followed_by_every_page(
    hub: Hub, clock: Clock
) -> None:
    """A page drops what is older than the last id it saw, so the snapshot must take it back."""
    hub.hear(change(900))
    screen = joined(hub)
    hub.hear(Gap("900-0", "0-0"))
    hub.hear(change(5, "web"))

    ids = [int(str(frame["id"]).partition("-")[0]) for frame in screen.frames if frame["type"] != "beat"]
    assert ids == [900, 0, 5]
    # Ids of the old log are no places in the new one, also when its own have passed them.
    hub.hear(change(901, "web", State.UP))
    assert joined(hub, since="900-0").frames[0]["type"] == "snapshot"
    assert joined(hub, since="901-0").frames[0]["type"] == "beat"


def test_who_was_there_before_a_gap_cannot_resume_over_it(hub: Hub) -> None:
    hub.hear(change(2))
    hub.hear(Gap("2-0", "9-0"))
    hub.hear(change(9, "web"))

    assert joined(hub, since="2-0").frames[0]["type"] == "snapshot"
    assert joined(hub, since="9-0").frames[0]["type"] == "beat"


def test_a_newcomer_does_not_swallow_the_news_that_the_feed_is_gone(hub: Hub, clock: Clock) -> None:
    hub.link(True)
    hub.hear(alive(clock))
    screen = joined(hub)
    clock.seconds += 13
    joined(hub)
    hub.check()

    assert screen.frames[-1]["feed"] == "stale"


def test_what_is_measured_reaches_a_page_with_the_beat_it_listens_to(hub: Hub) -> None:
    hub.hear(change(1, state=State.UP))
    hub.hear(change(2, "web", State.UP))
    wall, page = joined(hub, wall=True), joined(hub)
    hub.hear(measured(3, 80.0))
    hub.beat(walls_only=True)
    assert (len(wall.of("patch")), len(page.of("patch"))) == (1, 0)

    hub.hear(measured(4, 90.0, "web"))
    hub.beat(walls_only=False)

    assert page.of("patch")[0]["latency"] == {"api": 80.0, "web": 90.0}
    assert wall.of("patch")[1]["latency"] == {"web": 90.0}  # a wall draws a line, on which each is one point


def test_a_storm_of_returns_is_two_encodings_however_they_come_back(hub: Hub, clock: Clock) -> None:
    hub.hear(change(2, state=State.UP))
    screens = [joined(hub, since=since) for since in [None, "77-0"] * 50]
    hub.hear(measured(3, 80.0))
    screens += [joined(hub, since=since) for since in [None, "77-0"] * 50]

    assert len({id(screen.raw[0]) for screen in screens}) == 2
