"""The pages of the file: the one at `/`, and those of `pages:` with an address of their own."""

import difflib
from collections.abc import Collection, Iterable

import yaml
from msgspec.structs import replace

from app.domain.monitor import Link, Page
from app.domain.words import Choice
from app.statusfile import targets, values
from app.statusfile.forms import reading
from app.statusfile.mapping import Mapping
from app.statusfile.problem import Problems, quote
from app.statusfile.tree import line_of

ACCESS = Choice(("public", "password", "signed-in"))
_MOST_LINKS = 20


class Pages:
    """Those read so far. Slugs and host names lead to one page each; what pages name is looked for at the
    end, for it may come after them."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self.lines: dict[str, int] = {}
        self._hosts: dict[str, int] = {}
        self._named: list[tuple[str, int, str]] = []

    def read(self, said: Mapping, slug: str = "") -> Page:
        self.lines[slug] = line_of(said.node)
        page = Page(
            slug=slug,
            name=said.take("name", values.name, Page().name),
            url=said.take("url", targets.url, None),
            time_zone=said.take("time_zone", values.time_zone, Page().time_zone),
            hosts=said.take("hosts", targets.host_names, ()),
            groups=said.take("groups", values.group_names, None),
            components=said.take("components", values.slugs, None),
        )
        self._note(said, page)
        return self._with_looks(said, self._with_access(said, page))

    def read_others(self, said: Mapping) -> Iterable[Page]:
        for node in said.entries("pages"):
            entry = Mapping(self._problems, node, "a page")
            slug = entry.need("slug", values.slug, "slug: internal")
            if not slug or self._problems.is_first(
                self.lines, slug, entry.line("slug"), f"page slug `{slug}`", "give one of them another `slug`"
            ):
                yield self.read(entry, slug)

    def check(self, groups: Collection[str], components: Collection[str]) -> None:
        for kind, line, name in dict.fromkeys(self._named):
            known = groups if kind == "group" else components
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean `{close[0]}`?" if close else ""
                which = "is called" if kind == "group" else "has the slug"
                self._problems.add(line, f"no {kind} {which} {quote(name)}{hint}")

    def _note(self, said: Mapping, page: Page) -> None:
        for host in page.hosts:
            self._problems.is_first(
                self._hosts, host, said.line("hosts"), f"host name {quote(host)}", "keep it for one page"
            )
        self._named += [("group", said.line("groups"), name) for name in page.groups or ()]
        self._named += [("component", said.line("components"), slug) for slug in page.components or ()]

    def _with_access(self, said: Mapping, page: Page) -> Page:
        access = said.take("access", reading(ACCESS), "public")
        hashed = said.take("password_hash", values.password_hash, "")
        if access == "password" and "password_hash" not in said:
            self._problems.add(
                said.line("access"),
                "`access: password` needs a `password_hash`, which `statuswire config password` prints",
            )
        elif hashed and access != "password":
            self._problems.add(
                said.line("password_hash"),
                "`password_hash` belongs to `access: password`: add that, or take the hash out",
            )
        return replace(page, access=access, password_hash=hashed)

    def _with_looks(self, said: Mapping, page: Page) -> Page:
        links = said.entries("links")
        for node in links[_MOST_LINKS:][:1]:
            self._problems.add(line_of(node), f"this is one link too many: at most {_MOST_LINKS} on a page")
        return replace(
            page,
            language=said.take("language", values.language, Page().language),
            logo=said.take("logo", targets.logo, None),
            accent=said.take("accent", values.accent, None),
            links=tuple(self._link(node) for node in links[:_MOST_LINKS]),
            footer=said.take("footer", values.description, ""),
        )

    def _link(self, node: yaml.Node) -> Link:
        said = Mapping(self._problems, node, "a link")
        name = said.need("name", values.name, "name: Imprint")
        if "url" not in said:
            self._problems.add(
                line_of(node), "a link needs a `url`, such as `url: https://acme.example/imprint`"
            )
        return Link(name, said.take("url", targets.url, None) or "")
