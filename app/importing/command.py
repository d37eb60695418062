"""`statuswire import`: what another status page has becomes a config file, with a report of the rest.

Nothing is changed unless it is asked for: without --apply the file goes to standard output, and the report
beside it to standard error.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from app.domain.counted import counted
from app.domain.instant import rfc3339
from app.importing import gatus, statuspage, uptime_kuma
from app.importing.harvest import LARGEST, Harvest, NotReadable

SOURCES: Final[dict[str, Callable[[Path], Harvest]]] = {
    "uptime-kuma": uptime_kuma.read,
    "gatus": lambda file: gatus.read(_content(file)),
    "statuspage": lambda file: statuspage.read(_content(file)),
}


def harvest_of(source: str, file: str) -> Harvest:
    """Raises NotReadable."""
    return SOURCES[source](Path(file))


def harvest_of_page(summary: bytes, incidents: bytes) -> Harvest:
    """Of two answers of a page's public API. Raises NotReadable."""
    try:
        page = msgspec.json.decode(summary, type=dict[str, Any])
        past = msgspec.json.decode(incidents, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotReadable("What it answers is no JSON: this is no page of Statuspage.") from None
    told = past.get("incidents")
    return statuspage.read(msgspec.json.encode({**page, "incidents": told or page.get("incidents")}))


def shown(harvest: Harvest, as_json: bool) -> tuple[str, str]:
    """What goes to standard output, and the report."""
    if as_json:
        return msgspec.json.format(msgspec.json.encode(_as_json(harvest)), indent=2).decode() + "\n", ""
    return harvest.text(), "\n".join([*harvest.report(), summary(harvest), ""])


def summary(harvest: Harvest) -> str:
    catalog = harvest.catalog()
    counts = {
        "component": len(catalog.components),
        "monitor": sum(1 for _ in catalog.monitors()),
        "page": 1 + len(catalog.pages),
        "incident": len(harvest.incidents),
        "stretch of history": len(harvest.history),
    }
    return counted(counts)


def _as_json(harvest: Harvest) -> dict[str, object]:
    return {
        "config": harvest.text(),
        "incidents": harvest.incidents,
        "history": [
            {
                "component": each.component,
                "status": each.status,
                "since": rfc3339(each.since),
                "until": None if each.until is None else rfc3339(each.until),
            }
            for each in harvest.history
        ],
        "report": harvest.remarks,
    }


def _content(file: Path) -> bytes:
    try:
        # Opening a pipe would wait for its other end.
        if not file.is_file():
            raise NotReadable("There is no such file.")
        with file.open("rb") as opened:
            return opened.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise NotReadable(f"It cannot be read ({reason}).") from None
