"""What is not named in the allow-list reaches no viewer, whatever the board knows."""

import re
from datetime import timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from app.domain.audience import (
    PUBLIC,
    Audience,
    advance,
    count,
    narrow,
    retreat,
    snapshot,
    sum_up,
    visible,
)
from app.domain.board import Board, Patch
from app.domain.events import IncidentChange, Logged, Override
from app.domain.incident import Affected, Impact, Incident, IncidentStatus
from app.domain.monitor import Catalog, Component, Expect, Monitor, Page
from app.domain.result import Outcome
from app.domain.standing import State
from app.domain.status import Status, overall
from app.pages.stories import show
from tests.make import (
    NOON,
    a_batch,
    a_board,
    a_catalog,
    a_catalog_change,
    a_change,
    a_component,
    a_log,
    a_retelling,
    a_sample,
    a_silence,
    a_standing,
    after,
)

# Each in every field that is nobody's business but the operator's.
CANARY = "canary"
REGION = "canary-region"


def a_secretive_monitor(key: str) -> Monitor:
    return Monitor(
        key=f"canary-{key}",
        kind="canary",
        target="https://canary:canary@canary.internal/canary?canary",
        regions=(REGION,),
        expect=Expect(
            body="canary", json={"$.canary": "canary"}, header={"canary": "canary"}, answer=("canary",)
        ),
        options={"headers": {"canary": "canary"}, "record": "CANARY"},
    )


SECRETIVE = Catalog(
    page=Page(name="Acme Status", url="https://status.acme.example", time_zone="Canary/Canary"),
    groups=("Payments", "canary group of nobody"),
    components=(
        Component(
            slug="api",
            name="Payments API",
            description="canary",
            group="Payments",
            monitors=(a_secretive_monitor("api"), a_secretive_monitor("api-2")),
        ),
        Component(slug="billing", name="Billing", monitors=(a_secretive_monitor("billing"),)),
    ),
)

states = st.sampled_from(State)


@st.composite
def secretive_logs(draw: st.DrawFn) -> list[tuple[str, Logged]]:
    at, log = NOON, []
    for _ in range(draw(st.integers(1, 12))):
        at = after(draw(st.sampled_from([1, 30, 70, 300])), at)
        key = draw(st.sampled_from([monitor.key for monitor in SECRETIVE.monitors()]))
        private: dict[str, Any] = {"reason": "canary reason", "detail": "canary detail: 10.9.8.7"}
        standing = a_standing(draw(states), at, key, REGION, **private)
        sample = a_sample(draw(states), at, key, draw(st.sampled_from(Outcome)))
        kinds: list[Logged] = [
            a_change(draw(states), at, key, REGION, trace="canary", **private),
            a_retelling(standing, at=at),
            a_batch(sample, region=REGION),
            a_silence(at, key, REGION),
        ]
        log.append(draw(st.sampled_from(kinds)))
    return a_log(a_catalog_change(SECRETIVE), *log)


def sent(board: Board, log: list[tuple[str, Logged]], audience: Audience) -> list[bytes]:
    """Every frame's body that this audience is sent while the log is folded, and a snapshot after each
    event."""
    bodies = []
    for id, event in log:
        before = sum_up(board, audience)
        patch = board.fold(id, event)
        status = sum_up(board, audience)
        if patch is not None:
            bodies.append(narrow(patch, audience.at(board), None if status == before else status))
        bodies.append(snapshot(board, audience, event.at, "first"))
    return [msgspec.json.encode(body) for body in bodies if body is not None]


@given(secretive_logs(), st.sampled_from([PUBLIC, Audience(frozenset({"api"}))]))
def test_no_private_word_reaches_a_frame(log: list[tuple[str, Logged]], audience: Audience) -> None:
    for body in sent(Board(), log, audience):
        assert CANARY not in body.decode().lower()
        assert "10.9.8.7" not in body.decode()


@given(secretive_logs())
def test_who_may_not_see_a_component_does_not_learn_that_there_is_one(
    log: list[tuple[str, Logged]],
) -> None:
    for body in sent(Board(), log, Audience(frozenset({"api"}))):
        assert "billing" not in body.decode().lower()
        assert "components" not in msgspec.json.decode(body).get("status", {}).get("description", "")


SNAPSHOT = {"id", "now", "why", "page", "status", "components", "incidents", "maintenances"}
PATCH = {"id", "at", "status", "components", "latency"}


@given(secretive_logs())
def test_a_frame_has_the_keys_of_the_contract_and_no_others(log: list[tuple[str, Logged]]) -> None:
    for body in map(msgspec.json.decode, sent(Board(), log, PUBLIC)):
        whole = "why" in body
        assert body.keys() == SNAPSHOT if whole else body.keys() <= PATCH
        assert body.get("status", {}).keys() <= {"indicator", "description"}
        allowed = {"slug", "name", "group", "status", "since"} if whole else {"slug", "status", "since"}
        for component in body.get("components", ()):
            assert component.keys() == allowed
        if whole:
            assert body["page"].keys() == {"name", "url"}


