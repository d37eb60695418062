"""Is it alive, is it ready, and how is it doing: for the platform that runs us.

These say nothing of what is watched, only of ourselves, so they need no login.
"""

from collections.abc import Callable

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from app import metrics

PUBLIC_SCOPE = {"scope": "public"}
# Without these a server can show nothing new. Missing workers or a bad config file are said too, but a
# platform that took the server away for them would take away the page that says so.
NEEDED = ("redis", "database")


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
    def show_metrics() -> Response[bytes]:
        return Response(generate_latest(metrics.REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return [live, ready, show_metrics]
