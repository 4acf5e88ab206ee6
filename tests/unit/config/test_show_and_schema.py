"""What people and editors are shown."""

from __future__ import annotations

import io

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from symphony_auth_proxy import config

CANARY = "hunter2-canary"
HASH = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$/pRvdSOOHDQ5lhzG28xm0v/kyvvYVjVc"
EVERYTHING = f"""
host: acme.symphony.com
proxy: {{host: proxy.acme, port: 3128, username: me, password: {CANARY}}}
defaultHeaders: {{X-Api-Key: {CANARY}}}
agent: {{host: agent.acme.example, port: "${{AGENT_PORT:-8443}}"}}
keyManager: {{host: km.acme.example, proxy: null}}
bot: {{username: pricing-bot, certificate: {{path: bot.p12, password: correct horse}}}}
app: {{appId: pricing-app, privateKey: {{content: "${{KEY}}"}}}}
ssl: {{trustStore: {{path: trust.p12}}}}
authProxy:
  clientTokens: replace
  bots:
    - {{username: other-bot, privateKey: {{path: encrypted.pem, passwordFile: password}}}}
    - username: third-bot
      privateKey: {{content: "${{KEY}}"}}
      listen: 127.0.0.1:8081
      host: beta.symphony.com
      proxy: {{host: other, port: 80, username: me, password: {CANARY}}}
      defaultHeaders: {{X-Api-Key: {CANARY}}}
  answerLogins: true
  admin: {{listen: 127.0.0.1:9090}}
  web: {{listen: 127.0.0.1:9091, password: {CANARY}, flows: 50}}
  clients:
    - {{name: one, password: {CANARY}, bots: [pricing-bot]}}
    - {{name: two, passwordFile: password, onBehalfOf: [alice, 71811853189212]}}
    - {{name: three, passwordHash: {HASH!r}, onBehalfOf: any}}
"""


@pytest.fixture
def shown(workplace) -> str:
    key = (workplace.directory / "bot.pem").read_text()
    return config.show(workplace.write(EVERYTHING), environ={**workplace.environ, "KEY": key})


def line(shown: str, text: str) -> str:
    return next(one for one in shown.splitlines() if text in one)


def test_no_secret_is_shown(shown):
    assert CANARY not in shown
    assert "correct horse" not in shown
    assert "PRIVATE KEY" not in shown
    assert "argon2" not in shown
    assert shown.count("***") == 22


def test_what_the_file_does_not_give_says_where_it_comes_from(shown):
    assert line(shown, "listen: 127.0.0.1:8080").endswith("# default")
    assert line(shown, "host: acme.symphony.com").endswith("# from the root")
    assert line(shown, "port: 443").endswith("# default")
    assert line(shown, "lifetime: auto").endswith("# default")
    assert line(shown, "directory: ").endswith("# default")
    assert line(shown, "host: beta.symphony.com").endswith("# from the bot")
    assert "#" not in line(shown, "port: 8443")
    assert "#" not in line(shown, "clientTokens: replace")


def test_warnings_and_the_file_s_place_are_shown(shown, workplace):
    assert shown.startswith(f"# {workplace.directory / 'config.yaml'}\n")
    assert "# Warnings\n# " in shown


def test_what_is_shown_loads_as_the_same_settings_but_for_the_secrets(workplace):
    plain = """
        host: acme.symphony.com
        context: /gateway
        proxy: {host: proxy.acme, port: 3128}
        agent: {loadBalancing: {nodes: [{host: a.acme.example}, {host: b.acme.example}]}}
        keyManager: {proxy: null}
        bot: {username: pricing-bot, privateKey: {path: encrypted.pem, passwordFile: password}}
        authProxy: {tokens: {lifetime: 2h}, ca: {directory: state}}
    """
    before = workplace.load(plain)

    assert workplace.load(config.show(before.source, environ=workplace.environ)) == before


def test_a_bot_s_own_place_loads_as_it_is_shown(workplace):
    key = "privateKey: {path: bot.pem}"
    before = workplace.load(f"""
        host: acme.symphony.com
        proxy: {{host: proxy.acme, port: 3128}}
        agent: {{host: agent.acme.example, proxy: null}}
        app: {{appId: pricing-app, {key}}}
        bot: {{username: pricing-bot, {key}}}
        authProxy:
          ca: {{directory: state}}
          clients: [{{name: a, passwordFile: password, bots: [a-bot], onBehalfOf: [alice, 12]}}]
          bots:
            - {{username: a-bot, {key}, keyManager: {{port: 8444}}}}
            - {{username: b-bot, {key}, host: beta.symphony.com, agent: {{host: agent.beta}}}}
            - {{username: c-bot, {key}, proxy: null}}
            - {{username: d-bot, {key}, host: d, app: {{appId: d, {key}}}, proxy: null}}
            - username: e-bot
              {key}
              host: e.symphony.com
              agent: {{proxy: null, loadBalancing: {{nodes: [{{host: e1}}, {{host: e2}}]}}}}
    """)

    assert workplace.load(config.show(before.source, environ=workplace.environ)) == before


def test_the_schema_is_one_and_takes_what_we_take():
    schema = config.json_schema()
    Draft202012Validator.check_schema(schema)
    document = YAML(typ="safe", pure=True).load(io.StringIO(EVERYTHING))

    assert list(Draft202012Validator(schema).iter_errors(document)) == []


@pytest.mark.parametrize(
    "document",
    [
        {"bot": {"username": "b"}, "prot": 1},
        {"bot": {"username": "b"}, "port": "many"},
        {"bot": {"username": "b"}, "scheme": "http"},
        {"bot": {"username": "b"}, "authProxy": {"clients": []}},
        {"bot": {"username": "b"}, "authProxy": {"clients": [{"name": "a:b"}]}},
        {"bot": {"username": "b"}, "authProxy": {"clients": [{"name": "a", "onBehalfOf": "x"}]}},
        {"bot": {"username": "b"}, "authProxy": {"answerLogins": "perhaps"}},
        {"bot": {"username": "b"}, "authProxy": {"bots": [{"username": "c", "ssl": {}}]}},
        {"bot": {"username": "b"}, "app": {"privateKeyPath": "a.pem"}},
        {
            "bot": {"username": "b"},
            "authProxy": {
                "bots": [{"username": "c", "app": {"appId": "a", "privateKeyPath": "a.pem"}}]
            },
        },
        {"bot": {"username": "b"}, "authProxy": {"tokens": {"store": "redis"}}},
        {"bot": {"username": "b", "privateKeyPath": 5}},
        {},
    ],
)
def test_the_schema_refuses_what_we_refuse(document):
    assert not Draft202012Validator(config.json_schema()).is_valid(document)


def test_the_schema_explains_the_keys():
    schema = config.json_schema()

    assert "/relay and /keyauth" in schema["properties"]["keyManager"]["description"]
    assert schema["$defs"]["Bot"]["properties"]["privateKeyPath"]["deprecated"]
    assert schema["$defs"]["App"]["properties"]["privateKeyPath"]["deprecated"]
    assert schema["$defs"]["AuthProxy"]["properties"]["listen"]["default"] == "127.0.0.1:8080"