@given(secretive_logs())
def test_every_time_has_three_decimals_and_a_z(log: list[tuple[str, Logged]]) -> None:
    for body in sent(Board(), log, PUBLIC):
        for time in re.findall(rb'"(?:now|at|since)":"([^"]*)"', body):
            assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time)


def test_a_worker_with_another_clock_does_not_change_how_times_look() -> None:
    berlin = timezone(timedelta(hours=1))
    board = a_board("api")
    patch = board.fold("1-0", a_change(State.UP, after(0.5).astimezone(berlin)))
    assert patch is not None
    body = narrow(patch, PUBLIC.at(board), None)
    assert body is not None and body.at == "2026-01-31T12:00:00.500Z"
    assert body.components is not msgspec.UNSET and body.components[0].since == "2026-01-31T12:00:00.500Z"


# Those who asked for some components alone


SOME = Audience(frozenset({"api", "mail"}))


def a_full_board() -> Board:
    board = a_board("api", a_component("shop"), a_component("mail", group="Post"))
    for n, slug in enumerate(("api", "shop", "mail"), 1):
        board.fold(f"{n}-0", a_change(State.UP, monitor=f"{slug}/http"))
    return board


def test_who_asked_for_some_components_sees_those_in_the_order_of_the_page() -> None:
    board = a_full_board()
    assert [component.slug for component, _ in visible(board, SOME)] == ["api", "mail"]
    assert [component.slug for component in snapshot(board, SOME, NOON, "first").components] == [
        "api",
        "mail",
    ]
    assert [component.slug for component, _ in visible(board, PUBLIC)] == ["api", "shop", "mail"]


def test_what_they_did_not_ask_for_does_not_colour_their_page() -> None:
    board = a_full_board()
    patch = board.fold("4-0", a_change(State.DOWN, after(1), monitor="shop/http"))
    assert patch is not None
    assert narrow(patch, SOME.at(board), None) is None
    assert sum_up(board, SOME).description == "All systems operational"
    assert sum_up(board, PUBLIC).description == "Major outage: Shop"


def test_who_asked_for_none_that_exists_is_told_so() -> None:
    told = snapshot(a_board("api"), Audience(frozenset({"nope"})), NOON, "first")
    assert (told.components, told.status.description) == ([], "No component of that name is watched")


def test_they_are_sent_their_part_of_a_patch() -> None:
    board = a_full_board()
    fall = [a_standing(State.DOWN, after(1), f"{slug}/http") for slug in ("api", "shop")]
    patch = board.fold("4-0", a_retelling(*fall, at=after(1)))
    assert patch is not None
    body = narrow(patch, SOME.at(board), sum_up(board, SOME))
    assert msgspec.to_builtins(body) == {
        "id": "4-0",
        "at": "2026-01-31T12:00:01.000Z",
        "status": {"indicator": "critical", "description": "Major outage: Api"},
        "components": [{"slug": "api", "status": "major_outage", "since": "2026-01-31T12:00:01.000Z"}],
    }


def test_a_speed_is_sent_only_to_those_who_see_the_component() -> None:
    board = a_full_board()
    patch = Patch(id="1-0", at=NOON, latency={"api": 1.5, "shop": 2.5})
    body = narrow(patch, SOME.at(board), None)
    assert body is not None and body.latency == {"api": 1.5}
    assert narrow(patch, Audience(frozenset({"mail"})).at(board), None) is None


def test_a_page_whose_sentence_alone_has_changed_is_told_so() -> None:
    status = overall([])
    body = narrow(Patch(id="1-0", at=NOON), SOME, status)
    assert body is not None and body.components is msgspec.UNSET and body.status is not msgspec.UNSET


def test_the_public_is_told_of_no_impact_but_that_on_what_it_sees() -> None:
    catalog = a_catalog(
        "api", a_component("vault", hidden=True), pages=(Page(slug="in", components=("api", "vault")),)
    )
    board = Board(catalog, NOON)
    incident = Incident(
        id="1",
        title="A",
        status=IncidentStatus.INVESTIGATING,
        impact=Impact.CRITICAL,
        felt={"api": Impact.MINOR, "vault": Impact.CRITICAL},
        since=NOON,
        updated=NOON,
        components=(Affected("api"), Affected("vault")),
    )
    patch = board.fold("1-0", IncidentChange(at=NOON, incident=incident))
    assert patch is not None
    for audience, impact, indicator in (
        (PUBLIC, "minor", "minor"),
        (Audience(frozenset({"api"})), "minor", "minor"),
        (Audience(page="in"), "critical", "critical"),
        # Who asks for one of them knows the other.
        (Audience(frozenset({"api"}), page="in"), "critical", "critical"),
    ):
        told = narrow(patch, audience.at(board), sum_up(board, audience))
        assert told is not None and told.incidents and told.status
        assert (told.incidents[0].impact, told.status.indicator) == (impact, indicator)  # type: ignore[union-attr]
        seen = snapshot(board, audience, NOON, "first")
        assert (seen.incidents[0].impact, seen.status.indicator) == (impact, indicator)


