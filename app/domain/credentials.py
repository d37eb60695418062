"""What is a credential in what is said of a monitor, told by the name it stands under, and what is shown in
its place: to those who read the API, the audit log, /admin and the log there are more than may know it.

What surely is one must be `${NAME}`, so that it is kept nowhere. What only may be one, such as `?key=` in a
URL, may stand there, and is shown to nobody.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from msgspec.structs import replace

from app.domain.monitor import Catalog, Component, Monitor
from app.domain.refused import Refused

MASK: Final = "***"

_SURE: Final = r"authorization|cookie|token|secret|passw(?:or)?d|pwd|api[-_]?key|session"
_SECRET: Final = re.compile(_SURE, re.IGNORECASE)
# Of the scheme only where it ends: to look for its beginning too took 20 s for a text of 200,000 dots.
_USERINFO: Final = re.compile(r"(?<=[A-Za-z0-9+.-])(://)[^\s/?#]*@")
# Of parameters, what may be one besides.
_PERHAPS: Final = frozenset(("key", "auth", "sig", "signature", "wall"))
# Found one after the other: in one pattern, a long text would be searched from each `?` to its end.
_NAME: Final = re.compile(r"[?&]([^\s?&#=]*)=")
_VALUE: Final = re.compile(r"[^\s&#]+")
_VARIABLE: Final = re.compile(r"\$\{\w+\}")
_HAS_VARIABLE: Final = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]{0,63}\}")
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9]+")


def is_secret(name: str) -> bool:
    """Of a header, a parameter or a field."""
    return _SECRET.search(name) is not None


def written_out(url: str) -> Iterator[str]:
    """The parameters that surely are secret, and whose value stands in the URL itself."""
    return (name for name, value in _parameters(url, is_secret) if "${" not in value[0])


def redacted(text: str) -> str:
    """Without the password of a URL and what may be secret behind it."""
    # Most texts hold none of it; substring searches are cheaper than regexes.
    if "@" in text and "://" in text:
        text = _USERINFO.sub(rf"\1{MASK}@", text)
    if "=" not in text:
        return text
    parts, end = [], 0
    for _, value in _parameters(text, _may_be_secret):
        if not _VARIABLE.fullmatch(value[0]):
            parts += [text[end : value.start()], MASK]
            end = value.end()
    return "".join((*parts, text[end:]))


def _parameters(text: str, wanted: Callable[[str], bool]) -> Iterator[tuple[str, re.Match[str]]]:
    """The name and the value of those with a wanted name. What is in such a value is of it."""
    end = 0
    for name in _NAME.finditer(text):
        if name.start() >= end and wanted(name[1]) and (value := _VALUE.match(text, name.end())):
            end = value.end()
            yield name[1], value


def _may_be_secret(name: str) -> bool:
    return is_secret(name) or name.lower() in _PERHAPS


def masked(given: Any, name: str = "") -> Any:
    """Of JSON's own types, and the same of them. `name` is what it stands under."""
    if isinstance(given, str):
        is_open = bool(given) and is_secret(name) and "${" not in given
        return MASK if is_open else redacted(given)
    if isinstance(given, Mapping):
        return {key: masked(value, key) for key, value in given.items()}
    if isinstance(given, list | tuple):
        return [masked(each) for each in given]
    return given


def unmasked(given: Any, known: Any, name: str = "") -> Any:
    """What was sent, with what is `known` where it is still as it was shown."""
    if isinstance(given, str):
        return known if isinstance(known, str) and given == masked(known, name) else given
    if isinstance(given, Mapping):
        there = known if isinstance(known, Mapping) else {}
        return {key: unmasked(value, there.get(key), key) for key, value in given.items()}
    return given


def shown(monitor: Monitor) -> Monitor:
    """As it is shown to whoever may change it."""
    return replace(monitor, target=redacted(monitor.target), options=masked(monitor.options))


def restored(monitor: Monitor, known: Monitor | None) -> Monitor:
    """As it was meant, by somebody who was shown the `known` one. Raises Refused where a mask is left: what
    it stood for goes nowhere but where it went before."""
    if known is not None:
        monitor = replace(monitor, target=unmasked(monitor.target, known.target))
        if monitor.target == known.target:
            monitor = replace(monitor, options=unmasked(monitor.options, known.options))
    for field, said in (("target", monitor.target), ("options", monitor.options)):
        if any(f"={MASK}" in text or f"{MASK}@" in text for text in _texts(said)):
            sentence = f"`{MASK}` stands for a secret that only the old URL may have: write it as ${{NAME}}."
            raise Refused(field, sentence)
    return monitor


class Variables:
    """What surely is a secret and stands in the clear, because an older release let it in, becomes `${NAME}`.
    `names` are those of the variables."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def of(self, catalog: Catalog) -> Catalog:
        components = tuple(
            replace(each, monitors=tuple(map(self._monitor, each.monitors))) for each in catalog.components
        )
        return catalog if components == catalog.components else replace(catalog, components=components)

    def _monitor(self, monitor: Monitor) -> Monitor:
        target = self._text(monitor.target, monitor.key, "")
        options = {name: self._any(value, monitor.key, name) for name, value in monitor.options.items()}
        return replace(monitor, target=target, options=options)

    def _any(self, given: Any, owner: str, name: str) -> Any:
        if isinstance(given, str):
            return self._text(given, owner, name)
        if isinstance(given, Mapping):
            return {key: self._any(value, owner, key) for key, value in given.items()}
        if isinstance(given, list | tuple):
            return type(given)(self._any(each, owner, "") for each in given)
        return given

    def _text(self, text: str, owner: str, name: str) -> str:
        if is_secret(name):
            return text if not text or _HAS_VARIABLE.search(text) else self._variable(owner, name)
        if "://" in text:
            text = _USERINFO.sub(lambda found: f"{found[1]}{self._variable(owner, 'user')}@", text)
        parts, end = [], 0
        for parameter, value in _parameters(text, is_secret):
            if "${" not in value[0]:
                parts += [text[end : value.start()], self._variable(owner, parameter)]
                end = value.end()
        return "".join((*parts, text[end:]))

    def _variable(self, owner: str, what: str) -> str:
        name = _NO_NAME.sub("_", f"{owner}_{what}").upper()[:56]
        name = f"_{name}" if name[0].isdigit() else name
        number = sum(each == name or each.startswith(f"{name}__") for each in self.names)
        self.names.append(name if not number else f"{name}__{number + 1}")
        return f"${{{self.names[-1]}}}"


def _texts(given: Any) -> Iterator[str]:
    if isinstance(given, str):
        yield given
    elif isinstance(given, Mapping | list | tuple):
        for each in given.values() if isinstance(given, Mapping) else given:
            yield from _texts(each)


def shown_component(component: Component) -> Component:
    return replace(component, monitors=tuple(map(shown, component.monitors)))


def restored_component(component: Component, known: Component | None) -> Component:
    there = {each.key: each for each in known.monitors} if known is not None else {}
    return replace(
        component, monitors=tuple(restored(each, there.get(each.key)) for each in component.monitors)
    )
