"""How fan-out is mostly written for ASGI: a handler per client that waits for its own queue and sends what
it finds there.
"""

import asyncio

from litestar import Litestar, WebSocket, websocket

from bench.peers.behind_uvicorn import run

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


def say(text: str) -> None:
    for queue in QUEUES:
        queue.put_nowait(text)


if __name__ == "__main__":
    run(Litestar([stream], openapi_config=None, logging_config=None), say)
