"""One request, as it is written, and the answer to it, as far as it came. What is kept of it is bounded in
every direction: a target may be hostile.
"""

from typing import Any, Final, Self

import httptools
import httpx
from msgspec import Struct

from workers.probes.expect import BODY_AT_MOST
from workers.probes.run import Failed

HEADERS_AT_MOST: Final = 100
INTERIM_AT_MOST: Final = 10
# A body that is longer than this is large.
LARGE: Final = 65536

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class _Enough(Exception):
    """Raised in a callback, where the parser wraps it: more of this is not even parsed."""


class Answer:
    """What the parser found, as far as it came. `whole` if nothing of the body is missing."""

    def __init__(self, method: str, keep: bool = True) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.whole = False
        self.ended = False
        self.head_read = False
        self.too_many = ""
        self.size = 0
        # They hold each other. Whoever ends a reading lets go of it, or all would wait for the collector.
        self._parser: Any = httptools.HttpResponseParser(self)
        self._bodiless = method == "HEAD"
        self._interim = 0
        self._keep = keep
        # Not a list of what comes: in chunks of two bytes that is thirty times as much.
        self._body = bytearray()

    def feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._finish()
        except httptools.HttpParserError as error:
            # What follows a whole answer is not ours to judge.
            if not (self.ended or self.too_many):
                raise Failed("protocol", f"The answer is not HTTP: {error}.") from None
        if self.too_many:
            raise Failed("too large", f"There are more than {self.too_many}.")

    @property
    def has_begun(self) -> bool:
        """Whatever comes first is of the answer."""
        return True

    def reply(self) -> bytes:
        """What has to be said before more can come."""
        return b""

    def end_of_stream(self) -> None:
        """The other side has closed the connection. For a body without a length that is its end."""
        if not self.head_read:
            raise Failed("closed", "The connection was closed before the answer's headers were whole.")
        if any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self.headers):
            raise Failed("closed", f"The body broke off after {self.size} bytes.")
        self._finish()

    def cut(self) -> None:
        self.body, self._body = bytes(self._body), bytearray()
        self.ended = True

    def let_go(self) -> None:
        self._parser = None

    @property
    def header(self) -> httpx.Headers:
        return httpx.Headers(self.headers)

    @property
    def encoding(self) -> str:
        """Of its content, as the header has it; without making something of all the others."""
        found = [value for name, value in self.headers if name.lower() == b"content-encoding"]
        return b",".join(found).decode("latin1")

    @property
    def leads_on(self) -> bool:
        """Whether it says where to ask instead."""
        return self.status in _REDIRECTS and any(name.lower() == b"location" for name, _ in self.headers)

    @property
    def is_enough(self) -> bool:
        """More may come, but nobody will look at it."""
        return self.size > BODY_AT_MOST

    @property
    def is_large(self) -> bool:
        return self._keep and self.size > LARGE

    # The parser's callbacks. What they raise comes out wrapped, so they take notes.

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))
        if len(self.headers) > HEADERS_AT_MOST:
            self.too_many = f"{HEADERS_AT_MOST} header lines"
            raise _Enough

    def on_headers_complete(self) -> None:
        if self.ended:
            return
        self.status = self._parser.get_status_code()
        self.head_read = not 100 <= self.status < 200 or self.status == 101
        if self.head_read:
            if self._bodiless:
                self._finish()
            return
        self.headers.clear()
        self._interim += 1
        if self._interim > INTERIM_AT_MOST:
            self.too_many = f"{INTERIM_AT_MOST} interim answers"
            raise _Enough

    def on_body(self, data: bytes) -> None:
        if not self.ended:
            self.size += len(data)
            if self._keep:
                self._body += data

    def on_message_complete(self) -> None:
        if self.head_read and not self.ended:
            self._finish()

    def _finish(self) -> None:
        self.cut()
        self.whole = True


class Asked(Struct, frozen=True, gc=False):
    """A request as it is written, and where it goes: of all this httpx need not make anything anew for each
    probe, which was a third of what a probe cost."""

    method: str
    host: str
    port: int
    secure: bool
    wire: bytes

    @classmethod
    def of(cls, request: httpx.Request) -> Self:
        url = request.url
        secure = url.scheme == "https"
        port = url.port or (443 if secure else 80)
        lines = [b"%s: %s\r\n" % header for header in request.headers.raw]
        head = b"%s %s HTTP/1.1\r\n%s\r\n" % (request.method.encode(), url.raw_path, b"".join(lines))
        return cls(request.method, url.raw_host.decode("ascii"), port, secure, head + request.read())
