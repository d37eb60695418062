"""tcp: a connection that is taken, and where more is asked for: TLS, what is sent, what comes back."""

from typing import Final

from app.domain.kinds.tcp import Tcp as Words
from app.domain.monitor import Monitor
from workers.probes.conversation import Conversation
from workers.probes.equipment import Probe, host_and_port, words_of
from workers.probes.expect import check_text, finds
from workers.probes.run import Run
from workers.probes.starttls import ask_for_tls, begin_tls

# The pattern is tried again after each piece that comes, so that this bounds what a dripping target costs.
ANSWER_AT_MOST: Final = 16384


class Tcp(Probe, kind="tcp"):
    async def probe(self, monitor: Monitor, run: Run) -> None:
        words = words_of(Words, monitor)
        said = self.equipment.fill(words.send, run).encode()
        host, port = host_and_port(monitor.target)
        stream = await self.equipment.open(host, port, words, run, words.secure)
        try:
            if words.starttls:
                talk = Conversation(stream, run)
                await ask_for_tls(words.starttls, talk, run)
                await begin_tls(talk, host, run, self.equipment.certificates.context(words))
            if said:
                await stream.write(said)
            if (pattern := monitor.expect.body) is not None:
                talk = Conversation(stream, run)
                answer = await talk.until(lambda heard: finds(pattern, heard), ANSWER_AT_MOST)
                run.answered()
                check_text(pattern, answer, run)
            run.answered()
        finally:
            stream.close()
