"""postgres: log in, ask one question in a transaction that can change nothing, and leave. The protocol by
hand (version 3.0): a driver would connect by name, and workers carry no database.
"""

import struct
from collections.abc import Iterator
from hashlib import md5
from typing import Final

from app.domain.kinds.postgres import Postgres as Words
from app.domain.monitor import Monitor
from workers.probes.conversation import Conversation
from workers.probes.equipment import Probe, host_and_port, words_of
from workers.probes.expect import check_answers
from workers.probes.run import Failed, Run
from workers.probes.scram import Scram
from workers.probes.starttls import begin_tls
from workers.probes.stream import connect

MESSAGES_AT_MOST: Final = 2000
ROWS_AT_MOST: Final = 100

_SSL_REQUEST: Final = struct.pack("!ii", 8, 80877103)
# What Postgres itself sends at most. Words of another protocol look like more.
_SIZE_AT_MOST: Final = 1 << 30
_VERSION: Final = 196608
_OK, _CLEARTEXT, _MD5, _SASL, _SASL_MORE, _SASL_END = 0, 3, 5, 10, 11, 12


class Postgres(Probe, kind="postgres"):
    async def probe(self, monitor: Monitor, run: Run) -> None:
        words = words_of(Words, monitor)
        user = self.equipment.fill(words.user, run)
        password = self.equipment.fill(words.password, run)
        host, port = host_and_port(monitor.target, default=5432)
        stream = await connect(self.equipment.egress, host, port, run)
        try:
            talk = Conversation(stream, run)
            if words.secure:
                await talk.say(_SSL_REQUEST)
                if await talk.exactly(1) != b"S":
                    raise Failed("tls", "It does not offer TLS.")
                await begin_tls(talk, host, run, self.equipment.certificates.context(words))
            session = _Session(talk, run)
            await session.log_in(user, password, words.database or user, words.secure)
            rows = await session.ask(words.query)
            run.answered()
            await talk.leave(_message(b"X"))
            check_answers(monitor.expect.answer, [row for row in rows if row is not None])
        finally:
            stream.close()


class _Session:
    def __init__(self, talk: Conversation, run: Run) -> None:
        self._talk = talk
        self._run = run
        self._heard = 0

    async def log_in(self, user: str, password: str, database: str, secure: bool) -> None:
        settings = {"user": user, "database": database, "application_name": "statuswire"}
        said = b"".join(_text(name) + _text(value) for name, value in settings.items())
        body = struct.pack("!i", _VERSION) + said + b"\0"
        await self._talk.say(struct.pack("!i", len(body) + 4) + body)
        scram = Scram(password)
        proven = False
        while True:
            kind, body = await self._next()
            if kind == b"Z":
                return
            if kind != b"R":
                continue
            (wanted,) = struct.unpack_from("!i", body.ljust(4, b"\0"))
            proven = proven or wanted == _SASL_END
            if wanted == _OK:
                continue
            if not password:
                raise Failed("auth", "It asks for a password, and the monitor has none.")
            await self._prove(wanted, body[4:], user, password, secure, scram)

    async def _prove(
        self, wanted: int, body: bytes, user: str, password: str, secure: bool, scram: Scram
    ) -> None:
        if wanted == _SASL and b"SCRAM-SHA-256\0" in body:
            first = scram.first
            sized = struct.pack("!i", len(first)) + first
            await self._talk.say(_message(b"p", b"SCRAM-SHA-256\0" + sized))
        elif wanted == _SASL_MORE:
            await self._talk.say(_message(b"p", scram.final(body)))
        elif wanted == _SASL_END:
            scram.verify(body)
        elif wanted == _MD5:
            inner = md5((password + user).encode()).hexdigest().encode()
            await self._talk.say(_message(b"p", b"md5" + md5(inner + body[:4]).hexdigest().encode() + b"\0"))
        elif wanted == _CLEARTEXT and secure:
            await self._talk.say(_message(b"p", _text(password)))
        elif wanted == _CLEARTEXT:
            raise Failed("auth", "It wants the password in the clear, which it gets only with `secure: yes`.")
        else:
            raise Failed("auth", "It asks for a way to log in that is not known here.")

    async def ask(self, query: str) -> list[str | None]:
        """The first column of the first rows."""
        # A transaction, and not a setting of the session: behind a pooler that would be somebody else's too.
        for each in ("BEGIN READ ONLY", query, "ROLLBACK"):
            await self._talk.say(_message(b"Q", _text(each)))
        rows: list[str | None] = []
        ready = 0
        while ready < 3:
            kind, body = await self._next()
            ready += kind == b"Z"
            if kind == b"D" and len(rows) < ROWS_AT_MOST:
                rows.append(_first_column(body))
            elif kind in (b"G", b"W"):
                raise Failed("protocol", "The query wants to copy, which is not done here.")
        return rows

    async def _next(self) -> tuple[bytes, bytes]:
        kind, size = struct.unpack("!ci", await self._talk.exactly(5))
        self._heard += 1
        if self._heard > MESSAGES_AT_MOST:
            raise Failed("too large", f"There are more than {MESSAGES_AT_MOST} messages.")
        if not 4 <= size <= _SIZE_AT_MOST:
            raise Failed("protocol", "This is not Postgres.")
        body = await self._talk.exactly(size - 4)
        if kind == b"E":
            raise self._refused(body)
        return kind, body

    def _refused(self, body: bytes) -> Failed:
        self._run.answered()
        fields = dict(_error_fields(body))
        code, message = fields.get(b"C", b""), fields.get(b"M", b"")
        # Classes of SQLSTATE: 28 is who we are, 42501 what we may.
        reason = "auth" if code.startswith((b"28", b"42501")) else "answer"
        return Failed(reason, f"It says {self._run.quoted(message)} ({self._run.quoted(code)}).")


def _message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def _text(text: str) -> bytes:
    return text.replace("\0", "").encode() + b"\0"


def _first_column(body: bytes) -> str | None:
    if len(body) < 6:
        return None
    columns, size = struct.unpack_from("!hi", body)
    return None if columns < 1 or size < 0 else body[6 : 6 + size].decode(errors="replace")


def _error_fields(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    for field in body.split(b"\0"):
        if field:
            yield field[:1], field[1:]
