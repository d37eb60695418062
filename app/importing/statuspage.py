"""Atlassian Statuspage becomes ours: from the public summary of a page (API v2), or from what its own API
(v1) answers: pages, components, component groups and incidents, one of them or several in one object.

It probes nothing, so components come without monitors. Ids of incidents stay what they are, so that links to
them go on working.
"""

import re
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from app.domain.incident import Affected, Impact, Incident, IncidentStatus, Update
from app.domain.refused import MOST_TITLE, MOST_WORDS
from app.domain.status import Status
from app.importing.harvest import LARGEST, Harvest, NotReadable, line
from app.statusfile.values import zones
from app.statusfile.writing import Tree

_MOST_INCIDENTS: Final = 5_000
_MOST_UPDATES: Final = 200
_IMPACTS: Final = {impact.value: impact for impact in Impact}
_STATUSES: Final = {status.value: status for status in IncidentStatus}
# What an incident may say of a component.
_AFFECTED: Final = {
    status.value: status for status in (Status.OPERATIONAL, Status.DEGRADED, Status.PARTIAL, Status.MAJOR)
}


def read(content: bytes) -> Harvest:
    """Raises NotReadable."""
    root = _understood(content)
    harvest = Harvest()
    page = _mapping(root.get("page"))
    harvest.set_page(_page(page))
    slugs = _take_components(root, harvest)
    for incident in [*_list(root.get("incidents"))][:_MOST_INCIDENTS]:
        _take_incident(_mapping(incident), slugs, harvest)
    for work in _list(root.get("scheduled_maintenances")):
        name = line(_mapping(work).get("name"), 80)
        harvest.remark("left out", name, "planned work is not taken over: schedule it again")
    for key, why in _PASSED_OVER.items():
        if root.get(key):
            harvest.remark("left out", f"`{key}`", why)
    harvest.text()
    return harvest


_PASSED_OVER: Final = {
    "subscribers": "who subscribed must say so again here",
    "metrics": "figures of other systems are not shown here",
    "incident_templates": "templates are not taken over yet",
}


def _understood(content: bytes) -> dict[str, Any]:
    if len(content) > LARGEST:
        raise NotReadable(f"It is larger than {LARGEST >> 20} MiB.")
    try:
        root = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotReadable(
            "It is no JSON: give a page's /api/v2/summary.json, or what the API answers to its owner."
        ) from None
    if isinstance(root, list):
        # One answer of the API by itself.
        is_incidents = any("incident_updates" in _mapping(each) for each in root)
        root = {"incidents" if is_incidents else "components": root}
    if not isinstance(root, dict) or not _list(root.get("components")):
        raise NotReadable("There is no `components` in it, and so nothing of a status page.")
    return root


def _page(given: dict[str, Any]) -> Tree:
    page: Tree = {}
    if name := line(given.get("name"), 80):
        page["name"] = name
    if url := given.get("url") or (given.get("domain") and f"https://{given['domain']}"):
        page["url"] = str(url)
    zone = str(given.get("time_zone") or "").removeprefix("Etc/")
    if zone and zone != "UTC":
        page["time_zone"] = zones().get(zone.lower(), zone)
    return page


def _take_components(root: dict[str, Any], harvest: Harvest) -> dict[str, str]:
    """The slug of each by its id."""
    given = sorted(map(_mapping, _list(root["components"])), key=lambda each: _whole(each.get("position")))
    groups = {
        str(each.get("id")): line(each.get("name"), 80)
        for each in (*given, *map(_mapping, _list(root.get("component_groups"))))
        if each.get("group") is True or isinstance(each.get("components"), list)
    }
    # Groups in the order in which the page has them, whatever the positions of their members.
    order = {id: n for n, id in enumerate(groups)}
    shown = [each for each in given if str(each.get("id")) not in groups]
    shown.sort(key=lambda each: order.get(str(each.get("group_id")), len(order)))
    slugs: dict[str, str] = {}
    for each in shown:
        if each.get("only_show_if_degraded") is True:
            harvest.remark(
                "changed", line(each.get("name"), 80), "it is always shown, not only when degraded"
            )
        slugs[str(each.get("id"))] = harvest.component(
            str(each.get("name") or ""),
            group=groups.get(str(each.get("group_id"))),
            description=str(each.get("description") or ""),
            needs_monitor=False,
        )
    if slugs:
        harvest.remark("to do", "all components", "they have no monitors: add some, or set statuses by hand")
    return slugs


