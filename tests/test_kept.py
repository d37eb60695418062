"""A page that is kept is the page: by two doors to one server, of which one gives what is kept and the other
asks Litestar each time, nobody can tell which is which; and what is not true any more is given by neither.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from litestar import Request
from msgspec.structs import replace

from app import metrics
from app.db.engine import Database
from app.db.history import History
from app.db.incidents import Incidents
from app.domain.board import Board
from app.domain.events import IncidentChange, Logged
from app.domain.incident import Impact, Incident, IncidentStatus, NewIncident, Update
from app.domain.instant import to_ms
from app.domain.monitor import Catalog, Page
from app.domain.standing import State
from app.feed import Heard
from app.live import handover
from app.live.crowd import Doorstep
from app.live.handover import door
from app.live.hub import Hub
from app.pages.kept import _LOOKED_AT, _NOT_LOOKED_AT, Kept, offer
from app.pages.past import Past
from tests.conftest import eventually
from tests.make import (
    NOON,
    a_batch,
    a_beat,
    a_catalog,
    a_catalog_change,
    a_change,
    a_component,
    a_sample,
    after,
)
from tests.people import CONSOLE, House
from tests.test_cached import HASH

pytest_plugins = ["tests.databases"]

HOST = "status.example"
MAIN = Page(name="Acme")
PAGES = (
    Page(slug="pay", name="Pay", hosts=("pay.example",), components=("pay",), accent="#0b6bcb"),
    Page(slug="secure", url="https://secure.example", hosts=("secure.example",)),
    Page(slug="inner", access="password", password_hash=HASH),
    Page(slug="staff", access="signed-in"),
)
CATALOG = a_catalog(a_component("api"), a_component("pay"), page=MAIN, pages=PAGES)

Answer = tuple[bytes, list[bytes], bytes]


class Doors:
    """One server with two doors: `kept` gives what is kept, and behind `plain` each request goes the whole
    way. Its clock stands still."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.clock = NOON.timestamp()
        self.hub = Hub(5.0, wall_clock=lambda: self.clock, monotonic=lambda: self.clock)
        self.server = House(database, folder, self.hub).server
        self.kept = self.plain = 0
        self._said = 0
        self.begin()

    def begin(self) -> None:
        """An hour later all is well again."""
        self.wait(3600)
        self.hub.bad_file = False
        self.hub.link(True)
        self.hub.restore(Board(CATALOG, NOON), f"{to_ms(NOON)}-{self._said}")
        self.hear(*(a_change(State.UP, monitor=f"{slug}/http") for slug in ("api", "pay")))

    def hear(self, *events: Logged) -> None:
        for event in events:
            self._said += 1
            self.hub.hear(Heard(f"{to_ms(NOON)}-{self._said}", event))

    def adopt(self, catalog: Catalog) -> None:
        self.hear(a_catalog_change(catalog))

    def wait(self, seconds: float) -> None:
        """In which workers are heard."""
        self.clock += seconds
        self.hub.hear(Heard("", a_beat(at=self.hub.now())))

    async def is_kept(self, said: bytes) -> bool:
        """Whether this was answered without Litestar."""
        before = given()
        await ask(self.kept, said)
        return given() > before

    async def keep(self, said: bytes) -> Answer:
        """What is given from now on, once it is packed as well as can be."""

        async def is_settled() -> bool:
            return not self.is_packing and await self.is_kept(said)

        await eventually(is_settled)
        assert await self.is_kept(said)
        return await ask(self.kept, said)

    @property
    def is_packing(self) -> bool:
        return any("_pack_better" in repr(task) for task in asyncio.all_tasks())


def given() -> float:
    return metrics.REGISTRY.get_sample_value("statuswire_kept_given_total") or 0.0


@pytest.fixture
async def doors(sqlite_database: Database, tmp_path: Path) -> AsyncIterator[Doors]:
    its = Doors(sqlite_database, tmp_path)
    kept = door(Doorstep(100), its.server.kept.find)
    async with serving(its, kept) as its.kept, serving(its, door(Doorstep(100))) as its.plain:
        yield its


