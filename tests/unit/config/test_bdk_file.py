"""The file that a bot already has is understood as it is, whatever its flavour."""

from __future__ import annotations

import base64
import json

import pytest

from symphony_auth_proxy.auth.certificate import CertificateLogin
from symphony_auth_proxy.auth.rsa import RsaLogin
from symphony_auth_proxy.keys import CertificateFile, PrivateKeyFile
from symphony_auth_proxy.model import Component, Origin, UpstreamProxy
from symphony_auth_proxy.secret import Secret

MINIMAL = """
host: acme.symphony.com
bot: {username: pricing-bot, privateKey: {path: bot.pem}}
"""


def with_bot(bot: str) -> str:
    return f"host: acme.symphony.com\nbot: {{username: pricing-bot, {bot}}}\n"


def test_one_host_serves_everything_on_443(workplace):
    settings = workplace.load(MINIMAL)

    (bot,) = settings.bots
    assert bot.username == "pricing-bot"
    assert {component for component, _ in bot.pod.endpoints()} == set(Component)
    for _, endpoint in bot.pod.endpoints():
        assert endpoint.origin == Origin("acme.symphony.com", 443)
        assert endpoint.context == ""
        assert endpoint.proxy is None


def test_components_override_the_root_value_by_value(workplace):
    pod = (
        workplace.load("""
        host: Acme.Symphony.com.
        port: 8443
        context: gateway/
        proxy: {host: proxy.acme, port: 3128, username: me, password: secret}
        defaultHeaders: {X-Api-Key: k1}
        pod: {port: 443}
        agent: {host: agent.acme.example, context: /agent-gw}
        keyManager: {host: km.acme.example, proxy: null}
        sessionAuth: {host: acme-api.symphony.com, proxy: {host: other, port: 80}}
        bot: {username: pricing-bot, privateKey: {path: bot.pem}}
    """)
        .bots[0]
        .pod
    )

    corporate = UpstreamProxy("proxy.acme", 3128, "me", Secret("secret"))
    assert pod.pod.origin == Origin("acme.symphony.com", 443)
    assert pod.pod.context == "/gateway"
    assert pod.pod.proxy == corporate
    assert pod.pod.headers == (("X-Api-Key", Secret("k1")),)
    assert pod.agent.origin == Origin("agent.acme.example", 8443)
    assert pod.agent.context == "/agent-gw"
    assert pod.key_manager.proxy is None, "an explicit null means direct"
    assert pod.session_auth.proxy == UpstreamProxy("other", 80)


def test_session_auth_is_on_the_root_host_unless_given(workplace):
    pod = (
        workplace.load("""
        host: acme.symphony.com
        port: 8444
        pod: {host: other.symphony.com, port: 443}
        bot: {username: pricing-bot, privateKey: {path: bot.pem}}
    """)
        .bots[0]
        .pod
    )

    assert pod.session_auth.origin == Origin("acme.symphony.com", 8444)


def test_without_a_root_host_an_rsa_bot_needs_no_session_auth(workplace):
    pod = (
        workplace.load("""
        pod: {host: acme.symphony.com}
        agent: {host: agent.acme.example}
        keyManager: {host: km.acme.example}
        bot: {username: pricing-bot, privateKey: {path: bot.pem}}
    """)
        .bots[0]
        .pod
    )

    assert pod.session_auth == pod.pod


def test_nodes_behind_a_load_balancer_are_agents_of_their_own(workplace):
    pod = (
        workplace.load("""
        host: acme.symphony.com
        port: 8443
        context: /gateway
        agent:
          proxy: {host: proxy.acme, port: 3128}
          loadBalancing:
            mode: roundRobin
            stickiness: false
            nodes:
              - {host: agent1.acme.example, port: 7443, context: app/}
              - {host: agent2.acme.example, proxy: null}
        bot: {username: pricing-bot, privateKey: {path: bot.pem}}
    """)
        .bots[0]
        .pod
    )

    assert pod.agent.origin == Origin("agent1.acme.example", 7443)
    assert pod.agent.context == "/app"
    assert pod.agent.proxy == UpstreamProxy("proxy.acme", 3128)
    (second,) = pod.agent_nodes
    assert second.origin == Origin("agent2.acme.example", 443), "nothing comes from the root"
    assert second.context == ""
    assert second.proxy is None
    assert pod.separate_agent


