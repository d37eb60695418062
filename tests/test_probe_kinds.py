"""What is promised of every kind of probe, held for each there is, and for one that is added tomorrow."""

import asyncio
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from pkgutil import iter_modules

import pytest

from app.domain import kinds
from app.domain.monitor import Expect, Monitor
from app.domain.result import Result
from app.domain.words import Place, Question, Securing, Url
from app.security.egress import Egress, Policy
from app.statusfile.kinds import KINDS
from tests.services import ROOT
from tests.targets import Behaviour, farewell, listening, serving_names, silent
from workers.probes import PROBES, Probes
from workers.probes.equipment import Equipment
from workers.probes.run import REASONS

# Those that connect by TCP, and what else has to be said so that they wait for an answer.
TALKING: dict[str, dict[str, object]] = {
    kind: {"body": "something"} if kind in ("tcp", "websocket") else {}
    for kind in PROBES
    if isinstance(KINDS[kind].target, Place | Url) and kind != "ntp"
}


@pytest.fixture(scope="module")
async def probes() -> AsyncIterator[Probes]:
    probes = Probes(Equipment(environ={"SECRET": "s3cr3t"}))
    yield probes
    await probes.close()


def monitor(kind: str, place: str, timeout: float = 0.4, **words: object) -> Monitor:
    target = KINDS[kind].target
    written = place
    if isinstance(target, Url):
        written = f"{target.schemes[0]}://{place}/"
    elif isinstance(target, Question):
        written = f"name.test@{place}"
    elif not isinstance(target, Place):
        written = place.rpartition(":")[0]
    expect = {"body": words.pop("body")} if "body" in words else {}
    given = {"key": "m", "kind": kind, "target": written, "timeout": timeout}
    return Monitor(**given, options=words, expect=Expect(**expect))  # type: ignore[arg-type]


async def in_time(probes: Probes, monitor: Monitor) -> Result:
    began = time.perf_counter()
    result = await probes.probe(monitor)
    assert time.perf_counter() - began < monitor.timeout + 0.4
    assert result.reason in REASONS or result.reason.startswith("status ") or not result.reason
    assert result.detail.isprintable() and len(result.detail) < 400
    return result


def test_each_kind_is_one_file_here_and_one_there() -> None:
    for kind in KINDS:
        assert (ROOT / f"app/domain/kinds/{kind}.py").exists()
        assert (ROOT / f"workers/probes/{kind}.py").exists() is KINDS[kind].probed, kind
    assert set(PROBES) == {kind for kind, words in KINDS.items() if words.probed}
    assert set(KINDS) == {module.name for module in iter_modules(kinds.__path__)}


@pytest.mark.parametrize("kind", PROBES)
async def test_no_kind_connects_to_what_is_forbidden(kind: str) -> None:
    async with listening(silent) as sentinel:
        probes = Probes(Equipment(Egress(Policy(own=(("127.0.0.1", sentinel.port),)))))
        places = [sentinel.place, f"[::ffff:127.0.0.1]:{sentinel.port}"] if kind in TALKING else []
        for place in [*places, f"169.254.169.254:{sentinel.port}", f"[fd00:ec2::254]:{sentinel.port}"]:
            words = {"server": f"http://{place}/"} if kind == "domain" else {}
            asked = monitor(kind, "name.test:1" if kind == "domain" else place, **words)
            result = await in_time(probes, asked)
            assert (result.outcome, result.reason) == ("inconclusive", "not permitted"), (
                place,
                result.detail,
            )
        await probes.close()
        assert sentinel.visits == []


@pytest.mark.parametrize("kind", PROBES)
async def test_a_name_that_leads_to_what_is_forbidden_is_not_followed(kind: str) -> None:
    async with serving_names({"evil.test": ["A 169.254.169.254", "AAAA fd00:ec2::254"]}) as zone:
        probes = Probes(Equipment(Egress(nameservers=[zone.place])))
        words = {"server": "http://evil.test/"} if kind == "domain" else {}
        result = await in_time(probes, monitor(kind, "evil.test:1", **words))
        await probes.close()
    assert (result.outcome, result.reason) == ("inconclusive", "not permitted")


def dripping(piece: bytes) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)

    return behave


