"""The `statuswire` command. Every wrong word, file or address ends in one clear line and exit code 2.

What a command needs is imported when it runs, so that `version` and a mistyped word answer at once.
"""

import argparse
import asyncio
import os
import re
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from app.config import Config, ConfigError
from app.reach import Refused, greet_redis, reach

if TYPE_CHECKING:
    from app.domain.monitor import Catalog

T = TypeVar("T")

_ROOT = Path(__file__).resolve().parent.parent
_PROG = "statuswire"
_REFUSED = 2


class Mistakes(Exception):
    """Lines for the person who wrote the file, in the form that editors jump to."""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        run: Callable[[argparse.Namespace], int] = arguments.run
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
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], words: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=words, description=words[0].upper() + words[1:] + ".")
        added.set_defaults(run=run)
        return added

    up = command("up", _up, "start everything: Redis if none is given, database, server and worker")
    _add_places(up)
    _add_processes(up)
    for name, run, words in (
        ("web", _web, "the server alone: page, wall and streams"),
        ("worker", _worker, "the worker alone: probes what the config file names"),
        ("migrate", _migrate, "bring the database's tables up to date"),
    ):
        single = command(name, run, words)
        _add_places(single)
        if name == "web":
            _add_processes(single)
    probe = command("probe", _probe, "probe one target once and show what took how long; exit 1 if it fails")
    probe.add_argument("url", metavar="URL", help="such as https://example.org/ or tcp://example.org:443")
    explain = command("explain", _explain, "say why a monitor stands as it does: results, votes and rules")
    explain.add_argument("monitor", metavar="MONITOR", help="its key, such as payments-api/http")
    _add_places(explain)
    config = command("config", _no_command, "work on a config file")
    checks = config.add_subparsers(title="commands", metavar="COMMAND", required=True)
    check = checks.add_parser("check", help="name every mistake in a config file with its line")
    check.add_argument("file", metavar="FILE", type=Path)
    check.set_defaults(run=_check)
    _add_people(command)
    bench = command("bench", _bench, "run one of the benchmarks in bench/")
    bench.add_argument("name", metavar="NAME", help=f"one of: {', '.join(_benches()) or 'none here'}")
    bench.add_argument("--quick", action="store_true", help="end within 45 s")
    command("version", _version, "print the version")
    return parser


def _add_people(command: Callable[..., argparse.ArgumentParser]) -> None:
    def verb(among: Any, name: str, run: Callable[[argparse.Namespace], int], words: str) -> Any:
        added = among.add_parser(name, help=words, description=words[0].upper() + words[1:] + ".")
        added.set_defaults(run=run)
        added.add_argument("--json", action="store_true", help="print JSON")
        _add_places(added)
        return added

    def verbs(name: str, words: str) -> Any:
        parser = command(name, _no_command, words)
        return parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    token = verbs("token", "make, list and revoke tokens of programs and of walls")
    create = verb(token, "create", _create_token, "make a token; it is shown once")
    create.add_argument("name", metavar="NAME", help="what it is for")
    create.add_argument(
        "--scope", action="append", default=[], metavar="SCOPE", help="such as incidents:write"
    )
    create.add_argument("--page", action="append", default=[], metavar="SLUG", help="the only one it may see")
    create.add_argument("--address", action="append", default=[], metavar="NETWORK", help="it may come from")
    create.add_argument("--expires", metavar="SPAN", help="such as 30d; without it, never")
    create.add_argument("--wall", action="store_true", help="of a screen: read-only, one page, no login")
    verb(token, "list", _list_tokens, "list all tokens")
    revoke = verb(token, "revoke", _revoke_token, "revoke a token, and end its streams")
    revoke.add_argument("id", metavar="ID")
    user = verbs("user", "add people, and let in again who has lost their password")
    add = verb(user, "add", _add_user, "add somebody, with a password to begin with")
    add.add_argument("email", metavar="EMAIL")
    add.add_argument("--name", default="")
    add.add_argument("--role", choices=("viewer", "operator", "admin"), default="viewer")
    reset = verb(
        user, "reset", _reset_user, "give somebody a new password, and take their second factor away"
    )
    reset.add_argument("email", metavar="EMAIL")
    secrets = verbs("secrets", "work on what is sealed in the database")
    verb(secrets, "rotate", _rotate_secrets, "seal everything anew by the first key")


def _add_places(parser: argparse.ArgumentParser) -> None:
    """What stands on the command line goes before the environment."""
    parser.add_argument("--config", metavar="FILE", help="default: statuswire.yaml, or STATUSWIRE_CONFIG")
    parser.add_argument("--data", metavar="DIR", help="default: ./data, or STATUSWIRE_DATA")
    parser.add_argument("--host", metavar="HOST", help="default: 127.0.0.1, or HOST")
    parser.add_argument("--port", metavar="PORT", help="default: 8000, or PORT")


