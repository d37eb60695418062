"""up, web, worker, migrate: the processes of the Procfile, and the one that starts all of them."""

import argparse
import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from app.commands import checks
from app.commands.words import Commands, add_places, read_config
from app.config import Config
from app.reach import Refused


def add(commands: Commands) -> None:
    up = commands.add("up", _up, "start everything: Redis if none is given, database, server and worker")
    web = commands.add("web", _web, "the server alone: page, wall and streams")
    worker = commands.add("worker", _worker, "the worker alone: probes what the config file names")
    migrate = commands.add("migrate", _migrate, "bring the database's tables up to date")
    for each in (up, web, worker, migrate):
        add_places(each)
    for each in (up, web):
        each.add_argument(
            "--processes", metavar="N", help="of the server, on one port; default: 1, or STATUSWIRE_PROCESSES"
        )


def _up(arguments: argparse.Namespace) -> int:
    # The port first: it is what is taken most often, and the others may wait for a server far away.
    config = _begin(
        arguments, checks.port_is_free, checks.redis_answers, checks.database_answers, checks.file_is_right
    )
    from app.up import up

    return _run(up(config))


def _web(arguments: argparse.Namespace) -> int:
    config = _begin(
        arguments,
        checks.redis_is_given,
        checks.port_is_free,
        checks.redis_answers,
        checks.file_is_right,
        checks.database_has_tables,
    )
    if not config.supervised:
        # Of `up` and of several processes the parent says it, once.
        with suppress(OSError):
            print(f"Statuswire's page is at {config.url}/ as soon as the server has started.", flush=True)
    if config.processes > 1 and not config.process:
        from app.processes import webs

        return _run(webs(config))
    with _loading():
        from app.server import web

    return web(config)


def _run(parent: Coroutine[Any, Any, int]) -> int:
    """A process that has others under it."""
    from app.embedded import StartError

    try:
        return asyncio.run(parent)
    except StartError as error:
        raise Refused(str(error)) from None


def _worker(arguments: argparse.Namespace) -> int:
    # Database and config file are none of a worker's business: in another region it has neither.
    config = _begin(arguments, checks.redis_is_given, checks.redis_answers)
    with _loading():
        from workers.main import run

    return run(config)


def _migrate(arguments: argparse.Namespace) -> int:
    config = _begin(arguments, checks.database_answers)
    with _loading():
        from app.db.migrate import migrate

    # Within `up` it is one of many parts, and only what goes wrong is news.
    return migrate(config, tell=not config.supervised)


@contextmanager
def _loading() -> Iterator[None]:
    """What a module brings stays: to look for garbage in it again and again takes a sixth of a start."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _begin(arguments: argparse.Namespace, *checks: Callable[[Config], object]) -> Config:
    """The config of a process that stays, with its log on."""
    from app import log

    config = read_config(arguments)
    # What `up` has seen to at its own start is not asked again when a child is restarted: with Redis down it
    # has to wait for it, and exit code 2 would end the others too.
    if not config.supervised:
        for check in checks:
            check(config)
    log.configure(config)
    return config
