"""Every board that folds the same log is the same board, and none calls anything operational that nobody
has looked at."""

from copy import deepcopy
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.board import Board, Change, Note, Patch, Shown
from app.domain.events import Heartbeat, Logged, Sample, Silence, Word
from app.domain.monitor import Catalog, Monitor
from app.domain.result import Outcome
from app.domain.standing import Standing, State
from app.domain.status import Status
from tests.make import (
    API,
    NOON,
    a_batch,
    a_board,
    a_catalog,
    a_catalog_change,
    a_change,
    a_component,
    a_log,
    a_monitor,
    a_retelling,
    a_sample,
    a_silence,
    a_standing,
    after,
)

EVERYWHERE = ("eu", "us", "ap")
SHOP = a_component("shop", a_monitor("shop/http", regions=EVERYWHERE), a_monitor("shop/tcp", every=60.0))
CATALOG = a_catalog("api", SHOP, a_component("mail", a_monitor("mail/tcp", regions=("eu", "us"))))
KEYS = [(monitor.key, region) for monitor in CATALOG.monitors() for region in monitor.regions]
OTHER_CATALOG = a_catalog("api", a_component("shop", a_monitor("shop/http", regions=("eu",))), "new")
KNOWN = (State.UP, State.DEGRADED, State.DOWN)
UP, DEGRADED, DOWN = KNOWN

seconds = st.sampled_from([0, 0, 0.001, 1, 5, 29, 30, 31, 64, 65, 65.001, 66, 125, 126, 400])
words = st.tuples(st.sampled_from([*KEYS, ("gone/http", "eu"), (API, "nowhere")]), st.sampled_from(State))


@st.composite
def an_event(draw: st.DrawFn, at: datetime, words_only: bool) -> Logged:
    (monitor, region), state = draw(words)
    kinds = ["change", "change", "samples", "samples", "retelling"]
    if not words_only:
        kinds += ["silence", "catalog"]
    match draw(st.sampled_from(kinds)):
        case "change":
            since = draw(st.sampled_from([at, at, after(-31, at)]))
            return a_change(state, at, monitor, region, since, reason=state.value)
        case "samples":
            others = draw(st.lists(words, max_size=3))
            samples = [(monitor, state), *((key, its) for (key, _), its in others)]
            return a_batch(*(a_sample(its, at, key) for key, its in samples), region=region)
        case "retelling":
            told = dict([((monitor, region), state), *draw(st.lists(words, max_size=5))])
            return a_retelling(*(a_standing(its, at, *key) for key, its in told.items()), at=at)
        case "silence":
            return a_silence(at, monitor, region)
        case _:
            return a_catalog_change(draw(st.sampled_from([CATALOG, OTHER_CATALOG])), at)


@st.composite
def logs(draw: st.DrawFn, clocks_agree: bool = True, words_only: bool = False) -> list[Logged]:
    """With `clocks_agree` no event is earlier than the one before, as on one good clock."""
    at, log = NOON, []
    for _ in range(draw(st.integers(0, 25))):
        gap = draw(seconds if clocks_agree else seconds | seconds.map(lambda gap: -gap))
        at = after(gap, at)
        log.append(draw(an_event(at, words_only)))
    return log


def folded(log: list[Logged], board: Board | None = None) -> tuple[Board, list[Patch]]:
    board = board or Board(CATALOG, NOON)
    patches = [board.fold(id, event) for id, event in a_log(*log)]
    return board, [patch for patch in patches if patch is not None]


def changes(patches: list[Patch]) -> list[Change]:
    return [change for patch in patches for change in patch.changes]


def state_of(board: Board) -> dict[str, Any]:
    return deepcopy(
        {
            "catalog": board.catalog,
            "standings": board.standings,
            "heard": board.heard,
            "shown": {slug: (s.status, s.since, s.reason, s.latency) for slug, s in board.shown.items()},
        }
    )


def call_silent(board: Board, now: datetime) -> list[Change]:
    """What a server that is awake announces at once: each silence, the earliest first."""
    found = sorted(board.past_best_before(now), key=lambda silence: silence[2])
    patches = [board.fold(board.id, a_silence(since, key, region)) for key, region, since in found]
    return changes([patch for patch in patches if patch])


def is_down(board: Board, monitor: str) -> bool:
    regions = next(m for m in board.catalog.monitors() if m.key == monitor).regions
    down = [r for r in regions if (s := board.standings.get((monitor, r))) and s.state is State.DOWN]
    return len(down) > len(regions) / 2


@given(logs(clocks_agree=False))
def test_two_boards_that_fold_the_same_log_are_equal(log: list[Logged]) -> None:
    (one, its), (other, others) = folded(log), folded(log)
    assert state_of(one) == state_of(other)
    assert its == others


