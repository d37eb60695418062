"""Which kinds of monitor there are, found by looking into `app/domain/kinds/`: a file put there is a kind,
and nothing here or elsewhere has to be told of it.
"""

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Annotated, Any, Final, get_args, get_origin

import msgspec
from msgspec import Struct

from app.domain import kinds
from app.domain.words import EXPECTED, Form, Headers, Secret, Text, Url, Words


class Word(Struct, frozen=True):
    """One field of a kind. Either `form` says how its value is written, or it is a mapping, `inner`."""

    name: str
    form: Form | None
    inner: type[Struct] | None
    expected: bool
    required: bool

    @property
    def may_be_secret(self) -> bool:
        """Then what is written there is not repeated, not even to say that it is wrong."""
        return isinstance(self.form, Secret | Url | Headers) or (
            isinstance(self.form, Text) and self.form.variables
        )


def _find() -> Iterator[tuple[str, type[Words]]]:
    for module in iter_modules(kinds.__path__):
        loaded = import_module(f"{kinds.__name__}.{module.name}")
        [found] = [
            each
            for each in vars(loaded).values()
            if isinstance(each, type) and issubclass(each, Words) and each.__module__ == loaded.__name__
        ]
        yield module.name, found


KINDS: Final = dict(_find())


@cache
def words_of(struct: type[Struct]) -> tuple[Word, ...]:
    return tuple(_word(field) for field in msgspec.structs.fields(struct))


def own_words(kind: str, expected: bool) -> tuple[Word, ...]:
    """Of a kind: those that stand in `expect`, or those beside it."""
    return tuple(word for word in words_of(KINDS[kind]) if word.expected is expected)


def _word(field: msgspec.structs.FieldInfo) -> Word:
    annotated = get_args(field.type) if get_origin(field.type) is Annotated else (field.type,)
    forms = [each for each in annotated if isinstance(each, Form)]
    inner = [each for each in get_args(field.type) or (field.type,) if _is_struct(each)]
    return Word(
        name=field.name,
        form=forms[0] if forms else None,
        inner=None if forms else inner[0],
        expected=EXPECTED in annotated,
        required=field.required,
    )


def _is_struct(each: Any) -> bool:
    return isinstance(each, type) and issubclass(each, Struct)


def _all_words(struct: type[Struct]) -> Iterator[Word]:
    for word in words_of(struct):
        yield word
        if word.inner is not None:
            yield from _all_words(word.inner)


NEVER_REPEATED: Final = {
    name
    for kind, words in KINDS.items()
    for name in (
        *(word.name for word in _all_words(words) if word.may_be_secret),
        *([kind] if isinstance(words.target, Url) else []),
    )
}
