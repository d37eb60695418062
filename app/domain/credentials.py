"""What is a credential in what is said of a monitor, told by the name it stands under, and what is shown in
its place: to those who read the API, the audit log, /admin and the log there are more than may know it.

What surely is one must be `${NAME}`, so that it is kept nowhere. What only may be one, such as `?key=` in a
URL, may stand there, and is shown to nobody.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec.structs import replace

from app.domain.monitor import Component, Monitor
from app.domain.refused import Refused

MASK: Final = "***"

_SURE: Final = r"authorization|cookie|token|secret|passw(?:or)?d|pwd|api[-_]?key|session"
_SECRET: Final = re.compile(_SURE, re.IGNORECASE)
_USERINFO: Final = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*://)[^\s/?#]*@")
# No `?` within a name, or a text of nothing else would be searched from each of them to its end.
_NAMED: Final = rf"[^\s?&#=]*(?:{_SURE})[^\s?&#=]*"
_PARAMETER: Final = re.compile(
    rf"([?&](?:{_NAMED}|key|auth|sig|signature|wall)=)(?!\$\{{\w+\}}(?:[\s&#]|$))[^\s&#]+", re.IGNORECASE
)
_SURE_PARAMETER: Final = re.compile(rf"[?&]({_NAMED})=([^\s&#]+)", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Of a header, a parameter or a field."""
    return _SECRET.search(name) is not None


def written_out(url: str) -> Iterator[str]:
    """The parameters that surely are secret, and whose value stands in the URL itself."""
    return (name for name, value in _SURE_PARAMETER.findall(url) if "${" not in value)


def redacted(text: str) -> str:
    """Without the password of a URL and what may be secret behind it."""
    # Most texts hold none of it; substring searches are cheaper than regexes.
    if "@" in text and "://" in text:
        text = _USERINFO.sub(rf"\1{MASK}@", text)
    return _PARAMETER.sub(rf"\1{MASK}", text) if "=" in text else text


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
        target = unmasked(monitor.target, known.target)
        monitor = replace(monitor, target=target, options=unmasked(monitor.options, known.options))
    if f"={MASK}" in monitor.target or f"{MASK}@" in monitor.target:
        sentence = f"`{MASK}` stands for a secret that only the old URL may have: write it as ${{NAME}}."
        raise Refused("target", sentence)
    return monitor


def shown_component(component: Component) -> Component:
    return replace(component, monitors=tuple(map(shown, component.monitors)))


def restored_component(component: Component, known: Component | None) -> Component:
    there = {each.key: each for each in known.monitors} if known is not None else {}
    return replace(
        component, monitors=tuple(restored(each, there.get(each.key)) for each in component.monitors)
    )