@asynccontextmanager
async def serving(doors: Doors, http: Any, **settings: Any) -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        given = {"http": http, "lifespan": "off", "log_config": None, "server_header": False} | settings
        server = uvicorn.Server(uvicorn.Config(doors.server.app, **given))
        task = asyncio.create_task(server._serve([listening]))
        await eventually(lambda: server.started)
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = server.force_exit = True
            await task


def asking(
    target: str = "/", *lines: str, method: str = "GET", host: str = f"host: {HOST}", http: str = "1.1"
) -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/{http}", host, *lines, "", ""]).encode("latin-1")


async def ask(port: int, said: bytes) -> Answer:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(said)
        async with asyncio.timeout(10):
            found = await answer(reader, said)
            if said.startswith(b"HEAD"):
                # And nothing is behind it.
                writer.write(asking("/health/live"))
                assert (await answer(reader))[0] == b"HTTP/1.1 200 OK"
            return found
    finally:
        writer.close()


async def answer(reader: asyncio.StreamReader, said: bytes = b"GET") -> Answer:
    """The status, the headers but the date, in their order, and the body."""
    status, *lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
    headers = [line for line in lines if not line.startswith(b"date: ")]
    # It stands behind the status, as uvicorn writes it.
    assert len(headers) == len(lines) - 1 and lines[0].startswith(b"date: ")
    length = next((int(line[16:]) for line in headers if line.startswith(b"content-length: ")), 0)
    has_body = not said.startswith(b"HEAD") and b" 304 " not in status
    return status, headers, await reader.readexactly(length if has_body else 0)


def tag_of(answer: Answer) -> str:
    return next(line[6:].decode() for line in answer[1] if line.startswith(b"etag: "))


BROWSER = (
    "User-Agent: Mozilla/5.0",
    "Accept: text/html,*/*;q=0.8",
    "Accept-Encoding: gzip, deflate, br",
    "Accept-Language: en-GB,en;q=0.9",
    "Sec-Fetch-Mode: navigate",
    "Connection: keep-alive",
)
KEPT = {
    "nothing but the page": asking(),
    "as a browser asks": asking("/", *BROWSER),
    "gzip": asking("/", "accept-encoding: gzip"),
    "no brotli": asking("/", "accept-encoding: br;q=0, gzip"),
    "anything": asking("/", "accept-encoding: *"),
    "German": asking("/", "accept-language: de-CH, en;q=0.5"),
    "Arabic by the address": asking("/?lang=ar", *BROWSER),
    "a language that there is not": asking("/?lang=tlh"),
    "what nobody reads": asking("/?utm_source=mail&x=%00"),
    "another range": asking("/?range=30d"),
    "no range": asking("/?range=nothing"),
    "the head alone": asking(method="HEAD"),
    "the head alone, packed": asking("/", *BROWSER, method="HEAD"),
    "a component": asking("/components/api", *BROWSER),
    "the past": asking("/history"),
    "another month": asking("/history?month=2025-12"),
    "another page by its slug": asking("/p/pay", *BROWSER),
    "a component of another page": asking("/p/pay/components/pay"),
    "the past of another page": asking("/p/pay/history"),
    "another page by its host": asking("/", *BROWSER, host="host: pay.example"),
    "another page by its host and port": asking("/", host="HOST: PAY.example:8000"),
    "a page for TLS alone": asking("/", host="host: secure.example"),
    "no host": asking("/", host="accept: */*"),
    "an escaped address": asking("/p/p%61y"),
    "a slash more": asking("/history/"),
    "any tag": asking("/", "if-none-match: *"),
    "an old tag": asking("/", 'if-none-match: W/"0123", "4567"'),
    "from afar": asking("/", "x-forwarded-for: 198.51.100.7"),
    "from near by a near proxy": asking("/", "x-forwarded-for: 10.0.0.7", "x-real-ip: 10.0.0.7"),
    "from who knows where": asking("/", "x-real-ip: nowhere"),
}
NEVER = {
    "a cookie": asking("/", "cookie: statuswire=x"),
    "any cookie": asking("/", "cookie: theme=dark"),
    "a token": asking("/", "authorization: Bearer sw_x"),
    "a part": asking("/", "range: bytes=0-9"),
    "since when": asking("/", "if-modified-since: Sat, 31 Jan 2026 12:00:00 GMT"),
    "another site": asking("/", "origin: https://evil.example"),
    "who it is for, in the newer way": asking("/", "forwarded: for=198.51.100.7"),
    "a header that nobody knows": asking("/", "x-nobody-knows: this"),
    "two hosts": asking("/", "host: pay.example"),
    "two languages": asking("/", "accept-language: de", "accept-language: fr"),
    "two for whom it is": asking("/", "x-forwarded-for: 10.0.0.7", "x-forwarded-for: 198.51.100.7"),
    "an empty body": asking("/", "content-length: 0"),
    "a body": asking("/", "content-length: 2") + b"ok",
    "a body in chunks": asking("/", "transfer-encoding: chunked") + b"2\r\nok\r\n0\r\n\r\n",
    "to be told to go on": asking("/", "expect: 100-continue", "x-y: z"),
    "the end of the connection": asking("/", "connection: close"),
    "HTTP/1.0": asking(http="1.0"),
    "the whole URL": asking("http://pay.example/"),
    "a question mark alone": asking("/?"),
    "another method": asking(method="POST"),
    "which methods": asking(method="OPTIONS"),
    "a page with a password": asking("/p/inner"),
    "a component behind a password": asking("/p/inner/components/api"),
    "a page for who is signed in": asking("/p/staff"),
    "no page": asking("/p/nothing"),
    "nothing": asking("/nothing"),
    "no component": asking("/components/nothing"),
    "no incident": asking("/incidents/nothing"),
    "a NUL": asking("/components/a%00pi"),
    "the wall": asking("/wall"),
    "health": asking("/health/live"),
    "a form": asking("/login"),
    "an address of the API": asking("/v1/openapi.json"),
}


