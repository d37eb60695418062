"""token, user, secrets: who may do what, said on the machine itself, where no login is asked for. Tokens can
be made elsewhere too: with STATUSWIRE_URL, of the server there."""

import argparse
import asyncio
import os
import re
import sys
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote

from app.commands.checks import database_has_tables
from app.commands.words import Commands, Run, add_places, console, read_config, show
from app.config import Config
from app.reach import Refused

T = TypeVar("T")


def add(commands: Commands) -> None:
    token = commands.group("token", "make, list and revoke tokens of programs and of walls")
    create = _verb(token, "create", _create_token, "make a token; it is shown once")
    create.add_argument("name", metavar="NAME", help="what it is for")
    for name, letter, words in (
        ("--scope", "SCOPE", "what it may do, such as incidents:write"),
        ("--page", "SLUG", "a page that it may see; without one, all"),
        ("--address", "NETWORK", "where it may come from; without one, from anywhere"),
    ):
        create.add_argument(name, action="append", default=[], metavar=letter, help=words)
    create.add_argument("--expires", metavar="SPAN", help="such as 30d; without it, never")
    create.add_argument("--wall", action="store_true", help="of a screen: read-only, one page, no login")
    _verb(token, "list", _list_tokens, "list all tokens")
    revoke = _verb(token, "revoke", _revoke_token, "revoke a token, and end its streams")
    revoke.add_argument("id", metavar="ID")
    user = commands.group("user", "add people, and let in again who has lost their password")
    added = _verb(user, "add", _add_user, "add somebody, with a password to begin with")
    added.add_argument("email", metavar="EMAIL")
    added.add_argument("--name", default="", metavar="NAME")
    added.add_argument("--role", choices=("viewer", "operator", "admin"), default="viewer")
    reset = _verb(user, "reset", _reset_user, "give a new password, and take a second factor away")
    reset.add_argument("email", metavar="EMAIL")
    secrets = commands.group("secrets", "work on what is sealed in the database")
    _verb(secrets, "rotate", _rotate_secrets, "seal everything anew by the first of the secret keys")


def _verb(group: Commands, name: str, run: Run, words: str) -> argparse.ArgumentParser:
    parser = group.add(name, run, words)
    parser.add_argument("--json", action="store_true", help="for programs")
    add_places(parser)
    return parser


def _is_elsewhere() -> bool:
    return bool(os.environ.get("STATUSWIRE_URL"))


def _create_token(arguments: argparse.Namespace) -> int:
    if _is_elsewhere():
        return _create_token_there(arguments)
    config = _with_tables(arguments)
    from app.console import Words, create_token

    words = Words(
        name=arguments.name,
        scopes=tuple(arguments.scope),
        pages=tuple(arguments.page),
        addresses=tuple(arguments.address),
        lasts=None if arguments.expires is None else _seconds(arguments.expires),
        wall=arguments.wall,
    )
    made = _done(create_token(config, console(), words))
    show(arguments, made, str(made.get("token") or made["path"]))
    return 0


def _list_tokens(arguments: argparse.Namespace) -> int:
    if _is_elsewhere():
        found = _tokens_there()
    else:
        config = _with_tables(arguments)
        from app.console import list_tokens

        found = _done(list_tokens(config))
    lines = (
        f"{its['kind']:5}  {its['id']}  {its['name']}  {' '.join(its.get('scopes', ()))}" for its in found
    )
    show(arguments, found, "\n".join(lines))
    return 0


def _revoke_token(arguments: argparse.Namespace) -> int:
    if _is_elsewhere():
        _revoke_token_there(arguments.id)
    else:
        config = _with_tables(arguments)
        from app.console import revoke_token

        _done(revoke_token(config, console(), arguments.id))
    show(arguments, {"id": arguments.id}, f"{arguments.id} is revoked")
    return 0


def _create_token_there(arguments: argparse.Namespace) -> int:
    from app.remote import from_environment

    if arguments.wall:
        said: dict[str, Any] = {"name": arguments.name, "page": "".join(arguments.page[:1])}
    else:
        lasts = None if arguments.expires is None else timedelta(seconds=_seconds(arguments.expires))
        said = {
            "name": arguments.name,
            "scopes": arguments.scope,
            "pages": arguments.page,
            "addresses": arguments.address,
            "expires": None if lasts is None else datetime.now(UTC) + lasts,
        }
    made = from_environment().ask("POST", "/v1/walls" if arguments.wall else "/v1/tokens", said)
    show(arguments, made, str(made.get("token") or made["path"]))
    return 0


def _tokens_there() -> list[dict[str, Any]]:
    from app.remote import from_environment

    remote = from_environment()
    kinds = (("token", "/v1/tokens"), ("wall", "/v1/walls"))
    return [{"kind": kind, **each} for kind, path in kinds for each in remote.items(path)]


def _revoke_token_there(id: str) -> None:
    from app.remote import from_environment

    kind = next((each["kind"] for each in _tokens_there() if each["id"] == id), None)
    if kind is None:
        raise Refused(f"There is no token {id!r}; `statuswire token list` names them.")
    from_environment().ask("DELETE", f"/v1/{kind}s/{quote(id, safe='')}")


def _add_user(arguments: argparse.Namespace) -> int:
    config = _with_tables(arguments)
    from app.console import add_user

    password = _done(add_user(config, console(), arguments.email, arguments.name, arguments.role))
    return _show_password(arguments, password)


def _reset_user(arguments: argparse.Namespace) -> int:
    config = _with_tables(arguments)
    from app.console import reset_user

    password = _done(reset_user(config, console(), arguments.email))
    return _show_password(arguments, password)


def _show_password(arguments: argparse.Namespace, password: str) -> int:
    """By itself on standard output, where a script takes it from."""
    show(arguments, {"email": arguments.email, "password": password}, password)
    if not arguments.json:
        said = (
            f"the password of {arguments.email} to begin with, shown this once: another is chosen at /account"
        )
        print(f"statuswire: {said}", file=sys.stderr)
    return 0


def _rotate_secrets(arguments: argparse.Namespace) -> int:
    config = _with_tables(arguments)
    from app.console import rotate_secrets

    sealed, lost = _done(rotate_secrets(config, console()))
    text = f"{sealed} sealed anew" + (f", {lost} cannot be opened by any key that is given" if lost else "")
    show(arguments, {"sealed": sealed, "unreadable": lost}, text)
    return 1 if lost else 0


def _with_tables(arguments: argparse.Namespace) -> Config:
    config = read_config(arguments)
    database_has_tables(config)
    return config


def _done(work: Coroutine[Any, Any, T]) -> T:
    from app.db.engine import DatabaseDown
    from app.domain import refused
    from app.security.secrets import BadKey

    try:
        return asyncio.run(work)
    except (BadKey, DatabaseDown, refused.Refused) as error:
        raise Refused(str(error)) from None


def _seconds(span: str) -> float:
    match = re.fullmatch(r"([0-9]{1,6})([smhd])", span)
    if match is None or not int(match[1]):
        raise Refused(f"--expires is {span!r}; it must be a span such as 12h or 30d.")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]
