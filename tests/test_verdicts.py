"""What is promised of verdicts, in whatever order things happen: a machine throws results, waits, restarts
and repeats at a judge for each region and at one board, and looks after each step."""

from copy import deepcopy
from datetime import datetime, timedelta
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from app.domain.board import Board, Change
from app.domain.clock import dated
from app.domain.events import Heartbeat, Logged, Silence, StateChange, Word
from app.domain.instant import to_ms
from app.domain.result import Outcome
from app.domain.standing import Standing, State, judge, unseen
from app.domain.status import Status
from app.domain.uptime import Span, uptime
from tests.make import (
    NOON,
    a_batch,
    a_catalog,
    a_change,
    a_component,
    a_monitor,
    a_result,
    a_retelling,
    a_sample,
    a_silence,
    after,
)

REGIONS = ("eu", "us", "ap")
API = a_monitor("api/http", regions=REGIONS, retries=1, recoveries=2)
ROUTER = a_monitor("router/icmp", retries=0)
SHOP = a_monitor("shop/http", retries=0, depends_on=("router",))
MONITORS = {monitor.key: monitor for monitor in (API, ROUTER, SHOP)}
PLACES = [(monitor.key, region) for monitor in MONITORS.values() for region in monitor.regions]
CATALOG = a_catalog(a_component("api", API), a_component("router", ROUTER), a_component("shop", SHOP))
GOOD, BAD = (Outcome.OK, Outcome.SLOW), (Outcome.FAIL, Outcome.UNREACHABLE)


