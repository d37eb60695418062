"""import: what another status page has becomes a config file, or goes into the database."""

import argparse
import sys
from typing import TYPE_CHECKING

from app.commands.checks import database_has_tables
from app.commands.words import Commands, add_places, console, read_config
from app.reach import Refused

if TYPE_CHECKING:
    from app.importing.harvest import Harvest

_SOURCES = (
    ("uptime-kuma", "FILE.db", "take over the kuma.db of Uptime Kuma, 1.23 or 2.x"),
    ("gatus", "FILE.yaml", "take over the config file of Gatus"),
    ("statuspage", "FILE-or-URL", "take over a page of Atlassian Statuspage, or what its API answers"),
)


def add(commands: Commands) -> None:
    sources = commands.group("import", "take over what another status page has")
    for source, file, words in _SOURCES:
        parser = sources.add(source, _import, words)
        parser.set_defaults(source=source)
        parser.add_argument("file", metavar=file)
        parser.add_argument(
            "--apply", action="store_true", help="into the database; without it, a config file is printed"
        )
        parser.add_argument("--json", action="store_true", help="for programs")
        add_places(parser)


def _import(arguments: argparse.Namespace) -> int:
    from app.importing.command import harvest_of, shown
    from app.importing.harvest import NotReadable
    from app.statusfile.problem import cut

    if arguments.apply:
        # First: a report of what would have been taken over, and only then that it cannot be, misleads.
        database_has_tables(read_config(arguments))
    try:
        if arguments.source == "statuspage" and arguments.file.startswith(("http://", "https://")):
            harvest = _fetched(arguments)
        else:
            harvest = harvest_of(arguments.source, arguments.file)
    except NotReadable as error:
        raise Refused(f"{cut(arguments.file, 200)} cannot be taken over. {error}") from None
    output, report = shown(harvest, arguments.json)
    print(output, end="")
    print(report, file=sys.stderr, end="")
    if arguments.apply:
        _take_over(arguments, harvest)
    return 0


def _fetched(arguments: argparse.Namespace) -> "Harvest":
    """By the page's own public API, which shows its last fifty incidents."""
    import asyncio

    from app.config import own_parts
    from app.importing.command import harvest_of_page
    from app.importing.harvest import NotReadable
    from app.security.egress import Egress, Policy
    from app.security.fetch import NotFetched, fetch

    config, page = read_config(arguments), arguments.file.rstrip("/")

    async def ask() -> list[bytes]:
        egress = Egress(Policy(private=True, own=own_parts(config)))
        found = [await fetch(egress, f"{page}/api/v2/{name}.json") for name in ("summary", "incidents")]
        if any(answer.status != 200 for answer in found):
            raise NotReadable("It has no /api/v2/summary.json: give the address of a page of Statuspage.")
        return [answer.body for answer in found]

    try:
        return harvest_of_page(*asyncio.run(ask()))
    except NotFetched as error:
        raise NotReadable(str(error)) from None


def _take_over(arguments: argparse.Namespace, harvest: "Harvest") -> None:
    from app.catalog_command import take_over
    from app.domain import refused

    try:
        print(take_over(read_config(arguments), harvest, console()), file=sys.stderr)
    except refused.Refused as error:
        raise Refused(str(error)) from None
