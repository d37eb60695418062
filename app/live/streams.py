"""The two ways out to a screen, `/events` and `/ws`. Both carry the same frames.

Here it is decided who may watch, and how they are reached: the socket leaves ASGI for a Peer, answer and all,
where it can, and frames are carried over ASGI where it cannot.
"""

import asyncio
import random
import re
from collections.abc import Collection, Container, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

import msgspec
from litestar import asgi
from litestar.enums import HttpMethod, ScopeType
from litestar.handlers import ASGIRouteHandler
from litestar.types import Receive, Scope, Send

from app.db.engine import DatabaseDown
from app.domain.audience import PUBLIC, Audience
from app.domain.board import START
from app.domain.events import order
from app.domain.instant import to_ms
from app.domain.pages import MAIN
from app.live.crowd import Crowded
from app.live.frames import Line, chunk
from app.live.handover import CUT, RELEASE, Release
from app.live.hub import Hub
from app.live.peer import BAD_FRAME, SIGN_IN_AGAIN, TOO_SLOW, Peer
from app.live.stream import Stream, carry
from app.security.callers import COOKIE, Caller, Callers, NotRecognised
from app.security.entrance import Entrance, page_of
from app.security.headers import STRICT
from app.security.origin import is_from_elsewhere
from app.security.visitor import LOOPBACK, Network, visitor

FILTER_AT_MOST = 100  # components in one filter

WAIT_STEP = 0.02
WAIT_STEPS = 25
CLOCKS_DIFFER_MS = 5000

FORBIDDEN = 4403
NO_SUCH_PAGE = 4404
NOT_NOW = 1013
PUBLIC_SCOPE = {"scope": "public"}
# How long a browser waits after a break: each its own time, so that they do not come back all at once. It is
# a line of the first event, whatever that is.
RETRY = b"retry: %d\n"

SSE_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # nginx would hold frames back until its buffer is full.
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


_ID = re.compile(r"[0-9]{1,15}-[0-9]{1,15}")
_READ = frozenset((b"authorization", b"cookie", b"host", b"last-event-id", b"origin", b"x-forwarded-for"))


