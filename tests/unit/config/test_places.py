"""Several pods side by side: each bot may be in a place of its own."""

from __future__ import annotations

import pytest

from symphony_auth_proxy.model import Bot, Origin, UpstreamProxy
from symphony_auth_proxy.secret import Secret

KEY = "privateKey: {path: bot.pem}"
ROOT = f"""
host: acme.symphony.com
port: 8443
context: /acme
proxy: {{host: proxy.acme, port: 3128}}
defaultHeaders: {{X-Api-Key: acme}}
agent: {{host: agent.acme.example, proxy: null}}
app: {{appId: acme-app, {KEY}}}
bot: {{username: pricing-bot, {KEY}}}
"""


def further(*parts: str) -> str:
    bots = "".join(f"    - {{username: bot-{i}, {part}}}\n" for i, part in enumerate(parts))
    return f"{ROOT}authProxy:\n  bots:\n{bots}"


@pytest.fixture
def bot(workplace):
    def load(part: str) -> Bot:
        return workplace.load(further(f"{KEY}, {part}")).bots[1]

    return load


def test_a_bot_without_hosts_is_where_the_root_is(workplace):
    settings = workplace.load(further(KEY))

    assert settings.bots[1].pod == settings.bots[0].pod
    assert settings.bots[1].app == settings.bots[0].app


def test_a_bot_with_a_host_takes_no_address_from_the_root(bot):
    found = bot("host: beta.symphony.com")

    assert {endpoint.origin for _, endpoint in found.pod.endpoints()} == {
        Origin("beta.symphony.com", 443)
    }
    assert {endpoint.context for _, endpoint in found.pod.endpoints()} == {""}


def test_a_bot_with_hosts_takes_the_way_out_of_the_root(bot):
    found = bot("host: beta.symphony.com, agent: {host: agent.beta}, keyManager: {proxy: null}")

    assert found.pod.pod.proxy == UpstreamProxy("proxy.acme", 3128)
    assert found.pod.agent.proxy == UpstreamProxy("proxy.acme", 3128), "not the root's agent's"
    assert found.pod.key_manager.proxy is None
    assert found.pod.pod.headers == (("X-Api-Key", Secret("acme")),)


@pytest.mark.parametrize(
    ("own", "proxy"),
    [
        ("proxy: null", None),
        ("proxy: {host: proxy.beta, port: 80}", UpstreamProxy("proxy.beta", 80)),
    ],
)
def test_a_bot_s_own_way_out_wins(bot, own, proxy):
    found = bot(f"host: beta.symphony.com, {own}, defaultHeaders: {{X-Beta: b}}")

    assert found.pod.pod.proxy == found.pod.agent.proxy == proxy
    assert found.pod.pod.headers == (("X-Beta", Secret("b")),)


def test_a_bot_without_hosts_may_go_there_another_way(bot):
    found = bot("proxy: {host: proxy.beta, port: 80}")

    assert found.pod.pod.origin == Origin("acme.symphony.com", 8443)
    assert found.pod.pod.proxy == UpstreamProxy("proxy.beta", 80)
    assert found.pod.agent.proxy is None, "the root's agent says so itself"


def test_a_bot_without_hosts_may_change_a_port(bot):
    found = bot("keyManager: {port: 8444}, sessionAuth: {port: 8444}")

    assert found.pod.key_manager.origin == Origin("acme.symphony.com", 8444)
    assert found.pod.session_auth.origin == Origin("acme.symphony.com", 8444)
    assert found.pod.pod.origin == Origin("acme.symphony.com", 8443)
    assert found.app is not None


def test_an_app_belongs_to_a_pod(bot):
    assert bot("host: beta.symphony.com").app is None
    own = bot(f"host: beta.symphony.com, app: {{appId: beta-app, {KEY}}}").app
    assert own is not None
    assert own.app_id == "beta-app"
    replaced = bot(f"app: {{appId: beta-app, {KEY}}}").app
    assert replaced is not None
    assert replaced.app_id == "beta-app"


