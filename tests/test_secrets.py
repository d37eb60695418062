"""What is sealed is read by whoever has the key, and by nobody else; and the key may be changed."""

import multiprocessing
import stat
from pathlib import Path

import pytest

from app.config import Config, ConfigError
from app.security.secrets import MASK, BadKey, Secrets, Unreadable, mask, read_secrets

OLD, NEW = "o" * 32, "n" * 32


def test_a_key_is_changed_while_both_open() -> None:
    before, meanwhile, afterwards = Secrets([OLD]), Secrets([NEW, OLD]), Secrets([NEW])
    sealed = before.seal("JBSWY3DP")
    assert "JBSWY3DP" not in sealed
    assert meanwhile.open(sealed) == "JBSWY3DP"
    with pytest.raises(Unreadable):
        afterwards.open(sealed)
    resealed = meanwhile.reseal(sealed)
    assert afterwards.open(resealed) == "JBSWY3DP"
    with pytest.raises(Unreadable):
        before.open(resealed)
    for rubbish in ("", "x", sealed[:-4], "ä"):
        with pytest.raises(Unreadable):
            before.open(rubbish)


def test_what_is_derived_is_the_same_for_all_who_have_the_key_and_says_nothing_of_it() -> None:
    assert Secrets([OLD, NEW]).derive("set-up") == Secrets([OLD]).derive("set-up")
    assert Secrets([OLD]).derive("set-up") != Secrets([OLD]).derive("other")
    assert Secrets([OLD]).derive("set-up") != Secrets([NEW]).derive("set-up")


def config(folder: Path, **environ: str) -> Config:
    return Config.read({"STATUSWIRE_DATA": str(folder), **environ})


def seal(folder: Path) -> str:
    return read_secrets(config(folder)).seal("x")


def test_the_first_start_makes_a_key_for_its_owner_alone_and_of_many_one(tmp_path: Path) -> None:
    # Not by fork: this process has threads, and one of them may hold a lock just then.
    with multiprocessing.get_context("forkserver").Pool(4) as pool:
        sealed = pool.map(seal, [tmp_path] * 8)
    assert {read_secrets(config(tmp_path)).open(each) for each in sealed} == {"x"}
    assert [file.name for file in tmp_path.iterdir()] == ["secret.key"]
    assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600


def test_a_key_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "secret.key").mkdir()
    with pytest.raises(BadKey, match=r"cannot be used: .*; make it readable"):
        read_secrets(config(tmp_path))
    with pytest.raises(ConfigError, match="too short") as refused:
        config(tmp_path, STATUSWIRE_SECRET_KEY="hunter2")
    assert "hunter2" not in str(refused.value)
    given = read_secrets(config(tmp_path, STATUSWIRE_SECRET_KEY=f"{NEW}, {OLD}"))
    assert given.open(Secrets([OLD]).seal("x")) == "x"


def test_a_mask_does_not_tell_how_long_a_secret_is() -> None:
    assert mask("a") == mask("a much longer one") == MASK
    assert mask("") == ""