async def test_what_is_kept_is_what_litestar_would_say(doors: Doors) -> None:
    asked = list(KEPT.values())
    tags = [tag_of(await doors.keep(each)) for each in asked]
    # And who has it is told so.
    asked += [
        each.removesuffix(b"\r\n") + f"if-none-match: {tag}\r\n\r\n".encode()
        for each, tag in zip(asked, tags, strict=True)
        if b"if-none-match" not in each
    ]
    for each in asked:
        await doors.keep(each)
    # All by one door before any by the other, which would put right what is kept.
    before = given()
    kept = [await ask(doors.kept, each) for each in asked]
    assert given() - before == len(asked)
    for each, answer in zip(asked, kept, strict=True):
        assert answer == await ask(doors.plain, each), each
    assert {answer[0] for answer in kept} == {b"HTTP/1.1 200 OK", b"HTTP/1.1 304 Not Modified"}


async def test_what_is_packed_better_is_given_to_all_who_come_after(doors: Doors) -> None:
    first = await ask(doors.kept, asking("/", *BROWSER))
    assert doors.is_packing

    async def is_smaller() -> bool:
        return len((await ask(doors.kept, asking("/", *BROWSER)))[2]) < len(first[2])

    await eventually(is_smaller)


async def test_what_is_not_asked_plainly_goes_the_whole_way(doors: Doors) -> None:
    # What could be taken for it is kept.
    for said in (asking(), asking(host="host: pay.example"), asking(method="HEAD")):
        await doors.keep(said)
    for case, said in NEVER.items():
        before = given()
        answers = [await ask(port, said) for port in (doors.kept, doors.kept, doors.plain)]
        assert given() == before, case
        assert answers[0] == answers[1] == answers[2], case


