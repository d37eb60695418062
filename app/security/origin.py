"""From which web site a request was sent: browsers say so of whatever could change something."""

from urllib.parse import urlsplit


def is_from_elsewhere(origin: str | None, host: str, page_url: str | None) -> bool:
    """True if another web site's script or form sent this. Programs send no Origin."""
    if origin is None:
        return False
    try:
        given = urlsplit(origin)
        if page_url and (known := urlsplit(page_url)) and (given.scheme, given.netloc) == known[:2]:
            return False
    except ValueError:
        return True
    return given.scheme not in ("http", "https") or given.netloc != host
