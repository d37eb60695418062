"""The gate: what may be connected to, by whatever name it is called."""

import asyncio
import errno
import socket
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.security.egress import Address, Egress, NotResolved, Policy, Refused, Trail, unwrap
from tests.conftest import eventually
from tests.targets import OK, black_hole, closed_port, listening, saying, serving_names, silent

NOBODY, WORKERS, EVERYBODY = "nobody", "workers", "everybody"

ADDRESSES = {
    # Never
    "0.0.0.0": NOBODY,
    "0.0.0.1": NOBODY,
    "0.255.255.255": NOBODY,
    "169.254.0.1": NOBODY,
    "169.254.169.254": NOBODY,
    "169.254.170.2": NOBODY,
    "169.254.255.255": NOBODY,
    "100.100.100.200": NOBODY,
    "192.0.0.192": NOBODY,
    "168.63.129.16": NOBODY,
    "224.0.0.1": NOBODY,
    "239.255.255.250": NOBODY,
    "255.255.255.255": NOBODY,
    "::": NOBODY,
    "fe80::1": NOBODY,
    "fe80::1%lo": NOBODY,
    "febf:ffff::1": NOBODY,
    "ff02::1": NOBODY,
    "ff0e::1": NOBODY,
    "fd00:ec2::254": NOBODY,
    "fd20:ce::254": NOBODY,
    "fd00:42::42": NOBODY,
    "fd00:c1::a9fe:a9fe": NOBODY,
    "fd00:ec2::23": NOBODY,
    "fe80::a9fe:a9fe%eth0": NOBODY,
    "::ffff:169.254.169.254%1": NOBODY,
    "169.254.0.23": NOBODY,
    "224.0.0.251": NOBODY,
    "ff02::fb%eth0": NOBODY,
    "::ffff:169.254.169.254": NOBODY,
    "::ffff:0.0.0.0": NOBODY,
    "::ffff:224.0.0.1": NOBODY,
    "::169.254.169.254": NOBODY,
    "::ffff:0:169.254.169.254": NOBODY,
    "64:ff9b::169.254.169.254": NOBODY,
    "64:ff9b::a9fe:a9fe": NOBODY,
    "64:ff9b:1::a9fe:a9fe": NOBODY,
    "64:ff9b:1:a9fe:a9:fe00::": NOBODY,  # a prefix of 48 bits, as RFC 6052 has it
    "64:ff9b:1:ffa9:fe:a9fe::": NOBODY,  # of 56
    "64:ff9b:1:ffff:a9:fea9:fe00:0": NOBODY,  # of 64
    "2002:a9fe:a9fe::": NOBODY,
    "2002:a9fe:a9fe::1": NOBODY,
    "2001:0:a9fe:a9fe::1": NOBODY,
    "fe80::5efe:a9fe:a9fe": NOBODY,
    "2400:cb00::5efe:169.254.169.254": NOBODY,  # ISATAP
    "2400:cb00::200:5efe:a9fe:a9fe": NOBODY,
    "2001::5601:5601": NOBODY,  # Teredo: the client 169.254.169.254, inverted
    # Workers, who watch the LAN
    "127.0.0.1": WORKERS,
    "127.255.255.254": WORKERS,
    "10.0.0.1": WORKERS,
    "10.255.255.255": WORKERS,
    "172.16.0.1": WORKERS,
    "172.31.255.254": WORKERS,
    "192.168.1.1": WORKERS,
    "100.64.0.1": WORKERS,
    "100.127.255.254": WORKERS,
    "192.0.0.1": WORKERS,
    "192.0.0.8": WORKERS,
    "192.0.0.170": WORKERS,
    "192.88.99.1": WORKERS,
    "255.255.255.254": WORKERS,
    "2400:cb00::5efe:10.0.0.1": WORKERS,
    "192.0.2.1": WORKERS,
    "198.18.0.1": WORKERS,
    "198.51.100.1": WORKERS,
    "203.0.113.1": WORKERS,
    "240.0.0.1": WORKERS,
    "::1": WORKERS,
    "fc00::1": WORKERS,
    "fd12:3456::1": WORKERS,
    "fec0::1": WORKERS,
    "2001:db8::1": WORKERS,
    "3fff::1": WORKERS,
    "::127.0.0.1": WORKERS,
    "::ffff:127.0.0.1": WORKERS,
    "::ffff:10.0.0.1": WORKERS,
    "64:ff9b::127.0.0.1": WORKERS,
    "64:ff9b::7f00:1": WORKERS,
    "64:ff9b:1::7f00:1": WORKERS,
    "64:ff9b:1::8.8.8.8": WORKERS,
    "64:ff9b:1:a00:0:100::": WORKERS,
    "64:ff9b:1:808:8:800::": WORKERS,
    "2002:7f00:1::": WORKERS,
    "2002:c0a8:101::1": WORKERS,
    "2001:0:808:808::1": WORKERS,
    # Everybody
    "1.1.1.1": EVERYBODY,
    "8.8.8.8": EVERYBODY,
    "9.255.255.255": EVERYBODY,
    "11.0.0.1": EVERYBODY,
    "100.63.255.255": EVERYBODY,
    "100.128.0.1": EVERYBODY,
    "126.255.255.255": EVERYBODY,
    "128.0.0.1": EVERYBODY,
    "169.253.255.255": EVERYBODY,
    "172.15.255.255": EVERYBODY,
    "172.32.0.1": EVERYBODY,
    "192.169.0.1": EVERYBODY,
    "223.255.255.254": EVERYBODY,
    "2606:4700:4700::1111": EVERYBODY,
    "2a00:1450:4001:80e::200e": EVERYBODY,
    "::ffff:8.8.8.8": EVERYBODY,
    "64:ff9b::8.8.8.8": EVERYBODY,
    "2002:808:808::1": EVERYBODY,
    "2400:cb00::5efe:8.8.8.8": EVERYBODY,
}


