"""Everything that notices a loss, and the tests that notice if it does not: `python -m tests.detectors`
switches each off in turn, in a copy of the tree, and ends with 1 if the tests it is named with stay green.
Words behind it choose: `python -m tests.detectors "by name"`.

It takes minutes, so it is no part of the suite. `test_detectors` sees to it that the list does not rot.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
LEFT_OUT = (".*", "__pycache__", "*.egg-info")


class Detector(NamedTuple):
    """`text` stands in `file` once, and with `off` in its place nothing is noticed any more. Then one of the
    tests in `tests` whose name has one of the words in `named` must fail."""

    what: str
    file: str
    text: str
    off: str
    tests: str
    named: str


FEED = "app/feed.py"
DETECTORS = [
    Detector(
        "a follower looks whether the bell's event comes right after its own place",
        FEED,
        "if prev == self.at != START:",
        "if self.at != START:",
        "tests/test_feed.py",
        "did_not_ring_for",
    ),
    Detector(
        "a follower looks whether each entry of the log comes right after the one before",
        FEED,
        'if place.lacks(fields.get(b"prev", b"")):',
        "if False:",
        "tests/test_feed.py",
        "entry_that_was_deleted or trimmed_away",
    ),
    Detector(
        "a follower listens first and reads second",
        FEED,
        """        async with self._listen(BELL, pace) as bell:
            for found in await self._beats():
                yield found
            ring, behind = b"", True
""",
        """        async with aclosing(self._read(place)) as items:
            async for item in items:
                yield item
        async with self._listen(BELL, pace) as bell:
            for found in await self._beats():
                yield found
            ring, behind = b"", False
            on_link(True)
