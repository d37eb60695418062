"""Whatever is typed wrong, or not there, is one clear line and exit code 2; never a traceback."""

import asyncio
import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import asyncpg  # type: ignore[import-untyped]
import pytest
import trustme

import app.reach
from app.cli import main
from app.commands import clone
from app.commands.checks import database_answers, redis_answers
from app.config import Config
from app.reach import Refused, reach
from tests.services import ROOT, Postgres, Statuswire, Valkey, free_port, wait_until


def test_version_is_that_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    said = capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert (end.value.code, capsys.readouterr().out) == (0, said)
    version = said.split()[1]
    assert f'\nversion = "{version}"\n' in (ROOT / "pyproject.toml").read_text()


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    for command in ("up", "web", "worker", "migrate", "probe", "config", "bench", "version"):
        assert f"\n    {command} " in said


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "statuswire: error: the following arguments are required: COMMAND"),
        (["upp"], "statuswire: error: argument COMMAND: invalid choice: 'upp' (choose from "),
        (["up", "--prot", "1"], "statuswire: error: unrecognized arguments: --prot 1"),
        (["config"], "statuswire config: error: the following arguments are required: COMMAND"),
        (["config", "check"], "statuswire config check: error: the following arguments are required: FILE"),
        (["probe"], "statuswire probe: error: the following arguments are required: URL"),
    ],
)
def test_a_mistyped_command_is_refused(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(line)


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "nothing-like-it"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("statuswire: there is no benchmark 'nothing-like-it'; there are: ")


def test_a_benchmark_is_run_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "fan_out.py").write_text(
        "if __name__ == '__main__': import sys; print(*sys.argv[1:]); sys.exit(3)"
    )
    (tmp_path / "bench" / "report.py").write_text("WIDTH = 80")
    code = (
        "import sys, pathlib; from app.cli import main; from app.commands import clone; "
        f"clone._ROOT = pathlib.Path({str(tmp_path)!r}); sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "bench", "fan-out", "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "--quick\n")


def test_probe_of_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "nothing"]) == 2
    assert capsys.readouterr().err.startswith("nothing is nothing that can be probed; write it as https://")


@pytest.mark.parametrize(
    ("url", "shown"), [("", "An empty URL is nothing"), ("gopher://mei:pw@x", "gopher://***@x is nothing")]
)
def test_what_cannot_be_probed_is_named_without_its_password(
    url: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["probe", url]) == 2
    assert capsys.readouterr().err.startswith(shown)


