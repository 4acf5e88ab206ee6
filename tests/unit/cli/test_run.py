"""`run` says what is wrong before anything is started; tests/clients has the rest of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pki import rsa_key
from symphony_auth_proxy.certificates import private_key_pem
from symphony_auth_proxy.cli.run import run as command
from symphony_auth_proxy.errors import ConfigError

CONFIG = """\
host: acme.symphony.com
bot: {username: pricing-bot, privateKey: {path: bot.pem}}
authProxy:
  clients:
    - {name: desk, passwordFile: password, bots: [pricing-bot]}
    - {name: office, passwordFile: password, bots: [pricing-bot]}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files = {"config.yaml": CONFIG, "password": "a password of a client"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "bot.pem").write_bytes(private_key_pem(rsa_key()))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


@pytest.mark.parametrize("arguments", [(), ("--",), ("--no-such-option", "true")])
def test_it_needs_a_command(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_one_of_several_clients_must_be_named() -> None:
    told = run("true")
    assert told.exit_code == 2
    assert "desk, office" in told.output


def test_the_client_must_be_known() -> None:
    assert "desk, office" in run("--client", "nobody", "true").output


def test_a_client_can_be_named_only_where_there_are_some(here: Path) -> None:
    (here / "config.yaml").write_text(CONFIG.partition("authProxy")[0])
    told = run("--client", "desk", "true")
    assert told.exit_code == 2
    assert "no clients are configured" in told.output


def test_a_ca_for_other_hosts_ends_it(here: Path) -> None:
    from symphony_auth_proxy.ca import authority

    authority.ensure(here / "certs" / "ca", ["other.example"])
    told = run("--client", "desk", "true")
    assert isinstance(told.exception, ConfigError)
    assert "is not for acme.symphony.com" in str(told.exception)


def test_its_help_says_what_clients_mean_for_it() -> None:
    assert "the rights of the client NAME" in " ".join(run("--help").output.split())
