"""What a good answer looks like: an Expect, compiled once for each monitor, held against each answer.

Regular expressions are RE2's, which take a time that grows with the text and never with the pattern: the
standard library's would let one page of 27 letters stop the worker for seconds.
"""

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final, TypeAlias

import msgspec
import re2  # type: ignore[import-untyped]

from app.domain.monitor import Expect
from workers.probes.run import Failed, Run, Unfit

BODY_AT_MOST: Final = 1 << 20

_PATTERN_AT_MOST: Final = 500
_PATTERN_MEMORY: Final = 8 << 20
_PATH_AT_MOST: Final = 20
_ANSWERS_TOLD: Final = 10
_WELL: Final = ((200, 399),)

Step: TypeAlias = str | int

_STEP: Final = re.compile(
    r"""\.(?P<name>[^.\[\]\s'"]+)
      | \[(?P<index>[0-9]{1,9})\]
      | \['(?P<single>[^']+)'\]
      | \["(?P<double>[^"]+)"\]""",
    re.VERBOSE,
)


class Expectation:
    """Raises Unfit where the Expect cannot be read."""

    def __init__(self, expect: Expect, size: tuple[int, int] | None = None) -> None:
        self._status = expect.status or _WELL
        self._chosen = bool(expect.status)
        self._header = [(name, text.lower()) for name, text in expect.header.items()]
        self._body = None if expect.body is None else _pattern(expect.body)
        self._json = [(path, parse_path(path), _json_text(path, text)) for path, text in expect.json.items()]
        self._size = size
        self.needs_header = bool(self._header)
        self.needs_body = self._body is not None or bool(self._json) or size is not None

    def is_met_by(self, status: int) -> bool:
        """False also where nobody chose a status: a redirect is then followed, not taken for an answer."""
        return self._chosen and self._allows(status)

    def check_status(self, status: int) -> None:
        """Raises Failed if it is not as expected; so do the others, at the first thing that is not."""
        if not self._allows(status):
            wanted = ", ".join(_range(low, high) for low, high in self._status)
            raise Failed(f"status {status}", f"The status is {status}; {wanted} was expected.")

    def check_header(self, header: Mapping[str, str]) -> None:
        for name, text in self._header:
            # What it says instead is not told: a header may well carry a secret.
            if text not in header.get(name, "").lower():
                how = f'does not contain "{text}"' if name in header else "is missing"
                raise Failed("header", f"The header {name} {how}.")

    def check_body(self, raw: bytes, encoding: str, whole: bool) -> None:
        """`raw` as it came over the wire, in the given content encoding; not `whole` if it was cut short."""
        body, whole = decode(raw, encoding, whole)
        if self._size is not None and not (whole and self._size[0] <= len(body) <= self._size[1]):
            found = f"has {len(body)} bytes" if whole else "is larger than 1 MiB"
            raise Failed("size", f"The body {found}; {self._size[0]} to {self._size[1]} were expected.")
        if self._body is not None and not self._body.search(body):
            if not whole:
                raise Failed(
                    "too large", "The pattern is not in the first MiB of the body, which is all that is read."
                )
            raise Failed("body", "The body does not match the expected pattern.")
        if not self._json:
            return
        if not whole:
            raise Failed("too large", "The body is larger than 1 MiB, and no more of it is read.")
        try:
            value = msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf"))
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise Failed("json", "The body is no JSON.") from None
        for path, steps, wanted in self._json:
            if not _same(wanted, follow_path(value, steps)):
                text = msgspec.json.encode(wanted).decode()
                raise Failed("json", f"The value of {path} is missing or not {text}.")

    def _allows(self, status: int) -> bool:
        return any(low <= status <= high for low, high in self._status)


class _Missing:
    """What stands at the end of a path that leads nowhere: equal to nothing, null included."""


_MISSING: Final = _Missing()


