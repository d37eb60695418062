"""How a connection that began without TLS goes over to it, and how smtp, imap and pop3 are asked to."""

import ssl
from collections.abc import Awaitable, Callable
from typing import Final

from workers.probes.conversation import Conversation
from workers.probes.run import Failed, Run
from workers.probes.stream import secure

_LINES_AT_MOST: Final = 100

# Whom we say we are. A name that is nobody's: some servers look it up, and none needs it.
_OURSELVES: Final = b"statuswire.invalid"


async def _smtp_reply(talk: Conversation, run: Run, wanted: bytes, to: str) -> list[bytes]:
    """The lines of one reply, without the code. Raises Failed if the code is another."""
    lines: list[bytes] = []
    while len(lines) < _LINES_AT_MOST:
        line = await talk.line()
        if len(line) < 3 or not line[:3].isdigit() or line[3:4] not in (b" ", b"-", b""):
            raise Failed("protocol", f"This is not SMTP: {run.quoted(line)}.")
        if line[:3] != wanted:
            raise Failed("answer", f"To {to} it says {run.quoted(line)}.")
        lines.append(line[4:])
        if line[3:4] != b"-":
            return lines
    raise Failed("protocol", f"A reply has more than {_LINES_AT_MOST} lines.")


async def smtp_greeting(talk: Conversation, run: Run) -> list[bytes]:
    return await _smtp_reply(talk, run, b"220", "a new connection")


async def smtp_hello(talk: Conversation, run: Run) -> list[bytes]:
    """What it offers."""
    await talk.say(b"EHLO " + _OURSELVES + b"\r\n")
    return await _smtp_reply(talk, run, b"250", "EHLO")


async def smtp_starttls(talk: Conversation, run: Run) -> None:
    await talk.say(b"STARTTLS\r\n")
    await _smtp_reply(talk, run, b"220", "STARTTLS")


async def _smtp(talk: Conversation, run: Run) -> None:
    await smtp_greeting(talk, run)
    await smtp_hello(talk, run)
    await smtp_starttls(talk, run)


async def _imap(talk: Conversation, run: Run) -> None:
    await _begins(talk, run, b"* OK", "a new connection")
    await talk.say(b"a STARTTLS\r\n")
    await _begins(talk, run, b"a OK", "STARTTLS")


async def _pop3(talk: Conversation, run: Run) -> None:
    await _begins(talk, run, b"+OK", "a new connection")
    await talk.say(b"STLS\r\n")
    await _begins(talk, run, b"+OK", "STLS")


async def _begins(talk: Conversation, run: Run, wanted: bytes, to: str) -> None:
    line = await talk.line()
    if not line.upper().startswith(wanted.upper()):
        raise Failed("answer", f"To {to} it says {run.quoted(line)}.")


_WAYS: Final[dict[str, Callable[[Conversation, Run], Awaitable[None]]]] = {
    "smtp": _smtp,
    "imap": _imap,
    "pop3": _pop3,
}


async def ask_for_tls(protocol: str, talk: Conversation, run: Run) -> None:
    """Up to where the handshake begins."""
    await _WAYS[protocol](talk, run)


async def begin_tls(talk: Conversation, host: str, run: Run, context: ssl.SSLContext) -> None:
    """Once the other side has agreed. What was said in the clear must not be taken for said under TLS: an
    attack of old."""
    if talk.buffered:
        raise Failed("protocol", "It goes on talking in the clear after it has agreed to TLS.")
    await secure(talk.stream, host, run, context)
