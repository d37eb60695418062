"""Which of several Redis servers takes what we say now: asked of the sentinels, or of the nodes of a
cluster.

All our keys are in one slot, so behind either kind of URL one server has everything, and a plain client that
finds this server when it connects is all it takes. Who is asked may be behind: of several answers the one
with the highest epoch counts.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection
from redis.asyncio.connection import parse_url
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    ConnectionError,
    NoPermissionError,
    ReadOnlyError,
    RedisError,
    TryAgainError,
)

from app.config import REDIS_PORT, SENTINEL_PORT, places

# After the first answer others are waited for only a little longer: one that hangs must not hold us up. The
# feed's own patience is 2 s and more.
ANSWER_SOON: Final = 0.25
ANSWER_AT_ALL: Final = 1.5
LEARNT_AT_MOST: Final = 100

# The server is none that takes writes, or not for our keys. MOVED is an AskError.
ELSEWHERE: Final = (ReadOnlyError, AskError, TryAgainError, ClusterDownError)

KNOCK_PATIENCE: Final = 3.0

Address = tuple[str, int]
Answer = tuple[int, Address]  # the epoch, and where the writes go


class Nodes(ABC):
    """What one REDIS_URL stands for. `client` speaks to the server that takes writes, whichever that is when
    it connects; `moved` returns when it is another one."""

    @abstractmethod
    def client(self, **options: Any) -> Redis: ...

    @abstractmethod
    async def moved(self, connection: Any, every: float) -> None:
        """Returns when writes go elsewhere than `connection`; looks every so many seconds."""


def nodes(url: str) -> Nodes:
    scheme = urlsplit(url).scheme
    if scheme.endswith("+sentinel"):
        return Sentinels(url)
    return Cluster(url) if scheme.endswith("+cluster") else OneServer(url)


async def knock(url: str) -> str | None:
    """What is wrong with it, in a few words, or None: for who would start on it."""
    client = nodes(url).client(socket_connect_timeout=KNOCK_PATIENCE, socket_timeout=None)
    try:
        async with asyncio.timeout(KNOCK_PATIENCE):
            await client.execute_command("PING")  # type: ignore[no-untyped-call]
    except (RedisError, OSError, ValueError, TypeError) as error:
        return str(error) or "no answer in time"
    finally:
        await client.aclose()
    return None


class OneServer(Nodes):
    def __init__(self, url: str) -> None:
        self._url = url

    def client(self, **options: Any) -> Redis:
        return Redis.from_url(self._url, **options)

    async def moved(self, connection: Any, every: float) -> None:
        await asyncio.Event().wait()


class _Several(Nodes):
    """`present` is where writes went when we last looked."""

    def __init__(self, url: str, port: int) -> None:
        parts = urlsplit(url)
        user = parts.netloc.rpartition("@")[0]
        base = "rediss" if parts.scheme.startswith("rediss") else "redis"
        # What redis-py reads from a URL, it reads from this one: all but who is asked.
        self._options: dict[str, Any] = {
            **parse_url(f"{base}://{user and user + '@'}one{self._database(parts.path)}?{parts.query}")
        }
        self._options.pop("connection_class", None)
        del self._options["host"]
        self._is_tls = base == "rediss"
        self._asked: list[Address] = places(url, port)
        self.present: Address | None = None

    def client(self, **options: Any) -> Redis:
        kind = _FoundByTls if self._is_tls else _Found
        pool = ConnectionPool(
            connection_class=kind, nodes=self, redis_connect_func=_greet, **options, **self._options
        )
        return Redis.from_pool(pool)

    async def find(self) -> Address:
        """ConnectionError if nobody can tell."""
        asking = [asyncio.create_task(self._ask(address)) for address in self._asked]
        try:
            await asyncio.wait(asking, timeout=ANSWER_SOON)
            if not any(task.done() and isinstance(task.result(), tuple) for task in asking):
                await asyncio.wait(asking, timeout=ANSWER_AT_ALL - ANSWER_SOON)
            said = [task.result() for task in asking if task.done()]
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        answers = [answer for answer in said if isinstance(answer, tuple)]
        if not answers:
            raise ConnectionError(self._nobody_knows([str(why) for why in said if why]))
        self.present = max(answers)[1]
        return self.present

    async def moved(self, connection: Any, every: float) -> None:
        while True:
            await asyncio.sleep(every)
            # That nobody answers says nothing about the server we are connected to.
            with suppress(ConnectionError):
                if await self.find() != (connection.host, connection.port):
                    return

    async def _ask(self, address: Address) -> Answer | Exception | None:
        """Or why there is no answer; None if this one just does not know."""
        host, port = address
        kind = SSLConnection if self._is_tls else Connection
        # Protocol 2, in which an answer is a flat list everywhere.
        connection = kind(
            host=host, port=port, protocol=2, driver_info=None, socket_timeout=None, **self._credentials()
        )
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            return await self._question(connection, host)
        except (RedisError, OSError, ValueError) as error:
            return error
        finally:
            await connection.disconnect(nowait=True)

    def _credentials(self) -> dict[str, Any]:
        return {name: value for name, value in self._options.items() if name != "db"}

    def _nobody_knows(self, why: list[str]) -> str:
        asked = ", ".join(f"{host}:{port}" for host, port in self._asked)
        return f"nobody can tell which Redis to speak to, asked were {asked} ({'; '.join(why) or 'silent'})"

    @abstractmethod
    def _database(self, path: str) -> str:
        """The path that names the database alone."""

    @abstractmethod
    async def _question(self, connection: Connection, host: str) -> Answer | None: ...


class Sentinels(_Several):
    """redis+sentinel://user:password@host:26379,host:26379/name/0. User and password are those of Redis; the
    sentinels' own go into the query."""

    def __init__(self, url: str) -> None:
        self._name = unquote(urlsplit(url).path.strip("/").partition("/")[0])
        super().__init__(url, SENTINEL_PORT)
        self._own = {name: self._options.pop(f"sentinel_{name}", None) for name in ("username", "password")}

    def _database(self, path: str) -> str:
        return "/" + path.strip("/").partition("/")[2]

    def _credentials(self) -> dict[str, Any]:
        return super()._credentials() | self._own

    async def _question(self, connection: Connection, host: str) -> Answer | None:
        # During a failover the two differ at the sentinel that leads it: this one names the new master at
        # once, the other only when all replicas have followed.
        await connection.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name)
        if (address := await connection.read_response()) is None:
            raise ConnectionError(f"it knows no master named {self._name}")
        await connection.send_command("SENTINEL", "MASTER", self._name)
        told = await connection.read_response()
        facts = dict(zip(told[::2], told[1::2], strict=True))
        return int(facts[b"config-epoch"]), (address[0].decode(), int(address[1]))


