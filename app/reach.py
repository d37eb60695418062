"""Whether the servers that we were given are there and are what they should be, asked before anything starts.

It connects to what the operator wrote into REDIS_URL and DATABASE_URL, and to nothing else. Whatever is wrong
is one sentence, which never repeats a password.
"""

import re
import socket
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from app.config import REDIS_PORT, places

PATIENCE = 3.0
_LONGEST_ANSWER = 500
_KNOCK = "{statuswire}:knock"

# What a Redis may say to a greeting that will not pass by itself, by the first word of it.
_SHUT = "does not let us in ({}); check the user, the password and the number of the database in it."
_CLUSTER = "is one of a Cluster ({}); give it the URL redis+cluster://host:port,host:port."
_TROUBLES = {
    **dict.fromkeys((b"NOAUTH", b"WRONGPASS", b"NOPERM", b"ERR"), _SHUT),
    **dict.fromkeys((b"MOVED", b"CLUSTERDOWN"), _CLUSTER),
    b"READONLY": "only reads ({}); give the URL of its primary.",
    b"NOREPLICAS": "takes nothing ({}); start its replicas, or lower its min-replicas-to-write.",
    b"OOM": "has no memory left ({}); raise its maxmemory, or take out what others have put there.",
    b"MISCONF": "cannot save what it is told ({}); look at its disk and its log.",
}


class Refused(Exception):
    """One sentence for the person who typed the command."""


def reach(
    variable: str, url: str, default_port: int, patience: float = PATIENCE
) -> tuple[socket.socket, str]:
    """A connection to whoever listens there, and how to call the place. Of several hosts one is enough."""
    silent = []
    for host, port in places(url, default_port):
        place = host if host.startswith("/") else f"{host} port {port}"
        try:
            return _connect(host, port, patience), place
        except (OSError, UnicodeError) as error:
            why = "no host can have that name" if isinstance(error, UnicodeError) else _why(error)
            silent.append(f"{place} ({why})")
    raise Refused(
        f"{variable} cannot be reached: nothing answers at {' or '.join(silent)}; "
        "start that server, or correct the address."
    )


def _why(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if verify := getattr(error, "verify_message", None):
        return f"its certificate is not valid: {verify}"
    return error.strerror or str(error)


def _connect(host: str, port: int, patience: float) -> socket.socket:
    if not host.startswith("/"):
        return socket.create_connection((host, port), patience)
    file = Path(host)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(patience)
        connection.connect(str(file / f".s.PGSQL.{port}" if file.is_dir() else file))
    except BaseException:
        connection.close()
        raise
    return connection


def greet_redis(url: str) -> None:
    """Whether it is a Redis, lets us in and takes what we write, asked in a few words of its protocol: the
    library that speaks the rest takes a quarter of a second to load, and lives in the feed's room."""
    parts = urlsplit(url)
    connection, place = reach("REDIS_URL", url, REDIS_PORT)
    greetings = _greetings(parts)
    try:
        with closing(_tls(connection, parts) if parts.scheme == "rediss" else connection) as line:
            line.sendall(b"".join(_command(*words) for words in greetings))
            answers = _lines(line, len(greetings), PATIENCE)
    except OSError as error:
        raise Refused(
            f"REDIS_URL cannot be used: what listens at {place} does not answer as it should "
            f"({_why(error)}); restart that server, or correct the address."
        ) from None
    finally:
        connection.close()
    for words, answer in zip(greetings, answers, strict=True):
        _judge(answer, b"+PONG" if words[0] == "PING" else b"+OK", place)


def _judge(answer: bytes, right: bytes, place: str) -> None:
    if answer.rstrip(b"\r") != right and not re.match(rb"-[A-Z]+ ", answer):
        raise Refused(f"REDIS_URL is refused: what answers at {place} is no Redis; correct the address.")
    # One that is still loading its data, or busy, is one that will do.
    if (trouble := _TROUBLES.get(answer[1:].split(b" ")[0])) is not None:
        why = re.sub(r"[^ -~]", "", answer[1:].decode("ascii", "replace"))
        raise Refused(f"REDIS_URL is refused: the Redis at {place} {trouble.format(why)}")


def _tls(connection: socket.socket, url: SplitResult) -> socket.socket:
    import ssl

    asked = {name: values[-1] for name, values in parse_qs(url.query).items()}
    context = ssl.create_default_context(cafile=asked.get("ssl_ca_certs"))
    if asked.get("ssl_check_hostname") == "false" or asked.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
    if asked.get("ssl_cert_reqs") == "none":
        context.verify_mode = ssl.CERT_NONE
    if "ssl_certfile" in asked:
        context.load_cert_chain(asked["ssl_certfile"], asked.get("ssl_keyfile"))
    return context.wrap_socket(connection, server_hostname=url.hostname)


def _lines(line: socket.socket, count: int, patience: float) -> list[bytes]:
    """The first lines of what is answered, fewer if it ends before; none of them longer than need be."""
    deadline = time.monotonic() + patience
    said = b""
    while said.count(b"\n") < count and len(said) < _LONGEST_ANSWER * count:
        # One that says a byte now and then is not waited for longer than a silent one.
        line.settimeout(max(deadline - time.monotonic(), 0.001))
        if not (more := line.recv(_LONGEST_ANSWER)):
            break
        said += more
    return (said.split(b"\n") + [b""] * count)[:count]


def _greetings(url: SplitResult) -> list[tuple[str, ...]]:
    asked = {name: values[-1] for name, values in parse_qs(url.query).items()}
    user = asked.get("username") or unquote(url.username or "")
    password = asked.get("password") or unquote(url.password or "")
    number = asked.get("db") or ("" if url.scheme == "unix" else url.path.strip("/"))
    # The last leaves nothing behind; but it is a write, which a replica and a full server refuse.
    greetings: list[tuple[str, ...]] = [("PING",), ("SET", _KNOCK, "", "PX", "1")]
    if number:
        greetings.insert(0, ("SELECT", number))
    if password:
        greetings.insert(0, ("AUTH", user, password) if user else ("AUTH", password))
    return greetings


def _command(*words: str) -> bytes:
    parts = [b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words]
    return b"*%d\r\n%s" % (len(parts), b"".join(parts))
