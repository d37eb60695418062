"""Litestar's own fan-out, as its documents show it: a channel of the ChannelsPlugin in memory, and the
WebSocket handler that the plugin itself makes for it.
"""

from litestar import Litestar
from litestar.channels import ChannelsPlugin
from litestar.channels.backends.memory import MemoryChannelsBackend

from bench.peers.behind_uvicorn import run

CHANNELS = ChannelsPlugin(MemoryChannelsBackend(), channels=["ws"], create_ws_route_handlers=True)


def say(text: str) -> None:
    CHANNELS.publish(text, "ws")


if __name__ == "__main__":
    run(Litestar([], plugins=[CHANNELS], openapi_config=None, logging_config=None), say)
