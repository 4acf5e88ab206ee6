"""`symphony-auth-proxy config …` as a person types it."""

from __future__ import annotations

import errno
import json
import os
import re

import pytest
from click.testing import CliRunner

from pki import rsa_key
from symphony_auth_proxy import cli
from symphony_auth_proxy.certificates import private_key_pem
from symphony_auth_proxy.cli.config import config

CONFIG = """
host: acme.symphony.com
bot: {username: pricing-bot, privateKey: {path: bot.pem}}
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "bot.pem").write_bytes(private_key_pem(rsa_key()))
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path / "config.yaml"


def test_show_prints_the_settings(file):
    result = CliRunner().invoke(config, ["show", "--config", str(file)])

    assert result.exit_code == 0
    assert "host: acme.symphony.com" in result.output


def test_show_finds_the_file_by_the_variable(file):
    environ = {"SYMPHONY_AUTH_PROXY_CONFIG": str(file)}

    assert CliRunner(env=environ).invoke(config, ["show"]).exit_code == 0


def test_an_unusable_file_ends_with_78_and_all_problems(file, capsys, monkeypatch):
    file.write_text("prot: 1\nhots: acme\n")
    monkeypatch.setattr("sys.argv", ["symphony-auth-proxy", "config", "show", f"--config={file}"])

    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert ended.value.code == 78
    message = capsys.readouterr().err
    for path in ("prot", "hots", "bot", "host"):
        assert f"  - {path}: " in message


def test_a_file_that_may_not_be_read_is_unusable_not_wrong_usage(file, capsys, monkeypatch):
    file.chmod(0)
    # What root may read all the same is refused here as it is to everybody else.
    monkeypatch.setattr("os.access", lambda *_, **__: False)
    monkeypatch.setattr("pathlib.Path.read_bytes", _refuse)
    monkeypatch.setattr("pathlib.Path.read_text", _refuse)
    monkeypatch.setattr("sys.argv", ["symphony-auth-proxy", "config", "show", f"--config={file}"])

    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert ended.value.code == 78
    assert "the file cannot be read: Permission denied" in capsys.readouterr().err


def _refuse(self, *_, **__):
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))


def test_show_writes_whole_seconds_as_people_do(file):
    result = CliRunner().invoke(config, ["show", "--config", str(file)])

    assert re.search(r"drainSeconds: 25\s", result.output)


def test_schema_prints_json(tmp_path):
    result = CliRunner().invoke(config, ["schema"])

    assert result.exit_code == 0
    assert json.loads(result.output)["$schema"].startswith("https://json-schema.org/")


@pytest.mark.parametrize("command", [[], ["show"], ["schema"], ["hash"], ["client"]])
def test_every_help_has_an_example(command):
    result = CliRunner().invoke(config, [*command, "--help"])

    assert "Examples:\n" in result.output
