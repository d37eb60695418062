"""One component, or one page, in the words of the file: as a form has it, beside all that runs already.

The file's own reader judges it, with its sentences. What a person wrote is put into a file as it is, further
in than anything could leave; so it is read as it would be in git.
"""

from msgspec.structs import replace

from app.domain.monitor import Catalog, Component, Page
from app.domain.refused import Refused
from app.statusfile.catalog import parse
from app.statusfile.problem import StatusFileError
from app.statusfile.writing import component_tree, dump, page_tree, write

_ELSEWHERE = "elsewhere"


def monitors_text(component: Component) -> str:
    """Its monitors as they stand in a file."""
    said = component_tree(component).get("monitors")
    if not said:
        return ""
    lines = dump({"monitors": said}).splitlines()[1:]
    return "".join(f"{line}\n" for line in lines)


def page_text(page: Page) -> str:
    """All that is said of it but slug and name."""
    said = {key: value for key, value in page_tree(page).items() if key not in ("slug", "name")}
    return dump(said) if said else ""


def read_component(given: Component, monitors: str, running: Catalog) -> Component:
    """`given` has all but the monitors. Raises Refused, about `monitors` or `definition`."""
    others = tuple(each for each in running.components if each.slug != given.slug)
    head = dump({"components": [component_tree(replace(given, monitors=()))]})
    lines = [head]
    if monitors.strip():
        lines.append(f"  monitors:\n{_indented(monitors, 4)}")
    catalog = _parse(_beside(others) + "".join(lines), "monitors")
    return replace(next(each for each in catalog.components if each.slug == given.slug), group=given.group)


def read_page(slug: str, name: str, words: str, running: Catalog) -> Page:
    """`words` are those of a page in the file. Raises Refused, about `words`."""
    others = replace(running, page=Page(), pages=(), rules=(), paused=())
    head = {"slug": slug, "name": name} if slug else {"name": name}
    text = f"pages:\n- {_indented(dump(head), 2).strip()}\n" if slug else f"page:\n{_indented(dump(head), 2)}"
    catalog = _parse(f"{write(others)}{text}{_indented(words, 2)}", "words")
    return catalog.pages[0] if slug else catalog.page


def _beside(others: tuple[Component, ...]) -> str:
    """All of them in a group, so that the section of those without is free."""
    if not others:
        return ""
    grouped = tuple(replace(each, group=_ELSEWHERE) for each in others)
    return write(Catalog(groups=(_ELSEWHERE,), components=grouped))


def _parse(text: str, field: str) -> Catalog:
    try:
        return parse(text)
    except StatusFileError as error:
        said = error.problems[0].message
        end = "" if said[-1] in "?.!" else "."
        raise Refused(field, f"{said[0].upper()}{said[1:]}{end}") from None


def _indented(text: str, by: int) -> str:
    return "".join(f"{' ' * by}{line}\n" for line in text.splitlines())
