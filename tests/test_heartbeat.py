"""What becomes of the words of a job, and of their absence: worked out on a board, without a clock."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.board import Board
from app.domain.clock import dated
from app.domain.events import Heartbeat, Logged, Silence, Word
from app.domain.heartbeat import due, is_cron
from app.domain.monitor import Monitor
from app.domain.standing import State
from app.domain.status import Status
from tests.make import NOON, a_catalog, a_catalog_change, a_component, after

KEY = "backup/push"


def a_push(every: float = 3600.0, **options: object) -> Monitor:
    return Monitor(key=KEY, kind="push", target="nightly", every=every, options=options)


def board_of(monitor: Monitor) -> Board:
    return Board(a_catalog(a_component("backup", monitor)), NOON)


class Story:
    """A board, and what is said to it: every change of colour that came of it."""

    def __init__(self, monitor: Monitor) -> None:
        self.board = board_of(monitor)
        self.changes: list[tuple[Status, datetime, str]] = []
        self._n = 0

    def hear(self, event: Logged) -> None:
        self._n += 1
        if patch := self.board.fold(f"{self._n}-0", event):
            self.changes += [(each.status, each.since, each.reason) for each in patch.changes]

    def say(self, seconds: float, word: str = "success", code: int | None = None) -> None:
        self.hear(Heartbeat(at=after(seconds), monitor=KEY, word=Word(word), code=code))

    def pass_to(self, seconds: float) -> None:
        """As a server does: what is due and has not come is announced."""
        for monitor, region, since in list(self.board.past_best_before(after(seconds))):
            self.hear(Silence(at=after(seconds), monitor=monitor, region=region, since=since))


def test_before_the_first_word_nothing_is_late() -> None:
    story = Story(a_push())
    story.pass_to(1e7)
    assert story.changes == []


def test_a_word_that_does_not_come_in_time_and_grace_is_down_from_then_on_and_the_next_one_mends_it() -> None:
    story = Story(a_push(every=3600, grace=600))
    story.say(0)
    story.pass_to(4199)
    assert story.changes == [(Status.OPERATIONAL, NOON, "")]
    story.pass_to(4201)
    story.pass_to(9000)
    story.say(10_000)
    assert story.changes[1:] == [
        (Status.MAJOR, after(4200), "late"),
        (Status.OPERATIONAL, after(10_000), ""),
    ]


def test_a_failure_says_with_which_code() -> None:
    story = Story(a_push())
    story.say(0, "fail", 3)
    story.say(10, "fail")
    story.say(20, "success", 0)
    assert story.changes == [(Status.MAJOR, NOON, "exit 3"), (Status.OPERATIONAL, after(20), "")]


def test_a_run_that_begins_and_does_not_end_within_its_time_fails_even_the_first() -> None:
    story = Story(a_push(every=86400, max_runtime=60))
    story.say(0, "start")
    story.pass_to(59)
    assert story.changes == []
    story.pass_to(61)
    story.say(100)
    assert story.changes == [
        (Status.MAJOR, after(60), "did not end"),
        (Status.OPERATIONAL, after(100), ""),
    ]
    story.pass_to(3700)
    assert len(story.changes) == 2  # it has ended, so nothing runs


def test_a_start_alone_keeps_nothing_from_being_late() -> None:
    story = Story(a_push(every=3600))
    story.say(0)
    story.say(3000, "start")
    story.pass_to(3601)
    assert story.changes[-1] == (Status.MAJOR, after(3600), "late")


def test_a_word_that_overtook_the_call_of_its_lateness_wins() -> None:
    story = Story(a_push(every=60))
    story.say(0)
    story.say(59)
    story.hear(Silence(at=after(61), monitor=KEY, region="local", since=after(60)))
    assert [status for status, *_ in story.changes] == [Status.OPERATIONAL]


def test_when_nobody_was_there_to_call_it_late_it_is_unknown_and_not_down() -> None:
    story = Story(a_push(every=60))
    story.say(0)
    story.say(500)
    assert story.changes[1:] == [
        (Status.UNKNOWN, after(60), "silent"),
        (Status.OPERATIONAL, after(500), ""),
    ]


def test_a_late_start_after_nobody_was_there_is_still_waited_for() -> None:
    story = Story(a_push(every=60))
    story.say(0)
    story.say(500, "start")
    assert story.changes[-1][0] is Status.UNKNOWN
    story.pass_to(501)
    assert story.changes[-1][0] is Status.MAJOR


def test_another_rhythm_begins_when_it_is_given() -> None:
    story = Story(a_push(every=86400))
    story.say(0)
    slower = a_push(every=60)
    story.hear(a_catalog_change(a_catalog(a_component("backup", slower)), after(1000)))
    story.pass_to(1059)
    assert [status for status, *_ in story.changes] == [Status.OPERATIONAL]
    story.pass_to(1061)
    assert story.changes[-1] == (Status.MAJOR, after(1060), "late")


def test_what_a_worker_saw_is_no_word_of_a_job() -> None:
    probed = Monitor(key=KEY, kind="http", target="http://a/", every=3600)
    story = Story(probed)
    from tests.make import a_change

    story.hear(a_change(State.UP, NOON, KEY))
    story.hear(a_catalog_change(a_catalog(a_component("backup", a_push())), after(10)))
    assert story.changes[-1][0] is Status.UNKNOWN


def test_a_word_from_the_future_is_dated_by_the_log() -> None:
    ahead = Heartbeat(at=after(3600), monitor=KEY, word=Word.SUCCESS)
    assert getattr(dated(ahead, NOON), "at") == NOON  # noqa: B009


words = st.tuples(st.integers(0, 2000), st.sampled_from(["start", "success", "fail"]))


@given(st.lists(words, max_size=12), st.data())
def test_to_say_or_call_it_again_changes_nothing(said: list[tuple[int, str]], data: st.DataObject) -> None:
    once, again = Story(a_push(every=300, max_runtime=50)), Story(a_push(every=300, max_runtime=50))
    for seconds, word in sorted(said):
        for story in (once, again):
            story.pass_to(seconds)
            story.say(seconds, word)
        if data.draw(st.booleans()):
            again.say(seconds, word)
            again.pass_to(seconds)
    for story in (once, again):
        story.pass_to(4000)
    assert once.changes == again.changes
    instants = [since for _, since, _ in once.changes]
    assert instants == sorted(instants)
    ends = [seconds for seconds, word in said if word != "start"]
    if ends:  # whatever was said, what is silent for long is down
        assert once.board.shown["backup"].status is Status.MAJOR


def next_due(cron: str, zone: str, last: datetime, grace: float = 0) -> datetime:
    monitor = a_push(cron=cron, time_zone=zone, grace=grace)
    board = board_of(monitor)
    board.fold("1-0", Heartbeat(at=last, monitor=KEY, word=Word.SUCCESS))
    found = due(monitor, board.standings[KEY, "local"])
    assert found is not None
    return found.at


def berlin(*when: int, fold: int = 0) -> datetime:
    return datetime(*when, tzinfo=ZoneInfo("Europe/Berlin"), fold=fold)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("cron", "last", "expected"),
    [
        ("30 3 * * *", berlin(2026, 3, 27, 3, 31), berlin(2026, 3, 28, 3, 30)),
        # The hour from 2 to 3 is left out on 29 March: what falls into it runs right behind it.
        ("30 2 * * *", berlin(2026, 3, 28, 2, 31), datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
        ("30 2 * * *", berlin(2026, 3, 29, 3, 1), berlin(2026, 3, 30, 2, 30)),
        # It comes twice on 25 October: once is enough.
        ("30 2 * * *", berlin(2026, 10, 24, 2, 31), berlin(2026, 10, 25, 2, 30)),
        ("30 2 * * *", berlin(2026, 10, 25, 2, 31), berlin(2026, 10, 26, 2, 30)),
        # What runs each hour does so in both.
        ("0 * * * *", berlin(2026, 10, 25, 2, 0), berlin(2026, 10, 25, 2, 0, fold=1)),
        ("0 9 * * 1-5", berlin(2026, 3, 27, 9, 1), berlin(2026, 3, 30, 9, 0)),
        ("0 0 29 2 *", berlin(2026, 3, 1, 0, 0), berlin(2028, 2, 29, 0, 0)),
    ],
)
def test_a_crontab_is_read_as_cron_does_when_clocks_are_set(
    cron: str, last: datetime, expected: datetime
) -> None:
    assert next_due(cron, "Europe/Berlin", last.astimezone(UTC)) == expected.astimezone(UTC)


def test_grace_comes_on_top_of_a_crontab_and_utc_is_its_time_zone_unless_said() -> None:
    last = datetime(2026, 6, 1, 3, 30, tzinfo=UTC)
    assert next_due("30 3 * * *", "", last, grace=90) == last + timedelta(days=1, seconds=90)


@pytest.mark.parametrize(
    "cron", ["", "* * * *", "60 * * * *", "0 0 31 2 *", "@daily", "* * * * * *", "a b c d e"]
)
def test_what_is_no_crontab_or_never_comes_is_refused(cron: str) -> None:
    assert not is_cron(cron)