def test_ctrl_c_is_silent(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(clone, "_read_version", interrupted)
    assert main(["version"]) == 130
    assert capsys.readouterr().err == ""


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "version"], cwd=ROOT, stdout=write, stderr=subprocess.PIPE
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_config_check_counts_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "statuswire.yaml"
    file.write_text("components: [{name: A, monitors: [{tcp: a.example:1}, {dns: a.example}]}, {name: B}]")
    assert main(["config", "check", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: 2 components, 2 monitors, no mistakes\n"


def test_config_check_names_every_mistake_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "statuswire.yaml"
    file.write_text(
        "components:\n  - name: A\n    monitor: []\n  - name: B\n    monitors: [{tcp: nowhere}]\n"
    )
    assert main(["config", "check", str(file)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert [line.partition(": ")[0] for line in said.err.splitlines()] == [f"{file}:3", f"{file}:5"]


def test_config_check_warns_of_what_is_right_but_unwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "statuswire.yaml"
    monitor = "{http: https://a.example/, regions: eu-west}"
    file.write_text(f"components: [{{name: A, monitors: [{monitor}]}}]")
    assert main(["config", "check", str(file)]) == 0
    assert capsys.readouterr().err.startswith(f"{file}: warning: monitor `a/http` is for the regions eu-west")


def test_config_check_of_no_file_says_how_to_get_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "none.yaml"
    assert main(["config", "check", str(file)]) == 2
    assert capsys.readouterr().err == (
        f"statuswire: {file} does not exist; name a file that does, or let `statuswire up` "
        "write one to begin with: it does where there is none.\n"
    )


Refuse = Callable[..., str]


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Refuse:
    """Runs a command that must come to nothing, in an empty folder; what it said."""

    def run(*words: str, **environ: str) -> str:
        monkeypatch.chdir(tmp_path)
        for name in ("HOST", "PORT", "REDIS_URL", "DATABASE_URL"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        assert main(words) == 2
        said = capsys.readouterr()
        assert said.out == ""
        return said.err

    return run


@pytest.mark.parametrize("command", ["up", "web", "worker", "migrate"])
def test_a_bad_setting_is_one_line(command: str, refuse: Refuse) -> None:
    right = "it must be a whole number from 1 to 65535."
    assert refuse(command, PORT="8x") == f"statuswire: PORT is '8x'; {right}\n"
    # The command line goes before the environment.
    assert refuse(command, "--port", "9x", PORT="8x") == f"statuswire: PORT is '9x'; {right}\n"


@pytest.mark.parametrize("command", ["up", "web"])
def test_a_port_that_is_taken_is_noticed_before_anything_else(
    command: str, refuse: Refuse, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        # Redis is not there either, and would be asked for next.
        assert refuse(command, "--port", str(port), REDIS_URL="unix:///nowhere") == (
            f"statuswire: Cannot listen on 127.0.0.1 port {port}: another program has it; stop that one, or "
            "choose another port with --port.\n"
        )
    assert list(tmp_path.iterdir()) == []


def test_a_server_without_its_tables_names_the_command_that_makes_them(
    refuse: Refuse, redis_url: str, tmp_path: Path
) -> None:
    words = ("web", "--port", str(free_port()))
    assert refuse(*words, REDIS_URL=redis_url) == (
        "statuswire: There is no database data/statuswire.db yet; run `statuswire migrate` first.\n"
    )
    (tmp_path / "empty.db").touch()
    assert refuse(*words, REDIS_URL=redis_url, DATABASE_URL="sqlite:///empty.db") == (
        "statuswire: The database empty.db lacks tables of this version; run `statuswire migrate` first.\n"
    )


async def test_an_option_that_postgres_does_not_know_is_one_line(postgres_url: str) -> None:
    with Statuswire("migrate", DATABASE_URL=f"{postgres_url}&connect_timeout=5") as command:
        assert command.run() == 2
        assert '(unrecognized configuration parameter "connect_timeout"); it must be run' in command.logs
        assert command.logs.count("\n") == 1


async def test_a_postgres_without_tables_is_one_line_too(redis_url: str, postgres_url: str) -> None:
    environ = {"PORT": str(free_port()), "REDIS_URL": redis_url, "DATABASE_URL": postgres_url}
    with Statuswire("web", **environ) as web:
        assert web.run() == 2
        assert re.fullmatch(
            r"statuswire: The Postgres .* lacks tables of this version; run `statuswire migrate` first\.\n",
            web.logs,
        )


@pytest.mark.parametrize("command", ["web", "worker"])
def test_a_single_process_says_that_it_needs_a_redis(command: str, refuse: Refuse) -> None:
    assert refuse(command) == (
        "statuswire: REDIS_URL is not set, and only `statuswire up` brings a Redis of its own; "
        "set it to a server's URL, such as redis://localhost:6379/0.\n"
    )


@pytest.mark.parametrize("command", ["up", "web", "worker"])
def test_a_redis_that_is_not_there_is_one_line_without_its_password(command: str, refuse: Refuse) -> None:
    port = free_port()
    assert refuse(command, REDIS_URL=f"redis://:hunter2@127.0.0.1:{port}/0") == (
        f"statuswire: REDIS_URL cannot be reached: nothing answers at 127.0.0.1 port {port} "
        "(Connection refused); start that server, or correct the address.\n"
    )


@pytest.mark.parametrize("command", ["up", "web", "migrate"])
def test_a_postgres_that_is_not_there_is_one_line(command: str, refuse: Refuse, redis_url: str) -> None:
    port = free_port()
    for url, place in (
        (f"postgres://a:hunter2@127.0.0.1:{port}/d", f"127.0.0.1 port {port} (Connection refused)"),
        ("postgres://a:hunter2@/d?host=/nowhere", "/nowhere (No such file or directory)"),
    ):
        assert refuse(command, REDIS_URL=redis_url, DATABASE_URL=url) == (
            f"statuswire: DATABASE_URL cannot be reached: nothing answers at {place}; "
            "start that server, or correct the address.\n"
        )


def test_a_server_that_is_no_postgres_is_one_line(refuse: Refuse) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def reply() -> None:
            with suppress(OSError):  # of a listener that is closed
                while True:
                    connection, _ = listener.accept()
                    with connection, suppress(OSError):
                        connection.recv(1000)
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        Thread(target=reply, daemon=True).start()
        assert refuse("migrate", DATABASE_URL=f"postgres://a:hunter2@127.0.0.1:{port}/d") == (
            f"statuswire: The Postgres database d at 127.0.0.1:{port} cannot be reached: it has no TLS, or "
            "is no Postgres; correct the address or sslmode.\n"
        )


@pytest.mark.parametrize("command", ["up", "web", "migrate"])
def test_of_several_hosts_each_is_tried(command: str, refuse: Refuse, redis_url: str) -> None:
    ports = free_port(), free_port()
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    places = " or ".join(f"127.0.0.1 port {port} (Connection refused)" for port in ports)
    assert refuse(command, REDIS_URL=redis_url, DATABASE_URL=f"postgres://a:hunter2@{hosts}/d") == (
        f"statuswire: DATABASE_URL cannot be reached: nothing answers at {places}; "
        "start that server, or correct the address.\n"
    )


@pytest.fixture
def locked_url(postgres: Postgres) -> Iterator[str]:
    """Of a user whom Postgres asks for a password, which is `right`."""
    rules = postgres.folder / "cluster" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"local all locked scram-sha-256\n{before}")
    asyncio.run(administer(postgres.url(), "CREATE ROLE locked LOGIN PASSWORD 'right'"))
    yield postgres.url().replace("postgres@", "locked:{}@")
    rules.write_text(before)
    asyncio.run(administer(postgres.url(), "DROP ROLE locked"))


async def administer(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()


@pytest.mark.parametrize("command", ["up", "web", "migrate"])
def test_a_wrong_password_for_postgres_is_one_line(
    command: str, refuse: Refuse, redis_url: str, locked_url: str
) -> None:
    said = refuse(command, REDIS_URL=redis_url, DATABASE_URL=locked_url.format("hunter2"))
    assert re.fullmatch(
        r"statuswire: The Postgres database postgres at \S+ does not let us in; "
        r"check the user and the password in DATABASE_URL\.\n",
        said,
    )
    assert "hunter2" not in said


def test_the_right_password_for_postgres_is_enough(locked_url: str) -> None:
    database_answers(Config.read({"DATABASE_URL": locked_url.format("right")}))


@pytest.fixture
def locked_redis() -> Iterator[Valkey]:
    with Valkey() as server:
        server.start()
        assert server.ask("ACL", "SETUSER", "probe", "on", ">right", "~*", "&*", "+@all") == b"+OK\r\n"
        assert server.ask("CONFIG", "SET", "requirepass", "right") == b"+OK\r\n"
        yield server


@pytest.mark.parametrize("command", ["up", "web", "worker"])
@pytest.mark.parametrize(
    ("user", "why"),
    [
        ("", "NOAUTH Authentication required."),
        (":hunter2@", "WRONGPASS invalid username-password pair or user is disabled."),
        ("probe:hunter2@", "WRONGPASS invalid username-password pair or user is disabled."),
    ],
)
def test_a_wrong_password_for_redis_is_one_line(
    command: str, user: str, why: str, refuse: Refuse, locked_redis: Valkey
) -> None:
    socket_file = locked_redis.url.removeprefix("unix://")
    assert refuse(command, REDIS_URL=f"unix://{user}{socket_file}") == (
        f"statuswire: REDIS_URL is refused: the Redis at {socket_file} does not let us in ({why}); "
        "check the user, the password and the number of the database in it.\n"
    )


@pytest.mark.parametrize("user", [":right@", "probe:right@"])
@pytest.mark.parametrize("ending", ["", "?db=3"])
def test_the_right_password_for_redis_is_enough(user: str, ending: str, locked_redis: Valkey) -> None:
    url = f"unix://{user}{locked_redis.url.removeprefix('unix://')}{ending}"
    redis_answers(Config.read({"REDIS_URL": url}))
    in_query = f"{locked_redis.url}?password=right"
    redis_answers(Config.read({"REDIS_URL": in_query}))


def test_a_database_number_that_redis_does_not_have_is_one_line(refuse: Refuse, redis_url: str) -> None:
    assert "(ERR DB index is out of range)" in refuse("worker", REDIS_URL=f"{redis_url}?db=99")


@pytest.mark.parametrize("command", ["up", "web", "worker"])
@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        (
            ("REPLICAOF", "127.0.0.1", "1"),
            "only reads (READONLY You can't write against a read only replica.)",
        ),
        (("CONFIG", "SET", "maxmemory", "1"), "has no memory left (OOM command not allowed when used memory"),
        (
            ("CONFIG", "SET", "min-replicas-to-write", "1"),
            "takes nothing (NOREPLICAS Not enough good replicas",
        ),
    ],
)
def test_a_redis_that_takes_no_word_is_one_line(
    command: str, setting: tuple[str, ...], sentence: str, refuse: Refuse
) -> None:
    with Valkey() as server:
        server.start()
        assert server.ask(*setting) == b"+OK\r\n"
        said = refuse(command, "--port", str(free_port()), REDIS_URL=server.url)
    assert said.startswith(
        f"statuswire: REDIS_URL is refused: the Redis at {server.url.removeprefix('unix://')} {sentence}"
    )
    assert said.count("\n") == 1


def test_a_redis_that_was_greeted_keeps_nothing_of_it(valkey: Valkey) -> None:
    valkey.flush()
    redis_answers(Config.read({"REDIS_URL": valkey.url}))
    wait_until(lambda: valkey.ask("DBSIZE") == b":0\r\n", 2.0, lambda: "a key was left")


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"\x1b[31m" * 300, b"+" * 99_999, b"+PONG\r\n" * 9, b"-x\r\n"],
)
def test_a_server_that_is_no_redis_is_one_line(answer: bytes, refuse: Refuse) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def reply() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.recv(1000)
                connection.sendall(answer)

        Thread(target=reply, daemon=True).start()
        assert refuse("worker", REDIS_URL=f"redis://:hunter2@127.0.0.1:{port}") == (
            f"statuswire: REDIS_URL is refused: what answers at 127.0.0.1 port {port} is no Redis; "
            "correct the address.\n"
        )


def test_a_server_that_drips_is_waited_for_no_longer_than_a_silent_one(
    refuse: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.reach, "PATIENCE", 0.3)
    enough = Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                while not enough.wait(0.05):
                    connection.sendall(b"+")

        Thread(target=drip, daemon=True).start()
        said = refuse("worker", REDIS_URL=f"redis://127.0.0.1:{listener.getsockname()[1]}")
        assert not enough.is_set()
        enough.set()
    assert "does not answer as it should (no answer in time); restart that server" in said


@pytest.fixture
def tls_redis(tmp_path: Path) -> Iterator[int]:
    """The port of what greets as a Redis does, over TLS; who vouches for it is in ca.pem."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):  # of a listener that is closed
                while True:
                    raw, _ = listener.accept()
                    with raw, suppress(OSError), context.wrap_socket(raw, server_side=True) as one:
                        one.recv(1000)
                        one.sendall(b"+PONG\r\n+OK\r\n")

        Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def test_a_certificate_of_redis_that_is_not_valid_is_one_line(refuse: Refuse, tls_redis: int) -> None:
    said = refuse("worker", REDIS_URL=f"rediss://127.0.0.1:{tls_redis}")
    assert said.startswith(
        f"statuswire: REDIS_URL cannot be used: what listens at 127.0.0.1 port {tls_redis} does not answer "
        "as it should (its certificate is not valid: "
    )
    assert said.count("\n") == 1
    said = refuse("worker", REDIS_URL=f"rediss://127.0.0.1:{tls_redis}?ssl_ca_certs=/nowhere.pem")
    assert "(No such file or directory)" in said


def test_a_certificate_of_redis_that_is_vouched_for_is_enough(tls_redis: int, tmp_path: Path) -> None:
    for option in (f"ssl_ca_certs={tmp_path}/ca.pem", "ssl_cert_reqs=none"):
        redis_answers(Config.read({"REDIS_URL": f"rediss://127.0.0.1:{tls_redis}?{option}"}))


def test_a_redis_without_tls_is_one_line_for_a_rediss_url(refuse: Refuse) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def reply() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.recv(1000)
                connection.sendall(b"-ERR unknown command\r\n")

        Thread(target=reply, daemon=True).start()
        said = refuse("worker", REDIS_URL=f"rediss://127.0.0.1:{listener.getsockname()[1]}")
    assert "does not answer as it should ([SSL" in said
    assert said.count("\n") == 1


def test_a_host_with_no_name_at_all_is_one_line(refuse: Refuse) -> None:
    for host in (f"{'x' * 70}.example", "a..b"):
        assert refuse("worker", REDIS_URL=f"redis://{host}") == (
            f"statuswire: REDIS_URL cannot be reached: nothing answers at {host} port 6379 "
            "(no host can have that name); start that server, or correct the address.\n"
        )


def test_a_socket_whose_path_is_too_long_is_one_line(refuse: Refuse) -> None:
    assert "(AF_UNIX path too long); start" in refuse("worker", REDIS_URL=f"unix:///{'x' * 200}")


def test_a_config_file_that_can_have_no_such_name_is_one_line(refuse: Refuse) -> None:
    said = refuse("up", "--port", str(free_port()), "--config", "x" * 300)
    assert said == f"{'x' * 300}: it cannot be read (File name too long): give the name of a YAML file\n"


@pytest.mark.parametrize("command", ["up", "web"])
def test_mistakes_in_the_config_file_are_named_before_anything_starts(
    command: str, refuse: Refuse, redis_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "statuswire.yaml"
    file.write_text("components:\n  - nam: A\n")
    assert refuse(command, REDIS_URL=redis_url).startswith("statuswire.yaml:2: ")
    assert list(tmp_path.iterdir()) == [file]


def test_a_process_refuses_as_the_command_does() -> None:
    with Statuswire("up", PORT="8x") as process:
        assert process.run() == 2
        assert process.logs == "statuswire: PORT is '8x'; it must be a whole number from 1 to 65535.\n"


def test_a_host_that_never_answers_is_given_up() -> None:
    # A listener whose queue is full lets a connection hang, as a firewall does that drops.
    with socket.socket() as full, socket.socket() as first:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        first.connect(full.getsockname())
        with pytest.raises(Refused, match=r"^REDIS_URL cannot be reached: .* \(no answer in time\);"):
            reach("REDIS_URL", f"redis://127.0.0.1:{full.getsockname()[1]}", 6379, patience=0.2)


def test_a_supervised_child_waits_for_a_redis_that_is_down() -> None:
    dead = f"redis://127.0.0.1:{free_port()}"
    environ = {"REDIS_URL": dead, "DATABASE_URL": "sqlite:///none.db", "PORT": str(free_port())}
    with Statuswire("web", STATUSWIRE_SUPERVISED="1", **environ) as web:
        assert web.run() == 1
        assert "There is no database none.db yet" in web.logs
        assert "REDIS_URL" not in web.logs
