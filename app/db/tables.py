"""The rows. Nothing outside this room sees these classes; their names end in Row, so that a row is never
taken for the thing.

An instant is a BIGINT of whole milliseconds since 1970 (`app.domain.instant`), never a TIMESTAMPTZ: SQLite
would keep that as text, which neither subtracts nor sorts by itself, and sums of time must be equal on both
engines to the millisecond. Unique indexes are made by raw SQL in `migrations/`, because Piccolo's table
constraints break SQLite.
"""

from typing import Final

from piccolo.columns import BigInt, BigSerial, Boolean, Bytea, ForeignKey, Integer, Text
from piccolo.columns.base import OnDelete
from piccolo.table import Table


class GroupRow(Table, tablename="groups"):
    name = Text(primary_key=True)
    position = Integer()


class ComponentRow(Table, tablename="components"):
    slug = Text(primary_key=True)
    name = Text()
    description = Text()
    group = ForeignKey(references=GroupRow, null=True, default=None, on_delete=OnDelete.set_null)
    position = Integer()


class MonitorRow(Table, tablename="monitors"):
    """`definition` is the Monitor as JSON: a column for each of its fields would need a migration with each
    new kind of probe."""

    key = Text(primary_key=True)
    component = ForeignKey(references=ComponentRow, null=False, on_delete=OnDelete.cascade)
    position = Integer()
    definition = Text()


class MonitorRegionRow(Table, tablename="monitor_regions"):
    """The standing of one monitor in one region. `key` is `monitor@region`."""

    key = Text(primary_key=True)
    monitor = ForeignKey(references=MonitorRow, null=False, on_delete=OnDelete.cascade)
    region = Text()
    state = Text()
    since = BigInt()
    reason = Text()
    detail = Text()
    heard_at = BigInt()
    flapping = Boolean()


class SpanRow(Table, tablename="spans"):
    """A Span, and the Change that began it: the `n`th change of the event with the id `event`.

    Unique in (event, component, n), and at most one per component is open (`until` is null). Ids grow in the
    order of the log. Spans refer to no component row: history outlives the catalog.
    """

    id = BigSerial(primary_key=True)
    component = Text()
    status = Text()
    was = Text()
    since = BigInt()
    until = BigInt(null=True, default=None)
    event = Text()
    n = Integer()
    at = BigInt()
    monitor = Text()
    reason = Text()
    trace = Text()


class LatencyFreshRow(Table, tablename="latency_fresh"):
    """What was measured in the hour from `start` on and is not yet in its sheet. Unique in (component,
    start)."""

    id = BigSerial(primary_key=True)
    component = Text()
    start = BigInt()
    samples = Integer()
    said = Text()


class LatencySheetRow(Table, tablename="latency_sheets"):
    """A Sheet from `start` on, of pieces of `length` seconds (60, 3,600 or 86,400). One that is `sealed` is
    also in the sheet of the next length. Unique in (component, length, start)."""

    id = BigSerial(primary_key=True)
    component = Text()
    length = Integer()
    start = BigInt()
    sealed = Boolean()
    samples = BigInt()
    totals = Bytea()


class NoteRow(Table, tablename="notes"):
    """A Note that the event with the id `event` brought, kept for those who resume. Unique in (event,
    component)."""

    id = BigSerial(primary_key=True)
    component = Text()
    event = Text()
    at = BigInt()
    trace = Text()
    flapping = Boolean()
    behind = Text()
    name = Text()


class FeedCursorRow(Table, tablename="feed_cursor"):
    """One row, named feed: `at` is the id of the last event that is recorded."""

    name = Text(primary_key=True)
    at = Text()


class GapRow(Table, tablename="gaps"):
    """What came between two ids of the log was lost. Unique in (after, before)."""

    id = BigSerial(primary_key=True)
    after = Text()
    before = Text()
    at = BigInt()


class SettingRow(Table, tablename="settings"):
    name = Text(primary_key=True)
    value = Text()


TABLES: Final[tuple[type[Table], ...]] = (
    GroupRow,
    ComponentRow,
    MonitorRow,
    MonitorRegionRow,
    SpanRow,
    LatencyFreshRow,
    LatencySheetRow,
    NoteRow,
    FeedCursorRow,
    GapRow,
    SettingRow,
)
