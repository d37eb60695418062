"""One request of the server's own to somebody else's: through the egress gate, bounded in time and size.

It follows no redirect: whom an operator has named answers itself, or there is something to be mended.
"""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode, urlsplit

import h11
from msgspec import Struct

from app.security.egress import Egress, NotResolved, Refused, Trail

WITHIN: Final = 10.0
LARGEST: Final = 1 << 20
_READ: Final = 65536


class NotFetched(Exception):
    """One sentence for operators."""


class Answer(Struct, frozen=True):
    status: int
    body: bytes


async def fetch(
    egress: Egress,
    url: str,
    *,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    context: ssl.SSLContext | None = None,
) -> Answer:
    """GET, or POST if there is a form. Raises NotFetched."""
    try:
        async with asyncio.timeout(WITHIN):
            return await _ask(egress, url, form, headers or {}, context)
    except TimeoutError:
        raise NotFetched(f"{_place(url)} did not answer within {WITHIN:.0f} s.") from None
    except (Refused, NotResolved) as error:
        raise NotFetched(str(error)) from None
    except (OSError, ValueError, h11.ProtocolError) as error:
        raise NotFetched(f"{_place(url)} cannot be asked: {error}.") from None


async def _ask(
    egress: Egress,
    url: str,
    form: Mapping[str, str] | None,
    headers: Mapping[str, str],
    context: ssl.SSLContext | None,
) -> Answer:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NotFetched(f"{_place(url)} is no address of the web.")
    tls = parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    connected = await egress.connect(parts.hostname, port, Trail(), WITHIN)
    try:
        reader, writer = await asyncio.open_connection(
            sock=connected,
            ssl=(context or ssl.create_default_context()) if tls else None,
            server_hostname=parts.hostname if tls else None,
        )
    except BaseException:
        connected.close()
        raise
    try:
        body = urlencode(form or {}).encode()
        said = {"Host": parts.netloc.rpartition("@")[2], "Accept": "application/json", "Connection": "close"}
        if form is not None:
            said |= {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body))}
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        request = h11.Request(
            method="GET" if form is None else "POST", target=target, headers=list({**said, **headers}.items())
        )
        return await _exchange(reader, writer, request, body)
    finally:
        writer.close()


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: h11.Request, body: bytes
) -> Answer:
    talk = h11.Connection(h11.CLIENT)
    writer.write(talk.send(request) or b"")
    if body:
        writer.write(talk.send(h11.Data(data=body)) or b"")
    writer.write(talk.send(h11.EndOfMessage()) or b"")
    await writer.drain()
    status, received = 0, b""
    while True:
        match talk.next_event():
            case h11.NEED_DATA:
                talk.receive_data(await reader.read(_READ))
            case h11.Response(status_code=status):
                pass
            case h11.Data(data=data):
                received += data
                if len(received) > LARGEST:
                    raise ValueError("the answer is larger than 1 MiB")
            case h11.EndOfMessage() | h11.ConnectionClosed():
                return Answer(status, received)


def _place(url: str) -> str:
    """Without what may be secret in it."""
    return urlsplit(url).netloc.rpartition("@")[2] or "That address"
