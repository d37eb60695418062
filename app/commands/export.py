"""export: the pages as plain files."""

import argparse
import asyncio
from pathlib import Path

from app.commands import checks
from app.commands.words import Commands, add_places, read_config
from app.reach import Refused


def add(commands: Commands) -> None:
    export = commands.add("export", _export, "write the pages as plain files, once or again and again")
    export.add_argument("folder", metavar="DIR", type=Path, help="made if it is not there")
    export.add_argument("--every", metavar="TIME", help="such as 30s or 5m: write them again each time")
    add_places(export)


def _export(arguments: argparse.Namespace) -> int:
    config, every = read_config(arguments), _seconds(arguments.every)
    checks.database_has_tables(config)
    from app import log
    from app.db.engine import DatabaseDown
    from app.pages.export import NotPublic, export

    log.configure(config)
    try:
        asyncio.run(export(config, arguments.folder, every))
    except (DatabaseDown, NotPublic) as error:
        raise Refused(str(error)) from None
    except OSError as error:
        raise Refused(f"{arguments.folder} cannot be written: {error.strerror or error}.") from None
    print(f"Wrote {arguments.folder / 'index.html'}")
    return 0


def _seconds(every: str | None) -> float | None:
    if every is None:
        return None
    from app.statusfile.values import seconds_in

    seconds = seconds_in(every)
    if seconds is None or not 5 <= seconds <= 86_400:
        raise Refused(f"--every {every}: write one number and one unit from 5s to 1d, such as 30s or 5m.")
    return seconds
