"""bench and version: what is known of the program itself, and what a clone of the repository has besides."""

import argparse
import os
import sys
from pathlib import Path

from app.commands.words import Commands
from app.reach import Refused

_ROOT = Path(__file__).resolve().parents[2]


def add(commands: Commands) -> None:
    bench = commands.add("bench", _bench, "run one of the benchmarks in bench/")
    bench.add_argument("name", metavar="NAME", help=f"one of: {', '.join(_benches()) or 'none here'}")
    bench.add_argument("--quick", action="store_true", help="end within 45 s")
    commands.add("version", _version, "print the version")
    commands.parser.add_argument("--version", action=_Version, nargs=0, help="the same as `version`")


def _bench(arguments: argparse.Namespace) -> int:
    name = arguments.name.replace("-", "_")
    if name not in _benches():
        raise Refused(
            f"there is no benchmark {arguments.name!r}; there are: {', '.join(_benches()) or 'none'}."
        )
    command = [sys.executable, "-P", str(_ROOT / "bench" / f"{name}.py"), *(["--quick"] * arguments.quick)]
    os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": str(_ROOT)})


def _benches() -> list[str]:
    files = (_ROOT / "bench").glob("[a-z]*.py")
    # Some of that folder only serves the others.
    return sorted(file.stem for file in files if "__main__" in file.read_text(encoding="utf-8"))


def _version(_: argparse.Namespace) -> int:
    print(f"statuswire {_read_version()}")
    return 0


class _Version(argparse.Action):
    """That of argparse wants the version before it is known that anybody asks."""

    def __call__(self, parser: argparse.ArgumentParser, arguments: argparse.Namespace, *_: object) -> None:
        parser.exit(_version(arguments))


def _read_version() -> str:
    import tomllib
    from importlib.metadata import PackageNotFoundError, version

    try:
        # A clone is not installed; an installation has no pyproject.toml.
        project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
        return str(project["version"])
    except OSError:
        try:
            return version("statuswire")
        except PackageNotFoundError:
            return "unknown"
