"""What an importer brings home: a config file, incidents, history, and a line for all that was left behind.

Importers write in the words of the file, and the file's own reader judges each monitor by itself: so what it
refuses is one line of the report and not the end of the import, and nothing about forms is said twice.
"""

import re
from collections.abc import Iterable
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from app.domain.credentials import is_secret, written_out
from app.domain.incident import Incident
from app.domain.monitor import Catalog, Page
from app.domain.refused import CONTROL, CONTROL_BUT_LINES
from app.domain.uptime import Span
from app.statusfile.catalog import MOST_MONITORS, parse
from app.statusfile.problem import StatusFileError, cut
from app.statusfile.values import slug_of
from app.statusfile.writing import Tree, dump

Kind: TypeAlias = Literal["left out", "changed", "to do"]

LARGEST: Final = 64 * 1024 * 1024  # bytes of a source that is read whole
PUSHES_ELSEWHERE: Final = (
    "what pushes to it has to push to a new address, which `statuswire heartbeats` shows when it runs"
)
_MOST_NOTES: Final = 5_000


class NotReadable(Exception):
    """One sentence: why nothing at all could be taken over."""


class Remark(Struct, frozen=True):
    """A line of the report. `what` is named as its owner knows it."""

    kind: Kind
    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}: {self.why}"


class Harvest:
    """Filled by one importer, for one source."""

    def __init__(self) -> None:
        self.remarks: list[Remark] = []
        self.incidents: list[Incident] = []
        self.history: list[Span] = []
        self.page: Tree = {}
        self.pages: list[Tree] = []
        self._components: dict[str, tuple[str | None, Tree]] = {}
        self._groups: dict[str, None] = {}
        self._more = 0
        self._monitors = 0

    def remark(self, kind: Kind, what: str, why: str) -> None:
        if len(self.remarks) < _MOST_NOTES:
            self.remarks.append(Remark(kind, cut(what, 100), why))
        else:
            self._more += 1

    def component(
        self,
        name: str,
        monitors: Iterable[Tree] = (),
        *,
        group: str | None = None,
        description: str = "",
        hidden: bool = False,
        needs_monitor: bool = True,
    ) -> str:
        """Its slug; empty if nothing of it could be taken over, and then the report says why."""
        title = line(name, 80) or "Nameless"
        right = [monitor for monitor in monitors if self._is_right(title, monitor)]
        if needs_monitor and not right:
            return ""
        slug = self._free_slug(title)
        said: Tree = {"name": title, "slug": slug}
        if text := line(description, 300):
            said["description"] = text
        if hidden:
            said["hidden"] = True
        if right:
            said["monitors"] = right
        where = line(group, 80) if group else None
        if where:
            self._groups.setdefault(where)
        self._components[slug] = (where or None, said)
        return slug

    def slugs(self) -> list[str]:
        return list(self._components)

    def name_of(self, slug: str) -> str:
        return str(self._components[slug][1]["name"])

    def hide(self, slug: str) -> None:
        monitors = self._components[slug][1].pop("monitors", None)
        self._components[slug][1]["hidden"] = True
        if monitors is not None:
            self._components[slug][1]["monitors"] = monitors

    def incident(self, incident: Incident) -> None:
        """Without what no words may hold here."""
        updates = tuple(replace(each, words=_clean(each.words)) for each in incident.updates)
        self.incidents.append(replace(incident, updates=updates))

    def text(self) -> str:
        """The config file. Raises NotReadable if there is nothing to put into it."""
        groups = [
            {"name": name, "components": [said for group, said in self._components.values() if group == name]}
            for name in self._groups
        ]
        ungrouped = [said for group, said in self._components.values() if group is None]
        sections = {"page": self.page, "pages": self.pages, "groups": groups, "components": ungrouped}
        if not self._components:
            raise NotReadable("There is nothing in it that could be taken over.")
        return dump({name: its for name, its in sections.items() if its})

    def catalog(self) -> Catalog:
        return parse(self.text(), "the import")

    def report(self) -> list[str]:
        lines = [str(remark) for remark in self.remarks]
        return [*lines, f"and {self._more:,} more"] if self._more else lines

    def set_page(self, tree: Tree) -> None:
        """As the page at `/`, without what is no good in it."""
        self.page = self._checked_page(tree, "page")

    def add_page(self, slug: str, tree: Tree) -> None:
        taken = {page["slug"] for page in self.pages}
        free = _free(slug_of(slug) or "page", taken)
        self.pages.append({"slug": free, **self._checked_page(tree, f"page {slug}")})

    def _checked_page(self, tree: Tree, what: str) -> Tree:
        right: Tree = {}
        for key, value in tree.items():
            if key not in ("components", "groups") and (why := problem_of({"page": {key: value}})):
                self.remark("left out", what, why)
            elif value != getattr(Page(), key, None):
                right[key] = value
        return right

    def _is_right(self, name: str, monitor: Tree) -> bool:
        self._monitors += 1
        if self._monitors > MOST_MONITORS:
            self.remark("left out", name, f"a file has {MOST_MONITORS:,} monitors at the most")
            return False
        # A group names other monitors, which are not there when it is judged alone.
        if "group" in monitor:
            return True
        if why := problem_of({"components": [{"name": name, "slug": "it", "monitors": [monitor]}]}):
            self.remark("left out", name, why)
        return not why

    def _free_slug(self, name: str) -> str:
        return _free(slug_of(name) or "component", self._components)


def problem_of(tree: Tree) -> str:
    """What the file's reader has against it; empty if nothing."""
    try:
        parse(dump(tree))
    except StatusFileError as error:
        return "; ".join(problem.message for problem in error.problems)
    return ""


def line(text: Any, longest: int) -> str:
    """What somebody else wrote, as one line that the file may hold."""
    flat = " ".join(CONTROL.sub(" ", str(text or "")).split())
    return flat if len(flat) <= longest else flat[: longest - 1].rstrip() + "…"


class Secrets:
    """What must not stand in a file: a variable stands for it, and the report says which."""

    def __init__(self, harvest: Harvest, prefix: str) -> None:
        self._harvest = harvest
        self._prefix = prefix

    def variable(self, owner: str, what: str) -> str:
        name = f"{self._prefix}_{slug_of(owner) or 'MONITOR'}_{what}".upper().replace("-", "_")[:64]
        self._harvest.remark("to do", owner, f"set {name} in the workers' environment: its {what.lower()}")
        return f"${{{name}}}"

    def headers(self, owner: str, headers: dict[str, str]) -> dict[str, str]:
        """Those that are secret by their name, with a variable in place of the value."""
        return {
            name: self.variable(owner, slug_of(name)) if is_secret(name) and "${" not in value else value
            for name, value in headers.items()
        }

    def url(self, owner: str, url: str) -> str:
        """With variables for the parameters that are secret by their name."""
        for name in written_out(url):
            stands = re.compile(rf"([?&]{re.escape(name)}=)[^\s&#]+")
            url = stands.sub(rf"\1{self.variable(owner, slug_of(name))}", url, count=1)
        return url


def _clean(words: str) -> str:
    return CONTROL_BUT_LINES.sub(" ", words.replace("\r\n", "\n")).strip() or "…"


def _free(slug: str, taken: Iterable[str]) -> str:
    names, n = set(taken), 2
    free = slug
    while free in names:
        free = f"{slug[:60]}-{n}"
        n += 1
    return free
