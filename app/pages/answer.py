"""How a page leaves: its headers, 304 for who has it already, and one drawing for all who ask at once."""

import asyncio
import base64
import gzip
from collections.abc import Callable
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import msgspec
from litestar import Request, Response
from msgspec import Struct

SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Drawn(Struct, frozen=True):
    """A page, plain and packed, and the tag of what it was drawn from."""

    tag: str
    html: bytes
    packed: bytes


class Press:
    """The last drawing of one page. Ten thousand visitors of a page that has not changed cost one drawing,
    and that is made in a thread: the event loop has frames to push.
    """

    def __init__(self, style: str, logo: str | None = None) -> None:
        self._headers = {
            **SECURITY,
            "Content-Security-Policy": content_policy(style, logo),
            # Kept, but never shown without asking: a status from yesterday is worse than none.
            "Cache-Control": "no-cache",
            "Vary": "Accept-Encoding",
        }
        self._last: Drawn | None = None
        self._drawing = asyncio.Lock()

    async def answer(
        self, request: Request[Any, Any, Any], key: object, draw: Callable[[], str]
    ) -> Response[bytes]:
        """`key` is everything that `draw` depends on."""
        tag = f'W/"{sha256(msgspec.msgpack.encode(key)).hexdigest()[:20]}"'
        headers = {**self._headers, "ETag": tag}
        if matches(request, tag):
            return Response(b"", status_code=304, headers=headers)
        drawn = await self._draw(tag, draw)
        if accepts_gzip(request):
            return Response(
                drawn.packed, media_type="text/html", headers={**headers, "Content-Encoding": "gzip"}
            )
        return Response(drawn.html, media_type="text/html", headers=headers)

    async def _draw(self, tag: str, draw: Callable[[], str]) -> Drawn:
        async with self._drawing:
            if self._last is None or self._last.tag != tag:
                self._last = await asyncio.to_thread(_print, tag, draw)
            return self._last


def _print(tag: str, draw: Callable[[], str]) -> Drawn:
    html = draw().encode()
    return Drawn(tag, html, gzip.compress(html, 6, mtime=0))


def content_policy(style: str, logo: str | None = None) -> str:
    """Scripts from our own files only, and no style but the one that is in the page. A logo may come from
    elsewhere: from the one place that an operator named."""
    images = " ".join(["'self'", *([quote(logo, safe="/:?&=.@~+,-_%")] if logo else [])])
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    return (
        "default-src 'none'; script-src 'self'; "
        f"style-src 'self' 'sha256-{digest}'; img-src {images}; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


def matches(request: Request[Any, Any, Any], tag: str) -> bool:
    """Whether the visitor has this already. Tags are compared weakly, as RFC 9110 asks of If-None-Match."""
    given = request.headers.get("if-none-match", "")
    return given == "*" or tag.removeprefix("W/") in (
        one.strip().removeprefix("W/") for one in given.split(",")
    )


def accepts_gzip(request: Request[Any, Any, Any]) -> bool:
    for offer in request.headers.get("accept-encoding", "").lower().split(","):
        coding, _, weight = offer.partition(";")
        if coding.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