async def test_what_is_not_looked_at_changes_nothing(doors: Doors) -> None:
    plain = await ask(doors.plain, asking())
    for name in set(_NOT_LOOKED_AT) - {"connection"}:
        for value in ("x", "https", "no-cache", "evil.example", "de;q=1"):
            assert await ask(doors.plain, asking("/", f"{name}: {value}")) == plain, name
    assert not {"cookie", "authorization", "forwarded", "origin", "range"} & set(_NOT_LOOKED_AT)
    assert not set(_NOT_LOOKED_AT) & {name.decode() for name in _LOOKED_AT}


def an_incident(**other: Any) -> IncidentChange:
    said = Update(n=1, at=NOON, status="investigating", words="We look.")
    told = {"id": "i", "title": "Cards fail", "status": IncidentStatus.INVESTIGATING, "impact": Impact.MINOR}
    made = Incident(**{**told, "since": NOON, "updated": NOON, "updates": (said,), **other})  # type: ignore[arg-type]
    return IncidentChange(at=NOON, incident=made)


def a_main(**other: Any) -> Catalog:
    return replace(CATALOG, page=replace(MAIN, **other))


CHANGES: dict[str, Callable[[Doors], object]] = {
    "a component goes down": lambda doors: doors.hear(a_change(State.DOWN, after(1), "api/http")),
    "an incident is told": lambda doors: doors.hear(an_incident()),
    "a component gets another name": lambda doors: doors.adopt(
        replace(CATALOG, components=(a_component("api", name="Gateway"), a_component("pay")))
    ),
    "a page gets another name": lambda doors: doors.adopt(a_main(name="Acme & Co")),
    "a page gets another accent": lambda doors: doors.adopt(a_main(accent="#aa0000")),
    "a page gets a password": lambda doors: doors.adopt(a_main(access="password", password_hash=HASH)),
    "a page is for who is signed in": lambda doors: doors.adopt(a_main(access="signed-in")),
    "another page takes the host": lambda doors: doors.adopt(
        replace(CATALOG, pages=(replace(PAGES[0], hosts=(HOST,)), *PAGES[1:]))
    ),
    "a host is for TLS alone": lambda doors: doors.adopt(
        replace(CATALOG, pages=(replace(PAGES[0], url=f"https://{HOST}"), *PAGES[1:]))
    ),
    "the feed is lost": lambda doors: doors.hub.link(False),
    "no worker is heard": lambda doors: setattr(doors, "clock", doors.clock + 20),
    "the minute is over": lambda doors: doors.wait(60),
    "the clock is set back": lambda doors: setattr(doors, "clock", doors.clock - 60),
    "the file is a bad one": lambda doors: setattr(doors.hub, "bad_file", True),
    "the board is another one": lambda doors: doors.hub.restore(
        Board(a_catalog("api", page=MAIN), NOON), "9-0"
    ),
}


async def test_what_is_not_true_any_more_is_not_given(doors: Doors) -> None:
    said = [asking("/", *BROWSER), asking(method="HEAD")]
    for case, change in CHANGES.items():
        doors.begin()
        before = [await doors.keep(each) for each in said]
        tagged = asking("/", *BROWSER, f"if-none-match: {tag_of(before[0])}")
        assert (await doors.keep(tagged))[0].endswith(b" 304 Not Modified"), case
        change(doors)
        for each in (tagged, *said):
            assert not await doors.is_kept(each), case
        now = [await ask(doors.kept, each) for each in said]
        assert all(one[:2] != other[:2] for one, other in zip(now, before, strict=True)), case
        assert now[1] == await ask(doors.plain, said[1]), case


async def test_another_page_takes_its_place_at_once(doors: Doors) -> None:
    """Also where only the page that is not there any more was ever asked for."""
    asked = asking("/p/pay")
    await doors.keep(asked)
    doors.adopt(replace(CATALOG, pages=()))
    assert (await ask(doors.kept, asked))[0] == b"HTTP/1.1 404 Not Found"


async def test_what_was_measured_is_no_reason_to_ask_again(doors: Doors) -> None:
    await doors.keep(asking())
    doors.hear(a_batch(a_sample(at=after(1), took=80.0)))
    assert await doors.is_kept(asking())


