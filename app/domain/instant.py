"""Instants: aware datetimes in UTC, whole milliseconds.

Sums of time must come out exact, and a datetime that went through JSON, SQLite or Postgres must be equal
to the one that did not. Whole milliseconds survive all of them, so every instant is cut to them where it
is born.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeAlias

from msgspec import Meta

# What a message may contain: one without a zone could not even be compared with the others.
Instant: TypeAlias = Annotated[datetime, Meta(tz=True)]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def from_ms(ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=ms)


def to_ms(at: datetime) -> int:
    """Integer arithmetic: `timestamp() * 1000` is off by one for some instants."""
    return (at - EPOCH) // _MILLISECOND


def from_seconds(seconds: float) -> datetime:
    """What `time.time()` said, cut to the millisecond."""
    return from_ms(int(seconds * 1000))


def rfc3339(at: datetime) -> str:
    """`2026-01-31T12:00:00.000Z`: always three decimals, as the frames promise."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
