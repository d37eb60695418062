"""The config file of Gatus becomes ours: each endpoint is a component with one monitor, and each of its
conditions is an assertion, where there is one that means the same.

Gatus calls down what is slow or has a certificate that ends soon; we call it degraded, and the report says
so.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from app.domain.incident import Impact, Incident, IncidentStatus, Update
from app.importing.harvest import LARGEST, PUSHES_ELSEWHERE, Harvest, NotReadable, Secrets, line
from app.statusfile.problem import Hopeless, cut
from app.statusfile.tree import compose, plain
from app.statusfile.writing import Bare, Tree, duration

_CONDITION = re.compile(r"\s*(.+?)\s*(==|!=|<=|>=|<|>)\s*(.*?)\s*")
_GO_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)")
_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST_TIMEOUT: Final = 60.0
_SCHEMES: Final = {
    "http": "http",
    "https": "http",
    "tcp": "tcp",
    "tls": "tls",
    "icmp": "icmp",
    "ws": "websocket",
    "wss": "websocket",
    "grpc": "grpc",
    "grpcs": "grpc",
    "ssh": "ssh",
    "starttls": "smtp",
}
_PASSED_OVER: Final = {
    "alerting": "who is told of what is not part of a config file here",
    "suites": "several requests that build on each other are no monitor here",
    "maintenance": "planned work is announced by hand here, and not in the file",
    "security": "who may sign in is not part of a config file here",
    "remote": "other instances are regions here, each with a worker of its own",
    "tunneling": "a target is probed by a worker that reaches it",
}
_IMPACTS: Final = {"outage": Impact.MAJOR, "warning": Impact.MINOR}


def read(content: bytes) -> Harvest:
    """Raises NotReadable."""
    root = _understood(content)
    harvest = Harvest()
    for section, why in _PASSED_OVER.items():
        if root.get(section):
            harvest.remark("left out", f"`{section}`", why)
    harvest.set_page(_page(_mapping(root.get("ui")), harvest))
    for entry in _list(root.get("endpoints") or root.get("services")):
        _Endpoint(_mapping(entry), harvest).take()
    for entry in _list(root.get("external-endpoints")):
        _take_external(_mapping(entry), harvest)
    for n, entry in enumerate(_list(root.get("announcements")), 1):
        _take_announcement(n, _mapping(entry), harvest)
    harvest.text()
    return harvest


def _understood(content: bytes) -> dict[str, Any]:
    if len(content) > LARGEST:
        raise NotReadable(f"The file is larger than {LARGEST >> 20} MiB.")
    try:
        root = plain(compose(content.decode("utf-8-sig")))
    except UnicodeDecodeError:
        raise NotReadable("The file is not UTF-8.") from None
    except Hopeless as hopeless:
        raise NotReadable(f"Line {hopeless.line}: {hopeless}.") from None
    if not isinstance(root, dict) or not any(
        key in root for key in ("endpoints", "services", "external-endpoints")
    ):
        raise NotReadable(
            "This is no config of Gatus: it has no `endpoints`. (In a ConfigMap of Kubernetes it is the text "
            "below `config.yaml`.)"
        )
    return root


def _page(ui: dict[str, Any], harvest: Harvest) -> Tree:
    page: Tree = {}
    if name := line(ui.get("header") or ui.get("title"), 80):
        page["name"] = name
    if logo := str(ui.get("logo") or ""):
        page["logo"] = logo
    links = [
        {"name": line(button.get("name"), 80), "url": str(button.get("link") or "")}
        for button in map(_mapping, _list(ui.get("buttons")))
    ]
    if links:
        page["links"] = links[:20]
    for key in ("custom-css", "favicon", "description"):
        if ui.get(key):
            harvest.remark("left out", f"`ui.{key}`", "a page has no such setting here")
    return page


class _Endpoint:
    """One of `endpoints:`, on its way to a component."""

    def __init__(self, given: dict[str, Any], harvest: Harvest) -> None:
        self._given = given
        self._harvest = harvest
        self._name = line(given.get("name"), 80) or line(given.get("url"), 80) or "nameless"
        self._secrets = Secrets(harvest, "GATUS")
        self._client = _mapping(given.get("client"))
        self._url = str(given.get("url") or "")
        self._expect: Tree = {}
        self._statuses: set[int] | None = None
        self._more: list[Tree] = []
        self._basic: Tree = {}
        self._timeout = min(_seconds(self._client.get("timeout")) or 10.0, _LONGEST_TIMEOUT)

    def take(self) -> None:
        if str(self._given.get("enabled", "true")).lower() == "false":
            return self._leave_out("it is disabled")
        every = max(_seconds(self._given.get("interval")) or 60.0, 1.0)
        kind, monitor = self._target()
        if not kind:
            return
        timeout = min(self._timeout, every)
        monitor |= {"every": duration(every), "timeout": duration(timeout)}
        if kind in ("http", "websocket"):
            monitor |= self._request(kind)
        if kind in ("http", "tcp", "tls", "websocket", "grpc", "smtp"):
            monitor |= self._securing()
        for condition in _list(self._given.get("conditions")):
            self._understand(str(condition), kind, timeout)
        if self._statuses is not None:
            self._expect["status"] = _spans(self._statuses)
        if self._expect:
            monitor["expect"] = self._expect
        group = line(self._given.get("group"), 80) or None
        if kind == "domain":
            self._harvest.component(self._name, self._more, group=group)
        else:
            self._harvest.component(self._name, [monitor, *self._more], group=group)

    def _leave_out(self, why: str) -> None:
        self._harvest.remark("left out", self._name, why)

    def _changed(self, why: str) -> None:
        self._harvest.remark("changed", self._name, why)

    def _target(self) -> tuple[str, Tree]:
        """The kind, empty if there is none, and how the monitor begins."""
        dns = _mapping(self._given.get("dns"))
        if dns:
            server = self._url.removeprefix("dns://")
            said = {"dns": f"{str(dns.get('query-name') or '').rstrip('.')}@{server}"}
            return "dns", said | {"record": str(dns.get("query-type") or "A")}
        scheme, _, rest = self._url.partition("://")
        kind = _SCHEMES.get(scheme.lower(), "")
        if not kind:
            self._leave_out(f"there is no kind of monitor for {cut(scheme) if rest else 'such a URL'}")
            return "", {}
        conditions = [str(each) for each in _list(self._given.get("conditions"))]
        if kind == "http" and conditions and all("[DOMAIN_EXPIRATION]" in each for each in conditions):
            return "domain", {}
        if kind in ("http", "websocket"):
            return kind, {kind: self._secrets.url(self._name, self._without_user(self._url))}
        target = rest.rstrip("/") if kind != "icmp" else urlsplit(self._url).hostname or rest
        said = {kind: target}
        if scheme == "grpcs":
            said["secure"] = Bare("yes")
        if scheme == "starttls":
            said["starttls"] = Bare("yes")
        if kind == "ssh" and _mapping(self._given.get("ssh")).get("username"):
            self._changed("nobody signs in: that the server speaks SSH is what is watched")
        return kind, said

    def _without_user(self, url: str) -> str:
        """A user in it goes into `auth`, and the password into a variable."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return url
        if "@" not in parts.netloc:
            return url
        user = unquote(parts.netloc.rpartition("@")[0].partition(":")[0])
        self._basic = {"user": user, "password": self._secrets.variable(self._name, "PASSWORD")}
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    def _request(self, kind: str) -> Tree:
        said: Tree = {}
        headers = {str(name): str(value) for name, value in _mapping(self._given.get("headers")).items()}
        body = str(self._given.get("body") or "")
        if str(self._given.get("graphql") or "").lower() == "true":
            body = msgspec.json.encode({"query": body}).decode()
            headers.setdefault("Content-Type", "application/json")
        if headers:
            said["headers"] = self._secrets.headers(self._name, headers)
        if body:
            said["send"] = body
        if kind == "http":
            if method := str(self._given.get("method") or ("POST" if body else "")):
                said["method"] = method
            if str(self._client.get("ignore-redirect") or "").lower() == "true":
                said["redirects"] = 0
            if proxy := str(self._client.get("proxy-url") or ""):
                said["proxy"] = proxy
            said |= self._auth()
        return said

    def _auth(self) -> Tree:
        oauth = _mapping(self._client.get("oauth2"))
        if self._basic:
            return {"auth": {"basic": self._basic}}
        if not oauth:
            return {}
        said = {
            "url": self._secrets.url(self._name, str(oauth.get("token-url") or "")),
            "client": str(oauth.get("client-id") or ""),
            "secret": self._secrets.variable(self._name, "CLIENT_SECRET"),
        }
        if scopes := [str(scope) for scope in _list(oauth.get("scopes")) if scope]:
            said["scope"] = " ".join(scopes)
        return {"auth": {"oauth2": said}}

    def _securing(self) -> Tree:
        tls = _mapping(self._client.get("tls"))
        said: Tree = {}
        if tls.get("certificate-file"):
            said["certificate"] = str(tls["certificate-file"])
        if tls.get("private-key-file"):
            said["certificate_key"] = str(tls["private-key-file"])
        if str(self._client.get("insecure") or "").lower() == "true":
            self._changed("certificates are always checked here: name the authority of its own with `ca`")
        for key in ("dns-resolver", "identity-aware-proxy", "tunnel"):
            if self._client.get(key):
                self._changed(f"without `client.{key}`, which there is none of here")
        return said

    # Conditions

    def _understand(self, condition: str, kind: str, timeout: float) -> None:
        match = _CONDITION.fullmatch(condition)
        if match is None:
            return self._refuse(condition)
        left, sign, right = match.groups()
        name = left.partition(".")[0].partition("[BODY]")[1] or left
        reads = _CONDITIONS.get(name)
        if reads is None or not reads(self, left, sign, right, kind, timeout):
            self._refuse(condition)

    def _refuse(self, condition: str) -> None:
        self._harvest.remark(
            "left out",
            self._name,
            f"no assertion means the same as the condition {cut(condition, 100)!r}",
        )

    def _status(self, left: str, sign: str, right: str, kind: str, timeout: float) -> bool:
        right_ones = {status for status in range(100, 600) if _holds(str(status), sign, right)}
        if kind != "http" or not right_ones:
            return False
        self._statuses = right_ones if self._statuses is None else self._statuses & right_ones
        return bool(self._statuses)

    def _connected(self, left: str, sign: str, right: str, kind: str, timeout: float) -> bool:
        return sign == "==" and right == "true"

    def _response_time(self, left: str, sign: str, right: str, kind: str, timeout: float) -> bool:
        if sign not in ("<", "<=") or not re.fullmatch("[0-9]{1,9}", right):
            return False
        if int(right) and int(right) / 1000 < timeout:
            self._expect["slower_than"] = duration(int(right) / 1000)
            self._changed(f"slower than {right} ms is degraded, and not down")
        return True

    def _certificate(self, left: str, sign: str, right: str, kind: str, timeout: float) -> bool:
        seconds = _seconds(right)
        if sign not in (">", ">=") or not seconds:
            return False
        self._expect["certificate_days"] = _days(seconds)
        self._changed("a certificate that ends soon is degraded, and not down")
        return True

    def _domain(self, left: str, sign: str, right: str, kind: str, timeout: float) -> bool:
        seconds = _seconds(right)
        try:
            host = urlsplit(self._url).hostname
        except ValueError:
            host = None
        if sign not in (">", ">=") or not seconds or not host:
            return False
        self._more.append({"domain": host, "expect": {"days": _days(seconds)}})
        self._changed(f"the registration of {cut(host)} is a monitor of its own, every 6 hours")
        return True

    def _rcode(self, left: str, sign: str, right: str, kind: str, timeout: float) -> bool:
        return kind == "dns" and sign == "==" and right == "NOERROR"

    def _body(self, left: str, sign: str, right: str, kind: str, timeout: float) -> bool:
        path = left.removeprefix("[BODY]")
        if sign != "==" or right.startswith(("any(", "[", "len(", "has(")):
            return False
        if path:
            return kind == "http" and not right.startswith("pat(") and self._json(path, right)
        if kind == "dns":
            if not right.startswith("pat("):
                self._expect["answer"] = [*self._expect.get("answer", []), right]
            # That any answer came is what a monitor asks anyway.
            return not right.startswith("pat(") or not re.search("[0-9a-z]", right[4:-1])
        if kind not in ("http", "tcp", "websocket", "ssh") or "body" in self._expect:
            return False
        self._expect["body"] = f"/(?s)^{_pattern(right)}$/"
        return True

    def _json(self, path: str, right: str) -> bool:
        if not re.fullmatch(r"(\.[^.\[\]\s'\"]+|\[[0-9]{1,9}\]){1,20}", path):
            return False
        is_literal = right in ("true", "false", "null") or re.fullmatch(
            r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,9})?", right
        )
        self._expect.setdefault("json", {})[f"${path}"] = Bare(right) if is_literal else right
        return True


