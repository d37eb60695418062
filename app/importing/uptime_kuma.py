"""The SQLite file of Uptime Kuma, 1.23 or 2.x, becomes ours: monitors, status pages, incidents, and the
stretches between the changes of status that it remembers.

The file is somebody else's: it is opened read-only and as one that nobody changes, its own triggers and views
are never run, and what is read of it is bounded in rows, in bytes and in steps of SQLite's machine.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import msgspec

from app.domain.incident import Impact, Incident, IncidentStatus, Update
from app.domain.refused import MOST_TITLE, MOST_WORDS
from app.domain.status import Status
from app.domain.uptime import Span
from app.importing.harvest import PUSHES_ELSEWHERE, Harvest, NotReadable, Secrets, line
from app.statusfile.values import slug_of
from app.statusfile.writing import Bare, Tree, duration

Row = dict[str, Any]

_MOST_ROWS: Final = 50_000  # of each table
_MOST_CHANGES: Final = 500_000
_MOST_BYTES: Final = 1_000_000  # of one value
_MOST_STEPS: Final = 2_000_000_000
_STEPS_AT_A_TIME: Final = 1_000_000
_PASSED_OVER: Final = {
    "notification": "who is told of what is set up anew here",
    "maintenance": "planned work is not taken over: schedule it again",
    "api_key": "tokens are made anew here",
    "proxy": "name the proxy of a monitor as its `proxy`",
    "docker_host": "containers are not watched here",
}
_CODES: Final = re.compile("[1-5][0-9]{2}(-[1-5][0-9]{2})?")
_STATES: Final = {0: Status.MAJOR, 1: Status.OPERATIONAL, 3: Status.MAINTENANCE}
_IMPACTS: Final = {"danger": Impact.MAJOR, "warning": Impact.MINOR}


def read(file: Path) -> Harvest:
    """Raises NotReadable."""
    try:
        if not file.is_file():
            raise NotReadable("There is no such file: name the kuma.db in the data folder of Uptime Kuma.")
        with closing(_opened(file)) as database:
            harvest = _Kuma(database).harvest()
    except (sqlite3.Error, OSError, ValueError, OverflowError) as error:
        raise NotReadable(f"It is no whole database of Uptime Kuma ({line(error, 100)}).") from None
    harvest.text()
    return harvest


def _opened(file: Path) -> sqlite3.Connection:
    # Immutable: no lock is taken and no journal is played back, so what is beside the file does not count.
    database = sqlite3.connect(f"file:{quote(str(file.resolve()))}?mode=ro&immutable=1", uri=True)
    database.row_factory = sqlite3.Row
    database.text_factory = lambda raw: raw.decode(errors="replace")
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES)
    database.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    steps = iter(range(_MOST_STEPS // _STEPS_AT_A_TIME))
    database.set_progress_handler(lambda: int(next(steps, None) is None), _STEPS_AT_A_TIME)
    database.execute("PRAGMA trusted_schema = OFF")
    database.execute("PRAGMA cell_size_check = ON")
    return database


class _Kuma:
    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._harvest = Harvest()
        # A view could run whatever it likes.
        self._tables = {
            row["name"] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
        self._slugs: dict[int, str] = {}

    def harvest(self) -> Harvest:
        if not {"monitor", "heartbeat"} <= self._tables:
            raise NotReadable("It has no table of monitors: this is no database of Uptime Kuma.")
        for table, why in _PASSED_OVER.items():
            if count := len(self._rows(table)):
                self._harvest.remark("left out", f"{count} of `{table}`", why)
        self._take_monitors()
        self._take_pages()
        self._take_incidents()
        self._take_history()
        return self._harvest

    def _rows(self, table: str, order: str = "id") -> list[Row]:
        """Only of tables whose names stand in this file."""
        if table not in self._tables:
            return []
        found = self._database.execute(f'SELECT * FROM "{table}" ORDER BY {order} LIMIT {_MOST_ROWS}')
        return [dict(row) for row in found]

    def _take_monitors(self) -> None:
        rows = self._rows("monitor")
        groups = {row["id"]: line(row["name"], 80) for row in rows if row.get("type") == "group"}
        of_pages = self._groups_of_pages()
        for row in sorted(rows, key=lambda row: (_whole(row.get("weight"), 2000) * -1, row["id"])):
            if row.get("type") == "group":
                continue
            name = line(row.get("name"), 80) or "nameless"
            if not _truth(row.get("active")):
                self._harvest.remark("left out", name, "it is paused")
                continue
            monitor = _Monitor(row, name, self._harvest).tree()
            if monitor is None:
                continue
            slug = self._harvest.component(
                name,
                [monitor],
                group=groups.get(row.get("parent")) or of_pages.get(row["id"]),
                description=str(row.get("description") or ""),
            )
            if slug:
                self._slugs[row["id"]] = slug

    def _groups_of_pages(self) -> dict[Any, str]:
        """The group in which a monitor stands on the first page that shows it."""
        names = {row["id"]: line(row.get("name"), 80) for row in self._rows("group")}
        found: dict[Any, str] = {}
        for row in self._rows("monitor_group"):
            if name := names.get(row.get("group_id")):
                found.setdefault(row.get("monitor_id"), name)
        return found

    def _take_pages(self) -> None:
        """The first is the page at `/`. What is on none of them was not public, and is hidden."""
        shown: set[str] = set()
        pages = [row for row in self._rows("status_page") if _truth(row.get("published", 1))]
        for n, row in enumerate(pages):
            slugs = list(dict.fromkeys(self._on_page(row["id"])))
            shown.update(slugs)
            tree = self._page(row, slugs)
            if n:
                self._harvest.add_page(str(row.get("slug") or ""), tree)
            else:
                self._harvest.set_page(tree)
        for slug in self._harvest.slugs():
            if slug not in shown:
                self._harvest.hide(slug)
        if hidden := len(self._harvest.slugs()) - len(shown):
            self._harvest.remark("changed", f"{hidden} monitors", "they were on no page, and are hidden")

    def _on_page(self, page: int) -> Iterator[str]:
        members = self._rows("monitor_group", "weight, id")
        for group in self._rows("group", "weight, id"):
            if group.get("status_page_id") == page and _truth(group.get("public", 1)):
                for member in members:
                    if member.get("group_id") == group["id"] and member.get("monitor_id") in self._slugs:
                        yield self._slugs[member["monitor_id"]]

    def _page(self, row: Row, slugs: list[str]) -> Tree:
        title = line(row.get("title"), 80)
        tree: Tree = {"name": title or "Status", "components": slugs}
        hosts = [
            str(each.get("domain") or "").lower()
            for each in self._rows("status_page_cname")
            if each.get("status_page_id") == row["id"]
        ]
        if hosts:
            tree["hosts"] = hosts
        if footer := line(row.get("footer_text"), 300):
            tree["footer"] = footer
        if str(row.get("icon") or "").startswith("https://"):
            tree["logo"] = str(row["icon"])
        for key in ("custom_css", "analytics_id", "google_analytics_tag_id", "description"):
            if row.get(key):
                self._harvest.remark("left out", f"page {title}", f"its `{key}`: there is none here")
        return tree

    def _take_incidents(self) -> None:
        for row in self._rows("incident"):
            title = line(row.get("title"), MOST_TITLE) or "Incident"
            at, words = _instant(row.get("created_date")), str(row.get("content") or "").strip()
            if at is None or not words:
                self._harvest.remark("left out", title, "it has no date, or no words")
                continue
            is_over = not _truth(row.get("active", 1))
            last = max(at, _instant(row.get("last_updated_date")) or at)
            status = IncidentStatus.RESOLVED if is_over else IncidentStatus.IDENTIFIED
            self._harvest.incident(
                Incident(
                    id=f"kuma{row['id']}",
                    title=title,
                    status=status,
                    impact=_IMPACTS.get(str(row.get("style")), Impact.NONE),
                    impact_set=True,
                    since=at,
                    updated=last,
                    resolved=last if is_over else None,
                    updates=(Update(n=1, at=last, status=status, words=words[:MOST_WORDS]),),
                )
            )

    def _take_history(self) -> None:
        """Between two changes a monitor was as the first of them says, unless it was still to be decided."""
        ends = {
            row["monitor_id"]: _instant(row["last"])
            for row in self._database.execute(
                "SELECT monitor_id, max(time) AS last FROM heartbeat GROUP BY monitor_id"
            )
        }
        changes = self._database.execute(
            "SELECT monitor_id, status, time FROM heartbeat WHERE important = 1 AND status <> 2"
            f" ORDER BY monitor_id, time LIMIT {_MOST_CHANGES}"
        )
        open_since: dict[int, tuple[Status, datetime]] = {}
        for row in changes:
            slug, status = self._slugs.get(row["monitor_id"]), _STATES.get(row["status"])
            at = _instant(row["time"])
            if slug is None or status is None or at is None:
                continue
            was = open_since.get(row["monitor_id"])
            if was is not None and was[0] is status:
                continue
            if was is not None and at > was[1]:
                self._harvest.history.append(Span(component=slug, status=was[0], since=was[1], until=at))
            open_since[row["monitor_id"]] = status, at
        for id, (status, since) in open_since.items():
            if (until := ends.get(id)) is not None and until > since:
                self._harvest.history.append(
                    Span(component=self._slugs[id], status=status, since=since, until=until)
                )
        if "stat_daily" in self._tables and self._harvest.history:
            self._harvest.remark(
                "left out",
                "response times",
                "they are averages, of which no percentiles can be made",
            )


class _LeftOut(Exception):
    """The rest of a line of the report."""


class _Monitor:
    """One row of `monitor`, on its way into the words of the file."""

    def __init__(self, row: Row, name: str, harvest: Harvest) -> None:
        self._row = row
        self._name = name
        self._harvest = harvest
        self._secrets = Secrets(harvest, "KUMA")

    def tree(self) -> Tree | None:
        """None if it is left out, and then the report says why."""
        try:
            return self._tree()
        except _LeftOut as left_out:
            self._harvest.remark("left out", self._name, str(left_out))
            return None

    def _tree(self) -> Tree:
        kind = str(self._row.get("type") or "")
        make = _KINDS.get(kind)
        if make is None:
            raise _LeftOut(f"there is no kind of monitor for {line(kind, 30) or 'it'}")
        if _truth(self._row.get("upside_down")):
            raise _LeftOut("it is upside down: that something must not answer cannot be asked here")
        said = make(self)
        every = min(max(float(_whole(self._row.get("interval"), 60)), 1.0), 604800.0)
        said["every"] = duration(every)
        if "push" not in said:
            seconds = _number(self._row.get("timeout")) or every * 0.8
            said["timeout"] = duration(min(max(round(seconds, 3), 0.001), every, 60.0))
            said["retries"] = min(_whole(self._row.get("maxretries"), 0), 10)
        return said

    def _changed(self, why: str) -> None:
        self._harvest.remark("changed", self._name, why)

    def _text(self, column: str) -> str:
        return str(self._row.get(column) or "").strip()

    def _place(self, default: int | None = None) -> str:
        host, port = self._text("hostname"), self._row.get("port") or default
        host = f"[{host}]" if ":" in host and not host.startswith("[") else host
        return f"{host}:{port}" if port else host

    def _http(self) -> Tree:
        expect: Tree = {"status": [Bare(each) for each in self._accepted()]}
        kind = self._text("type")
        if kind == "keyword":
            if _truth(self._row.get("invert_keyword")):
                raise _LeftOut("that a word must be missing cannot be asked here")
            expect["body"] = self._text("keyword")
        if kind == "json-query" and not self._query(expect):
            raise _LeftOut("its query is more than a path and a value")
        said: Tree = {"http": self._url()}
        method = self._text("method").upper() or "GET"
        if method != "GET":
            said["method"] = method
        said |= self._sent(method) | self._auth()
        if (redirects := _whole(self._row.get("maxredirects"), 10)) != 5:
            said["redirects"] = min(redirects, 10)
        if self._row.get("proxy_id"):
            self._changed("without its proxy: name it as `proxy`")
        self._note_tls()
        return said | {"expect": expect}

    def _accepted(self) -> list[str]:
        given = _json(self._text("accepted_statuscodes_json"))
        codes = [str(code) for code in given] if isinstance(given, list) else []
        return [code for code in codes if _CODES.fullmatch(code)] or ["200-299"]

    def _query(self, expect: Tree) -> bool:
        path, value = self._text("json_path"), self._text("expected_value")
        if not re.fullmatch(r"\$?\.?[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*|\[[0-9]{1,9}\])*", path):
            return False
        if (self._text("json_path_operator") or "==") != "==":
            return False
        is_literal = value in ("true", "false", "null") or re.fullmatch("-?(0|[1-9][0-9]{0,15})", value)
        bare = path.removeprefix("$").removeprefix(".")
        expect["json"] = {f"$.{bare}": Bare(value) if is_literal else value}
        return True

    def _url(self) -> str:
        """A user in it goes into `auth`."""
        url = self._text("url")
        try:
            netloc = urlsplit(url).netloc
        except ValueError:
            return url
        url = self._secrets.url(self._name, url)
        if "@" not in netloc:
            return url
        if not self._text("basic_auth_user"):
            self._row["auth_method"] = "basic"
            self._row["basic_auth_user"] = unquote(netloc.rpartition("@")[0].partition(":")[0])
        return url.replace(netloc, netloc.rpartition("@")[2], 1)

    def _sent(self, method: str) -> Tree:
        said: Tree = {}
        headers = _json(self._text("headers"))
        if isinstance(headers, dict) and headers:
            texts = {str(name): str(value) for name, value in headers.items()}
            said["headers"] = self._secrets.headers(self._name, texts)
        if (body := self._text("body")) and method not in ("GET", "HEAD"):
            said["send"] = body
            if self._text("http_body_encoding") in ("", "json"):
                said.setdefault("headers", {}).setdefault("Content-Type", "application/json")
        return said

    def _auth(self) -> Tree:
        method = self._text("auth_method")
        if method == "basic" and self._text("basic_auth_user"):
            password = self._secrets.variable(self._name, "PASSWORD")
            return {"auth": {"basic": {"user": self._text("basic_auth_user"), "password": password}}}
        if method == "bearer":
            return {"auth": {"bearer": self._secrets.variable(self._name, "TOKEN")}}
        if method == "oauth2-cc":
            secret = self._secrets.variable(self._name, "CLIENT_SECRET")
            said = {"url": self._text("oauth_token_url"), "client": self._text("oauth_client_id")}
            scope = self._text("oauth_scopes")
            return {"auth": {"oauth2": said | {"secret": secret} | ({"scope": scope} if scope else {})}}
        if method == "mtls":
            self._changed("without its certificate: put that into a file, named as `certificate`")
        elif method == "ntlm":
            self._changed("without NTLM, which there is none of here")
        return {}

    def _note_tls(self) -> None:
        if _truth(self._row.get("ignore_tls")):
            self._changed("certificates are always checked here: name the authority of its own with `ca`")

    def _tcp(self) -> Tree:
        return {"tcp": self._place()}

    def _ping(self) -> Tree:
        count = _whole(self._row.get("ping_count"), 1)
        return {"icmp": self._text("hostname")} | ({"count": min(count, 20)} if count > 1 else {})

    def _dns(self) -> Tree:
        server = self._text("dns_resolve_server").partition(",")[0].strip()
        port = _whole(self._row.get("port"), 53)
        asked = f"{self._text('hostname')}@{server}" + (f":{port}" if port != 53 and server else "")
        self._note_conditions()
        record = self._text("dns_resolve_type") or "A"
        return {"dns": asked if server else self._text("hostname"), "record": record}

    def _note_conditions(self) -> None:
        if _json(self._text("conditions")):
            self._changed("without its conditions: write them as `expect`")

    def _push(self) -> Tree:
        self._harvest.remark("to do", self._name, PUSHES_ELSEWHERE)
        return {"push": slug_of(self._name) or "push"}

    def _database(self) -> Tree:
        kind = self._text("type")
        try:
            parts = urlsplit(self._text("database_connection_string"))
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise _LeftOut("its connection string cannot be read") from None
        if not host:
            raise _LeftOut("its connection string names no host")
        place = f"[{host}]" if ":" in host else host
        said: Tree = {kind: f"{place}:{port}" if port else place}
        if parts.username:
            said["user"] = unquote(parts.username)
        if parts.password or (kind == "mysql" and self._text("radius_password")):
            said["password"] = self._secrets.variable(self._name, "PASSWORD")
        if parts.scheme == "rediss":
            said["secure"] = Bare("yes")
        query = self._text("database_query")
        if kind == "postgres":
            if database := unquote(parts.path.strip("/")):
                said["database"] = database
            if query:
                said["query"] = query
        elif query:
            self._changed("its query is not asked: that the server lets us in is what is watched")
        self._note_conditions()
        return said

    def _grpc(self) -> Tree:
        if "health" not in self._text("grpc_service_name").lower():
            raise _LeftOut("only gRPC's own health protocol is asked here")
        said: Tree = {"grpc": re.sub(r"^[a-z]+://", "", self._text("grpc_url"))}
        return said | ({"secure": Bare("yes")} if _truth(self._row.get("grpc_enable_tls")) else {})

    def _smtp(self) -> Tree:
        security = self._text("smtp_security")
        word = {"secure": "secure", "starttls": "starttls"}.get(security)
        return {"smtp": self._place(25)} | ({word: Bare("yes")} if word else {})

    def _websocket(self) -> Tree:
        said: Tree = {"websocket": self._url()}
        if subprotocol := self._text("ws_subprotocol"):
            said["subprotocol"] = subprotocol
        return said

    def _ntp(self) -> Tree:
        offset = _whole(self._row.get("ntp_time_offset_threshold"), 1000)
        stratum = min(max(_whole(self._row.get("ntp_stratum_threshold"), 5), 1), 15)
        expect = {"offset": duration(max(offset, 1) / 1000), "stratum": stratum}
        return {"ntp": self._place(123), "expect": expect}


_KINDS: Final[dict[str, Callable[[_Monitor], Tree]]] = {
    "http": _Monitor._http,
    "keyword": _Monitor._http,
    "json-query": _Monitor._http,
    "port": _Monitor._tcp,
    "ping": _Monitor._ping,
    "dns": _Monitor._dns,
    "push": _Monitor._push,
    "postgres": _Monitor._database,
    "mysql": _Monitor._database,
    "redis": _Monitor._database,
    "grpc-keyword": _Monitor._grpc,
    "smtp": _Monitor._smtp,
    "websocket-upgrade": _Monitor._websocket,
    "ntp": _Monitor._ntp,
}


def _instant(given: Any) -> datetime | None:
    """Uptime Kuma writes UTC without saying so."""
    try:
        if isinstance(given, int | float):
            return datetime.fromtimestamp(given / 1000 if given > 1e11 else given, UTC)
        at = datetime.fromisoformat(str(given))
        return at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _json(text: str) -> Any:
    """None if it is none."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def _truth(given: Any) -> bool:
    return given not in (None, 0, "0", "", "false")


def _whole(given: Any, default: int) -> int:
    return given if isinstance(given, int) and 0 <= given < 1 << 31 else default


def _number(given: Any) -> float:
    return float(given) if isinstance(given, int | float) and 0 < given < 1e6 else 0.0