def _add_processes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--processes", metavar="N", help="of the server, on one port; default: 1, or STATUSWIRE_PROCESSES"
    )


def _up(arguments: argparse.Namespace) -> int:
    # The port first: it is what is taken most often, and the others may wait for a server far away.
    config = _begin(arguments, _port_is_free, _redis_answers, _database_answers, _file_is_right)
    from app.up import up

    return _run(up(config))


def _web(arguments: argparse.Namespace) -> int:
    config = _begin(
        arguments, _redis_is_given, _port_is_free, _redis_answers, _file_is_right, _database_has_tables
    )
    if config.processes > 1 and not config.process:
        from app.processes import webs

        return _run(webs(config))
    from app.server import web

    return web(config)


def _run(parent: Coroutine[Any, Any, int]) -> int:
    """A process that has others under it."""
    from app.embedded import StartError

    try:
        return asyncio.run(parent)
    except StartError as error:
        raise Refused(str(error)) from None


def _worker(arguments: argparse.Namespace) -> int:
    # Database and config file are none of a worker's business: in another region it has neither.
    config = _begin(arguments, _redis_is_given, _redis_answers)
    from workers.main import run

    return run(config)


def _migrate(arguments: argparse.Namespace) -> int:
    config = _begin(arguments, _database_answers)
    from app.db.migrate import migrate

    # Within `up` it is one of many parts, and only what goes wrong is news.
    return migrate(config, tell=not config.supervised)


def _begin(arguments: argparse.Namespace, *checks: Callable[[Config], object]) -> Config:
    """The config of a process that stays, with its log on."""
    from app import log

    config = _config(arguments)
    # What `up` has seen to at its own start is not asked again when a child is restarted: with Redis down it
    # has to wait for it, and exit code 2 would end the others too.
    if not config.supervised:
        for check in checks:
            check(config)
    log.configure(config)
    return config


def _config(arguments: argparse.Namespace) -> Config:
    said = {
        "STATUSWIRE_CONFIG": arguments.config,
        "STATUSWIRE_DATA": arguments.data,
        "HOST": arguments.host,
        "PORT": arguments.port,
        "STATUSWIRE_PROCESSES": getattr(arguments, "processes", None),
    }
    return Config.read({**os.environ, **{name: value for name, value in said.items() if value is not None}})


def _redis_is_given(config: Config) -> None:
    if config.redis_url is None:
        raise Refused(
            "REDIS_URL is not set, and only `statuswire up` brings a Redis of its own; "
            "set it to a server's URL, such as redis://localhost:6379/0."
        )


def _port_is_free(config: Config) -> None:
    """Of several processes, too: who else listens there with SO_REUSEPORT would share our viewers, and no
    error would say so."""
    from app.embedded import StartError
    from app.up import refuse_taken_port

    try:
        refuse_taken_port(config)
    except StartError as error:
        raise Refused(str(error)) from None


def _redis_answers(config: Config) -> None:
    if config.redis_url is None:
        return
    if "+" in config.redis_url.partition("://")[0]:
        _one_of_several_answers(config.redis_url)
    else:
        greet_redis(config.redis_url)


def _one_of_several_answers(url: str) -> None:
    from app.redis_nodes import knock

    if problem := asyncio.run(knock(url)):
        raise Refused(f"REDIS_URL cannot be used: {problem}; start these servers, or correct the URL.")


def _database_answers(config: Config) -> None:
    if config.sqlite_file is None:
        from app.db.engine import knock

        _ask_database(config, knock)


def _database_has_tables(config: Config) -> None:
    """Those of this version: the server reads them at its start, and `migrate` alone makes them."""
    from app.db.engine import connect

    async def look(config: Config) -> None:
        await (await connect(config)).close()

    _ask_database(config, look)


def _ask_database(config: Config, ask: Callable[[Config], Coroutine[Any, Any, None]]) -> None:
    if config.sqlite_file is None:
        reach("DATABASE_URL", config.database_url, 5432)[0].close()
    from app.db.engine import DatabaseDown

    try:
        asyncio.run(ask(config))
    except DatabaseDown as error:
        raise Refused(str(error)) from None


def _file_is_right(config: Config) -> None:
    # One that is not there is no mistake; one that cannot even be looked for is.
    if not _is_missing(config.config_file):
        _load(config.config_file)


def _is_missing(file: Path) -> bool:
    try:
        file.stat()
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
    return False


def _probe(arguments: argparse.Namespace) -> int:
    from workers.probes.once import probe_command

    return probe_command(arguments.url)


def _explain(arguments: argparse.Namespace) -> int:
    config = _config(arguments)
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
    _redis_answers(msgspec.structs.replace(config, redis_url=redis_url))
    try:
        print(asyncio.run(explain_monitor(config, redis_url, arguments.monitor)))
    except (DatabaseDown, Unexplained) as error:
        raise Refused(str(error)) from None
    return 0