@given(logs(clocks_agree=False))
def test_an_event_that_is_folded_twice_changes_nothing_the_second_time(log: list[Logged]) -> None:
    board = Board(CATALOG, NOON)
    for id, event in a_log(*log):
        board.fold(id, event)
        before = state_of(board)
        patch = board.fold(id, event)
        assert state_of(board) == before
        assert patch is None or (not patch.changes and not patch.catalog)


@given(logs(clocks_agree=False), st.integers(0, 25))
def test_a_board_that_was_put_away_and_restored_goes_on_as_if_nothing_had_been(
    log: list[Logged], cut: int
) -> None:
    one, _ = folded(log[:cut])
    other = Board(one.catalog, NOON, one.id)
    other.restore(one.standings.values(), one.heard, deepcopy(one.shown))
    assert folded(log[cut:], one)[1] == folded(log[cut:], other)[1]
    assert state_of(one) == state_of(other)


@given(logs(clocks_agree=False))
def test_the_history_of_a_component_is_one_unbroken_chain(log: list[Logged]) -> None:
    board, patches = folded(log)
    last = {component.slug: (Status.UNKNOWN, NOON) for component in CATALOG.components}
    for patch in patches:
        if patch.catalog:  # what is not in both catalogs begins anew
            last |= {slug: (Status.UNKNOWN, patch.at) for slug in ("mail", "new")}
        sinces = [change.since for change in patch.changes]
        assert sinces == sorted(sinces)
        for change in patch.changes:
            status, since = last[change.slug]
            assert change.was is status is not change.status
            assert change.since >= since
            last[change.slug] = change.status, change.since
    for slug, (status, since) in last.items():
        if slug in board.shown:
            assert (board.shown[slug].status, board.shown[slug].since) == (status, since)


@given(logs(words_only=True), seconds)
def test_a_silence_is_found_by_arithmetic_just_as_by_a_server_that_is_awake(
    log: list[Logged], wait: float
) -> None:
    """A word that was told and one that was found out by counting leave the same board."""
    awake, asleep = Board(CATALOG, NOON), Board(CATALOG, NOON)
    told, counted = [], []
    for id, event in a_log(*log):
        told += call_silent(awake, event.at)
        told += changes([patch] if (patch := awake.fold(id, event)) else [])
        counted += changes([patch] if (patch := asleep.fold(id, event)) else [])
    now = after(wait, log[-1].at if log else NOON)
    told += call_silent(awake, now)
    counted += call_silent(asleep, now)
    assert awake.standings == asleep.standings
    assert {s: its.status for s, its in awake.shown.items()} == {
        s: its.status for s, its in asleep.shown.items()
    }
    # Where one monitor in one region speaks for a component, even its history is the same.
    assert [c for c in told if c.slug == "api"] == [c for c in counted if c.slug == "api"]


@given(logs(), seconds)
def test_nothing_is_operational_from_silence(log: list[Logged], wait: float) -> None:
    board, _ = folded(log)
    now = after(wait, log[-1].at if log else NOON)
    call_silent(board, now)
    for component in board.catalog.components:
        if board.shown[component.slug].status is Status.OPERATIONAL:
            for monitor in component.monitors:
                oldest = after(-monitor.best_before, now)
                fresh = [r for r in monitor.regions if board.heard.get((monitor.key, r), NOON) >= oldest]
                assert len(fresh) > len(monitor.regions) / 2
    assert list(board.past_best_before(now)) == []


@given(logs(clocks_agree=False))
def test_an_outage_takes_a_majority_of_the_assigned_regions(log: list[Logged]) -> None:
    board, _ = folded(log)
    for component in board.catalog.components:
        down = [is_down(board, monitor.key) for monitor in component.monitors]
        outage = board.shown[component.slug].status in (Status.PARTIAL, Status.MAJOR)
        assert outage == any(down)
        assert (board.shown[component.slug].status is Status.MAJOR) == all(down)


@given(logs())
def test_a_change_of_catalog_keeps_what_is_known_of_what_stays(log: list[Logged]) -> None:
    board, _ = folded([event for event in log if event.__class__.__name__ != "CatalogChange"])
    before = state_of(board)
    patch = board.fold("99-0", a_catalog_change(OTHER_CATALOG, after(9999)))
    assert patch is not None and patch.catalog
    stay = {key for key in KEYS if key in {("api/http", "local"), ("shop/http", "eu")}}
    assert board.standings == {k: s for k, s in before["standings"].items() if k in stay}
    assert board.heard == {k: at for k, at in before["heard"].items() if k in stay}
    assert list(board.shown) == ["api", "shop", "new"]
    assert state_of(board)["shown"]["api"] == before["shown"]["api"]
    assert board.shown["new"].status is Status.UNKNOWN


