"""smtp: the greeting, EHLO, TLS where asked for, and a polite end. No mail is sent, and nobody logs in."""

from app.domain.kinds.smtp import Smtp as Words
from app.domain.monitor import Monitor
from workers.probes.conversation import Conversation
from workers.probes.equipment import Probe, host_and_port, words_of
from workers.probes.expect import check_text
from workers.probes.run import Failed, Run
from workers.probes.starttls import begin_tls, smtp_greeting, smtp_hello, smtp_starttls


class Smtp(Probe, kind="smtp"):
    async def probe(self, monitor: Monitor, run: Run) -> None:
        words = words_of(Words, monitor)
        host, port = host_and_port(monitor.target, default=25)
        stream = await self.equipment.open(host, port, words, run, words.secure)
        try:
            talk = Conversation(stream, run)
            greeting = await smtp_greeting(talk, run)
            offers = await smtp_hello(talk, run)
            if words.starttls:
                if b"STARTTLS" not in (offer.upper() for offer in offers):
                    raise Failed("tls", "It does not offer TLS (STARTTLS).")
                await smtp_starttls(talk, run)
                await begin_tls(talk, host, run, self.equipment.certificates.context(words))
                await smtp_hello(talk, run)
            run.answered()
            await talk.leave(b"QUIT\r\n")
            check_text(monitor.expect.body, b"\n".join(greeting), run)
        finally:
            stream.close()
