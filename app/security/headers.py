"""The headers that keep a browser safe, for whatever does not say more for itself: errors, health, streams,
and what is refused before any route has seen it."""

from typing import Final

HEADERS: Final = {
    "content-security-policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
# As they stand in a head that is written by hand.
LINES: Final = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items()).encode()
