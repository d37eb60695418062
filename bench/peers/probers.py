"""Who is compared in bench/probes: processes that make probes of one URL when they are told to, and what that
costs them.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from bench import cores
from bench.peers import HERE, ROOT, Missing
from bench.peers.prober import AT_ONCE, NOT_INSTALLED
from tests.services import free_port

_PATIENCE: Final = 30.0
_MODULE: Final = """
modules:
  json:
    prober: http
    timeout: 10s
    http:
      preferred_ip_protocol: ip4
      valid_status_codes: [200]
      fail_if_body_not_matches_regexp: ['"status": "ok"']
      tls_config: {{ca_file: {cafile}}}
"""


class Prober:
    """`us` are the microseconds of processor time that one probe took, one figure for each round."""

    def __init__(self, command: Sequence[str], core: int | None) -> None:
        self.us: list[float] = []
        self._command = command
        self._core = core
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        with cores.on(self._core):
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": _with_ours(os.environ.get("PYTHONPATH", ""))},
            )
        try:
            await self._begin()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def probe(self, times: int) -> None:
        assert self._process is not None
        before = cores.used(self._process.pid)
        await self._probe(times)
        self.us.append((cores.used(self._process.pid) - before) * 1e6 / times)

    async def _begin(self) -> None:
        assert self._process is not None
        if await self._says() != b"ready":
            # It has ended; to kill it now would take its end from whoever waits for it.
            if await self._process.wait() == NOT_INSTALLED:
                raise Missing("it is not installed")
            raise RuntimeError(f"{' '.join(self._command)} does not begin")

    async def _probe(self, times: int) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(b"%d\n" % times)
        if await self._says() != b"done":
            raise RuntimeError(f"{' '.join(self._command)} has given up")

    async def _says(self) -> bytes:
        assert self._process is not None and self._process.stdout is not None
        return (await asyncio.wait_for(self._process.stdout.readline(), _PATIENCE)).strip()


class Exporter(Prober):
    """blackbox_exporter probes when it is asked over HTTP; as many ask as the others do at once, on
    connections that they keep. So what it is asked is part of what it costs, as it is where it is used."""

    def __init__(self, program: str, url: str, cafile: Path, core: int | None) -> None:
        config = cafile.with_name("blackbox.yml")
        config.write_text(_MODULE.format(cafile=cafile))
        self._port = free_port()
        self._request = f"GET /probe?module=json&target={url} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        self._asking: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        listen = f"--web.listen-address=127.0.0.1:{self._port}"
        super().__init__([program, f"--config.file={config}", listen, "--log.level=error"], core)

    async def _begin(self) -> None:
        for _ in range(100):
            try:
                while len(self._asking) < AT_ONCE:
                    self._asking.append(await asyncio.open_connection("127.0.0.1", self._port))
                return await self._probe(1)
            except OSError:
                await asyncio.sleep(0.05)
        raise Missing("blackbox_exporter does not start here")

    async def __aexit__(self, *_: object) -> None:
        for _reader, writer in self._asking:
            writer.close()
        await super().__aexit__()

    async def _probe(self, times: int) -> None:
        numbers = iter(range(times))

        async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for _ in numbers:
                writer.write(self._request)
                # In chunks, for it is longer than what Go keeps back; the last line may be cut by one.
                answer = await reader.readuntil(b"\r\n0\r\n\r\n")
                if not answer.endswith(b" 1\n\r\n0\r\n\r\n"):
                    raise RuntimeError("blackbox_exporter says that the target is not well")

        await asyncio.gather(*(ask(*connection) for connection in self._asking))


def create(name: str, url: str, cafile: Path, core: int | None) -> Prober:
    """Raises Missing where it is not installed."""
    if name == "blackbox":
        return Exporter(_found("prometheus-blackbox-exporter"), url, cafile, core)
    if name == "kuma":
        return Prober([_found("node"), str(HERE / "prober.js"), url, str(cafile)], core)
    return Prober([sys.executable, str(HERE / "prober.py"), name, url, str(cafile)], core)


def _found(program: str) -> str:
    if (path := shutil.which(program)) is None:
        raise Missing(f"there is no {program} here")
    return path


def _with_ours(path: str) -> str:
    return os.pathsep.join(filter(None, (str(ROOT), path)))