def refuses(egress: Egress, address: str) -> bool:
    try:
        egress.permit(Address(address, 443))
    except Refused:
        return True
    return False


@pytest.mark.parametrize(("address", "who"), ADDRESSES.items())
def test_each_address_is_open_to_whom_it_should_be(address: str, who: str) -> None:
    worker, webhook = Egress(Policy()), Egress(Policy(private=False))
    assert (refuses(worker, address), refuses(webhook, address)) == {
        NOBODY: (True, True),
        WORKERS: (False, True),
        EVERYBODY: (False, False),
    }[who]


def test_a_refusal_is_a_sentence_that_names_the_address_and_why() -> None:
    with pytest.raises(
        Refused, match=r"^64:ff9b::a9fe:a9fe leads to 169\.254\.169\.254, which is a link-local"
    ):
        Egress().permit(Address("64:ff9b::a9fe:a9fe", 80))
    with pytest.raises(Refused, match=r"^10\.0\.0\.1 is not a public address"):
        Egress(Policy(private=False)).permit(Address("10.0.0.1", 80))


@given(st.ip_addresses(v=4))
def test_an_address_that_is_refused_is_refused_in_every_wrapping(inner: object) -> None:
    egress, v4 = Egress(), int(ip_address(str(inner)))
    wrapped = (
        (0xFFFF << 32) | v4,
        (0x64FF9B << 96) | v4,
        (0x2400CB00 << 96) | (0x5EFE << 32) | v4,
        (0x2002 << 112) | v4 << 80,
        (0x20010000 << 96) | (~v4 & 0xFFFFFFFF),
    )
    # A translator's own prefix may be read in four ways. What begins with 0 in one of them is nobody's
    # address, and counts only if it does in all.
    translated = (
        (0x64FF9B0001 << 80) | v4,
        (0x64FF9B0001 << 80) | (v4 >> 16) << 64 | (v4 & 0xFFFF) << 40,
        (0x64FF9B0001 << 80) | (v4 >> 24) << 64 | (v4 & 0xFFFFFF) << 32,
        (0x64FF9B0001 << 80) | v4 << 24,
    )
    if v4 >> 24:
        wrapped += translated
    if refuses(egress, str(inner)):
        assert all(refuses(egress, str(ip_address(address))) for address in wrapped)


@given(st.ip_addresses())
def test_whatever_is_unwrapped_is_resolved_without_a_fault(ip: object) -> None:
    assert unwrap(ip_address(str(ip)))
    refuses(Egress(Policy(private=False)), str(ip))


async def test_a_name_in_the_hosts_file_is_found() -> None:
    egress = Egress()
    trail = Trail()
    assert Address("127.0.0.1", 80) in await egress.permitted("localhost", 80, trail)
    assert trail.dns is not None and trail.dns < 1
    await egress.close()


async def test_a_name_that_nobody_knows_or_that_is_none_says_so_in_a_sentence() -> None:
    async with serving_names({"broken.test": "SERVFAIL", "empty.test": []}) as zone:
        egress = Egress(nameservers=[zone.place])
        for name, what in {
            "nowhere.test": "DNS does not know it",
            "empty.test": "has no address",
            "broken.test": "could not resolve",
            "a b": "cannot be the name",
            "": "cannot be the name",
            "a\0b.test": "cannot be the name",
            "x" * 300: "cannot be the name",
        }.items():
            with pytest.raises(NotResolved, match=what):
                await egress.resolve(name, 80)
        await egress.close()


async def test_a_name_in_another_script_is_asked_for_as_dns_writes_it() -> None:
    async with serving_names({"xn--bcher-kva.test": ["A 127.0.0.7"]}) as zone:
        egress = Egress(nameservers=[zone.place])
        assert await egress.resolve("bücher.test", 80) == [Address("127.0.0.7", 80)]
        await egress.close()


