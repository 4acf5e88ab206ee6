"""`serve`, as far as it gets without a proxy."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from symphony_auth_proxy.cli import cli
from symphony_auth_proxy.sandbox import Sandbox


@pytest.mark.parametrize("place", ["127.0.0.1:99999", "nowhere"])
def test_an_address_that_is_none_is_wrong_usage(sandbox: Sandbox, place: str) -> None:
    result = CliRunner().invoke(cli, ["serve", "--config", str(sandbox.config), "--listen", place])

    assert result.exit_code == 2
    assert f"Invalid value for --listen: {place}: " in result.output


def test_the_console_needs_a_terminal(sandbox: Sandbox) -> None:
    result = CliRunner().invoke(cli, ["serve", "--config", str(sandbox.config), "--console"])

    assert result.exit_code == 2
    assert "--console needs a terminal" in result.output


@pytest.mark.parametrize("words", [[], ["ca"], ["config"], ["keys"]])
def test_every_command_is_told_in_one_line_of_a_terminal(words: list[str]) -> None:
    result = CliRunner().invoke(cli, [*words, "--help"], terminal_width=80)

    assert result.exit_code == 0
    assert "..." not in result.output.partition("Commands:\n")[2]
    assert click.unstyle(result.output) == result.output
