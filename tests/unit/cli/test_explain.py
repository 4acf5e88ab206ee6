"""`explain` tells what would happen, without any network."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from support.configuration import change
from symphony_auth_proxy.cli.explain import explain
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import Sandbox


def run(sandbox: Sandbox, url: str, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(explain, [url, "--config", str(sandbox.config), *arguments])
    return result.exit_code, result.output


def test_an_agent_call_gets_both_tokens(sandbox: Sandbox) -> None:
    code, output = run(sandbox, sandbox.url(Component.AGENT) + "/agent/v5/datafeeds")
    assert code == 0
    assert "component         agent" in output
    assert "bot               pricing-bot" in output
    assert "keyManagerToken   added, unless" in output


def test_the_bot_can_be_chosen(sandbox: Sandbox) -> None:
    url = sandbox.url(Component.POD) + "/pod/v2/sessioninfo"
    code, output = run(sandbox, url, "--bot", "compliance-bot")
    assert code == 0
    assert "bot               compliance-bot" in output


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/login/pubkey/authenticate", "a login brings its own credentials"),
        ("/client/index.html", "no Symphony API below this path"),
    ],
)
def test_it_says_why_nothing_is_added(sandbox: Sandbox, path: str, why: str) -> None:
    code, output = run(sandbox, sandbox.url(Component.POD) + path)
    assert code == 1
    assert why in output


def test_other_hosts_are_not_symphonys(sandbox: Sandbox) -> None:
    code, output = run(sandbox, "https://example.com/pod/v2/sessioninfo")
    assert code == 1
    assert "not a Symphony host of this configuration" in output


@pytest.fixture
def shared(sandbox: Sandbox) -> Sandbox:
    """A configuration with a client."""
    with change(sandbox.config) as document:
        document["authProxy"]["clients"] = [
            {"name": "lab", "password": "a password of the lab", "bots": ["compliance-bot"]}
        ]
    return sandbox


def test_a_client_gets_the_bot_that_it_is_granted(shared: Sandbox) -> None:
    url = shared.url(Component.POD) + "/pod/v2/sessioninfo"
    code, output = run(shared, url, "--client", "lab")
    assert code == 0
    assert "bot               compliance-bot" in output


def test_a_client_is_told_which_bot_it_may_not_use(shared: Sandbox) -> None:
    url = shared.url(Component.POD) + "/pod/v2/sessioninfo"
    code, output = run(shared, url, "--client", "lab", "--bot", "pricing-bot")
    assert code == 1
    assert "refused           403 not_granted" in output


def test_where_clients_are_configured_one_of_them_asks(shared: Sandbox) -> None:
    code, output = run(shared, shared.url(Component.POD) + "/pod/v1/x", "--client", "nobody")
    assert code == 2
    assert "name one of the clients: lab" in output


def test_the_only_client_needs_no_name(shared: Sandbox) -> None:
    code, output = run(shared, shared.url(Component.POD) + "/pod/v1/user")
    assert code == 0
    assert "bot               compliance-bot" in output


def test_where_none_are_configured_none_asks(sandbox: Sandbox) -> None:
    code, output = run(sandbox, sandbox.url(Component.POD), "--client", "lab")
    assert code == 2
    assert "no clients are configured" in output


def test_a_login_that_may_be_answered_here_is_told_as_such(sandbox: Sandbox) -> None:
    with change(sandbox.config) as document:
        document["authProxy"]["answerLogins"] = True
    url = sandbox.url(Component.POD) + "/login/pubkey/authenticate"
    code, output = run(sandbox, url, "--method", "POST")
    assert code == 1
    assert "those of our own bots are answered here" in output
    assert f"others sent to    {sandbox.url(Component.POD)}" in output


def test_a_refusal_is_told_with_the_way_out(sandbox: Sandbox) -> None:
    url = sandbox.url(Component.POD) + "/pod/v2/sessioninfo"
    code, output = run(sandbox, url, "--bot", "nobody")
    assert code == 1
    assert "refused           403 unknown_bot" in output
    assert "what to do        known bots: pricing-bot, compliance-bot" in output


@pytest.mark.parametrize("url", ["acme.symphony.com/pod", "ftp://x/", "https://h:99999/"])
def test_what_is_no_url_is_wrong_usage(sandbox: Sandbox, url: str) -> None:
    code, output = run(sandbox, url)
    assert code == 2
    assert "write a whole URL" in output