async def test_the_past_is_asked_again_as_soon_as_it_would_be(doors: Doors) -> None:
    for target, seconds in (("/", 5), ("/history", 5), ("/components/api", 5)):
        await doors.keep(asking(target))
        doors.wait(seconds - 0.1)
        assert await doors.is_kept(asking(target)), target
        doors.wait(0.2)
        assert not await doors.is_kept(asking(target)), target


async def test_the_past_is_read_again_when_the_clock_was_set_back(sqlite_database: Database) -> None:
    """Or it would stand still for as long as the clock was set back."""
    past = Past(History(sqlite_database))
    assert await past.first_seen(NOON) == {}
    async with sqlite_database.writing() as transaction:
        await transaction.execute(
            "INSERT INTO spans (component, status, since) VALUES ('api', 'operational', {})", to_ms(NOON)
        )
    assert await past.first_seen(after(59)) == {}
    assert await past.first_seen(after(-3600)) == {"api": NOON}


async def test_an_incident_is_read_for_each_who_asks(doors: Doors) -> None:
    new = NewIncident(title="Cards fail", words="We look.")
    incident = await Incidents(doors.server.changes).post(CONSOLE, NOON, new)
    doors.hear(IncidentChange(at=NOON, incident=incident))
    await doors.keep(asking())
    told = asking(f"/incidents/{incident.id}")
    for _ in range(3):
        assert not await doors.is_kept(told)
    assert b"We look." in (await ask(doors.kept, told))[2]


async def test_nobody_is_given_what_is_for_another_place(doors: Doors) -> None:
    """Operators are told of a bad file where they are near, and nobody else."""
    doors.hub.bad_file = True
    near = asking("/", "x-forwarded-for: 10.0.0.7")
    far = asking("/", "x-forwarded-for: 198.51.100.7")
    one = await doors.keep(near)
    other = await ask(doors.kept, far)
    assert b"config file has mistakes" in one[2] and b"config file has mistakes" not in other[2]


# What the door has to do


