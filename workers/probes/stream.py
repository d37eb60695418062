"""A connection as a stream of bytes, plain or TLS, on nothing but sockets and the event loop.

asyncio's transports would do, but they hide the certificate that was refused and go on closing a socket
after a deadline; here a closed stream is closed. They also cost more: three objects and two turns of the
loop per connection.
"""

import asyncio
import os
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import Final, TypeVar

import httpx
from cryptography import x509

from app.domain.result import Outcome
from app.domain.words import Securing
from app.security.egress import Address, Egress, Trail, ascii_name, until_ready
from workers.probes.run import Failed, Run, Unfit

T = TypeVar("T")

_CHUNK: Final = 65536
# What a reading counts at least, however little it brings.
_LEAST: Final = 1024
_CONTEXTS_AT_MOST: Final = 64
# Whether a family's addresses have one.
_COLON: Final = {"4": False, "6": True}
_DER: Final = 2  # _ssl.ENCODING_DER, which is not public either


class Certificates:
    """The TLS contexts, made once: each costs 4 to 20 ms and shares its roots with nobody. `unverified` is
    only for reading a certificate that was refused."""

    def __init__(self, cafile: str | None = None) -> None:
        self._cafile = cafile
        # Made at once, while nobody waits for a probe.
        self._shared = {alpn: self._load(Securing(), alpn) for alpn in ("", "http/1.1", "h2", "h2 http/1.1")}
        self._own: dict[tuple[object, ...], ssl.SSLContext] = {}
        self.unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.unverified.check_hostname = False
        self.unverified.verify_mode = ssl.CERT_NONE

    def context(self, words: Securing, alpn: str = "") -> ssl.SSLContext:
        """With the files that a monitor names. They are read anew when one of them has changed."""
        files = [file for file in (words.ca, words.certificate, words.certificate_key) if file]
        if not files:
            return self._shared[alpn]
        try:
            changed = [os.stat(file).st_mtime_ns for file in files]
            identity = (alpn, words.ca, words.certificate, words.certificate_key, *changed)
            if identity not in self._own:
                if len(self._own) >= _CONTEXTS_AT_MOST:
                    self._own.clear()
                self._own[identity] = self._load(words, alpn)
        except (OSError, ssl.SSLError):
            raise Unfit(f"This worker cannot read {' and '.join(files)} as PEM files.") from None
        return self._own[identity]

    def _load(self, words: Securing, alpn: str) -> ssl.SSLContext:
        context = _verifying(words.ca or self._cafile)
        if alpn:
            context.set_alpn_protocols(alpn.split())
        if words.certificate:
            # Without a password of ours it would ask whoever sits at the terminal, and wait.
            context.load_cert_chain(words.certificate, words.certificate_key or None, password="")
        return context


class Stream:
    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self._tls: ssl.SSLObject | None = None
        self._loop = asyncio.get_running_loop()
        self._in_this_turn = 0

    async def handshake(self, context: ssl.SSLContext, name: str) -> None:
        """Its last word leaves with the first of what follows: that is one packet less to send, and one less
        to be woken for."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        try:
            await self._until_done(tls.do_handshake)
        except BaseException as error:
            # What tells the other side why we leave.
            with suppress(OSError):
                await self._flush()
            if isinstance(error, ssl.SSLEOFError):
                why = "The connection was closed in the midst of the TLS handshake."
                raise Failed("tls", why) from None
            raise
        self._tls = tls

    @property
    def certificate_until(self) -> datetime | None:
        """When the first certificate of the chain ends: the leaf, or one that it hangs on."""
        return min((_end_of(der) for der in self.chain), default=None)

    @property
    def version(self) -> str:
        """Of TLS, as people write it: 1.3."""
        return (self._tls.version() or "").removeprefix("TLSv") if self._tls is not None else ""

    @property
    def alpn(self) -> str:
        """What both sides agreed to speak within TLS; empty if they did not."""
        return (self._tls.selected_alpn_protocol() or "") if self._tls is not None else ""

    @property
    def chain(self) -> list[bytes]:
        """The certificates as they were verified, the server's own first."""
        if self._tls is None:
            return []
        if self._tls.context.verify_mode is ssl.CERT_NONE:
            leaf = self._tls.getpeercert(binary_form=True)
            return [] if leaf is None else [leaf]
        if sys.version_info >= (3, 13):
            return list(self._tls.get_verified_chain())
        # Public since Python 3.13; the same since 3.10 under this name.
        chain = self._tls._sslobj.get_verified_chain()  # type: ignore[attr-defined]
        return [certificate.public_bytes(_DER) for certificate in chain or ()]

    async def write(self, data: bytes) -> None:
        if self._tls is None:
            await self._send(data)
        else:
            self._tls.write(data)
            await self._flush()

    async def read(self) -> bytes:
        """What there is, at least a byte; empty at the end."""
        if self._tls is None:
            return await self._receive()
        tls = self._tls
        try:
            return await self._until_done(lambda: tls.read(_CHUNK))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            # Many servers end without a word. Whether something is missing, the protocol above can tell.
            return b""

    def held(self) -> float:
        """Seconds for which the kernel had the bytes just read before our loop came for them. It counts in
        ticks of some milliseconds, so less than ten are none."""
        if sys.platform != "linux":
            return 0.0
        info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 60)
        (milliseconds,) = struct.unpack_from("I", info, 52)
        return milliseconds / 1000 if milliseconds >= 10 else 0.0

    def close(self) -> None:
        if self._tls is not None and self._outgoing.pending:
            with suppress(OSError):
                self.socket.send(self._outgoing.read())
        self.socket.close()

    async def _until_done(self, step: Callable[[], T]) -> T:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await self._receive()
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()

    async def _receive(self) -> bytes:
        """Where there is something to read this does not wait for the loop, and whoever sends fast enough
        would hold up all other probes, the deadline of this one included. So now and then they have their
        turn."""
        if self._in_this_turn >= _CHUNK:
            self._in_this_turn = 0
            await asyncio.sleep(0)
        while (data := self._recv()) is None:
            await until_ready(self._loop.add_reader, self._loop.remove_reader, self.socket.fileno())
        self._in_this_turn += max(len(data), _LEAST)
        return data

    def _recv(self) -> bytes | None:
        """None if there is nothing yet."""
        try:
            return self.socket.recv(_CHUNK)
        except (BlockingIOError, InterruptedError):
            return None

    async def _send(self, data: bytes) -> None:
        try:
            sent = self.socket.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        if sent < len(data):
            await self._loop.sock_sendall(self.socket, data[sent:])

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._send(self._outgoing.read())


