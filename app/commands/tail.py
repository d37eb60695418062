"""tail: the stream of a running server in a terminal, line by line, over all breaks."""

import argparse
import os
import re
import sys
from collections.abc import Iterator
from typing import Any, Final

from app.commands.words import Commands
from app.reach import Refused

_COLOURS: Final = {
    "operational": "32",
    "under_maintenance": "34",
    "unknown": "90",
    "degraded_performance": "33",
    "partial_outage": "38;5;208",
    "major_outage": "31",
}
_ID: Final = re.compile("[0-9]{1,15}-[0-9]{1,15}")
_SHAPES: Final = {"operational": "●", "under_maintenance": "◆", "unknown": "?", "degraded_performance": "▲"}


def add(commands: Commands) -> None:
    tail = commands.add("tail", _tail, "follow what changes, as screens do, until Ctrl-C")
    tail.epilog = "The server is that of STATUSWIRE_URL; with STATUSWIRE_TOKEN more may be seen."
    tail.add_argument("--since", default="", metavar="ID", help="what came behind this id, first")
    tail.add_argument("--page", default="", metavar="SLUG", help="what is on this page")
    tail.add_argument("--components", default="", metavar="SLUGS", help="these only, with commas")
    tail.add_argument("--json", action="store_true", help="each frame as one line of JSON")


def _tail(arguments: argparse.Namespace) -> int:
    import msgspec

    from app.remote import Broken, follow_stream, from_environment

    if arguments.since and not _ID.fullmatch(arguments.since):
        raise Refused(
            f"--since is {arguments.since[:80]!r}; it must be the id of something that was told, such as "
            "1769860800000-0: `tail --json` shows them as `id`."
        )
    is_coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    names: dict[str, str] = {}
    narrowed = {"page": arguments.page, "components": arguments.components}
    for frame in follow_stream(from_environment(), arguments.since, **narrowed):
        if isinstance(frame, Broken):
            print(f"{frame}; trying again", file=sys.stderr, flush=True)
        elif arguments.json:
            print(msgspec.json.encode({"type": frame.kind, **frame.said}).decode(), flush=True)
        else:
            for line in _lines(frame.kind, frame.said, names):
                print(line if is_coloured else _plain(line), flush=True)
    return 0


def _lines(kind: str, said: dict[str, Any], names: dict[str, str]) -> Iterator[str]:
    """`names` are those of the components, by slug, which a snapshot tells."""
    at = str(said.get("at") or said.get("now") or "")[11:19]
    if kind == "beat" and said.get("feed") != "ok":
        yield f"{at}  the server hears nothing: {_clean(said.get('feed'))}"
    if kind not in ("snapshot", "patch"):
        return
    if "status" in said:
        yield f"{at}  {_clean(said['status']['description'])}"
    for each in said.get("components") or ():
        names[each["slug"]] = _clean(each.get("name") or names.get(each["slug"], each["slug"]))
        if kind == "patch" or each["status"] != "operational":
            yield f"{at}  {_coloured(each['status'])}  {names[each['slug']]}"
    for each in (*(said.get("incidents") or ()), *(said.get("maintenances") or ())):
        yield f"{at}  {_story(each)}"


def _story(each: dict[str, Any]) -> str:
    if each.get("removed"):
        return f"{each['id']}  is not shown any more"
    newest = next(iter(each.get("updates") or ()), None)
    words = f": {_clean(newest['words'])}" if newest else ""
    on_it = f" ({_clean(each['acknowledged'])})" if each.get("acknowledged") else ""
    return f"{each['id']}  {each['status']}  {_clean(each['title'])}{on_it}{words}"


def _coloured(status: str) -> str:
    # By a shape too, for those who see no colours.
    return f"\033[{_COLOURS.get(status, '0')}m{_SHAPES.get(status, '■')} {status:20}\033[0m"


def _plain(line: str) -> str:
    for colour in (*_COLOURS.values(), "0"):
        line = line.replace(f"\033[{colour}m", "")
    return line


def _clean(given: Any) -> str:
    """One line, and nothing that a terminal would obey."""
    text = " ".join(str(given).split())
    return "".join(sign for sign in text if sign.isprintable())[:200]