class Cluster(_Several):
    """redis+cluster://user:password@host:6379,host:6379. Nodes that are not named here are learnt."""

    def __init__(self, url: str) -> None:
        super().__init__(url, REDIS_PORT)
        self._seeds = list(self._asked)
        self._slot = key_slot(b"{statuswire}")

    def _database(self, path: str) -> str:
        return ""

    async def _question(self, connection: Connection, host: str) -> Answer | None:
        await connection.send_command("CLUSTER", "NODES")
        told = _read_nodes((await connection.read_response()).decode(), host, self._is_tls)
        learnt = [address for address, *_ in told][:LEARNT_AT_MOST]
        self._asked = list(dict.fromkeys([*self._seeds, *learnt]))
        owners = [(epoch, address) for address, epoch, slots in told if self._slot in slots]
        return max(owners, default=None)


def _read_nodes(text: str, asked: str, by_name: bool) -> list[tuple[Address, int, "_Slots"]]:
    """Address, epoch and slots of each node that lives. One that has not met others yet knows no address of
    its own."""
    found = []
    for line in text.splitlines():
        _, place, flags, _, _, _, epoch, _, *slots = line.split(" ")
        place, _, names = place.partition(",")
        host, _, port = place.partition("@")[0].rpartition(":")
        # Certificates are made out to names.
        name = names.partition(",")[0] if by_name else ""
        if {"fail", "noaddr", "handshake"}.isdisjoint(flags.split(",")):
            found.append(((name or host or asked, int(port)), int(epoch), _Slots(slots)))
    return found


class _Slots:
    def __init__(self, ranges: Iterable[str]) -> None:
        # `[5->-id]` is one on its way out; it is named among the ranges until it has gone.
        pairs = [given.partition("-") for given in ranges if not given.startswith("[")]
        self._ranges = [(int(first), int(last or first)) for first, _, last in pairs]

    def __contains__(self, slot: int) -> bool:
        return any(first <= slot <= last for first, last in self._ranges)


class _Found(Connection):
    """A connection to the server that takes writes."""

    def __init__(self, *, nodes: _Several, **options: Any) -> None:
        super().__init__(**options)
        self._nodes = nodes

    async def connect(self) -> None:
        """Called each time it is taken from the pool: it may have become one to the wrong server."""
        if self.is_connected and (self.host, self.port) != self._nodes.present:
            await self.disconnect()
        await super().connect()  # type: ignore[no-untyped-call]

    async def connect_check_health(
        self, check_health: bool = True, retry_socket_connect: bool = True
    ) -> None:
        if not self.is_connected:
            self.host, self.port = await self._nodes.find()
        await super().connect_check_health(check_health, retry_socket_connect)

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().read_response(*args, **kwargs)
        except ELSEWHERE as error:
            await self.disconnect(nowait=True)
            raise ConnectionError(f"this Redis takes no writes any more: {error}") from None


class _FoundByTls(_Found, SSLConnection):
    pass


async def _greet(connection: _Found) -> None:
    """Who is asked may be behind: so the server itself must say that it is a master."""
    await connection.on_connect()
    await connection.send_command("ROLE", check_health=False)
    # Where we are not allowed to ask, the first write will tell.
    with suppress(NoPermissionError):
        role = (await connection.read_response())[0]
        if role != b"master":
            raise ConnectionError(f"the Redis at {connection.host}:{connection.port} is a {role.decode()}")