async def connect(egress: Egress, host: str, port: int, run: Run) -> Stream:
    """To an address of the family that the run asks for."""
    chosen: list[Address] = []
    if run.family in _COLON:
        chosen = of_family(await egress.permitted(host, port, run), host, run.family)
    return Stream(await egress.connect(host, port, run, run.left, chosen))


def of_family(addresses: list[Address], host: str, family: str) -> list[Address]:
    """Raises Failed if there is none."""
    chosen = [each for each in addresses if family not in _COLON or (":" in each.host) is _COLON[family]]
    if not chosen:
        raise Failed("dns", f"{host} has no IPv{family} address.", Outcome.UNREACHABLE)
    return chosen


async def connect_tls(
    egress: Egress,
    host: str,
    port: int,
    run: Run,
    context: ssl.SSLContext,
    unverified: ssl.SSLContext,
    name: str = "",
) -> Stream:
    """A certificate that is refused is still read, in a second handshake that asks nothing of it: when it
    ends is what an operator wants to know of it. `name` is whom it is for, if not the host."""
    stream = await connect(egress, host, port, run)
    try:
        await secure(stream, name or host, run, context)
    except ssl.SSLCertVerificationError:
        run.certificate_until = await _read_refused(egress, name or host, port, run, unverified)
        raise
    return stream


async def secure(stream: Stream, name: str, run: Run, context: ssl.SSLContext) -> None:
    """TLS from here on. A stream that cannot have it is closed."""
    run.stage = "tls"
    began = time.perf_counter()
    try:
        await stream.handshake(context, _tls_name(name))
    except BaseException:
        stream.close()
        raise
    run.tls = (run.tls or 0.0) + time.perf_counter() - began
    run.certificate_until = stream.certificate_until


async def _read_refused(
    egress: Egress, name: str, port: int, run: Run, unverified: ssl.SSLContext
) -> datetime | None:
    assert run.address is not None
    # Half of what is left: a target that stalls now must not turn a verdict that we have into a timeout.
    with suppress(OSError, Failed):
        async with asyncio.timeout(run.left / 2):
            stream = Stream(await egress.connect(name, port, Trail(), run.left, [run.address]))
            try:
                await stream.handshake(unverified, _tls_name(name))
                return stream.certificate_until
            finally:
                stream.close()
    return None


# A target shows the same ones again and again, and to read one costs as much as a connection.
@lru_cache(maxsize=4096)
def _end_of(der: bytes) -> datetime:
    return x509.load_der_x509_certificate(der).not_valid_after_utc


def _tls_name(host: str) -> str:
    """As certificates write it: without the dot that ends an absolute name."""
    return ascii_name(host).removesuffix(".")


def _verifying(cafile: str | None) -> ssl.SSLContext:
    if cafile is not None or _has_system_roots():
        return ssl.create_default_context(cafile=cafile)
    # A slim container has no roots of its own. httpx brings some.
    return httpx.create_ssl_context()


def _has_system_roots() -> bool:
    paths = ssl.get_default_verify_paths()
    return paths.cafile is not None or (paths.capath is not None and bool(os.listdir(paths.capath)))
