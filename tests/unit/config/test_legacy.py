"""The older SDKs' flat files are answered with the same settings in the BDK's form."""

from __future__ import annotations

import json

import pytest

from symphony_auth_proxy import config
from symphony_auth_proxy.errors import ConfigError
from symphony_auth_proxy.model import Origin

CANARY = "hunter2-canary"
RSA = {
    "sessionAuthHost": "acme-api.symphony.com",
    "sessionAuthPort": 8444,
    "keyAuthHost": "km.acme.example",
    "keyAuthPort": "8444",
    "podHost": "acme.symphony.com",
    "podPort": 443,
    "agentHost": "agent.acme.example",
    "agentPort": 443,
    "agentContextPath": "/gateway",
    "botUsername": "pricing-bot",
    "botPrivateKeyPath": "keys/",
    "botPrivateKeyName": "bot.pem",
    "botCertPath": "",
    "botCertName": "",
    "botCertPassword": "",
    "proxyURL": f"http://url-user:{CANARY}@proxy.acme:3128",
    "proxyPassword": CANARY,
    "truststorePath": "ca.pem",
    "truststorePassword": CANARY,
    "authTokenRefreshPeriod": "30",
}


def answer(workplace, document: dict[str, object]) -> str:
    path = workplace.write(json.dumps(document), "config.json")
    with pytest.raises(ConfigError) as caught:
        config.load(path, environ=workplace.environ)
    (problem,) = caught.value.problems
    return problem.message


def translation(message: str) -> str:
    """Return the YAML of the answer."""
    return "\n".join(line[6:] for line in message.splitlines()[1:])


def test_the_translation_keeps_everything_but_the_passwords(workplace):
    message = answer(workplace, RSA)

    assert CANARY not in message
    assert (
        translation(message).strip()
        == """\
host: acme.symphony.com
proxy:
  host: proxy.acme
  port: 3128
  username: url-user
  password: ${PROXY_PASSWORD}
agent:
  host: agent.acme.example
  context: /gateway
keyManager:
  host: km.acme.example
  port: 8444
sessionAuth:
  host: acme-api.symphony.com
  port: 8444
bot:
  username: pricing-bot
  privateKey:
    path: keys/bot.pem
ssl:
  trustStore:
    path: ca.pem
    passwordFile: certs/truststore.password"""
    )


def test_the_translation_is_a_configuration_that_loads(workplace):
    legacy = {**RSA, "botPrivateKeyPath": "", "truststorePassword": ""}

    settings = workplace.load(translation(answer(workplace, legacy)), PROXY_PASSWORD="x")

    assert settings.bots[0].pod.key_manager.origin == Origin("km.acme.example", 8444)


def test_a_certificate_and_a_proxy_of_one_component_are_translated(workplace):
    message = answer(
        workplace,
        {
            "podHost": "acme.symphony.com",
            "keyAuthHost": "acme.symphony.com",
            "keyManagerProxyURL": "http://km-proxy:8080",
            "botUsername": "pricing-bot",
            "botCertPath": "certs",
            "botCertName": "bot.p12",
            "botCertPassword": CANARY,
        },
    )

    assert CANARY not in message
    assert (
        translation(message).strip()
        == """\
host: acme.symphony.com
keyManager:
  proxy:
    host: km-proxy
    port: 8080
bot:
  username: pricing-bot
  certificate:
    path: certs/bot.p12
    passwordFile: certs/bot.password"""
    )


@pytest.mark.parametrize(
    "document",
    [
        {"podHost": f"https://me:{CANARY}@acme", "botUsername": ["x"]},
        {"botPrivateKeyName": 5, "podPort": CANARY, "proxyURL": f"http://[{CANARY}"},
        {"botCertName": "x", "botCertPassword": {"a": CANARY}, "podProxyURL": f"{CANARY}"},
    ],
)
def test_odd_values_are_left_out(workplace, document):
    message = answer(workplace, document)

    assert "older Symphony SDK" in message
    assert CANARY not in message
