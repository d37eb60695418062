"""Every kind of probe, by every way out that it has: to what is forbidden not one connection is made.

The sentinels listen on all addresses of this machine, so whatever is written here would reach them.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

import pytest
import trustme

from app.domain.monitor import Monitor
from app.domain.words import Url
from app.security.egress import Egress, Policy
from app.statusfile.kinds import KINDS
from tests.conftest import eventually
from tests.targets import Target, asking, certified, listening, redirect, serving_names, silent
from tests.test_probe_kinds import monitor
from workers.probes import PROBES, Probes
from workers.probes.equipment import Equipment
from workers.probes.stream import Certificates

LOOPBACK = [
    *("127.0.0.1", "127.0.0.53", "localhost", "LOCALHOST.", "inside.test", "both.test", "aaaa.test"),
    # As inet_aton reads them: decimal, octal, hexadecimal, short.
    *(
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "0x7f000001",
        "0x7f.0.0.1",
        "127.1",
        "127.0.1",
        "127.0.0.01",
    ),
    *("0", "0.0.0.0", "00.0.0.0", "0x0"),
    *("[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]"),
    *("[64:ff9b::7f00:1]", "[::ffff:0:127.0.0.1]", "[2002:7f00:1::]", "[fe80::1%lo]", "[::1%lo]"),
]
NAMES = {
    "inside.test": ["A 127.0.0.1"],
    "both.test": ["A 127.0.0.1", "A 0.0.0.0", "AAAA ::1", "AAAA ::ffff:127.0.0.1"],
    "aaaa.test": ["AAAA ::ffff:7f00:1"],
}


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def datagram_received(self, data: bytes, address: object) -> None:
        self.heard.append(data)


class Sentinels:
    def __init__(self, port: int, streams: list[Target], datagrams: _Datagrams) -> None:
        self.port, self._streams, self._datagrams = port, streams, datagrams

    @property
    def connections(self) -> int:
        return sum(len(target.visits) for target in self._streams) + len(self._datagrams.heard)

    async def has_seen_only_us(self) -> bool:
        """What we ourselves say now comes behind whatever was said before."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        await eventually(lambda: self.connections)
        writer.transport.abort()
        return self.connections == 1


@asynccontextmanager
async def sentinels() -> AsyncIterator[Sentinels]:
    """On one port of every address, IPv4 and IPv6, TCP and UDP."""
    async with listening(silent, "0.0.0.0") as v4, listening(silent, "::", v4.port) as v6:
        async with _heard("::", v4.port) as datagrams:
            yield Sentinels(v4.port, [v4, v6], datagrams)


@asynccontextmanager
async def strict() -> AsyncIterator[Probes]:
    async with serving_names(dict(NAMES)) as zone:
        probes = _probes(Egress(Policy(private=False), nameservers=[zone.place]))
        yield probes
        await probes.close()


@cache
def _certificates() -> Certificates:
    return Certificates()  # each takes 40 ms to make


def _probes(egress: Egress) -> Probes:
    return Probes(Equipment(egress, _certificates(), {"S": "s"}))


async def outcome(probes: Probes, asked: Monitor) -> tuple[str, str]:
    result = await probes.probe(asked)
    assert "fault of Statuswire" not in result.detail
    return result.outcome, result.reason


def is_no_way(found: tuple[str, str]) -> bool:
    """Forbidden, or a name that nobody knows, or nothing that a host could be called."""
    return found in {
        ("inconclusive", "not permitted"),
        ("unreachable", "dns"),
        ("inconclusive", "worker"),
        ("fail", "redirects"),
        ("fail", "dns"),
    }


@pytest.mark.parametrize("kind", PROBES)
async def test_directly(kind: str) -> None:
    async with sentinels() as sentinel, strict() as probes:
        for host in LOOPBACK:
            place = f"{host}:{sentinel.port}"
            asked = monitor(kind, place)
            if kind == "domain":
                asked = monitor(kind, "name.test:1", server=f"http://{place}/")
            elif kind == "icmp":
                asked = monitor(kind, f"{host.strip('[]')}:1")
            found = await outcome(probes, asked)
            assert is_no_way(found), (host, found)
        assert await sentinel.has_seen_only_us()


