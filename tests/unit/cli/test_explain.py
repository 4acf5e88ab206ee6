"""`explain` tells what would happen, without any network."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

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
