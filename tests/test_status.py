"""One sentence sums up a page, and it never says better than the worst that is seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.status import FELT, Status, Tally, overall, worst

named = st.lists(st.tuples(st.text(min_size=1, max_size=8), st.sampled_from(Status)), max_size=8)


def page(*statuses: Status) -> list[tuple[str, Status]]:
    return list(zip("ABCDEFGH", statuses, strict=False))


@pytest.mark.parametrize(
    ("components", "indicator", "description"),
    [
        (page(), "minor", "Nothing is watched yet"),
        (page(Status.OPERATIONAL), "none", "All systems operational"),
        (page(Status.OPERATIONAL, Status.MAINTENANCE), "none", "Maintenance: B"),
        (page(Status.UNKNOWN), "minor", "State unknown: A"),
        (page(Status.UNKNOWN, Status.DEGRADED), "minor", "Degraded performance: B"),
        (page(Status.DEGRADED, Status.PARTIAL, Status.MAINTENANCE), "major", "Partial outage: B"),
        (page(Status.MAJOR, Status.PARTIAL, Status.MAJOR), "critical", "Major outage: A and C"),
        (page(*[Status.MAJOR] * 3, Status.OPERATIONAL), "critical", "Major outage: 3 components"),
        (page(*[Status.MAJOR] * 3), "critical", "Major outage: all 3 components"),
    ],
)
def test_the_sentence_names_the_worst(
    components: list[tuple[str, Status]], indicator: str, description: str
) -> None:
    said = overall(components)
    assert (said.indicator, said.description) == (indicator, description)


@given(named)
def test_a_page_is_green_only_if_every_component_is(components: list[tuple[str, Status]]) -> None:
    seen = {status for _, status in components}
    said = overall(components)
    assert (said.status is Status.OPERATIONAL) == (seen == {Status.OPERATIONAL})
    assert (said.description == "All systems operational") == (seen == {Status.OPERATIONAL})
    assert (said.indicator == "none") == bool(seen and seen <= {Status.OPERATIONAL, Status.MAINTENANCE})


@given(named, st.sampled_from(Status))
def test_one_more_component_never_makes_a_page_look_better(
    components: list[tuple[str, Status]], status: Status
) -> None:
    ranks = {status: rank for rank, status in enumerate(Status)}
    if components:
        assert ranks[overall([*components, ("one more", status)]).status] >= ranks[overall(components).status]


def summed(statuses: list[Status], *impacts: str) -> tuple[str, str]:
    tally = Tally((name, name, status) for name, status in page(*statuses))
    for n, impact in enumerate(impacts):
        tally.tell(f"{n}", f"Trouble {n}", impact)
    said = tally.overall()
    return said.status, said.description


def test_an_open_incident_never_stands_beside_all_systems_operational() -> None:
    well, ill, resting = Status.OPERATIONAL, Status.PARTIAL, Status.MAINTENANCE
    assert summed([well], "none") == (well, "Open incident: Trouble 0")
    assert summed([well], "critical") == (Status.MAJOR, "Open incident: Trouble 0")
    assert summed([well], "none", "minor") == (Status.DEGRADED, "2 open incidents")
    assert summed([], "none") == (Status.UNKNOWN, "Open incident: Trouble 0")
    # What is broken is named, unless something that nobody could name is worse.
    assert summed([well, ill], "major") == (ill, "Partial outage: B")
    assert summed([well, ill], "critical") == (Status.MAJOR, "Open incident: Trouble 0")
    assert summed([well, resting], "none") == (resting, "Maintenance: B")


@given(st.lists(st.sampled_from(Status), max_size=3), st.lists(st.sampled_from(list(FELT)), max_size=3))
def test_an_incident_never_makes_a_page_look_better(statuses: list[Status], impacts: list[str]) -> None:
    status, said = summed(statuses, *impacts)
    assert status == worst([summed(statuses)[0], *(FELT[impact] for impact in impacts)])
    assert not impacts or said != "All systems operational"


@given(named.flatmap(lambda components: st.tuples(st.just(components), st.permutations(components))))
def test_which_is_worst_does_not_depend_on_the_order(both: tuple[list[tuple[str, Status]], ...]) -> None:
    first, second = ([status for _, status in components] for components in both)
    assert worst(first) is worst(second)
