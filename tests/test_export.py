"""Pages as plain files: whole, linked with each other, replaced in one step, and old when no newer come."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import Browser

from app.cli import main
from app.config import Config
from app.db.change import Changes
from app.db.engine import Database
from app.db.incidents import Incidents
from app.db.maintenances import Maintenances
from app.db.recorder import Recorder
from app.domain.events import MaintenanceChange
from app.domain.incident import NewIncident
from app.domain.instant import from_seconds
from app.domain.maintenance import NewMaintenance
from app.domain.monitor import Page
from app.domain.standing import State
from app.pages.export import NotPublic, draw_all, export, write
from tests.browser import screen
from tests.conftest import eventually
from tests.make import a_batch, a_catalog, a_catalog_change, a_change, a_component, a_log, a_monitor, a_sample
from tests.rows import a_database, config_for, record_all
from tests.test_stories import MEI


@pytest.fixture
async def database(sqlite_url: str) -> AsyncIterator[Database]:
    """Of two components, one of which has been down for ten minutes."""
    async with a_database(sqlite_url) as database:
        now = from_seconds(datetime.now(UTC).timestamp())
        catalog = a_catalog(
            *(a_component(its, a_monitor(f"{its}/http")) for its in ("api", "web")),
            page=Page(name="Acme Status", time_zone="Europe/Berlin"),
        )
        recorder = Recorder(database)
        await recorder.load()
        ago = now - timedelta(minutes=10)
        down = a_change(State.DOWN, ago, "api/http", reason="refused", detail="by 10.9.8.7")
        up = [a_change(State.UP, ago, "web/http"), a_batch(a_sample(State.UP, now, "web/http", took=77.0))]
        again = a_change(State.DOWN, now, "api/http", since=ago)
        await record_all(recorder, a_log(a_catalog_change(catalog, ago), down, *up, again))
        yield database


async def _export(database: Database, config: Config, folder: Path, every: float | None = None) -> None:
    await write(folder, [copy async for copy in draw_all(config, database, every)])


async def test_a_copy_is_whole_and_needs_no_server(
    database: Database, sqlite_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "site"
    await _export(database, config_for(sqlite_url), folder)

    page = (folder / "index.html").read_text()
    assert "<h1>Major outage: Api</h1>" in page
    assert "A copy, made " in page
    assert 'class="bar"' in page and 'class="chart"' in page
    assert "Api: Major outage" in (folder / "components/api/index.html").read_text()
    assert "No problem recorded" in (folder / "history/index.html").read_text()
    pages = list(folder.rglob("*.html"))
    assert len(pages) == 4
    for file in pages:
        html = file.read_text()
        assert "10.9.8.7" not in html and "refused" not in html
        for link in re.findall(r'(?:href|src)="(?!data:)([^"#]+)', html):
            assert (file.parent / link).is_file(), (file, link)
        assert not re.search(r"/events|/wall|page\.js|data-beat=", html)


async def test_a_copy_has_what_was_told_and_leads_to_it(
    database: Database, sqlite_url: str, tmp_path: Path
) -> None:
    changes, now = Changes(database), from_seconds(datetime.now(UTC).timestamp())
    incidents, maintenances = Incidents(changes), Maintenances(changes)
    over = await incidents.post(MEI, now, NewIncident(title="Slow search", words="We **look**."))
    await incidents.resolve(MEI, now, over.id, "It works.")
    await incidents.post(MEI, now, NewIncident(title="Not yet", words="A thought.", draft=True))
    hour = timedelta(hours=1)
    work = NewMaintenance(
        title="Move", words="Minutes.", components=("api",), starts=now + hour, ends=now + 2 * hour
    )
    planned = await maintenances.schedule(MEI, now, work)
    # What goes on or is to come, a copy knows as the board does: when it has been told.
    recorder = Recorder(database)
    await recorder.load()
    await record_all(recorder, [("99-0", MaintenanceChange(at=now, maintenance=planned))])
    folder = tmp_path / "site"
    await _export(database, config_for(sqlite_url), folder)
    told = (folder / f"incidents/{over.id}/index.html").read_text()
    assert "<h1>Slow search</h1>" in told and "<strong>look</strong>" in told and "It works." in told
    assert (folder / f"maintenances/{planned.id}/index.html").is_file()
    assert f'href="./incidents/{over.id}/index.html"' in (folder / "index.html").read_text()
    assert f'href="../incidents/{over.id}/index.html"' in (folder / "history/index.html").read_text()
    for file in folder.rglob("*.html"):
        html = file.read_text()
        assert "A thought." not in html
        for link in re.findall(r'(?:href|src)="(?!data:)([^"#]+)', html):
            assert (file.parent / link).is_file(), (file, link)


async def test_a_copy_may_be_read_while_the_next_is_written(
    database: Database, sqlite_url: str, tmp_path: Path
) -> None:
    folder, config = tmp_path / "site", config_for(sqlite_url)
    await _export(database, config, folder)
    torn: list[str] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            if not (html := (folder / "index.html").read_text()).rstrip().endswith("</html>"):
                torn.append(html)

    reader = threading.Thread(target=read)
    reader.start()
    for every in (10, 20, 30, 40):
        await _export(database, config, folder, every)
    over.set()
    reader.join()
    assert torn == []
    assert list(folder.rglob(".new-*")) == []


async def test_what_is_gone_from_the_page_is_gone_from_the_folder_and_nothing_else_is(
    database: Database, sqlite_url: str, tmp_path: Path
) -> None:
    folder, config = tmp_path / "site", config_for(sqlite_url)
    await _export(database, config, folder)
    (folder / "own.txt").write_text("mine")
    (tmp_path / "precious").write_text("mine")
    manifest = folder / ".statuswire-export"
    manifest.write_text(manifest.read_text().replace("[", '["components/old/index.html","../precious",', 1))
    (folder / "components/old").mkdir()
    (folder / "components/old/index.html").write_text("ours")
    await _export(database, config, folder)
    assert not (folder / "components/old/index.html").exists()
    assert (folder / "own.txt").read_text() == (tmp_path / "precious").read_text() == "mine"


async def test_copies_are_written_again_and_outlive_the_database(
    database: Database, sqlite_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "site"
    running = asyncio.create_task(export(config_for(sqlite_url), folder, every=0.1))
    try:
        index = folder / "index.html"
        await eventually(index.exists)
        first = index.stat().st_mtime_ns
        await eventually(lambda: index.stat().st_mtime_ns != first)
    finally:
        running.cancel()
    assert "data-until=" in index.read_text()


async def test_a_copy_of_what_nobody_looks_at_any_more_claims_nothing(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with a_database(sqlite_url) as database:
        recorder = Recorder(database)
        await recorder.load()
        long_ago = from_seconds(datetime.now(UTC).timestamp()) - timedelta(hours=1)
        await record_all(
            recorder,
            a_log(a_catalog_change(a_catalog("api"), long_ago), a_change(State.UP, long_ago, "api/http")),
        )
        await _export(database, config_for(sqlite_url), tmp_path / "site")
    html = (tmp_path / "site/index.html").read_text()
    assert "<h1>Not live: no word from the probes</h1>" in html
    assert 'data-live="stale"' in html


async def test_a_copy_greys_when_no_newer_one_comes(
    browser: Browser, database: Database, sqlite_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "site"
    await _export(database, config_for(sqlite_url), folder, every=0.7)
    # Modules are not loaded from files, so a web host it is.
    server = await asyncio.start_server(_host(folder), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/index.html"
    async with server, screen(browser, url, live=False) as visit:
        assert await visit.live() == "copy"
        assert await visit.colours()
        await visit.until("stale")
        assert await visit.page.is_visible(".lifeless")
        assert (await visit.page.title()).startswith("◷")
        await eventually(visit.is_colourless)
        assert visit.complaints == []


def _host(folder: Path):  # type: ignore[no-untyped-def]
    types = {".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml"}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        file = folder / path.lstrip("/")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {types[file.suffix]}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + file.read_bytes())
        await writer.drain()
        writer.close()

    return serve


@pytest.mark.parametrize("every", ["30", "1s", "2d", "soon"])
def test_a_wrong_pace_is_one_line(every: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path), "--every", every, "--data", str(tmp_path)]) == 2
    assert "such as 30s or 5m" in capsys.readouterr().err


async def test_a_page_with_a_door_is_not_written_and_what_was_is_removed(
    sqlite_url: str, tmp_path: Path
) -> None:
    """Nobody would ask for a password before a plain file."""
    folder = tmp_path / "site"
    await write(folder, [("index.html", b"from when it was public")])
    async with a_database(sqlite_url) as database:
        closed = a_catalog(a_component("api"), page=Page(name="Acme Status", access="signed-in"))
        recorder = Recorder(database)
        await recorder.load()
        now = from_seconds(datetime.now(UTC).timestamp())
        await record_all(recorder, a_log(a_catalog_change(closed, now)))
    with pytest.raises(NotPublic, match="files have no door"):
        await export(config_for(sqlite_url), folder, None)
    assert list(folder.rglob("*.html")) == []
