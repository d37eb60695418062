"""incident, ack, override, release, maintenance: what operators do, said to a running server over REST."""

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from app.commands.words import Commands, show
from app.reach import Refused

if TYPE_CHECKING:
    from app.remote import Remote

_SERVER: Final = "The server is that of STATUSWIRE_URL, and STATUSWIRE_TOKEN says who asks."
_STATUSES: Final = ("investigating", "identified", "monitoring", "resolved")
_IMPACTS: Final = ("none", "minor", "major", "critical")
_BY_HAND: Final = (
    *("operational", "degraded_performance", "partial_outage", "major_outage", "under_maintenance"),
)
_OVER: Final = ("resolved", "postmortem", "completed")


def add(commands: Commands) -> None:
    _add_incident(commands.group("incident", "post, update, resolve and list incidents"))
    ack = _verb(commands, "ack", _acknowledge, "say who is on an incident, or on a component")
    ack.add_argument("subject", metavar="ID", help="of an incident, or the slug of a component")
    ack.add_argument("words", metavar="WORDS", nargs="?", default="", help="such as: Mei is on it")
    ack.add_argument("--until", metavar="WHEN", help="such as 2h; without it, until it is over")
    ack.add_argument("--off", action="store_true", help="nobody is on it any more")
    override = _verb(
        commands, "override", _override, "give a component a status by hand, whatever its probes find"
    )
    override.add_argument("component", metavar="COMPONENT", help="its slug")
    override.add_argument("status", choices=_BY_HAND, help="which it has until it is released")
    override.add_argument("--note", metavar="WORDS", default="", help="why; everybody may read it")
    release = _verb(commands, "release", _release, "give its probes the word on a component again")
    release.add_argument("component", metavar="COMPONENT", help="its slug")
    _add_maintenance(commands.group("maintenance", "schedule, start, end and list planned work"))


def _add_incident(incident: Commands) -> None:
    post = _verb(incident, "post", _post, "post an incident")
    post.add_argument("title", metavar="TITLE")
    post.add_argument("words", metavar="WORDS", help="Markdown; - reads them from standard input")
    post.add_argument("--status", choices=_STATUSES, default="investigating")
    post.add_argument("--impact", choices=_IMPACTS, help="without it, that of the worst component, or minor")
    post.add_argument("--since", metavar="WHEN", help="dates it back: such as 10m, or an RFC 3339 time")
    post.add_argument("--draft", action="store_true", help="seen by operators alone")
    update = _verb(incident, "update", _update, "say how an incident goes on")
    update.add_argument("id", metavar="ID")
    update.add_argument("words", metavar="WORDS", help="Markdown; - reads them from standard input")
    update.add_argument("--status", choices=_STATUSES, help="without it, it stays as it is")
    update.add_argument("--private", action="store_true", help="a note among operators")
    for parser in (post, update):
        _component(parser, "SLUG[=STATUS]", "affected, such as payments-api=major_outage")
        parser.add_argument("--next-update", metavar="WHEN", help="such as 30m: by then you say more")
    resolve = _verb(incident, "resolve", _resolve, "resolve an incident")
    resolve.add_argument("id", metavar="ID")
    resolve.add_argument("words", metavar="WORDS", nargs="?", default="This incident is resolved.")
    explain = _verb(incident, "postmortem", _explain, "write the postmortem of a resolved incident")
    explain.add_argument("id", metavar="ID")
    explain.add_argument("words", metavar="WORDS", help="Markdown; - reads them from standard input")
    _add_list(incident, "incidents", "list the incidents that are open")


def _add_maintenance(maintenance: Commands) -> None:
    schedule = _verb(maintenance, "schedule", _schedule, "schedule planned work, once or again and again")
    schedule.add_argument("title", metavar="TITLE")
    schedule.add_argument("words", metavar="WORDS", nargs="?", default="")
    schedule.add_argument("--start", required=True, metavar="WHEN", help="such as 2027-03-28T02:30, or 2h")
    end = schedule.add_mutually_exclusive_group(required=True)
    end.add_argument("--end", metavar="WHEN")
    end.add_argument("--lasts", metavar="SPAN", help="such as 90m")
    _component(schedule, "SLUG", "that is worked on")
    schedule.add_argument("--repeat", default="", metavar="RRULE", help="such as FREQ=WEEKLY;BYDAY=SU")
    schedule.add_argument("--time-zone", default="UTC", metavar="ZONE", help="in which all this is read")
    for name, status, words in (
        ("start", "in_progress", "begin planned work now"),
        ("end", "completed", "end planned work now"),
    ):
        moved = _verb(maintenance, name, _moved_to(status), words)
        moved.add_argument("id", metavar="ID")
    cancel = _verb(maintenance, "cancel", _cancel, "take back planned work")
    cancel.add_argument("id", metavar="ID")
    cancel.add_argument("--series", action="store_true", help="and all that would come after it")
    _add_list(maintenance, "maintenances", "list planned work that is not over")