async def test_of_a_name_only_the_permitted_addresses_are_used() -> None:
    records = ["A 169.254.169.254", "A 127.0.0.1", "A 0.0.0.0"]
    async with serving_names({"mixed.test": records, "bad.test": ["A 169.254.169.254"]}) as zone:
        egress = Egress(nameservers=[zone.place])
        assert await egress.permitted("mixed.test", 80, Trail()) == [Address("127.0.0.1", 80)]
        with pytest.raises(Refused, match="link-local"):
            await egress.permitted("bad.test", 80, Trail())
        await egress.close()


async def test_a_name_that_rebinds_gains_nothing() -> None:
    """It is asked once, and the connection goes where the resolved answer said."""
    async with listening(saying(OK)) as target, serving_names({"rebind.test": ["A 127.0.0.1"]}) as zone:
        egress = Egress(nameservers=[zone.place])
        trail = Trail()
        resolved = await egress.permitted("rebind.test", target.port, trail)
        zone.names["rebind.test"] = ["A 169.254.169.254"]
        connected = await egress.connect("rebind.test", target.port, trail, 1.0, resolved)
        assert connected.getpeername() == ("127.0.0.1", target.port)
        assert zone.asked.count("rebind.test A") == 1
        connected.close()
        await egress.close()


async def test_a_refused_name_is_never_connected_to() -> None:
    async with listening(silent) as sentinel, serving_names({"inside.test": ["A 127.0.0.1"]}) as zone:
        egress = Egress(Policy(private=False), nameservers=[zone.place])
        with pytest.raises(Refused, match="not a public address"):
            await egress.connect("inside.test", sentinel.port, Trail(), 1.0)
        await asyncio.sleep(0)
        assert sentinel.visits == []
        await egress.close()


@pytest.mark.parametrize("own", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2", "::1", "::ffff:127.0.0.1"])
async def test_our_own_redis_and_database_are_out_of_reach(own: str, host: str) -> None:
    async with listening(silent) as redis:
        egress = Egress(Policy(own=((own, redis.port), ("nowhere.invalid", redis.port))))
        with pytest.raises(Refused, match="Statuswire's own"):
            await egress.connect(host, redis.port, Trail(), 1.0)
        assert redis.visits == []
        # Another machine's server on the same port is none of ours.
        egress.permit(Address("192.0.2.1", redis.port))
        await egress.close()


async def test_addresses_are_tried_in_turn() -> None:
    async with listening(silent) as target:
        with black_hole("127.0.0.2", target.port):
            records = ["A 127.0.0.2", "A 127.0.0.3", "A 127.0.0.1"]
            async with serving_names({"three.test": records}) as zone:
                egress = Egress(nameservers=[zone.place])
                trail = Trail()
                resolved = [Address(f"127.0.0.{last}", target.port) for last in (2, 3, 1)]
                connected = await egress.connect("three.test", target.port, trail, 0.6, resolved)
                assert connected.getpeername()[0] == "127.0.0.1"
                assert trail.address == resolved[2]
                # The swallowed attempt is not part of how long the good one took.
                assert trail.connect is not None and trail.connect < 0.15
                connected.close()
                await egress.close()


async def test_the_news_of_several_failures_is_the_one_that_says_most() -> None:
    egress = Egress()
    with closed_port() as port:
        # To the broadcast address of loopback there is no route for TCP, as on many machines there is none
        # for IPv6.
        resolved = [Address("127.255.255.255", port), Address("127.0.0.1", port)]
        with pytest.raises(OSError) as failure:
            await egress.connect("two.test", port, Trail(), 1.0, resolved)
    assert failure.value.errno == errno.ECONNREFUSED


async def test_what_was_resolved_elsewhere_is_judged_all_the_same() -> None:
    async with listening(silent) as sentinel:
        with pytest.raises(Refused):
            strict = Egress(Policy(private=False))
            await strict.connect("x.test", 0, Trail(), 1.0, [Address("127.0.0.1", sentinel.port)])
        assert sentinel.visits == []


async def test_a_connection_given_up_leaves_no_socket_behind() -> None:
    with black_hole() as port:
        egress = Egress()
        trail = Trail()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await egress.connect("127.0.0.1", port, trail, 0.1)
        assert trail.stage == "connect" and trail.address == Address("127.0.0.1", port)
    # An unclosed socket would be a ResourceWarning, which fails the suite.


async def test_ipv6_loopback_is_reached() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    async with listening(silent, "::1") as target:
        egress = Egress()
        trail = Trail()
        connected = await egress.connect("::1", target.port, trail, 1.0)
        assert str(trail.address) == f"[::1]:{target.port}"
        await eventually(lambda: target.visits)
        connected.close()
