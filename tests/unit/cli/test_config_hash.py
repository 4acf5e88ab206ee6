"""`symphony-auth-proxy config hash`: a client's password becomes its hash."""

from __future__ import annotations

import os

import pytest
from click.testing import CliRunner

from support.environments import own_script
from support.processes import environment, running
from symphony_auth_proxy.cli.config import config
from symphony_auth_proxy.passwords import HashedPassword, check_hash
from symphony_auth_proxy.secret import Secret

PASSWORD = "correct: hörse battery"


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_in_a_pipe_the_password_is_the_one_line(ending):
    result = CliRunner().invoke(config, ["hash"], input=PASSWORD + ending)

    assert result.exit_code == 0
    assert result.stderr == ""
    phc = Secret(result.stdout.removesuffix("\n"))
    check_hash(phc)
    assert HashedPassword(phc).matches(PASSWORD)


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"a\nb\n", b"correct\thorse", b"correct\xff", b"a" * 100_000]
)
def test_what_cannot_be_a_password_is_refused_and_not_repeated(data):
    result = CliRunner().invoke(config, ["hash"], input=data)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert "This cannot be a password" in result.stderr
    assert "horse" not in result.stderr


def test_a_short_password_is_hashed_with_a_warning():
    result = CliRunner().invoke(config, ["hash"], input="short\n")

    assert result.exit_code == 0
    assert "12 characters or more" in result.stderr
    assert HashedPassword(Secret(result.stdout.strip())).matches("short")


def test_a_password_is_never_taken_from_the_command_line():
    assert CliRunner().invoke(config, ["hash", PASSWORD]).exit_code == 2


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_on_a_terminal_the_password_is_asked_for_twice_and_not_shown(tmp_path):
    command = (own_script("symphony-auth-proxy"), "config", "hash")
    with running(*command, env=environment(tmp_path), terminal=True) as child:
        child.seen("Password: ")
        child.press("correct horse battery\n")
        child.seen("Repeat for confirmation: ")
        child.press("correct horse battery\n")
        found = child.seen(r"\$argon2id\$\S+")
        assert child.exit_code() == 0

    assert "horse" not in child.output
    assert HashedPassword(Secret(found[0])).matches("correct horse battery")
