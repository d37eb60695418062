"""How the peers that are written in Litestar are served: uvicorn with the settings that are kindest to them,
no compression and no pings, fed line by line from stdin.
"""

import asyncio
import os
import resource
import socket
import sys
from collections.abc import Callable

import uvicorn
from litestar import Litestar


def run(app: Litestar, say: Callable[[str], None]) -> None:
    """Print the port, say each line to all clients, and end with stdin."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        import uvloop

        asyncio.Runner(loop_factory=uvloop.new_event_loop).run(_serve(app, say))
    except ImportError:
        asyncio.run(_serve(app, say))


async def _serve(app: Litestar, say: Callable[[str], None]) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    settings = uvicorn.Config(
        app,
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        access_log=False,
        log_level="error",
        backlog=4096,
    )
    publishing = asyncio.create_task(_publish(say))
    print(listener.getsockname()[1], flush=True)
    await uvicorn.Server(settings).serve(sockets=[listener])
    publishing.cancel()


async def _publish(say: Callable[[str], None]) -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async for line in lines:
        say(line.decode().rstrip("\n"))
    # Ten thousand handlers would each say how they were interrupted.
    os._exit(0)
