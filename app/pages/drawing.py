"""The one Jinja environment: what a template may call, and how times and statuses are written.

Everything a template prints is escaped, unless it is Markup, and Markup is only made here and in `bars`.
"""

from datetime import datetime
from hashlib import sha256
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from app.domain.events import order
from app.domain.instant import from_ms, rfc3339
from app.pages.rows import WORD
from app.pages.static import RELEASE, url

_TEMPLATES = Path(__file__).parent / "templates"

# What a tag of a page must change with, besides what the page shows.
EDITION = sha256(
    RELEASE.encode() + b"".join(path.read_bytes() for path in sorted(_TEMPLATES.iterdir()))
).hexdigest()[:12]


def draw(template: str, /, **values: object) -> str:
    return _environment.get_template(template).render(values)


def zone(name: str) -> ZoneInfo:
    """UTC if this machine has no such zone: a wrong name must not take the page away."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def known(id: str, now: datetime) -> datetime:
    """As of when a board is right, if the feed has not been heard since: its last event, which is `id`."""
    ms, _ = order(id)
    return from_ms(ms) if ms else now


def shape(status: str) -> Markup:
    return Markup('<svg class="shape" aria-hidden="true"><use href="#shape-{}"/></svg>').format(status)


def moment(at: datetime, where: ZoneInfo) -> str:
    """`23 Nov, 14:32 CET`: what is read without a script; with one, it becomes "38 minutes ago"."""
    there = at.astimezone(where)
    return f"{there.day} {there:%b, %H:%M %Z}"


def milliseconds(latency: float | None) -> str:
    if latency is None:
        return ""
    return "< 1 ms" if latency < 1 else f"{latency:.0f} ms"


def clock(at: datetime, where: ZoneInfo) -> str:
    return f"{at.astimezone(where):%H:%M:%S}"


_environment = Environment(
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals |= {"shape": shape, "static": url, "word": WORD}
_environment.filters |= {"iso": rfc3339, "moment": moment, "clock": clock, "milliseconds": milliseconds}
