"""Whole answers, kept for whoever asks exactly the same: the door gives them before Litestar has heard of it.

What is kept Litestar has given once, to a request that the guard had let through, and only where the route of
a public page offered it, together with the question whether it would say the same again. That question is
asked each time, so this room need not know what a page depends on.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Final, TypeAlias

from litestar import Request
from litestar.types import Message, Scope
from msgspec import Struct

from app import metrics
from app.security.near import SPOKEN_FOR, are_near

MOST_ANSWERS: Final = 1024
MOST_BYTES: Final = 8 * 1024 * 1024

# What a page looks at in a head, besides who is spoken for.
_LOOKED_AT: Final = (b"host", b"accept-encoding", b"accept-language", b"if-none-match")
_SPOKEN_FOR: Final = tuple(name.encode() for name in SPOKEN_FOR)
# What browsers, programs and proxies say besides, and no page looks at. A head that says anything else goes
# the whole way: a cookie, a token, a body, a range, and what nobody has thought of here.
_NOT_LOOKED_AT: Final = (
    *("accept", "cache-control", "connection", "dnt", "pragma", "priority", "referer", "save-data"),
    *("sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform", "sec-gpc", "sec-purpose", "user-agent"),
    *("sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "sec-fetch-user"),
    *("upgrade-insecure-requests", "via"),
    *("x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "x-forwarded-server", "x-request-id"),
)
_KNOWN: Final = frozenset((*_LOOKED_AT, *_SPOKEN_FOR, *(name.encode() for name in _NOT_LOOKED_AT)))
_METHODS: Final = (b"GET", b"HEAD")

_OFFER: Final = "statuswire.offer"
_BEGUN: Final = "statuswire.begun"

Head: TypeAlias = Sequence[tuple[bytes, bytes]]
Asked: TypeAlias = tuple[object, ...]
IsTrue: TypeAlias = Callable[[], bool]


class Answer(Struct, frozen=True):
    """As it goes over the wire; between the two parts there is room for the date."""

    status: bytes
    rest: bytes
    is_true: IsTrue
    size: int


def offer(request: Request[Any, Any, Any], is_true: IsTrue) -> None:
    """The answer to this request is for everybody, and may be given again for as long as `is_true` says so.
    That holds nothing large: it is kept beside the answer."""
    request.scope["state"][_OFFER] = is_true


class Kept:
    """Bounded in number and in bytes. Who has not been asked for longest goes first."""

    def __init__(self, most: int = MOST_ANSWERS, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._answers: OrderedDict[Asked, Answer] = OrderedDict()
        self._bytes = 0

    def find(self, method: bytes, target: bytes, head: Head, client: str) -> tuple[bytes, bytes] | None:
        """`Answer.status` and `Answer.rest`, if they are still true."""
        key = _asked(method, target, head, client)
        if key is None or (answer := self._answers.get(key)) is None:
            return None
        if not answer.is_true():
            self._drop(key)
            return None
        self._answers.move_to_end(key)
        metrics.KEPT_GIVEN.inc()
        return answer.status, answer.rest

    async def note(self, message: Message, scope: Scope) -> None:
        """What Litestar calls with each part of an answer before it is sent, when all headers are there. The
        start has gone out when the body comes, so that the server has found nothing wrong with it."""
        state = scope.get("state")
        if not state or (is_true := state.get(_OFFER)) is None:
            return
        if message["type"] == "http.response.start":
            state[_BEGUN] = _begun(message)
        elif message["type"] == "http.response.body" and (begun := state.pop(_BEGUN, None)) is not None:
            if not message.get("more_body", False):
                self._keep(scope, begun, message.get("body", b""), is_true)

    def _keep(self, scope: Any, begun: tuple[bytes, bytes], body: bytes, is_true: IsTrue) -> None:
        method, query = scope["method"].encode(), scope["query_string"]
        target = scope["raw_path"] + (b"?" + query if query else b"")
        client = scope["client"][0] if scope["client"] else ""
        if (key := _asked(method, target, scope["headers"], client)) is None:
            return
        status, head = begun
        rest = head if method == b"HEAD" else head + body
        size = len(rest) + sum(len(part) for part in key if isinstance(part, bytes))
        if key in self._answers:
            self._drop(key)
        if size <= self._most_bytes:
            self._answers[key] = Answer(status, rest, is_true, size)
            self._bytes += size
            self._make_room()

    def _make_room(self) -> None:
        """And let go of what is no longer true, where it comes to the end of the row."""
        while self._answers:
            oldest = next(iter(self._answers))
            is_full = len(self._answers) > self._most or self._bytes > self._most_bytes
            if not is_full and self._answers[oldest].is_true():
                break
            self._drop(oldest)
        self._tell()

    def _drop(self, key: Asked) -> None:
        self._bytes -= self._answers.pop(key).size
        self._tell()

    def _tell(self) -> None:
        metrics.KEPT_ANSWERS.set(len(self._answers))
        metrics.KEPT_BYTES.set(self._bytes)


def _asked(method: bytes, target: bytes, head: Head, client: str) -> Asked | None:
    """All that an answer may depend on; None for a request that says what is not known here, or one thing
    twice."""
    said = dict(head)
    if method not in _METHODS or len(said) != len(head) or not said.keys() <= _KNOWN:
        return None
    near = are_near(client, [said[name].decode("latin-1") for name in _SPOKEN_FOR if name in said])
    return (method, target, near, *[said.get(name) for name in _LOOKED_AT])


def _begun(message: Any) -> tuple[bytes, bytes] | None:
    """The status and the lines of an answer that may be kept: the page itself, or that it is the same."""
    status = HTTPStatus(message["status"])
    headers = [(name.lower(), value) for name, value in message["headers"]]
    said = dict(headers)
    whole = status == HTTPStatus.NOT_MODIFIED or (status == HTTPStatus.OK and b"content-length" in said)
    # Twice the same: what is for one alone says so, and sets cookies.
    if not whole or said.get(b"cache-control") != b"no-cache" or b"set-cookie" in said:
        return None
    first = f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
    return first, b"".join([b"%b: %b\r\n" % header for header in headers]) + b"\r\n"
