"""Who is asked which Redis takes writes may be behind, silent or somebody else; the answer is right all the
same, or one sentence."""

from collections.abc import Iterator

import pytest

from app.redis_nodes import Cluster, Sentinels, _read_nodes, knock, nodes
from tests.services import Node, Sentinel, Sentinelled, Statuswire, free_port, wait_until

NODES = """\
aa 127.0.0.1:7001@17001,one.example,shard-id=x myself,master - 0 1426238317239 4 connected 0-5460 [93->-bb]
bb ::1:7002@17002 master,fail? - 0 1426238317239 6 connected 5461 5463-10922
cc 127.0.0.1:7003@17003 slave aa 0 1426238317239 4 connected
dd :7004@17004 master - 0 0 0 connected
ee 127.0.0.1:7005@17005 master,fail - 0 0 9 disconnected 0-16383
ff :0@0 master,noaddr - 0 0 9 disconnected
"""


@pytest.fixture(scope="module")
def several() -> Iterator[Sentinelled]:
    with Sentinelled() as several:
        yield several


def test_what_a_node_of_a_cluster_says_of_the_others_is_read() -> None:
    told = {address: (epoch, [93 in slots, 5463 in slots]) for address, epoch, slots in _read(False)}
    assert told == {
        ("127.0.0.1", 7001): (4, [True, False]),
        ("::1", 7002): (6, [False, True]),
        ("127.0.0.1", 7003): (4, [False, False]),
        ("192.0.2.1", 7004): (0, [False, False]),
    }


def test_by_tls_nodes_are_called_by_their_names() -> None:
    assert _read(True)[0][0] == ("one.example", 7001)


def _read(by_name: bool):  # type: ignore[no-untyped-def]
    return _read_nodes(NODES, "192.0.2.1", by_name)


async def test_of_two_sentinels_the_one_that_knows_the_newer_epoch_is_believed(several: Sentinelled) -> None:
    with Node() as elsewhere, Sentinel(elsewhere.start()) as behind:  # type: ignore[arg-type]
        behind.start()
        both = nodes(f"redis+sentinel://{behind.place},{several.sentinel.place}/statuswire")
        assert isinstance(both, Sentinels)
        several.sentinel.ask("SENTINEL", "FAILOVER", "statuswire")
        several.until_taken_over()
        taken_over = str(several.replica.port)
        wait_until(
            lambda: several.sentinel.says(taken_over, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "statuswire"),
            10.0,
            lambda: several.sentinel.logs,
        )
        assert await both.find() == ("127.0.0.1", several.replica.port)


async def test_a_sentinel_that_is_silent_holds_up_nobody(several: Sentinelled) -> None:
    dead = f"127.0.0.1:{free_port()}"
    assert await knock(several.url.replace("://", f"://{dead},")) is None


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("redis+sentinel://{sentinel}/other", "(it knows no master named other)"),
        ("redis+sentinel://{sentinel}/statuswire?sentinel_password=x", "without any password configured"),
        ("redis+sentinel://{sentinel}/statuswire?wrong=1", "'wrong'"),
        ("redis+sentinel://{nobody}/statuswire", "nobody can tell which Redis to speak to, asked were 127."),
        ("redis+cluster://{sentinel}", "nobody can tell which Redis to speak to"),
        ("redis+cluster://{one}", "This instance has cluster support disabled"),
    ],
)
async def test_what_is_wrong_is_said(several: Sentinelled, url: str, sentence: str) -> None:
    places = {"sentinel": several.sentinel.place, "one": several.master.place}
    problem = await knock(url.format(**places, nobody=f"127.0.0.1:{free_port()}"))
    assert problem is not None and sentence in problem


def test_a_process_does_not_start_on_it(several: Sentinelled) -> None:
    with Statuswire("worker", REDIS_URL=several.url + "r") as worker:
        assert worker.run() == 2
        assert worker.logs.startswith("statuswire: REDIS_URL cannot be used: nobody can tell")
        assert worker.logs.count("\n") == 1


def test_a_cluster_has_no_numbers_but_user_and_password() -> None:
    cluster = nodes("rediss+cluster://me:a%20b@one,two:7/0")
    assert isinstance(cluster, Cluster)
    assert cluster._options == {"username": "me", "password": "a b"}
    assert cluster._asked == [("one", 6379), ("two", 7)]
