"""tcp: a connection that is taken is all that is asked for."""

from app.domain.monitor import Monitor
from workers.probes.equipment import Probe, host_and_port
from workers.probes.run import Run
from workers.probes.stream import connect


class Tcp(Probe):
    async def probe(self, monitor: Monitor, run: Run) -> None:
        host, port = host_and_port(monitor.target)
        stream = await connect(self.equipment.egress, host, port, run)
        run.answered()
        stream.close()
