"""The `statuswire` command: what is typed, and how each command ends. Every wrong word, file or address is
one clear line and exit code 2."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final

from app.commands import (
    clone,
    completion,
    export,
    file,
    imports,
    operations,
    people,
    processes,
    questions,
    tail,
)
from app.commands.checks import Mistakes
from app.commands.words import Commands, Run
from app.config import ConfigError
from app.reach import Refused

_PROG: Final = "statuswire"
_REFUSED: Final = 2


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        run: Run = arguments.run
        code = run(arguments)
        sys.stdout.flush()
        return code
    except (ConfigError, Refused) as error:
        print(f"{_PROG}: {error}", file=sys.stderr)
        return _REFUSED
    except Mistakes as mistakes:
        print(mistakes, file=sys.stderr)
        return _REFUSED
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # `statuswire ... | head`: the reader has seen enough. Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROG,
        allow_abbrev=False,
        description="A self-hosted status page that pushes.",
        epilog="Begin with `statuswire up`. `statuswire COMMAND --help` says more about one command. In a "
        "clone, `./statuswire test` runs the tests.",
    )
    commands = Commands(parser)
    for family in (processes, questions, operations, tail, file, imports, people, export, clone, completion):
        family.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
