"""`flush`: let the running proxy forget tokens."""

from __future__ import annotations

from pathlib import Path

import click

from symphony_auth_proxy import config
from symphony_auth_proxy.cli.common import config_option
from symphony_auth_proxy.operations import control


@click.command()
@config_option
@click.option("--bot", metavar="NAME", help="Only this bot's. Default: all.")
def flush(config_path: Path | None, bot: str | None) -> None:
    """Let the running proxy forget tokens and failed logins.

    The next request logs in anew. For after an account was unlocked or a key was uploaded:
    nobody has to wait for the next attempt. Exits with 1 when no proxy runs with this
    configuration.

    \b
    Examples:
      symphony-auth-proxy flush
      symphony-auth-proxy flush --bot pricing-bot
    """
    told = control.ask(config.find(config_path), "flush", bot=bot)
    click.echo(f"Forgot the tokens of {', '.join(told['flushed'])}.")
