"""What a page says of its rows, in its language: the headline, the line below it, a group in three words.
page.js says the same of what it hears.
"""

import re
from collections.abc import Iterable, Sequence

from app.domain.status import Status, worst
from app.pages.language import Language
from app.pages.rows import WORD, Group, Row, weighed
from app.pages.stories import Story

HEADLINE = {
    Status.MAINTENANCE: "Maintenance: {components}",
    Status.UNKNOWN: "State unknown: {components}",
    Status.DEGRADED: "Degraded performance: {components}",
    Status.PARTIAL: "Partial outage: {components}",
    Status.MAJOR: "Major outage: {components}",
}
_AFFECTED = (Status.DEGRADED, Status.PARTIAL, Status.MAJOR)
# What board.js has as well.
_NOTE = re.compile(
    r"(?:affected by (.+?))?(?:(?:^|, )(flapping))?(?:(?:^|, )(paused))?(?:(?:^|, )(set by hand)(: .*)?)?",
    re.DOTALL,
)


def headline(rows: Sequence[Row], language: Language, told: Iterable[Story] = ()) -> str:
    """In English, what `status.description` of a frame says."""
    status, incidents = weighed(rows, told)
    if len(incidents) == 1:
        return language.say("Open incident: {title}", title=incidents[0].title)
    if incidents:
        return language.count(len(incidents), "{number} open incident", "{number} open incidents")
    if not rows:
        return language.say("Nothing is watched yet")
    if status is Status.OPERATIONAL:
        return language.say("All systems operational")
    names = [row.name for row in rows if row.status is status]
    return language.say(HEADLINE[status], components=_spell(names, len(rows), language))


def _spell(names: Sequence[str], of: int, language: Language) -> str:
    """One or two names are spelled out, more are counted."""
    if len(names) == 1:
        return names[0]
    if len(names) == 2:
        return language.say("{one} and {other}", one=names[0], other=names[1])
    if len(names) == of:
        return language.count(of, "all {number} component", "all {number} components")
    return language.count(len(names), "{number} component", "{number} components")


def tally(rows: Sequence[Row], language: Language, told: Iterable[Story] = ()) -> str:
    """The line below the headline."""
    if not rows:
        return language.say("No component has been added")
    if worst(row.status for row in rows) is Status.OPERATIONAL:
        # That all work is not what to say beside an incident, though no probe has seen it.
        if weighed(rows, told)[1]:
            return language.say("No component is known to be affected")
        return language.count(len(rows), "The one component works", "All {number} components work")
    if some := _number(rows, *_AFFECTED):
        texts = "{some} of {number} component affected", "{some} of {number} components affected"
    elif some := _number(rows, Status.UNKNOWN):
        texts = "{some} of {number} component unknown", "{some} of {number} components unknown"
    else:
        some = _number(rows, Status.MAINTENANCE)
        texts = "{some} of {number} component in maintenance", "{some} of {number} components in maintenance"
    return language.count(len(rows), *texts, some=some)


def summary(group: Group, language: Language) -> str:
    """A closed group in a word or three: how many of it, and by the worst of what ails them."""
    if not group.open or len(group.rows) == 1:
        return language.say(WORD[group.status])
    if some := _number(group.rows, *_AFFECTED):
        return language.say("{some} of {all} affected", some=some, all=len(group.rows))
    some = _number(group.rows, Status.UNKNOWN)
    return language.say("{some} of {all} unknown", some=some, all=len(group.rows))


def beside(note: str, acknowledged: str, language: Language) -> str:
    """What audience.spell says beside a status, in this language. It ends with who is on it."""
    ours = note.removesuffix(acknowledged).removesuffix(", ") if acknowledged else note
    if (found := _NOTE.fullmatch(ours)) is None:
        return note
    name, flapping, paused, by_hand, why = found.groups("")
    said = (
        language.say("affected by {name}", name=name) if name else "",
        language.say("flapping") if flapping else "",
        language.say("paused") if paused else "",
        language.say("set by hand") + why if by_hand else "",
        acknowledged,
    )
    return ", ".join(filter(None, said))


def _number(rows: Sequence[Row], *statuses: Status) -> int:
    return sum(row.status in statuses for row in rows)
