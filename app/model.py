"""The one door to what is shown and probed: the file rules what it names, the database the rest, and what
runs is both. Here it is known where each thing comes from, and the database's part is changed.

Whatever is stored here can be written into a file and read again as the same, so `statuswire config export`
is always whole.
"""

import asyncio
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from app.db.catalog import read_catalog
from app.db.change import Changes
from app.db.definitions import read_definitions, write_definitions
from app.domain.actor import Actor
from app.domain.events import CatalogChange
from app.domain.merge import Difference, Edit, differences, merged, names, ruled_by_file
from app.domain.monitor import Catalog, Component, Page
from app.domain.refused import Refused
from app.statusfile.catalog import Said, parse
from app.statusfile.problem import StatusFileError, cut
from app.statusfile.writing import write

DATABASE: Final = "database"
_MASK: Final = "***"
_SECRET: Final = re.compile(r"authorization|cookie|token|secret|password|api-?key|session", re.IGNORECASE)


class Model:
    """`file` is the last good one, None for who has none. A server keeps one Model, a command makes one.
    `changed` is set when something was changed here."""

    def __init__(self, changes: Changes, name: str = "statuswire.yaml") -> None:
        self.changes = changes
        self._name = name
        self.file: Said | None = None
        self.lines: Mapping[tuple[str, str], int] = {}
        self.defined = Catalog()
        self.changed = asyncio.Event()

    async def read(self) -> bool:
        """Look what the database defines. True if that has become something else."""
        async with self.changes.database.reading() as transaction:
            before, self.defined = self.defined, await read_definitions(transaction)
        return before != self.defined

    def running(self) -> Catalog:
        """What is to run, as far as this process knows."""
        return merged(self._said(), self.defined)

    def take(self, file: Said) -> None:
        self.file, self.lines = file, file.lines

    def origins(self, file: Catalog | None = None) -> dict[tuple[str, str], str]:
        """Of everything that is defined: `statuswire.yaml:12`, or `database`. `file` is what the file says,
        for who has not read it."""
        said = self._said() if file is None else file
        places = {key: DATABASE for key in names(self.defined)}
        for key in names(said):
            line = self.lines.get(key)
            places[key] = self._name if line is None else f"{self._name}:{line}"
        return places

    async def change(self, actor: Actor, at: datetime, edit: Edit) -> list[Difference]:
        """Make something else of the database's part: stored, noted and told as one. What has changed is
        returned. Raises Refused, with one sentence, and then nothing has."""
        async with self.changes.by(actor, at) as change:
            old = await read_definitions(change.transaction)
            new = edit(old)
            found = differences(old, new)
            if not found and old == new:
                return []
            running = await read_catalog(change.transaction)
            file = self.file.catalog if self.file is not None else ruled_by_file(running, old)
            self._refuse_ruled(found, file)
            whole = merged(file, new)
            _refuse_unwritable(whole)
            await write_definitions(change.transaction, old, new)
            for each in found:
                subject = f"{each.kind}/{each.name}"
                await change.note(each.verb, subject, _masked(each.before), _masked(each.after))
            if not found:
                await change.note("catalog.order", "catalog")
            await change.tell(CatalogChange(at=at, revision=whole.revision, catalog=whole))
        self.defined = new
        self.changed.set()
        return found

    def _said(self) -> Catalog:
        return self.file.catalog if self.file is not None else Catalog()

    def _refuse_ruled(self, found: list[Difference], file: Catalog) -> None:
        ruled = set(names(file))
        for each in found:
            touched = [(each.kind, each.name)]
            if isinstance(each.after, Component):
                touched += [("monitor", monitor.key) for monitor in each.after.monitors]
            for kind, name in touched:
                # A group is in both: the file has some components of it, the database others.
                if (kind, name) in ruled and kind != "group":
                    raise Refused(each.kind, self._ruled(kind, name), "conflict")

    def _ruled(self, kind: str, name: str) -> str:
        what = f"{kind} {cut(name)}" if name else "page at /"
        line = self.lines.get((kind, name))
        where = self._name if line is None else f"{self._name}, line {line}"
        return f"The {what} is ruled by the file {where}: change it there, or take it out of the file first."


def _refuse_unwritable(catalog: Catalog) -> None:
    """The file's own reader judges, so that there is one set of rules and one set of sentences."""
    try:
        again = parse(write(catalog))
    except StatusFileError as error:
        first = error.problems[0].message
        raise Refused("definition", f"{first[0].upper()}{first[1:]}.") from None
    except (LookupError, TypeError, ValueError) as error:
        raise Refused("definition", f"It cannot be understood ({cut(str(error))}).") from None
    if again != catalog:
        raise Refused("definition", "Some of its values have another form in a config file: correct them.")


def _masked(thing: object | None) -> Any:
    """For the audit log, which more people read than may know what is in a header."""
    if not isinstance(thing, Component | Page):
        return thing
    return _without_secrets(msgspec.to_builtins(thing))


def _without_secrets(given: Any) -> Any:
    if isinstance(given, Mapping):
        return {
            name: _MASK
            if isinstance(value, str) and value and _SECRET.search(name) and "${" not in value
            else _without_secrets(value)
            for name, value in given.items()
        }
    return [_without_secrets(each) for each in given] if isinstance(given, list | tuple) else given
