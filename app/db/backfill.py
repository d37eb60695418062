"""History from elsewhere, before our own began: the stretches of another status page become spans."""

from collections.abc import Iterable, Iterator

from app.db.engine import Transaction
from app.domain.instant import to_ms
from app.domain.status import Status
from app.domain.uptime import Span

_INSERT = (
    "INSERT INTO spans (id, component, status, was, since, until, event, n, at, monitor, reason, trace)"
    " VALUES ({}, {}, {}, {}, {}, {}, {}, 0, {}, '', 'imported', '')"
    " ON CONFLICT (event, component, n) DO NOTHING"
)


async def backfill(transaction: Transaction, spans: Iterable[Span]) -> int:
    """How many are new. What reaches into our own history ends where that begins: there we know better."""
    rows = await transaction.fetch(
        "SELECT component, min(since) AS since FROM spans WHERE reason <> 'imported' GROUP BY component"
    )
    began = {row["component"]: row["since"] for row in rows}
    [before] = await transaction.fetch("SELECT count(*) AS count, min(id) AS lowest FROM spans")
    found = list(_rows(sorted(spans, key=lambda span: (span.since, span.component)), began))
    # Ids grow in the order of the log, and all of this is older than anything in it.
    first = min(before["lowest"] or 0, 0) - len(found)
    await transaction.execute_many(_INSERT, [(first + n, *row) for n, row in enumerate(found)])
    [after] = await transaction.fetch("SELECT count(*) AS count FROM spans")
    return int(after["count"] - before["count"])


def _rows(spans: Iterable[Span], began: dict[str, int]) -> Iterator[tuple[object, ...]]:
    was: dict[str, Status] = {}
    for span in spans:
        since, end = to_ms(span.since), began.get(span.component)
        until = None if span.until is None else to_ms(span.until)
        if end is not None:
            until = end if until is None else min(until, end)
        if until is None or since >= until:
            continue
        before = was.get(span.component, Status.UNKNOWN)
        was[span.component] = span.status
        event = f"{since}-0"
        yield span.component, span.status.value, before.value, since, until, event, since
