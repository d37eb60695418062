"""What the verbs of operators make of an incident."""

from datetime import timedelta, timezone

import pytest
from msgspec.structs import replace

from app.domain.incident import (
    Affected,
    Edit,
    Impact,
    Incident,
    IncidentStatus,
    NewIncident,
    NewUpdate,
    acknowledged,
    edited,
    felt_of,
    posted,
    published,
    rewritten,
    updated,
    worst_of,
)
from app.domain.refused import Refused
from app.domain.status import Status
from tests.make import NOON, after


def an_incident(**given: object) -> Incident:
    new = NewIncident(**({"title": "Card payments fail", "words": "We look."} | given))  # type: ignore[arg-type]
    return posted("i1", new, NOON, "user mei")


def said(incident: Incident, seconds: float, **given: object) -> Incident:
    """An update, that many seconds after noon."""
    new = NewUpdate(**({"words": "More."} | given))  # type: ignore[arg-type]
    return updated(incident, new, after(seconds), "user mei")


@pytest.mark.parametrize(
    ("statuses", "impact"),
    [
        ([], "minor"),
        ([Status.OPERATIONAL], "none"),
        ([None], "minor"),
        ([None, Status.OPERATIONAL], "none"),
        ([Status.DEGRADED, Status.OPERATIONAL], "minor"),
        ([Status.DEGRADED, Status.PARTIAL], "major"),
        ([Status.PARTIAL, Status.MAJOR], "critical"),
    ],
)
def test_the_impact_is_that_of_the_worst_status(statuses: list[Status | None], impact: str) -> None:
    components = tuple(Affected(f"c{n}", status) for n, status in enumerate(statuses))
    assert worst_of(felt_of(components).values()) == impact
    assert an_incident(components=components).impact == impact


def test_where_the_incident_says_nothing_what_probes_see_counts() -> None:
    named, seen = (Affected("api"), Affected("shop")), {"api": Status.MAJOR, "shop": Status.OPERATIONAL}
    assert felt_of(named, seen) == {"api": "critical"}
    assert felt_of([Affected("shop"), Affected("mail")], seen) == {}
    assert felt_of([Affected("api", Status.DEGRADED)], seen) == {"api": "minor"}


def test_an_impact_that_was_chosen_stays_until_it_is_to_be_computed_again() -> None:
    incident = an_incident(impact=Impact.NONE, components=(Affected("api", Status.MAJOR),))
    assert said(incident, 1).impact == "none"
    assert edited(incident, Edit(impact=None), after(1)).impact == "critical"
    assert edited(incident, Edit(impact=Impact.MINOR), after(1)).impact == "minor"


def test_an_impact_that_nobody_chose_is_the_worst_that_it_ever_was() -> None:
    incident = an_incident(components=(Affected("api", Status.MAJOR),))
    assert said(incident, 1, components=(Affected("api", Status.DEGRADED),)).impact == "critical"


def test_who_does_not_see_a_component_is_not_told_how_bad_it_is() -> None:
    both = (Affected("api", Status.DEGRADED), Affected("vault", Status.MAJOR))
    incident = an_incident(components=both)
    assert [incident.impact_on(seen) for seen in (["api"], ["vault"], ["api", "vault"], [])] == [
        *("minor", "critical", "critical", "minor")
    ]
    # Nor when it is named no more, or is well.
    fewer = said(incident, 1, components=(Affected("api"),))
    assert (fewer.impact, fewer.impact_on(["api"]), fewer.impact_on(["api", "vault"])) == (
        *("critical", "minor", "critical"),
    )
    later = said(incident, 1, components=(Affected("api", Status.PARTIAL), Affected("vault")))
    assert (later.impact_on(["api"]), said(later, 2, status="resolved").impact_on(["api"])) == (
        *("major", "major"),
    )


def test_a_chosen_impact_and_that_of_an_incident_on_nothing_is_told_to_all() -> None:
    named = (Affected("vault", Status.MAJOR),)
    assert an_incident(impact=Impact.MAJOR, components=named).impact_on([]) == "major"
    assert an_incident().impact_on([]) == "minor"
    again = edited(an_incident(impact=Impact.MAJOR, components=named), Edit(impact=None), after(1))
    assert (again.impact, again.impact_on([])) == ("critical", "minor")


def test_of_what_an_older_server_has_stored_no_more_is_told_than_can_be_seen() -> None:
    both = (Affected("api", Status.DEGRADED), Affected("vault", Status.MAJOR))
    old = replace(an_incident(components=both), felt={})
    assert (old.impact_on(["api"]), old.impact_on(["vault"])) == ("minor", "critical")
    assert replace(an_incident(impact=None), felt={}, impact=Impact.MAJOR).impact_on([]) == "major"


def test_the_newest_update_says_how_it_stands_whenever_it_was_written() -> None:
    incident = said(an_incident(since=after(-600)), 60, status=IncidentStatus.MONITORING)
    late = said(incident, 120, status=IncidentStatus.IDENTIFIED, at=after(-300))
    assert late.status == "monitoring"
    assert [update.status for update in late.updates] == ["investigating", "identified", "monitoring"]
    assert [update.n for update in late.updates] == [1, 3, 2]