_CONDITIONS: Final[dict[str, Callable[..., bool]]] = {
    "[STATUS]": _Endpoint._status,
    "[CONNECTED]": _Endpoint._connected,
    "[RESPONSE_TIME]": _Endpoint._response_time,
    "[CERTIFICATE_EXPIRATION]": _Endpoint._certificate,
    "[DOMAIN_EXPIRATION]": _Endpoint._domain,
    "[DNS_RCODE]": _Endpoint._rcode,
    "[BODY]": _Endpoint._body,
}


def _take_external(given: dict[str, Any], harvest: Harvest) -> None:
    from app.statusfile.values import slug_of

    name = line(given.get("name"), 80) or "nameless"
    every = _seconds(_mapping(given.get("heartbeat")).get("interval")) or 86400.0
    monitor: Tree = {"push": slug_of(name) or "push", "every": duration(max(every, 1.0))}
    harvest.component(name, [monitor], group=line(given.get("group"), 80) or None)
    harvest.remark("to do", name, PUSHES_ELSEWHERE)


def _take_announcement(n: int, given: dict[str, Any], harvest: Harvest) -> None:
    words = str(given.get("message") or "").strip()
    try:
        at = datetime.fromisoformat(str(given.get("timestamp")))
    except ValueError:
        return harvest.remark("left out", line(words, 60) or "an announcement", "its timestamp is none")
    at = at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)
    if not words:
        return harvest.remark("left out", "an announcement", "it says nothing")
    is_over = str(given.get("archived")).lower() == "true" or given.get("type") == "operational"
    status = IncidentStatus.RESOLVED if is_over else IncidentStatus.IDENTIFIED
    harvest.incident(
        Incident(
            id=f"gatus{n}",
            title=line(words, 100),
            status=status,
            impact=_IMPACTS.get(str(given.get("type")), Impact.NONE),
            impact_set=True,
            since=at,
            updated=at,
            resolved=at if is_over else None,
            updates=(Update(n=1, at=at, status=status, words=words[:5000]),),
        )
    )