def _verb(
    group: Commands, name: str, run: Callable[["Remote", argparse.Namespace], int], words: str
) -> argparse.ArgumentParser:
    def asked(arguments: argparse.Namespace) -> int:
        from app.remote import from_environment

        return run(from_environment(), arguments)

    parser = group.add(name, asked, words)
    parser.epilog = _SERVER
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser


def _component(parser: argparse.ArgumentParser, form: str, words: str) -> None:
    parser.add_argument("--component", action="append", default=[], metavar=form, help=words)


def _add_list(group: Commands, resource: str, words: str) -> None:
    def listed(remote: "Remote", arguments: argparse.Namespace) -> int:
        every = remote.items(f"/v1/{resource}")
        found = [each for each in every if arguments.all or each["status"] not in _OVER]
        show(arguments, found, "\n".join(map(_line, found)) or "none")
        return 0

    _verb(group, "list", listed, words).add_argument(
        "--all", action="store_true", help="those too that are over"
    )


# The verbs


def _post(remote: "Remote", arguments: argparse.Namespace) -> int:
    said = {
        "title": arguments.title,
        "words": _words(arguments),
        "status": arguments.status,
        "impact": arguments.impact,
        "components": _affected(arguments.component),
        "draft": arguments.draft,
        "since": None if arguments.since is None else _when(arguments.since, back=True),
        "next_update_by": None if arguments.next_update is None else _when(arguments.next_update),
    }
    return _tell(arguments, remote.ask("POST", "/v1/incidents", said))


def _update(remote: "Remote", arguments: argparse.Namespace) -> int:
    said = {
        "words": _words(arguments),
        "status": arguments.status,
        "components": _affected(arguments.component) or None,
        "next_update_by": None if arguments.next_update is None else _when(arguments.next_update),
        "private": arguments.private,
    }
    remote.ask("POST", f"{_place(arguments)}/updates", said)
    return _tell(arguments, remote.ask("GET", _place(arguments)))


def _resolve(remote: "Remote", arguments: argparse.Namespace) -> int:
    said = {"words": _words(arguments), "status": "resolved"}
    remote.ask("POST", f"{_place(arguments)}/updates", said)
    return _tell(arguments, remote.ask("GET", _place(arguments)))


def _explain(remote: "Remote", arguments: argparse.Namespace) -> int:
    remote.ask("PUT", f"{_place(arguments)}/postmortem", {"words": _words(arguments)})
    return _tell(arguments, remote.ask("GET", _place(arguments)))


def _acknowledge(remote: "Remote", arguments: argparse.Namespace) -> int:
    place = _subject(remote, arguments.subject)
    if arguments.off:
        remote.ask("DELETE", place)
        show(arguments, {"id": arguments.subject}, f"nobody is on {arguments.subject}")
        return 0
    until = None if arguments.until is None else _when(arguments.until)
    found = remote.ask("PUT", place, {"words": arguments.words, "until": until})
    show(arguments, found, f"{arguments.subject}  {found['words']}")
    return 0


def _subject(remote: "Remote", id: str) -> str:
    """An incident, or else a component: there are no incidents for who may not see them."""
    from app.remote import NotDone

    name = quote(id, safe="")
    try:
        remote.ask("GET", f"/v1/incidents/{name}")
    except NotDone as no:
        if no.status not in (403, 404):
            raise
        return f"/v1/components/{name}/acknowledgement"
    return f"/v1/incidents/{name}/acknowledgement"