class Verdicts(RuleBasedStateMachine):
    """A server is awake, as it is wherever somebody looks at a screen: it calls silent what is silent."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON
        self.board = Board(CATALOG, NOON)
        self.judged = {place: unseen(MONITORS[place[0]], place[1], NOON) for place in PLACES}
        self.said: list[Logged] = []
        self.spans: dict[str, list[Span]] = {slug: [] for slug in self.board.shown}
        # What the promises are checked by, kept apart from all that is ours.
        self.last: dict[tuple[str, str], tuple[datetime, Outcome]] = {}
        self.runs: dict[tuple[str, str], list[Outcome | None]] = {place: [] for place in PLACES}

    @initialize()
    def begin(self) -> None:
        for slug in self.spans:
            self.spans[slug].append(Span(component=slug, status=Status.UNKNOWN, since=NOON))

    @rule(place=st.sampled_from(PLACES), outcome=st.sampled_from(Outcome))
    def look(self, place: tuple[str, str], outcome: Outcome) -> None:
        """A worker looks, and says what it found. Inconclusive is what one says that is not well itself."""
        self.pass_time(0.001)
        monitor, was = MONITORS[place[0]], self.judged[place]
        result = a_result(outcome, self.now, reason=outcome)
        self.judged[place], told = judge(was, result, monitor.retries, monitor.recoveries)
        if outcome is not Outcome.INCONCLUSIVE:
            self.last[place] = self.now, outcome
            self.runs[place].append(outcome)
        if told:
            self.fold(self.change(self.judged[place], was))
        sample = a_sample(self.judged[place].state, self.now, place[0], outcome)
        self.fold(a_batch(sample, region=place[1]))

    @rule(seconds=st.sampled_from([0.001, 1, 20, 64, 66, 700]))
    def wait(self, seconds: float) -> None:
        self.pass_time(seconds)

    @rule(place=st.sampled_from(PLACES))
    def restart(self, place: tuple[str, str]) -> None:
        """A worker begins anew, and knows nothing."""
        self.judged[place] = unseen(MONITORS[place[0]], place[1], self.now)
        self.runs[place].append(None)

    @rule(data=st.data())
    def say_again(self, data: st.DataObject) -> None:
        """Words of the last minute, in any order, come a second time."""
        recent = [event for event in self.said if self.now - event.at < timedelta(minutes=1)]
        again = data.draw(st.lists(st.sampled_from(recent), max_size=4)) if recent else []
        before = self.state()
        for event in again:
            if not self.is_last_word(event):
                self.fold(event)
        assert self.state() == before

    @rule()
    def retell(self) -> None:
        known = [
            standing
            for place, standing in self.judged.items()
            if place in self.last and self.is_fresh(place) and standing.state is not State.UNKNOWN
        ]
        before = {slug: shown.status for slug, shown in self.board.shown.items()}
        self.fold(a_retelling(*known, at=self.now))
        assert before == {slug: shown.status for slug, shown in self.board.shown.items()}

    @invariant()
    def nothing_is_down_without_a_quorum_of_fresh_regions_that_saw_it_fail(self) -> None:
        for slug, key in (("api", API.key), ("router", ROUTER.key), ("shop", SHOP.key)):
            if self.board.shown[slug].status is Status.MAJOR:
                regions = MONITORS[key].regions
                witnesses = [r for r in regions if self.is_fresh((key, r)) and self.has_failed((key, r))]
                assert len(witnesses) > len(regions) / 2

    @invariant()
    def nothing_is_up_from_silence(self) -> None:
        for slug, key in (("api", API.key), ("router", ROUTER.key), ("shop", SHOP.key)):
            if self.board.shown[slug].status is Status.OPERATIONAL:
                regions = MONITORS[key].regions
                fresh = [r for r in regions if self.is_fresh((key, r))]
                assert len(fresh) > len(regions) / 2

    @invariant()
    def nothing_is_down_by_itself_behind_what_is_down(self) -> None:
        if self.board.shown["router"].status is Status.MAJOR:
            assert self.board.shown["shop"].status is not Status.MAJOR

    @invariant()
    def all_time_is_accounted_for_to_the_millisecond(self) -> None:
        for slug, spans in self.spans.items():
            sums = uptime(spans, NOON, self.now)
            assert sums.elapsed == to_ms(self.now) - to_ms(NOON)
            for before, following in pairwise(spans):
                assert before.until == following.since >= before.since
            assert (spans[-1].status, spans[-1].since) == (
                self.board.shown[slug].status,
                self.board.shown[slug].since,
            )

    def pass_time(self, seconds: float) -> None:
        self.now = after(seconds, self.now)
        silences = sorted(self.board.past_best_before(self.now), key=lambda silence: silence[2])
        for monitor, region, since in silences:
            self.fold(a_silence(since, monitor, region))

    def fold(self, event: Logged) -> None:
        self.said.append(event)
        patch = self.board.fold("1-0", event)
        for change in patch.changes if patch else ():
            self.end_span(change)

    def end_span(self, change: Change) -> None:
        spans = self.spans[change.slug]
        spans[-1] = Span(component=change.slug, status=change.was, since=spans[-1].since, until=change.since)
        spans.append(Span(component=change.slug, status=change.status, since=change.since))

    def change(self, standing: Standing, was: Standing) -> StateChange:
        return StateChange(trace="t", at=self.now, worker="w", was=was.state, standing=standing)

    def is_fresh(self, place: tuple[str, str]) -> bool:
        return place in self.last and self.now <= after(MONITORS[place[0]].best_before, self.last[place][0])

    def has_failed(self, place: tuple[str, str]) -> bool:
        """As often in a row as it takes, and not been well since as often as it takes; by plain counting."""
        monitor = MONITORS[place[0]]
        failed, bad, good = False, 0, 0
        for outcome in self.runs[place]:
            bad = bad + 1 if outcome in BAD else 0
            good = good + 1 if outcome in GOOD else 0
            failed = bad > monitor.retries or (failed and good < max(2, monitor.recoveries))
        return failed

    def is_last_word(self, event: Logged) -> bool:
        """Heard at this very instant: that is no old word, and its order is the log's."""
        return event.at >= self.now

    def state(self) -> object:
        shown = {slug: (s.status, s.since, s.note) for slug, s in self.board.shown.items()}
        return deepcopy((self.board.standings, self.board.heard, shown))


TestVerdicts = Verdicts.TestCase
TestVerdicts.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)


SPOKEN = a_monitor("job/push", kind="push", every=60.0, options={"grace": 5.0})
LOOKED_AT = a_monitor("web/http", retries=0)
BY_SLUG = {"web": LOOKED_AT, "job": SPOKEN}
# What a set-back of less is taken for a word that is said again, or for none.
NEARLY = 60.0


