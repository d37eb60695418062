"""tls: a handshake, a certificate that is valid for this name, and when it ends."""

from app.domain.monitor import Monitor
from workers.probes.equipment import Probe, host_and_port
from workers.probes.run import Run
from workers.probes.stream import connect_tls


class Tls(Probe):
    async def probe(self, monitor: Monitor, run: Run) -> None:
        host, port = host_and_port(monitor.target, default=443)
        certificates = self.equipment.certificates
        stream = await connect_tls(
            self.equipment.egress, host, port, run, certificates.plain, certificates.unverified
        )
        run.answered()
        stream.close()
