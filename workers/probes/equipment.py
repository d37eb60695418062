"""What a probe is made of: a class for each protocol, and the equipment that all of them share."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping

from app.domain.monitor import Monitor
from app.security.egress import Egress
from workers.probes.run import Run, Unfit
from workers.probes.stream import Certificates


class Equipment:
    def __init__(
        self,
        egress: Egress | None = None,
        certificates: Certificates | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.egress = egress or Egress()
        self.certificates = certificates or Certificates()
        self.environ = environ


class Probe(ABC):
    """One protocol. `probe` returns if the target is well, and raises whatever it likes if not."""

    def __init__(self, equipment: Equipment) -> None:
        self.equipment = equipment

    @abstractmethod
    async def probe(self, monitor: Monitor, run: Run) -> None: ...

    def forget(self, key: str) -> None:  # noqa: B027
        """The monitor of this key is gone, or is another one now."""

    async def close(self) -> None:  # noqa: B027
        """Most have nothing to close."""


def host_and_port(target: str, default: int | None = None) -> tuple[str, int]:
    """`host:port`, `[::1]:port`, or a host alone if there is a `default`. Raises Unfit."""
    if target.startswith("["):
        host, _, rest = target[1:].partition("]")
        port = rest.removeprefix(":")
    elif target.count(":") > 1:
        host, port = target, ""  # an IPv6 address alone
    else:
        host, _, port = target.partition(":")
    if not port and default is not None:
        return host, default
    if not host or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise Unfit(f"{target} is no host:port; write it as name:443, 192.0.2.1:443 or [2001:db8::1]:443.")
    return host, int(port)
