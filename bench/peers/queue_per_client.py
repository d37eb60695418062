"""How fan-out is mostly written for ASGI: a handler per client that waits for its own queue and sends what
it finds there. Litestar behind uvicorn, with the settings that are kindest to it: no compression, no pings.

Each line on stdin goes to every client as one WebSocket message. Prints its port, and ends with stdin.
"""

import asyncio
import os
import resource
import socket
import sys

import uvicorn
from litestar import Litestar, WebSocket, websocket

QUEUES: set[asyncio.Queue[str]] = set()


@websocket("/ws")
async def stream(socket: WebSocket) -> None:
    await socket.accept()
    queue: asyncio.Queue[str] = asyncio.Queue()
    QUEUES.add(queue)
    try:
        while True:
            await socket.send_text(await queue.get())
    finally:
        QUEUES.discard(queue)


async def publish() -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async for line in lines:
        text = line.decode().rstrip("\n")
        for queue in QUEUES:
            queue.put_nowait(text)
    # Ten thousand handlers would each say how they were interrupted.
    os._exit(0)


async def serve() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    settings = uvicorn.Config(
        Litestar([stream], openapi_config=None, logging_config=None),
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        access_log=False,
        log_level="error",
        lifespan="off",
        backlog=4096,
    )
    publishing = asyncio.create_task(publish())
    print(listener.getsockname()[1], flush=True)
    await uvicorn.Server(settings).serve(sockets=[listener])
    publishing.cancel()


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        import uvloop

        asyncio.Runner(loop_factory=uvloop.new_event_loop).run(serve())
    except ImportError:
        asyncio.run(serve())