def verdict(*states: State, regions: tuple[str, ...] = EVERYWHERE) -> Status:
    """Of one monitor, as its regions see it; those left out have said nothing."""
    board = a_board(a_component("api", a_monitor(API, regions=regions)))
    for region, state in zip(regions, states, strict=False):
        board.fold("1-0", a_change(state, region=region))
    return board.shown["api"].status


UP, DEGRADED, DOWN = KNOWN


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ((UP, UP, UP), Status.OPERATIONAL),
        ((UP, UP), Status.OPERATIONAL),
        ((UP,), Status.UNKNOWN),
        ((DOWN,), Status.UNKNOWN),
        ((DOWN, UP), Status.DEGRADED),
        ((DOWN, UP, UP), Status.DEGRADED),
        ((DOWN, DOWN), Status.MAJOR),
        ((DOWN, DOWN, UP), Status.MAJOR),
        ((DEGRADED, UP, UP), Status.DEGRADED),
        ((DOWN, DEGRADED, UP), Status.DEGRADED),
        ((UP, State.UNKNOWN, State.UNKNOWN), Status.UNKNOWN),
    ],
)
def test_regions_decide_by_majority_of_all_that_are_assigned(
    states: tuple[State, ...], status: Status
) -> None:
    assert verdict(*states) is status


def test_of_two_regions_both_must_see_it_down() -> None:
    assert verdict(DOWN, UP, regions=("eu", "us")) is Status.DEGRADED
    assert verdict(DOWN, DOWN, regions=("eu", "us")) is Status.MAJOR


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ((DOWN, DOWN), Status.MAJOR),
        ((DOWN, UP), Status.PARTIAL),
        ((DOWN, None), Status.PARTIAL),
        ((DEGRADED, UP), Status.DEGRADED),
        ((UP, None), Status.UNKNOWN),
        ((DEGRADED, None), Status.DEGRADED),
        ((UP, UP), Status.OPERATIONAL),
    ],
)
def test_a_component_is_as_bad_as_the_worst_of_its_monitors(
    states: tuple[State | None, State | None], status: Status
) -> None:
    board = a_board(a_component("api", a_monitor("api/http"), a_monitor("api/tcp")))
    for key, state in zip(("api/http", "api/tcp"), states, strict=True):
        if state is not None:
            board.fold("1-0", a_change(state, monitor=key))
    assert board.shown["api"].status is status


def test_a_component_nobody_probes_is_unknown() -> None:
    board = Board(Catalog(components=(a_component("api").__class__(slug="api", name="API"),)), NOON)
    assert board.shown["api"].status is Status.UNKNOWN


def test_a_change_says_what_it_was_since_when_and_why() -> None:
    board, [first, second] = folded(
        [a_change(UP), a_change(DOWN, after(60), since=after(30), trace="abc", reason="timeout")]
    )
    assert (first.id, second.id, second.trace, second.at) == ("1-0", "2-0", "abc", after(60))
    assert second.changes == (
        Change(
            slug="api",
            status=Status.MAJOR,
            was=Status.OPERATIONAL,
            since=after(30),
            monitor=API,
            reason="timeout",
        ),
    )
    assert board.id == "2-0"


def test_words_on_what_is_not_assigned_are_passed_over() -> None:
    strange = [
        a_change(DOWN, monitor="gone/http"),
        a_change(DOWN, region="nowhere"),
        a_batch(a_sample(DOWN, monitor="gone/http")),
        a_batch(a_sample(DOWN), region="nowhere"),
        a_silence(after(900), monitor="gone/http"),
    ]
    board, patches = folded(strange)
    assert patches == [] and board.standings == {}


# Silence


def test_silence_begins_when_the_last_word_is_past_its_best_before() -> None:
    board, _ = folded([a_change(UP), a_batch(a_sample(UP, after(30)))])
    assert list(board.past_best_before(after(95))) == []
    assert list(board.past_best_before(after(95.001))) == [(API, "local", after(95))]
    assert board.fold("3-0", a_silence(after(94))) is None  # a word came in meanwhile
    patch = board.fold("4-0", a_silence(after(95)))
    assert patch is not None
    [change] = patch.changes
    assert (change.status, change.since, change.reason) == (Status.UNKNOWN, after(95), "silent")
    assert list(board.past_best_before(after(9999))) == []


def test_a_stretch_in_which_nobody_looked_becomes_unknown_when_somebody_looks_again() -> None:
    _, patches = folded([a_change(UP), a_change(DOWN, after(600), since=after(600))])
    assert [(c.status, c.since) for c in changes(patches)] == [
        (Status.OPERATIONAL, NOON),
        (Status.UNKNOWN, after(65)),
        (Status.MAJOR, after(600)),
    ]


