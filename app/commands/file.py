"""config: what can be done with a config file, and with what runs as if it were one."""

import argparse
import sys
from pathlib import Path

from app.commands.checks import database_has_tables, is_missing, load_file
from app.commands.words import Commands, add_places, console, read_config
from app.config import Config
from app.reach import Refused


def add(commands: Commands) -> None:
    config = commands.group("config", "work on a config file")
    check = config.add("check", _check, "name every mistake in a config file with its line")
    check.add_argument("file", metavar="FILE", type=Path)
    export = config.add("export", _export, "print all that runs, from file and database, as one config file")
    plan = config.add("plan", _plan, "show what `config apply` would change in what runs")
    apply = config.add("apply", _apply, "put what a config file says into the database")
    for parser in (plan, apply):
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument("--prune", action="store_true", help="take out of the database what it lacks")
    for parser in (export, plan, apply):
        parser.add_argument("--json", action="store_true", help="for programs")
        add_places(parser)
    config.add("schema", _schema, "print the JSON Schema of the file, for editors")
    config.add("password", _password, "ask for a page's password, and print what stands for it in the file")


def _check(arguments: argparse.Namespace) -> int:
    from app.domain.counted import counted
    from app.statusfile.catalog import warnings

    catalog = load_file(_there(arguments.file))
    for warning in warnings(catalog):
        print(f"{arguments.file}: warning: {warning}", file=sys.stderr)
    counts = {"component": len(catalog.components), "monitor": sum(1 for _ in catalog.monitors())}
    print(f"{arguments.file}: {counted(counts)}, no mistakes")
    return 0


def _there(file: Path) -> Path:
    from app.statusfile.problem import cut

    if is_missing(file):
        raise Refused(
            f"{cut(str(file), 200)} does not exist; name a file that does, or let `statuswire up` "
            "write one to begin with: it does where there is none."
        )
    return file


def _export(arguments: argparse.Namespace) -> int:
    config = _with_tables(arguments)
    from app.catalog_command import export

    text, variables, is_taken_up = export(config, arguments.json)
    print(text, end="")
    _warn_unless(is_taken_up)
    if variables:
        sentence = "what an older release had stored in the clear is a variable here: give the workers"
        print(f"statuswire: {sentence} {', '.join(variables)} in their environment", file=sys.stderr)
    return 0


def _plan(arguments: argparse.Namespace) -> int:
    catalog, config = load_file(_there(arguments.file)), _with_tables(arguments)
    from app.catalog_command import plan

    text, is_taken_up = plan(config, catalog, arguments.prune, arguments.json)
    print(text, end="")
    _warn_unless(is_taken_up)
    return 0


def _warn_unless(is_taken_up: bool) -> None:
    if not is_taken_up:
        print(
            "statuswire: the database holds more, which no server has taken up yet: this is as if it were "
            "not there; start the server, and ask again",
            file=sys.stderr,
        )


def _apply(arguments: argparse.Namespace) -> int:
    catalog, config = load_file(_there(arguments.file)), _with_tables(arguments)
    from app.catalog_command import apply
    from app.domain import refused
    from app.embedded import socket_url

    redis_url = config.redis_url or socket_url(config.data)
    try:
        print(apply(config, redis_url, catalog, arguments.prune, arguments.json, console()), end="")
    except refused.Refused as error:
        raise Refused(str(error)) from None
    return 0


def _with_tables(arguments: argparse.Namespace) -> Config:
    config = read_config(arguments)
    database_has_tables(config)
    return config


def _schema(_: argparse.Namespace) -> int:
    from app.statusfile.schema import schema_text

    print(schema_text(), end="")
    return 0


def _password(_: argparse.Namespace) -> int:
    import asyncio
    from getpass import getpass

    from app.security.passwords import Passwords, refusal

    password = getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if (why := refusal(password)) is not None:
        raise Refused(f"this cannot be the password of a page. {why}")
    print(asyncio.run(Passwords().hash(password)))
    return 0
