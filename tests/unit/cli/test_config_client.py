"""`symphony-auth-proxy config client`: what to put into a bot's own configuration."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from pki import client_certificate, rsa_key
from support.bdk import VERSIONS
from support.configuration import change
from support.environments import node_modules_with, program, python_with
from support.processes import environment
from symphony_auth_proxy.certificates import certificates_pem, private_key_pem
from symphony_auth_proxy.cli import cli, main
from symphony_auth_proxy.cli.config import config

PASSWORD = "hunter2-canary"
CONFIG = f"""
host: acme.symphony.com
agent: {{host: agent.acme.example, port: 8443, context: /gateway}}
keyManager: {{host: km.acme.example}}
sessionAuth: {{host: acme-api.symphony.com}}
proxy: {{host: corporate.acme, port: 3128, username: me, password: {PASSWORD}}}
defaultHeaders: {{X-Api-Key: {PASSWORD}}}
bot: {{username: pricing-bot, privateKey: {{path: bot.pem}}}}
authProxy:
  answerLogins: true
  bots:
    - username: quotes-bot
      privateKey: {{path: bot.pem}}
      host: beta.symphony.com
      listen: 127.0.0.1:8081
    - {{username: certificate-bot, certificate: {{path: combined.pem}}}}
  clients:
    - {{name: pricing, password: {PASSWORD}, bots: [pricing-bot, certificate-bot]}}
    - {{name: "no", password: {PASSWORD}, bots: [quotes-bot, pricing-bot]}}
    - {{name: people, password: {PASSWORD}, onBehalfOf: any}}
app: {{appId: my-app, privateKey: {{path: bot.pem}}}}
"""
"""A client is called `no`, which is a boolean in YAML 1.1, the BDK's."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    key = private_key_pem(rsa_key())
    certificate = certificates_pem(client_certificate("certificate-bot").chain)
    (tmp_path / "bot.pem").write_bytes(key)
    (tmp_path / "combined.pem").write_bytes(key + certificate)
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


def run(file: Path, sdk: str, *arguments: str) -> Result:
    return CliRunner().invoke(
        config, ["client", "--for", sdk, "--config", str(file), *arguments], catch_exceptions=False
    )


def snippet(file: Path, sdk: str, *arguments: str) -> Any:
    result = run(file, sdk, *arguments)
    assert result.exit_code == 0, result.output
    assert PASSWORD not in result.output
    document = YAML(typ="safe", pure=True).load(io.StringIO(result.stdout))
    return document["bdk"] if sdk == "spring" else document


SDKS = ["bdk-python", "bdk-java", "spring"]


@pytest.mark.parametrize("sdk", SDKS)
def test_hosts_bot_and_proxy_are_what_the_bot_needs(file, sdk):
    document = snippet(file, sdk, "--client", "pricing")

    assert document["host"] == "acme.symphony.com"
    assert document["agent"] == {"host": "agent.acme.example", "port": 8443, "context": "/gateway"}
    assert document["keyManager"] == {"host": "km.acme.example"}
    assert document["bot"]["username"] == "pricing-bot"
    assert document["proxy"] == {
        "host": "127.0.0.1",
        "port": 8080,
        "username": "pricing",
        "password": "${SYMPHONY_PROXY_PASSWORD}",
    }


def test_the_trust_store_is_the_one_that_the_sdk_reads(file):
    python = snippet(file, "bdk-python", "--client", "pricing")["ssl"]["trustStore"]

    assert python == {"path": str(file.parent / "certs" / "ca" / "mitmproxy-ca-cert.pem")}
    for sdk in ("bdk-java", "spring"):
        java = snippet(file, sdk, "--client", "pricing")["ssl"]["trustStore"]
        assert java["path"] == "proxy-ca.p12"
        assert java["password"], "BDK Java ignores a trust store without one"


@pytest.mark.parametrize("sdk", SDKS)
def test_a_bot_s_own_listener_and_place_are_used(file, sdk):
    document = snippet(file, sdk, "--bot", "quotes-bot")

    assert document["host"] == "beta.symphony.com"
    assert "agent" not in document
    assert document["proxy"]["port"] == 8081
    assert document["proxy"]["username"] == "no", "the only client that is granted it"


@pytest.mark.parametrize("sdk", SDKS)
def test_with_answered_logins_any_key_does(file, sdk):
    result = run(file, sdk, "--client", "pricing", "--bot", "certificate-bot")

    assert "symphony-auth-proxy keys rsa throw-away" in result.stdout
    document = snippet(file, sdk, "--client", "pricing", "--bot", "certificate-bot")
    assert document["bot"] == {
        "username": "certificate-bot",
        "privateKey": {"path": "throw-away.pem"},
    }


@pytest.mark.parametrize(
    ("bot", "words"),
    [("pricing-bot", "Its `privateKey` stays"), ("certificate-bot", "cannot pass the proxy")],
)
def test_without_answered_logins_the_bot_is_told_what_becomes_of_its_own(file, bot, words):
    with change(file) as document:
        document["authProxy"]["answerLogins"] = False

    result = run(file, "bdk-java", "--client", "pricing", "--bot", bot)

    assert words in result.stdout
    assert "answerLogins: true" in result.stdout
    assert "throw-away.pem" not in result.stdout


@pytest.mark.parametrize("sdk", SDKS)
def test_without_clients_there_are_no_credentials(file, sdk):
    with change(file) as document:
        del document["authProxy"]["clients"]

    assert snippet(file, sdk)["proxy"] == {"host": "127.0.0.1", "port": 8080}


