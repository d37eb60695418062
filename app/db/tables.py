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
    hidden = Integer(default=0)


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
    flapping = Boolean()
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


class PatchRow(Table, tablename="patches"):
    """The Patch that the event with the id `event` brought, as JSON: one of the last, for those who resume.
    Unique in event."""

    id = BigSerial(primary_key=True)
    event = Text()
    patch = Text()


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


class DefinitionRow(Table, tablename="definitions"):
    """What operators define here and not in the file: a group, a component or a page as JSON. `key` is
    `component/website`. What runs is made of these and of the file; the tables above have that."""

    key = Text(primary_key=True)
    kind = Text()
    position = Integer()
    definition = Text()


class SettingRow(Table, tablename="settings"):
    name = Text(primary_key=True)
    value = Text()


class AuditRow(Table, tablename="audit_log"):
    """One change by one actor. `before` and `after` are JSON, null where there was nothing."""

    id = BigSerial(primary_key=True)
    at = BigInt(index=True)
    kind = Text()
    name = Text()
    address = Text()
    verb = Text()
    subject = Text(index=True)
    before = Text(null=True, default=None)
    after = Text(null=True, default=None)


class OutboxRow(Table, tablename="outbox"):
    """An event that is stored and perhaps not yet told. SQLite gives the ids of deleted rows again, so the
    feed knows an event by `key`."""

    id = BigSerial(primary_key=True)
    key = Text()
    event = Text()


class OperationRow(Table, tablename="operations"):
    """What operators had said up to the recorder's cursor: the last event on each thing, as JSON. The board
    is made of it; what the tables below hold may be newer."""

    key = Text(primary_key=True)
    event = Text()


class IncidentRow(Table, tablename="incidents"):
    """`impact_set` if an operator chose the impact; else `felt` has that of each component, as JSON. The id
    of a rule's is made of what it is about, so that several servers open one."""

    id = Text(primary_key=True)
    title = Text()
    status = Text()
    impact = Text()
    impact_set = Boolean()
    felt = Text()
    since = BigInt(index=True)
    updated = BigInt()
    resolved = BigInt(null=True, default=None)
    next_update_by = BigInt(null=True, default=None)
    draft = Boolean()
    rule = Text()
    acknowledged = Text()
    acknowledged_until = BigInt(null=True, default=None)
    version = Integer()


class IncidentComponentRow(Table, tablename="incident_components"):
    """`status` is null where the component goes on as its probes say. History outlives the catalog, so it
    refers to no component row."""

    id = BigSerial(primary_key=True)
    incident = ForeignKey(references=IncidentRow, null=False, on_delete=OnDelete.cascade, index=True)
    component = Text(index=True)
    status = Text(null=True, default=None)
    position = Integer()


class UpdateRow(Table, tablename="updates"):
    """What was said of an incident or a maintenance, in Markdown: the `n`th of its subject. `private` ones
    are for operators."""

    id = BigSerial(primary_key=True)
    subject = Text(index=True)
    n = Integer()
    at = BigInt()
    status = Text()
    words = Text()
    private = Boolean()
    author = Text()


class TemplateRow(Table, tablename="templates"):
    name = Text(primary_key=True)
    title = Text()
    status = Text()
    words = Text()


class MaintenanceRow(Table, tablename="maintenances"):
    """One occurrence of a `series`, whose id is that of the first one. The series began at `first`, and each
    lasts `lasts` milliseconds by the clock on the wall of `time_zone`."""

    id = Text(primary_key=True)
    series = Text(index=True)
    title = Text()
    status = Text()
    words = Text()
    starts = BigInt(index=True)
    ends = BigInt()
    recurrence = Text()
    time_zone = Text()
    first = BigInt()
    lasts = BigInt()
    version = Integer()


class MaintenanceComponentRow(Table, tablename="maintenance_components"):
    id = BigSerial(primary_key=True)
    maintenance = ForeignKey(references=MaintenanceRow, null=False, on_delete=OnDelete.cascade, index=True)
    component = Text(index=True)
    position = Integer()


class OverrideRow(Table, tablename="overrides"):
    """A status set by hand, until it is released. `note` is what all who see the component may read of it."""

    component = Text(primary_key=True)
    status = Text()
    at = BigInt()
    author = Text()
    note = Text()


class AcknowledgementRow(Table, tablename="acknowledgements"):
    component = Text(primary_key=True)
    words = Text()
    at = BigInt()
    until = BigInt(null=True, default=None)
    author = Text()


class UserRow(Table, tablename="users"):
    """`password` is an argon2id hash, `totp` a sealed seed, `totp_step` that of its last code: none counts
    twice. `provider` is issuer and subject of an OIDC account. Unique in email, and in provider."""

    id = Text(primary_key=True)
    email = Text()
    name = Text()
    role = Text()
    password = Text(null=True, default=None)
    totp = Text(null=True, default=None)
    totp_step = BigInt()
    provider = Text(null=True, default=None)
    created = BigInt()


class SessionRow(Table, tablename="sessions"):
    """`hash` is that of the cookie, and unique."""

    id = Text(primary_key=True)
    hash = Text()
    user = ForeignKey(references=UserRow, null=False, on_delete=OnDelete.cascade, index=True)
    created = BigInt()
    seen = BigInt(index=True)
    address = Text()
    browser = Text()


class TokenRow(Table, tablename="tokens"):
    """`scopes`, `pages` and `addresses` are JSON lists."""

    id = Text(primary_key=True)
    hash = Text()
    name = Text()
    scopes = Text()
    pages = Text()
    addresses = Text()
    created = BigInt()
    expires = BigInt(null=True, default=None)
    last_used = BigInt(null=True, default=None)
    made_by = Text()


class WallRow(Table, tablename="walls"):
    id = Text(primary_key=True)
    hash = Text()
    name = Text()
    page = Text()
    created = BigInt()
    last_seen = BigInt(null=True, default=None)
    made_by = Text()


class TryRow(Table, tablename="tries"):
    """Failures to sign in, in a row, of an account, a browser or an address; none is heard before `until`."""

    key = Text(primary_key=True)
    failures = Integer()
    until = BigInt()
    at = BigInt(index=True)


class AnswerRow(Table, tablename="answers"):
    """What was answered to an Idempotency-Key, sealed: it may have a token in it. `asked` is the hash of the
    request."""

    key = Text(primary_key=True)
    asked = Text()
    answer = Text()
    at = BigInt(index=True)


TABLES: Final[tuple[type[Table], ...]] = (
    GroupRow,
    ComponentRow,
    MonitorRow,
    MonitorRegionRow,
    HeartbeatLogRow,
    SpanRow,
    LatencyFreshRow,
    LatencySheetRow,
    PatchRow,
    FeedCursorRow,
    GapRow,
    DefinitionRow,
    SettingRow,
    AuditRow,
    OutboxRow,
    OperationRow,
    IncidentRow,
    IncidentComponentRow,
    UpdateRow,
    TemplateRow,
    MaintenanceRow,
    MaintenanceComponentRow,
    OverrideRow,
    AcknowledgementRow,
    UserRow,
    SessionRow,
    TokenRow,
    WallRow,
    TryRow,
    AnswerRow,
)
