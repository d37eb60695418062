"""`statuswire export DIR`: the pages as plain files, for a web host that has nothing to do with what is
watched.

It reads the database alone, so it may run beside everything else, and another server may be down. Each file
is replaced in one step, and what an earlier export wrote and this one does not is removed.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from app.config import Config
from app.db.engine import Database, DatabaseDown, connect
from app.db.history import History
from app.db.recorder import Recorder
from app.domain.board import Board
from app.domain.status import Status
from app.live.hub import Hub
from app.pages import calendar, component, public, story
from app.pages.charts import DAY
from app.pages.language import DEFAULT, languages
from app.pages.past import Past
from app.pages.stale import last_word
from app.pages.static import FILES, RELEASE
from app.pages.stories import Story
from app.pages.view import View, Views

log = structlog.get_logger("export")

# Names of the files that are ours in the folder.
_MANIFEST: Final = ".statuswire-export"
# Copies that may fail to come before the last one is called old.
_MISSED: Final = 3


class NotPublic(Exception):
    """One sentence: plain files have no door, and this page has one."""


async def export(config: Config, folder: Path, every: float | None) -> None:
    """Once, or for ever. Raises NotPublic, and DatabaseDown or OSError if it cannot write the first copy."""
    database = await connect(config)
    try:
        await _copy(config, database, folder, every)
        while every is not None:
            await asyncio.sleep(every)
            try:
                await _copy(config, database, folder, every)
            except (DatabaseDown, OSError) as error:
                # What was written stays, and says by itself when it has become old.
                log.warning("no new copy of the page", problem=str(error))
    finally:
        await database.close()


async def _copy(config: Config, database: Database, folder: Path, every: float | None) -> None:
    copies = [copy async for copy in draw_all(config, database, every)]
    # Also none: then those that were written when it was public are removed.
    await write(folder, copies)
    if not copies:
        raise NotPublic(
            "The page at / is not for everybody, and files have no door: nothing of it is written, and what "
            "was is removed. Take `access` out of `page`, or do not export it."
        )


async def write(folder: Path, copies: list[tuple[str, bytes]]) -> None:
    await asyncio.to_thread(_write, folder, copies)


async def draw_all(
    config: Config, database: Database, every: float | None
) -> AsyncIterator[tuple[str, bytes]]:
    """Path and content of each file. What others name comes before them, and the first page last. None of
    them where the page is not for everybody."""
    hub = Hub(config.beat)
    hub.restore(await Recorder(database).load(), "0-0")
    if hub.board.catalog.page.access != "public":
        return
    views, past = Views(hub, config), Past(History(database))
    view = _view(hub, views, every)
    for name in ("copy.js", *(f"status-{status}.svg" for status in (*Status, "stale"))):
        yield f"static/{RELEASE}/{name}", FILES[name].content
    for told in (await _stories(past, view, hub.board)).values():
        path = f"{told.kind}s/{told.id}/index.html"
        yield path, await _story(views, _at(view, "../../"), told)
    yield "history/index.html", await _history(views, past, _at(view, "../"), hub.board)
    for row in view.seen.rows:
        path = f"components/{row.slug}/index.html"
        yield path, await _component(views, past, _at(view, "../../"), row.slug)
    yield "index.html", await _page(views, past, view, hub.board)


def _view(hub: Hub, views: Views, every: float | None) -> View:
    now, seen = hub.now(), views.seen()
    known = last_word(hub)
    return View(
        seen=seen,
        id=hub.board.id,
        feed="ok" if now - known <= _trust(hub.board) else "stale",
        now=now,
        known=known,
        near=False,
        bad_file=False,
        language=languages().get(seen.page.language, languages()[DEFAULT]),
        root="./",
        copy=True,
        until=None if every is None else now + timedelta(seconds=_MISSED * every),
    )


def _trust(board: Board) -> timedelta:
    """How old the last word of a worker may be: what is looked at most often has had one since."""
    return timedelta(seconds=min((its.best_before for its in board.catalog.monitors()), default=0.0))


def _at(view: View, root: str) -> View:
    return msgspec.structs.replace(view, root=root)


async def _page(views: Views, past: Past, view: View, board: Board) -> bytes:
    days = await past.days(view.seen.groups, view.now, view.where)
    speeds = await public.measured(past, view.seen, DAY, view.now)
    lately = calendar.told_of(await calendar.lately(past, view) or (), view, board)
    return await _draw(views, "page.html", view, lambda: public.shown(view, days, DAY, speeds, lately))


async def _component(views: Views, past: Past, view: View, slug: str) -> bytes:
    row = next(row for row in view.seen.rows if row.slug == slug)
    days = await past.days(view.seen.groups, view.now, view.where)
    points = await past.speed(slug, DAY, view.now)
    spans = await component.life(past, slug, view.now)
    return await _draw(
        views, "component.html", view, lambda: component.shown(view, row, days, DAY, points, spans)
    )


async def _stories(past: Past, view: View, board: Board) -> dict[str, Story]:
    """All to which a page of the copy leads: what goes on, and what was told lately and this month."""
    _, told = await calendar.month_of(past, view, calendar.this_month(view))
    lately = await calendar.lately(past, view)
    over = calendar.told_of([*(told or ()), *(lately or ())], view, board)
    return {each.id: each for each in (*over, *view.seen.stories)}


async def _story(views: Views, view: View, told: Story) -> bytes:
    return await _draw(views, "story.html", view, lambda: story.shown(view, told))


async def _history(views: Views, past: Past, view: View, board: Board) -> bytes:
    today, first = calendar.this_day(view), calendar.this_month(view)
    spans, told = await calendar.month_of(past, view, first)
    stories = calendar.told_of(told or (), view, board)
    return await _draw(
        views, "history.html", view, lambda: calendar.shown(view, first, today, spans, stories)
    )


async def _draw(views: Views, template: str, view: View, shown: Callable[[], dict[str, Any]]) -> bytes:
    return await asyncio.to_thread(lambda: views.draw(template, view, shown()).encode())


def _write(folder: Path, copies: list[tuple[str, bytes]]) -> None:
    manifest = folder / _MANIFEST
    before = _read_manifest(manifest)
    names = [name for name, _ in copies]
    for name, content in copies:
        _replace(folder / name, content)
    _replace(manifest, msgspec.json.encode(names))
    for name in set(before) - set(names):
        (folder / name).unlink(missing_ok=True)


def _read_manifest(manifest: Path) -> list[str]:
    """Of a file that somebody else has written there, nothing: we remove only what can be ours."""
    try:
        names = msgspec.json.decode(manifest.read_bytes(), type=list[str])
    except (OSError, msgspec.DecodeError):
        return []
    return [name for name in names if ".." not in name and not name.startswith("/")]


def _replace(path: Path, content: bytes) -> None:
    """A reader sees the old file or the new one, never a part. What has not changed keeps its date."""
    try:
        if path.read_bytes() == content:
            return
    except OSError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        # A web server under another user must be able to read it.
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
