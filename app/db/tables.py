"""The rows. Nothing outside this room sees these classes; their names end in Row, so that a row is never
taken for the thing.

An instant is a BIGINT of whole milliseconds since 1970 (`app.domain.instant`), never a TIMESTAMPTZ: SQLite
would keep that as text, which neither subtracts nor sorts by itself, and sums of time must be equal on both
engines to the millisecond. Unique indexes are made by raw SQL in `migrations/`, because Piccolo's table
constraints break SQLite.
"""

from typing import Final

from piccolo.columns import BigInt, BigSerial, ForeignKey, Integer, Text
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
    """The standing of one monitor in one region. `key` is `monitor@region`. `seen` and `running` are what a
    job has said by itself last: when it ended, and when it began if it has not."""

    key = Text(primary_key=True)
    monitor = ForeignKey(references=MonitorRow, null=False, on_delete=OnDelete.cascade)
    region = Text()
    state = Text()
    since = BigInt()
    reason = Text()
    detail = Text()
    heard_at = BigInt()
    seen = BigInt(null=True, default=None)
    running = BigInt(null=True, default=None)


class HeartbeatLogRow(Table, tablename="heartbeat_logs"):
    """What a job told with its heartbeat; the last few of each monitor."""

    id = BigSerial(primary_key=True)
    monitor = Text(index=True)
    at = BigInt()
    word = Text()
    code = Integer(null=True, default=None)
    log = Text()


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


class LatencyRollupRow(Table, tablename="latency_rollups"):
    """A histogram of `length` seconds (60, 3,600 or 86,400) from `start` on: `counts` is JSON, `samples` its
    sum. Unique in (component, length, start)."""

    id = BigSerial(primary_key=True)
    component = Text()
    length = Integer()
    start = BigInt()
    samples = Integer()
    counts = Text()


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
    HeartbeatLogRow,
    SpanRow,
    LatencyRollupRow,
    FeedCursorRow,
    GapRow,
    SettingRow,
)
