"""redis: AUTH where there is a password, PING, and PONG. The protocol by hand: a client library would
connect by name, and again behind our back.
"""

from app.domain.kinds.redis import Redis as Words
from app.domain.monitor import Monitor
from workers.probes.conversation import Conversation
from workers.probes.equipment import Probe, host_and_port, words_of
from workers.probes.run import Failed, Run

# What it says where it lets nobody in, or not us.
_AUTH = (b"-NOAUTH", b"-WRONGPASS", b"-NOPERM", b"-ERR invalid password", b"-ERR AUTH", b"-DENIED")


class Redis(Probe, kind="redis"):
    async def probe(self, monitor: Monitor, run: Run) -> None:
        words = words_of(Words, monitor)
        password = self.equipment.fill(words.password, run)
        user = self.equipment.fill(words.user, run)
        host, port = host_and_port(monitor.target, default=6379)
        stream = await self.equipment.open(host, port, words, run, words.secure)
        try:
            talk = Conversation(stream, run)
            if password:
                await talk.say(_command("AUTH", *([user] if user else []), password))
                await _told(talk, b"+OK", "AUTH", run)
            await talk.say(_command("PING"))
            await _told(talk, b"+PONG", "PING", run)
            run.answered()
        finally:
            stream.close()


def _command(*words: str) -> bytes:
    encoded = [word.encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)


async def _told(talk: Conversation, wanted: bytes, asked: str, run: Run) -> None:
    line = await talk.line()
    if line == wanted:
        return
    run.answered()
    if not line.startswith((b"-", b"+")):
        raise Failed("protocol", f"This is not Redis: {run.quoted(line)}.")
    reason = "auth" if line.startswith(_AUTH) else "answer"
    raise Failed(reason, f"To {asked} it says {run.quoted(line[1:])}.")
