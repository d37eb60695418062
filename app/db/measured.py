"""How fast answers came, read back: the histogram of any window, of many components at once.

Sheets are remembered by the process that asked, and read again only when a roll-up has written down that some
have changed; what is fresh is read each time. So a window that moves with the clock costs one small query.
"""

import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from app.db.catalog import read_sheets_changed
from app.db.engine import Transaction
from app.db.latency import DAY, HOUR, LEVELS, TOP, chunks, marks, pieces_of
from app.domain.histogram import LARGEST, Histogram
from app.domain.sheet import add_stretch, pieces_in, samples_of

_LEVEL_OF: Final = {level.length: n for n, level in enumerate(LEVELS)}
_LENGTHS: Final = tuple(level.length * 1000 for level in LEVELS)
_NOTHING: Final = bytes(8 * (LARGEST + 1))
# What is remembered is bounded: enough for ninety days of fifteen hundred components.
_ROOM: Final = 32 << 20
# Of a sheet beside its bytes, and of a component that has none.
_OVERHEAD: Final = 2_000
_OVERHEAD_OF_NONE: Final = 300

# A condition and its values. What it finds is the same until sheets have changed.
Question = tuple[str, tuple[int, ...]]


class _Sheet:
    """One that was read. A histogram is a single number here, 64 bits for each bucket: to add one to another
    bucket by bucket, five hundred times seven of them, was most of what a percentile cost."""

    __slots__ = ("_samples", "_stretches", "begin", "end", "n", "pieces", "refines", "samples", "totals")

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.n = _LEVEL_OF[row["length"]]
        self.begin: int = row["start"]
        self.samples: int = row["samples"]
        self.totals: bytes = row["totals"]
        self.pieces = pieces_in(self.totals)
        self.end = self.begin + self.pieces * _LENGTHS[self.n]
        # One that is known above only says more exactly what stands there.
        self.refines = bool(row["sealed"]) and self.n != TOP
        self._stretches: dict[tuple[int, int], int] = {}
        self._samples: dict[int, int] = {}

    def stretch(self, first: int, end: int) -> int:
        if (found := self._stretches.get((first, end))) is None:
            counts = array("Q", _NOTHING)
            add_stretch(self.totals, first, end, counts)
            # Windows come again as they were, or moved: those of before are of no use then.
            if len(self._stretches) >= 4:
                self._stretches = {}
            found = self._stretches[first, end] = int.from_bytes(counts, sys.byteorder)
        return found

    def samples_of(self, piece: int) -> int:
        if (found := self._samples.get(piece)) is None:
            found = self._samples[piece] = samples_of(self.totals, piece)
        return found


_Sheets = Mapping[str, dict[tuple[int, int], _Sheet]]  # of a component, by level and start


class Measured:
    """What was read for some windows: histogram() is for any that begins and ends at the edges it was read
    for."""

    def __init__(self, sheets: Sequence[_Sheets], fresh: Iterable[Mapping[str, Any]]) -> None:
        self._sheets = sheets
        self._fresh: dict[str, list[tuple[int, str]]] = {}
        for row in fresh:
            self._fresh.setdefault(row["component"], []).append((row["start"], row["said"]))

    def histogram(self, component: str, start: int, end: int) -> Histogram:
        its = [sheets[component] for sheets in self._sheets]
        total = 0
        for found in its:
            for sheet in found.values():
                if not sheet.refines:
                    total += _within(sheet, start, end, its)
        counts = array("Q", total.to_bytes(len(_NOTHING), sys.byteorder)).tolist()
        for hour, said in self._fresh.get(component, ()):
            for minute, bucket in pieces_of(said):
                if start <= hour + minute * 60_000 < end:
                    counts[bucket] += 1
        return Histogram.of(counts)


def _within(sheet: _Sheet, start: int, end: int, its: Sequence[Mapping[tuple[int, int], _Sheet]]) -> int:
    if start <= sheet.begin and sheet.end <= end:
        return sheet.stretch(0, sheet.pieces)
    length, begin = _LENGTHS[sheet.n], sheet.begin
    if end <= begin or start >= sheet.end:
        return 0
    # In pieces of the sheet, and how far into them.
    first, into_first = divmod(start - begin, length) if start > begin else (0, 0)
    last, into_last = divmod(end - begin, length)
    total = 0
    if into_first:
        total += _part(sheet, first, start, end, its)
        if first >= last:
            return total
        first += 1
    total += sheet.stretch(first, min(last, sheet.pieces))
    if into_last and last < sheet.pieces:
        total += _part(sheet, last, start, end, its)
    return total


