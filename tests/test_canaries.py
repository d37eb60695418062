"""A word that nobody else would say, in each place that is not for the public; then what pages, answers,
frames, metrics, files, logs and guessed addresses say, and the word is in none of it."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from urllib.parse import quote

import httpx
import pytest
import websockets
from litestar.routes import HTTPRoute
from msgspec import Struct

from app import outbox
from app.db.change import Changes
from app.db.engine import connect
from app.db.incidents import Incidents
from app.db.interventions import Interventions
from app.db.maintenances import Maintenances
from app.domain.actor import Actor
from app.domain.incident import Affected, NewIncident, NewUpdate
from app.domain.instant import from_seconds
from app.domain.maintenance import NewMaintenance
from app.domain.status import Status
from app.feed import Feed
from app.pages.export import draw_all
from app.pages.static import FILES, RELEASE
from app.security.scopes import PUBLIC
from tests.conftest import eventually
from tests.people import CHEAP, House
from tests.rows import config_for, rows
from tests.services import Valkey, Web, Worker, at_the_console
from tests.targets import listening, saying

pytest_plugins = ["tests.databases"]

CANARY = "xanary"
FOUND = re.compile(rb".{0,60}xanary.{0,60}", re.IGNORECASE | re.DOTALL)
ACTOR = Actor("user", f"{CANARY}-user@example.org", "203.0.113.9", "Mei")
ANSWER = (
    f"HTTP/1.1 500 {CANARY}-phrase\r\nX-Secret: {CANARY}-header\r\nContent-Length: 11\r\n\r\n{CANARY}-body"
).encode()


def file_of(port: int) -> dict[str, object]:
    target = f"http://127.0.0.1:{port}/{CANARY}-path?key={CANARY}-query"
    headers = {"Authorization": "Bearer ${SECRET}", "X-Tag": f"{CANARY}-tag"}
    monitor = {"http": target, "every": "1s", "headers": headers, "expect": {"body": f"{CANARY}-pattern"}}
    secret = {"name": f"{CANARY} hidden", "slug": f"{CANARY}-hidden", "description": f"{CANARY} words"}
    vault = {"name": f"{CANARY} vault", "slug": f"{CANARY}-vault"}
    hashed = CHEAP.hash(f"{CANARY} password")
    locked = {"slug": "locked", "name": "For partners", "access": "password", "password_hash": hashed}
    return {
        "page": {"name": "Acme", "groups": ["Shop"]},
        "incidents": [{"name": f"{CANARY} rule", "after": "1s"}],
        "pages": [
            {
                "slug": "inner",
                "name": f"{CANARY} page",
                "access": "signed-in",
                "groups": [f"{CANARY} group"],
                "footer": f"{CANARY} footer",
            },
            {**locked, "groups": [f"{CANARY} group"], "footer": f"{CANARY} footer"},
        ],
        "groups": [
            {
                "name": "Shop",
                "components": [
                    {"name": "Website", "monitors": [{**monitor, "slug": f"{CANARY}-monitor"}]},
                    {**secret, "hidden": True, "monitors": [{**monitor, "slug": "m2"}]},
                ],
            },
            {"name": f"{CANARY} group", "components": [{**vault, "monitors": [{**monitor, "slug": "m3"}]}]},
        ],
    }


class Installation(Struct):
    """`wall` is the address that was given to a screen, `ids` are those of incidents and maintenances."""

    web: Web
    worker: Worker
    wall: str
    ids: list[str]


@pytest.fixture(scope="module")
async def installation() -> AsyncIterator[Installation]:
    """With a worker that finds the target failing, and all that people have said."""
    async with listening(saying(ANSWER)) as target:
        with Valkey() as valkey, Web(valkey.start().url, STATUSWIRE_BEAT="0.4") as web:
            config = web.folder / "statuswire.yaml"
            config.write_text(json.dumps(file_of(int(target.url.rpartition(":")[2].strip("/")))))
            with Worker(valkey.url, config, SECRET=f"{CANARY}-environment", STATUSWIRE_BEAT="0.4") as worker:
                web.start()
                worker.start()
                await eventually(lambda: b'data-status="major_outage"' in web.get("/")[1], within=30)
                await say_everything(web, valkey.url)
                at_the_console(web, "user", "add", f"{CANARY}@example.org", "--name", f"{CANARY} name")
                at_the_console(web, "token", "create", f"{CANARY} token", "--scope", "admin")
                wall = at_the_console(web, "token", "create", f"{CANARY} wall", "--wall")["path"]
                database = await connect(config_for(web.database_url))
                every = "SELECT id FROM incidents UNION SELECT id FROM maintenances"
                ids = [row["id"] for row in await rows(database, every)]
                await database.close()
                yield Installation(web, worker, wall, ids)


async def say_everything(web: Web, redis_url: str) -> None:
    changes = Changes(await connect(config_for(web.database_url)))
    now = from_seconds(datetime.now(UTC).timestamp())
    incidents, feed = Incidents(changes), Feed(redis_url, beat=0.4)
    # The rule has told of all three, before anybody else does.
    told = "SELECT COUNT(DISTINCT component) AS n FROM incident_components"

    async def is_told() -> bool:
        return bool((await rows(changes.database, told))[0]["n"] == 3)

    await eventually(is_told, within=30)
    hidden, vault = (Affected(f"{CANARY}-{name}", Status.MAJOR) for name in ("hidden", "vault"))
    seen = await incidents.post(
        ACTOR,
        now,
        NewIncident(title="It fails", words="We look.", components=(Affected("website"), hidden, vault)),
    )
    await incidents.update(ACTOR, now, seen.id, NewUpdate(words=f"{CANARY} note", private=True))
    await incidents.update(ACTOR, now, seen.id, NewUpdate(words="We still look."))
    await incidents.acknowledge(ACTOR, now, seen.id)
    for words, affected, draft in (
        (f"{CANARY} draft", "website", True),
        (f"{CANARY} story", hidden.slug, False),
    ):
        new = NewIncident(
            title=words,
            words=words,
            components=(Affected(affected),),
            draft=draft,
        )
        await incidents.post(ACTOR, now, new)
    planned = NewMaintenance(
        title=f"{CANARY} plan",
        words=f"{CANARY} plan",
        starts=now + timedelta(hours=1),
        ends=now + timedelta(hours=2),
        components=(vault.slug,),
    )
    await Maintenances(changes).schedule(ACTOR, now, planned)
    await Interventions(changes).acknowledge(ACTOR, now, vault.slug, f"{CANARY} on it")
    for slug in (hidden.slug, vault.slug):
        await Interventions(changes).override(ACTOR, now, slug, Status.MAJOR, f"{CANARY} by hand")
    await outbox.empty(changes, feed)
    await feed.close()
    await changes.database.close()


@pytest.mark.parametrize("wanted", ["hidden", "vault", "nothing"])
async def test_who_guesses_its_name_learns_nothing_of_it(installation: Installation, wanted: str) -> None:
    """The same answer as for what there is not, but for the name that was asked for."""
    web = installation.web
    async with httpx.AsyncClient(base_url=web.url) as client:
        for path in (f"/components/{CANARY}-{wanted}", f"/badge/{CANARY}-{wanted}.svg"):
            assert (await client.get(path)).status_code == 404
        body = await first_frames(web, f"?components={CANARY}-{wanted}")
        assert json.loads(body[0])["components"] == []
        nothing = await first_frames(web, "?components=nothing-at-all")
        assert json.loads(body[0])["status"] == json.loads(nothing[0])["status"]


async def first_frames(web: Web, query: str = "", seconds: float = 0.5) -> list[str]:
    heard: list[str] = []
    async with websockets.connect(f"ws://127.0.0.1:{web.port}/ws{query}") as stream:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    heard.append(str(await stream.recv()))
        except TimeoutError:
            return heard


async def test_the_word_is_in_no_frame(installation: Installation) -> None:
    web = installation.web
    asked = await asyncio.gather(
        *(first_frames(web, query, 5) for query in ("", "?wall=1", "?components=website", "?since=0-1"))
    )
    assert [found for frames in asked for frame in frames for found in FOUND.findall(frame.encode())] == []
    assert all(frames for frames in asked)


async def test_the_word_is_in_no_log_where_it_is_a_secret(installation: Installation) -> None:
    """Names stand there, for operators; what opens something does not."""
    said = (installation.web.logs + installation.worker.logs).encode()
    secret = re.compile(rf"{CANARY}(-environment|-query|-body|-header| note)".encode())
    assert [found for found in FOUND.findall(said) if secret.search(found)] == []


def places(house: House, installation: Installation) -> Iterator[tuple[str, list[str]]]:
    """The address of each route that can be looked at, with everything that there is for what it asks for;
    and what the address itself says. Of one that is closed, one address says that."""
    known = {
        "slug": ["website", f"{CANARY}-hidden", f"{CANARY}-vault", "nothing", "inner", "locked"],
        "page": ["inner", "locked", "nothing"],
        "id": [*installation.ids, "nothing"],
        "name": [*FILES, "nothing"],
        "release": [RELEASE],
        "token": [installation.wall.rpartition("/")[2], "nothing"],
    }
    for route in house.server.app.routes:
        if not isinstance(route, HTTPRoute) or "GET" not in route.methods:
            continue
        named = [part for part in route.path_components if not isinstance(part, str)]
        chosen = product(*(known.get(part.name, ["nothing"]) for part in named))
        is_public = all(handler.opt.get("scope", PUBLIC) == PUBLIC for handler in route.route_handlers)
        for values in chosen if is_public else [next(chosen)]:
            left = iter(values)
            parts = (part if isinstance(part, str) else quote(next(left)) for part in route.path_components)
            yield "/" + "/".join(parts), list(values)


async def test_the_word_is_on_no_page_and_in_no_answer(installation: Installation, light: House) -> None:
    """Each address that the server has, asked by somebody whom nobody knows."""
    leaks, codes = [], []
    async with httpx.AsyncClient(base_url=installation.web.url) as client:
        for path, said in places(light, installation):
            answer = await client.get(path, headers={"accept": "text/html"})
            codes.append(answer.status_code)
            text = answer.content + repr(answer.headers.raw).encode()
            for value in said:
                # That the word comes back to whoever said it tells them nothing.
                text = text.replace(value.encode(), b"")
            leaks += [(path, found) for found in FOUND.findall(text)]
    assert leaks == []
    assert set(codes) == {200, 303, 401, 404}, codes
    assert codes.count(200) > 40


async def test_the_word_is_in_no_file_of_a_copy(installation: Installation) -> None:
    config = config_for(installation.web.database_url)
    database = await connect(config)
    copies = [copy async for copy in draw_all(config, database, None)]
    await database.close()
    assert [(path, found) for path, content in copies for found in FOUND.findall(content)] == []
    assert any(b"Website" in content for _, content in copies)