def flooding(piece: bytes) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(piece * (65536 // len(piece)))
            await writer.drain()

    return behave


async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await farewell(writer)


HOSTILE = {
    "silent": silent,
    "closing": closing,
    "one byte at a time": dripping(b"\x00"),
    "lines at a time": dripping(b"220-x\r\n"),
    "zeros without end": flooding(b"\x00"),
    "lines without end": flooding(b"SSH\r\n"),
    "noise without end": flooding(bytes(range(256))),
}


@pytest.mark.parametrize("kind", TALKING)
@pytest.mark.parametrize("behave", HOSTILE.values(), ids=list(HOSTILE))
async def test_no_target_holds_a_probe_or_breaks_it(probes: Probes, kind: str, behave: Behaviour) -> None:
    async with listening(behave) as target:
        result = await in_time(probes, monitor(kind, target.place, **TALKING[kind]))
    assert result.outcome == "fail" and result.detail.endswith("."), (result.reason, result.detail)


@pytest.mark.parametrize("kind", [kind for kind in TALKING if issubclass(KINDS[kind], Securing)])
async def test_files_that_are_not_there_are_our_fault(probes: Probes, kind: str) -> None:
    words = {"ca": "/nowhere/ca.pem"}
    if "secure" in KINDS[kind].__struct_fields__:
        words["secure"] = True  # type: ignore[assignment]
    answers = {"postgres": b"S", "mysql": MYSQL}
    async with listening(dripping(answers.get(kind, b""))) as target:
        place = target.place
        asked = monitor(kind, place, **words)
        if isinstance(KINDS[kind].target, Url):
            asked = Monitor(
                key="m",
                kind=kind,
                target=f"{KINDS[kind].target.schemes[-1]}://{place}/",  # type: ignore[attr-defined]
                timeout=0.4,
                options=words,
            )
        result = await in_time(probes, asked)
    assert (result.outcome, result.reason) == ("inconclusive", "worker"), result.detail
    assert "/nowhere/ca.pem" in result.detail


MYSQL = (lambda body: len(body).to_bytes(3, "little") + b"\0" + body)(
    b"\x0a8\0" + bytes(13) + b"\xff\xff\x00\x00\x00\xff\xff" + bytes(24)
)


@pytest.mark.parametrize("kind", PROBES)
async def test_words_that_are_not_known_are_our_fault(probes: Probes, kind: str) -> None:
    result = await in_time(probes, monitor(kind, "127.0.0.1:1", telepathy=True))
    assert (result.outcome, result.reason) == ("inconclusive", "worker")
    assert "may be older than the config" in result.detail


@pytest.mark.parametrize("kind", [kind for kind in PROBES if "password" in KINDS[kind].__struct_fields__])
async def test_a_secret_that_a_target_repeats_is_in_no_result(probes: Probes, kind: str) -> None:
    async with listening(dripping(b"s3cr3t\r\n")) as target:
        words = {"user": "${SECRET}", "password": "${SECRET}"}
        result = await in_time(probes, monitor(kind, target.place, **words))
    assert result.outcome == "fail" and "s3cr3t" not in repr(result)


_WORDS = '''"""echo: what is said comes back."""
from typing import Annotated, ClassVar
from app.domain.words import EXPECTED, Connecting, Form, Place, Text, Whole

class Echo(Connecting, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    target: ClassVar[Form] = Place(7)
    shout: Annotated[str, Text()] = "hello"
    times: Annotated[int, Whole(1, 5), EXPECTED] = 1
'''
_PROBE = '''"""echo: what is said comes back."""
from app.domain.kinds.echo import Echo as Words
from app.domain.monitor import Monitor
from workers.probes.conversation import Conversation
from workers.probes.equipment import Probe, host_and_port, words_of
from workers.probes.run import Failed, Run
from workers.probes.stream import connect

class Echo(Probe, kind="echo"):
    async def probe(self, monitor: Monitor, run: Run) -> None:
        words = words_of(Words, monitor)
        stream = await connect(self.equipment.egress, *host_and_port(monitor.target, default=7), run)
        talk = Conversation(stream, run)
        for _ in range(words.times):
            await talk.say(words.shout.encode() + b"\\n")
            if await talk.line() != words.shout.encode():
                raise Failed("answer", "It does not echo.")
        run.answered()
        stream.close()
'''
_USE = """
import asyncio, sys
from app.statusfile.catalog import parse
from app.statusfile.problem import StatusFileError
from workers.probes import Probes

FILE = "components: [{name: A, monitors: [{echo: 127.0.0.1:%s, shout: %s, expect: {times: %s}}]}]"

async def main():
    [monitor] = parse(FILE % (sys.argv[1], "hi", 2)).monitors()
    print(monitor.kind, monitor.options, (await Probes().probe(monitor)).outcome)
    try:
        parse(FILE % (7, "hi", 9))
    except StatusFileError as error:
        print(error)

asyncio.run(main())
"""


async def test_a_kind_is_added_by_its_two_files_and_nothing_else(tmp_path: Path) -> None:
    for room in ("app", "workers"):
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__", "static"))
    (tmp_path / "app/domain/kinds/echo.py").write_text(_WORDS)
    (tmp_path / "workers/probes/echo.py").write_text(_PROBE)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)

    async with listening(echo) as target:
        words = [sys.executable, "-c", _USE, str(target.port)]
        run = await asyncio.create_subprocess_exec(
            *words,
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
        )
        said, _ = await asyncio.wait_for(run.communicate(), 30)
    assert said.decode().splitlines() == [
        "echo {'shout': 'hi', 'times': 2} ok",
        "statuswire.yaml:1: `times: 9` must be a whole number from 1 to 5",
    ]
