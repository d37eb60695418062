"""What the forms of /admin offer to choose from: components with what fails now first, and spans of time."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from app.domain.board import Board
from app.domain.incident import Affected, Impact, felt_of, worst_of
from app.domain.refused import Refused
from app.domain.status import SEVERITY, Status
from app.pages.admin.desk import Form

# An incident gives a component one of these, or none: then it goes on as its probes say.
STATUSES: Final = (Status.OPERATIONAL, Status.DEGRADED, Status.PARTIAL, Status.MAJOR)
_FAILS: Final = (Status.DEGRADED, Status.PARTIAL, Status.MAJOR)
# A thumb chooses a span sooner than it types a date.
SPANS: Final = {"15": "15 minutes", "30": "30 minutes", "60": "1 hour", "120": "2 hours", "480": "8 hours"}


class Choice(Struct, frozen=True, kw_only=True):
    """A component that may be chosen. `set` is the status that an incident gives it already."""

    slug: str
    name: str
    status: Status
    chosen: bool
    set: str = ""


def choices(board: Board, chosen: Iterable[str], given: Iterable[Affected] = ()) -> list[Choice]:
    """Those that are chosen first, then what is worst, then as the page has them."""
    named, affected = set(chosen), {each.slug: each.status for each in given}
    found = [
        Choice(
            slug=each.slug,
            name=each.name,
            status=board.shown[each.slug].status,
            chosen=each.slug in named,
            set=affected.get(each.slug) or "",
        )
        for each in board.catalog.components
    ]
    return sorted(found, key=lambda each: (not each.chosen, -SEVERITY[each.status]))


def failing(board: Board) -> list[str]:
    """What fails now, and no open incident has told of yet."""
    told = {each.slug for one in board.operations.incidents.values() for each in one.components}
    return [
        each.slug
        for each in board.catalog.components
        if board.shown[each.slug].status in _FAILS and each.slug not in told
    ]


def impact_now(board: Board, slugs: Iterable[str]) -> Impact:
    named = list(slugs)
    felt = felt_of(map(Affected, named), {slug: board.shown[slug].status for slug in named})
    return worst_of(felt.values())


def affected(form: Form) -> tuple[Affected, ...]:
    """The components that are ticked, each with the status that is chosen beside it."""
    return tuple(Affected(slug, form.chosen(f"status-{slug}", Status)) for slug in form.all("components"))


def in_span(form: Form, field: str, now: datetime) -> datetime | None:
    """Minutes from now on."""
    text = form.one(field)
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 6:
        raise Refused(field, f"`{field}` is no number of minutes: choose one of those that are offered.")
    return now + timedelta(minutes=int(text))
