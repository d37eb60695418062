"""What a monitor probes, by its kind: URLs, hosts, endpoints and names, in the form that workers read.

A target is never looked up here: that it is well written is all that this machine can know.
"""

import ipaddress
import re
from urllib.parse import urlsplit

import yaml

from app.domain.credentials import written_out
from app.statusfile.problem import Wrong, quote
from app.statusfile.values import VARIABLE, WRITTEN_OUT, one_or_more, text_of

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")


def url(node: yaml.Node) -> str | None:
    return _checked_url(text_of(node, 2000), ("http", "https"))


def logo(node: yaml.Node) -> str | None:
    return _checked_url(text_of(node, 2000), ("https",))


def host_names(node: yaml.Node) -> tuple[str, ...]:
    example = "a name such as status.acme.example, without scheme and port"
    found = one_or_more(node, lambda item: checked_host(text_of(item, 253), example).lower().rstrip("."))
    if len(set(found)) < len(found):
        raise Wrong("names a host twice: keep one of the two")
    return tuple(found)


def url_with_variables(node: yaml.Node, schemes: tuple[str, ...]) -> str:
    text = text_of(node, 2000, variables=True)
    # A variable may stand for a host, a port or a part of the path, so for a number.
    _checked_url(VARIABLE.sub("1", text), schemes)
    if name := next(written_out(text), ""):
        raise Wrong(f"has the value of {quote(name)} in it, which {WRITTEN_OUT}")
    return text


def question(node: yaml.Node) -> str:
    """name, or name@server."""
    text = text_of(node, 300)
    name, at, server = text.partition("@")
    example = "a name such as example.com, or example.com@192.0.2.53 to ask that server"
    if not is_ip(name):
        checked_host(name, example)
    if at:
        is_bare = server.endswith("]") or ":" not in server or is_ip(server)
        _ = checked_host(server, example) if is_bare else endpoint(server, "53", example)
    return text


def _checked_url(text: str, schemes: tuple[str, ...]) -> str:
    if re.search(r"\s", text):
        raise Wrong("has a blank in it: write %20 for each")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise Wrong("has a host or port that cannot be read: write https://example.com:8443") from None
    if parts.scheme not in schemes or not host:
        begin = " or ".join(f"{scheme}://" for scheme in schemes)
        raise Wrong(f"must be a whole URL, from {begin} on, such as {schemes[-1]}://example.com")
    if "@" in parts.netloc:
        raise Wrong("must not hold a user or password: put it into `auth`, as ${NAME}")
    if not (_is_name(host) or is_ip(host) or not host.isascii()):
        raise Wrong("has a host that is none: write one such as https://example.com")
    return text


def endpoint(text: str, port: str, example: str) -> str:
    """`host:port`, an IPv6 address in brackets. `port` stands in for one that is not given, unless empty."""
    if ":" in text and is_ip(text):
        raise Wrong(f"is an IPv6 address without brackets: write '{_bracketed(text, port)}', with the quotes")
    host, colon, given = text.rpartition(":")
    if not colon or given.endswith("]"):
        host, given = text, port
    bare = checked_host(host, example)
    if not given:
        raise Wrong(f"has no port: write {example}")
    if not re.fullmatch(r"[0-9]{1,5}", given) or not 1 <= int(given) <= 65535:
        raise Wrong(f"has no port from 1 to 65535: write {example}")
    return f"[{bare}]:{int(given)}" if ":" in bare else f"{bare}:{int(given)}"


def _bracketed(text: str, port: str) -> str:
    """What was most likely meant: ::1:443 is an address as it stands, and nobody has that one."""
    address, _, given = text.rpartition(":")
    if is_ip(address) and given.isdecimal() and 1 <= int(given) <= 65535:
        return f"[{address}]:{given}"
    return f"[{text}]:{port or 443}"


def checked_host(text: str, example: str) -> str:
    """A name or an address, without brackets."""
    if "://" in text:
        raise Wrong(f"must not be a URL: write {example}")
    if not text.isascii():
        raise Wrong("has a letter that is not ASCII: write the name as DNS has it, which begins with xn--")
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if is_ip(bare):
        return bare
    # 1.2.3 and 256.1.1.1 look like names to DNS, and are none.
    if not _is_name(text) or text.rstrip(".").rpartition(".")[2].isdigit():
        raise Wrong(f"is neither a host name nor an IP address: write {example}")
    return text


def _is_name(text: str) -> bool:
    return len(text) <= 253 and _HOST.fullmatch(text) is not None


def is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
