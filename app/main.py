"""Where the parts of the server are put together, and the only place that knows them all."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Coroutine
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_network
from typing import Any

import structlog
from litestar import Litestar, Router
from litestar.datastructures import MutableScopeHeaders
from litestar.handlers import HTTPRouteHandler
from litestar.types import Message, Scope

from app import metrics, outbox
from app.api import health, heartbeats, schema
from app.api.heartbeats import Heartbeats
from app.api.v1 import routes as v1
from app.api.v1.problem import answer_error
from app.assignment import Assignment
from app.config import Config, own_parts
from app.db.change import Changes
from app.db.engine import Database, connect
from app.db.history import History
from app.db.recorder import Recorder
from app.domain.events import order
from app.due import Attendance
from app.feed import Feed
from app.live import streams, watch
from app.live.crowd import Crowd
from app.live.hub import STALE_BEATS, Hub
from app.live.stage import RESUME_PATCHES
from app.model import Model
from app.pages import account, door, login, public, static, wall
from app.pages.admin import routes as admin
from app.pages.admin.desk import Desk
from app.pages.drawing import EDITION
from app.pages.kept import Kept
from app.security.callers import Callers
from app.security.egress import Egress, Policy
from app.security.entrance import Entrance
from app.security.guard import Guard, refuse_unscoped
from app.security.headers import HEADERS, STRICT, StrictHosts
from app.security.oidc import OpenId
from app.security.passwords import Passwords
from app.security.secrets import read_secrets
from app.security.signin import SignIn, set_up_token
from app.security.throttling import Requests

log = structlog.get_logger("server")

BODY_AT_MOST = 256 * 1024
BAD_FILE = "the file on disk has mistakes or is missing; the last good one runs"


class Server:
    """The running parts, from `opened` on."""

    def __init__(self, config: Config, database: Database, hub: Hub | None = None) -> None:
        assert config.redis_url is not None, "a server needs the URL of a Redis"
        self.config = config
        self.history = History(database)
        self.changes = Changes(database)
        self.model = Model(self.changes, config.config_file.name)
        self.hub = hub or Hub(config.beat, crowd=Crowd(config.max_viewers, config.max_per_address))
        self.hub.build = EDITION
        self.feed = Feed(config.redis_url, beat=config.beat)
        self.recorder = Recorder(database)
        self.attendance = Attendance(self.changes, self.hub)
        self.assignment = Assignment(config.config_file, self.feed, self.hub, self.model)
        self.proxies = [ip_network(given) for given in config.trusted_proxies]
        self.secrets = read_secrets(config)
        self.heartbeats = Heartbeats(self.feed, database, self.secrets, lambda: self.hub.board.catalog)
        self.callers = Callers(database, self.proxies, self.hub.now)
        self.entrance = Entrance(self.secrets, self.callers)
        self.requests = Requests()
        self.kept = Kept()
        self.signin = SignIn(self.changes, self.secrets, Passwords(), self.hub.now)
        # Whom an operator has named may well be in their own network.
        self.egress = Egress(Policy(private=True, own=own_parts(config)))
        self.openid = OpenId(config.oidc, self.egress, self.secrets) if config.oidc else None
        self.app = create_app(self)

    def report(self) -> dict[str, str]:
        feed = self.hub.feed_state
        return {
            "redis": "Redis does not answer" if feed == "down" else "ok",
            "workers": "no worker is heard"
            if feed == "stale"
            else "ok"
            if feed == "ok"
            else "unknown without Redis",
            "database": self.recorder.state,
            # What and where, the log says: this may be read by anybody, and the file names what is inside.
            "config": "ok" if self.assignment.problem is None else BAD_FILE,
        }


@asynccontextmanager
async def opened(config: Config) -> AsyncIterator[Server]:
    """A server that has loaded its board and follows the feed. Raises DatabaseDown if it cannot load one."""
    database = await connect(config)
    server = Server(config, database)
    try:
        await _load(server)
        await _tell_how_to_set_up(server)
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(job, name=name) for name, job in _jobs(server)]
            await _until_linked(server.hub, within=STALE_BEATS * config.beat)
            if server.hub.linked.is_set():
                # All that was said while we were away has been heard, so what is old now is not known any
                # more.
                await watch.call_silent(server.feed, server.hub, time.monotonic())
            try:
                yield server
            finally:
                for task in running:
                    task.cancel()
    finally:
        await server.feed.close()
        await server.egress.close()
        await database.close()


def create_app(server: Server) -> Litestar:
    guard = Guard(server.callers, lambda: server.hub.board.catalog.page.url, server.requests)
    strict = StrictHosts(lambda: server.hub.board.catalog)
    app = Litestar(
        # The streams are public, and look by themselves at who says more: they come by the thousand.
        route_handlers=[
            *streams.routes(server.hub, server.proxies, HEADERS, server.callers, server.entrance, strict),
            *guard.before([*_open_to_all(server), *_behind_a_door(server)]),
        ],
        # Last what keeps an answer as it leaves.
        before_send=[_hardening(strict), server.kept.note],
        exception_handlers={Exception: answer_error},
        request_max_body_size=BODY_AT_MOST,
        openapi_config=None,
        logging_config=None,
    )
    refuse_unscoped(app)
    return app


def _open_to_all(server: Server) -> list[HTTPRouteHandler]:
    """What whoever watches may see, and what jobs say of themselves."""
    hub, entrance, callers = server.hub, server.entrance, server.callers
    return [
        *heartbeats.routes(server.heartbeats, callers),
        *health.routes(server.report),
        *public.routes(hub, server.config, server.history, entrance),
        *door.routes(hub, entrance, callers, server.signin.passwords),
        *wall.routes(hub, server.config, server.history, callers, entrance),
        *static.routes(),
        *schema.routes(),
    ]


def _behind_a_door(server: Server) -> list[Router | HTTPRouteHandler]:
    """What somebody is known by first, and the way in."""
    return [
        *login.routes(server.signin, server.callers, server.openid, server.config, server.hub),
        *account.routes(server.signin, server.callers),
        *v1.routes(
            *(server.changes, server.secrets, server.hub.now, server.model),
            lambda: server.hub.board.catalog,
            server.feed,
        ),
        *admin.routes(
            Desk(server.changes, server.hub, server.model, server.config),
            server.feed,
            server.signin.passwords,
            lambda: server.assignment.problem,
        ),
    ]


def _jobs(server: Server) -> list[tuple[str, Coroutine[Any, Any, None]]]:
    """All that runs for as long as the server does. If one of them fails, the server ends and is started
    anew: a half-working one would look well."""
    return [
        ("listen", watch.listen(server.feed, server.hub, server.recorder.load)),
        ("beat", watch.beat(server.hub)),
        ("cut", watch.cut(server.hub)),
        ("watch", watch.watch(server.feed, server.hub)),
        ("record", server.recorder.run(server.feed)),
        ("attend", server.attendance.attend()),
        ("settle what was said", server.attendance.settle()),
        ("tell", outbox.tell(server.changes, server.feed)),
        ("read", server.assignment.read()),
        ("settle", server.assignment.settle()),
    ]


async def _load(server: Server) -> None:
    await server.heartbeats.open()
    board = await server.recorder.load()
    await server.model.read()
    complete_since, past = await server.history.recent(RESUME_PATCHES)
    # Another server may have recorded more between the two: that is still to come by the feed.
    past = [patch for patch in past if order(patch.id) <= order(board.id)]
    server.hub.restore(board, complete_since or board.id, past)
    metrics.WORKERS.beats = server.hub.workers


async def _tell_how_to_set_up(server: Server) -> None:
    """On the console, and nowhere else: whoever reads that is whoever started it."""
    if server.config.process <= 1 and await server.signin.is_open_for_set_up():
        print(
            f"\nThere is no admin yet. To become the admin, open {server.config.url}/setup and give it\n"
            f"  {set_up_token(server.secrets)}\n",
            flush=True,
        )


async def _until_linked(hub: Hub, within: float) -> None:
    """The first viewers are to see the feed as it is now. Without Redis they see a page that says so."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            await hub.linked.wait()


def _hardening(strict: Container[str]) -> Callable[[Message, Scope], Awaitable[None]]:
    async def harden(message: Message, scope: Scope) -> None:
        if message["type"] != "http.response.start":
            return
        headers = MutableScopeHeaders.from_message(message)
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        # Who means to be kept says so.
        headers.setdefault("cache-control", "no-store")
        if any(name == b"host" and value.decode("latin-1") in strict for name, value in scope["headers"]):
            headers.setdefault(*STRICT)
        handler = scope.get("route_handler")
        # What any web site may read: only what its own server could ask for as well, and nothing that
        # differs for whoever is signed in or near us.
        if handler is not None and handler.opt.get("cors"):
            headers["access-control-allow-origin"] = "*"

    return harden