def _override(remote: "Remote", arguments: argparse.Namespace) -> int:
    said = {"status": arguments.status, "note": arguments.note}
    found = remote.ask("PUT", _by_hand(arguments), said)
    line = f"{arguments.component}  {found['status']}  by hand, until it is released"
    show(arguments, found, f"{line}: {found['note']}" if found["note"] else line)
    return 0


def _release(remote: "Remote", arguments: argparse.Namespace) -> int:
    remote.ask("DELETE", _by_hand(arguments))
    found = {"component": arguments.component}
    show(arguments, found, f"{arguments.component} is as its probes find it")
    return 0


def _schedule(remote: "Remote", arguments: argparse.Namespace) -> int:
    starts = _when(arguments.start, arguments.time_zone)
    ends = _end(starts, arguments)
    said = {
        "title": arguments.title,
        "words": _words(arguments),
        "starts": starts,
        "ends": ends,
        "components": arguments.component,
        "recurrence": arguments.repeat,
        "time_zone": arguments.time_zone,
    }
    return _tell(arguments, remote.ask("POST", "/v1/maintenances", said))


def _moved_to(status: str) -> Callable[["Remote", argparse.Namespace], int]:
    def move(remote: "Remote", arguments: argparse.Namespace) -> int:
        place = f"/v1/maintenances/{quote(arguments.id, safe='')}"
        return _tell(arguments, remote.ask("PATCH", place, {"status": status}))

    return move


def _cancel(remote: "Remote", arguments: argparse.Namespace) -> int:
    place = f"/v1/maintenances/{quote(arguments.id, safe='')}"
    remote.ask("DELETE", f"{place}/series" if arguments.series else place)
    show(arguments, {"id": arguments.id}, f"{arguments.id} is cancelled")
    return 0


# What was typed, read


def _place(arguments: argparse.Namespace) -> str:
    return f"/v1/incidents/{quote(arguments.id, safe='')}"


def _by_hand(arguments: argparse.Namespace) -> str:
    return f"/v1/components/{quote(arguments.component, safe='')}/override"


def _words(arguments: argparse.Namespace) -> str:
    return sys.stdin.read() if arguments.words == "-" else str(arguments.words)


def _affected(given: list[str]) -> list[dict[str, str]]:
    pairs = (each.partition("=") for each in given)
    return [{"slug": slug} | ({"status": status} if status else {}) for slug, _, status in pairs]


def _when(given: str, time_zone: str = "UTC", *, back: bool = False) -> datetime:
    """A span from now, or an instant; without an offset, by the clock on the wall of the zone."""
    from app.domain import recurrence, refused
    from app.statusfile.values import seconds_in

    if (seconds := seconds_in(given)) is not None:
        span = timedelta(seconds=seconds)
        return datetime.now(UTC) - span if back else datetime.now(UTC) + span
    try:
        at = datetime.fromisoformat(given)
        return at if at.tzinfo is not None else at.replace(tzinfo=recurrence.zone(time_zone)).astimezone(UTC)
    except refused.Refused as no:
        raise Refused(str(no)) from None
    except (ValueError, OverflowError):
        raise Refused(
            f"{given!r} is no time: write a span such as 2h, or such as 2027-03-28T02:30."
        ) from None


def _end(starts: datetime, arguments: argparse.Namespace) -> datetime:
    if arguments.end is not None:
        return _when(arguments.end, arguments.time_zone)
    from app.statusfile.values import seconds_in

    seconds = seconds_in(arguments.lasts)
    if seconds is None:
        raise Refused(f"--lasts is {arguments.lasts!r}; it must be a span such as 90m.")
    return starts + timedelta(seconds=seconds)


# What is shown


def _tell(arguments: argparse.Namespace, found: dict[str, Any]) -> int:
    show(arguments, found, _line(found))
    return 0


def _line(found: dict[str, Any]) -> str:
    if "starts" in found:
        when = f"{_minute(found['starts'])} to {_minute(found['ends'])}"
        again = f"  {found['recurrence']}" if found["recurrence"] else ""
        return f"{found['id']}  {found['status']:11}  {when}  {found['title']}{again}"
    draft = " (draft)" if found["draft"] else ""
    on_it = f"  {found['acknowledged']}" if found["acknowledged"] else ""
    return f"{found['id']}  {found['status']:13}  {found['impact']:8}  {found['title']}{draft}{on_it}"


def _minute(at: str) -> str:
    return f"{at[:10]} {at[11:16]} UTC"
