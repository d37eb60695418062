"""ssh: the line in which a server says which SSH it speaks (RFC 4253, section 4.2). No key is exchanged, and
nobody logs in.
"""

from typing import Final

from app.domain.kinds.ssh import Ssh as Words
from app.domain.monitor import Monitor
from workers.probes.conversation import Conversation
from workers.probes.equipment import Probe, host_and_port, words_of
from workers.probes.expect import check_text
from workers.probes.run import Failed, Run
from workers.probes.stream import connect

# A server may say other things before.
_LINES_AT_MOST: Final = 50
# Some servers count whoever leaves without a word as an attack.
_OURS: Final = b"SSH-2.0-Statuswire\r\n"


class Ssh(Probe, kind="ssh"):
    async def probe(self, monitor: Monitor, run: Run) -> None:
        words_of(Words, monitor)
        host, port = host_and_port(monitor.target, default=22)
        stream = await connect(self.equipment.egress, host, port, run)
        try:
            talk = Conversation(stream, run)
            line = await _banner(talk, run)
            run.answered()
            await talk.leave(_OURS)
            check_text(monitor.expect.body, line, run)
        finally:
            stream.close()


async def _banner(talk: Conversation, run: Run) -> bytes:
    for _ in range(_LINES_AT_MOST):
        line = await talk.line()
        if line.startswith((b"SSH-2.0-", b"SSH-1.99-")):
            return line
        if line.startswith(b"SSH-"):
            raise Failed("protocol", f"It speaks another SSH than 2: {run.quoted(line)}.")
    raise Failed("protocol", f"It did not say that it speaks SSH, but for one {run.quoted(line)}.")
