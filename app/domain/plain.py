"""Structs as JSON has them, with instants as everywhere: RFC 3339 in UTC with three decimals, which msgspec
by itself writes in as many as it takes.
"""

from datetime import datetime
from typing import Any

import msgspec

from app.domain.instant import rfc3339


def plain(item: Any) -> Any:
    return _dated(msgspec.to_builtins(item, builtin_types=(datetime,)))


def _dated(value: Any) -> Any:
    match value:
        case datetime():
            return rfc3339(value)
        case dict():
            return {name: _dated(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_dated(inner) for inner in value]
        case _:
            return value
