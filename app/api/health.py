"""Is it alive, is it ready, and how is it doing: for the platform that runs us.

These say nothing of what is watched, only of ourselves, so they need no login. The figures are for those
near us alone: loopback and private addresses.
"""

from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from app import metrics

PUBLIC_SCOPE = {"scope": "public"}
# Without this a server can show nothing new. It has its board and can show it without the rest, of which it
# says as well how it is; but a platform that took the server away for a full disk, missing workers or a bad
# config file would take away the page that says so.
NEEDED = ("redis",)

# Not `is_private` of the standard library: that counts documentation and reserved networks too, and changes
# with Python's version.
NEAR = tuple(
    ip_network(network)
    for network in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
)


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
        if not _comes_from_near(request):
            raise NotFoundException
        # As a header: a media type would be given a second charset, at which scrapers stumble.
        return Response(generate_latest(metrics.REGISTRY), headers={"content-type": CONTENT_TYPE_LATEST})

    return [live, ready, show_metrics]


def _comes_from_near(request: Request[Any, Any, Any]) -> bool:
    """The client, and whoever it says it speaks for. Which proxies are trusted makes no difference here:
    nobody comes nearer by naming one more address, and one that does not say it may not be believed."""
    headers = request.headers
    if "forwarded" in headers:
        return False
    spoken_for = [*headers.getall("x-forwarded-for", []), *headers.getall("x-real-ip", [])]
    hops = [hop.strip() for given in spoken_for for hop in given.split(",")]
    return all(map(_is_near, [request.client.host if request.client else "", *hops]))


def _is_near(address: str) -> bool:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        parsed = parsed.ipv4_mapped or parsed
    return any(parsed in network for network in NEAR)
