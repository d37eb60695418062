"""What operators have said, on the board: who has the word, and what a screen is told of it."""

from datetime import datetime
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from app.domain.audience import PUBLIC, Audience, narrow, snapshot
from app.domain.board import Board
from app.domain.events import Acknowledgement, IncidentChange, Logged, MaintenanceChange, Override
from app.domain.incident import Affected, Impact, Incident, IncidentStatus, Update
from app.domain.maintenance import Maintenance, MaintenanceStatus
from app.domain.standing import State
from app.domain.status import Status
from app.live import frames
from tests.make import NOON, a_board, a_catalog, a_catalog_change, a_change, after

CANARY = "canary"


def an_incident(
    id: str = "i",
    *affected: Affected,
    status: IncidentStatus = IncidentStatus.INVESTIGATING,
    at: datetime = NOON,
) -> Incident:
    said = Update(n=1, at=at, status=status, words="Words", author=CANARY)
    private = Update(n=2, at=at, status=status, words=CANARY, private=True)
    return Incident(
        id=id,
        title=f"Title {id}",
        status=status,
        impact=Impact.MINOR,
        since=at,
        updated=at,
        components=affected,
        updates=(said, private),
        rule=CANARY,
    )


def a_maintenance(
    *components: str, id: str = "m", status: MaintenanceStatus = MaintenanceStatus.IN_PROGRESS
) -> Maintenance:
    return Maintenance(
        id=id,
        series=CANARY,
        title=f"Title {id}",
        status=status,
        words="Words",
        starts=NOON,
        ends=after(3600),
        components=components,
        recurrence=CANARY,
        first=NOON,
        lasts=1,
    )


def shown(board: Board, slug: str = "api") -> Status:
    return board.shown[slug].status


def test_by_hand_beats_an_incident_beats_maintenance_beats_probes() -> None:
    board = a_board("api")
    said: list[tuple[Logged, Status]] = [
        (a_change(State.DOWN, after(1)), Status.MAJOR),
        (MaintenanceChange(at=after(2), maintenance=a_maintenance("api")), Status.MAINTENANCE),
        (IncidentChange(at=after(3), incident=an_incident("i", Affected("api"))), Status.MAINTENANCE),
        (
            IncidentChange(at=after(4), incident=an_incident("i", Affected("api", Status.DEGRADED))),
            Status.DEGRADED,
        ),
        (
            IncidentChange(at=after(5), incident=an_incident("j", Affected("api", Status.PARTIAL))),
            Status.PARTIAL,
        ),
        (Override(at=after(6), component="api", status=Status.OPERATIONAL), Status.OPERATIONAL),
        (a_change(State.UP, after(7)), Status.OPERATIONAL),
        (a_change(State.DOWN, after(8)), Status.OPERATIONAL),
        (Override(at=after(9), component="api"), Status.PARTIAL),
        (IncidentChange(at=after(10), incident=an_incident("j"), removed=True), Status.DEGRADED),
        (
            IncidentChange(at=after(11), incident=an_incident("i", status=IncidentStatus.RESOLVED)),
            Status.MAINTENANCE,
        ),
        (
            MaintenanceChange(
                at=after(12), maintenance=a_maintenance("api", status=MaintenanceStatus.COMPLETED)
            ),
            Status.MAJOR,
        ),
    ]
    for n, (event, status) in enumerate(said, 1):
        board.fold(f"{n}-0", event)
        assert shown(board) is status, event
    assert board.shown["api"].since == after(12)


def test_what_is_only_scheduled_changes_no_status() -> None:
    board = a_board("api")
    board.fold("1-0", a_change(State.UP))
    scheduled = a_maintenance("api", status=MaintenanceStatus.SCHEDULED)
    board.fold("2-0", MaintenanceChange(at=NOON, maintenance=scheduled))
    assert shown(board) is Status.OPERATIONAL


def test_what_names_a_component_that_is_gone_harms_nobody() -> None:
    board = a_board("api")
    board.fold("1-0", Override(at=NOON, component="gone", status=Status.MAJOR))
    board.fold("2-0", IncidentChange(at=NOON, incident=an_incident("i", Affected("gone", Status.MAJOR))))
    assert shown(board) is Status.UNKNOWN
    # It comes back, and what was said of it still holds.
    board.fold("3-0", a_catalog_change(a_catalog("api", "gone"), after(1)))
    assert shown(board, "gone") is Status.MAJOR


def test_an_outage_lasts_from_its_beginning_however_bad_it_became() -> None:
    board = a_board("api")
    board.fold("1-0", Override(at=after(1), component="api", status=Status.PARTIAL))
    board.fold("2-0", Override(at=after(9), component="api", status=Status.MAJOR))
    assert (board.shown["api"].out, board.shown["api"].since) == (after(1), after(9))
    board.fold("3-0", Override(at=after(10), component="api", status=Status.DEGRADED))
    assert board.shown["api"].out is None


affected = st.lists(
    st.builds(Affected, st.sampled_from(["api", "shop"]), st.sampled_from([None, Status.MAJOR])), max_size=2
)


@st.composite
def logs(draw: st.DrawFn) -> list[Logged]:
    said: list[Logged] = []
    for second in range(draw(st.integers(1, 15))):
        at, slug = after(second), draw(st.sampled_from(["api", "shop"]))
        incident = an_incident(
            draw(st.sampled_from("abc")), *draw(affected), status=draw(st.sampled_from(IncidentStatus)), at=at
        )
        work = a_maintenance(
            slug, id=draw(st.sampled_from("xyz")), status=draw(st.sampled_from(MaintenanceStatus))
        )
        removed = draw(st.booleans())
        said.append(
            draw(
                st.sampled_from(
                    [
                        IncidentChange(at=at, incident=incident, removed=removed),
                        MaintenanceChange(at=at, maintenance=work, removed=removed),
                        Override(at=at, component=slug, status=draw(st.sampled_from([None, Status.MAJOR]))),
                        Acknowledgement(at=at, component=slug, words=draw(st.sampled_from(["", "On it"]))),
                    ]
                )
            )
        )
    return said


OVER = {"resolved", "postmortem", "completed"}


@given(logs(), st.sampled_from([PUBLIC, Audience(frozenset({"api"})), Audience(frozenset({"other"}))]))
def test_who_applies_every_patch_has_what_a_snapshot_says_and_nothing_private(
    log: list[Logged], audience: Audience
) -> None:
    board = a_board("api", "shop")
    seen: dict[str, dict[str, Any]] = {"incidents": {}, "maintenances": {}}
    notes: dict[str, str] = {}
    for n, event in enumerate(log, 1):
        patch = board.fold(f"{n}-0", event)
        body = None if patch is None else narrow(patch, audience.at(board), None)
        told = {} if body is None else msgspec.json.decode(frames.patch(body)._body)
        for name, stories in seen.items():
            for story in told.get(name, ()):
                stories.pop(story["id"], None)
                if not story.get("removed") and story["status"] not in OVER:
                    stories[story["id"]] = story
        notes |= told.get("notes", {})
        whole = frames.snapshot(snapshot(board, audience.at(board), NOON, "first"))._body
        now = msgspec.json.decode(whole)
        for name, stories in seen.items():
            assert stories == {story["id"]: story for story in now[name]}
        assert {slug: note for slug, note in notes.items() if note} == {
            each["slug"]: each["note"] for each in now["components"] if "note" in each
        }
        assert CANARY not in whole.decode() and CANARY not in str(told)
        if audience.components == {"other"}:
            assert "shop" not in whole.decode() and "api" not in whole.decode()
