"""What bench/probes compares: each is a process that makes as many probes as it is told on stdin, fifty at a
time, each on a connection of its own, and says when it has. All of them look whether the answer is right.

The floor is what Python can do at all: a protocol of asyncio's that writes a prepared request and waits for
the end. It measures nothing and knows no deadline.
"""

import asyncio
import ssl
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from app.loop import loop_factory as ours_runs_on

AT_ONCE: Final = 50
# As many as a worker would have in turn: nothing is gained by asking for one thing again and again.
MONITORS: Final = 500
# How such a process ends where what it needs is not there; any other end is a fault of the benchmark.
NOT_INSTALLED: Final = 3
RIGHT: Final = b'"status": "ok"'

Probe: TypeAlias = Callable[[int], Awaitable[None]]


class _Get(asyncio.Protocol):
    def __init__(self, request: bytes, ended: asyncio.Future[bytes]) -> None:
        self._request = request
        self._ended = ended
        self._parts: list[bytes] = []

    def connection_made(self, transport: Any) -> None:
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._ended.done():
            self._ended.set_result(b"".join(self._parts))


async def floor(url: str, cafile: str) -> Probe:
    loop = asyncio.get_running_loop()
    scheme, _, rest = url.partition("://")
    place, _, path = rest.partition("/")
    host, _, port = place.partition(":")
    context = ssl.create_default_context(cafile=cafile) if scheme == "https" else None
    request = f"GET /{path} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n".encode()

    async def probe(n: int) -> None:
        ended: asyncio.Future[bytes] = loop.create_future()
        await loop.create_connection(lambda: _Get(request, ended), host, int(port), ssl=context)
        answer = await ended
        assert answer.startswith(b"HTTP/1.1 200") and RIGHT in answer

    return probe


async def ours(url: str, cafile: str) -> Probe:
    """As the worker does it, deadline, egress gate, phases, certificate, status and body included."""
    from app.domain.monitor import Expect, Monitor
    from app.domain.result import Outcome
    from workers.probes import Probes
    from workers.probes.equipment import Equipment
    from workers.probes.stream import Certificates

    probes = Probes(Equipment(certificates=Certificates(cafile)))
    await probes.warm_up()
    expect = Expect(status=((200, 200),), body=RIGHT.decode(), slower_than=5.0, certificate_days=0.5)
    monitors = [
        Monitor(key=f"m{n}", kind="http", target=f"{url}?{n}", timeout=10.0, expect=expect)
        for n in range(MONITORS)
    ]

    async def probe(n: int) -> None:
        result = await probes.probe(monitors[n % MONITORS])
        assert result.outcome is Outcome.OK and result.phases.first_byte is not None, result

    return probe


async def httpx_client(url: str, cafile: str) -> Probe:
    """One client for all, out of the box."""
    import httpx

    client = httpx.AsyncClient(verify=ssl.create_default_context(cafile=cafile))

    async def probe(n: int) -> None:
        response = await client.get(url)
        assert response.status_code == 200 and RIGHT in response.content

    return probe


async def httpx_each(url: str, cafile: str) -> Probe:
    """A client for each probe, as the first page of its manual has it."""
    import httpx

    async def probe(n: int) -> None:
        async with httpx.AsyncClient() as client:
            response = await client.get(url)
        assert response.status_code == 200 and RIGHT in response.content

    return probe


async def aiohttp_session(url: str, cafile: str) -> Probe:
    import aiohttp

    context = ssl.create_default_context(cafile=cafile)
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, force_close=True))

    async def probe(n: int) -> None:
        async with session.get(url) as response:
            assert response.status == 200 and RIGHT in await response.read()

    return probe


async def curl(url: str, cafile: str) -> Probe:
    """libcurl on this loop, with the times of all phases read."""
    import pycurl
    from pycurl import AsyncCurlMulti

    multi = AsyncCurlMulti()
    phases = (
        *(pycurl.NAMELOOKUP_TIME, pycurl.CONNECT_TIME, pycurl.APPCONNECT_TIME),
        *(pycurl.STARTTRANSFER_TIME, pycurl.TOTAL_TIME, pycurl.PRIMARY_IP),
    )

    async def probe(n: int) -> None:
        parts: list[bytes] = []
        handle = pycurl.Curl()
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.CAINFO, cafile)
        handle.setopt(pycurl.FRESH_CONNECT, 1)
        handle.setopt(pycurl.FORBID_REUSE, 1)
        handle.setopt(pycurl.SSL_SESSIONID_CACHE, 0)
        handle.setopt(pycurl.TIMEOUT, 10)
        handle.setopt(pycurl.WRITEFUNCTION, parts.append)
        await multi.perform(handle)
        assert handle.getinfo(pycurl.RESPONSE_CODE) == 200 and RIGHT in b"".join(parts)
        assert all(handle.getinfo(phase) is not None for phase in phases)
        handle.close()

    return probe


async def work(create: Callable[[str, str], Awaitable[Probe]], url: str, cafile: str) -> None:
    probe = await create(url, cafile)
    await probe(0)
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        numbers = iter(range(int(line)))

        async def walk(numbers: Any = numbers) -> None:
            for n in numbers:
                await probe(n)

        await asyncio.gather(*(walk() for _ in range(AT_ONCE)))
        print("done", flush=True)


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Ours runs on what the worker runs on, the others on what they are given out of the box."""
    return ours_runs_on() if name in ("ours", "curl") else None


def main() -> None:
    name, url, cafile = sys.argv[1:]
    with asyncio.Runner(loop_factory=loop_factory(name)) as runner:
        try:
            runner.run(work(globals()[name], url, cafile))
        except ModuleNotFoundError:
            sys.exit(NOT_INSTALLED)


if __name__ == "__main__":
    main()
