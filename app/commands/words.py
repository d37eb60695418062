"""What may be typed, and how it becomes a Config: what several commands share of their command lines."""

import argparse
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from app.config import Config

if TYPE_CHECKING:
    from app.domain.actor import Actor

Run: TypeAlias = Callable[[argparse.Namespace], int]


class Commands:
    """The commands of one level."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser
        self._added: Any = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(self, name: str, run: Run, words: str) -> argparse.ArgumentParser:
        """`words` begin small, have no full stop, and are both the help and the description."""
        parser = self._parser(name, words)
        parser.set_defaults(run=run)
        return parser

    def group(self, name: str, words: str) -> "Commands":
        """A command that only has others under it."""
        return Commands(self._parser(name, words))

    def _parser(self, name: str, words: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = self._added.add_parser(
            name, help=words, description=words[0].upper() + words[1:] + "."
        )
        return parser


def show(arguments: argparse.Namespace, value: object, text: str) -> None:
    """With --json for programs, else for people."""
    import msgspec

    print(msgspec.json.encode(value).decode() if arguments.json else text)


def add_places(parser: argparse.ArgumentParser) -> None:
    """What stands on the command line goes before the environment."""
    parser.add_argument("--config", metavar="FILE", help="default: statuswire.yaml, or STATUSWIRE_CONFIG")
    parser.add_argument("--data", metavar="DIR", help="default: ./data, or STATUSWIRE_DATA")
    parser.add_argument("--host", metavar="HOST", help="default: 127.0.0.1, or HOST")
    parser.add_argument("--port", metavar="PORT", help="default: 8000, or PORT")


def console() -> "Actor":
    """Who sits at this machine."""
    from getpass import getuser

    from app.domain.actor import Actor

    try:
        return Actor("console", getuser())
    except (KeyError, OSError, ImportError):
        return Actor("console", str(os.getuid()))


def read_config(arguments: argparse.Namespace) -> Config:
    """Raises ConfigError."""
    said = {
        "STATUSWIRE_CONFIG": arguments.config,
        "STATUSWIRE_DATA": arguments.data,
        "HOST": arguments.host,
        "PORT": arguments.port,
        "STATUSWIRE_PROCESSES": getattr(arguments, "processes", None),
    }
    return Config.read({**os.environ, **{name: value for name, value in said.items() if value is not None}})