def test_what_was_told_all_along_by_a_worker_that_was_cut_off_is_believed() -> None:
    """It went on probing and kept its words; the time before the first of them stays unknown."""
    board, patches = folded([a_change(UP), a_silence(after(65)), a_change(DOWN, after(90), since=after(80))])
    assert [(c.status, c.since) for c in changes(patches)][1:] == [
        (Status.UNKNOWN, after(65)),
        (Status.MAJOR, after(80)),
    ]
    assert board.heard[API, "local"] == after(90)


def test_a_word_that_outlived_itself_on_the_way_does_not_end_the_silence() -> None:
    board, patches = folded([a_change(UP), a_silence(after(65)), a_change(DOWN, NOON)])
    assert len(changes(patches)) == 2
    assert board.shown["api"].status is Status.UNKNOWN


def test_a_word_never_reaches_back_into_a_time_when_nobody_knew() -> None:
    _, patches = folded([a_change(UP), a_silence(after(65)), a_change(DOWN, after(70), since=after(10))])
    assert changes(patches)[-1].since == after(70)


# Samples


def test_a_late_sample_that_a_change_overtook_does_not_flap_the_board() -> None:
    log = [a_change(UP), a_change(DOWN, after(30)), a_batch(a_sample(UP, after(29))), a_change(UP, after(60))]
    _, patches = folded(log)
    statuses = [change.status for change in changes(patches)]
    assert statuses == [Status.OPERATIONAL, Status.MAJOR, Status.OPERATIONAL]


@pytest.mark.parametrize("state", KNOWN)
def test_a_sample_heals_a_change_that_was_lost(state: State) -> None:
    lost, _ = folded([a_change(DOWN if state is UP else UP), a_batch(a_sample(state, after(30)))])
    whole, _ = folded([a_change(DOWN if state is UP else UP), a_change(state, after(30))])
    assert lost.shown["api"].status is whole.shown["api"].status
    assert lost.shown["api"].since == whole.shown["api"].since


@pytest.mark.parametrize("word", [a_batch(a_sample(UP, after(30))), a_change(UP, after(30))])
def test_a_clock_that_is_set_back_keeps_nobody_green_until_its_old_future(word: Logged) -> None:
    """Nor deaf: by the clock that is right, the last word is thirty seconds old."""
    hour = 3600.0
    board, _ = folded([a_change(UP, after(hour)), word])
    assert board.heard[API, "local"] == after(30)
    assert list(board.past_best_before(after(95))) == []
    assert list(board.past_best_before(after(95.001))) == [(API, "local", after(95))]


def test_a_word_from_before_a_clock_was_set_back_may_be_called_silent_though_its_time_has_not_come() -> None:
    """If nobody looks any more. Whoever asks has a stopwatch, and waits as long as a word is good for."""
    board, _ = folded([a_change(UP, after(3600))])
    assert list(board.past_best_before(after(3550))) == []
    [(monitor, region, since)] = board.past_best_before(NOON)
    assert (monitor, region) == (API, "local")
    patch = board.fold("9-0", a_silence(since))
    assert patch is not None
    assert [change.status for change in patch.changes] == [Status.UNKNOWN]
    assert list(board.past_best_before(NOON)) == []
    board.fold("10-0", a_change(UP, after(30)))
    assert board.shown["api"].status is Status.OPERATIONAL


@pytest.mark.parametrize("silence", [a_silence(after(3665)), a_change(State.UNKNOWN, after(20))])
@pytest.mark.parametrize("word", [a_batch(a_sample(UP, after(50))), a_change(UP, after(50))])
def test_after_a_clock_was_set_back_nobody_stays_unknown_until_its_old_future(
    silence: Logged, word: Logged
) -> None:
    """Whether the silence had begun before that, or was the first that the right clock dated."""
    board, _ = folded([a_change(UP, after(3600)), silence, word])
    assert board.shown["api"].status is Status.OPERATIONAL
    assert list(board.past_best_before(after(115))) == []
    assert list(board.past_best_before(after(115.001))) == [(API, "local", after(115))]


@pytest.mark.parametrize("state", KNOWN)
def test_after_a_clock_was_set_back_a_sample_heals_a_change_that_was_lost(state: State) -> None:
    board, _ = folded([a_change(DOWN if state is UP else UP, after(3600)), a_batch(a_sample(state, NOON))])
    whole, _ = folded([a_change(state)])
    assert board.shown["api"].status is whole.shown["api"].status


def test_an_inconclusive_sample_says_nothing_not_even_that_somebody_looked() -> None:
    sample = a_sample(DOWN, after(30), outcome=Outcome.INCONCLUSIVE, took=None)
    board, patches = folded([a_change(UP), a_batch(sample)])
    assert [change.status for change in changes(patches)] == [Status.OPERATIONAL]
    assert board.heard[API, "local"] == NOON


