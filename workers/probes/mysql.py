"""mysql: the greeting, and our answer to it. The protocol by hand, and so no query: with a user we log in,
without one we are turned away, and both show a server that works.
"""

import struct
from hashlib import sha1, sha256
from typing import Final

from msgspec import Struct

from app.domain.kinds.mysql import Mysql as Words
from app.domain.monitor import Monitor
from workers.probes.conversation import Conversation
from workers.probes.equipment import Probe, host_and_port, words_of
from workers.probes.expect import check_text
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
            await session.log_in(greeting, user, password, words.secure)
            run.answered()
            check_text(monitor.expect.body, greeting.version, run)
        finally:
            stream.close()


class _Session:
    """Packets have numbers, which count on over both directions."""

    def __init__(self, talk: Conversation, run: Run) -> None:
        self.talk = talk
        self._run = run
        self._number = 0

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

    async def log_in(self, greeting: Greeting, user: str, password: str, secure: bool) -> None:
        plugin, nonce = greeting.plugin, greeting.nonce
        proof = _proof(plugin, password, nonce) or b""
        who = (user or _NOBODY).replace("\0", "").encode() + b"\0"
        answer = _head(_SSL if secure else 0) + who + bytes([len(proof)]) + proof + plugin + b"\0"
        await self.say(answer)
        for _ in range(_ROUNDS_AT_MOST):
            packet = await self.hear()
            if packet[0] == _OK:
                self._number = 0
                return await self.talk.leave(b"\x01\x00\x00\x00\x01")
            if packet[0] == _ERROR:
                return self._refused(packet, known=bool(user))
            if packet[0] == _SWITCH:
                plugin, _, data = packet[1:].partition(b"\0")
                nonce = data.removesuffix(b"\0")
                await self.say(self._answer(plugin, password, nonce, secure))
            elif packet[:2] == bytes([_MORE]) + _FULL:
                await self.say(self._in_the_clear(password, secure))
            elif packet[:2] != bytes([_MORE]) + _FAST:
                raise Failed("protocol", "Its answer to our login cannot be read.")
        raise Failed("protocol", "The login does not come to an end.")

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

    def _refused(self, packet: bytes, known: bool) -> None:
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
