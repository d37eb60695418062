"""The headers that keep a browser safe, for whatever does not say more for itself: errors, health, streams,
and what is refused before any route has seen it."""

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from app.domain.monitor import Catalog

HEADERS: Final = {
    "content-security-policy": "default-src 'none';base-uri 'none';frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
# As they stand in a head that is written by hand.
LINES: Final = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items()).encode()
# For a year this host is asked by TLS alone. Of others under its name we know nothing.
STRICT: Final = ("strict-transport-security", "max-age=31536000")


class StrictHosts:
    """Which hosts are only for TLS: those at which a page says that it is, by its `url`. A browser that came
    by another name, or by the port behind the proxy, is told nothing that would shut it out."""

    def __init__(self, catalog: Callable[[], Catalog]) -> None:
        self._catalog = catalog
        self._known: Catalog | None = None
        self._hosts: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        """Whether there is any, which is asked before it is looked up by which name somebody came."""
        return bool(self._strict())

    def __contains__(self, host: object) -> bool:
        return _bare(str(host)) in self._strict()

    def _strict(self) -> frozenset[str]:
        if (catalog := self._catalog()) is not self._known:
            urls = [urlsplit(page.url or "") for page in (catalog.page, *catalog.pages)]
            self._hosts = frozenset(_bare(url.netloc) for url in urls if url.scheme == "https")
            self._known = catalog
        return self._hosts


def _bare(host: str) -> str:
    return host.lower().removesuffix(":443")