@pytest.mark.parametrize(
    "word",
    [
        a_batch(a_sample(State.UNKNOWN, after(30), outcome=Outcome.FAIL)),
        a_retelling(a_standing(State.UNKNOWN, after(30)), at=after(30)),
    ],
)
def test_a_worker_that_has_just_begun_and_does_not_know_yet_takes_no_word_back(word: Logged) -> None:
    board, patches = folded([a_change(UP), word])
    assert [change.status for change in changes(patches)] == [Status.OPERATIONAL]
    assert list(board.past_best_before(after(66))) == [(API, "local", after(65))]


def test_a_worker_may_say_that_it_no_longer_knows() -> None:
    board, _ = folded([a_change(UP), a_change(State.UNKNOWN, after(10))])
    assert (board.shown["api"].status, board.shown["api"].since) == (Status.UNKNOWN, after(10))


def latency(*samples: Sample, region: str = "local") -> dict[str, float]:
    board = a_board(a_component("api", a_monitor("api/http"), a_monitor("api/tcp")))
    patch = board.fold("1-0", a_batch(*samples, region=region))
    assert board.shown["api"].latency == (patch and patch.latency.get("api"))
    return patch.latency if patch else {}


def test_a_component_shows_the_speed_of_its_first_monitor() -> None:
    assert latency(a_sample(took=12.5), a_sample(monitor="api/tcp", took=1.0)) == {"api": 12.5}


def test_the_last_of_several_measurements_counts() -> None:
    assert latency(a_sample(took=12.5), a_sample(at=after(1), took=20.0)) == {"api": 20.0}


def test_a_measurement_of_a_lagging_worker_is_no_measurement() -> None:
    assert latency(a_sample(took=5000.0, late=True)) == {}


def test_what_got_no_answer_has_no_speed() -> None:
    assert latency(a_sample(DOWN, outcome=Outcome.UNREACHABLE, took=None)) == {}


# Retelling


def test_what_is_told_again_changes_neither_since_nor_reason() -> None:
    again = a_standing(DOWN, after(30), reason="another")
    board, patches = folded([a_change(DOWN, reason="timeout"), a_retelling(again, at=after(30))])
    assert len(changes(patches)) == 1
    assert board.standings[API, "local"].reason == "timeout"
    assert board.shown["api"].since == NOON


def test_a_retelling_fills_an_empty_board() -> None:
    board, [patch] = folded([a_retelling(*(a_standing(UP, NOON, *key) for key in KEYS))])
    assert {shown.status for shown in board.shown.values()} == {Status.OPERATIONAL}
    assert {change.slug for change in patch.changes} == {"api", "shop", "mail"}


# The catalog


def test_the_same_catalog_again_is_no_news() -> None:
    board = Board()
    for catalog in (CATALOG, Catalog()):
        assert board.fold("1-0", a_catalog_change(catalog)) is not None
        assert board.fold("2-0", a_catalog_change(catalog)) is None


def test_a_component_whose_only_failing_monitor_is_gone_is_repainted() -> None:
    board = a_board(a_component("api", a_monitor("api/http"), a_monitor("api/tcp")))
    board.fold("1-0", a_change(UP))
    board.fold("2-0", a_change(DOWN, monitor="api/tcp"))
    patch = board.fold("3-0", a_catalog_change(a_catalog("api"), after(60)))
    assert patch is not None
    assert [(c.status, c.was, c.since) for c in patch.changes] == [
        (Status.OPERATIONAL, Status.PARTIAL, after(60))
    ]


def test_what_a_database_remembers_of_things_that_are_gone_is_let_go() -> None:
    board = Board(CATALOG, NOON)
    words: list[Standing] = [a_standing(), a_standing(region="nowhere"), a_standing(monitor="gone/http")]
    board.restore(words, {(word.monitor, word.region): NOON for word in words}, {})
    assert list(board.standings) == list(board.heard) == [(API, "local")]


def test_a_catalog_needs_the_instant_from_which_it_is_shown() -> None:
    with pytest.raises(ValueError, match="needs the instant"):
        Board(CATALOG)


def test_a_board_knows_its_components_and_monitors_by_name() -> None:
    board = Board(CATALOG, NOON)
    assert board.component("shop") is SHOP and board.monitor("shop/tcp") is SHOP.monitors[1]
    assert board.component("gone") is board.monitor("gone") is None


def test_equal_catalogs_have_equal_revisions_whoever_computes_them() -> None:
    def build(headers: dict[str, str]) -> Catalog:
        return a_catalog(a_component("api", a_monitor(options={"headers": headers})))

    assert build({"a": "1", "b": "2"}).revision == build({"b": "2", "a": "1"}).revision
    assert build({"a": "1"}).revision != build({"a": "2"}).revision


