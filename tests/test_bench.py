"""What the benchmarks say, without running one: the line of JSON that tools read, the arithmetic of the
figures, and that docs/bench.md speaks of figures that there are."""

import ast
import asyncio
import importlib
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
import trustme

from bench import fanout, report
from bench.contender import Contender, Row
from bench.fanout import Fanout, figures, reach
from bench.ours import Held
from bench.peers.probers import create
from bench.target import answering
from tests.services import ROOT

PAGE = (ROOT / "docs/bench.md").read_text()
SECTIONS = {title: text for title, text in re.findall(r"^## (\w+): .*?\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)}
NOBODY = cast(Any, None)


def closed(capsys: pytest.CaptureFixture[str], **found: float) -> dict[str, Any]:
    report.close("some_bench", found, {"us": 2.0})
    printed: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return printed


def test_the_last_line_is_what_the_contract_promises(capsys: pytest.CaptureFixture[str]) -> None:
    said = closed(capsys, us=1.23456, ms=7)
    assert said.pop("commit") and said.pop("machine")
    assert said.pop("at_least") == {}
    assert said == {
        "bench": "some_bench",
        "figures": {"us": 1.235, "ms": 7},
        "reach": {"us": 2.0},
        "ok": True,
    }
    assert closed(capsys, us=2.0)["ok"] is True
    assert closed(capsys, us=2.0004)["ok"] is False


def test_a_percentile_is_a_value_that_occurred() -> None:
    assert [report.percentile([4, 1, 3, 2], percent) for percent in (0, 25, 50, 51, 99, 100)] == [
        1,
        1,
        2,
        3,
        4,
        4,
    ]
    assert report.percentile([7.5], 50) == 7.5


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    mine, floor = Row(1, us=[2.0, 30.0, 4.0]), Row(1, us=[1.0, 10.0, 4.0])
    assert mine.times(floor) == 2.0  # of 2, 3 and 1; that of the medians were 1
    assert mine.times(floor, less=[1.0, 20.0, 0.0]) == 1.0
    assert mine.cpu_us == 4.0
    with pytest.raises(ValueError, match="shorter"):
        mine.times(Row(1, us=[1.0]))


def test_deliveries_a_second_are_those_that_fill_a_core() -> None:
    assert Row(1, burst_us=[0.5, 9.0, 0.2]).deliveries_per_core == 2_000_000


def test_the_longest_hold_is_rounded_up_to_what_is_counted() -> None:
    before = Held({0.001: 5, 0.01: 7, 0.1: 7}, 7)
    assert before.longest_since(before) == 0.0
    assert Held({0.001: 6, 0.01: 8, 0.1: 8}, 8).longest_since(before) == 0.001
    assert Held({0.001: 6, 0.01: 9, 0.1: 9}, 9).longest_since(before) == 0.01
    assert Held({0.001: 6, 0.01: 8, 0.1: 8}, 9).longest_since(before) == 1.0
    assert Held({}, 0).longest_since(Held({}, 0)) == 0.0


def measured(sizes: tuple[int, ...]) -> Fanout:
    """A run in which everything took as long as it is said here."""
    run = Fanout(sizes, rounds=1, handshakes=1, within=1.0)
    cost = {"ws": 3.0, "sse": 2.0, "floor": 2.0, "queue_per_client": 12.0, "channels": 15.0, "socketio": 6.0}
    for name, us in cost.items():
        run.contenders[name] = Contender(name, NOBODY, NOBODY)
        for size in sizes:
            run.contenders[name].rows[size] = Row(
                size, kib=2.0, us=[us], viewer_us=[1.0], last_ms=[us * size / 1000], burst_us=[0.5]
            )
    run.one = Contender("one", NOBODY, NOBODY)
    for kind in fanout.OURS:
        run.waited_ms[kind] = [1.0, 2.0]
        run.handshakes[kind].per_second += [4000.0]
        run.handshakes[kind].us += [125.0, 160.0, 100.0]
    for size in sizes:
        run.one.rows[size] = Row(1, us=[100.0])
        for kind in fanout.OURS:
            run.contenders[kind].rows[size].held_ms += [2.0, 50.0, 1.0]
            run.contenders[kind].rows[size].burst_held_ms += [3.0]
    return run


def test_the_figures_of_fanout_are_what_their_names_say() -> None:
    found = figures(measured(fanout.SIZES))
    assert found["ws_cpu_ratio_to_floor_1000"] == 1.5
    assert found["sse_cpu_ratio_to_floor_10000"] == 1.0
    # What an event costs with one viewer is shared by all of them: 1 us of 3.
    assert found["ws_cast_ratio_to_floor_100"] == 1.0
    assert found["queue_per_client_ratio"] == 0.25
    assert found["socketio_ratio"] == 0.5
    assert found["ws_last_client_ratio_p99_10000"] == 1.5
    assert found["ws_loop_hold_ms_10000"] == 3.0
    assert found["sse_cpu_us_per_handshake"] == 125.0
    assert found["sse_handshakes_per_second_and_core"] == 8000
    assert found["sse_handshakes_per_second"] == 4000
    assert found["sse_handshakes_per_second_and_core"] >= 1e6 / reach(found)["sse_cpu_us_per_handshake"]


@pytest.mark.parametrize("sizes", [fanout.QUICK_SIZES, fanout.SIZES])
def test_only_what_was_measured_has_a_limit(sizes: tuple[int, ...]) -> None:
    found = figures(measured(sizes))
    assert set(reach(found)) <= set(found)
    assert ("ws_loop_hold_ms_10000" in reach(found)) == (10_000 in sizes)


def named(section: str) -> set[str]:
    """The figures that a section of docs/bench.md names: in its table, if it has one."""
    rows = re.findall(r"^\| (`.*?) \|", SECTIONS[section], re.M)
    text = " ".join(rows) or SECTIONS[section]
    return set(re.findall(r"`([a-z]+(?:_[a-zN0-9.]+)+)`", text)) - set(SECTIONS)


def noted(module: ModuleType) -> Iterator[str]:
    """As patterns, all names that a bench may give its figures: what text stands in it outside its limits."""
    for statement in ast.parse(inspect.getsource(module)).body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
            if ast.unparse(target) in ("REACH", "AT_LEAST"):
                continue
        for node in ast.walk(statement):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield re.escape(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = [re.escape(p.value) if isinstance(p, ast.Constant) else r"\w+" for p in node.values]
                yield "".join(parts)


def test_each_figure_of_fanout_that_the_docs_explain_is_there() -> None:
    found = figures(measured(fanout.SIZES))
    names = {name.replace("N", "1000") for name in named("fanout")}
    assert len(names) > 10
    assert names - set(found) == set()


BENCHES = [path.stem for path in sorted(Path(fanout.__file__).parent.glob("*.py"))]


@pytest.mark.parametrize("name", BENCHES)
def test_each_bench_is_in_the_docs_with_figures_that_it_has(name: str) -> None:
    module = importlib.import_module(f"bench.{name}")
    assert hasattr(module, "main") >= (name in SECTIONS)
    if name in SECTIONS and name != "fanout":
        patterns = list(noted(module))
        limits = {*getattr(module, "REACH", ()), *getattr(module, "AT_LEAST", ())}
        assert limits
        for figure in named(name) | limits:
            # The docs say `stopped_...` of several, and leave out which database it was.
            wanted = re.compile(re.escape(figure.removesuffix("...")))
            assert any(
                re.fullmatch(pattern, figure)
                or re.fullmatch(pattern, f"{figure}_sqlite")
                or (figure.endswith("...") and wanted.match(pattern))
                for pattern in patterns
            ), f"bench/{name}.py has no figure {figure}"


def test_a_story_that_does_not_end_is_given_up_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    async def story() -> None:
        await asyncio.Event().wait()

    assert report.ran(story(), 0.01) is False
    assert "too busy" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["ours", "floor", "httpx_client"])
async def test_a_prober_that_needs_nothing_of_others_begins_and_probes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # as `statuswire bench` has it
    ca = trustme.CA()
    ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "target.pem"))
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with answering(None, tmp_path / "target.pem") as target:
        async with create(name, target.url("https"), tmp_path / "ca.pem", None) as prober:
            await prober.probe(2)
    assert len(prober.us) == 1