class Refused(Exception):
    """Why a stream is not opened, as a status for HTTP, a code for WebSockets and a sentence for people."""

    def __init__(self, status: int, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.code, self.sentence = status, code, sentence


class Request:
    """What a viewer asked for in the address, checked."""

    def __init__(self, scope: Scope, proxies: Sequence[Network]) -> None:
        asked = _asked(scope["query_string"])
        headers: dict[bytes, str] = {}
        for name, value in scope["headers"]:
            if name in _READ:
                # Each proxy may have added a line of its own.
                before = f"{headers.get(name, '')}," if name == b"x-forwarded-for" else ""
                headers[name] = before + value.decode("latin-1")
        # A browser that comes back by itself sends the address it began with, and the last id it saw.
        since = headers.get(b"last-event-id") or asked.get("since", [""])[-1]
        # An id that never was is no error: its owner may come from another installation. It gets a snapshot.
        self.since = None if not since else since if _ID.fullmatch(since) else START
        wall = asked.get("wall", [""])[-1]
        self.wall = bool(wall)
        # Of a wall that says no more than that it is one, the page is the public one.
        self.wall_token = "" if wall == "1" else wall
        self.is_named = b"authorization" in headers or COOKIE in headers.get(b"cookie", "")
        self.is_program = b"authorization" in headers
        self.caller: Caller | None = None
        self._filters = asked.get("components", [])
        self.page = asked.get("page", [None])[-1]
        self.audience = _audience(self._filters)
        client = scope.get("client")
        forwarded = headers.get(b"x-forwarded-for", "")
        self.address = visitor(client[0] if client else "", forwarded, proxies)
        self._origin = headers.get(b"origin")
        self._host = headers.get(b"host", "")

    def look_at(self, page: str) -> None:
        """At the page of that slug, once it is known that this viewer may see it."""
        if page != self.audience.page:
            self.audience = _audience(self._filters, page)

    def from_elsewhere(self, page_url: str | None) -> bool:
        """True if another web site's script opened this. Programs send no Origin and may see what is
        public."""
        return is_from_elsewhere(self._origin, self._host, page_url)


def _asked(query: bytes) -> dict[str, list[str]]:
    if not query:
        return {}
    try:
        return parse_qs(query.decode("ascii"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        raise Refused(400, BAD_FRAME, "The query of this address cannot be read.") from None


def _audience(filters: Collection[str], page: str = MAIN) -> Audience:
    if not filters and page == MAIN:
        return PUBLIC
    slugs = {slug for given in filters for slug in given.split(",") if slug}
    if not slugs:
        return Audience(page=page)
    if len(slugs) > FILTER_AT_MOST or not all(re.fullmatch(r"[a-z0-9-]{1,80}", slug) for slug in slugs):
        raise Refused(
            400,
            BAD_FRAME,
            f"`components` takes at most {FILTER_AT_MOST} slugs with commas between, such as api,website.",
        )
    return Audience(frozenset(slugs), page)


def routes(
    hub: Hub,
    proxies: Sequence[Network] = LOOPBACK,
    headers: Mapping[str, str] | None = None,
    callers: Callers | None = None,
    entrance: Entrance | None = None,
    strict: Container[str] = (),
) -> list[ASGIRouteHandler]:
    """The two stream routes over one hub. `proxies` are those whose word on their visitors counts; `headers`
    stand in every answer of this server, also where a socket leaves before Litestar could add them;
    `callers` knows those who say who they are, `entrance` who may see which page, and `strict` which hosts
    are for TLS alone."""
    ours = {name.encode(): value.encode() for name, value in (headers or {}).items()} | dict(SSE_HEADERS)
    lines = b"".join([b"%b: %b\r\n" % header for header in ours.items()])
    by_tls = lines + "{}: {}\r\n".format(*STRICT).encode()

    @asgi("/events", is_mount=False, copy_scope=False, opt=PUBLIC_SCOPE)
    async def events(scope: Scope, receive: Receive, send: Send) -> None:
        head = by_tls if strict and _host(scope) in strict else lines
        await _open_events(scope, receive, send, hub, proxies, head, callers, entrance)

    @asgi("/ws", is_mount=False, copy_scope=False, opt=PUBLIC_SCOPE)
    async def socket(scope: Scope, receive: Receive, send: Send) -> None:
        await _open_socket(scope, receive, send, hub, proxies, callers, entrance)

    return [events, socket]


async def _open_events(
    scope: Scope,
    receive: Receive,
    send: Send,
    hub: Hub,
    proxies: Sequence[Network],
    lines: bytes,
    callers: Callers | None,
    entrance: Entrance | None,
) -> None:
    if scope["type"] == ScopeType.WEBSOCKET:
        return await send({"type": "websocket.close", "code": NO_SUCH_PAGE, "reason": ""})
    if scope["method"] != HttpMethod.GET:
        return await _answer(send, 405, "This address is a stream: use GET.", (b"allow", b"GET"))
    try:
        request = Request(scope, proxies)
        await until_heard(hub, request.since)
        await _let_in(scope, request, hub, callers, entrance)
        hub.admit(request.audience, request.address)
    except Refused as refused:
        return await _answer(send, refused.status, refused.sentence)
    except Crowded as crowded:
        after = (b"retry-after", b"%d" % crowded.after)
        return await _answer(send, crowded.status, crowded.sentence, after)
    retry = RETRY % int(random.uniform(500, 5000))
    if scope["http_version"] == "1.0":
        line, greeting = Line.UNCHUNKED_SSE, retry
    else:
        line, greeting = Line.RAW_SSE, chunk(retry)
    if _hand_over(scope, hub, request, line, lines, greeting):
        return
    await send({"type": "http.response.start", "status": 200, "headers": SSE_HEADERS})
    if await _carry_over_asgi(scope, hub, request, Line.SSE, receive, send, retry) != TOO_SLOW:
        with suppress(OSError, RuntimeError):
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _open_socket(
    scope: Scope,
    receive: Receive,
    send: Send,
    hub: Hub,
    proxies: Sequence[Network],
    callers: Callers | None,
    entrance: Entrance | None,
) -> None:
    if scope["type"] == ScopeType.HTTP:
        return await _answer(send, 426, "This address is a WebSocket.", (b"upgrade", b"websocket"))
    await receive()
    try:
        request = Request(scope, proxies)
        if request.from_elsewhere(hub.board.catalog.page.url):
            # Before the upgrade: a script of another site is to learn nothing, not even a close code.
            return await send({"type": "websocket.close", "code": FORBIDDEN, "reason": ""})
        await until_heard(hub, request.since)
        await _let_in(scope, request, hub, callers, entrance)
        hub.admit(request.audience, request.address)
    except (Refused, Crowded) as no:
        # A browser learns no status of a handshake that failed, so the final no is a close code.
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        return await send({"type": "websocket.close", "code": no.code, "reason": no.sentence})
    if _hand_over(scope, hub, request, Line.RAW_WEBSOCKET):
        return
    await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
    code = await _carry_over_asgi(scope, hub, request, Line.WEBSOCKET, receive, send)
    if code != TOO_SLOW:
        with suppress(OSError, RuntimeError):
            await send({"type": "websocket.close", "code": code, "reason": ""})


async def _let_in(
    scope: Scope, request: Request, hub: Hub, callers: Callers | None, entrance: Entrance | None
) -> None:
    """Nothing may be awaited between this and joining: whoever is turned out in that time is not yet on the
    hub's list, and would watch for ever."""
    asked = None
    while asked != hub.turns:
        asked = hub.turns
        if request.wall_token or request.is_named:
            await _recognise(scope, request, callers)
        await _enter(scope, request, hub, entrance)


async def _recognise(scope: Scope, request: Request, callers: Callers | None) -> None:
    """Nobody need say who they are, but a token that is shown must be good. A session that is over shows
    what everybody sees."""
    if callers is None:
        return
    try:
        if request.wall_token:
            _, request.caller = await callers.recognise_wall(request.wall_token, callers.visitor(scope))
        else:
            request.caller = await callers.recognise(scope)
    except NotRecognised as no:
        if request.wall_token or request.is_program:
            code = FORBIDDEN if request.wall_token else SIGN_IN_AGAIN
            raise Refused(401, code, str(no)) from None
    except DatabaseDown:
        raise Refused(503, NOT_NOW, "The database does not answer; try again.") from None


async def _enter(scope: Scope, request: Request, hub: Hub, entrance: Entrance | None) -> None:
    """To the page that is asked for, or to the one of the host name. Not to one that is closed."""
    slug = page_of(hub.board.catalog, request.page, scope)
    if (at := hub.board.page(slug)) is None:
        raise Refused(404, NO_SUCH_PAGE, "There is no such page; leave `page` out for the one at `/`.")
    try:
        if at.page.access != "public" and not (
            entrance is not None and await entrance.admits(at.page, scope, request.caller)
        ):
            raise Refused(401, SIGN_IN_AGAIN, "This page is not for everybody: open it in a browser first.")
    except DatabaseDown:
        raise Refused(503, NOT_NOW, "The database does not answer; try again.") from None
    request.look_at(slug)


async def until_heard(hub: Hub, since: str | None) -> None:
    """A viewer that comes from another server may have heard a little more than we have. It is let in when we
    have heard as much: a snapshot would take it back, and tell it again what it knows. But not for long, and
    not for an id that nobody can have been given."""
    if since is None or order(since)[0] > to_ms(hub.now()) + CLOCKS_DIFFER_MS:
        return
    for _ in range(WAIT_STEPS):
        if order(since) <= order(hub.board.id):
            return
        await asyncio.sleep(WAIT_STEP)


def _hand_over(
    scope: Any, hub: Hub, request: Request, line: Line, lines: bytes = b"", greeting: bytes = b""
) -> bool:
    """True if the socket has left ASGI, and the route is done with it. False where it cannot. `lines` go into
    the head of the answer, `greeting` behind it."""
    release: Release | None = scope.get("extensions", {}).get(RELEASE)
    if release is None:
        return False
    if (released := release(lines)) is not None:
        peer = Peer(released.transport, hub, line, request.wall, released.registry)
        # In the same instant as it was admitted: there is room for it. All leaves in one write.
        hub.join(peer, request.audience, request.since, request.address, released.head + greeting)
        _name(hub, peer, request)
        if released.unread:
            peer.data_received(released.unread)
    return True


async def _carry_over_asgi(
    scope: Any, hub: Hub, request: Request, line: Line, receive: Receive, send: Send, greeting: bytes = b""
) -> int:
    """Until the viewer has gone or is to go: the close code that says why. One that is too slow has been cut
    where that can be done, and must not be sent a farewell: it would be waited for, for ever."""
    stream = Stream(line, request.wall)
    if greeting:
        stream.write(greeting)
    try:
        hub.join(stream, request.audience, request.since, request.address)
        _name(hub, stream, request)
    except Crowded as crowded:  # in the moment since it was admitted
        return crowded.code
    code = await carry(stream, hub, receive, send)
    if code == TOO_SLOW and (cut := scope.get("extensions", {}).get(CUT)) is not None:
        cut()
    return code


def _host(scope: Scope) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")


def _name(hub: Hub, viewer: Peer | Stream, request: Request) -> None:
    if (caller := request.caller) is not None:
        hub.name(viewer, caller.owners, caller.until)


async def _answer(send: Send, status: int, sentence: str, *headers: tuple[bytes, bytes]) -> None:
    body = msgspec.json.encode({"type": "about:blank", "status": status, "detail": sentence})
    content = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*content, *headers]})
    await send({"type": "http.response.body", "body": body, "more_body": False})
