"""What is sealed is read by whoever has the key, and by nobody else; and the key may be changed."""

import base64
import multiprocessing
import stat
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from app.config import Config, ConfigError
from app.security.secrets import MASK, BadKey, Secrets, Unreadable, mask, read_secrets

OLD, NEW = "o" * 32, "n" * 32


def test_a_key_is_changed_while_both_open() -> None:
    before, meanwhile, afterwards = Secrets([OLD]), Secrets([NEW, OLD]), Secrets([NEW])
    sealed = before.seal("JBSWY3DP", "x")
    assert "JBSWY3DP" not in sealed
    assert meanwhile.open(sealed, "x") == "JBSWY3DP"
    with pytest.raises(Unreadable):
        afterwards.open(sealed, "x")
    resealed = meanwhile.reseal(sealed, "x")
    assert afterwards.open(resealed, "x") == "JBSWY3DP"
    with pytest.raises(Unreadable):
        before.open(resealed, "x")
    for rubbish in ("", "x", sealed[:-4], "ä"):
        with pytest.raises(Unreadable):
            before.open(rubbish, "x")


def unbound(text: str, key: str) -> str:
    """As servers sealed it before what is sealed said what it is for."""
    name = base64.urlsafe_b64encode(sha256(b"statuswire seal" + key.encode()).digest())
    return Fernet(name).encrypt(text.encode()).decode()


def test_what_is_sealed_for_one_thing_opens_as_nothing_else() -> None:
    secrets = Secrets([NEW, OLD])
    sealed = secrets.seal("JBSWY3DP", "second factor of mei")
    for purpose in ("second factor of ben", "second factor of me", "second factor of mei2", "", "answer 1"):
        with pytest.raises(Unreadable):
            secrets.open(sealed, purpose)
        with pytest.raises(Unreadable):
            secrets.reseal(sealed, purpose)
    odd = "\x01a\x00b"
    assert secrets.open(secrets.seal(odd, "x"), "x") == odd


def test_what_was_sealed_before_opens_and_is_bound_when_it_is_sealed_anew() -> None:
    secrets = Secrets([NEW, OLD])
    old = unbound("JBSWY3DP", OLD)
    assert secrets.open(old, "one") == secrets.open(old, "two") == "JBSWY3DP"
    anew = secrets.reseal(old, "one")
    assert Secrets([NEW]).open(anew, "one") == "JBSWY3DP"
    with pytest.raises(Unreadable):
        secrets.open(anew, "two")


def test_what_is_derived_is_the_same_for_all_who_have_the_key_and_says_nothing_of_it() -> None:
    assert Secrets([OLD, NEW]).derive("set-up") == Secrets([OLD]).derive("set-up")
    assert Secrets([OLD]).derive("set-up") != Secrets([OLD]).derive("other")
    assert Secrets([OLD]).derive("set-up") != Secrets([NEW]).derive("set-up")


def config(folder: Path, **environ: str) -> Config:
    return Config.read({"STATUSWIRE_DATA": str(folder), **environ})


def seal(folder: Path) -> str:
    return read_secrets(config(folder)).seal("x", "y")


def test_the_first_start_makes_a_key_for_its_owner_alone_and_of_many_one(tmp_path: Path) -> None:
    # Not by fork: this process has threads, and one of them may hold a lock just then.
    with multiprocessing.get_context("forkserver").Pool(4) as pool:
        sealed = pool.map(seal, [tmp_path] * 8)
    assert {read_secrets(config(tmp_path)).open(each, "y") for each in sealed} == {"x"}
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
    assert given.open(Secrets([OLD]).seal("x", "y"), "y") == "x"


def test_a_mask_does_not_tell_how_long_a_secret_is() -> None:
    assert mask("a") == mask("a much longer one") == MASK
    assert mask("") == ""
