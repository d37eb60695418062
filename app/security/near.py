"""Who is near: on this machine or in its own network. What operators alone need is shown to them without a
login, and to nobody who comes from farther away.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_network
from typing import Any

from litestar import Request

from app.security.visitor import is_in

# Not `is_private` of the standard library: that counts documentation and reserved networks too, and changes
# with Python's version.
NEAR = tuple(
    ip_network(network)
    for network in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
)
# Whom a client says that it asks for, each time by address.
SPOKEN_FOR = ("x-forwarded-for", "x-real-ip")


def comes_from_near(request: Request[Any, Any, Any]) -> bool:
    """The client, and whoever it says it speaks for. Which proxies are trusted makes no difference here:
    nobody comes nearer by naming one more address, and one that does not say it may not be believed."""
    headers = request.headers
    if "forwarded" in headers:
        return False
    spoken_for = [given for name in SPOKEN_FOR for given in headers.getall(name, [])]
    return are_near(request.client.host if request.client else "", spoken_for)


def are_near(client: str, spoken_for: Iterable[str]) -> bool:
    """With what stands in the headers SPOKEN_FOR; without them the client alone."""
    return is_near(client) and all(is_near(hop.strip()) for given in spoken_for for hop in given.split(","))


@lru_cache(4096)  # they come again and again
def is_near(address: str) -> bool:
    return is_in(address, NEAR)