@pytest.mark.parametrize(
    ("bot", "with_password"),
    [
        ("privateKey: {path: bot.pem}", False),
        ("privateKey: {path: bot.pem, content: ''}", False),
        ("privateKey: {path: encrypted.pem, passwordFile: password}", True),
        ("privateKey: {path: encrypted.pem, password: correct horse}", True),
        ("privateKeyPath: bot.pem", False),
    ],
)
def test_a_private_key_by_path(workplace, bot, with_password):
    method = workplace.load(with_bot(bot)).bots[0].method

    assert isinstance(method, RsaLogin)
    assert isinstance(method.credentials, PrivateKeyFile)
    assert method.credentials.path is not None
    assert method.credentials.path.parent == workplace.directory
    assert (method.credentials.password == Secret("correct horse")) == with_password


@pytest.mark.parametrize("flavour", ["python", "java"])
def test_a_private_key_inline(workplace, flavour):
    pem = (workplace.directory / "bot.pem").read_bytes()
    content = pem if flavour == "python" else base64.b64encode(pem)
    environ = {"BOT_KEY": content.decode()}

    for bot in ('privateKey: {content: "${BOT_KEY}"}', 'privateKeyContent: "${BOT_KEY}"'):
        method = workplace.load(with_bot(bot), **environ).bots[0].method
        assert method.credentials == PrivateKeyFile(content=Secret(pem.decode()))


@pytest.mark.parametrize(
    ("bot", "path"),
    [
        ("certificate: {path: combined.pem}", "combined.pem"),
        ("certificate: {path: certificate.pem, keyPath: bot.pem}", "certificate.pem"),
        (
            "certificate: {path: certificate.pem, keyPath: encrypted.pem, passwordFile: password}",
            "certificate.pem",
        ),
        ("certificate: {path: bot.p12, password: correct horse}", "bot.p12"),
        ("certificate: {path: bot.p12, passwordFile: password}", "bot.p12"),
        ("certificatePath: bot.p12, certificatePassword: correct horse", "bot.p12"),
    ],
)
def test_a_certificate_by_path(workplace, bot, path):
    method = workplace.load(with_bot(bot)).bots[0].method

    assert isinstance(method, CertificateLogin)
    assert isinstance(method.credentials, CertificateFile)
    assert method.credentials.username == "pricing-bot"
    assert method.credentials.path == workplace.directory / path


def test_a_certificate_inline_as_in_bdk_java(workplace):
    packed = base64.b64encode((workplace.directory / "bot.p12").read_bytes()).decode()
    bot = 'certificateContent: "${P12}", certificatePassword: correct horse'

    method = workplace.load(with_bot(bot), P12=packed).bots[0].method

    assert method.credentials.load().chain


def test_the_whole_example_of_the_bdk_documentation_is_understood(workplace):
    """Of docs/configuration.md in symphony-bdk-java, without its second credential and app."""
    settings = workplace.load("""
        scheme: https
        host: localhost.symphony.com
        port: 8443
        connectionTimeout: 15000
        readTimeout: 60000
        connectionPoolMax: 20
        connectionPoolPerRoute: 20
        defaultHeaders:
          Connection: Keep-Alive
          Keep-Alive: timeout=5, max=1000
        proxy:
          host: proxy.symphony.com
          port: 1234
          username: proxyuser
          password: proxypassword
        pod:
          host: dev.symphony.com
          port: 443
        agent:
          loadBalancing:
            mode: roundRobin
            stickiness: false
            nodes:
              - host: agent1.symphony.com
                port: 7443
                context: app/
              - host: agent2.symphony.com
        keyManager:
          host: dev-key.symphony.com
          port: 8444
          defaultHeaders:
            Connection: Keep-Alive
            Keep-Alive: close
        sessionAuth:
          host: dev-session.symphony.com
          port: 8444
        bot:
          username: pricing-bot
          privateKey:
            path: bot.pem
        datafeed:
          version: v2
          retry:
            maxAttempts: 6
            initialIntervalMillis: 2000
            multiplier: 1.5
            maxIntervalMillis: 10000
        retry:
          maxAttempts: 6 # set '-1' for an infinite number of attempts
        commonJwt: {enabled: true}
        manifest: {id: whatever}
        extensions: {any: {thing: "${NOT_OURS_TO_RESOLVE}"}}
    """)

    key_manager = settings.bots[0].pod.key_manager
    assert key_manager.origin == Origin("dev-key.symphony.com", 8444)
    assert key_manager.headers == (), "headers of one connection are not sent by configuration"


