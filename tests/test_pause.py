"""A monitor that is paused: nobody looks at it, it is unknown and says so, and what was said before counts
for nothing when it is looked at again."""

from msgspec.structs import replace

from app.db.catalog import read_catalog, write_catalog
from app.db.engine import Database
from app.domain.audience import Audience, snapshot, spell
from app.domain.board import Board, Note
from app.domain.events import CatalogChange, Heartbeat, Logged, Word
from app.domain.explanation import explain
from app.domain.merge import (
    differences,
    merged,
    ruled_by_file,
    with_all_of,
    with_pause,
    without_component,
    without_pause,
)
from app.domain.monitor import Catalog, Monitor
from app.domain.standing import State
from app.domain.status import Status
from tests.make import (
    API,
    NOON,
    a_batch,
    a_board,
    a_catalog,
    a_change,
    a_component,
    a_sample,
    after,
)

pytest_plugins = ["tests.databases"]


def pause(board: Board, *keys: str, seconds: float = 10) -> None:
    catalog = replace(board.catalog, paused=keys)
    fold(board, CatalogChange(at=after(seconds), revision=catalog.revision, catalog=catalog))


def fold(board: Board, event: Logged) -> None:
    board.fold(f"{int(board.id.partition('-')[0]) + 1}-0", event)


def test_it_is_unknown_from_then_on_and_says_so() -> None:
    board = a_board("api")
    fold(board, a_change(State.UP))
    pause(board, API)
    shown = board.shown["api"]
    assert (shown.status, shown.since, shown.reason) == (Status.UNKNOWN, after(10), "paused")
    assert shown.note == Note(paused=True)
    [component] = snapshot(board, Audience(), after(11), "first").components
    assert component.note == "paused" == spell(shown.note, Audience())
    assert any(
        "paused" in line for line in explain(board, board.catalog.components[0].monitors[0], NOON, [], [])
    )


def test_words_that_come_all_the_same_are_passed_over() -> None:
    board = a_board("api")
    pause(board, API)
    fold(board, a_change(State.DOWN))
    fold(board, a_batch(a_sample()))
    assert board.shown["api"].status is Status.UNKNOWN
    assert list(board.past_best_before(after(1e6))) == []


def test_what_was_said_before_counts_for_nothing_afterwards() -> None:
    board = a_board("api")
    fold(board, a_change(State.DOWN))
    pause(board, API)
    pause(board, seconds=20)
    assert (board.shown["api"].status, board.shown["api"].note) == (Status.UNKNOWN, Note())
    fold(board, a_change(State.UP, at=after(21)))
    assert board.shown["api"].status is Status.OPERATIONAL


def test_a_job_that_is_paused_is_not_late() -> None:
    job = Monitor(key="nightly", kind="push", target="nightly", every=60.0)
    board = Board(a_catalog(a_component("job", job)), NOON, "1-0")
    fold(board, Heartbeat(at=NOON, monitor="nightly", word=Word.SUCCESS))
    pause(board, "nightly")
    fold(board, Heartbeat(at=after(20), monitor="nightly", word=Word.FAIL))
    assert (list(board.past_best_before(after(1e6))), board.shown["job"].status) == ([], Status.UNKNOWN)


def test_nobody_is_told_to_look_at_it() -> None:
    catalog = replace(a_catalog("api", "web"), paused=(API,))
    assert API not in [monitor.key for monitor in catalog.watched()]
    assert len(list(catalog.watched())) == len(list(catalog.monitors())) - 1
    assert catalog.revision != replace(catalog, paused=()).revision


def test_the_database_pauses_what_the_file_rules() -> None:
    file, database = a_catalog("api"), with_pause(API)(Catalog())
    whole = merged(file, database)
    assert whole.paused == (API,)
    assert ruled_by_file(whole, database) == file
    assert merged(Catalog(), database).paused == ()
    [paused] = differences(Catalog(), database)
    [resumed] = differences(database, without_pause(API)(database))
    assert (paused.verb, paused.subject) == ("monitor.pause", f"monitor/{API}")
    assert resumed.verb == "monitor.resume"


def test_a_pause_outlives_a_file_that_is_applied_and_ends_with_its_component() -> None:
    paused = with_pause(API)(a_catalog("api"))
    assert with_all_of(a_catalog("api"), True)(paused).paused == (API,)
    assert without_component("api")(paused).paused == ()


async def test_a_server_that_starts_anew_knows_of_it(database: Database) -> None:
    catalog = with_pause(API)(a_catalog("api"))
    async with database.writing() as transaction:
        await write_catalog(transaction, Catalog(), catalog)
        assert await read_catalog(transaction) == catalog
