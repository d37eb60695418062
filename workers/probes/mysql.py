"""mysql: the greeting, our answer to it, and one query. The protocol by hand: with a user we log in, without
one we are turned away, and both show a server that works.
"""

import struct
from hashlib import sha1, sha256
from typing import Final

from msgspec import Struct

from app.domain.kinds.mysql import Mysql as Words
from app.domain.monitor import Monitor
from workers.probes.conversation import Conversation
from workers.probes.equipment import Probe, host_and_port, words_of
from workers.probes.expect import check_answers, check_text
from workers.probes.run import Failed, Run
from workers.probes.starttls import begin_tls
from workers.probes.stream import connect

# Whoever leaves after the greeting is counted, and shut out after 100 times (max_connect_errors). One who is
# refused is not.
_NOBODY: Final = "statuswire"
_ROUNDS_AT_MOST: Final = 10

_PROTOCOL: Final = 10
_OK, _MORE, _SWITCH, _ERROR = 0, 1, 254, 255
_SSL: Final = 0x800
_WITH_DATABASE: Final = 0x8
_WANTS_A_FILE, _END, _NULL = 0xFB, 0xFE, 0xFB
_MORE_FOLLOWS: Final = 0x8
ROWS_AT_MOST: Final = 100
PACKETS_AT_MOST: Final = 2000
# Long passwords, protocol 4.1, transactions, secure connection, plugins for auth.
_ABILITIES: Final = 0x1 | 0x200 | 0x2000 | 0x8000 | 0x80000
_REFUSED: Final = frozenset({1044, 1045, 1130, 1251, 1698, 1862, 3118, 3162, 4151})
_FAST, _FULL = b"\x03", b"\x04"


class Greeting(Struct, frozen=True):
    version: bytes
    abilities: int
    nonce: bytes
    plugin: bytes


class Mysql(Probe, kind="mysql"):
    async def probe(self, monitor: Monitor, run: Run) -> None:
        words = words_of(Words, monitor)
        user = self.equipment.fill(words.user, run)
        password = self.equipment.fill(words.password, run)
        host, port = host_and_port(monitor.target, default=3306)
        stream = await connect(self.equipment.egress, host, port, run)
        try:
            session = _Session(Conversation(stream, run), run)
            greeting = _greeting(await session.hear())
            if words.secure:
                if not greeting.abilities & _SSL:
                    raise Failed("tls", "It does not offer TLS.")
                await session.say(_head(_SSL))
                await begin_tls(session.talk, host, run, self.equipment.certificates.context(words))
            is_in = await session.log_in(greeting, user, password, words)
            rows = await session.ask(words.query) if words.query else []
            run.answered()
            if is_in:
                await session.leave()
            check_text(monitor.expect.body, greeting.version, run)
            check_answers(monitor.expect.answer, [row for row in rows if row is not None])
        finally:
            stream.close()


