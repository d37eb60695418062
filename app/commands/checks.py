"""What is looked at before a command begins, so that what is wrong is one line and exit code 2 and nothing
has been started. Each raises Refused or, for a file, Mistakes."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.config import Config
from app.reach import Refused, greet_redis, reach

if TYPE_CHECKING:
    from app.domain.monitor import Catalog


class Mistakes(Exception):
    """Lines for the person who wrote the file, in the form that editors jump to."""


def redis_is_given(config: Config) -> None:
    if config.redis_url is None:
        raise Refused(
            "REDIS_URL is not set, and only `statuswire up` brings a Redis of its own; "
            "set it to a server's URL, such as redis://localhost:6379/0."
        )


def port_is_free(config: Config) -> None:
    """Of several processes, too: who else listens there with SO_REUSEPORT would share our viewers, and no
    error would say so."""
    from app.embedded import StartError
    from app.up import refuse_taken_port

    try:
        refuse_taken_port(config)
    except StartError as error:
        raise Refused(str(error)) from None


def redis_answers(config: Config) -> None:
    if config.redis_url is None:
        return
    if "+" in config.redis_url.partition("://")[0]:
        _one_of_several_answers(config.redis_url)
    else:
        greet_redis(config.redis_url)


def _one_of_several_answers(url: str) -> None:
    from app.redis_nodes import knock

    if problem := asyncio.run(knock(url)):
        raise Refused(f"REDIS_URL cannot be used: {problem}; start these servers, or correct the URL.")


def database_answers(config: Config) -> None:
    if config.sqlite_file is None:
        from app.db.engine import knock

        _ask_database(config, knock)


def database_has_tables(config: Config) -> None:
    """Those of this version: the server reads them at its start, and `migrate` alone makes them."""
    from app.db.engine import connect

    async def look(config: Config) -> None:
        await (await connect(config)).close()

    _ask_database(config, look)


def _ask_database(config: Config, ask: Callable[[Config], Coroutine[Any, Any, None]]) -> None:
    if config.sqlite_file is None:
        reach("DATABASE_URL", config.database_url, 5432)[0].close()
    from app.db.engine import DatabaseDown

    try:
        asyncio.run(ask(config))
    except DatabaseDown as error:
        raise Refused(str(error)) from None


def file_is_right(config: Config) -> None:
    # One that is not there is no mistake; one that cannot even be looked for is.
    if not is_missing(config.config_file):
        load_file(config.config_file)


def is_missing(file: Path) -> bool:
    try:
        file.stat()
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
    return False


def load_file(file: Path) -> "Catalog":
    from app.statusfile.disk import load
    from app.statusfile.problem import StatusFileError

    try:
        return load(file)
    except StatusFileError as error:
        raise Mistakes(str(error)) from None
