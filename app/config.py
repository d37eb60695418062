"""Config: all that the environment may say, read once and never changed. The rest is in `statuswire.yaml`.

Only this module reads variables by name. Our own begin with STATUSWIRE_; HOST, PORT, DATABASE_URL and
REDIS_URL are the platforms' words.
"""

import difflib
import math
import re
import sys
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Final, Literal, Self, cast
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

import msgspec

LogFormat = Literal["console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

_PREFIX = "STATUSWIRE_"
REDIS_PORT: Final = 6379
SENTINEL_PORT: Final = 26379
PROCESSES_AT_MOST: Final = 64
_CANARIES_AT_MOST: Final = 8
SECRET_KEY_AT_LEAST: Final = 32
_OIDC_ROLES = ("none", "viewer", "operator", "admin")
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
# What may stand after redis+ and rediss+: one server, or several of which one takes writes.
_KINDS = ("", "sentinel", "cluster")
_LOG_LEVELS = ("debug", "info", "warning", "error")
# All that begins with our prefix, also what others read: the bootstrap script STATUSWIRE_NO_UV, and commands
# that speak to a running server (app/remote.py) STATUSWIRE_URL and STATUSWIRE_TOKEN. A shell has them set for
# every command, and whoever does not need them must not stumble over them.
_KNOWN = (
    *(
        "BEAT",
        "CANARIES",
        "SIGN_OF_LIFE",
        "CONFIG",
        "DATA",
        "LOG",
        "LOG_LEVEL",
        "MAX_PER_ADDRESS",
        "MAX_VIEWERS",
        "METRICS_PORT",
    ),
    *("NO_UV", "OIDC_CLIENT", "OIDC_ISSUER", "OIDC_ROLE", "OIDC_SECRET", "PROCESS", "PROCESSES", "REGION"),
    *("SECRET_KEY", "SUPERVISED", "TOKEN", "TRUSTED_PROXIES", "URL"),
)


# What may stand after the `?` of a REDIS_URL. redis-py takes more: some of it undoes what the feed relies
# on (max_connections), and a word that it does not know ends in a TypeError at each connection.
_REDIS_OPTIONS: Final = {
    "db": (r"[0-9]{1,6}", "a whole number"),
    "username": (r".+", "a name"),
    "password": (r".+", "a password"),
    "protocol": (r"[23]", "2 or 3"),
    "sentinel_username": (r".+", "a name"),
    "sentinel_password": (r".+", "a password"),
    "ssl_ca_certs": (r".+", "a file"),
    "ssl_certfile": (r".+", "a file"),
    "ssl_keyfile": (r".+", "a file"),
    "ssl_cert_reqs": (r"none|optional|required", "none, optional or required"),
    "ssl_check_hostname": (r"true|false", "true or false"),
}


class ConfigError(ValueError):
    """One sentence: which variable, what is wrong with it, and what would be right."""


class Provider(msgspec.Struct, frozen=True):
    """Of OpenID Connect. `role` is what somebody becomes who comes from there for the first time; empty: only
    those may come whom an admin has added."""

    issuer: str
    client: str
    secret: str
    role: str


class Config(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    port: int
    data: Path
    config_file: Path
    database_url: str
    # None: `up` starts the embedded Valkey and gives its children that one's URL.
    redis_url: str | None
    region: str
    beat: float
    log_format: LogFormat
    log_level: LogLevel
    # Whether `up` is our parent, who restarts us and has already looked for Redis and the database.
    supervised: bool
    # How many a server has, which of them this one is, counted from 1, and 0 in their parent or if there is
    # only one.
    processes: int
    process: int
    # Where each process answers alone: the first on this port, the second on the next. None: nowhere.
    metrics_port: int | None
    # Open streams of one server process, and of one visitor's address.
    max_viewers: int
    max_per_address: int
    # Whose X-Forwarded-For counts, as networks.
    trusted_proxies: tuple[str, ...]
    # host:port pairs by which a worker finds out whether it has a network itself.
    canaries: tuple[str, ...] = ()
    # Touched by a worker with each beat that Redis took: who runs it sees by its age whether it is well.
    sign_of_life: Path | None = None
    # What seals secrets in the database; empty: the key is a file in the data directory.
    secret_keys: tuple[str, ...] = ()
    # Where people sign in besides here. None: nowhere.
    oidc: Provider | None = None

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """A variable that is set to nothing counts as unset: compose files and dashboards write them so."""
        given = {name: value.strip() for name, value in environ.items() if value.strip()}
        _refuse_unknown(given)
        data = _path("STATUSWIRE_DATA", given.get("STATUSWIRE_DATA", "data"))
        return cls(
            host=_host(given.get("HOST", "127.0.0.1")),
            port=_port("PORT", given.get("PORT", "8000")),
            data=data,
            config_file=_path("STATUSWIRE_CONFIG", given.get("STATUSWIRE_CONFIG", "statuswire.yaml")),
            database_url=_database_url(given.get("DATABASE_URL", _sqlite_url(data / "statuswire.db"))),
            redis_url=_redis_url(given["REDIS_URL"]) if "REDIS_URL" in given else None,
            region=_region(given.get("STATUSWIRE_REGION", "local")),
            beat=_beat(given.get("STATUSWIRE_BEAT", "5")),
            log_format=_log_format(given.get("STATUSWIRE_LOG")),
            log_level=_log_level(given.get("STATUSWIRE_LOG_LEVEL", "info")),
            supervised=given.get("STATUSWIRE_SUPERVISED", "0") != "0",
            processes=_processes(given.get("STATUSWIRE_PROCESSES", "1")),
            process=_process(given.get("STATUSWIRE_PROCESS", "0")),
            metrics_port=_metrics_port(given),
            max_viewers=_count("STATUSWIRE_MAX_VIEWERS", given.get("STATUSWIRE_MAX_VIEWERS", "10000")),
            max_per_address=_count(
                "STATUSWIRE_MAX_PER_ADDRESS", given.get("STATUSWIRE_MAX_PER_ADDRESS", "500")
            ),
            trusted_proxies=_networks(given.get("STATUSWIRE_TRUSTED_PROXIES", "127.0.0.0/8, ::1")),
            canaries=_canaries(given.get("STATUSWIRE_CANARIES", "")),
            sign_of_life=_path(sign, given[sign]) if (sign := "STATUSWIRE_SIGN_OF_LIFE") in given else None,
            secret_keys=_keys(given.get("STATUSWIRE_SECRET_KEY", "")),
            oidc=_provider(given),
        )

    def environ(self) -> dict[str, str]:
        """What a child process must find in its environment to read this same Config."""
        said = {
            "HOST": self.host,
            "PORT": str(self.port),
            "STATUSWIRE_DATA": str(self.data),
            "STATUSWIRE_CONFIG": str(self.config_file),
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url or "",
            "STATUSWIRE_REGION": self.region,
            "STATUSWIRE_BEAT": repr(self.beat),
            "STATUSWIRE_LOG": self.log_format,
            "STATUSWIRE_LOG_LEVEL": self.log_level,
            "STATUSWIRE_SUPERVISED": str(int(self.supervised)),
            "STATUSWIRE_PROCESSES": str(self.processes),
            "STATUSWIRE_PROCESS": str(self.process),
            "STATUSWIRE_METRICS_PORT": "" if self.metrics_port is None else str(self.metrics_port),
            "STATUSWIRE_MAX_VIEWERS": str(self.max_viewers),
            "STATUSWIRE_MAX_PER_ADDRESS": str(self.max_per_address),
            "STATUSWIRE_TRUSTED_PROXIES": ",".join(self.trusted_proxies),
            "STATUSWIRE_CANARIES": ",".join(self.canaries),
            "STATUSWIRE_SIGN_OF_LIFE": str(self.sign_of_life or ""),
            "STATUSWIRE_SECRET_KEY": ",".join(self.secret_keys),
        }
        if self.oidc is not None:
            said |= {
                "STATUSWIRE_OIDC_ISSUER": self.oidc.issuer,
                "STATUSWIRE_OIDC_CLIENT": self.oidc.client,
                "STATUSWIRE_OIDC_SECRET": self.oidc.secret,
                "STATUSWIRE_OIDC_ROLE": self.oidc.role or "none",
            }
        return said

    @property
    def sqlite_file(self) -> Path | None:
        """None when the database is Postgres. `sqlite:///name` is relative, `sqlite:////name` absolute."""
        return _sqlite_file(self.database_url) if self.database_url.startswith("sqlite:") else None

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the server, also when it listens on every address."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


_DEFAULT_PORTS: Final = {
    **dict.fromkeys(("redis", "rediss", "redis+cluster", "rediss+cluster"), REDIS_PORT),
    **dict.fromkeys(("redis+sentinel", "rediss+sentinel"), SENTINEL_PORT),
    **dict.fromkeys(("postgres", "postgresql"), 5432),
}


def own_parts(config: Config) -> tuple[tuple[str, int], ...]:
    """Redis and Postgres, as far as they are reached by TCP."""
    urls = [url for url in (config.redis_url, config.database_url) if url is not None]
    return tuple(
        (host, port)
        for url in urls
        if (default_port := _DEFAULT_PORTS.get(urlsplit(url).scheme)) is not None
        for host, port in places(url, default_port)
        if not host.startswith("/")
    )


def places(url: str, port: int) -> list[tuple[str, int]]:
    """Each host that a URL names, in the order in which they are tried; `port` is for those that name none. A
    host that begins with a slash is a socket, or the folder of one."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return [(unquote(parts.path), port)]
    if hosts := parts.netloc.rpartition("@")[2]:
        each = [urlsplit(f"//{host}") for host in hosts.split(",")]
        return [(unquote(its.hostname or ""), its.port or port) for its in each]
    asked = parse_qs(parts.query)
    named = asked.get("host", [""])[-1].split(",")
    ports = [int(given) for given in asked.get("port", [str(port)])[-1].split(",")]
    return list(zip(named, ports * len(named) if len(ports) == 1 else ports, strict=True))


def _refuse_unknown(given: Mapping[str, str]) -> None:
    for name in sorted(given):
        ours, ending = name.startswith(_PREFIX), name.removeprefix(_PREFIX)
        if ours and ending not in _KNOWN:
            # Without the prefix: it alone would make any two names alike.
            close = difflib.get_close_matches(ending, _KNOWN, n=1)
            known = ", ".join(_PREFIX + ending for ending in _KNOWN)
            hint = f"did you mean {_PREFIX}{close[0]}?" if close else f"the known ones are {known}."
            raise ConfigError(f"{name} is no setting of Statuswire; {hint}")


def _path(name: str, value: str) -> Path:
    # The URLs of what lies in there are UTF-8, and so are the lines of the log that name it.
    if re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", value):
        raise ConfigError(
            f"{name} has a character in it that is not UTF-8, or a control character; rename it."
        )
    try:
        return Path(value).expanduser()
    except RuntimeError:
        user = value.partition("/")[0]
        raise ConfigError(
            f"{name} begins with {user}, and there is no such user; it must be a path, such as "
            "/srv/statuswire."
        ) from None


def _host(value: str) -> str:
    host = value.removeprefix("[").removesuffix("]")
    # A label that is empty or longer than 63 is no name, and asking for it raises what nobody expects.
    labels = host.removesuffix(".").split(".")
    if not re.fullmatch(r"[A-Za-z0-9.:%_-]+", host) or not all(1 <= len(label) <= 63 for label in labels):
        raise ConfigError(f"HOST is {value!r}; it must be one address or name, such as 127.0.0.1 or 0.0.0.0.")
    return host


def _port(name: str, value: str) -> int:
    if not (re.fullmatch(r"[0-9]{1,5}", value) and 1 <= int(value) <= 65535):
        raise ConfigError(f"{name} is {value!r}; it must be a whole number from 1 to 65535.")
    return int(value)


def _metrics_port(given: Mapping[str, str]) -> int | None:
    name = "STATUSWIRE_METRICS_PORT"
    return _port(name, given[name]) if name in given else None


def _processes(value: str) -> int:
    if not (re.fullmatch(r"[0-9]{1,2}", value) and 1 <= int(value) <= PROCESSES_AT_MOST):
        raise ConfigError(
            f"STATUSWIRE_PROCESSES is {value!r}; it must be a whole number from 1 to {PROCESSES_AT_MOST}, "
            "and no more than there are cores."
        )
    return int(value)


def _process(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,2}", value):
        raise ConfigError(f"STATUSWIRE_PROCESS is {value!r}; `up` and `web` set it themselves: take it out.")
    return int(value)


def _region(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", value):
        raise ConfigError(
            f"STATUSWIRE_REGION is {value!r}; it must be 1 to 32 of a-z, 0-9 and inner hyphens, "
            "such as eu-west."
        )
    return value


def _beat(value: str) -> float:
    try:
        beat = float(value.removesuffix("s"))
    except ValueError:
        beat = math.nan
    if not 0.2 <= beat <= 60:
        raise ConfigError(f"STATUSWIRE_BEAT is {value!r}; it must be a number of seconds from 0.2 to 60.")
    return beat


def _count(name: str, value: str) -> int:
    if not (re.fullmatch(r"[0-9]{1,7}", value) and int(value) >= 1):
        raise ConfigError(f"{name} is {value!r}; it must be a whole number from 1 to 9999999.")
    return int(value)


def _networks(value: str) -> tuple[str, ...]:
    found = []
    for given in filter(None, (part.strip() for part in value.split(","))):
        try:
            found.append(str(ip_network(given, strict=False)))
        except ValueError:
            raise ConfigError(
                f"STATUSWIRE_TRUSTED_PROXIES has {given!r}; it must be addresses or networks with commas "
                "between them, such as 10.0.0.5, 172.16.0.0/12."
            ) from None
    return tuple(found)


def _canaries(value: str) -> tuple[str, ...]:
    found = tuple(filter(None, (part.strip() for part in value.split(","))))
    for given in found:
        match = re.fullmatch(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):([0-9]{1,5})", given)
        if not match or not 1 <= int(match[2]) <= 65535:
            raise ConfigError(
                f"STATUSWIRE_CANARIES has {given!r}; it must be up to eight of host:port with commas between "
                "them, such as 192.0.2.1:443, dns.example.com:53."
            )
    if len(found) > _CANARIES_AT_MOST:
        raise ConfigError(
            f"STATUSWIRE_CANARIES has {len(found)} entries; it must be {_CANARIES_AT_MOST} at most."
        )
    return found


def _keys(value: str) -> tuple[str, ...]:
    keys = tuple(filter(None, (part.strip() for part in value.split(","))))
    if not all(len(key) >= SECRET_KEY_AT_LEAST for key in keys):
        # Neither the key nor its length is repeated.
        raise ConfigError(
            f"STATUSWIRE_SECRET_KEY has a key that is too short; it must be {SECRET_KEY_AT_LEAST} characters "
            "at least, such as `openssl rand -hex 32` prints, or several such with commas between."
        )
    return keys


def _provider(given: Mapping[str, str]) -> Provider | None:
    issuer = given.get("STATUSWIRE_OIDC_ISSUER", "").rstrip("/")
    client, secret = (given.get(f"STATUSWIRE_OIDC_{name}", "") for name in ("CLIENT", "SECRET"))
    if not issuer and not client and not secret:
        return None
    if not (issuer and client and secret):
        raise ConfigError(
            "STATUSWIRE_OIDC_ISSUER, STATUSWIRE_OIDC_CLIENT and STATUSWIRE_OIDC_SECRET belong together; set "
            "all of them, or none."
        )
    url = _split("STATUSWIRE_OIDC_ISSUER", issuer, "https://login.example.com/realms/acme")
    if not (url.scheme == "https" or (url.scheme == "http" and url.hostname in _THIS_MACHINE)):
        raise ConfigError(
            "STATUSWIRE_OIDC_ISSUER must begin with https://; only a provider on this machine may do without."
        )
    role = given.get("STATUSWIRE_OIDC_ROLE", "none")
    if role not in _OIDC_ROLES:
        raise ConfigError(f"STATUSWIRE_OIDC_ROLE is {role!r}; it must be one of {', '.join(_OIDC_ROLES)}.")
    return Provider(issuer, client, secret, "" if role == "none" else role)


def _log_format(value: str | None) -> LogFormat:
    if value is None:
        # stderr is None where the process was started without one.
        return "console" if sys.stderr is not None and sys.stderr.isatty() else "json"
    if value not in ("console", "json"):
        raise ConfigError(f"STATUSWIRE_LOG is {value!r}; it must be console or json.")
    return cast(LogFormat, value)


def _log_level(value: str) -> LogLevel:
    if value.lower() not in _LOG_LEVELS:
        raise ConfigError(f"STATUSWIRE_LOG_LEVEL is {value!r}; it must be one of {', '.join(_LOG_LEVELS)}.")
    return cast(LogLevel, value.lower())


def _database_url(value: str) -> str:
    forms = "sqlite:///statuswire.db or postgres://user:password@host:5432/statuswire"
    url = _split("DATABASE_URL", value, forms)
    if url.scheme == "sqlite":
        if url.netloc:
            raise ConfigError(
                "DATABASE_URL has two slashes after sqlite:; write three before a relative path "
                "(sqlite:///statuswire.db) and four before an absolute one (sqlite:////srv/statuswire.db)."
            )
        file = _sqlite_file(value)
        if file == Path() or file.name == ":memory:":
            raise ConfigError(
                "DATABASE_URL names no file; several processes share the database, so it must be "
                "one on disk, such as sqlite:///statuswire.db."
            )
        return value
    if url.scheme not in ("postgres", "postgresql"):
        raise ConfigError(f"DATABASE_URL begins with {url.scheme or 'no scheme'}; it must be {forms}.")
    if not all(host for host, _ in places(value, 0)):
        raise ConfigError(f"DATABASE_URL names no host; it must be {forms}.")
    if not url.path.strip("/"):
        raise ConfigError(f"DATABASE_URL names no database after the host; it must be {forms}.")
    return value


def _redis_url(value: str) -> str:
    forms = (
        "redis://host:6379/0, rediss://host:6379/0, unix:///path/to/redis.sock, "
        "redis+sentinel://host:26379,host:26379/name or redis+cluster://host:6379,host:6379"
    )
    url = _split("REDIS_URL", value, forms)
    base, _, kind = url.scheme.partition("+")
    if base not in (("redis", "rediss") if kind else ("redis", "rediss", "unix")) or kind not in _KINDS:
        raise ConfigError(f"REDIS_URL begins with {url.scheme or 'no scheme'}; it must be {forms}.")
    if base == "unix":
        if not url.path.strip("/"):
            raise ConfigError(f"REDIS_URL names no socket; it must be {forms}.")
        _refuse_redis_options(url)
        return value
    if not url.netloc.rpartition("@")[2] or not all(host for host, _ in places(value, 0)):
        raise ConfigError(f"REDIS_URL names no host; it must be {forms}.")
    if not kind and "," in url.netloc.rpartition("@")[2]:
        raise ConfigError(f"REDIS_URL names several hosts; only a Sentinel or Cluster has them: {forms}.")
    path = url.path.strip("/")
    if not kind and not re.fullmatch(r"[0-9]{0,6}", path):
        raise ConfigError(f"REDIS_URL names a database that is no number; it must be {forms}.")
    if kind == "sentinel" and not re.fullmatch(r"[^/]+(/[0-9]{1,5})?", path):
        raise ConfigError(
            "REDIS_URL must end with the name that the sentinels know the master by, and after it perhaps "
            "the number of a database, such as redis+sentinel://host:26379,host:26379/mymaster/0."
        )
    if kind == "cluster" and path not in ("", "0"):
        raise ConfigError("REDIS_URL names a database, and a Redis Cluster has only number 0; leave it out.")
    _refuse_redis_options(url)
    return value


def _refuse_redis_options(url: SplitResult) -> None:
    base, _, kind = url.scheme.partition("+")
    known = [
        name
        for name in _REDIS_OPTIONS
        if (base == "rediss" or not name.startswith("ssl_"))
        and (kind == "sentinel" or not name.startswith("sentinel_"))
    ]
    for name, values in parse_qs(url.query, keep_blank_values=True).items():
        if name not in known:
            shown = name if re.fullmatch(r"[a-z_]{1,40}", name) else "an option"
            raise ConfigError(
                f"REDIS_URL has {shown} after the ?, which is not for it; take it out. "
                f"For {url.scheme}:// there are {', '.join(known)}."
            )
        pattern, right = _REDIS_OPTIONS[name]
        if len(values) > 1 or not re.fullmatch(pattern, values[0]):
            raise ConfigError(
                f"REDIS_URL has a wrong {name} after the ?; it must be there once, and be {right}."
            )


def _split(name: str, value: str, forms: str) -> SplitResult:
    # The value itself is never repeated in an error: it may hold a password.
    if re.search(r"[\s\x00-\x1f\x7f]", value) or "\0" in unquote(value):
        raise ConfigError(f"{name} has a blank or a control character in it; it must be {forms}.")
    try:
        url = urlsplit(value)
        places(value, 0)
    except ValueError:
        raise ConfigError(f"{name} has a host or port that cannot be read; it must be {forms}.") from None
    return url


def _sqlite_url(file: Path) -> str:
    return f"sqlite:///{quote(str(file))}"


def _sqlite_file(url: str) -> Path:
    return Path(unquote(url.removeprefix("sqlite:").removeprefix("//").removeprefix("/").partition("?")[0]))