def parse_path(path: str) -> tuple[Step, ...]:
    """`$.a.b[0]` or `$["a b"]`: names and indexes, no wildcards. Raises Unfit."""
    if path.startswith("$"):
        steps: list[Step] = []
        position = 1
        while (found := _STEP.match(path, position)) is not None:
            name = found["name"] or found["single"] or found["double"]
            steps.append(int(found["index"]) if name is None else name)
            position = found.end()
        if position == len(path) and len(steps) <= _PATH_AT_MOST:
            return tuple(steps)
    raise Unfit(f'The path {path!r} cannot be read; write it as $.name, $.list[0] or $["a name"].')


def follow_path(value: Any, steps: Iterable[Step]) -> Any:
    for step in steps:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step, _MISSING)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return _MISSING
    return value


def decode(raw: bytes, encoding: str, whole: bool) -> tuple[bytes, bool]:
    """The body without its content encoding, and whether that is all of it.

    No ratio is judged: the cap alone bounds what a bomb may cost, and an honest page of blanks shrinks a
    thousandfold.
    """
    if not raw:
        return raw, whole
    layers = [layer.strip().lower() for layer in encoding.split(",") if layer.strip()]
    if len(layers) > 2:
        raise Failed("body", "The body is encoded more than twice.")
    for layer in reversed(layers):
        if layer in ("gzip", "x-gzip", "deflate"):
            raw, whole = _inflate(raw, whole)
        elif layer != "identity":
            raise Failed("body", "The body is encoded in a way that was not asked for.")
    return raw[:BODY_AT_MOST], whole and len(raw) <= BODY_AT_MOST


def _inflate(raw: bytes, whole: bool) -> tuple[bytes, bool]:
    # "deflate" comes with zlib's header or, from some servers, without.
    for bits in (47, -15):
        inflate = zlib.decompressobj(bits)
        with suppress(zlib.error):
            body = inflate.decompress(raw, BODY_AT_MOST + 1)
            if inflate.eof or not whole or len(body) > BODY_AT_MOST:
                return body, inflate.eof
    raise Failed("body", "The body is not encoded as its header says.")


def finds(pattern: str, heard: bytes) -> bool:
    return _pattern(pattern).search(heard) is not None


def check_text(pattern: str | None, heard: bytes, run: Run) -> None:
    """What was said over a plain connection must match, where a pattern is given."""
    if pattern is not None and not finds(pattern, heard):
        said = f"it says {run.quoted(heard)}" if heard else "it says nothing"
        raise Failed("body", f"The answer does not match the expected pattern: {said}.")


def check_answers(wanted: Sequence[str], got: Sequence[str]) -> None:
    """Each of `wanted` must be among the answers."""
    found = {_plain(text) for text in got}
    missing = [text for text in wanted if _plain(text) not in found]
    if missing:
        given = ", ".join(got[:_ANSWERS_TOLD]) + (", ..." if len(got) > _ANSWERS_TOLD else "")
        raise Failed("answer", f"{', '.join(missing)} is not among the answers: {given}.")


def _plain(answer: str) -> str:
    return answer.strip().strip('"').rstrip(".").lower()


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> Any:
    if len(pattern) > _PATTERN_AT_MOST:
        raise Unfit(
            f"The pattern for the body has {len(pattern)} characters; up to {_PATTERN_AT_MOST} are right."
        )
    options = re2.Options()
    options.max_mem = _PATTERN_MEMORY
    options.log_errors = False
    try:
        return re2.compile(pattern.encode(), options)
    except re2.error as error:
        why = error.args[0].decode(errors="replace") if error.args else "it cannot be read"
        raise Unfit(f"The pattern for the body is none of RE2's: {why}.") from None


def _json_text(path: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise Unfit(f"What is expected of {path} is no JSON.") from None


def _same(wanted: Any, got: Any) -> bool:
    """As JSON has it: 1 is 1.0 but not true."""
    if isinstance(wanted, bool) or isinstance(got, bool):
        return wanted is got
    if isinstance(wanted, list) and isinstance(got, list):
        return len(wanted) == len(got) and all(map(_same, wanted, got))
    if isinstance(wanted, dict) and isinstance(got, dict):
        return wanted.keys() == got.keys() and all(_same(wanted[key], got[key]) for key in wanted)
    return bool(wanted == got)


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"
