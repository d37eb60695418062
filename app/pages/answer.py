"""How a page leaves: its headers, 304 for who has it already, and one drawing for all who ask at once."""

import asyncio
import base64
import gzip
import re
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

import brotli  # type: ignore[import-untyped]
import msgspec
from litestar import Request, Response
from msgspec import Struct

SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

# Drawings that are kept of one page: each language and each range of the charts is one.
_KEPT: Final = 64
# How well a drawing is packed for who waits for it, and then for all who come after: that is a tenth less,
# and takes forty times as long. A very wide page is not worth so much of a processor.
_QUALITY: Final = 5
BEST: Final = 11
_WIDE: Final = 128 * 1024
# In a thread beside those of everybody, or a minute in which many pages are asked for would take them all.
_PACKER: Final = ThreadPoolExecutor(1, "pack")


class Packed(Struct, frozen=True):
    """The same bytes as each kind of visitor can take them."""

    plain: bytes
    gzip: bytes
    brotli: bytes

    def answer(
        self, request: Request[Any, Any, Any], media_type: str, headers: dict[str, str]
    ) -> Response[bytes]:
        accepted = accepted_codings(request)
        for coding, body in (("br", self.brotli), ("gzip", self.gzip)):
            if coding in accepted:
                return Response(body, media_type=media_type, headers=headers | {"Content-Encoding": coding})
        return Response(self.plain, media_type=media_type, headers=headers)


def pack(content: bytes, quality: int = _QUALITY) -> Packed:
    return Packed(content, gzip.compress(content, 6, mtime=0), brotli.compress(content, quality=quality))


class Press:
    """The last drawings of one page. Ten thousand visitors of a page that has not changed cost one drawing,
    and that is made in a thread: the event loop has frames to push.
    """

    def __init__(self, style: str, logo: str | None = None) -> None:
        self._headers = {
            **SECURITY,
            "Content-Security-Policy": content_policy(style, logo),
            "Vary": "Accept-Encoding, Accept-Language",
        }
        self._drawn: OrderedDict[str, Packed] = OrderedDict()
        self._drawing = asyncio.Lock()
        self._packing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.packings = 0  # how often what is given has become smaller

    async def answer(
        self,
        request: Request[Any, Any, Any],
        key: object,
        draw: Callable[[], str],
        closed: bool,
        is_now: Callable[[], bool] = lambda: True,
    ) -> Response[bytes]:
        """`key` is everything that `draw` depends on, and once it is not so any more `is_now` says no. What
        is `closed` no cache keeps but the visitor's own: a shared one knows of no password, and not when a
        session ends."""
        tag = f'W/"{base64.urlsafe_b64encode(sha256(msgspec.msgpack.encode(key)).digest())[:12].decode()}"'
        # Kept, but never shown without asking: a status from yesterday is worse than none.
        kept = "private, no-cache" if closed else "no-cache"
        headers = {**self._headers, "Cache-Control": kept, "ETag": tag}
        if matches(request, tag):
            return Response(b"", status_code=304, headers=headers)
        return (await self._draw(tag, draw, is_now)).answer(request, "text/html", headers)

    async def _draw(self, tag: str, draw: Callable[[], str], is_now: Callable[[], bool]) -> Packed:
        if (drawn := self._drawn.get(tag)) is not None:
            return drawn
        async with self._drawing:
            if tag not in self._drawn:
                self._drawn[tag] = await asyncio.to_thread(lambda: pack(draw().encode()))
                task = asyncio.create_task(self._pack_better(tag, is_now))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                while len(self._drawn) > _KEPT:
                    self._drawn.popitem(last=False)
            return self._drawn[tag]

    async def _pack_better(self, tag: str, is_now: Callable[[], bool]) -> None:
        """One after the other. What is not of now is let go instead: should it be asked for again, as when
        the feed comes back within the minute, it is drawn anew."""
        async with self._packing:
            if not is_now():
                self._drawn.pop(tag, None)
            elif (drawn := self._drawn.get(tag)) is not None and len(drawn.plain) <= _WIDE:
                loop = asyncio.get_running_loop()
                better = await loop.run_in_executor(_PACKER, pack, drawn.plain, BEST)
                if tag in self._drawn:
                    self._drawn[tag] = better
                    self.packings += 1


def content_policy(style: str, logo: str | None = None) -> str:
    """Scripts from our own files only, and no style but the one that is in the page. A logo may come from
    elsewhere: from the one place that an operator named."""
    images = " ".join(["'self' data:", *([quote(logo, safe="/:?&=.@~+,-_%")] if logo else [])])
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    return (
        "default-src 'none';script-src 'self';"
        f"style-src 'self' 'sha256-{digest}';img-src {images};connect-src 'self';"
        "base-uri 'none';form-action 'self';frame-ancestors 'none'"
    )


def matches(request: Request[Any, Any, Any], tag: str) -> bool:
    """Whether the visitor has this already. Tags are compared weakly, as RFC 9110 asks of If-None-Match."""
    given = request.headers.get("if-none-match", "")
    return given == "*" or tag.removeprefix("W/") in (
        one.strip().removeprefix("W/") for one in given.split(",")
    )


def accepted_codings(request: Request[Any, Any, Any]) -> frozenset[str]:
    return _codings(request.headers.get("accept-encoding", ""))


# Browsers say the same few things.
@lru_cache(256)
def _codings(header: str) -> frozenset[str]:
    """What is refused with `q=0` is not in it. `*` alone stands for gzip, which everybody can unpack."""
    accepted = set()
    for offer in header.lower().split(","):
        coding, _, weight = offer.partition(";")
        if not re.fullmatch(r"q=0(\.0*)?", weight.replace(" ", "")):
            accepted.add({"*": "gzip"}.get(coding.strip(), coding.strip()))
    return frozenset(accepted)
