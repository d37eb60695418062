"""dns: asked anew each time, and honest about what came back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.domain.monitor import Expect, Monitor
from app.domain.result import Result
from app.security.egress import Egress, Policy
from tests.targets import Zone, closed_port, serving_names
from workers.probes import Probes
from workers.probes import dns as dns_probe
from workers.probes.equipment import Equipment

NAMES: dict[str, list[str] | str | None] = {
    "site.test": ["A 192.0.2.10", "A 192.0.2.11", "AAAA 2001:db8::1", "MX 10 mail.site.test."],
    "_dmarc.site.test": ['TXT "v=DMARC1; " "p=none"'],
    "www.site.test": ["CNAME site.test."],
    "10.2.0.192.in-addr.arpa": ["PTR site.test."],
    "broken.test": "SERVFAIL",
    "silent.test": None,
    "empty.test": [],
}


@pytest.fixture(scope="module")
async def probes() -> AsyncIterator[Probes]:
    probes = Probes(Equipment(Egress()))
    yield probes
    await probes.close()


@pytest.fixture
async def zone() -> AsyncIterator[Zone]:
    async with serving_names(dict(NAMES)) as zone:
        yield zone


async def look(probes: Probes, target: str, record: str = "A", *answer: str, timeout: float = 1.0) -> Result:
    expect = Expect(answer=answer)
    return await probes.probe(
        Monitor(
            key="m", kind="dns", target=target, options={"record": record}, timeout=timeout, expect=expect
        )
    )


@pytest.mark.parametrize(
    ("name", "record", "answer"),
    [
        ("site.test", "A", ()),
        ("site.test.", "A", ("192.0.2.11", "192.0.2.10")),
        ("SITE.test", "AAAA", ("2001:DB8::1",)),
        ("site.test", "MX", ("10 mail.site.test",)),
        ("_dmarc.site.test", "TXT", ("v=DMARC1; p=none",)),
        ("www.site.test", "CNAME", ("site.test",)),
        ("192.0.2.10", "PTR", ("site.test",)),
        ("10.2.0.192.in-addr.arpa", "PTR", ("site.test.",)),
    ],
)
async def test_the_answers_expected_are_among_those_given(
    probes: Probes, zone: Zone, name: str, record: str, answer: tuple[str, ...]
) -> None:
    result = await look(probes, f"{name}@{zone.place}", record, *answer)
    assert (result.outcome, result.reason, result.detail) == ("ok", "", "")
    assert result.address == "127.0.0.1"
    assert result.phases.dns is not None and result.took is not None


async def test_dnssec_is_what_the_server_says_of_it(probes: Probes, zone: Zone) -> None:
    def asking(authenticated: bool) -> Monitor:
        return Monitor(
            key="m",
            kind="dns",
            target=f"site.test@{zone.place}",
            timeout=1.0,
            options={"authenticated": authenticated},
        )

    result = await probes.probe(asking(True))
    assert (result.outcome, result.reason) == ("fail", "answer")
    assert result.detail == "The server does not say that DNSSEC vouches for site.test."
    zone.vouches = True
    for authenticated in (True, False):
        assert (await probes.probe(asking(authenticated))).outcome == "ok"


async def test_an_answer_that_is_missing_fails_and_says_which(probes: Probes, zone: Zone) -> None:
    result = await look(probes, f"site.test@{zone.place}", "A", "192.0.2.10", "192.0.2.99")
    assert (result.outcome, result.reason) == ("fail", "answer")
    assert result.detail.startswith("192.0.2.99 is not among the answers: ")


async def test_nothing_is_remembered_from_one_probe_to_the_next(probes: Probes, zone: Zone) -> None:
    for _ in range(3):
        await look(probes, f"site.test@{zone.place}")
    assert zone.asked == ["site.test A"] * 3


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("nowhere.test", ("fail", "dns")),
        ("empty.test", ("fail", "dns")),
        ("broken.test", ("unreachable", "dns")),
        ("silent.test", ("unreachable", "timeout")),
    ],
)
async def test_a_name_without_an_answer_says_why(
    probes: Probes, zone: Zone, name: str, verdict: tuple[str, str]
) -> None:
    result = await look(probes, f"{name}@{zone.place}", timeout=0.3)
    assert (result.outcome, result.reason) == verdict
    assert result.detail.endswith(".")


async def test_a_server_may_be_given_by_name_and_is_judged(zone: Zone) -> None:
    probes = Probes(Equipment(Egress()))
    assert (await look(probes, f"site.test@localhost:{zone.port}")).outcome in ("ok", "unreachable")
    assert (await look(probes, "site.test@169.254.169.253")).reason == "not permitted"
    assert (await look(probes, "site.test@nowhere.invalid")).reason == "dns"
    await probes.close()
    strict = Probes(Equipment(Egress(Policy(private=False))))
    assert (await look(strict, f"site.test@{zone.place}")).reason == "not permitted"
    assert zone.asked.count("site.test A") <= 1
    await strict.close()


async def test_a_server_that_is_not_there_is_unreachable(probes: Probes) -> None:
    with closed_port() as port:
        result = await look(probes, f"site.test@127.0.0.1:{port}", timeout=0.3)
    assert result.outcome == "unreachable"


@pytest.mark.parametrize("record", ["NOSUCH", "ANY", "AXFR"])
async def test_a_type_that_cannot_be_asked_for_is_our_fault(probes: Probes, record: str) -> None:
    result = await look(probes, "site.test@127.0.0.1", record)
    assert (result.outcome, result.reason) == ("inconclusive", "worker")


@pytest.mark.parametrize("name", ["", "a..b", "x" * 64 + ".test"])
async def test_what_can_be_no_name_is_our_fault(probes: Probes, name: str) -> None:
    result = await look(probes, f"{name}@127.0.0.1")
    assert (result.outcome, result.reason) == ("inconclusive", "worker")


async def test_without_a_server_the_machines_own_is_asked(
    probes: Probes, zone: Zone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = tmp_path / "resolv.conf"
    monkeypatch.setattr(dns_probe, "RESOLV_CONF", str(conf))
    missing = await look(probes, "site.test", timeout=0.3)
    assert (missing.outcome, missing.reason) == ("inconclusive", "worker")
    assert "names no server" in missing.detail
    conf.write_text("# nothing yet\n")
    assert "names no server" in (await look(probes, "site.test", timeout=0.3)).detail
    conf.write_text("nameserver 127.0.0.1\noptions timeout:1\n")
    # Nobody answers on port 53 here; that it is asked at all is seen by what it says.
    asked = await look(probes, "site.test", timeout=0.3)
    assert asked.reason != "worker"


async def test_many_at_once_do_not_wait_for_one_another(probes: Probes, zone: Zone) -> None:
    hanging = [asyncio.create_task(look(probes, f"silent.test@{zone.place}")) for _ in range(20)]
    result = await look(probes, f"site.test@{zone.place}")
    assert result.outcome == "ok" and (result.took or 9) < 1.0
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