class _Session:
    """Packets have numbers, which count on over both directions."""

    def __init__(self, talk: Conversation, run: Run) -> None:
        self.talk = talk
        self._run = run
        self._number = 0
        self._heard = 0

    async def hear(self) -> bytes:
        header = await self.talk.exactly(4)
        self._number = header[3] + 1 & 0xFF
        packet = await self.talk.exactly(int.from_bytes(header[:3], "little"))
        if not packet:
            raise Failed("protocol", "This is not MySQL.")
        return packet

    async def say(self, packet: bytes) -> None:
        await self.talk.say(len(packet).to_bytes(3, "little") + bytes([self._number]) + packet)
        self._number = self._number + 1 & 0xFF

    async def log_in(self, greeting: Greeting, user: str, password: str, words: Words) -> bool:
        """False where nobody was to be let in, and nobody was."""
        plugin, nonce, secure = greeting.plugin, greeting.nonce, words.secure
        proof = _proof(plugin, password, nonce) or b""
        who = (user or _NOBODY).replace("\0", "").encode() + b"\0"
        database = words.database.encode() + b"\0" if words.database else b""
        head = _head((_SSL if secure else 0) | (_WITH_DATABASE if database else 0))
        await self.say(head + who + bytes([len(proof)]) + proof + database + plugin + b"\0")
        for _ in range(_ROUNDS_AT_MOST):
            packet = await self.hear()
            if packet[0] == _OK:
                return True
            if packet[0] == _ERROR:
                self._refuse(packet, known=bool(user))
                return False
            if packet[0] == _SWITCH:
                plugin, _, data = packet[1:].partition(b"\0")
                nonce = data.removesuffix(b"\0")
                await self.say(self._answer(plugin, password, nonce, secure))
            elif packet[:2] == bytes([_MORE]) + _FULL:
                await self.say(self._in_the_clear(password, secure))
            elif packet[:2] != bytes([_MORE]) + _FAST:
                raise Failed("protocol", "Its answer to our login cannot be read.")
        raise Failed("protocol", "The login does not come to an end.")

    async def ask(self, query: str) -> list[str | None]:
        """The first column of the first rows."""
        rows: list[str | None] = []
        # Whatever it is, nothing comes of it.
        for each in ("START TRANSACTION READ ONLY", query, "ROLLBACK"):
            rows += await self._asked(each)
        return rows

    async def leave(self) -> None:
        await self.talk.leave(b"\x01\x00\x00\x00\x01")

    async def _asked(self, query: str) -> list[str | None]:
        self._number = 0
        await self.say(b"\x03" + query.encode())
        first = await self._answered()
        if first[0] == _OK:
            return []
        if first[0] == _WANTS_A_FILE:
            raise Failed("protocol", "It asks for a file of ours, which it does not get.")
        columns, _ = _length(first)
        for _ in range(min(columns, PACKETS_AT_MOST) + 1):  # what each is called, and an end
            await self._answered()
        rows: list[str | None] = []
        while not _is_end(row := await self._answered()):
            if len(rows) < ROWS_AT_MOST:
                rows.append(_first_column(row))
        if int.from_bytes(row[3:5], "little") & _MORE_FOLLOWS:
            raise Failed("protocol", "The query has several answers, and only one is read.")
        return rows

    async def _answered(self) -> bytes:
        packet = await self.hear()
        self._heard += 1
        if self._heard > PACKETS_AT_MOST:
            raise Failed("too large", f"There are more than {PACKETS_AT_MOST} packets.")
        if packet[0] == _ERROR:
            self._refuse(packet, known=True)
        return packet

    def _answer(self, plugin: bytes, password: str, nonce: bytes, secure: bool) -> bytes:
        if plugin == b"mysql_clear_password":
            return self._in_the_clear(password, secure)
        if (proof := _proof(plugin, password, nonce)) is None:
            raise Failed("auth", f"It asks for a way to log in that is not known here: {_short(plugin)}.")
        return proof

    def _in_the_clear(self, password: str, secure: bool) -> bytes:
        if not secure and password:
            raise Failed("auth", "It wants the password in the clear, which it gets only with `secure: yes`.")
        return password.encode() + b"\0"

    def _refuse(self, packet: bytes, known: bool) -> None:
        """Raises Failed, unless it is nobody who is refused."""
        code, message = _error(packet)
        if code in _REFUSED and not known:
            return
        self._run.answered()
        reason = "auth" if code in _REFUSED else "answer"
        raise Failed(reason, f"It says {self._run.quoted(message)} ({code}).")


def _head(more: int) -> bytes:
    """With no greater packets than need be, and UTF-8."""
    return struct.pack("<IIB23x", _ABILITIES | more, 1 << 16, 45)


def _greeting(packet: bytes) -> Greeting:
    if packet[0] == _ERROR:
        code, message = _error(packet)
        raise Failed("auth" if code in _REFUSED else "answer", f"It says {_short(message)} ({code}).")
    version, end, rest = packet[1:].partition(b"\0")
    if packet[0] != _PROTOCOL or not end or len(rest) < 31:
        raise Failed("protocol", "This is not MySQL.")
    first, low, high = rest[4:12], *struct.unpack_from("<H", rest, 13), *struct.unpack_from("<H", rest, 18)
    second, _, plugin = rest[31:].partition(b"\0")
    return Greeting(
        version=version,
        abilities=low | high << 16,
        nonce=first + second[:12],
        plugin=plugin.removesuffix(b"\0") or b"mysql_native_password",
    )


def _error(packet: bytes) -> tuple[int, bytes]:
    code = int.from_bytes(packet[1:3], "little")
    return code, packet[9:] if packet[3:4] == b"#" else packet[3:]


def _length(packet: bytes) -> tuple[int, int]:
    """A number as MySQL packs lengths, and how many bytes it takes."""
    if packet[0] < 0xFB:
        return packet[0], 1
    size = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(packet[0])
    if size is None or len(packet) <= size:
        raise Failed("protocol", "Its answer to the query cannot be read.")
    return int.from_bytes(packet[1 : 1 + size], "little"), 1 + size


def _is_end(packet: bytes) -> bool:
    return packet[0] == _END and len(packet) < 9


def _first_column(row: bytes) -> str | None:
    if row[0] == _NULL:
        return None
    size, start = _length(row)
    return row[start : start + size].decode(errors="replace")


def _proof(plugin: bytes, password: str, nonce: bytes) -> bytes | None:
    """None for a way that is not known."""
    if not password:
        return b""
    if plugin == b"mysql_native_password":
        once = sha1(password.encode()).digest()
        return _xor(once, sha1(nonce + sha1(once).digest()).digest())
    if plugin == b"caching_sha2_password":
        once = sha256(password.encode()).digest()
        return _xor(once, sha256(sha256(once).digest() + nonce).digest())
    return None


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _short(said: bytes) -> str:
    return "".join(c for c in said[:100].decode(errors="replace") if c.isprintable())