def test_changes_that_are_said_again_after_an_outage_change_nothing() -> None:
    """A worker does not know what of its last words was lost, so it says them all again."""
    board = a_board()
    said = [
        a_change(State.DOWN, at=after(1)),
        a_change(State.UP, at=after(2)),
        a_change(State.DOWN, at=after(3)),
    ]
    for n, event in enumerate(said, 1):
        assert board.fold(f"{n}-0", event) is not None
    before = board.shown["api"].status, board.shown["api"].since

    for n, event in enumerate(said, 4):
        assert board.fold(f"{n}-0", event) is None

    assert (board.shown["api"].status, board.shown["api"].since) == before


# Groups


def a_group(*members: str, needs: str = "all") -> Monitor:
    options = {} if needs == "all" else {"needs": needs}
    return a_monitor("cluster/group", kind="group", target=",".join(members), options=options)


NODES = ("one/http", "two/http", "three/http")


def a_cluster(needs: str) -> Board:
    """Three components, and a fourth that stands for them."""
    nodes = (a_component(slug) for slug in ("one", "two", "three"))
    return Board(a_catalog(*nodes, a_component("cluster", a_group(*NODES, needs=needs))), NOON)


@pytest.mark.parametrize(
    ("needs", "states", "status"),
    [
        ("all", (UP, UP, UP), Status.OPERATIONAL),
        ("all", (UP, UP, DEGRADED), Status.DEGRADED),
        ("all", (UP, UP, DOWN), Status.MAJOR),
        ("all", (UP, UP, None), Status.UNKNOWN),
        ("all", (DOWN, None, None), Status.MAJOR),
        ("any", (UP, DOWN, DOWN), Status.OPERATIONAL),
        ("any", (UP, None, None), Status.OPERATIONAL),
        ("any", (DEGRADED, DOWN, DOWN), Status.DEGRADED),
        ("any", (DOWN, DOWN, None), Status.UNKNOWN),
        ("any", (DOWN, DOWN, DOWN), Status.MAJOR),
        ("60%", (UP, UP, DOWN), Status.OPERATIONAL),
        ("60%", (UP, DEGRADED, DOWN), Status.DEGRADED),
        ("60%", (UP, DOWN, None), Status.UNKNOWN),
        ("60%", (UP, DOWN, DOWN), Status.MAJOR),
        ("34%", (UP, UP, None), Status.OPERATIONAL),
        ("none of ours", (UP, UP, DOWN), Status.MAJOR),
    ],
)
def test_a_group_is_well_while_enough_of_its_members_are(
    needs: str, states: tuple[State | None, ...], status: Status
) -> None:
    board = a_cluster(needs)
    said = [a_change(state, monitor=key) for key, state in zip(NODES, states, strict=True) if state]
    for id, event in a_log(*said):
        board.fold(id, event)
    assert board.shown["cluster"].status is status


def test_a_group_changes_with_the_member_that_decides_it() -> None:
    board = a_cluster("60%")
    [first, second, third] = NODES
    said = [a_change(UP, monitor=key) for key in NODES]
    said += [
        a_change(DOWN, after(n), monitor=key, reason="refused") for n, key in ((10, first), (20, second))
    ]
    patches = [board.fold(id, event) for id, event in a_log(*said)]
    changed = [[change.slug for change in patch.changes] if patch else [] for patch in patches]
    assert changed == [["one"], ["two", "cluster"], ["three"], ["one"], ["two", "cluster"]]
    [_, last] = patches[-1].changes  # type: ignore[union-attr]
    assert (last.status, last.was, last.since) == (Status.MAJOR, Status.OPERATIONAL, after(20))
    assert (last.monitor, last.reason) == (second, "refused")
    assert third not in {change.monitor for patch in patches[3:] if patch for change in patch.changes}


def test_a_member_that_falls_silent_takes_its_group_along() -> None:
    board = a_cluster("all")
    for id, event in a_log(*(a_change(UP, monitor=key) for key in NODES)):
        board.fold(id, event)
    patch = board.fold("9-0", a_silence(after(65), NODES[0]))
    assert patch is not None
    assert [(change.slug, change.status) for change in patch.changes] == [
        ("one", Status.UNKNOWN),
        ("cluster", Status.UNKNOWN),
    ]


def test_a_member_within_the_component_of_its_group_counts_through_it_alone() -> None:
    nodes = [a_monitor("web/http"), a_monitor("web/http-2")]
    group = a_monitor("web/group", kind="group", target="web/http,web/http-2", options={"needs": "any"})
    board = Board(a_catalog(a_component("web", *nodes, group, a_monitor("web/dns", kind="dns"))), NOON)
    said = [(UP, "web/dns"), (UP, "web/http"), (DOWN, "web/http-2")]
    for id, event in a_log(*(a_change(state, monitor=key) for state, key in said)):
        board.fold(id, event)
    assert board.shown["web"].status is Status.OPERATIONAL
    board.fold("9-0", a_change(DOWN, after(1), monitor="web/http"))
    assert board.shown["web"].status is Status.PARTIAL


