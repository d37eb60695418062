"""What an operator is told when asked why."""

from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import pytest

from app.config import Config
from app.db.migrate import migrate
from app.domain.board import Board
from app.domain.events import Logged
from app.domain.explanation import Found, explain
from app.domain.monitor import Expect
from app.domain.result import Outcome
from app.domain.standing import State
from app.embedded import Embedded, socket_url
from app.explain import Unexplained, explain_monitor
from app.feed import Feed
from tests.make import (
    API,
    NOON,
    a_batch,
    a_beat,
    a_catalog,
    a_catalog_change,
    a_change,
    a_component,
    a_log,
    a_monitor,
    a_sample,
    after,
    keyed,
)
from tests.services import Statuswire

UP, DOWN = State.UP, State.DOWN
ROUTER = a_component("router", a_monitor("router/icmp", kind="icmp", target="192.0.2.1"))


def explained(board: Board, key: str = API, now: float = 10.0, *found: Found) -> str:
    monitor = board.monitor(key)
    assert monitor is not None
    beats = [
        a_beat("w-1", after(now - 3)),
        a_beat("w-2", after(now), trouble="it lost its network", missed=2, late=7, lag=0.31),
    ]
    return "\n".join(explain(board, monitor, after(now), found, beats))


def a_board_of(*events: Logged, **fields: object) -> Board:
    board = Board(a_catalog(ROUTER, a_component("api", a_monitor(**fields))), NOON)
    for id, event in a_log(*events):
        board.fold(id, event)
    return board


def test_the_votes_are_shown_with_those_that_are_missing() -> None:
    board = a_board_of(
        a_change(DOWN, region="eu", reason="timeout", detail="After 5 s nothing."),
        a_change(DOWN, region="us", reason="refused"),
        regions=("eu", "us", "ap"),
    )
    text = explained(board)
    assert "verdict    down" in text
    assert "Api is major_outage since 2026-01-31T12:00:00.000Z (refused)" in text
    assert "down takes 2 of 3" in text
    assert "eu           down since 2026-01-31T12:00:00.000Z, heard 10 s ago; timeout: After 5 s" in text
    assert "ap           nothing: no worker of this region has had a verdict yet" in text


def test_a_word_that_is_too_old_is_called_so() -> None:
    assert "heard 70 s ago, which is past its best before (65 s)" in explained(
        a_board_of(a_change(UP)), API, 70
    )


def test_it_is_said_what_hides_an_outage() -> None:
    board = a_board_of(
        a_change(DOWN, monitor="router/icmp"), a_change(DOWN, after(1)), depends_on=("router",)
    )
    text = explained(board)
    assert "verdict    unknown: it is seen to be down, and lies behind router" in text
    assert "router       router/icmp down, and so hides this one" in text


def test_of_a_parent_that_is_well_again_it_is_said_why_it_still_hides_an_outage() -> None:
    board = a_board_of(
        a_change(DOWN, monitor="router/icmp"),
        a_change(DOWN, after(1)),
        a_change(UP, after(2), monitor="router/icmp"),
        depends_on=("router",),
    )
    assert "router/icmp up; it was down, and hides this one until that has been looked at again" in explained(
        board
    )


def test_the_rules_are_those_of_the_monitor() -> None:
    expect = Expect(slower_than=0.8, certificate_days=14)
    text = explained(a_board_of(retries=2, recoveries=3, expect=expect))
    assert "down after 3 bad results in a row, up after 3 good" in text
    assert "degraded if it takes longer than 0.8 s" in text
    assert "degraded if the certificate ends within 14 days" in text


def test_the_last_results_are_shown_and_which_of_them_were_no_verdict() -> None:
    samples = [a_sample(UP, after(n)) for n in range(20)]
    samples.append(a_sample(UP, after(30), outcome=Outcome.INCONCLUSIVE, took=None))
    text = explained(a_board_of(), API, 40, *(Found("local", sample) for sample in samples))
    assert text.count("100.0 ms") == 11
    assert "12:00:30.000Z  local        inconclusive" in text and "no verdict" in text


