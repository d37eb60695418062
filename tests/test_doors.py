"""What operators do comes to the same by each door, REST and the command line: on one real server, with a
real worker, whose targets are out."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest

from app.cli import main
from tests.conftest import eventually
from tests.services import ROOT, Valkey, Web, Worker, missing

FILE = """\
components:
  - {name: By REST, slug: rest, monitors: [{tcp: "127.0.0.1:1", every: 1s, timeout: 500ms, retries: 0}]}
  - {name: By CLI, slug: cli, monitors: [{tcp: "127.0.0.1:1", every: 1s, timeout: 500ms, retries: 0}]}
  - {name: Payments API, monitors: [{push: payments, every: 24h, grace: 1h}]}
incidents:
  - {name: of rest, after: 1s, components: [rest], title: "{status}"}
  - {name: of cli, after: 1s, components: [cli], title: "{status}"}
"""
Do: TypeAlias = Callable[..., Any]


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with Valkey() as valkey, Web(valkey.start().url) as web:
        file = web.folder / "statuswire.yaml"
        file.write_text(FILE)
        web.start()
        with Worker(valkey.url, file) as worker:
            worker.start()
            yield web


@pytest.fixture(scope="module")
def token(web: Web) -> str:
    words = ("token", "create", "desk", "--scope", "admin")
    environ = web.environ | {"DATABASE_URL": web.database_url}
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *words], cwd=web.folder, env=environ, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def rest(web: Web, token: str) -> Iterator[Do]:
    """What is answered to a request, read."""
    with httpx.Client(base_url=web.url, headers={"authorization": f"Bearer {token}"}) as client:

        def ask(method: str, path: str, **said: Any) -> Any:
            answer = client.request(method, path, json=said or None)
            assert answer.is_success, answer.text
            return answer.json() if answer.content else None

        yield ask


@pytest.fixture
def cli(web: Web, token: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Do:
    """What a command prints for programs, read."""
    monkeypatch.setenv("STATUSWIRE_URL", web.url)
    monkeypatch.setenv("STATUSWIRE_TOKEN", token)

    def run(*words: str) -> Any:
        assert main([*words, "--json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return run


def story(incident: dict[str, Any]) -> Any:
    """What both doors must come to: without ids and instants."""
    kept = ("title", "status", "impact", "acknowledged", "draft")
    said = [
        (each["status"], each["words"].replace("CLI", "REST"), each["author"]) for each in incident["updates"]
    ]
    return {name: incident[name] for name in kept}, said[1:], said[0][:2], incident["resolved"] is not None


async def test_from_an_outage_to_its_postmortem_by_both_doors(rest: Do, cli: Do) -> None:
    def opened_by(rule: str) -> str:
        found = rest("GET", "/v1/incidents")["items"]
        return str(next((each["id"] for each in found if each["rule"] == rule), ""))

    first = await eventually(lambda: opened_by("of rest"), within=30)
    second = await eventually(lambda: opened_by("of cli"), within=30)

    rest("PUT", f"/v1/incidents/{first}/acknowledgement", words="Mei is on it")
    cli("ack", second, "Mei is on it")
    assert rest("GET", f"/v1/incidents/{first}")["acknowledged"] == "Mei is on it"
    assert rest("GET", f"/v1/incidents/{second}")["acknowledged"] == "Mei is on it"

    rest("POST", f"/v1/incidents/{first}/updates", words="It is the **port**.", status="identified")
    cli("incident", "update", second, "It is the **port**.", "--status", "identified")
    rest("POST", f"/v1/incidents/{first}/updates", words="Open again.", status="resolved")
    cli("incident", "resolve", second, "Open again.")
    rest("PUT", f"/v1/incidents/{first}/postmortem", words="It was closed.")
    cli("incident", "postmortem", second, "It was closed.")

    one, other = rest("GET", f"/v1/incidents/{first}"), rest("GET", f"/v1/incidents/{second}")
    assert story(one) == story(other)
    assert [each["status"] for each in one["updates"]] == [
        *("investigating", "identified", "resolved", "postmortem")
    ]
    verbs = [
        [
            each["verb"]
            for each in rest("GET", "/v1/audit?limit=200")["items"]
            if each["subject"] == f"incident/{id}"
        ]
        for id in (first, second)
    ]
    assert verbs[0] == verbs[1]
    assert second not in [each["id"] for each in cli("incident", "list")]
    assert second in [each["id"] for each in cli("incident", "list", "--all")]


async def test_what_comes_again_keeps_its_hour_when_the_clocks_change_by_both_doors(
    web: Web, rest: Do, cli: Do
) -> None:
    """Sundays from 01:30 to 03:30 in Berlin, of which the second, of 28 March 2027, is an hour shorter."""
    by_rest = rest(
        *("POST", "/v1/maintenances"),
        title="Upgrade",
        starts="2027-03-21T00:30:00Z",
        ends="2027-03-21T02:30:00Z",
        components=["payments-api"],
        recurrence="FREQ=WEEKLY;BYDAY=SU",
        time_zone="Europe/Berlin",
    )
    words = ("--start", "2027-03-21T01:30", "--lasts", "2h", "--component", "payments-api")
    again = ("--repeat", "FREQ=WEEKLY;BYDAY=SU", "--time-zone", "Europe/Berlin")
    by_cli = cli("maintenance", "schedule", "Upgrade", *words, *again)

    def window(each: dict[str, Any]) -> tuple[str, ...]:
        return tuple(each[name] for name in ("starts", "ends", "status", "title", "recurrence"))

    assert window(by_rest) == window(by_cli)
    rest("PATCH", f"/v1/maintenances/{by_rest['id']}", status="in_progress")
    cli("maintenance", "start", by_cli["id"])
    await eventually(lambda: shown(web, "payments-api") == "under_maintenance")
    rest("PATCH", f"/v1/maintenances/{by_rest['id']}", status="completed")
    cli("maintenance", "end", by_cli["id"])
    ahead = [each for each in cli("maintenance", "list") if each["series"] in (by_rest["id"], by_cli["id"])]
    assert {window(each)[:3] for each in ahead} == {
        ("2027-03-28T00:30:00.000Z", "2027-03-28T01:30:00.000Z", "scheduled")
    }
    rest("DELETE", f"/v1/maintenances/{ahead[0]['id']}/series")
    cli("maintenance", "cancel", ahead[1]["id"], "--series")
    assert [each for each in cli("maintenance", "list") if each["series"] == by_cli["id"]] == []


async def test_a_status_by_hand_comes_to_the_same_by_both_doors(web: Web, rest: Do, cli: Do) -> None:
    place = "/v1/components/payments-api/override"
    by_rest = rest("PUT", place, status="partial_outage", note="their network")
    rest("DELETE", place)
    by_cli = cli("override", "payments-api", "partial_outage", "--note", "their network")
    assert by_cli["note"] == "their network"
    assert {**by_cli, "at": ""} == {**by_rest, "at": ""}
    await eventually(lambda: shown(web, "payments-api") == "partial_outage")
    assert cli("release", "payments-api") == {"component": "payments-api"}
    await eventually(lambda: shown(web, "payments-api") == "unknown")
    said = [each for each in rest("GET", "/v1/audit")["items"] if each["subject"] == "component/payments-api"]
    assert [each["verb"] for each in reversed(said)][:4] == ["component.override", "component.release"] * 2


def shown(web: Web, slug: str) -> str:
    """What everybody is told of it now."""
    with httpx.stream("GET", f"{web.url}/events") as stream:
        first = next(line for line in stream.iter_lines() if line.startswith("data: "))
    found = {each["slug"]: each["status"] for each in json.loads(first[6:])["components"]}
    return str(found[slug])


def test_tokens_are_made_listed_and_revoked_from_afar(cli: Do) -> None:
    made = cli("token", "create", "from afar", "--scope", "walls:read", "--expires", "30d")
    assert made["token"].startswith(f"sw_{made['id']}_")
    assert made["id"] in [each["id"] for each in cli("token", "list")]
    assert cli("token", "revoke", made["id"]) == {"id": made["id"]}
    assert made["id"] not in [each["id"] for each in cli("token", "list")]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["incident", "post", "", "w"], "`title` is empty: say in a few words what this is about."),
        (
            ["incident", "post", "t", "w", "--component", "clii"],
            "No component is called `clii`: did you mean `cli`?",
        ),
        (["incident", "post", "t", "w", "--since", "once"], "'once' is no time: write a span such as 2h, or"),
        (["incident", "update", "none", "w"], "There is no such thing among the incidents."),
        (["ack", "none"], "No component is called `none`: name it by its slug."),
        (["ack", "payments-ap"], "No component is called `payments-ap`: did you mean `payments-api`?"),
        (["override", "none", "operational"], "No component is called `none`: name it by its slug."),
        (["release", "none"], "No component is called `none`: name it by its slug."),
        (
            ["tail", "--since", "abc"],
            "--since is 'abc'; it must be the id of something that was told, such as",
        ),
        (["release", "cli"], "It has no override."),
        (["maintenance", "start", "none"], "There is no such thing among the maintenances."),
        (
            ["maintenance", "schedule", "t", "--start", "1h", "--lasts", "long", "--component", "cli"],
            "--lasts is 'long'; it must be a span such as 90m.",
        ),
        (["token", "revoke", "none"], "There is no token 'none'; `statuswire token list` names them."),
    ],
)
def test_what_is_typed_wrong_is_one_sentence(
    cli: Do, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"statuswire: {sentence}")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        (
            {"STATUSWIRE_URL": "status"},
            "STATUSWIRE_URL is 'status'; it must be such as https://status.example.",
        ),
        (
            {"STATUSWIRE_URL": "http://127.0.0.1:1"},
            "http://127.0.0.1:1 cannot be reached (Connection refused)",
        ),
        ({"STATUSWIRE_TOKEN": ""}, "Sign in, or send a token. STATUSWIRE_TOKEN is to hold one"),
        ({"STATUSWIRE_TOKEN": "sw_x"}, "This token is not known: it was revoked, or is not written in full."),
    ],
)
def test_a_server_that_is_not_ours_is_one_sentence(
    cli: Do,
    environ: dict[str, str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert main(["incident", "list"]) == 2
    assert capsys.readouterr().err.startswith(f"statuswire: {sentence}")


def a_tail(web: Web, file: Path, *words: str) -> subprocess.Popen[bytes]:
    environ = web.environ | {"STATUSWIRE_URL": web.url}
    with file.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "app.cli", "tail", *words], cwd=ROOT, env=environ, stdout=output
        )


async def test_tail_goes_on_behind_the_last_it_heard_when_the_server_is_back(
    web: Web, rest: Do, tmp_path: Path
) -> None:
    """And in words, beside it, for people."""
    frames, words = tmp_path / "frames", tmp_path / "words"
    tails = [a_tail(web, frames, "--json"), a_tail(web, words)]

    def titles() -> list[str]:
        found = [json.loads(line) for line in frames.read_text().splitlines()]
        patches = [frame for frame in found if frame["type"] == "patch"]
        return [each["title"] for frame in patches for each in frame.get("incidents", ())]

    try:
        await eventually(
            lambda: "snapshot" in frames.read_text() and "unknown" in words.read_text(), within=20
        )
        rest("POST", "/v1/incidents", title="Before", words="w", components=[{"slug": "payments-api"}])
        await eventually(lambda: "Before" in titles())
        assert await asyncio.to_thread(web.stop) in (0, -signal.SIGTERM)
        await asyncio.to_thread(web.start, 40.0, False)
        rest("POST", "/v1/incidents", title="After", words="w", components=[{"slug": "payments-api"}])
        await eventually(lambda: "After" in titles(), within=30)
        assert frames.read_text().count('"type":"snapshot"') == 1
        assert titles().count("Before") == titles().count("After") == 1
        await eventually(lambda: "After: w" in words.read_text(), within=30)
        assert "\033" not in words.read_text()
    finally:
        for tail in tails:
            tail.send_signal(signal.SIGINT)
    assert [await asyncio.to_thread(tail.wait, 10) for tail in tails] == [130, 130]


def test_what_the_docs_say_can_be_typed(web: Web, token: str) -> None:
    """Each block of docs/API.md that asks something, in the order of the page, by a real shell."""
    if not Path("/usr/bin/curl").exists():
        missing("curl")
    text = (ROOT / "docs" / "API.md").read_text()
    blocks = [block for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) if "curl" in block]
    assert len(blocks) >= 5
    environ = os.environ | {"STATUSWIRE_URL": web.url, "STATUSWIRE_TOKEN": token}
    # A request that is refused ends it: all that they say is accepted.
    script = 'set -eu\ncurl() { command curl --silent --show-error --fail-with-body "$@"; echo; }\n'
    done = subprocess.run(
        ["bash", "-c", script + "\n".join(blocks)], env=environ, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["incid"], {"incident"}),
        (["incident", "po"], {"post", "postmortem"}),
        (["overr"], {"override"}),
        (["override", "api", "par"], {"partial_outage"}),
        (["maintenance", "schedule", "--re"], {"--repeat"}),
        (["completion", ""], {"bash", "zsh", "fish", "--help"}),
    ],
)
def test_bash_completes_what_there_is(
    typed: list[str], offered: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", "bash"]) == 0
    words = " ".join(f"'{word}'" for word in ("statuswire", *typed))
    ask = f"COMP_WORDS=({words}); COMP_CWORD={len(typed)}; _statuswire; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(
        ["bash", "-c", f"{capsys.readouterr().out}\n{ask}"], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == offered


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_told_the_same(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    said = capsys.readouterr().out
    for words in ("'statuswire incident post'", "postmortem", "--next-update", "maintenance"):
        assert words in said