def test_a_note_on_a_hidden_component_is_for_those_who_see_it() -> None:
    catalog = a_catalog(a_component("vault", hidden=True), pages=(Page(slug="in", components=("vault",)),))
    board = Board(catalog, NOON)
    said = Override(at=NOON, component="vault", status=Status.MAJOR, note="we dig")
    patch = board.fold("1-0", said)
    assert patch is not None
    assert narrow(patch, PUBLIC.at(board), None) is None
    told = narrow(patch, Audience(page="in").at(board), None)
    assert told is not None and told.notes == {"vault": "set by hand: we dig"}


def test_who_is_told_of_an_incident_is_told_what_it_makes_of_the_page() -> None:
    board = a_board("api", "shop")
    for id, slug in (("1-0", "api"), ("2-0", "shop")):
        board.fold(id, a_change(State.UP, monitor=f"{slug}/http"))
    audience = Audience(frozenset({"api"})).at(board)
    tally, said = count(board, audience), []
    for n, (id, slug, status) in enumerate(
        [("a", "api", "investigating"), ("b", "shop", "investigating"), ("a", "api", "resolved")]
    ):
        incident = Incident(
            id=id,
            title=id.upper(),
            status=IncidentStatus(status),
            impact=Impact.MAJOR,
            since=NOON,
            updated=NOON,
            components=(Affected(slug),),
        )
        before = tally.overall()
        patch = board.fold(f"{3 + n}-0", IncidentChange(at=NOON, incident=incident))
        assert patch is not None
        advance(tally, patch, audience)
        said.append(tally.overall().description)
        assert tally.overall() == sum_up(board, audience)
        retreat(tally, patch, audience)
        assert tally.overall() == before
        advance(tally, patch, audience)
    assert said == ["Open incident: A", "Open incident: A", "All systems operational"]


def test_a_story_of_another_page_and_a_draft_are_nobodys_here() -> None:
    board = a_board("api", "shop")
    incident = Incident(
        id="a",
        title="A",
        status=IncidentStatus.RESOLVED,
        impact=Impact.NONE,
        since=NOON,
        updated=NOON,
        components=(Affected("shop"),),
    )
    assert show(incident, board, PUBLIC) is not None
    assert show(incident, board, Audience(frozenset({"api"}))) is None
    assert show(incident, board, Audience(page="elsewhere")) is None
    assert show(replace(incident, draft=True), board, PUBLIC) is None


def test_of_two_changes_of_one_component_the_screen_is_sent_the_later() -> None:
    board = a_board("api")
    board.fold("1-0", a_change(State.UP))
    patch = board.fold("2-0", a_change(State.DOWN, after(600)))
    assert patch is not None and len(patch.changes) == 2
    body = narrow(patch, PUBLIC.at(board), None)
    assert body is not None and body.components is not msgspec.UNSET
    assert [(c.status, c.since) for c in body.components] == [("major_outage", "2026-01-31T12:10:00.000Z")]


@given(secretive_logs(), st.sampled_from([PUBLIC, Audience(frozenset({"api"}))]))
def test_who_applies_every_patch_has_the_truth(log: list[tuple[str, Logged]], audience: Audience) -> None:
    """A reader that keeps the last snapshot and applies each patch sees what the board shows."""
    seen: dict[str, Any] = {}
    status: Any = None
    board = Board()
    for id, event in log:
        for body in map(msgspec.json.decode, sent(board, [(id, event)], audience)):
            whole = {c["slug"]: (c["status"], c["since"]) for c in body.get("components", ())}
            if "why" not in body:
                seen |= whole
                status = body.get("status", status)
            elif event.__class__.__name__ == "CatalogChange":
                seen, status = whole, body["status"]
            else:
                assert (seen, status) == (whole, body["status"])


@pytest.mark.parametrize("audience", [PUBLIC, SOME])
def test_equal_audiences_are_the_same_audience(audience: Audience) -> None:
    assert {audience: 1}[Audience(audience.components)] == 1


def test_what_a_component_lies_behind_is_named_to_those_alone_who_see_it() -> None:
    router = a_component("router", Monitor(key="router/icmp", kind="icmp", target="192.0.2.1"))
    shop = a_component("shop", Monitor(key="shop/http", kind="http", target="x", depends_on=("router",)))
    board = a_board(router, shop)
    board.fold("1-0", a_change(State.DOWN, monitor="router/icmp"))
    patch = board.fold("2-0", a_change(State.DOWN, monitor="shop/http", flapping=True))
    assert patch is not None
    everybody, few = PUBLIC, Audience(frozenset({"shop"}))
    for audience, note in ((everybody, "affected by Router, flapping"), (few, "flapping")):
        body = narrow(patch, audience.at(board), None)
        assert body is not None and body.notes == {"shop": note}
        [*_, shown] = snapshot(board, audience, NOON, "first").components
        assert (shown.slug, shown.note) == ("shop", note)
    assert narrow(patch, Audience(frozenset({"router"})).at(board), None) is None