def test_a_worker_that_is_not_fit_to_judge_is_named() -> None:
    text = explained(a_board_of())
    assert "w-1                      heard 3 s ago, fit to judge" in text
    assert "w-2                      heard 0 s ago, no verdicts now: it lost its network" in text


def test_a_worker_that_is_slow_itself_says_so() -> None:
    text = explained(a_board_of())
    assert text.count("it is slow itself") == 1
    assert "since it started 2 slots were missed and 7 results say nothing of speed" in text
    assert "the last began up to 310 ms late" in text


def test_a_group_is_explained_by_its_members() -> None:
    group = a_monitor("all/group", kind="group", target="router/icmp,gone/icmp", options={"needs": "any"})
    board = Board(a_catalog(ROUTER, a_component("all", group)), NOON)
    board.fold("1-0", a_change(UP, monitor="router/icmp"))
    text = explained(board, "all/group")
    assert "Members: needs any of them" in text
    assert "router/icmp              up" in text and "gone/icmp                is gone from the file" in text


def test_how_often_a_job_speaks_is_said_as_the_file_says_it() -> None:
    job = a_monitor(
        "job/push", kind="push", target="n", every=86400, options={"grace": 5400, "max_runtime": 90}
    )
    text = explained(Board(a_catalog(a_component("job", job)), NOON), "job/push")
    assert "a run ends well every 24h, or 90m later at the latest; else it is late" in text
    assert "a run that began ends within 90s" in text


@pytest.fixture
def config(redis_url: str, tmp_path: Path) -> Config:
    config = Config.read(
        {"REDIS_URL": redis_url, "DATABASE_URL": f"sqlite:///{tmp_path}/s.db", "STATUSWIRE_BEAT": "0.5"}
    )
    assert migrate(config, tell=False) == 0
    return config


async def test_what_only_the_feed_knows_yet_is_explained(config: Config) -> None:
    assert config.redis_url is not None
    feed = Feed(config.redis_url)
    catalog = a_catalog(a_component("api", a_monitor()))
    events = [a_catalog_change(catalog), a_change(DOWN, reason="timeout"), a_batch(a_sample(DOWN, took=None))]
    await feed.announce(keyed("w", events))
    await feed.close()
    text = await explain_monitor(config, config.redis_url, API)
    assert "verdict    down" in text and "timeout" in text and "then down" in text
    with pytest.raises(Unexplained, match="did you mean api/http"):
        await explain_monitor(config, config.redis_url, "api/htp")
    with pytest.raises(Unexplained, match="'payments/http'; there are 1, such as api/http"):
        await explain_monitor(config, config.redis_url, "payments/http")
    with pytest.raises(Unexplained, match="api is a component; ask for one of its monitors: api/http"):
        await explain_monitor(config, config.redis_url, "api")


async def test_before_the_first_file_there_is_nothing_to_explain(config: Config) -> None:
    assert config.redis_url is not None
    with pytest.raises(Unexplained, match="no monitor is known yet"):
        await explain_monitor(config, config.redis_url, API)


def test_without_a_redis_it_says_what_is_missing(tmp_path: Path) -> None:
    with Statuswire("explain", API, STATUSWIRE_DATA=str(tmp_path)) as command:
        assert command.run() == 2
        assert command.logs == (
            f"statuswire: REDIS_URL is not set, and no `statuswire up` runs with its data in {tmp_path}; "
            "set REDIS_URL, or name the folder with --data.\n"
        )


async def test_the_redis_that_up_has_started_is_found_by_its_folder() -> None:
    folder = Path(mkdtemp(prefix="sw-"))  # short: a socket's path must fit into 107 bytes
    assert socket_url(folder) is None
    embedded = Embedded(folder)
    try:
        await embedded.start()
        assert socket_url(folder) == embedded.url
    finally:
        await embedded.stop()
        rmtree(folder)
