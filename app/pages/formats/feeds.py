"""Incidents and planned work for readers of feeds: Atom at `/history.atom`, RSS at `/history.rss`, and what
is planned as a calendar that can be subscribed to at `/maintenance.ics`.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from html import escape
from typing import Final
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, SubElement, register_namespace, tostring

from app.domain.told import PublicIncident, PublicMaintenance, PublicUpdate
from app.markdown import to_html
from app.pages.formats.bulletin import Bulletin, Told, changed
from app.pages.stories import STAGES

_MOST: Final = 50
_ATOM: Final = "http://www.w3.org/2005/Atom"
# What XML 1.0 has no place for, however it is written.
_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINE: Final = 75  # bytes of a line of a calendar, RFC 5545 section 3.1

register_namespace("atom", _ATOM)


def atom(said: Bulletin) -> bytes:
    host = urlsplit(said.root).netloc
    feed = Element("feed", {"xmlns": _ATOM, "xml:lang": said.language.code})
    _add(feed, "id", f"tag:{host},2005:/history{said.page.slug and '/' + said.page.slug}")
    _add(feed, "title", _title(said))
    _add(feed, "updated", _rfc3339(said.changed))
    _add(feed, "link", rel="alternate", type="text/html", href=said.root)
    _add(feed, "link", rel="self", type="application/atom+xml", href=f"{said.root}/history.atom")
    _add(SubElement(feed, "author"), "name", said.page.name)
    for told in _told(said):
        entry = SubElement(feed, "entry")
        kind = "Incident" if isinstance(told, PublicIncident) else "Maintenance"
        _add(entry, "id", f"tag:{host},2005:{kind}/{told.id}")
        _add(entry, "title", told.title)
        _add(entry, "published", _rfc3339(said.instant(_began(told))))
        _add(entry, "updated", _rfc3339(said.instant(changed(told))))
        _add(entry, "link", rel="alternate", type="text/html", href=said.link(told))
        _add(entry, "content", _content(said, told), type="html")
    return _document(feed)


def rss(said: Bulletin) -> bytes:
    feed = Element("rss", {"version": "2.0"})
    channel = SubElement(feed, "channel")
    _add(channel, "title", _title(said))
    _add(channel, "link", said.root)
    _add(channel, "description", said.language.say("Live status of {page}.", page=said.page.name))
    _add(channel, "language", said.language.code)
    _add(channel, "pubDate", _rfc822(said.changed))
    own = f"{said.root}/history.rss"
    _add(channel, f"{{{_ATOM}}}link", rel="self", type="application/rss+xml", href=own)
    for told in _told(said):
        item = SubElement(channel, "item")
        _add(item, "title", told.title)
        _add(item, "description", _content(said, told))
        _add(item, "pubDate", _rfc822(said.instant(changed(told))))
        _add(item, "link", said.link(told))
        _add(item, "guid", said.link(told))
    return _document(feed)


def calendar(said: Bulletin) -> bytes:
    """RFC 5545. Each occurrence of what recurs is an event of its own."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Statuswire//Maintenance//EN",
        "CALSCALE:GREGORIAN",
        f"X-WR-CALNAME:{_text(said.page.name)}",
        "REFRESH-INTERVAL;VALUE=DURATION:PT15M",
        *(line for each in said.maintenances[:_MOST] for line in _event(said, each)),
        "END:VCALENDAR",
    ]
    return b"".join(_folded(line) for line in lines)


def _told(said: Bulletin) -> list[Told]:
    """What has begun or is announced, the one of which something was said last before the others."""
    both: list[Told] = [*said.incidents, *said.maintenances]
    return sorted(both, key=lambda each: (changed(each), each.id), reverse=True)[:_MOST]


def _began(told: Told) -> str:
    return told.since if isinstance(told, PublicIncident) else told.starts


def _title(said: Bulletin) -> str:
    return f"{said.page.name} - {said.language.say('Past incidents')}"


def _content(said: Bulletin, told: Told) -> str:
    return "".join(_paragraphs(said, told))


def _paragraphs(said: Bulletin, told: Told) -> Iterator[str]:
    if isinstance(told, PublicMaintenance):
        starts, ends = (said.instant(at) for at in (told.starts, told.ends))
        yield f"<p><strong>{_moment(said, starts)} \N{EN DASH} {_moment(said, ends)}</strong></p>"
    yield from (_said(said, each) for each in told.updates)
    if isinstance(told, PublicMaintenance):
        yield to_html(told.words)


def _said(said: Bulletin, update: PublicUpdate) -> str:
    """`<small>10 Dec, 18:19 UTC</small><br><strong>Resolved</strong> - It is well.`"""
    stage = escape(said.language.say(STAGES.get(update.status, update.status)))
    head = f"<p><small>{_moment(said, said.instant(update.at))}</small><br><strong>{stage}</strong>"
    words = to_html(update.words)
    return f"{head} - {words.removeprefix('<p>')}" if words.startswith("<p>") else f"{head}</p>{words}"


def _moment(said: Bulletin, at: datetime) -> str:
    return escape(said.language.moment(at, said.where))


def _event(said: Bulletin, told: PublicMaintenance) -> Iterator[str]:
    components = {row.slug: row.name for row in said.rows}
    names = [components[each.slug] for each in told.components if each.slug in components]
    yield "BEGIN:VEVENT"
    yield f"UID:{told.id}@{urlsplit(said.root).hostname}"
    yield f"DTSTAMP:{_utc(said.instant(changed(told)))}"
    yield f"DTSTART:{_utc(said.instant(told.starts))}"
    yield f"DTEND:{_utc(said.instant(told.ends))}"
    yield f"SUMMARY:{_text(told.title)}"
    yield f"DESCRIPTION:{_text(told.words)}"
    yield f"LOCATION:{_text(', '.join(names))}"
    yield f"URL:{said.link(told)}"
    yield "STATUS:CONFIRMED"
    # A calendar shows it, and its owner is not taken to be busy by it.
    yield "TRANSP:TRANSPARENT"
    yield "END:VEVENT"


def _text(words: str) -> str:
    one_line = re.sub(r"([\\;,])", r"\\\1", _NO_XML.sub("", words)).replace("\r\n", "\n")
    return re.sub(r"[\r\n]", r"\\n", one_line)


def _folded(line: str) -> bytes:
    """No line is longer than 75 bytes, and no character is cut in two."""
    parts, part = [], b""
    for character in line:
        written = character.encode()
        if len(part) + len(written) > _LINE:
            parts.append(part)
            part = b" "
        part += written
    return b"\r\n".join([*parts, part]) + b"\r\n"


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _rfc3339(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def _rfc822(at: datetime) -> str:
    return format_datetime(at.astimezone(UTC))


def _add(parent: Element, name: str, text: str = "", **attributes: str) -> None:
    SubElement(parent, name, attributes).text = _NO_XML.sub("", text) or None


def _document(root: Element) -> bytes:
    text: bytes = tostring(root, "utf-8", xml_declaration=True)
    return text
