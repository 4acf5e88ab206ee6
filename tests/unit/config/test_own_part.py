"""What stands below `authProxy`."""

from __future__ import annotations

import pytest

from symphony_auth_proxy.model import ClientTokens, Origin, OtherHosts

BDK = """
host: acme.symphony.com
bot: {username: pricing-bot, privateKey: {path: bot.pem}}
"""


def own(text: str) -> str:
    return f"{BDK}authProxy: {{{text}}}\n"


def test_the_defaults(workplace):
    settings = workplace.load(BDK)

    assert settings.listen == Origin("127.0.0.1", 8080)
    assert settings.client_tokens is ClientTokens.KEEP
    assert settings.other_hosts is OtherHosts.PASSTHROUGH
    assert settings.token_lifetime is None
    assert settings.drain_seconds == 25
    assert settings.ca_directory == workplace.directory / "certs" / "ca"
    assert not settings.ca_directory_configured
    assert settings.proxy is None
    assert settings.clients == ()
    assert not settings.answer_logins
    assert settings.admin_listen is None
    assert settings.bots[0].listen is None
    assert settings.bots[0].app is None
    assert settings.source == workplace.directory / "config.yaml"


def test_everything_can_be_set(workplace):
    settings = workplace.load(
        own("""
            listen: "[::1]:9000", answerLogins: true, clientTokens: refuse, otherHosts: refuse,
            tokens: {lifetime: 14d, store: memory}, drainSeconds: "10",
            admin: {listen: "127.0.0.1:9090"},
            bots: [{username: other-bot, privateKey: {path: bot.pem}, listen: "127.0.0.1:9001"}]
        """)
    )

    assert settings.listen == Origin("::1", 9000)
    assert settings.answer_logins
    assert settings.admin_listen == Origin("127.0.0.1", 9090)
    assert settings.bot("other-bot").listen == Origin("127.0.0.1", 9001)
    assert settings.client_tokens is ClientTokens.REFUSE
    assert settings.other_hosts is OtherHosts.REFUSE
    assert settings.token_lifetime == 14 * 86400
    assert settings.drain_seconds == 10
    assert [bot.username for bot in settings.bots] == ["pricing-bot", "other-bot"]
    assert settings.bot("other-bot").pod == settings.bot("pricing-bot").pod


@pytest.mark.parametrize("text", ["true", '"true"', '"${ANSWER:-true}"'])
def test_login_answers_may_come_from_the_environment(workplace, text):
    assert workplace.load(own(f"answerLogins: {text}")).answer_logins


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("auto", None), ("90", 90), ("90.5", 90.5), ("90s", 90), ("30m", 1800), ("2h", 7200)],
)
def test_a_lifetime_is_a_duration_or_auto(workplace, text, seconds):
    assert workplace.load(own(f"tokens: {{lifetime: {text}}}")).token_lifetime == seconds


@pytest.mark.parametrize(
    "text", ["127.0.0.1:8080", "localhost:1", "127.9.9.9:65535", "127.0.0.1:0"]
)
def test_the_proxy_listens_on_loopback(workplace, text):
    assert str(workplace.load(own(f'listen: "{text}"')).listen) == text


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("listen: 8080", "listen", "HOST:PORT"),
        ("listen: ':8080'", "listen", "empty"),
        ("listen: '127.0.0.1:x'", "listen", "port"),
        ("listen: '::1:8080'", "listen", "[::1]:8080"),
        ("listen: '[::1]'", "listen", "HOST:PORT"),
        ("listen: '127.0.0.1:99999'", "listen", "port"),
        ("tokens: {lifetime: 0}", "tokens.lifetime", "auto"),
        ("tokens: {lifetime: .inf}", "tokens.lifetime", "auto"),
        ("tokens: {lifetime: true}", "tokens.lifetime", "auto"),
        ("tokens: {lifetime: 2w}", "tokens.lifetime", "auto"),
        ("tokens: {store: redis}", "tokens.store", "not built yet"),
        ("drainSeconds: -1", "drainSeconds", "seconds"),
        ("drainSeconds: .nan", "drainSeconds", "seconds"),
        ("clientTokens: kep", "clientTokens", "'keep', 'replace' or 'refuse'"),
        ("otherHosts: [refuse]", "otherHosts", "'passthrough' or 'refuse'"),
        ("answerLogins: maybe", "answerLogins", "true or false"),
        ("answerLogins: 1", "answerLogins", "true or false"),
        ("admin: '127.0.0.1:9'", "admin", "mapping"),
        ("admin: {port: 9}", "admin.listen", "is missing"),
        ("bots: {username: a}", "bots", "a list"),
        ("bots: [{username: pricing-bot}]", "bots[0].username", "another bot"),
        ("bots: [{username: b}]", "bots[0]", "needs `privateKey` or `certificate`"),
        ("drainSecond: 5", "drainSecond", "did you mean `drainSeconds`"),
        ("tokens: {lifetme: 5}", "tokens.lifetme", "did you mean `lifetime`"),
        ("ca: certs", "ca", "mapping"),
    ],
)
def test_a_mistake_is_named_at_its_place(workplace, text, path, words):
    problems = workplace.problems(own(text))

    assert words in problems[f"authProxy.{path}"]


def test_the_root_s_proxy_is_also_the_way_to_other_hosts(workplace):
    settings = workplace.load(f"{BDK}proxy: {{host: proxy.acme, port: 3128}}")

    assert settings.proxy is not None
    assert settings.proxy.host == "proxy.acme"


def test_warnings_of_keys_name_the_bot(workplace):
    (warning,) = workplace.load(BDK).warnings

    assert warning.startswith("pricing-bot: ")
    assert "2048 bits" in warning


def test_a_certificate_login_on_the_pod_s_own_port_is_worth_a_warning(workplace):
    bot = "bot: {username: pricing-bot, certificate: {path: combined.pem}}"

    def warns(session_auth: str) -> bool:
        settings = workplace.load(f"host: acme.symphony.com\n{session_auth}\n{bot}")
        return any("asks for no certificate" in warning for warning in settings.warnings)

    assert warns("")
    assert not warns("sessionAuth: {port: 8444}")
    assert not warns("sessionAuth: {host: acme-api.symphony.com}")


def test_an_external_load_balancer_is_worth_a_warning(workplace):
    agent = "agent: {loadBalancing: {mode: external, nodes: [{host: lb.acme.example}]}}"

    assert any("load balancer" in warning for warning in workplace.load(BDK + agent).warnings)
