"""tls: a handshake, a certificate that is valid for this name and not revoked, and when its chain ends."""

from app.domain.kinds.tls import Tls as Words
from app.domain.monitor import Monitor
from workers.probes.equipment import Equipment, Probe, host_and_port, words_of
from workers.probes.revocation import Revocations
from workers.probes.run import Failed, Run
from workers.probes.stream import connect_tls


class Tls(Probe, kind="tls"):
    def __init__(self, equipment: Equipment) -> None:
        super().__init__(equipment)
        self._revocations = Revocations(equipment)

    async def probe(self, monitor: Monitor, run: Run) -> None:
        words = words_of(Words, monitor)
        host, port = host_and_port(monitor.target, default=443)
        certificates = self.equipment.certificates
        stream = await connect_tls(
            self.equipment.egress,
            host,
            port,
            run,
            certificates.context(words),
            certificates.unverified,
            words.server_name,
        )
        run.answered()
        version, chain = stream.version, stream.chain
        stream.close()
        if words.version > version:
            raise Failed("version", f"TLS {version} was spoken; {words.version} was expected at least.")
        if words.revocation:
            await self._revocations.check(chain, run)
