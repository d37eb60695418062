"""What a probe is made of: a class for each protocol, and the equipment that all of them share."""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from app.domain.monitor import Monitor
from app.domain.words import Securing, Words, read_words
from app.security.egress import Egress
from workers.probes.run import Run, Unfit
from workers.probes.stream import Certificates, Stream, connect, connect_tls

W = TypeVar("W", bound=Words)

# By kind. A class enters itself when its module is loaded.
PROBES: Final[dict[str, type["Probe"]]] = {}

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


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

    def fill(self, text: str, run: Run) -> str:
        """`${NAME}` from this worker's environment. What is filled in will be in no detail of the run."""

        def value_of(variable: re.Match[str]) -> str:
            name = variable[1]
            if name not in self.environ:
                raise Unfit(f"{name} is not set in this worker's environment.")
            run.secrets.append(self.environ[name])
            return self.environ[name]

        return _VARIABLE.sub(value_of, text)

    async def open(
        self, host: str, port: int, words: Securing, run: Run, secure: bool, alpn: str = ""
    ) -> Stream:
        """A connection, under TLS from the start if `secure`."""
        if not secure:
            return await connect(self.egress, host, port, run)
        context = self.certificates.context(words, alpn)
        return await connect_tls(self.egress, host, port, run, context, self.certificates.unverified)


class Probe(ABC):
    """One protocol. `probe` returns if the target is well, and raises whatever it likes if not."""

    def __init_subclass__(cls, kind: str = "") -> None:
        if kind:
            PROBES[kind] = cls

    def __init__(self, equipment: Equipment) -> None:
        self.equipment = equipment

    @abstractmethod
    async def probe(self, monitor: Monitor, run: Run) -> None: ...

    def forget(self, key: str) -> None:  # noqa: B027
        """The monitor of this key is gone, or is another one now."""

    async def close(self) -> None:  # noqa: B027
        """Most have nothing to close."""


def words_of(kind: type[W], monitor: Monitor) -> W:
    """Raises Unfit where the server that read the config knows more words than this worker."""
    try:
        return read_words(kind, monitor.options)
    except msgspec.ValidationError as error:
        raise Unfit(
            f"This worker cannot read what the monitor says ({error}); it may be older than the config."
        ) from None


def check_header(name: str, value: str) -> None:
    """Raises Unfit. The value is not quoted: it may well be a secret."""
    if not (value.isascii() and value.isprintable()):
        raise Unfit(f"The value for the header {name} has characters in it that no header may have.")


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
