"""What is said on the feed. Every event is complete and level-triggered ("monitor m is down since t"), so
hearing one twice is harmless; only its order matters, and the feed keeps that.

All but Beat are written to the log. A Beat only rings: the next one says all that a missed one said.
"""

from enum import StrEnum
from typing import Final, TypeAlias

from msgspec import Struct

from app.domain.incident import Incident
from app.domain.instant import Instant
from app.domain.maintenance import Maintenance
from app.domain.monitor import Catalog
from app.domain.result import Outcome
from app.domain.standing import Standing, State
from app.domain.status import Status


class StateChange(Struct, frozen=True, omit_defaults=True, kw_only=True, tag="state"):
    """A standing that became another. `trace` follows it through every log line to the push; `at` is when
    the answer was had that decided it."""

    trace: str
    at: Instant
    worker: str
    was: State
    standing: Standing


class Retelling(Struct, frozen=True, omit_defaults=True, kw_only=True, tag="retelling"):
    """A worker says again how things stand: it has just come back to a feed that may have forgotten."""

    trace: str
    at: Instant
    worker: str
    standings: tuple[Standing, ...]


class Sample(Struct, frozen=True, array_like=True, gc=False):
    """One probe's measurement. `took` is milliseconds, None if nothing came back; `late` marks one taken
    while the worker itself was lagging, which therefore says nothing of the target's speed. `state` is the
    standing after it: a board that lost the change itself is right again after one probe."""

    monitor: str
    at: Instant
    outcome: Outcome
    state: State
    took: float | None = None
    late: bool = False


class Samples(Struct, frozen=True, kw_only=True, tag="samples"):
    """What a worker measured since it last said so: about one event a second, however many monitors it
    has."""

    at: Instant
    worker: str
    region: str
    samples: tuple[Sample, ...]


class Silence(Struct, frozen=True, kw_only=True, tag="silence"):
    """The last word of a region on a monitor is past its best-before date: since then nobody knows. Of what
    was to speak by itself, a `push`, it means that it is late."""

    at: Instant
    monitor: str
    region: str
    since: Instant


class Word(StrEnum):
    START = "start"
    SUCCESS = "success"
    FAIL = "fail"


class Heartbeat(Struct, frozen=True, omit_defaults=True, kw_only=True, tag="heartbeat"):
    """A job has said how it is. What it makes of the monitor, fold works out: two servers that each judged by
    what they know would tell two stories. `code` is the job's exit code, if it gave one."""

    at: Instant
    monitor: str
    word: Word
    code: int | None = None


class CatalogChange(Struct, frozen=True, kw_only=True, tag="catalog"):
    at: Instant
    revision: str
    catalog: Catalog


class IncidentChange(Struct, frozen=True, omit_defaults=True, kw_only=True, tag="incident"):
    """An incident as the public may see it, whole. `removed`: nobody may see it any more."""

    at: Instant
    incident: Incident
    removed: bool = False


class MaintenanceChange(Struct, frozen=True, omit_defaults=True, kw_only=True, tag="maintenance"):
    at: Instant
    maintenance: Maintenance
    removed: bool = False


class Override(Struct, frozen=True, omit_defaults=True, kw_only=True, tag="override"):
    """A component has this status by hand, whatever its probes find; `note` is what is said of it. Without a
    status: it is released."""

    at: Instant
    component: str
    status: Status | None = None
    note: str = ""


class Acknowledgement(Struct, frozen=True, omit_defaults=True, kw_only=True, tag="acknowledgement"):
    """What is said of who looks after a component's trouble, and until when. Without words: nobody does any
    more."""

    at: Instant
    component: str
    words: str = ""
    until: Instant | None = None


class Revoked(Struct, frozen=True, kw_only=True, tag="revoked"):
    """Somebody may no longer watch: `owner` is `token/<id>`, `wall/<id>`, `session/<id>` or `user/<id>`. No
    board changes by it, but the streams that are open in that name end."""

    at: Instant
    owner: str


# Seconds: a probe that began so much after it was due says nothing of the target's speed.
LATE: Final = 0.25
# Seconds after it was due within which a probe began.
STARTED_WITHIN: Final = (
    *(0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015),
    *(0.025, 0.05, 0.1, 0.25, 1.0),
)


class Beat(Struct, frozen=True, kw_only=True, tag="beat"):
    """A worker is alive and reaches Redis. It also carries what an operator wants to know of it: how many
    probes ended how, how late they started (seconds, the worst since the last beat), and what had to be
    dropped."""

    at: Instant
    worker: str
    region: str
    every: float
    monitors: int = 0
    probes: dict[str, int] = {}
    lag: float = 0.0
    starts: tuple[int, ...] = ()  # within each of STARTED_WITHIN and not before, and later than all of them
    missed: int = 0  # slots in which nobody looked, because the look before was not over
    late: int = 0  # measurements that say nothing of the target's speed, because of the worker's own
    waiting: int = 0
    dropped: int = 0
    # It takes its part of the region's monitors. Not before it has a catalog, and not any more in its last
    # word, the farewell, which only the other workers of its region hear.
    shares: bool = False
    trouble: str = ""  # why what it finds now is no verdict


class SecondLook(Struct, frozen=True, kw_only=True, tag="look"):
    """A region has seen a monitor fail that did not fail before, and asks the others to look at once; or an
    operator does, who is in no `region`. Only the bell says it, to workers: if it is lost, they look in their
    own time."""

    monitor: str
    region: str


class Known(Struct, frozen=True):
    """What the feed remembers of a monitor in a region, for whoever looks at it next: how it stands, when
    somebody last had an answer, and how many seconds ago that was, by the clock of Redis."""

    standing: Standing
    answered: Instant
    age: float


Operation: TypeAlias = IncidentChange | MaintenanceChange | Override | Acknowledgement
Logged: TypeAlias = (
    StateChange | Retelling | Samples | Silence | Heartbeat | CatalogChange | Operation | Revoked
)
Event: TypeAlias = Logged | Beat


def beyond(*ids: str) -> str:
    """The first id that is later than all of these. Whoever lacks something up to them may not resume
    before."""
    ms, n = max(map(order, ids))
    return f"{ms}-{n + 1}"


def order(id: str) -> tuple[int, int]:
    """What ids of the log are compared by: as texts, `9-0` would come after `10-0`."""
    ms, _, n = id.partition("-")
    return int(ms), int(n)
