"""The users of Redis that docs/scale.md gives: worker and server do all they do with theirs, over TLS too,
and the worker's may do nothing that is the server's."""

import asyncio
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from tests.conftest import eventually
from tests.services import ROOT, Node, Web, Worker
from tests.targets import OK, asking, certified, leading_to, listening

PASSWORD = "s3cret"


def lines() -> dict[str, list[str]]:
    """By user, the words of its line."""
    said = re.findall(r"^ACL SETUSER (\S+) (.*)$", (ROOT / "docs/scale.md").read_text(), re.MULTILINE)
    return {user: rules.replace("PASSWORD", PASSWORD).split() for user, rules in said}


@pytest.fixture
def server() -> Iterator[Node]:
    with Node("--appendonly", "yes") as server:
        server.start()
        for user, rules in lines().items():
            assert server.ask("ACL", "SETUSER", user, *rules) == b"+OK\r\n", user
        yield server


async def test_worker_and_server_do_all_they_do_with_their_own_users(server: Node, tmp_path: Path) -> None:
    assert sorted(lines()) == ["statuswire-server", "statuswire-worker"]
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls: ssl.SSLContext = certified(ca, "127.0.0.1")
    front = leading_to("127.0.0.1", server.port)
    async with listening(asking(lambda _: OK)) as target, listening(front, tls=tls) as secure:
        ours = f"redis://statuswire-server:{PASSWORD}@{server.place}"
        theirs = f"rediss://statuswire-worker:{PASSWORD}@{secure.place}?ssl_ca_certs={tmp_path}/ca.pem"
        named = {"STATUSWIRE_BEAT": "0.5", "STATUSWIRE_DATA": str(tmp_path)}
        pair = [Worker(theirs, tmp_path / "none.yaml", **named) for _ in range(2)]
        with Web(ours, STATUSWIRE_BEAT="0.5") as web, pair[0] as first, pair[1] as second:
            # Enough of them that both have some.
            monitors = ", ".join(f"{{http: '{target.url}/{n}', every: 1s}}" for n in range(12))
            (web.folder / "statuswire.yaml").write_text(
                f"components: [{{name: A, monitors: [{monitors}]}}]\n"
            )
            await asyncio.to_thread(web.start)
            first.start()
            second.start()

            await eventually(lambda: b'data-slug="a" data-status="operational"' in web.get("/")[1], within=20)
            await eventually(lambda: "another worker takes its part" in first.logs + second.logs)
            await eventually(lambda: server.ask("KEYS", "{statuswire}:said:local-*").startswith(b"*2"))
            assert await asyncio.to_thread(first.stop) == 0
            await eventually(lambda: "another worker has said farewell" in second.logs)
            # A log that was emptied is told anew, and one that is behind its readers is moved on.
            server.ask("DEL", "{statuswire}:feed", "{statuswire}:log")
            await eventually(lambda: "telling it how everything stands" in second.logs)
            server.ask("CLIENT", "KILL", "TYPE", "pubsub")
            await eventually(lambda: "the feed is back" in web.logs)
            await eventually(lambda: b'data-slug="a" data-status="operational"' in web.get("/")[1])
            assert await asyncio.to_thread(second.stop) == 0
            assert await asyncio.to_thread(web.stop) == 0
    assert server.ask("ACL", "LOG") == b"*0\r\n"


@pytest.mark.parametrize(
    "command",
    [
        ("HSET", "{statuswire}:catalog", "revision", "mine"),
        ("XTRIM", "{statuswire}:feed", "MAXLEN", "0"),
        ("DEL", "{statuswire}:feed"),
        ("GET", "other"),
        ("PUBLISH", "other", "x"),
        ("CONFIG", "GET", "*"),
        ("KEYS", "*"),
        ("FLUSHALL",),
    ],
)
async def test_a_worker_s_user_may_do_nothing_else(server: Node, command: tuple[str, ...]) -> None:
    url = f"redis://statuswire-worker:{PASSWORD}@{server.place}"
    async with Redis.from_url(url) as client:
        with pytest.raises(NoPermissionError):
            await client.execute_command(*command)
