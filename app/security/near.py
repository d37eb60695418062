"""Who is near: on this machine or in its own network. What operators alone need is shown to them without a
login, and to nobody who comes from farther away.
"""

from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from litestar import Request

# Not `is_private` of the standard library: that counts documentation and reserved networks too, and changes
# with Python's version.
NEAR = tuple(
    ip_network(network)
    for network in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
)


def comes_from_near(request: Request[Any, Any, Any]) -> bool:
    """The client, and whoever it says it speaks for. Which proxies are trusted makes no difference here:
    nobody comes nearer by naming one more address, and one that does not say it may not be believed."""
    headers = request.headers
    if "forwarded" in headers:
        return False
    spoken_for = [*headers.getall("x-forwarded-for", []), *headers.getall("x-real-ip", [])]
    hops = [hop.strip() for given in spoken_for for hop in given.split(",")]
    return all(map(is_near, [request.client.host if request.client else "", *hops]))


def is_near(address: str) -> bool:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        parsed = parsed.ipv4_mapped or parsed
    return any(parsed in network for network in NEAR)