@pytest.mark.parametrize(
    ("listen", "host", "ca"),
    [
        ("0.0.0.0:8080", "PROXY-HOST", "proxy-ca.pem"),
        ("10.0.0.1:8080", "10.0.0.1", "proxy-ca.pem"),
        ("proxy.acme.example:8080", "proxy.acme.example", "proxy-ca.pem"),
        ("'[::1]:8080'", "[::1]", "mitmproxy-ca-cert.pem"),
    ],
)
def test_the_proxy_s_address_is_one_that_the_bot_can_reach(file, listen, host, ca):
    file.write_text(CONFIG.replace("answerLogins: true", f"listen: {listen}"))

    document = snippet(file, "bdk-python", "--client", "pricing")

    assert document["proxy"]["host"] == host
    assert Path(document["ssl"]["trustStore"]["path"]).name == ca


def test_agents_behind_a_load_balancer_are_left_to_bdk_java(file):
    with change(file) as document:
        document["agent"] = {"loadBalancing": {"nodes": [{"host": "a"}, {"host": "b"}]}}

    assert "agent" not in snippet(file, "bdk-java", "--client", "pricing")
    assert snippet(file, "bdk-python", "--client", "pricing")["agent"] == {"host": "a"}


def test_node_gets_both_proxy_urls_and_what_json_has_no_place_for_on_standard_error(file):
    result = run(file, "node", "--client", "pricing")
    document = json.loads(result.stdout)

    for name in ("proxy", "keyManagerProxy"):
        assert document[f"{name}URL"] == "http://127.0.0.1:8080"
        assert document[f"{name}Username"] == "pricing"
        assert document[f"{name}Password"] == "${SYMPHONY_PROXY_PASSWORD}"
    assert document["agentHost"] == "agent.acme.example"
    assert document["agentPort"] == 8443
    assert document["agentContextPath"] == "/gateway"
    assert document["keyAuthHost"] == "km.acme.example"
    assert document["botUsername"] == "pricing-bot"
    assert document["botPrivateKeyName"] == "throw-away.pem"
    assert "NODE_EXTRA_CA_CERTS=" in result.stderr
    assert PASSWORD not in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name one of the clients: pricing, no, people"),
        (("--client", "zebra"), "name one of the clients"),
        (("--client", "people"), "granted no bot"),
        (("--client", "pricing", "--bot", "quotes-bot"), "pricing-bot, certificate-bot"),
        (("--bot", "zebra"), "name one of the clients"),
    ],
)
def test_a_choice_that_cannot_be_made_is_wrong_usage(file, arguments, words):
    result = run(file, "bdk-python", *arguments)

    assert result.exit_code == 2
    assert words in result.stderr


def test_a_port_that_changes_at_each_start_cannot_be_configured(file, monkeypatch, capsys):
    file.write_text(CONFIG.replace("answerLogins: true", "listen: 127.0.0.1:0"))
    words = [
        "config",
        "client",
        "--for",
        "bdk-python",
        "--client",
        "pricing",
        "--config",
        str(file),
    ]
    monkeypatch.setattr("sys.argv", ["symphony-auth-proxy", *words])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 78
    assert "authProxy.listen: has port 0" in capsys.readouterr().err


@pytest.mark.parametrize("sdk", [*SDKS, "node"])
@pytest.mark.parametrize("listen", ["127.0.0.1:8080", "0.0.0.0:8080"])
def test_every_command_that_is_named_exists(file, sdk, listen):
    file.write_text(CONFIG.replace("answerLogins: true", f"answerLogins: true\n  listen: {listen}"))
    lines = re.findall("symphony-auth-proxy (.+)", run(file, sdk, "--client", "pricing").output)

    assert lines
    for words in map(shlex.split, lines):
        group, command = click.Context(cli), cli
        while isinstance(command, click.Group):
            name, found, words = command.resolve_command(group, words)  # noqa: PLW2901
            assert found is not None
            command = found
        command.make_context(name, words)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_real_bdk_for_python_understands_it(file, version, tmp_path):
    (tmp_path / "bot.yaml").write_text(run(file, "bdk-python", "--client", "no").stdout)
    code = """
from symphony.bdk.core.config.loader import BdkConfigLoader
config = BdkConfigLoader.load_from_file("bot.yaml")
for server in (config.pod, config.agent, config.key_manager):
    print(server.get_base_path(), server.proxy.get_url(), server.proxy.get_credentials())
print(config.bot.username, config.bot.is_rsa_authentication_configured())
print(config.ssl.trust_store_path)
"""
    output = subprocess.run(
        [python_with(f"symphony-bdk-python=={version}"), "-c", code],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.splitlines()

    way = "http://127.0.0.1:8080 no:${SYMPHONY_PROXY_PASSWORD}"
    assert output == [
        f"https://acme.symphony.com:443 {way}",
        f"https://agent.acme.example:8443/gateway {way}",
        f"https://km.acme.example:443 {way}",
        "pricing-bot True",
        str(tmp_path / "certs" / "ca" / "mitmproxy-ca-cert.pem"),
    ]


def test_the_real_client_for_node_understands_it(file, tmp_path):
    (tmp_path / "bot.json").write_text(run(file, "node", "--client", "pricing").stdout)
    modules = node_modules_with("symphony-api-client-node@1.1.4")
    code = f"""
const loader = require({json.dumps(f"{modules}/symphony-api-client-node/lib/SymConfigLoader")});
loader.loadFromFile("bot.json").then((config) => {{
  for (const name of ["podProxy", "agentProxy", "keyManagerProxy"])
    console.log(name, config[name].proxy.host, config[name].proxy.port, config[name].proxy.auth);
}});
"""
    output = subprocess.run(
        [program("node"), "-e", code],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.splitlines()

    credentials = "127.0.0.1 8080 pricing:${SYMPHONY_PROXY_PASSWORD}"
    assert output == [
        f"{name} {credentials}" for name in ("podProxy", "agentProxy", "keyManagerProxy")
    ]
