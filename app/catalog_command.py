"""`statuswire config export|plan|apply|schema|password`: what runs as a file, and a file as what runs.

They read and write the database, so they may run beside the server, which hears of a change by the outbox.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec

from app import outbox
from app.config import Config
from app.db.backfill import backfill
from app.db.catalog import read_catalog
from app.db.change import Changes
from app.db.engine import connect
from app.db.incidents import Incidents
from app.domain.actor import Actor
from app.domain.counted import counted
from app.domain.credentials import Variables
from app.domain.instant import from_seconds
from app.domain.merge import beside, differences, merged, ruled_by_file, with_all_of
from app.domain.monitor import Catalog
from app.feed import Feed, FeedDown
from app.importing.harvest import Harvest
from app.model import Model
from app.statusfile.difference import Step, readable, steps
from app.statusfile.disk import read_from
from app.statusfile.problem import StatusFileError
from app.statusfile.writing import write

# Seconds that somebody at the console waits for a Redis.
_PATIENCE: Final = 1.0

T = TypeVar("T")


def export(config: Config, as_json: bool) -> tuple[str, list[str], bool]:
    """With the names of the variables that stand for what an older release had stored in the clear, and
    whether a server has taken up all that the database defines."""

    async def go(model: Model, running: Catalog) -> tuple[Catalog, dict[str, str], bool]:
        file = ruled_by_file(running, model.defined)
        origins = {f"{kind}/{name}": place for (kind, name), place in model.origins(file).items()}
        return running, origins, _is_taken_up(model, running)

    catalog, origins, is_taken_up = _with_model(config, go)
    variables = Variables()
    text = write(variables.of(catalog))
    if as_json:
        text = _json({"config": text, "revision": catalog.revision, "origins": origins})
    return text, variables.names, is_taken_up


def plan(config: Config, given: Catalog, prune: bool, as_json: bool) -> tuple[str, bool]:
    """And whether a server has taken up all that the database defines."""

    async def go(model: Model, running: Catalog) -> tuple[list[Step], bool]:
        return _planned(model, running, given, prune), _is_taken_up(model, running)

    found, is_taken_up = _with_model(config, go)
    return _shown(found, as_json), is_taken_up


def apply(
    config: Config, redis_url: str | None, given: Catalog, prune: bool, as_json: bool, actor: Actor
) -> str:
    """Raises Refused where the file that runs rules what would change."""

    async def go(model: Model, running: Catalog) -> list[Step]:
        found = _planned(model, running, given, prune)
        edit = with_all_of(beside(given, ruled_by_file(running, model.defined)), prune)
        await model.change(actor, from_seconds(time.time()), edit)
        await _tell(model.changes, config, redis_url)
        return found

    return _shown(_with_model(config, go), as_json)


def take_over(config: Config, harvest: Harvest, actor: Actor) -> str:
    """What an importer brought, into the database. Raises Refused where the file that runs rules it."""

    async def go(model: Model, running: Catalog) -> str:
        given, changes, at = harvest.catalog(), model.changes, from_seconds(time.time())
        edit = with_all_of(beside(given, ruled_by_file(running, model.defined)), False)
        found = await model.change(actor, at, edit)
        incidents = await Incidents(changes).take_over(actor, at, harvest.incidents)
        async with changes.database.writing() as transaction:
            spans = await backfill(transaction, harvest.history)
        counts = {"thing": len(found), "incident": incidents, "stretch of history": spans}
        return f"into the database: {counted(counts)}"

    return _with_model(config, go)


async def _tell(changes: Changes, config: Config, redis_url: str | None) -> None:
    """At once: a server looks for what others have stored once a second, and does where we cannot."""
    if redis_url is None:
        return
    feed = Feed(redis_url, beat=config.beat)
    with suppress(*FeedDown, TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            await outbox.empty(changes, feed)
    await feed.close()


def _planned(model: Model, running: Catalog, given: Catalog, prune: bool) -> list[Step]:
    """What `apply` would change in what runs. What the file that runs says in the same words is no change."""
    file = ruled_by_file(running, model.defined)
    becomes = with_all_of(beside(given, file), prune)(model.defined)
    return steps(running, merged(file, becomes))


def _is_taken_up(model: Model, running: Catalog) -> bool:
    """False for what was put into the database while no server ran: what runs is what a server has told."""
    return not differences(running, merged(ruled_by_file(running, model.defined), model.defined))


def _with_model(config: Config, go: Callable[[Model, Catalog], Awaitable[T]]) -> T:
    async def run() -> T:
        database = await connect(config)
        try:
            model = Model(Changes(database), config.config_file.name)
            await model.read()
            with suppress(StatusFileError):
                # For its lines alone: a server may run another version of it.
                model.lines = read_from(config.config_file).lines
            async with database.reading() as transaction:
                running = await read_catalog(transaction)
            return await go(model, running)
        finally:
            await database.close()

    return asyncio.run(run())


def _shown(found: list[Step], as_json: bool) -> str:
    return _json({"changes": found}) if as_json else "\n".join([*readable(found), ""])


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode() + "\n"
