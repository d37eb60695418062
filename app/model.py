"""The one door to what is shown and probed: the file rules what it names, the database the rest, and what
runs is both. Here it is known where each thing comes from, and the database's part is changed.

Whatever is stored here can be written into a file and read again as the same, so `statuswire config export`
is always whole.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, NoReturn

import msgspec
from msgspec.structs import replace

from app.db.catalog import read_catalog, read_setting, write_setting
from app.db.change import Change, Changes
from app.db.definitions import read_definitions, write_definitions
from app.db.engine import Transaction
from app.domain.actor import Actor
from app.domain.credentials import masked
from app.domain.events import CatalogChange
from app.domain.merge import PAUSE, Difference, Edit, differences, merged, names, ruled_by_file
from app.domain.monitor import Catalog, Component, Page
from app.domain.refused import Refused
from app.statusfile.catalog import Said, parse
from app.statusfile.problem import StatusFileError, cut
from app.statusfile.writing import write

DATABASE: Final = "database"
# Of the things that a new version of the file has changed, in the audit log.
MOST_NOTED: Final = 100
# The setting that has the file as it was last noted: its revision, and what it said.
_NOTED: Final = "file noted"


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
            return await self.edit(change, edit)

    async def edit(self, change: Change, edit: Edit) -> list[Difference]:
        """As `change`, within one that is under way."""
        file, old = await self.stored(change.transaction)
        new = edit(old)
        found = differences(old, new)
        if not found and old == new:
            return []
        self._refuse_ruled(found, file)
        whole = merged(file, new)
        _refuse_unknown_pauses(found, whole)
        _refuse_unwritable(replace(whole, paused=()), replace(merged(file, old), paused=()))
        await write_definitions(change.transaction, old, new)
        for each in found:
            await change.note(each.verb, each.subject, _noted(each.before), _noted(each.after))
        if not found:
            await change.note("catalog.order", "catalog")
        await change.tell(CatalogChange(at=change.at, revision=whole.revision, catalog=whole))
        change.then(lambda: self._took(new))
        return found

    async def note_file(self, at: datetime) -> None:
        """What the file has changed since that was last noted: one line of the audit log, by whichever of
        several servers is first."""
        if self.file is None:
            return
        file = self.file.catalog
        async with self.changes.database.reading() as transaction:
            if (noted := await read_setting(transaction, _NOTED)) and noted.startswith(file.revision):
                return
        async with self.changes.by(Actor("file", self._name), at) as change:
            found = differences(await self._noted_file(change.transaction), file)
            text = msgspec.json.encode(file).decode()
            await write_setting(change.transaction, _NOTED, f"{file.revision} {text}")
            if found:
                told = found[:MOST_NOTED]
                before = {each.subject: _noted(each.before) for each in told}
                after = {each.subject: _noted(each.after) for each in told}
                if len(found) > len(told):
                    after["others"] = len(found) - len(told)
                await change.note("file.change", f"file/{self._name}", before, after)

    async def _noted_file(self, transaction: Transaction) -> Catalog:
        # An older server has read it, or a newer one whose words we do not know, or nobody has.
        with suppress(msgspec.DecodeError):
            if (noted := await read_setting(transaction, _NOTED)) is not None:
                return msgspec.json.decode(noted.partition(" ")[2], type=Catalog)
        return ruled_by_file(await read_catalog(transaction), await read_definitions(transaction))

    async def stored(self, transaction: Transaction) -> tuple[Catalog, Catalog]:
        """What the file says, and what the database does."""
        defined = await read_definitions(transaction)
        if self.file is not None:
            return self.file.catalog, defined
        return ruled_by_file(await read_catalog(transaction), defined), defined

    def refuse_ruled(self, kind: str, name: str) -> NoReturn:
        raise Refused(kind, self._ruled(kind, name), "conflict")

    def _took(self, defined: Catalog) -> None:
        self.defined = defined
        self.changed.set()

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
                    self.refuse_ruled(kind, name)

    def _ruled(self, kind: str, name: str) -> str:
        what = f"{kind} {cut(name)}" if name else "page at /"
        line = self.lines.get((kind, name))
        where = self._name if line is None else f"{self._name}, line {line}"
        return f"The {what} is ruled by the file {where}: change it there, or take it out of the file first."


def _refuse_unknown_pauses(found: list[Difference], whole: Catalog) -> None:
    for each in found:
        if each.kind == PAUSE and each.after is not None and each.name not in whole.paused:
            raise Refused("monitor", f"No monitor has the key {cut(each.name)}.", "missing")


def _refuse_unwritable(catalog: Catalog, before: Catalog) -> None:
    """The file's own reader judges, so that there is one set of rules and one set of sentences. What an older
    server has let in hinders nobody from changing something else, or one of several such things."""
    wrong = Counter(_wrong_in(catalog))
    if wrong and (news := list(wrong - Counter(_wrong_in(before)))):
        raise Refused("definition", news[0])


def _wrong_in(catalog: Catalog) -> list[str]:
    try:
        again = parse(write(catalog))
    except StatusFileError as error:
        return [f"{its.message[0].upper()}{its.message[1:]}." for its in error.problems]
    except (
        ArithmeticError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
        msgspec.MsgspecError,
    ) as error:
        return [f"It cannot be understood ({cut(str(error))})."]
    return (
        [] if again == catalog else ["Some of its values have another form in a config file: correct them."]
    )


def _noted(thing: object | None) -> Any:
    return masked(msgspec.to_builtins(thing)) if isinstance(thing, Component | Page) else thing
