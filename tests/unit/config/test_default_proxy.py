"""A corporate proxy that comes from outside of the file, as `HTTPS_PROXY` names it."""

from __future__ import annotations

import pytest

from symphony_auth_proxy import config
from symphony_auth_proxy.model import Settings, UpstreamProxy

OUTSIDE = UpstreamProxy("outside.acme", 3128)
KEY = "privateKey: {path: bot.pem}"
BDK = f"host: acme.symphony.com\nbot: {{username: pricing-bot, {KEY}}}\n"


@pytest.fixture
def load(workplace):
    def load_with(text: str, *direct: str) -> Settings:
        path = workplace.write(text)
        return config.load(path, environ=workplace.environ, default_proxy=OUTSIDE, direct=direct)

    return load_with


def test_it_is_for_whatever_names_none(load):
    settings = load(f"{BDK}keyManager: {{proxy: null}}\nagent: {{proxy: {{host: p, port: 1}}}}")

    (bot,) = settings.bots
    assert settings.proxy == OUTSIDE
    assert bot.pod.pod.proxy == OUTSIDE
    assert bot.pod.session_auth.proxy == OUTSIDE
    assert bot.pod.key_manager.proxy is None
    assert bot.pod.agent.proxy == UpstreamProxy("p", 1)


@pytest.mark.parametrize(
    ("root", "proxy"), [("{host: p, port: 1}", UpstreamProxy("p", 1)), ("null", None)]
)
def test_the_file_s_own_wins(load, root, proxy):
    further = f"{{username: b, {KEY}, host: beta}}"
    settings = load(f"{BDK}proxy: {root}\nauthProxy: {{bots: [{further}]}}")

    assert settings.proxy == proxy
    for bot in settings.bots:
        assert {endpoint.proxy for _, endpoint in bot.pod.endpoints()} == {proxy}


def test_it_is_for_bots_with_hosts_of_their_own_too(load):
    settings = load(
        f"{BDK}authProxy: {{bots: [{{username: b, {KEY}, host: beta}}, "
        f"{{username: c, {KEY}, host: gamma, proxy: null}}]}}"
    )

    assert settings.bot("b").pod.agent.proxy == OUTSIDE
    assert settings.bot("c").pod.agent.proxy is None


@pytest.mark.parametrize(
    ("exception", "host", "is_direct"),
    [
        ("acme.symphony.com", "acme.symphony.com", True),
        ("symphony.com", "acme.symphony.com", True),
        (".symphony.com", "acme.symphony.com", True),
        ("*.Symphony.com", "acme.symphony.com", True),
        (" symphony.com. ", "acme.symphony.com", True),
        ("phony.com", "acme.symphony.com", False),
        ("me.symphony.com", "acme.symphony.com", False),
        ("acme.symphony.com.evil", "acme.symphony.com", False),
        ("*", "acme.symphony.com", True),
        ("", "acme.symphony.com", False),
        (".", "acme.symphony.com", False),
        ("symphony.com:443", "acme.symphony.com", True),
        ("symphony.com:8443", "acme.symphony.com", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("1.2.3", "10.1.2.3", False),
        ("[fd00::1]", "fd00::1", True),
        ("[fd00::1]:443", "fd00::1", True),
        ("fd00::/16", "fd00::1", True),
        ("10.0.0.0/8", "acme.symphony.com", False),
    ],
)
def test_exceptions_read_like_no_proxy(load, exception, host, is_direct):
    settings = load(BDK.replace("acme.symphony.com", f"'{host}'"), "localhost", exception)

    assert settings.bots[0].pod.pod.proxy == (None if is_direct else OUTSIDE)
    assert settings.proxy == OUTSIDE, "for other hosts, clients heed NO_PROXY themselves"


def test_exceptions_are_not_for_what_the_file_itself_names(load):
    settings = load(f"{BDK}proxy: {{host: p, port: 1}}", "*")

    assert settings.bots[0].pod.pod.proxy == UpstreamProxy("p", 1)