def test_a_group_of_whom_some_or_all_are_gone_is_a_group_of_the_others() -> None:
    board = a_cluster("all")
    for id, event in a_log(*(a_change(UP, monitor=key) for key in NODES)):
        board.fold(id, event)
    cluster = a_component("cluster", a_group(*NODES))
    board.fold("8-0", a_catalog_change(a_catalog("one", cluster), after(1)))
    assert board.shown["cluster"].status is Status.OPERATIONAL
    board.fold("9-0", a_catalog_change(a_catalog(cluster), after(2)))
    assert board.shown["cluster"].status is Status.UNKNOWN


# What lies behind what


BEHIND = a_catalog(
    a_component("router", a_monitor("router/icmp", kind="icmp", target="192.0.2.1")),
    a_component("shop", a_monitor("shop/http", depends_on=("router",))),
    a_component("api", a_monitor(API, depends_on=("router/icmp",))),
    a_component("all", a_monitor("all/group", kind="group", target="shop/http,api/http")),
)


def behind(*events: Logged) -> tuple[Board, list[tuple[str, str, str]]]:
    """What became of whom, and why, after each was up at noon."""
    up = [a_change(UP, monitor=key) for key in ("router/icmp", "shop/http", API)]
    board, patches = folded([*up, *events], Board(BEHIND, NOON))
    news = [patch for patch in patches if int(patch.id.partition("-")[0]) > 3]
    return board, [(change.slug, change.status, change.reason) for change in changes(news)]


def test_what_is_down_behind_a_parent_that_is_down_is_unknown_and_says_why() -> None:
    board, told = behind(
        a_change(DOWN, after(30), monitor="router/icmp", reason="timeout"),
        a_change(DOWN, after(31), monitor="shop/http", reason="timeout"),
        a_change(DOWN, after(32), reason="timeout"),
    )
    assert told == [
        ("router", Status.MAJOR, "timeout"),
        ("shop", Status.UNKNOWN, "behind router"),
        ("all", Status.UNKNOWN, "behind router"),
        ("api", Status.UNKNOWN, "behind router/icmp"),
    ]
    assert board.shown["api"].note == board.shown["all"].note == Note(behind="router", name="Router")
    # As they are seen, they are down: nothing is lost of that.
    assert board.standings[API, "local"].state is DOWN


def test_a_child_that_was_found_first_gives_way_when_its_parent_is_found() -> None:
    _, told = behind(
        a_change(DOWN, after(30), monitor="shop/http", reason="timeout"),
        a_change(DOWN, after(31), monitor="router/icmp", since=after(29), reason="timeout"),
    )
    assert [each for each in told if each[0] in ("router", "shop")] == [
        ("shop", Status.MAJOR, "timeout"),
        ("router", Status.MAJOR, "timeout"),
        ("shop", Status.UNKNOWN, "behind router"),
    ]


def test_a_child_is_called_down_after_its_parent_only_when_it_was_looked_at_again() -> None:
    """What it looked like through a broken network says nothing of it now."""
    log: list[Logged] = [
        a_change(DOWN, after(30), monitor="router/icmp", reason="timeout"),
        a_change(DOWN, after(31), monitor="shop/http", reason="timeout"),
        a_change(UP, after(60), monitor="router/icmp"),
    ]
    board, told = behind(*log)
    assert told[-1] == ("router", Status.OPERATIONAL, "")
    assert board.shown["shop"].status is Status.UNKNOWN
    well, _ = behind(*log, a_change(UP, after(61), monitor="shop/http"))
    assert (well.shown["shop"].status, well.shown["shop"].note) == (Status.OPERATIONAL, Note())
    still, _ = behind(*log, a_batch(a_sample(DOWN, after(61), "shop/http", Outcome.UNREACHABLE, None)))
    assert (still.shown["shop"].status, still.shown["shop"].since) == (Status.MAJOR, after(61))
    assert still.shown["shop"].note == Note()


def test_a_parent_of_whom_nobody_knows_explains_nothing() -> None:
    board, _ = behind(
        a_silence(after(65), "router/icmp"), a_change(DOWN, after(66), monitor="shop/http", reason="timeout")
    )
    assert board.shown["shop"].status is Status.MAJOR


def test_what_is_up_behind_a_parent_that_is_down_is_up() -> None:
    board, told = behind(a_change(DOWN, after(30), monitor="router/icmp", reason="timeout"))
    assert [slug for slug, _, _ in told] == ["router"]
    assert board.shown["shop"].status is Status.OPERATIONAL


def test_a_parent_with_several_monitors_is_down_when_all_are() -> None:
    pair = a_component("router", a_monitor("router/icmp"), a_monitor("router/tcp"))
    board = Board(a_catalog(pair, a_component("shop", a_monitor("shop/http", depends_on=("router",)))), NOON)
    folded([a_change(DOWN, monitor="shop/http"), a_change(DOWN, monitor="router/icmp")], board)
    assert board.shown["shop"].status is Status.MAJOR
    folded([a_change(DOWN, after(1), monitor="router/tcp")], board)
    assert board.shown["shop"].status is Status.UNKNOWN


