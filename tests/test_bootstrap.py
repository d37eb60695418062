"""`./statuswire` sets itself up with nothing but Python; the deployment files name the same processes.

The installer here is a stand-in on PATH that notes what it was asked: real installing needs a registry, and
.ci/run does it before any test runs.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path

import pytest
import yaml

from app.config import Config
from app.security.visitor import visitor
from tests.services import ROOT, wait_until

# Makes an environment as uv does, at the speed of a symlink.
_UV = """#!/bin/sh
echo "$@" >> "$UV_JOURNAL"
case "$1" in
venv)
    mkdir -p .venv/bin
    ln -sf "$(command -v "$4")" .venv/bin/python ;;
pip)
    [ -z "$UV_SLOW" ] || sleep "$UV_SLOW"
    [ -z "$UV_FAILS" ] || { echo "no such package" >&2; exit 1; } ;;
esac
"""


class Clone:
    """A tree with the bootstrap script, the locks, and a command line that says how it was called."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "clone"
        (self.root / "app").mkdir(parents=True)
        shutil.copy(ROOT / "statuswire", self.root)
        shutil.copytree(ROOT / "requirements", self.root / "requirements")
        (self.root / "app" / "cli.py").write_text("import os, sys; print(os.getcwd(), *sys.argv[1:])")
        self.venv = self.root / ".venv"
        self.journal = folder / "journal"
        programs = folder / "programs"
        programs.mkdir()
        (programs / "uv").write_text(_UV)
        (programs / "uv").chmod(0o755)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
        path = f"{programs}:{os.environ['PATH']}"
        self.environ = {
            **inherited,
            "PATH": path,
            "UV_JOURNAL": str(self.journal),
            "UV_SLOW": "",
            "UV_FAILS": "",
        }

    def begin(self, *words: str, python: str = sys.executable, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [python, str(self.root / "statuswire"), *words],
            cwd=self.root.parent,
            env={**self.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, python: str = sys.executable, **environ: str) -> tuple[int, str, str]:
        with self.begin(*words, python=python, **environ) as process:
            out, err = process.communicate(timeout=30)
        return process.returncode, out, err

    @property
    def asked(self) -> list[str]:
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        return [line.split()[0] for line in lines if line != "--version"]

    @property
    def installed(self) -> list[str]:
        return [line.rpartition("/")[2] for line in self.journal.read_text().splitlines() if "pip" in line]


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


SETTING_UP = "statuswire: setting up .venv from run.lock, once ...\n"


def test_the_first_start_sets_up_and_the_second_does_not(clone: Clone) -> None:
    said = f"{clone.root.parent} up --port 1\n"
    assert clone.run("up", "--port", "1") == (0, said, SETTING_UP)
    assert clone.run("up", "--port", "1") == (0, said, "")
    assert clone.asked == ["venv", "pip"]


def test_packages_are_taken_by_hash_alone(clone: Clone) -> None:
    clone.run("up")
    assert "--require-hashes" in clone.journal.read_text()
    for lock in ("run.lock", "test.lock"):
        text = (ROOT / "requirements" / lock).read_text()
        assert text.count("--hash=sha256:") > text.count("==") > 50
        assert "://" not in text, "a lock names no host"


def test_the_tests_lock_serves_the_commands_too(clone: Clone) -> None:
    clone.run("bench")
    clone.run("up")
    assert clone.installed == ["test.lock"]
    run, test = ((ROOT / "requirements" / lock).read_text() for lock in ("run.lock", "test.lock"))
    pins = {line.split()[0] for line in run.splitlines() if "==" in line and not line.startswith(" ")}
    assert pins <= {line.split()[0] for line in test.splitlines() if line.strip()}


def test_another_lock_is_installed_over_the_first(clone: Clone) -> None:
    clone.run("up")
    with (clone.root / "requirements" / "run.lock").open("a") as lock:
        lock.write("# changed\n")
    clone.run("up")
    assert clone.asked == ["venv", "pip", "pip"]


def test_another_python_makes_another_environment(clone: Clone) -> None:
    clone.run("up")
    python = clone.venv / "bin" / "python"
    python.unlink()
    # One that says of itself that it is another version.
    python.write_text("#!/bin/sh\necho 3.11.0 of another day\n")
    python.chmod(0o755)
    (clone.venv / "run.stamp").unlink()
    assert clone.run("up")[0] == 0
    assert clone.asked == ["venv", "pip", "venv", "pip"]


def test_an_environment_whose_python_has_gone_is_made_again(clone: Clone) -> None:
    clone.run("up")
    (clone.venv / "bin" / "python").unlink()
    (clone.venv / "bin" / "python").symlink_to("/nowhere/python")
    assert clone.run("up")[0] == 0
    assert clone.asked == ["venv", "pip", "venv", "pip"]


def test_a_half_made_environment_is_made_again(clone: Clone) -> None:
    code, out, err = clone.run("up", UV_FAILS="1")
    assert (code, out) == (1, "")
    assert err.splitlines()[1:] == [
        "no such package",
        "statuswire: could not set up .venv, because `uv pip install ...` failed as it says above; "
        "try again after that.",
    ]
    assert clone.run("up")[0] == 0
    assert clone.asked == ["venv", "pip", "venv", "pip"]


def test_two_starts_at_once_make_one_environment(clone: Clone) -> None:
    first, second = clone.begin("up", UV_SLOW="0.3"), clone.begin("up", UV_SLOW="0.3")
    for process in (first, second):
        with process:
            out, _ = process.communicate(timeout=30)
            assert (process.returncode, out) == (0, f"{clone.root.parent} up\n")
    assert clone.asked == ["venv", "pip"]


def test_an_installer_that_outlives_its_start_is_waited_for(clone: Clone) -> None:
    with clone.begin("up", UV_SLOW="0.5") as first:
        wait_until(lambda: "pip" in clone.asked, 10.0, lambda: "it never came to the installer")
        first.kill()
    _, _, err = clone.run("up")
    assert "waiting for another start" in err
    assert clone.run("up")[2] == ""


def test_an_app_in_the_users_folder_is_not_ours(clone: Clone) -> None:
    theirs = clone.root.parent / "app"
    theirs.mkdir()
    (theirs / "cli.py").write_text("print('theirs')")
    assert clone.run("up", PYTHONPATH=str(clone.root.parent))[1] == f"{clone.root.parent} up\n"


def test_an_old_python_is_told_so(clone: Clone, tmp_path: Path) -> None:
    # Only this Python is at hand for sure, so it is made to look old.
    old = tmp_path / "old"
    old.mkdir()
    (old / "sitecustomize.py").write_text(
        "import sys; sys.version_info = (3, 8, 0); sys.version = '3.8.0 (old)'"
    )
    code, out, err = clone.run("up", PYTHONPATH=str(old), PATH="/nowhere")
    assert (code, out) == (1, "")
    assert err == "statuswire: needs Python 3.11 or newer, and this is 3.8.0; install a newer one.\n"


def test_the_script_is_read_by_an_old_python() -> None:
    import ast

    ast.parse((ROOT / "statuswire").read_text(), feature_version=(3, 8))


def test_the_stamp_is_of_the_lock_and_the_python(clone: Clone) -> None:
    clone.run("up")
    of = (ROOT / "requirements" / "run.lock").read_bytes() + sys.version.encode()
    assert (clone.venv / "run.stamp").read_text() == hashlib.sha256(of).hexdigest()


def _procfile() -> dict[str, str]:
    lines = (ROOT / "Procfile").read_text().splitlines()
    return {name: command.strip() for name, _, command in (line.partition(":") for line in lines)}


def test_procfile_and_compose_run_the_same_processes() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    ours = {name: service for name, service in compose["services"].items() if "build" in service}
    assert {name: command.split()[-1] for name, command in _procfile().items()} == {
        name: service["command"][0] for name, service in ours.items()
    }


def test_compose_restarts_and_confines_every_process() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    for name, service in compose["services"].items():
        assert service["restart"] in ("unless-stopped", "on-failure"), name
        if "build" in service:
            assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        else:
            assert service["healthcheck"] and service["image"].rpartition(":")[2].isdigit(), name
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source.startswith("./") or source in compose["volumes"], name
    assert compose["services"]["web"]["healthcheck"] and compose["services"]["worker"]["healthcheck"]
    assert compose["services"]["worker"]["volumes"] == ["worker:/data"], "for its spool, and no config file"
    assert "DATABASE_URL" not in compose["services"]["worker"]["environment"], (
        "only the server has the database"
    )


def test_behind_dockers_bridge_visitors_are_told_apart_and_nobody_else_can_claim_to_be_a_proxy() -> None:
    web = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["web"]
    config = Config.read({"STATUSWIRE_TRUSTED_PROXIES": web["environment"]["STATUSWIRE_TRUSTED_PROXIES"]})
    proxies = [ip_network(given) for given in config.trusted_proxies]
    for bridge in ("127.0.0.1", "172.17.0.1", "172.31.0.1", "192.168.16.1"):
        assert visitor(bridge, "198.51.100.7", proxies) == "198.51.100.7"
    assert visitor("203.0.113.9", "198.51.100.7", proxies) == "203.0.113.9"
    # Were it open to all, everybody would come from the bridge, with a header of their own.
    assert [port.rpartition(":")[0] for port in web["ports"]] == ["127.0.0.1:8000"]


def test_the_image_holds_the_packages_of_the_lock_and_runs_as_nobody_else() -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    assert "--require-hashes --requirement /build/run.lock" in dockerfile
    assert dockerfile.rindex("\nUSER statuswire") < dockerfile.index("\nENTRYPOINT")
    for line in dockerfile.splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source
