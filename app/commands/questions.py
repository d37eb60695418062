"""probe, explain and heartbeats: what one target answers, why one monitor stands as it does, and where jobs
speak to."""

import argparse
import asyncio
import sys

import msgspec

from app.commands.checks import redis_answers
from app.commands.words import Commands, add_places, read_config
from app.reach import Refused


def add(commands: Commands) -> None:
    probe = commands.add(
        "probe", _probe, "probe one target once and show what took how long; exit 1 if it fails"
    )
    probe.add_argument("url", metavar="URL", help="such as https://example.org/ or tcp://example.org:443")
    explain = commands.add(
        "explain", _explain, "say why a monitor stands as it does: results, votes and rules"
    )
    explain.add_argument("monitor", metavar="MONITOR", help="its key, such as payments-api/http")
    add_places(explain)
    heartbeats = commands.add(
        "heartbeats", _heartbeats, "show where each push monitor is sent its heartbeats"
    )
    add_places(heartbeats)


def _probe(arguments: argparse.Namespace) -> int:
    from workers.probes.once import probe_command

    return probe_command(arguments.url)


def _explain(arguments: argparse.Namespace) -> int:
    config = read_config(arguments)
    from app.db.engine import DatabaseDown
    from app.embedded import socket_url
    from app.explain import Unexplained, explain_monitor

    # One that `up` has started has no other address than its socket.
    redis_url = config.redis_url or socket_url(config.data)
    if redis_url is None:
        raise Refused(
            f"REDIS_URL is not set, and no `statuswire up` runs with its data in {config.data}; "
            "set REDIS_URL, or name the folder with --data."
        )
    redis_answers(msgspec.structs.replace(config, redis_url=redis_url))
    try:
        print(asyncio.run(explain_monitor(config, redis_url, arguments.monitor)))
    except (DatabaseDown, Unexplained) as error:
        raise Refused(str(error)) from None
    return 0


def _heartbeats(arguments: argparse.Namespace) -> int:
    config = read_config(arguments)
    from app.db.engine import DatabaseDown
    from app.heartbeats import addresses
    from app.security.secrets import BadKey

    try:
        lines, guess = asyncio.run(addresses(config))
    except (BadKey, DatabaseDown) as error:
        raise Refused(str(error)) from None
    print("\n".join(lines))
    if guess:
        print(f"statuswire: {guess}", file=sys.stderr)
    return 0
