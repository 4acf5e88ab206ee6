"""The key of the placeholders, on disk."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from symphony_auth_proxy.errors import ConfigError
from symphony_auth_proxy.placeholder_key import NAME, load_or_create

POSIX = pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")


def test_the_key_is_made_once_and_stays(tmp_path: Path) -> None:
    key = load_or_create(tmp_path / "ca")
    assert len(key) == 32
    assert load_or_create(tmp_path / "ca") == key
    assert [path.name for path in (tmp_path / "ca").iterdir()] == [NAME]


def test_two_installations_have_different_keys(tmp_path: Path) -> None:
    assert load_or_create(tmp_path / "one") != load_or_create(tmp_path / "other")


@POSIX
def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    load_or_create(tmp_path / "ca")
    assert (tmp_path / "ca" / NAME).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "ca").stat().st_mode & 0o777 == 0o700


def test_a_replica_uses_a_copy(tmp_path: Path) -> None:
    key = load_or_create(tmp_path / "one")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / NAME).write_bytes((tmp_path / "one" / NAME).read_bytes())
    (tmp_path / "other" / NAME).chmod(0o600)
    assert load_or_create(tmp_path / "other") == key


def test_all_that_start_at_once_agree(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(4) as pool:
        keys = pool.map(load_or_create, [tmp_path / str(n // 8) for n in range(32)], chunksize=1)
    assert len(set(keys)) == 4
    assert sorted(path.name for path in tmp_path.rglob("*.key*")) == [NAME] * 4


def test_a_key_that_appears_meanwhile_is_the_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def another_is_faster(_unfinished: str, path: Path) -> None:
        path.write_text("ab" * 32)
        path.chmod(0o600)
        raise FileExistsError

    monkeypatch.setattr(os, "link", another_is_faster)
    assert load_or_create(tmp_path) == bytes.fromhex("ab" * 32)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


@POSIX
@pytest.mark.parametrize("mode", [0o604, 0o644, 0o602, 0o620, 0o666])
def test_a_key_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    load_or_create(tmp_path)
    (tmp_path / NAME).chmod(mode)
    with pytest.raises(ConfigError, match=r"placeholder\.key: is open to other users.*chmod 600"):
        load_or_create(tmp_path)


@POSIX
@pytest.mark.parametrize("mode", [0o400, 0o440, 0o640])
def test_a_mounted_secret_is_accepted(tmp_path: Path, mode: int) -> None:
    key = load_or_create(tmp_path)
    (tmp_path / NAME).chmod(mode)
    assert load_or_create(tmp_path) == key


@pytest.mark.parametrize(
    "content", [b"", b"ab" * 31, b"no key at all" * 5, b"\xff" * 64, b"ab" * 4096]
)
def test_a_file_that_holds_no_key_is_refused_without_quoting_it(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / NAME
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="does not hold a key") as caught:
        load_or_create(tmp_path)
    assert not content or content.decode("latin-1") not in str(caught.value)
    assert path.read_bytes() == content, "it is not ours to overwrite"


def test_a_longer_key_of_a_persons_own_is_fine(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("cd" * 64)
    (tmp_path / NAME).chmod(0o600)
    assert load_or_create(tmp_path) == bytes.fromhex("cd" * 64)


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be used"):
        load_or_create(tmp_path / "file" / "ca")
