"""domain: a registry of ours tells until when names are registered; nobody else is asked."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from app.domain.monitor import Monitor
from app.domain.result import Result
from app.security.egress import Egress, Policy
from tests.targets import (
    Behaviour,
    Target,
    asking,
    closed_port,
    listening,
    redirect,
    response,
    saying,
    silent,
    verdict,
)
from workers.probes import Probes
from workers.probes import domain as domain_probe
from workers.probes.equipment import Equipment


def registered(days: float, *status: str, event: str = "expiration") -> dict[str, object]:
    until = datetime.now(UTC) + timedelta(days=days)
    return {
        "objectClassName": "domain",
        "status": ["client transfer prohibited", *status],
        "events": [
            {"eventAction": "registration", "eventDate": "1995-08-14T04:00:00Z"},
            {"eventAction": event, "eventDate": until.isoformat().replace("+00:00", "Z")},
        ],
    }


NAMES: dict[str, object] = {
    "good.test": registered(200),
    "soon.test": registered(10),
    "ended.test": registered(-3),
    "held.test": registered(200, "Client Hold"),
    "deleted.test": registered(200, "redemption period"),
    "quiet.test": registered(200, event="last changed"),
    "odd.test": {"events": [{"eventAction": "expiration", "eventDate": "soon"}]},
    "day.test": {"events": [{"eventAction": "expiration", "eventDate": "2099-01-01"}]},
    "empty.test": {},
    "list.test": [1],
    "good.co.test": registered(300),
}


class Registry:
    def __init__(self) -> None:
        self.paths: list[str] = []
        self.base = ""

    def __call__(self, head: str) -> bytes:
        path = head.split()[1]
        self.paths.append(path)
        if path == "/dns.json":
            services = [[["test", "net"], [f"{self.base}/rdap/"]], [["co.test"], [f"{self.base}/co/"]]]
            return response(json.dumps({"version": "1.0", "services": services}).encode())
        name = path.rpartition("/")[2]
        if name == "moved.test":
            return redirect("/rdap/domain/good.test")
        if name == "away.test":
            return redirect("http://169.254.169.254/")
        if name == "round.test":
            return redirect(path)
        if name == "busy.test":
            return response(status="429 Too Many Requests")
        if name not in NAMES:
            return response(b'{"errorCode": 404}', "404 Not Found")
        return response(json.dumps(NAMES[name]).encode())


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
async def target(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Target]:
    async with listening(asking(registry)) as target:
        registry.base = target.url
        monkeypatch.setattr(domain_probe, "BOOTSTRAP", f"{target.url}/dns.json")
        yield target


@pytest.fixture
async def probes() -> AsyncIterator[Probes]:
    probes = Probes()
    yield probes
    await probes.close()


async def look(probes: Probes, name: str, timeout: float = 1.0, **words: object) -> Result:
    return await probes.probe(Monitor(key="m", kind="domain", target=name, timeout=timeout, options=words))


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("good.test", ("ok", "")),
        ("GOOD.test.", ("ok", "")),
        ("day.test", ("ok", "")),
        ("moved.test", ("ok", "")),
        ("good.co.test", ("ok", "")),
        ("soon.test", ("slow", "registration")),
        ("ended.test", ("fail", "registration")),
        ("held.test", ("fail", "registration")),
        ("deleted.test", ("fail", "registration")),
        ("unknown.test", ("fail", "registration")),
        ("quiet.test", ("inconclusive", "worker")),
        ("empty.test", ("inconclusive", "worker")),
        ("odd.test", ("inconclusive", "worker")),
        ("list.test", ("inconclusive", "worker")),
        ("busy.test", ("inconclusive", "worker")),
        ("round.test", ("inconclusive", "worker")),
        ("away.test", ("inconclusive", "not permitted")),
        ("good.example", ("inconclusive", "worker")),
        ("test", ("inconclusive", "worker")),
    ],
)
async def test_a_registration_is_good_ends_soon_or_has_ended(
    probes: Probes, target: Target, name: str, answer: tuple[str, str]
) -> None:
    result = await look(probes, name)
    assert verdict(result) == answer, result.detail
    assert not result.detail or result.detail.endswith(".")


async def test_the_registry_of_the_longest_ending_is_asked_and_the_list_kept(
    probes: Probes, target: Target, registry: Registry
) -> None:
    for name in ("good.test", "good.co.test", "good.test"):
        await look(probes, name)
    assert registry.paths == ["/dns.json", *(f"/{each}/domain/{name}" for each, name in ASKED)]


ASKED = [("rdap", "good.test"), ("co", "good.co.test"), ("rdap", "good.test")]


async def test_a_server_may_be_named(probes: Probes, target: Target, registry: Registry) -> None:
    assert verdict(await look(probes, "good.test", server=f"{target.url}/rdap", days=150)) == ("ok", "")
    soon = await look(probes, "good.test", server=f"{target.url}/rdap/", days=250)
    assert verdict(soon) == ("slow", "registration") and "250 are right" in soon.detail
    assert registry.paths == ["/rdap/domain/good.test"] * 2


@pytest.mark.parametrize(
    "behave",
    [
        silent,
        saying(),
        saying(b"SSH-2.0-x\r\n\r\n"),
        saying(response(b"[" * 100_000)),
        saying(response(b"<html>")),
    ],
)
async def test_a_registry_that_does_not_answer_says_nothing_of_the_name(
    probes: Probes, behave: Behaviour
) -> None:
    async with listening(behave) as target:
        result = await look(probes, "good.test", timeout=0.3, server=target.url)
    assert verdict(result) == ("inconclusive", "worker"), result.detail
    with closed_port() as port:
        result = await look(probes, "good.test", server=f"http://127.0.0.1:{port}")
        assert verdict(result) == ("inconclusive", "worker")
    assert verdict(await look(probes, "good.test", server="ftp://a")) == ("inconclusive", "worker")


async def test_registries_are_asked_through_the_gate() -> None:
    async with listening(silent) as sentinel:
        probes = Probes(Equipment(Egress(Policy(own=(("127.0.0.1", sentinel.port),)))))
        result = await look(probes, "good.test", server=sentinel.url)
        assert verdict(result) == ("inconclusive", "not permitted") and sentinel.visits == []
        await probes.close()


def test_the_list_of_registries_is_ianas() -> None:
    assert urlsplit(domain_probe.BOOTSTRAP).hostname == "data.iana.org"