def _part(
    sheet: _Sheet, piece: int, start: int, end: int, its: Sequence[Mapping[tuple[int, int], _Sheet]]
) -> int:
    """Of a piece that is not wholly within the window. Where its own minutes, or hours, are no longer
    kept, or not all of them, it counts for when it begins."""
    begin = sheet.begin + piece * _LENGTHS[sheet.n]
    for sheets in its:
        finer = sheets.get((sheet.n - 1, begin))
        if finer is not None and finer.refines and finer.samples == sheet.samples_of(piece):
            return _within(finer, start, end, its)
    return sheet.stretch(piece, piece + 1) if start <= begin < end else 0


class _Answers:
    """What was found under one mark, and how much room is left."""

    def __init__(self, mark: str | None) -> None:
        self.mark = mark
        self.room = _ROOM
        self.by_question: dict[Question, dict[str, dict[tuple[int, int], _Sheet]]] = {}


class Remembered:
    def __init__(self) -> None:
        self._answers = _Answers(None)

    async def read(
        self, transaction: Transaction, components: Sequence[str], edges: Sequence[int]
    ) -> Measured:
        """For windows between these instants, which are whole minutes."""
        mark = await read_sheets_changed(transaction)
        if mark != self._answers.mark:
            self._answers = _Answers(mark)
        # Whoever else reads meanwhile may see a newer mark: these are ours.
        answers = self._answers
        fresh: list[dict[str, Any]] = []
        for some in chunks(components):
            fresh += await transaction.fetch(
                f"SELECT component, start, said FROM latency_fresh WHERE component IN ({marks(some)})"
                " AND start > {} AND start < {}",
                *(*some, min(edges) - HOUR * 1000, max(edges)),
            )
        sheets = [await _ask(transaction, question, components, answers) for question in _questions(edges)]
        return Measured(sheets, fresh)


def _questions(edges: Sequence[int]) -> Iterable[Question]:
    """One for each index that is of use, or SQLite would go through all that there is. They begin and end
    with whole sheets, so a window that moves by a minute asks nothing new."""
    first, last = min(edges), max(edges) - 1
    between = "start >= {} AND start <= {}"
    top = LEVELS[TOP]
    yield f"length = {{}} AND {between}", (DAY, top.sheet_of(first), top.sheet_of(last))
    yield f"NOT sealed AND {between}", (LEVELS[TOP - 1].sheet_of(first), LEVELS[0].sheet_of(last))
    for level in LEVELS[:-1]:
        # Those that an edge cuts.
        cut = sorted({level.sheet_of(edge) for edge in edges if edge % level.stretch})
        if cut:
            yield f"sealed AND length = {{}} AND start IN ({marks(cut)})", (level.length, *cut)


async def _ask(
    transaction: Transaction, question: Question, components: Sequence[str], answers: _Answers
) -> _Sheets:
    known = answers.by_question.get(question, {})
    found = {component: known.get(component) for component in components}
    condition, values = question
    asked: dict[str, dict[tuple[int, int], _Sheet]] = {slug: {} for slug, its in found.items() if its is None}
    for some in chunks(list(asked)):
        rows = await transaction.fetch(
            "SELECT component, length, start, sealed, samples, totals FROM latency_sheets"
            f" WHERE component IN ({marks(some)}) AND {condition}",
            *(*some, *values),
        )
        for row in rows:
            sheet = _Sheet(row)
            asked[row["component"]][sheet.n, sheet.begin] = sheet
    size = len(asked) * _OVERHEAD_OF_NONE
    size += sum(len(sheet.totals) + _OVERHEAD for its in asked.values() for sheet in its.values())
    if size <= answers.room:
        answers.room -= size
        answers.by_question.setdefault(question, {}).update(asked)
    return {**known, **asked}