""",
        "tests/test_feed.py",
        "last_moment_before",
    ),
    Detector(
        "a follower knows its log by name",
        FEED,
        "if known not in (None, _NO_LOG, found):",
        "if False:",
        "tests/test_feed.py",
        "another_log_is_read",
    ),
    Detector(
        "a follower of a log that has lost its end looks whether others have gone on without it",
        FEED,
        "return (common[-1] if common else START), True",
        "return self.at, False",
        "tests/test_feed.py",
        "before_anybody_noticed",
    ),
    Detector(
        "what the bell has said is heard if the log was emptied before it was read",
        FEED,
        "if (heard := place.only_rung(ring)) is not None:",
        "if (heard := None) is not None:",
        "tests/test_feed.py",
        "bell_has_said",
    ),
    Detector(
        "ids never go back",
        FEED,
        "if heard_ms > ms or (heard_ms == ms and heard_n > n) then",
        "if false then",
        "tests/test_feed.py",
        "no_id_is_given_twice",
    ),
    Detector(
        "a connection on which nothing comes is taken for broken",
        "app/bell.py",
        'raise TimeoutError("Redis has gone silent")',
        "continue",
        "tests/test_feed.py",
        "redis_that_hangs",
    ),
    Detector(
        "a server that another has taken over from is left",
        "app/redis_nodes.py",
        "if await self.find() != (connection.host, connection.port):",
        "if False:",
        "tests/test_failover.py",
        "only_its_sentinel_has_lost",
    ),
    Detector(
        "a beat that was found is as old as it is",
        FEED,
        'return [Heard("", beat, ms / 1000) for',
        'return [Heard("", beat) for',
        "tests/test_watch.py",
        "nobody_is_green",
    ),
    Detector(
        "a producer says what it was last told, and is told if that is gone",
        FEED,
        "if not again and last[2] ~= known then return {identity, ids} end",
        "",
        "tests/test_feed.py",
        "last_words_were_lost",
    ),
    Detector(
        "a retry finds the first try's answer",
        FEED,
        "if said[1] and identity and tonumber(said[1]) >= tonumber(counter) then",
        "if false then",
        "tests/test_feed.py",
        "retry_repeats_nothing or heard_in_part",
    ),
    Detector(
        "a worker says again what the log has lost",
        "workers/outbox.py",
        "[*again, *self._batch]))[len(again) :]",
        "[*self._batch]))",
        "tests/test_outbox.py",
        "killed_redis",
    ),
    Detector(
        "a worker tells a new log how everything stands",
        "workers/outbox.py",
        "self._on_new_log()\n",
        "pass\n",
        "tests/test_outbox.py",
        "emptied_is_noticed or notice_brings",
    ),
    Detector(
        "a recorder moves the cursor only from where it left it",
        "app/db/recorder.py",
        "    if not moved:\n        raise _SomebodyElse",
        "    if False:\n        raise _SomebodyElse",
        "tests/test_recorder.py",
        "the_second_writes_nothing or run_at_once",
    ),
    Detector(
        "a recorder passes over what it has recorded",
        "app/db/recorder.py",
        "elif not isinstance(item.event, Beat) and order(item.id) > order(self.cursor):",
        "elif not isinstance(item.event, Beat):",
        "tests/test_recorder.py",
        "comes_twice_is_counted_once",
    ),
    Detector(
        "a hole in the log is written down",
        "app/db/recorder.py",
        "self._gaps.append((item.after, item.before))",
        "pass",
        "tests/test_recorder.py",
        "hole_in_the_log",
    ),
    Detector(
        "a hole in the log is a snapshot for everybody",
        "app/live/hub.py",
        'self._reset("gap", complete_since)',
        "pass",
        "tests/test_hub.py",
        "gap",
    ),
    Detector(
        "the page says when no worker is heard",
        "app/live/hub.py",
        'return "ok" if self._monotonic() - newest <= STALE_BEATS * self.beat_every else "stale"',
        'return "ok"',
        "tests/test_hub.py",
        "told_at_once",
    ),
    Detector(
        "who comes back is told all that it missed, or gets a snapshot",
        "app/live/stage.py",
        "if since == START or not order(self.complete_since) <= place <= order(board.id):",
        "if False:",
        "tests/test_hub.py",
        "missed_more or never_sent or over_it",
    ),
    Detector(
        "what is no longer kept is not resumed over",
        "app/live/stage.py",
        "self.complete_since = gone.id",
        "pass",
        "tests/test_hub.py",
        "missed_more or bounded_in_bytes",
    ),
    Detector(
        "a viewer that was full gets a snapshot",
        "app/live/stage.py",
        "behind = peer.missed <= self._said",
        "behind = False",
        "tests/test_streams.py",
        "who_does_not_read",
    ),
    Detector(
        "who joined while a cast waited is given the rest of it alone",
        "app/live/cast.py",
        "if peer.next > first:",
        "if False:",
        "tests/test_cast.py",
        "joined_while",
    ),
    Detector(
        "who comes from a server that has heard more waits until we have",
        "app/live/streams.py",
        "if order(since) <= order(hub.board.id):",
        "if True:",
        "tests/test_two_servers.py",
        "let_in_as_soon",
    ),
    Detector(
        "a stretch in which nobody looked is found by arithmetic",
        "app/domain/board.py",
        "if key in self.standings and at > (best_before := self._best_before(*key)):",
        "if at < (best_before := at):",
        "tests/test_board.py",
        "nobody_looked",
    ),
    Detector(
        "a sample heals a change that was lost",
        "app/domain/board.py",
        "changes += self._heal(sample, event.region)",
        "pass",
        "tests/test_board.py",
        "heals_a_change",
    ),
    Detector(
        "a kept page is asked each time whether it is still true",
        "app/pages/kept.py",
        "if not answer.is_true():",
        "if False:",
        "tests/test_kept.py",
        "not_true_any_more",
    ),
    Detector(
        "a kept page is none once something else is to be seen",
        "app/pages/view.py",
        "and self.seen().mark == mark",
        "",
        "tests/test_kept.py",
        "not_true_any_more",
    ),
    Detector(
        "a kept page is none once the feed is lost or stale",
        "app/pages/view.py",
        "and hub.feed_state == feed",
        "",
        "tests/test_kept.py",
        "not_true_any_more",
    ),
    Detector(
        "a kept page is none once the file is a bad one",
        "app/pages/view.py",
        "and hub.bad_file == bad_file",
        "",
        "tests/test_kept.py",
        "not_true_any_more",
    ),
    Detector(
        "a kept page is none in another minute",
        "app/pages/view.py",
        "begins <= hub.now() < ends",
        "True",
        "tests/test_kept.py",
        "not_true_any_more",
    ),
    Detector(
        "a kept page is none once its past is to be read again",
        "app/pages/view.py",
        "ends = min(ends, until or ends)",
        "pass",
        "tests/test_kept.py",
        "past_is_asked_again",
    ),
    Detector(
        "a kept page is none once there is another catalog",
        "app/pages/view.py",
        "and is_here() ",
        "",
        "tests/test_kept.py",
        "not_true_any_more",
    ),
    Detector(
        "a kept page is none once it is packed better",
        "app/pages/view.py",
        "press.packings == packings and ",
        "",
        "tests/test_kept.py",
        "packed_better",
    ),
    Detector(
        "what a request says beyond what is kept for goes the whole way",
        "app/pages/kept.py",
        "or not said.keys() <= _KNOWN",
        "",
        "tests/test_kept.py",
        "not_asked_plainly",
    ),
    Detector(
        "what a request says twice, though it is kept, goes the whole way",
        "app/pages/kept.py",
        "or len(said) != len(head) ",
        "",
        "tests/test_kept.py",
        "not_asked_plainly",
    ),
    Detector(
        "a page is kept by its host",
        "app/pages/kept.py",
        '(b"host", b"accept-encoding"',
        '(b"accept-encoding"',
        "tests/test_kept.py",
        "is_what_litestar_would_say",
    ),
    Detector(
        "a page is kept by its coding",
        "app/pages/kept.py",
        'b"accept-encoding", b"accept-language"',
        'b"accept-language"',
        "tests/test_kept.py",
        "is_what_litestar_would_say",
    ),
    Detector(
        "a page is kept by its language",
        "app/pages/kept.py",
        'b"accept-language", b"if-none-match"',
        'b"if-none-match"',
        "tests/test_kept.py",
        "is_what_litestar_would_say",
    ),
    Detector(
        "a page is kept by what is had of it",
        "app/pages/kept.py",
        ', b"if-none-match")',
        ")",
        "tests/test_kept.py",
        "is_what_litestar_would_say",
    ),
    Detector(
        "a page is kept by its address",
        "app/pages/kept.py",
        "return (method, target, near,",
        "return (method, near,",
        "tests/test_kept.py",
        "is_what_litestar_would_say",
    ),
    Detector(
        "a page is kept by its method",
        "app/pages/kept.py",
        "return (method, target, near,",
        "return (target, near,",
        "tests/test_kept.py",
        "is_what_litestar_would_say",
    ),
    Detector(
        "what is kept for who is near is for nobody else",
        "app/pages/kept.py",
        "near = are_near(",
        "near = True or are_near(",
        "tests/test_kept.py",
        "for_another_place",
    ),
    Detector(
        "what is for one alone is not kept",
        "app/pages/kept.py",
        'or said.get(b"cache-control") != b"no-cache" ',
        "",
        "tests/test_kept.py",
        "for_one_alone",
    ),
    Detector(
        "a kept answer waits for the one before it",
        "app/live/handover.py",
        "or not self._is_idle() or",
        "or",
        "tests/test_kept.py",
        "in_the_order",
    ),
    Detector(
        "a kept answer waits for who does not read",
        "app/live/handover.py",
        " or self.flow.write_paused",
        "",
        "tests/test_kept.py",
        "fills_no_memory",
    ),
    Detector(
        "a kept answer is none where there are too many connections",
        "app/live/handover.py",
        " or self._is_crowded()",
        "",
        "tests/test_kept.py",
        "caps_hold",
    ),
]


def main(words: Sequence[str]) -> int:
    """Of all, or of those that have one of these words in what they do."""
    chosen = [each for each in DETECTORS if not words or any(word in each.what for word in words)]
    with tempfile.TemporaryDirectory(prefix="statuswire-detectors-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*LEFT_OUT))
        return 1 if sum([_unnoticed(tree, detector) for detector in chosen]) + _red(tree, chosen) else 0


def _unnoticed(tree: Path, detector: Detector) -> bool:
    file = tree / detector.file
    source = file.read_text()
    if source.count(detector.text) != 1:
        return _say("NOT THERE", detector.what, 0.0)
    file.write_text(source.replace(detector.text, detector.off))
    began = time.monotonic()
    try:
        code, _ = _test(tree, detector.tests, [detector.named])
    finally:
        file.write_text(source)
    # Other codes say that there was no such test, or that it could not be run.
    verdict = {1: "noticed", 0: "UNNOTICED"}.get(code, "NO TEST")
    return _say(verdict, detector.what, time.monotonic() - began)


def _red(tree: Path, chosen: Sequence[Detector]) -> bool:
    """Whether any of the tests fails with every detector on: then it has noticed nothing."""
    found = False
    for tests in dict.fromkeys(detector.tests for detector in chosen):
        began = time.monotonic()
        code, output = _test(tree, tests, [each.named for each in chosen if each.tests == tests])
        found |= _say("RED" if code else "green", f"{tests} with all of them", time.monotonic() - began)
        if code:
            print(output)
    return found


def _test(tree: Path, tests: str, named: Iterable[str]) -> tuple[int, str]:
    options = ["-x", "-q", "-p", "no:cacheprovider", "--timeout", "60", "-k", " or ".join(named)]
    command = [sys.executable, "-m", "pytest", *options, tests]
    run = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    return run.returncode, run.stdout


def _say(verdict: str, what: str, took: float) -> bool:
    """True if that is bad."""
    print(f"{verdict:10} {what} ({took:.0f} s)", flush=True)
    return verdict.isupper()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
