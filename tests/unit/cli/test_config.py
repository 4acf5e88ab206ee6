"""`symphony-auth-proxy config …` as a person types it."""

from __future__ import annotations

import json

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


def test_schema_prints_json(tmp_path):
    result = CliRunner().invoke(config, ["schema"])

    assert result.exit_code == 0
    assert json.loads(result.output)["$schema"].startswith("https://json-schema.org/")


@pytest.mark.parametrize("command", [[], ["show"], ["schema"], ["hash"], ["client"]])
def test_every_help_has_an_example(command):
    result = CliRunner().invoke(config, [*command, "--help"])

    assert "Examples:\n" in result.output