def test_it_is_over_since_it_was_resolved_also_when_a_postmortem_comes_after_days() -> None:
    over = said(an_incident(), 60, status=IncidentStatus.RESOLVED)
    assert (over.is_open, over.resolved) == (False, after(60))
    post = said(over, 200_000, status=IncidentStatus.POSTMORTEM)
    assert (post.is_open, post.resolved) == (False, after(60))
    again = said(post, 300_000, status=IncidentStatus.INVESTIGATING)
    assert (again.is_open, again.resolved) == (True, None)


def test_what_is_resolved_promises_nothing_and_nobody_is_on_it() -> None:
    incident = acknowledged(an_incident(next_update_by=after(600)), "Mei is on it", None, after(1))
    assert (incident.acknowledged, incident.next_update_by) == ("Mei is on it", after(600))
    over = said(incident, 60, status=IncidentStatus.RESOLVED, next_update_by=after(900))
    assert (over.acknowledged, over.next_update_by) == ("", None)
    with pytest.raises(Refused, match="resolved"):
        acknowledged(over, "Mei is on it", None, after(61))


def test_a_promise_is_kept_by_the_next_update() -> None:
    assert said(an_incident(next_update_by=after(600)), 60).next_update_by is None


def test_a_private_note_changes_nothing_that_leaves_for_the_feed() -> None:
    incident = an_incident()
    noted = said(incident, 60, private=True, words="The vendor's contract forbids it.", status=None)
    assert [update.private for update in noted.updates] == [False, True]
    assert noted.status == incident.status
    assert noted.public() == incident.public()
    assert "vendor" not in str(noted.public()) and "mei" not in str(noted.public())


def test_only_the_last_twenty_updates_travel() -> None:
    incident = an_incident()
    for n in range(1, 31):
        incident = said(incident, n, words=f"Update {n}")
    assert [each.words for each in incident.public().updates] == [f"Update {n}" for n in range(11, 31)]


def test_an_update_may_be_written_anew_or_taken_back_but_one_stays() -> None:
    incident = said(an_incident(), 60, status=IncidentStatus.RESOLVED)
    assert rewritten(incident, 2, "Better words.", after(90)).updates[1].words == "Better words."
    back = rewritten(incident, 2, None, after(90))
    assert (back.status, back.resolved, len(back.updates)) == ("investigating", None, 1)
    with pytest.raises(Refused, match="keeps one update"):
        rewritten(back, 1, None, after(91))
    with pytest.raises(Refused, match="has no update 7") as refusal:
        rewritten(back, 7, "x", after(91))
    assert refusal.value.kind == "missing"


def test_a_draft_is_published_once() -> None:
    public = published(an_incident(draft=True), after(1))
    assert not public.draft
    with pytest.raises(Refused, match="public already"):
        published(public, after(2))


def test_instants_are_cut_to_whole_milliseconds_in_utc() -> None:
    berlin = NOON.astimezone(timezone(timedelta(hours=1))) - timedelta(microseconds=1)
    assert an_incident(since=berlin).since == after(-0.001)


@pytest.mark.parametrize(
    ("given", "field", "sentence"),
    [
        ({"title": " "}, "title", "is empty"),
        ({"title": "a\nb"}, "title", "U+000A"),
        ({"title": "a\N{RIGHT-TO-LEFT OVERRIDE}b"}, "title", "U+202E"),
        ({"title": "a" * 201}, "title", "too long (201 characters): at most 200"),
        ({"words": ""}, "words", "is empty"),
        ({"words": "a" * 5_001}, "words", "at most 5,000"),
        ({"words": "a\0"}, "words", "U+0000"),
        ({"since": after(1)}, "since", "lies in the future"),
        ({"since": after(-3700 * 86400)}, "since", "ten years"),
        ({"next_update_by": after(1900 * 86400)}, "next_update_by", "five years"),
        ({"next_update_by": after(-1)}, "next_update_by", "must be later than now"),
        ({"components": (Affected("api", Status.UNKNOWN),)}, "components", "cannot be unknown"),
        ({"components": (Affected("api", Status.MAINTENANCE),)}, "components", "cannot be under_maintenance"),
        ({"components": tuple(Affected(f"c{n}") for n in range(201))}, "components", "200 components"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence_with_the_name_of_the_field(
    given: dict[str, object], field: str, sentence: str
) -> None:
    with pytest.raises(Refused) as refusal:
        an_incident(**given)
    assert refusal.value.field == field
    assert sentence in str(refusal.value)
    assert str(refusal.value).count("\n") == 0


def test_no_update_is_older_than_its_incident() -> None:
    with pytest.raises(Refused, match="earlier than the incident"):
        said(an_incident(), 60, at=after(-1))
    with pytest.raises(Refused, match="later than the first update"):
        edited(an_incident(), Edit(since=after(30)), after(60))


def test_an_incident_has_so_many_updates_at_the_most() -> None:
    incident = an_incident()
    for n in range(199):
        incident = said(incident, n)
    with pytest.raises(Refused, match="200 updates at the most"):
        said(incident, 300)
