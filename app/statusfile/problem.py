"""What is wrong with a file, and how it is said: with the line, with what would be right, and without a
novel or a control character of somebody else's in it.

A value that is Wrong costs only itself, and reading goes on; after Hopeless there is nothing left to read.
"""

from collections.abc import Iterable
from typing import Final

import yaml
from msgspec import Struct

from app.domain.credentials import redacted

MOST_PROBLEMS: Final = 50


class Problem(Struct, frozen=True):
    """`line` 0 is the file as a whole."""

    line: int
    message: str


class StatusFileError(ValueError):
    """All that is wrong with a file, by line. `more` counts the problems beyond the first fifty."""

    def __init__(self, problems: Iterable[Problem], name: str = "statuswire.yaml", more: int = 0) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.line)
        self.name = name
        self.more = more
        super().__init__(str(self))

    def __str__(self) -> str:
        lines = [
            f"{self.name}:{problem.line}: {problem.message}"
            if problem.line
            else f"{self.name}: {problem.message}"
            for problem in self.problems
        ]
        if self.more:
            lines.append(f"{self.name}: and {self.more} more problems")
        return "\n".join(lines)


class Wrong(Exception):
    """The rest of a sentence that begins with the value. `node` if it is a part of the value."""

    def __init__(self, message: str, node: yaml.Node | None = None) -> None:
        super().__init__(message)
        self.node = node


class Hopeless(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class Problems:
    """Those found in one file so far."""

    def __init__(self) -> None:
        self._told: list[Problem] = []
        self._more = 0

    @property
    def full(self) -> bool:
        return len(self._told) >= MOST_PROBLEMS

    @property
    def count(self) -> int:
        return len(self._told) + self._more

    def add(self, line: int, message: str) -> None:
        problem = Problem(line, message)
        if self.full:
            self._more += 1
        elif problem not in self._told:  # what an alias repeats is said once
            self._told.append(problem)

    def is_first(self, places: dict[str, int], key: str, line: int, what: str, remedy: str) -> bool:
        """False if `key` was used before, and then that is said."""
        if key not in places:
            places[key] = line
            return True
        self.add(line, f"{what} is already used on line {places[key]}: {remedy}")
        return False

    def refuse(self, name: str) -> None:
        """Raises StatusFileError, unless nothing is wrong."""
        if self._told:
            raise StatusFileError(self._told, name, self._more)


def cut(text: str, longest: int = 60) -> str:
    shown = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text[:longest])
    return shown if len(text) <= longest else f"{shown}..."


def quote(text: str) -> str:
    """What somebody wrote, in a sentence that goes into logs: without the password of a URL."""
    return f"`{cut(redacted(text))}`"


def listed(words: Iterable[str], link: str) -> str:
    *most, last = (f"`{word}`" for word in words)
    return f"{', '.join(most)} {link} {last}" if most else last