def _holds(value: str, sign: str, right: str) -> bool:
    if right.startswith("any(") and right.endswith(")"):
        among = [each.strip() for each in right[4:-1].split(",")]
        return (
            any(_equals(value, each) for each in among)
            if sign == "=="
            else sign == "!=" and not any(_equals(value, each) for each in among)
        )
    if sign in ("==", "!="):
        return _equals(value, right) is (sign == "==")
    if not re.fullmatch("[0-9]{1,9}", right):
        return False
    one, other = int(value), int(right)
    return {"<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other}[sign]


def _equals(value: str, right: str) -> bool:
    if right.startswith("pat(") and right.endswith(")"):
        return (
            re.fullmatch(re.escape(right[4:-1]).replace(r"\*", ".*").replace(r"\?", "."), value) is not None
        )
    return value == right


def _pattern(right: str) -> str:
    """As RE2 has it. In pat() a star stands for anything."""
    text = right[4:-1] if right.startswith("pat(") and right.endswith(")") else right
    is_pattern = text is not right
    return "".join(".*" if is_pattern and c == "*" else _quoted(c) for c in text[:400])


def _quoted(c: str) -> str:
    return c if c.isalnum() or not c.isascii() or c == " " else f"\\{c}"


def _spans(statuses: set[int]) -> list[Bare]:
    found: list[list[int]] = []
    for status in sorted(statuses):
        if found and status == found[-1][1] + 1:
            found[-1][1] = status
        else:
            found.append([status, status])
    return [Bare(str(low) if low == high else f"{low}-{high}") for low, high in found]


def _days(seconds: float) -> Bare:
    return Bare(f"{min(seconds / 86400, 3650):.6f}".rstrip("0").rstrip("."))


def _seconds(given: Any) -> float | None:
    """Of a duration as Go writes it: 1h30m. None if it is none."""
    text = str(given or "")
    if len(text) > 40 or not re.fullmatch(rf"({_GO_DURATION.pattern})+", text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _GO_DURATION.findall(text))


def _mapping(given: Any) -> dict[str, Any]:
    return given if isinstance(given, dict) else {}


def _list(given: Any) -> Iterator[Any]:
    return iter(given if isinstance(given, list) else [])
