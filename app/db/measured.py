"""How fast answers came, read back: the histogram of any window, of many components at once.

Sheets are remembered by the process that asked, and read again only when a roll-up has written down that some
have changed; what is fresh is read each time. So a window that moves with the clock costs one small query.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from app.db.catalog import read_sheets_changed
from app.db.engine import Transaction
from app.db.latency import DAY, HOUR, LEVELS, TOP, chunks, marks, pieces_of
from app.domain.histogram import Histogram
from app.domain.sheet import counts_of, number_of, pieces_in, samples_of

_LEVEL_OF: Final = {level.length: n for n, level in enumerate(LEVELS)}
_LENGTHS: Final = tuple(level.length * 1000 for level in LEVELS)
# What is remembered is bounded: enough for ninety days of fifteen hundred components.
_ROOM: Final = 32 << 20
# Of a sheet beside its bytes, and of a component that has none.
_OVERHEAD: Final = 2_000
_OVERHEAD_OF_NONE: Final = 300

# A condition and its values. What it finds is the same until sheets have changed.
Question = tuple[str, tuple[int, ...]]


class _Sheet:
    """One that was read. What is made of it is kept with it, or most of a second reading would be as dear as
    the first."""

    __slots__ = ("_samples", "_stretches", "begin", "end", "n", "pieces", "refines", "samples", "totals")

    def __init__(self, length: int, start: int, sealed: bool, samples: int, totals: bytes) -> None:
        self.n = _LEVEL_OF[length]
        self.begin = start
        self.samples = samples
        self.totals = totals
        self.pieces = pieces_in(totals)
        self.end = start + self.pieces * _LENGTHS[self.n]
        # One that is known above only says more exactly what stands there.
        self.refines = bool(sealed) and self.n != TOP
        self._stretches: dict[tuple[int, int], int] = {}
        self._samples: dict[int, int] = {}

    def stretch(self, first: int, end: int) -> int:
        """The histogram of its pieces from the one up to the other, as a number."""
        if (found := self._stretches.get((first, end))) is None:
            # Windows come again as they were, or moved: those of before are of no use then.
            if len(self._stretches) >= 4:
                self._stretches = {}
            found = self._stretches[first, end] = number_of(self.totals, first, end)
        return found

    def samples_of(self, piece: int) -> int:
        if (found := self._samples.get(piece)) is None:
            found = self._samples[piece] = samples_of(self.totals, piece)
        return found


_Sheets = Mapping[str, dict[tuple[int, int], _Sheet]]  # of a component, by level and start


class Measured:
    """What was read for some windows: histogram() is for any that begins and ends at the edges it was read
    for."""

    def __init__(self, sheets: Sequence[_Sheets], fresh: Iterable[tuple[str, int, str]]) -> None:
        self._sheets = sheets
        self._fresh: dict[str, list[tuple[int, str]]] = {}
        for component, start, said in fresh:
            self._fresh.setdefault(component, []).append((start, said))

    def histogram(self, component: str, start: int, end: int) -> Histogram:
        its = [sheets[component] for sheets in self._sheets]
        total = 0
        for found in its:
            for sheet in found.values():
                if not sheet.refines:
                    total += _within(sheet, start, end, its)
        counts = counts_of(total)
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
        fresh: list[tuple[str, int, str]] = []
        for some in chunks(components):
            fresh += await transaction.fetch_tuples(
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
        rows = await transaction.fetch_tuples(
            "SELECT component, length, start, sealed, samples, totals FROM latency_sheets"
            f" WHERE component IN ({marks(some)}) AND {condition}",
            *(*some, *values),
        )
        for component, *what in rows:
            sheet = _Sheet(*what)
            asked[component][sheet.n, sheet.begin] = sheet
    size = len(asked) * _OVERHEAD_OF_NONE
    size += sum(len(sheet.totals) + _OVERHEAD for its in asked.values() for sheet in its.values())
    if size <= answers.room:
        answers.room -= size
        answers.by_question.setdefault(question, {}).update(asked)
    return {**known, **asked}
