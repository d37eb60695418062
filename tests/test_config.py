"""Every variable is read once; a bad one is answered with one sentence that says what would be right."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config import Config, ConfigError, places
from tests.services import ROOT


def test_an_empty_environment_is_a_whole_configuration() -> None:
    config = Config.read({})
    assert (config.host, config.port, config.redis_url) == ("127.0.0.1", 8000, None)
    assert (config.data, config.config_file) == (Path("data"), Path("statuswire.yaml"))
    assert (config.region, config.beat, config.supervised) == ("local", 5.0, False)
    assert config.sqlite_file == Path("data/statuswire.db")


def test_the_database_is_in_the_data_directory_unless_it_is_named() -> None:
    assert Config.read({"STATUSWIRE_DATA": "/srv/sw"}).database_url == "sqlite:////srv/sw/statuswire.db"
    named = Config.read({"STATUSWIRE_DATA": "/srv/sw", "DATABASE_URL": "sqlite:///other.db"})
    assert named.sqlite_file == Path("other.db")


def test_every_variable_of_ours_that_is_named_anywhere_may_stand_in_the_environment() -> None:
    """Whoever reads one or tells people to set it: it is no error for any other command."""
    told = [ROOT / "README.md", ROOT / "statuswire", ROOT / "docker-compose.yml", ROOT / "Procfile"]
    read = [file for folder in ("app", "workers") for file in (ROOT / folder).rglob("*.py")]
    whole = re.compile(r"\bSTATUSWIRE_[A-Z]+(?:_[A-Z]+)*\b(?!_)")
    named = {name for file in (*told, *read) for name in whole.findall(file.read_text())}
    assert named >= {"STATUSWIRE_URL", "STATUSWIRE_TOKEN", "STATUSWIRE_NO_UV", "STATUSWIRE_DATA"}
    for name in sorted(named):
        try:
            Config.read({name: "x"})
        except ConfigError as wrong:
            assert "is no setting" not in str(wrong)


def test_a_variable_that_is_set_to_nothing_counts_as_unset() -> None:
    blank = {"REDIS_URL": "", "DATABASE_URL": " ", "PORT": "", "STATUSWIRE_BEAT": ""}
    assert Config.read(blank) == Config.read({})


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:///a.db", Path("a.db")),
        ("sqlite:////srv/a%20b.db", Path("/srv/a b.db")),
        ("sqlite:a.db", Path("a.db")),
        ("postgres://u:p@h:5432/d", None),
        ("postgresql://u@/d?host=/run/pg", None),
        ("postgres://u:p@h1:5432,h2:5433/d", None),
    ],
)
def test_the_forms_of_a_database_url(url: str, file: Path | None) -> None:
    assert Config.read({"DATABASE_URL": url}).sqlite_file == file


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://u:p@h/d", [("h", 5432)]),
        ("postgres://u:p@h1:1,h2,h3:3/d", [("h1", 1), ("h2", 5432), ("h3", 3)]),
        ("postgres://[::1]:5433/d", [("::1", 5433)]),
        ("postgres:///d?host=/run/pg", [("/run/pg", 5432)]),
        ("postgres://u@/d?host=a,b&port=1,2", [("a", 1), ("b", 2)]),
        ("postgres:///d?host=a,b&port=7", [("a", 7), ("b", 7)]),
        ("unix:///run/a%20b.sock?db=1", [("/run/a b.sock", 5432)]),
    ],
)
def test_every_host_that_a_url_names_is_found(url: str, expected: list[tuple[str, int]]) -> None:
    assert places(url, 5432) == expected


@pytest.mark.parametrize(
    "url",
    [
        *("redis://h", "rediss://:p@h:6380/1", "unix:///run/redis.sock?db=1", "redis://[::1]:6379/0"),
        *("redis+sentinel://u:p@h1:1,h2,[::1]:3/my-master", "rediss+sentinel://h/m/3?sentinel_password=x"),
        *("redis+cluster://h1,h2:2", "rediss+cluster://u:p@h/0"),
        "redis://h/",
        "rediss://h?ssl_cert_reqs=none&ssl_ca_certs=/a.pem",
    ],
)
def test_the_forms_of_a_redis_url(url: str) -> None:
    assert Config.read({"REDIS_URL": url}).redis_url == url


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("[::1]", "http://[::1]:8000"),
        ("status.example", "http://status.example:8000"),
    ],
)
def test_the_url_is_one_that_a_browser_here_can_open(host: str, url: str) -> None:
    assert Config.read({"HOST": host}).url == url


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PORT", "80a", "PORT is '80a'; it must be a whole number from 1 to 65535."),
        ("PORT", "0", "PORT is '0'; it must be a whole number from 1 to 65535."),
        ("PORT", "65536", "PORT is '65536'; it must be a whole number from 1 to 65535."),
        ("PORT", "٨٠٠٠", "PORT is '٨٠٠٠'; it must be a whole number"),
        ("HOST", "a b", "HOST is 'a b'; it must be one address or name, such as 127.0.0.1 or 0.0.0.0."),
        ("HOST", "a..b", "HOST is 'a..b'; it must be one address or name, such as"),
        ("HOST", "a" * 64, f"HOST is '{'a' * 64}'; it must be one address or name, such as"),
        (
            "STATUSWIRE_DATA",
            "~nobody-like-it/x",
            "STATUSWIRE_DATA begins with ~nobody-like-it, and there is no",
        ),
        (
            "STATUSWIRE_CONFIG",
            "~nobody-like-it",
            "STATUSWIRE_CONFIG begins with ~nobody-like-it, and there is",
        ),
        (
            "STATUSWIRE_DATA",
            "/srv/\udcff",
            "STATUSWIRE_DATA has a character in it that is not UTF-8, or",
        ),
        ("STATUSWIRE_CONFIG", "a\x1b[31m", "STATUSWIRE_CONFIG has a character in it that is not UTF-8,"),
        ("DATABASE_URL", "sqlite:///a%00b", "DATABASE_URL has a blank or a control character in it; it must"),
        ("REDIS_URL", "unix:///a%00", "REDIS_URL has a blank or a control character in it; it must be"),
        (
            "STATUSWIRE_BEAT",
            "fast",
            "STATUSWIRE_BEAT is 'fast'; it must be a number of seconds from 0.2 to 60.",
        ),
        (
            "STATUSWIRE_BEAT",
            "0.1",
            "STATUSWIRE_BEAT is '0.1'; it must be a number of seconds from 0.2 to 60.",
        ),
        (
            "STATUSWIRE_BEAT",
            "nan",
            "STATUSWIRE_BEAT is 'nan'; it must be a number of seconds from 0.2 to 60.",
        ),
        ("STATUSWIRE_PROCESSES", "0", "STATUSWIRE_PROCESSES is '0'; it must be a whole number from 1 to 64"),
        ("STATUSWIRE_PROCESSES", "65", "STATUSWIRE_PROCESSES is '65'; it must be a whole number from 1 to"),
        ("STATUSWIRE_METRICS_PORT", "x", "STATUSWIRE_METRICS_PORT is 'x'; it must be a whole number from 1"),
        ("STATUSWIRE_REGION", "EU West", "STATUSWIRE_REGION is 'EU West'; it must be 1 to 32 of a-z"),
        ("STATUSWIRE_LOG", "xml", "STATUSWIRE_LOG is 'xml'; it must be console or json."),
        ("STATUSWIRE_LOG_LEVEL", "loud", "STATUSWIRE_LOG_LEVEL is 'loud'; it must be one of debug, info,"),
        (
            "STATUSWIRE_DTAA",
            "x",
            "STATUSWIRE_DTAA is no setting of Statuswire; did you mean STATUSWIRE_DATA?",
        ),
        (
            "STATUSWIRE_QQQ",
            "x",
            "STATUSWIRE_QQQ is no setting of Statuswire; the known ones are STATUSWIRE_BEAT,",
        ),
        ("DATABASE_URL", "mysql://h/d", "DATABASE_URL begins with mysql; it must be sqlite:///"),
        ("DATABASE_URL", "statuswire.db", "DATABASE_URL begins with no scheme; it must be sqlite:///"),
        ("DATABASE_URL", "sqlite://a.db", "DATABASE_URL has two slashes after sqlite:; write three before"),
        ("DATABASE_URL", "sqlite:///:memory:", "DATABASE_URL names no file; several processes share"),
        ("DATABASE_URL", "sqlite://", "DATABASE_URL names no file; several processes share"),
        ("DATABASE_URL", "postgres:///d", "DATABASE_URL names no host; it must be"),
        ("DATABASE_URL", "postgres://h/", "DATABASE_URL names no database after the host; it must be"),
        (
            "DATABASE_URL",
            "postgres://h:x/d",
            "DATABASE_URL has a host or port that cannot be read; it must be",
        ),
        ("DATABASE_URL", "postgres://h1:1,h2:x/d", "DATABASE_URL has a host or port that cannot be read;"),
        ("DATABASE_URL", "postgres://h1:1,:2/d", "DATABASE_URL names no host; it must be"),
        ("DATABASE_URL", "postgres:///d?host=h&port=x", "DATABASE_URL has a host or port that cannot be"),
        ("DATABASE_URL", "postgres://u:a b@h/d", "DATABASE_URL has a blank or a control character in it;"),
        ("REDIS_URL", "localhost:6379", "REDIS_URL begins with localhost; it must be redis://host:6379/0,"),
        ("REDIS_URL", "http://h", "REDIS_URL begins with http; it must be redis://host:6379/0,"),
        ("REDIS_URL", "redis://", "REDIS_URL names no host; it must be redis://host:6379/0,"),
        ("REDIS_URL", "unix://", "REDIS_URL names no socket; it must be redis://host:6379/0,"),
        ("REDIS_URL", "redis://h:port", "REDIS_URL has a host or port that cannot be read; it must be"),
        ("REDIS_URL", "redis+sentinel://h1,h2", "REDIS_URL must end with the name that the sentinels know"),
        (
            "REDIS_URL",
            "redis+sentinel://h/name/x",
            "REDIS_URL must end with the name that the sentinels know",
        ),
        ("REDIS_URL", "redis+sentinel:///name", "REDIS_URL names no host; it must be redis://host:6379/0,"),
        ("REDIS_URL", "redis+cluster://h1,:2", "REDIS_URL names no host; it must be redis://host:6379/0,"),
        ("REDIS_URL", "redis+cluster://h/1", "REDIS_URL names a database, and a Redis Cluster has only"),
        ("REDIS_URL", "unix+cluster:///s", "REDIS_URL begins with unix+cluster; it must be redis://host"),
        ("REDIS_URL", "redis+other://h", "REDIS_URL begins with redis+other; it must be redis://host"),
        ("REDIS_URL", "redis://a:1,b:2", "REDIS_URL names several hosts; only a Sentinel or Cluster has"),
        ("REDIS_URL", "redis://h/main", "REDIS_URL names a database that is no number; it must be redis://"),
        (
            "REDIS_URL",
            "redis://h?max_connections=1",
            "REDIS_URL has max_connections after the ?, which is not",
        ),
        (
            "REDIS_URL",
            "redis://h?ssl_cert_reqs=none",
            "REDIS_URL has ssl_cert_reqs after the ?, which is not",
        ),
        (
            "REDIS_URL",
            "redis://h?a%1b=1",
            "REDIS_URL has an option after the ?, which is not for it; take it",
        ),
        (
            "REDIS_URL",
            "unix:///s?db=x",
            "REDIS_URL has a wrong db after the ?; it must be there once, and be a",
        ),
        ("REDIS_URL", "unix:///s?db=1&db=2", "REDIS_URL has a wrong db after the ?; it must be there once,"),
        (
            "REDIS_URL",
            "rediss://h?ssl_cert_reqs=no",
            "REDIS_URL has a wrong ssl_cert_reqs after the ?; it must",
        ),
    ],
)
def test_a_bad_value_is_one_sentence_that_names_it_and_says_what_is_right(
    name: str, value: str, sentence: str
) -> None:
    with pytest.raises(ConfigError) as refusal:
        Config.read({name: value})
    assert str(refusal.value).startswith(sentence)
    assert str(refusal.value).count("\n") == 0


@pytest.mark.parametrize("name", ["REDIS_URL", "DATABASE_URL"])
@pytest.mark.parametrize("rest", ["@", "@h:x", "@h:1,b:2", "@h/ d"])
@pytest.mark.parametrize("scheme", ["redis", "postgres", "http", "redis+sentinel"])
def test_no_error_repeats_a_password(name: str, rest: str, scheme: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        Config.read({name: f"{scheme}://me:hunter2{rest}"})
    assert "hunter2" not in str(refusal.value)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "HOST": st.sampled_from(["0.0.0.0", "::", "localhost"]),
            "PORT": st.integers(1, 65535).map(str),
            "STATUSWIRE_DATA": st.sampled_from(["/srv/a b", "~/x", "."]),
            "STATUSWIRE_BEAT": st.floats(0.2, 60).map(repr),
            "STATUSWIRE_REGION": st.from_regex(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", fullmatch=True),
            "STATUSWIRE_LOG": st.sampled_from(["json", "console"]),
            "STATUSWIRE_LOG_LEVEL": st.sampled_from(["DEBUG", "warning"]),
            "STATUSWIRE_SUPERVISED": st.sampled_from(["0", "1"]),
            "STATUSWIRE_PROCESSES": st.integers(1, 64).map(str),
            "STATUSWIRE_PROCESS": st.integers(0, 64).map(str),
            "STATUSWIRE_METRICS_PORT": st.integers(1, 65535).map(str),
            "REDIS_URL": st.sampled_from(["redis://h", "unix:///s", "redis+sentinel://h/m"]),
        },
    )
)
def test_a_child_reads_the_same_config(environ: dict[str, str]) -> None:
    config = Config.read(environ)
    assert Config.read(config.environ()) == config


@given(st.text(), st.sampled_from(["PORT", "HOST", "DATABASE_URL", "REDIS_URL", "STATUSWIRE_BEAT"]))
def test_any_text_is_read_or_refused_and_nothing_else(text: str, name: str) -> None:
    try:
        config = Config.read({name: text})
    except ConfigError as refusal:
        assert "\n" not in str(refusal)
    else:
        assert config.url.startswith("http://")


def test_every_setting_is_in_the_readme() -> None:
    table = (ROOT / "README.md").read_text().partition("## Run it for real")[2].partition("\n## ")[0]
    # A parent says these to its children, and nobody else should.
    names = {*Config.read({}).environ(), "STATUSWIRE_NO_UV"} - {"STATUSWIRE_SUPERVISED", "STATUSWIRE_PROCESS"}
    assert sorted(name for name in names if f"`{name}`" not in table) == []