WAYS = ("redirect", "proxy", "token", "registry")


@pytest.mark.parametrize("way", WAYS)
async def test_by_the_word_of_somebody_else(way: str) -> None:
    """Who redirects is allowed, and where it leads is not: its port is one of ours."""
    async with sentinels() as sentinel:
        leads = [""]
        async with (
            listening(asking(lambda _: redirect(leads[0]))) as target,
            serving_names(dict(NAMES)) as zone,
        ):
            policy = Policy(own=(("127.0.0.1", sentinel.port), ("::1", sentinel.port)))
            probes = _probes(Egress(policy, [zone.place]))
            for host in LOOPBACK:
                leads[0] = f"http://{host}:{sentinel.port}/"
                found = await outcome(probes, _led(way, target.url, leads[0]))
                assert is_no_way(found) or (way == "token" and found == ("unreachable", "auth")), (
                    host,
                    found,
                )
            await probes.close()
        assert await sentinel.has_seen_only_us()


def _led(way: str, first: str, to: str) -> Monitor:
    options: dict[str, object] = {}
    kind, target = "http", f"{first}/"
    if way == "proxy":
        options = {"proxy": to}
    elif way == "token":
        options = {"auth": {"oauth2": {"url": to, "client": "c", "secret": "${S}"}}}
    elif way == "registry":
        kind, target, options = "domain", "name.test", {"server": f"{first}/"}
    return Monitor(key="m", kind=kind, target=target, timeout=1.0, options=options)


@pytest.mark.parametrize("kind", PROBES)
async def test_by_a_name_whose_second_answer_is_another(kind: str, ca: trustme.CA) -> None:
    """What was judged is what is connected to, also where a certificate is refused and read once more."""
    form = KINDS[kind].target
    scheme = form.schemes[-1] if isinstance(form, Url) else ""
    tls = certified(ca, "else.test") if scheme or kind == "tls" else None
    names = {"rebind.test": (["A 127.0.0.1"], ["A 127.0.0.9"])}
    async with listening(silent, tls=tls) as target, listening(silent, "127.0.0.9", target.port) as sentinel:
        async with _heard("127.0.0.9", target.port) as heard, serving_names(dict(names)) as zone:
            probes = _probes(Egress(nameservers=[zone.place]))
            await probes.probe(_at(kind, scheme, f"rebind.test:{target.port}"))
            await probes.close()
        assert zone.asked.count("rebind.test A") == 1, zone.asked
        assert sentinel.visits == [] and heard.heard == []


async def test_a_redirect_to_a_name_that_has_changed_meanwhile_is_judged_again() -> None:
    names = {"rebind.test": (["A 127.0.0.1"], ["A 169.254.169.254"])}
    async with listening(asking(lambda _: redirect("/again"))) as target:
        async with serving_names(dict(names)) as zone:  # type: ignore[arg-type]
            probes = _probes(Egress(nameservers=[zone.place]))
            found = await outcome(probes, monitor("http", f"rebind.test:{target.port}"))
            await probes.close()
    assert found == ("inconclusive", "not permitted") and len(target.requests) <= 1


async def test_the_sentinels_would_have_seen_it() -> None:
    async with sentinels() as sentinel:
        probes = _probes(Egress())
        for kind in ("tcp", "ntp"):
            before = sentinel.connections
            await probes.probe(monitor(kind, f"127.0.0.1:{sentinel.port}", timeout=0.2))
            await eventually(lambda before=before: sentinel.connections == before + 1)  # type: ignore[misc]
        await probes.close()


def _at(kind: str, scheme: str, place: str) -> Monitor:
    if scheme:
        return Monitor(key="m", kind=kind, target=f"{scheme}://{place}/", timeout=0.15)
    if kind == "domain":
        return Monitor(
            key="m", kind=kind, target="name.test", timeout=0.15, options={"server": f"http://{place}/"}
        )
    return monitor(kind, place, timeout=0.15)


@asynccontextmanager
async def _heard(host: str, port: int) -> AsyncIterator[_Datagrams]:
    datagrams = _Datagrams()
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    if ":" in host:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    bound.bind((host, port))
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: datagrams, sock=bound)
    try:
        yield datagrams
    finally:
        transport.close()