def _create_token(arguments: argparse.Namespace) -> int:
    from app.console import Words, create_token

    words = Words(
        name=arguments.name,
        scopes=tuple(arguments.scope),
        pages=tuple(arguments.page),
        addresses=tuple(arguments.address),
        lasts=None if arguments.expires is None else _seconds(arguments.expires),
        wall=arguments.wall,
    )
    made = _at_the_console(create_token(_config(arguments), words))
    _show(arguments, made, str(made.get("token") or made["path"]))
    return 0


def _list_tokens(arguments: argparse.Namespace) -> int:
    from app.console import list_tokens

    found = _at_the_console(list_tokens(_config(arguments)))
    lines = (
        f"{its['kind']:5}  {its['id']}  {its['name']}  {' '.join(its.get('scopes', ()))}" for its in found
    )
    _show(arguments, found, "\n".join(lines))
    return 0


def _revoke_token(arguments: argparse.Namespace) -> int:
    from app.console import revoke_token

    _at_the_console(revoke_token(_config(arguments), arguments.id))
    _show(arguments, {"id": arguments.id}, f"{arguments.id} is revoked")
    return 0


def _add_user(arguments: argparse.Namespace) -> int:
    from app.console import add_user

    words = arguments.email, arguments.name, arguments.role
    password = _at_the_console(add_user(_config(arguments), *words))
    _show(arguments, {"email": arguments.email, "password": password}, password)
    return 0


def _reset_user(arguments: argparse.Namespace) -> int:
    from app.console import reset_user

    password = _at_the_console(reset_user(_config(arguments), arguments.email))
    _show(arguments, {"email": arguments.email, "password": password}, password)
    return 0


def _rotate_secrets(arguments: argparse.Namespace) -> int:
    from app.console import rotate_secrets

    sealed, lost = _at_the_console(rotate_secrets(_config(arguments)))
    text = f"{sealed} sealed anew" + (f", {lost} cannot be opened by any key that is given" if lost else "")
    _show(arguments, {"sealed": sealed, "unreadable": lost}, text)
    return 1 if lost else 0


def _at_the_console(work: Coroutine[Any, Any, T]) -> T:
    from app.db.engine import DatabaseDown
    from app.domain.refused import Refused as NotAccepted
    from app.security.secrets import BadKey

    try:
        return asyncio.run(work)
    except (BadKey, DatabaseDown, NotAccepted) as error:
        raise Refused(str(error)) from None


def _show(arguments: argparse.Namespace, value: object, text: str) -> None:
    print(msgspec.json.encode(value).decode() if arguments.json else text)


def _seconds(span: str) -> float:
    match = re.fullmatch(r"([0-9]{1,6})([smhd])", span)
    if match is None or not int(match[1]):
        raise Refused(f"--expires is {span!r}; it must be a span such as 12h or 30d.")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def _check(arguments: argparse.Namespace) -> int:
    from app.statusfile.catalog import warnings
    from app.statusfile.problem import cut

    if _is_missing(arguments.file):
        raise Refused(
            f"{cut(str(arguments.file), 200)} does not exist; name a file that does, or let `statuswire up` "
            "write one to begin with: it does where there is none."
        )
    catalog = _load(arguments.file)
    for warning in warnings(catalog):
        print(f"{arguments.file}: warning: {warning}", file=sys.stderr)
    counts = f"{len(catalog.components)} components, {sum(1 for _ in catalog.monitors())} monitors"
    print(f"{arguments.file}: {counts}, no mistakes")
    return 0


def _load(file: Path) -> "Catalog":
    from app.statusfile.disk import load
    from app.statusfile.problem import StatusFileError

    try:
        return load(file)
    except StatusFileError as error:
        raise Mistakes(str(error)) from None


def _bench(arguments: argparse.Namespace) -> int:
    name = arguments.name.replace("-", "_")
    if name not in _benches():
        raise Refused(
            f"there is no benchmark {arguments.name!r}; there are: {', '.join(_benches()) or 'none'}."
        )
    command = [sys.executable, "-P", str(_ROOT / "bench" / f"{name}.py"), *(["--quick"] * arguments.quick)]
    os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": str(_ROOT)})


def _benches() -> list[str]:
    files = (_ROOT / "bench").glob("[a-z]*.py")
    # Some of that folder only serves the others.
    return sorted(file.stem for file in files if "__main__" in file.read_text(encoding="utf-8"))


def _version(_: argparse.Namespace) -> int:
    print(f"{_PROG} {_read_version()}")
    return 0


def _read_version() -> str:
    import tomllib
    from importlib.metadata import PackageNotFoundError, version

    try:
        # A clone is not installed; an installation has no pyproject.toml.
        project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
        return str(project["version"])
    except OSError:
        try:
            return version(_PROG)
        except PackageNotFoundError:
            return "unknown"


def _no_command(_: argparse.Namespace) -> int:
    raise AssertionError("argparse asks for a command first")


if __name__ == "__main__":
    sys.exit(main())
