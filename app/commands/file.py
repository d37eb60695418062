"""config: what can be done with a config file without a server."""

import argparse
import sys
from pathlib import Path

from app.commands.checks import is_missing, load_file
from app.commands.words import Commands
from app.reach import Refused


def add(commands: Commands) -> None:
    config = commands.group("config", "work on a config file")
    check = config.add("check", _check, "name every mistake in a config file with its line")
    check.add_argument("file", metavar="FILE", type=Path)


def _check(arguments: argparse.Namespace) -> int:
    from app.statusfile.catalog import warnings
    from app.statusfile.problem import cut

    if is_missing(arguments.file):
        raise Refused(
            f"{cut(str(arguments.file), 200)} does not exist; name a file that does, or let `statuswire up` "
            "write one to begin with: it does where there is none."
        )
    catalog = load_file(arguments.file)
    for warning in warnings(catalog):
        print(f"{arguments.file}: warning: {warning}", file=sys.stderr)
    counts = f"{len(catalog.components)} components, {sum(1 for _ in catalog.monitors())} monitors"
    print(f"{arguments.file}: {counts}, no mistakes")
    return 0