def test_a_bot_s_agents_may_stand_behind_a_load_balancer(bot):
    found = bot(
        "host: beta.symphony.com, agent: {loadBalancing: {nodes: [{host: a.beta}, {host: b.beta}]}}"
    )

    assert found.pod.agent.origin == Origin("a.beta", 443)
    assert [node.origin.host for node in found.pod.agent_nodes] == ["b.beta"]
    assert found.pod.agent.proxy == UpstreamProxy("proxy.acme", 3128)


AT = "authProxy.bots[1]"
COMPONENTS = "pod: {host: a}, agent: {host: b}, keyManager: {host: c}"


@pytest.mark.parametrize(
    ("part", "path", "words"),
    [
        (f"{KEY}, pod: {{host: b}}, keyManager: {{host: c}}", "agent.host", "with the bot"),
        (f"{KEY}, agent: {{host: b}}", "pod.host", "is missing"),
        (f"{KEY}, sessionAuth: {{host: b}}", "host", "the pod's host"),
        (
            f"certificate: {{path: combined.pem}}, {COMPONENTS}",
            "sessionAuth.host",
            "is missing",
        ),
        (f"{KEY}, host: https://beta", "host", "without a scheme"),
        (f"{KEY}, host: beta, scheme: http", "scheme", "https"),
        (f"{KEY}, host: beta, agent: {{hots: x}}", "agent.hots", "did you mean `host`"),
        (f"{KEY}, host: beta, proxy: {{host: p}}", "proxy.port", "is missing"),
        (f"{KEY}, host: beta, ssl: {{}}", "ssl", "not a known key"),
        (
            f"{KEY}, agent: {{host: a, loadBalancing: {{nodes: [{{host: b}}]}}}}, host: beta",
            "agent",
            "keep one",
        ),
        (f"{KEY}, host: beta, app: {{appId: 'a:b', {KEY}}}", "app.appId", "colon"),
        (f"{KEY}, host: beta, app: {{appId: a, privateKeyPath: x}}", "app.privateKeyPath", "known"),
    ],
)
def test_a_mistake_is_named_at_its_place(workplace, part, path, words):
    # An unknown key of an app is a mistake once somebody may use the app.
    grant = "  clients: [{name: a, password: correct horse battery, onBehalfOf: any}]\n"
    text = further(KEY, part).replace("bot-1", "pricing-bot" if "certificate" in part else "bot-1")

    problems = workplace.problems(text + grant)

    assert words in problems[f"{AT}.{path}"]


def test_hosts_that_a_further_bot_needs_are_not_asked_of_the_root(workplace):
    """A certificate bot elsewhere makes no sessionAuth necessary for the root's RSA bots."""
    part = "certificate: {path: combined.pem}, host: beta.symphony.com"
    text = f"""
        pod: {{host: a}}
        agent: {{host: b}}
        keyManager: {{host: c}}
        bot: {{username: other-bot, {KEY}}}
        authProxy: {{bots: [{{username: pricing-bot, {part}}}]}}
    """

    assert workplace.load(text).bots[1].pod.session_auth.origin.host == "beta.symphony.com"


def test_a_port_alone_does_not_go_with_several_agents(workplace):
    root = ROOT.replace(
        "agent: {host: agent.acme.example, proxy: null}",
        "agent: {loadBalancing: {nodes: [{host: a}]}}",
    )
    text = f"{root}authProxy: {{bots: [{{username: b, {KEY}, agent: {{port: 9443}}}}]}}"

    assert "loadBalancing" in workplace.problems(text)["authProxy.bots[0].agent.port"]


def test_a_certificate_login_on_its_own_pod_s_own_port_is_worth_a_warning(workplace):
    def warned(place: str) -> list[str]:
        bot = f"{{username: pricing-bot, certificate: {{path: combined.pem}}, {place}}}"
        text = f"host: acme\nbot: {{username: b, {KEY}}}\nauthProxy: {{bots: [{bot}]}}"
        warnings = workplace.load(text).warnings
        return [one for one in warnings if "asks for no certificate" in one]

    (warning,) = warned("host: beta")
    assert warning.startswith("pricing-bot: ")
    assert not warned("host: beta, sessionAuth: {port: 8444}")