def test_a_chain_hides_all_but_its_first() -> None:
    links = [
        a_component(slug, a_monitor(f"{slug}/icmp", depends_on=() if n == 0 else (f"{'abc'[n - 1]}/icmp",)))
        for n, slug in enumerate("abc")
    ]
    board = Board(a_catalog(*links), NOON)
    folded([a_change(DOWN, after(n), monitor=f"{slug}/icmp") for n, slug in enumerate("cba")], board)
    assert [board.shown[slug].status for slug in "abc"] == [Status.MAJOR, Status.UNKNOWN, Status.UNKNOWN]


def test_a_board_that_was_restored_knows_what_lies_behind_what() -> None:
    one, _ = behind(a_change(DOWN, monitor="router/icmp"), a_change(DOWN, after(1), monitor="shop/http"))
    other = Board(BEHIND, NOON)
    remembered = {slug: Shown(shown.status, shown.since) for slug, shown in one.shown.items()}
    other.restore(one.standings.values(), one.heard, remembered)
    assert other.shown["shop"].note == one.shown["shop"].note == Note(behind="router", name="Router")


def test_a_parent_that_is_not_in_the_catalog_is_none() -> None:
    board = Board(a_catalog(a_component("api", a_monitor(depends_on=("gone", "gone/icmp")))), NOON)
    board.fold("1-0", a_change(DOWN))
    assert board.shown["api"].status is Status.MAJOR


# Flapping


def test_that_a_monitor_flaps_is_told_with_its_component_and_changes_no_status() -> None:
    board, patches = folded([a_change(UP), a_change(DOWN, after(1), flapping=True)])
    assert [patch.notes for patch in patches] == [{}, {"api": Note(flapping=True)}]
    assert board.shown["api"].note.flapping
    patch = board.fold("3-0", a_change(DOWN, after(700), since=after(1)))
    assert patch is not None and patch.notes == {"api": Note()}


def test_a_sample_says_nothing_of_flapping() -> None:
    board, _ = folded([a_change(DOWN, flapping=True), a_batch(a_sample(UP, after(30)))])
    assert (board.shown["api"].status, board.shown["api"].note.flapping) == (Status.OPERATIONAL, True)


# Old words


def test_a_new_word_is_not_weighed_with_old_ones_of_other_regions() -> None:
    """Nobody was there to call them silent."""
    board = a_board(a_component("api", a_monitor(API, regions=EVERYWHERE)))
    folded([a_change(DOWN, region="eu"), a_change(DOWN, after(600), region="us")], board)
    assert board.shown["api"].status is Status.UNKNOWN
    assert board.standings[API, "eu"].since == after(65)
    folded([a_change(DOWN, after(601), region="ap")], board)
    assert (board.shown["api"].status, board.shown["api"].since) == (Status.MAJOR, after(601))


def test_a_silence_after_a_clock_was_set_back_is_stored_from_when_it_was_noticed() -> None:
    """Up to the best before, an hour ahead, nobody looked; and the next word ends it as any other does."""
    board, _ = folded([a_change(UP), *(a_batch(a_sample(UP, after(n))) for n in range(60, 3601, 60))])
    [(monitor, region, since)] = board.past_best_before(after(120))
    silence = Silence(at=after(120), monitor=monitor, region=region, since=since)
    patches = [board.fold("5-0", silence), board.fold("6-0", a_change(UP, after(150)))]
    assert [(change.status, change.since) for change in changes([p for p in patches if p])] == [
        (Status.UNKNOWN, after(120)),
        (Status.OPERATIONAL, after(150)),
    ]


def test_a_job_that_stays_away_after_a_clock_was_set_back_is_late_before_the_old_time_comes() -> None:
    board = a_board(
        a_component("job", a_monitor("job/push", kind="push", every=60.0, options={"grace": 5.0}))
    )
    board.fold("1-0", Heartbeat(at=after(3600), monitor="job/push", word=Word.SUCCESS))
    [(monitor, region, since)] = board.past_best_before(after(70))
    assert board.patience(monitor, region)[0] == 65  # by the stopwatch of whoever calls it late
    patch = board.fold("2-0", Silence(at=after(70), monitor=monitor, region=region, since=since))
    assert patch is not None
    assert [(change.status, change.reason) for change in patch.changes] == [(Status.MAJOR, "late")]
    assert list(board.past_best_before(after(70))) == []
    board.fold("3-0", Heartbeat(at=after(80), monitor="job/push", word=Word.SUCCESS))
    assert board.shown["job"].status is Status.OPERATIONAL