async def heard(port: int, *parts: bytes) -> list[Answer]:
    """Said in pieces, on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.01)
        count = b"".join(parts).count(b"HTTP/1.1\r\n")
        async with asyncio.timeout(10):
            return [await answer(reader) for _ in range(count)]
    finally:
        writer.close()


async def test_answers_come_in_the_order_of_their_requests(doors: Doors) -> None:
    kept, whole = asking(), asking("/p/pay", "x-nobody-knows: this")
    both = await doors.keep(kept), await ask(doors.plain, whole)
    for order in ([kept, whole, kept], [whole, kept, kept], [kept, kept, whole, kept, whole]):
        expected = [both[each is whole] for each in order]
        said = b"".join(order)
        assert await heard(doors.kept, said) == expected
        assert await heard(doors.kept, *order) == expected
        assert await heard(doors.kept, *(said[at : at + 7] for at in range(0, len(said), 7))) == expected


async def test_who_has_their_answer_may_ask_again_later_and_is_let_go_without_a_word(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "HEAD_SECONDS", 1.0)
    kept = await doors.keep(asking())
    its = door(Doorstep(100), doors.server.kept.find)
    async with serving(doors, its, timeout_keep_alive=2) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(asking())
            assert await answer(reader) == kept
            await asyncio.sleep(0.2)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
        # Who has begun with another has but the time of a head.
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(asking() + b"GET / HT")
        assert await answer(reader) == kept
        async with asyncio.timeout(5):
            assert b" 408 " in await reader.read()
        writer.close()


async def test_a_stream_that_is_asked_for_in_the_same_breath_stays_open(doors: Doors) -> None:
    await doors.keep(asking())
    its = door(Doorstep(100), doors.server.kept.find)
    lines = ("connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13")
    async with serving(doors, its, timeout_keep_alive=0.2) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="
        writer.write(asking() + asking("/ws", *lines, key))
        await answer(reader)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.6):
                while await reader.read(4096):
                    pass
        writer.close()


async def test_who_asks_and_does_not_read_fills_no_memory(doors: Doors) -> None:
    await doors.keep(asking())
    with socket.create_connection(("127.0.0.1", doors.kept)) as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        before, sent = given(), 0
        with suppress(BlockingIOError):
            while sent < 8 * 1024 * 1024:
                sent += sock.send(asking() * 50)
                await asyncio.sleep(0)
        await asyncio.sleep(0.2)
        # The buffers of the kernel, and one of ours.
        assert (given() - before) * len((await ask(doors.plain, asking()))[2]) < 8 * 1024 * 1024


async def test_caps_hold_for_what_is_kept(doors: Doors) -> None:
    await doors.keep(asking())
    its = door(Doorstep(100), doors.server.kept.find)
    async with serving(doors, its, limit_concurrency=2) as port:
        assert (await ask(port, asking()))[0] == b"HTTP/1.1 200 OK"
        _, silent = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.05)
        assert (await ask(port, asking()))[0] == b"HTTP/1.1 503 Service Unavailable"
        silent.close()


async def test_a_server_that_stops_lets_go_of_who_was_given_what_is_kept(doors: Doors) -> None:
    its = door(Doorstep(100), doors.server.kept.find)
    kept = await doors.keep(asking())
    async with serving(doors, its) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(asking())
        assert await answer(reader) == kept
    async with asyncio.timeout(2):
        assert await reader.read() == b""
    writer.close()


# The room


def a_scope(target: str = "/", **headers: str) -> dict[str, Any]:
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "method": "GET",
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("192.0.2.7", 1),
        "state": {},
    }


async def say(kept: Kept, scope: Any, body: bytes = b"page", status: int = 200, **headers: str) -> None:
    said = {"content-length": str(len(body)), "cache-control": "no-cache"} | headers
    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in said.items()]
    await kept.note({"type": "http.response.start", "status": status, "headers": lines}, scope)
    await kept.note({"type": "http.response.body", "body": body, "more_body": False}, scope)


def found(kept: Kept, target: str = "/") -> bool:
    return kept.find(b"GET", target.encode(), [], "192.0.2.7") is not None


async def offered(kept: Kept, target: str = "/", body: bytes = b"page", **other: Any) -> None:
    scope = a_scope(target)
    offer(Request[Any, Any, Any](scope), lambda: True)  # type: ignore[arg-type]
    await say(kept, scope, body, **other)


async def test_what_nobody_offered_or_is_for_one_alone_is_not_kept() -> None:
    kept = Kept()
    await say(kept, a_scope())
    for status in (303, 401, 404, 500, 206):
        await offered(kept, status=status)
    for other in (
        {"cache-control": "private, no-cache"},
        {"cache-control": "no-store"},
        {"set-cookie": "a=b"},
    ):
        await offered(kept, **other)
    assert not found(kept)
    await offered(kept)
    assert found(kept)


async def test_it_is_bounded_in_number_and_in_bytes() -> None:
    few = Kept(most=3)
    for n in range(4):
        await offered(few, f"/?{n}")
    assert [found(few, f"/?{n}") for n in range(4)] == [False, True, True, True]
    small = Kept(most_bytes=2000)
    for n in range(4):
        await offered(small, f"/?{n}", b"x" * 800)
    assert [found(small, f"/?{n}") for n in range(4)] == [False, False, True, True]
    await offered(small, "/?large", b"x" * 3000)
    assert not found(small, "/?large") and found(small, "/?3")
    assert metrics.REGISTRY.get_sample_value("statuswire_kept_answers") == 2
    assert 1600 < (metrics.REGISTRY.get_sample_value("statuswire_kept_bytes") or 0) <= 2000


async def test_who_has_not_been_asked_for_longest_goes_first() -> None:
    kept = Kept(most=2)
    await offered(kept, "/?0")
    await offered(kept, "/?1")
    assert found(kept, "/?0")
    await offered(kept, "/?2")
    assert [found(kept, f"/?{n}") for n in range(3)] == [True, False, True]
