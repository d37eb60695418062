"""Is it alive, is it ready, and how is it doing: for the platform that runs us.

These say nothing of what is watched, only of ourselves, so they need no login. The figures are for those
near us alone: loopback and private addresses.
"""

from collections.abc import Callable
from typing import Any

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from app import metrics
from app.security.near import comes_from_near

PUBLIC_SCOPE = {"scope": "public"}
# Without this a server can show nothing new. It has its board and can show it without the rest, of which it
# says as well how it is; but a platform that took the server away for a full disk, missing workers or a bad
# config file would take away the page that says so.
NEEDED = ("redis",)


def routes(report: Callable[[], dict[str, str]]) -> list[HTTPRouteHandler]:
    """`report` says of each part either "ok" or, in a few words, what is wrong with it."""

    @get("/health/live", opt=PUBLIC_SCOPE, sync_to_thread=False)
    def live() -> dict[str, str]:
        return {"status": "ok"}

    @get("/health/ready", opt=PUBLIC_SCOPE, sync_to_thread=False)
    def ready() -> Response[dict[str, str]]:
        parts = report()
        missing = [name for name in NEEDED if parts[name] != "ok"]
        body = {"status": f"waiting for {' and '.join(missing)}" if missing else "ok", **parts}
        return Response(body, status_code=503 if missing else 200, headers={"cache-control": "no-store"})

    @get("/metrics", opt=PUBLIC_SCOPE, sync_to_thread=False)
    def show_metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
        if not comes_from_near(request):
            raise NotFoundException
        # As a header: a media type would be given a second charset, at which scrapers stumble.
        return Response(generate_latest(metrics.REGISTRY), headers={"content-type": CONTENT_TYPE_LATEST})

    return [live, ready, show_metrics]