class Clocks(RuleBasedStateMachine):
    """One machine whose clock is set, by whomever: what is true is told by a stopwatch. Its server calls
    silent what both say is silent, as `call_silent` does."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0
        self.set_by = 0.0
        self.latest = NOON  # the log's ids never go back
        self.board = Board(a_catalog(a_component("web", LOOKED_AT), a_component("job", SPOKEN)), NOON)
        self.said: dict[str, float] = {}
        self.spans = {slug: [Span(component=slug, status=Status.UNKNOWN, since=NOON)] for slug in BY_SLUG}

    @property
    def now(self) -> datetime:
        return after(self.elapsed + self.set_by)

    @rule(seconds=st.sampled_from([-86400, -7200, -3600, -61, -59, -5, 5, 59, 61, 3600, 7200, 86400]))
    def set_the_clock(self, seconds: float) -> None:
        self.set_by += seconds
        self.wait(0.001)

    @rule(seconds=st.sampled_from([0.001, 1, 20, 64, 66, 130, 700, 4000]))
    def wait(self, seconds: float) -> None:
        self.elapsed += seconds
        found = sorted(self.board.past_best_before(self.now), key=lambda silence: silence[2])
        for monitor, region, since in found:
            good, _ = self.board.patience(monitor, region)
            slug = monitor.partition("/")[0]
            if self.elapsed - self.said[slug] > good:
                before = self.board.shown[slug].since
                self.fold(Silence(at=self.now, monitor=monitor, region=region, since=since))
                # Nobody was seen in the time that is still to come.
                assert self.board.shown[slug].since <= max(self.now, before)

    @rule(outcome=st.sampled_from([Outcome.OK, Outcome.SLOW, Outcome.FAIL]), as_sample=st.booleans())
    def look(self, outcome: Outcome, as_sample: bool) -> None:
        self.wait(0.001)
        state = {Outcome.OK: State.UP, Outcome.SLOW: State.DEGRADED}.get(outcome, State.DOWN)
        word: Logged = a_change(state, self.now, LOOKED_AT.key)
        if as_sample:
            word = a_batch(a_sample(state, self.now, LOOKED_AT.key, outcome))
        self.say("web", word, _AS_SHOWN[state])

    @rule(word=st.sampled_from([Word.SUCCESS, Word.FAIL]))
    def speak(self, word: Word) -> None:
        self.wait(0.001)
        its = Status.OPERATIONAL if word is Word.SUCCESS else Status.MAJOR
        self.say("job", Heartbeat(at=self.now, monitor=SPOKEN.key, word=word), its)

    def say(self, slug: str, word: Logged, its: Status) -> None:
        heard = self.board.heard.get((BY_SLUG[slug].key, "local"))
        self.said[slug] = self.elapsed
        self.latest = max(self.latest, self.now)
        self.fold(dated(word, self.latest))
        # A clock that was set back by seconds cannot be told from a word that is late by as many.
        is_told = heard is None or not 0 < (heard - self.now).total_seconds() < NEARLY
        if is_told and not self.board.shown[slug].note.flapping:
            assert self.board.shown[slug].status is its

    @invariant()
    def nothing_is_up_from_silence(self) -> None:
        for slug, monitor in BY_SLUG.items():
            if self.board.shown[slug].status is not Status.UNKNOWN and slug == "web":
                assert self.elapsed - self.said[slug] <= monitor.best_before + NEARLY
            if self.board.shown[slug].status is Status.OPERATIONAL and slug == "job":
                assert self.elapsed - self.said[slug] <= 65 + NEARLY

    @invariant()
    def spans_follow_upon_each_other(self) -> None:
        for spans in self.spans.values():
            for before, following in pairwise(spans):
                assert before.until == following.since >= before.since

    def fold(self, event: Logged) -> None:
        patch = self.board.fold("1-0", event)
        for change in patch.changes if patch else ():
            spans = self.spans[change.slug]
            last = spans[-1]
            spans[-1] = Span(component=change.slug, status=change.was, since=last.since, until=change.since)
            spans.append(Span(component=change.slug, status=change.status, since=change.since))


_AS_SHOWN = {State.UP: Status.OPERATIONAL, State.DEGRADED: Status.DEGRADED, State.DOWN: Status.MAJOR}

TestClocks = Clocks.TestCase
TestClocks.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
