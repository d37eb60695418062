"""The one Jinja environment: what a template may call, and how times and statuses are written.

Everything a template prints is escaped, unless it is Markup, and Markup is only made here and in `bars`.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from app.domain.instant import rfc3339
from app.domain.status import Status
from app.markdown import to_html
from app.pages.language import CATALOGUES
from app.pages.rows import WORD
from app.pages.sentences import beside
from app.pages.static import RELEASE, icon, url

# For operators. What and where, the log says: a page must not tell what is in the file.
BAD_FILE = "The config file has mistakes or is missing; the last good version runs. See the log."

_TEMPLATES = Path(__file__).parent / "templates"

# What a tag of a page must change with, besides what the page shows.
EDITION = sha256(
    RELEASE.encode()
    + b"".join(path.read_bytes() for path in sorted([*_TEMPLATES.rglob("*.html"), *CATALOGUES]))
).hexdigest()[:12]


# Beside what is a box of its own a line break shows nothing. Beside what stands in a line it is a space.
_BOX: Final = (
    "html|head|body|meta|link|style|title|script|header|main|footer|nav|section|div|dialog|details|form"
)
_BREAK: Final = re.compile(rf"(</?(?:{_BOX}|ul|li|p|h\d|dl|dt|dd|figure|figcaption)\b[^>]*>)\n+(?=<)")


def draw(template: str, /, **values: object) -> str:
    return _BREAK.sub(r"\1", _environment.get_template(template).render(values))


def zone(name: str) -> ZoneInfo:
    """UTC if this machine has no such zone: a wrong name must not take the page away."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def shape(status: str) -> Markup:
    return Markup('<svg class="shape" aria-hidden="true"><use href="#shape-{}"/></svg>').format(status)


def milliseconds(latency: float | None) -> str:
    if latency is None:
        return ""
    return "< 1 ms" if latency < 1 else f"{latency:.0f} ms"


def as_json(value: object) -> Markup:
    """As the text of a data block: nothing in it can end the block."""
    return Markup(msgspec.json.encode(value).decode().replace("<", "\\u003c"))


def prose(markdown: str) -> Markup:
    return Markup(to_html(markdown))


def weave(text: str, **parts: Markup) -> Markup:
    """A text in which a part is more than words."""
    woven = escape(text)
    for name, part in parts.items():
        woven = Markup(str(woven).replace(f"{{{name}}}", part))
    return woven


def clock(at: datetime, where: ZoneInfo) -> str:
    return f"{at.astimezone(where):%H:%M:%S}"


def labelled(values: Iterable[StrEnum]) -> list[tuple[str, str]]:
    """What a form offers: each value with the word for it."""
    return [
        (each.value, WORD[each] if isinstance(each, Status) else each.replace("_", " ").capitalize())
        for each in values
    ]


def local(at: datetime, where: ZoneInfo) -> str:
    """As `<input type=datetime-local>` takes it: to the minute."""
    return f"{at.astimezone(where):%Y-%m-%dT%H:%M}"


def moment(at: datetime, where: ZoneInfo, since: datetime | None = None) -> str:
    """For operators: `Tue 24 Nov 2026, 13:30 CET`; without the day if that is the day of `since`."""
    there = at.astimezone(where)
    is_same = since is not None and since.astimezone(where).date() == there.date()
    return f"{there:%H:%M %Z}" if is_same else f"{there:%a %-d %b %Y, %H:%M %Z}"


_environment = Environment(
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals |= {
    "bad_file_note": BAD_FILE,
    "shape": shape,
    "static": url,
    "icon": icon,
    "word": WORD,
    "beside": beside,
}
_environment.filters |= {
    "iso": rfc3339,
    "clock": clock,
    "labelled": labelled,
    "local": local,
    "moment": moment,
    "milliseconds": milliseconds,
    "json": as_json,
    "prose": prose,
    "weave": weave,
}