def _take_incident(given: dict[str, Any], slugs: dict[str, str], harvest: Harvest) -> None:
    title = line(given.get("name"), MOST_TITLE) or "Incident"
    if given.get("scheduled_for") or given.get("impact") == "maintenance":
        return harvest.remark("left out", title, "planned work is not taken over: schedule it again")
    id = str(given.get("id") or "")
    since = _instant(given.get("started_at")) or _instant(given.get("created_at"))
    if not re.fullmatch("[a-z0-9]{4,32}", id) or since is None:
        return harvest.remark("left out", title, "it has no id, or no date")
    told = list(_updates(given, title, harvest))
    if not told:
        return harvest.remark("left out", title, "it says nothing")
    updates = tuple(msgspec.structs.replace(each, n=n) for n, each in enumerate(told, 1))
    status = IncidentStatus(updates[-1].status)
    is_over = status in (IncidentStatus.RESOLVED, IncidentStatus.POSTMORTEM)
    harvest.incident(
        Incident(
            id=id,
            title=title,
            status=status,
            impact=_IMPACTS.get(str(given.get("impact")), Impact.NONE),
            impact_set=True,
            since=min(since, updates[0].at),
            updated=updates[-1].at,
            resolved=(_instant(given.get("resolved_at")) or updates[-1].at) if is_over else None,
            components=_affected(given, slugs, is_over),
            updates=updates,
        )
    )


def _updates(given: dict[str, Any], title: str, harvest: Harvest) -> list[Update]:
    found = []
    for each in map(_mapping, _list(given.get("incident_updates"))):
        at = _instant(each.get("display_at")) or _instant(each.get("created_at"))
        words = str(each.get("body") or "").strip()
        status = _STATUSES.get(str(each.get("status")))
        if at is None or not words or status is None:
            harvest.remark("left out", title, "an update of it that has no date, words or status")
            continue
        if len(words) > MOST_WORDS:
            harvest.remark("changed", title, f"an update of it is cut to {MOST_WORDS:,} characters")
        found.append(Update(n=0, at=at, status=status, words=words[:MOST_WORDS]))
    found.sort(key=lambda update: update.at)
    if len(found) > _MOST_UPDATES:
        harvest.remark("left out", title, f"its updates but the last {_MOST_UPDATES}")
    return found[-_MOST_UPDATES:]


def _affected(given: dict[str, Any], slugs: dict[str, str], is_over: bool) -> tuple[Affected, ...]:
    """The components that it names, with what it said of them last, as long as it is open."""
    found: dict[str, Affected] = {}
    for each in map(_mapping, _list(given.get("components"))):
        if slug := slugs.get(str(each.get("id"))):
            status = None if is_over else _AFFECTED.get(str(each.get("status")))
            found[slug] = Affected(slug, status)
    for update in map(_mapping, _list(given.get("incident_updates"))):
        for each in map(_mapping, _list(update.get("affected_components"))):
            if slug := slugs.get(str(each.get("code"))):
                found.setdefault(slug, Affected(slug))
    return tuple(found.values())


def _instant(given: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(given))
        return at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _whole(given: Any) -> int:
    return given if isinstance(given, int) else 1 << 30


def _mapping(given: Any) -> dict[str, Any]:
    return given if isinstance(given, dict) else {}


def _list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else []
