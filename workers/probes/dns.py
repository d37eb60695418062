"""dns: ask for a record, every time anew, and hold the answers against those expected.

Not with the resolver that finds the other probes' targets: c-ares answers from a cache of its own, which is
right for a target and wrong where DNS is the target.
"""

import os
import socket
import time
from copy import copy
from typing import Final

import dns.asyncbackend
import dns.asyncresolver
import dns.exception
import dns.flags
import dns.name
import dns.rdata
import dns.rdatatype
import dns.resolver
import dns.reversename

from app.domain.kinds.dns import Dns as Words
from app.domain.monitor import Monitor
from app.domain.result import Outcome
from app.security.egress import Address
from workers.probes.equipment import Equipment, Probe, host_and_port, words_of
from workers.probes.expect import check_answers
from workers.probes.run import Failed, Run, Unfit

RESOLV_CONF: Final = "/etc/resolv.conf"


class Dns(Probe, kind="dns"):
    """The target is `name` or, to ask one server, `name@server` or `name@server:port`."""

    def __init__(self, equipment: Equipment) -> None:
        super().__init__(equipment)
        self._backend = dns.asyncbackend.get_backend("asyncio")
        self._system: dns.asyncresolver.Resolver | None = None
        self._system_as_of = 0

    async def probe(self, monitor: Monitor, run: Run) -> None:
        words = words_of(Words, monitor)
        name, _, server = monitor.target.partition("@")
        question = _question(name, words.record)
        resolver = await self._one_server(server, run) if server else self._system_resolver()
        if words.authenticated:
            resolver = _asking_for_dnssec(resolver)
        run.stage = "answer"
        # Without a free file descriptor dnspython speaks of servers that fail. This says what it is.
        socket.socket().close()
        answer = await self._ask(resolver, question, name, words.record, run)
        run.address = Address(str(answer.nameserver), int(answer.port or 53))
        if words.authenticated and not answer.response.flags & dns.flags.AD:
            raise Failed("answer", f"The server does not say that DNSSEC vouches for {name}.")
        check_answers(monitor.expect.answer, [_text(rdata) for rdata in answer])

    async def _ask(
        self,
        resolver: dns.asyncresolver.Resolver,
        question: dns.name.Name,
        name: str,
        record: str,
        run: Run,
    ) -> dns.resolver.Answer:
        began = time.perf_counter()
        try:
            answer = await resolver.resolve(
                question,
                dns.rdatatype.from_text(record),
                search=False,
                # The deadline of the run is shorter, and is the one that counts.
                lifetime=run.timeout + 1,
                backend=self._backend,
            )
        except dns.resolver.NXDOMAIN:
            _answered(run, began)
            raise Failed("dns", f"The name {name} does not exist.") from None
        except dns.resolver.NoAnswer:
            _answered(run, began)
            raise Failed("dns", f"The name {name} has no {record} record.") from None
        except dns.resolver.NoNameservers as error:
            raise _no_server_helps(name, error) from None
        _answered(run, began)
        return answer

    def _system_resolver(self) -> dns.asyncresolver.Resolver:
        try:
            as_of = os.stat(RESOLV_CONF).st_mtime_ns
            if self._system is None or as_of != self._system_as_of:
                self._system = dns.asyncresolver.Resolver(RESOLV_CONF)
                self._system_as_of = as_of
        except (OSError, dns.resolver.NoResolverConfiguration):
            raise Unfit(f"{RESOLV_CONF} names no server to ask; write one as name@server.") from None
        return self._system

    async def _one_server(self, server: str, run: Run) -> dns.asyncresolver.Resolver:
        host, port = host_and_port(server, default=53)
        addresses = await self.equipment.egress.permitted(host, port, run)
        run.address = addresses[0]
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers = [address.host for address in addresses]
        resolver.port = port
        return resolver


def _answered(run: Run, began: float) -> None:
    run.dns = (run.dns or 0.0) + time.perf_counter() - began
    run.answered()


def _asking_for_dnssec(resolver: dns.asyncresolver.Resolver) -> dns.asyncresolver.Resolver:
    """The same servers. A copy, for the system's own resolver is shared."""
    asking = copy(resolver)
    asking.use_edns(0, dns.flags.DO, 1232)
    asking.flags = dns.flags.RD | dns.flags.AD
    return asking


def _question(name: str, record: str) -> dns.name.Name:
    try:
        if dns.rdatatype.is_metatype(dns.rdatatype.from_text(record)):
            raise Unfit(f"{record} is no type of record that can be asked for.")
        if record == "PTR" and name.replace(".", "").replace(":", "").isalnum():
            try:
                return dns.reversename.from_address(name)
            except dns.exception.SyntaxError:
                pass  # a name, then, and already in reverse
        if name:
            return dns.name.from_text(name)
        raise Unfit("There is no name to ask for.")
    except dns.rdatatype.UnknownRdatatype:
        raise Unfit(f"{record} is no type of record that can be asked for.") from None
    except (dns.exception.DNSException, UnicodeError):
        raise Unfit(f"{name!r} cannot be a name in DNS.") from None


def _no_server_helps(name: str, error: dns.resolver.NoNameservers) -> Failed:
    said = sorted({str(each[3]) for each in error.kwargs["errors"]})
    return Failed("dns", f"No server could say what {name} is: {', '.join(said)}.", Outcome.UNREACHABLE)


def _text(rdata: dns.rdata.Rdata) -> str:
    if strings := getattr(rdata, "strings", None):
        return b"".join(strings).decode(errors="replace")
    return rdata.to_text()
