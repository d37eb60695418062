"""completion: what a shell needs to complete our commands, made of the commands themselves."""

import argparse
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from app.commands.words import Commands

# What may follow each command: other commands and options, and what they are for.
Table: TypeAlias = dict[str, dict[str, str]]

_BASH: Final = """\
_statuswire() {{
    local word at=statuswire current=${{COMP_WORDS[COMP_CWORD]}}
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case "$at $word" in
            {paths}) at="$at $word" ;;
        esac
    done
    case "$at" in
{cases}
    esac
}}
complete -o default -F _statuswire statuswire ./statuswire
"""
_ZSH: Final = """\
#compdef statuswire
_statuswire() {{
    local word at=statuswire
    for word in "${{(@)words[2,CURRENT-1]}}"; do
        case "$at $word" in
            {paths}) at="$at $word" ;;
        esac
    done
    case "$at" in
{cases}
    esac
    _files
}}
compdef _statuswire statuswire
"""
_FISH: Final = """\
function __statuswire_at
    set -l at statuswire
    for word in (commandline -opc)[2..-1]
        switch "$at $word"
            case {paths}
                set at "$at $word"
        end
    end
    echo $at
end
{cases}
"""


def add(commands: Commands) -> None:
    def run(arguments: argparse.Namespace) -> int:
        print(_SHELLS[arguments.shell](dict(_table("statuswire", commands.parser))), end="")
        return 0

    parser = commands.add("completion", run, "print what a shell needs to complete these commands")
    parser.epilog = "In ~/.bashrc: source <(statuswire completion bash)"
    parser.add_argument("shell", choices=tuple(_SHELLS))


def _table(path: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, dict[str, str]]]:
    following: dict[str, str] = {}
    under: dict[str, argparse.ArgumentParser] = {}
    # argparse has no other way to be asked what it knows.
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help for choice in action._choices_actions}
            under |= action.choices
            following |= {name: helps.get(name) or "" for name in action.choices}
        elif action.option_strings:
            following[action.option_strings[-1]] = action.help or ""
        elif action.choices:
            following |= dict.fromkeys(map(str, action.choices), "")
    yield path, following
    for name, inner in under.items():
        yield from _table(f"{path} {name}", inner)


def _bash(table: Table) -> str:
    cases = (
        f"""        '{path}') COMPREPLY=($(compgen -W '{" ".join(words)}' -- "$current")) ;;"""
        for path, words in table.items()
    )
    return _BASH.format(paths=_paths(table, "|"), cases="\n".join(cases))


def _zsh(table: Table) -> str:
    cases = (f"        '{path}') compadd -- {' '.join(words)} ;;" for path, words in table.items())
    return _ZSH.format(paths=_paths(table, "|"), cases="\n".join(cases))


def _fish(table: Table) -> str:
    cases = (
        f"complete -c statuswire -n 'test (__statuswire_at) = \"{path}\"' -a {word} -d {_quoted(words)}"
        for path, following in table.items()
        for word, words in following.items()
    )
    return _FISH.format(paths=_paths(table, " "), cases="\n".join(cases))


def _paths(table: Table, between: str) -> str:
    return between.join(f"'{path}'" for path in table if " " in path)


def _quoted(text: str) -> str:
    plain = text.replace("\\", "").replace("'", "")
    return f"'{plain}'"


_SHELLS: Final[dict[str, Any]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
