"""What the benchmarks of the worker probe: a web server that does as little as a web server can, on a core
that is not the worker's. It says on which ports it listens, for http and for https, and ends with its stdin.
"""

import asyncio
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

from msgspec import Struct

from bench import cores

ROOT: Final = Path(__file__).resolve().parent.parent
BODY: Final = b'{"status": "ok", "version": "1.27.3", "database": "ok", "queue": 0}'
# The head that a common server would send, and no connection is used twice.
ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.27.3\r\nDate: Sat, 31 Jan 2026 12:00:00 GMT\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n"
    b"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\n%s" % (len(BODY), BODY)
)
_BACKLOG: Final = 4096


class Target(Struct):
    http: int
    https: int
    pid: int

    def url(self, scheme: str, path: str = "/health") -> str:
        port = self.https if scheme == "https" else self.http
        return f"{scheme}://127.0.0.1:{port}{path}"


class _Answer(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        # A request for a health page comes in one piece.
        self._transport.write(ANSWER)
        self._transport.close()


@contextmanager
def answering(core: int | None, certificate: Path) -> Iterator[Target]:
    """`certificate` is a PEM file with its key."""
    with cores.on(core):
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", "from bench.target import serve; serve()", str(certificate)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
    assert process.stdin is not None and process.stdout is not None
    try:
        http, https = map(int, process.stdout.readline().split())
        yield Target(http, https, process.pid)
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(5)


def serve() -> None:
    cores.allow_files()
    with asyncio.Runner(loop_factory=_loop_factory) as runner:
        runner.run(_serve(Path(sys.argv[1])))


async def _serve(certificate: Path) -> None:
    loop = asyncio.get_running_loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(["http/1.1"])
    plain = await loop.create_server(_Answer, "127.0.0.1", 0, backlog=_BACKLOG)
    secure = await loop.create_server(_Answer, "127.0.0.1", 0, backlog=_BACKLOG, ssl=context)
    print(*(server.sockets[0].getsockname()[1] for server in (plain, secure)), flush=True)
    await asyncio.to_thread(sys.stdin.read)


def _loop_factory() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()
