"""The one Jinja environment: what a template may call, and how times and statuses are written.

Everything a template prints is escaped, unless it is Markup, and Markup is only made here and in `bars`.
"""

from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from app.domain.instant import rfc3339
from app.markdown import to_html
from app.pages.rows import WORD
from app.pages.static import RELEASE, url

# For operators. What and where, the log says: a page must not tell what is in the file.
BAD_FILE = "The config file has mistakes or is missing; the last good version runs. See the log."

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


def shape(status: str) -> Markup:
    return Markup('<svg class="shape" aria-hidden="true"><use href="#shape-{}"/></svg>').format(status)


def moment(at: datetime, where: ZoneInfo) -> str:
    """`23 Nov, 14:32 CET`: what is read without a script; with one, it becomes "38 minutes ago"."""
    there = at.astimezone(where)
    return f"{there.day} {there:%b, %H:%M %Z}"


def recent(at: datetime, now: datetime, where: ZoneInfo) -> str:
    """`14:31:29`, or with the day if that could be taken for today's."""
    return clock(at, where) if now - at < timedelta(hours=12) else moment(at, where)


def milliseconds(latency: float | None) -> str:
    if latency is None:
        return ""
    return "< 1 ms" if latency < 1 else f"{latency:.0f} ms"


def clock(at: datetime, where: ZoneInfo) -> str:
    return f"{at.astimezone(where):%H:%M:%S}"


def prose(markdown: str) -> Markup:
    return Markup(to_html(markdown))


_environment = Environment(
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals |= {"bad_file_note": BAD_FILE, "shape": shape, "static": url, "word": WORD}
_environment.filters |= {
    "iso": rfc3339,
    "moment": moment,
    "clock": clock,
    "milliseconds": milliseconds,
    "prose": prose,
}
