"""redis: against a real Valkey, with and without a password, and against what is no Redis."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import trustme

from app.domain.monitor import Monitor
from app.domain.result import Result
from app.security.egress import Egress, Policy
from tests.services import Valkey
from tests.targets import Target, certified, farewell, leading_to, listening, silent, verdict
from workers.probes import Probes
from workers.probes.equipment import Equipment

ENVIRON = {"PASSWORD": "correct horse", "WRONG": "battery staple"}


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    """Not that of the other tests: this one wants passwords."""
    with Valkey() as server:
        server.start()
        server.ask("ACL", "SETUSER", "probe", "on", ">correct horse", "+ping")
        server.ask("ACL", "SETUSER", "mute", "on", ">correct horse", "-@all")
        server.ask("ACL", "SETUSER", "default", "on", "resetpass", ">correct horse")
        yield server


@pytest.fixture
async def target(server: Valkey) -> AsyncIterator[Target]:
    async with listening(leading_to(str(server.folder / "redis.sock"))) as target:
        yield target


async def look(probes: Probes, place: str, timeout: float = 1.0, **words: object) -> Result:
    return await probes.probe(Monitor(key="m", kind="redis", target=place, timeout=timeout, options=words))


async def test_a_redis_without_a_password_answers(probes: Probes, valkey: Valkey) -> None:
    async with listening(leading_to(str(valkey.folder / "redis.sock"))) as target:
        result = await look(probes, target.place)
    assert verdict(result) == ("ok", "")
    assert result.phases.first_byte is not None and result.phases.total is not None
    assert result.address == "127.0.0.1"


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ({"password": "${PASSWORD}"}, ("ok", "")),
        ({"password": "${PASSWORD}", "user": "probe"}, ("ok", "")),
        ({}, ("fail", "auth")),
        ({"password": "${WRONG}"}, ("fail", "auth")),
        ({"password": "${WRONG}", "user": "probe"}, ("fail", "auth")),
        ({"password": "${PASSWORD}", "user": "mute"}, ("fail", "auth")),
    ],
)
async def test_whoever_has_the_password_is_let_in(
    probes: Probes, target: Target, words: dict[str, object], answer: tuple[str, str]
) -> None:
    result = await look(probes, target.place, **words)
    assert verdict(result) == answer
    assert "correct horse" not in repr(result) and "battery" not in repr(result)


async def test_over_tls(probes: Probes, server: Valkey, ca: trustme.CA) -> None:
    behave = leading_to(str(server.folder / "redis.sock"))
    async with listening(behave, tls=certified(ca, "localhost")) as target:
        words = {"secure": True, "password": "${PASSWORD}"}
        result = await look(probes, f"localhost:{target.port}", **words)
        assert verdict(result) == ("ok", "") and result.certificate_until is not None
        assert verdict(await look(probes, target.place, **words)) == ("fail", "certificate")


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", ("fail", "answer")),
        (b"-DENIED Redis is running in protected mode correct horse\r\n", ("fail", "auth")),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", ("fail", "protocol")),
        (b"$4\r\nPONG\r\n", ("fail", "protocol")),
        (b"x" * 100_000, ("fail", "protocol")),
        (b"+PON", ("fail", "closed")),
        (b"", ("fail", "closed")),
    ],
)
async def test_another_answer_fails(probes: Probes, said: bytes, answer: tuple[str, str]) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"PING\r\n")
        writer.write(said)
        await farewell(writer)

    async with listening(behave) as target:
        result = await look(probes, target.place)
    assert verdict(result) == answer and result.detail.endswith(".")


async def test_silence_and_dripping_end_with_the_probe(probes: Probes) -> None:
    async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"+")
            await asyncio.sleep(0.05)

    for behave in (silent, dripping):
        async with listening(behave) as target:
            assert verdict(await look(probes, target.place, timeout=0.3)) == ("fail", "timeout")


async def test_our_own_redis_is_none_to_be_probed() -> None:
    async with listening(silent) as own:
        probes = Probes(Equipment(Egress(Policy(own=(("localhost", own.port),)))))
        result = await look(probes, own.place)
        assert verdict(result) == ("inconclusive", "not permitted") and own.visits == []
        await probes.close()
