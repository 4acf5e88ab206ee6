"""`login`: a dry login of each bot, told without any token."""

from __future__ import annotations

from click.testing import CliRunner, Result

from symphony_auth_proxy.cli.login import login
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import Sandbox


def run(sandbox: Sandbox, *arguments: str) -> Result:
    return CliRunner().invoke(login, ["--config", str(sandbox.config), *arguments])


def test_both_bots_log_in_and_no_token_is_shown(sandbox: Sandbox) -> None:
    result = run(sandbox)
    assert result.exit_code == 0, result.output
    assert "pricing-bot" in result.output
    assert "compliance-bot" in result.output
    assert str(sandbox.origin(Component.SESSION_AUTH)) in result.output
    assert "sub=pricing-bot" in result.output
    assert "eyJ" not in result.output
    assert sandbox.logins() == 4


def test_one_bot_can_be_named_and_an_unknown_one_is_wrong_usage(sandbox: Sandbox) -> None:
    assert run(sandbox, "--bot", "compliance-bot").exit_code == 0
    assert sandbox.logins(username="pricing-bot") == 0
    wrong = run(sandbox, "--bot", "nobody")
    assert wrong.exit_code == 2
    assert "pricing-bot, compliance-bot" in wrong.output


def test_simplified_key_delivery_spares_the_key_manager(sandbox: Sandbox) -> None:
    sandbox.set_simplified_key_delivery("pricing-bot")
    result = run(sandbox, "--bot", "pricing-bot")
    assert result.exit_code == 0
    assert "not needed: Simplified Key Delivery" in result.output
    assert not [r for r in sandbox.requests if r.component is Component.KEY_MANAGER]


def test_an_agent_too_old_for_it_still_needs_the_key_manager(sandbox: Sandbox) -> None:
    sandbox.set_simplified_key_delivery("pricing-bot")
    sandbox.set_agent_version("Agent-24.11.0")
    result = run(sandbox, "--bot", "pricing-bot")
    assert result.exit_code == 0
    assert "key manager token" in result.output
    assert [r for r in sandbox.requests if r.path.startswith("/relay")]


def test_a_refused_login_is_told_with_the_way_out(sandbox: Sandbox) -> None:
    sandbox.fail(Component.POD, status=401, path="/login")
    result = run(sandbox, "--bot", "pricing-bot")
    assert result.exit_code == 1
    assert "login_rejected" in result.output
    assert "what to do" in result.output
