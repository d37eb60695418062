"""How many of what, as people say it: `1 page, 2 incidents`."""

from collections.abc import Mapping


def counted(counts: Mapping[str, int]) -> str:
    """By the name of one of each, such as `stretch of history`."""
    return ", ".join(f"{count:,} {name if count == 1 else _several(name)}" for name, count in counts.items())


def _several(name: str) -> str:
    noun, space, rest = name.partition(" ")
    return f"{noun}{'es' if noun.endswith('ch') else 's'}{space}{rest}"