@pytest.mark.parametrize("own", ["beside", "below"])
def test_a_spring_boot_file_has_everything_below_bdk(workplace, own):
    own_part = {"listen": "127.0.0.1:9999"}
    below = {
        "host": "acme.symphony.com",
        "bot": {"username": "pricing-bot", "privateKey": {"path": "bot.pem"}},
        "datafeed": {"enabled": True},
    }
    document = {"spring": {"application": {"name": "x"}}, "logging": {}, "bdk": below}
    (document if own == "beside" else below)["authProxy"] = own_part

    settings = workplace.load(json.dumps(document))

    assert settings.bots[0].pod.pod.origin.host == "acme.symphony.com"
    assert settings.listen.port == 9999


def test_problems_below_bdk_are_shown_where_they_stand(workplace):
    assert set(
        workplace.problems("""
            bdk:
              hots: acme.symphony.com
              bot: {username: pricing-bot, privateKey: {path: bot.pem}}
            port: 443
            authProxy: {drainSeconds: never}
        """)
    ) == {"port", "bdk.host", "bdk.hots", "authProxy.drainSeconds"}


def test_json_is_read_whatever_the_extension(workplace):
    text = '{\n\t"host": "acme.symphony.com",\n\t"port": "8443", "bot": {"username": "pricing-bot",'
    settings = workplace.load(text + '\n\t"privateKey": {"path": "bot.pem"}}}')

    assert settings.bots[0].pod.pod.origin.port == 8443


def test_yaml_anchors_and_merges_work_as_in_pyyaml(workplace):
    pod = (
        workplace.load("""
        host: acme.symphony.com
        agent: &proxied
          port: 8443
          proxy: &corporate {host: proxy.acme, port: 3128}
        keyManager: {<<: *proxied, port: 9443}
        bot: {username: pricing-bot, privateKey: {path: bot.pem}}
    """)
        .bots[0]
        .pod
    )

    assert pod.key_manager.origin.port == 9443
    assert pod.key_manager.proxy == UpstreamProxy("proxy.acme", 3128)


def test_a_key_without_a_value_counts_as_not_given(workplace):
    settings = workplace.load("""
        host: acme.symphony.com
        port:
        proxy:
        ssl:
        agent:
        authProxy:
        bot: {username: pricing-bot, certificate: , privateKey: {path: bot.pem, password: }}
    """)

    assert settings.bots[0].pod.agent.origin.port == 443


@pytest.mark.parametrize(
    "rest",
    ["certificate: {path: '', password: ''}", "certificatePath: '', certificatePassword: ''"],
)
def test_sections_with_nothing_filled_in_count_as_not_given(workplace, rest):
    text = with_bot(f"privateKey: {{path: bot.pem}}, {rest}") + "proxy: {host: '', port: ''}\n"

    settings = workplace.load(text)

    assert isinstance(settings.bots[0].method, RsaLogin)
    assert settings.proxy is None


def test_relative_paths_start_at_the_file_and_tilde_is_home(workplace, monkeypatch):
    home = workplace.directory / "home"
    home.mkdir()
    (workplace.directory / "bot.pem").rename(home / "bot.pem")
    elsewhere = workplace.directory / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    settings = workplace.load(
        with_bot("privateKey: {path: ~/bot.pem}") + "authProxy: {ca: {directory: state/ca}}"
    )

    assert settings.bots[0].method.credentials.path == home / "bot.pem"
    assert settings.ca_directory == workplace.directory / "state" / "ca"
    assert settings.ca_directory_configured
