"""`config client`: the lines for a bot's own configuration that make it use this proxy."""

from __future__ import annotations

from pathlib import Path

import click

from symphony_auth_proxy import config
from symphony_auth_proxy.ca.ca_files import CERTIFICATE_FILE
from symphony_auth_proxy.cli.common import chosen_client, config_option
from symphony_auth_proxy.core.addresses import is_loopback
from symphony_auth_proxy.errors import ConfigError, Problem
from symphony_auth_proxy.instructions.access import Access
from symphony_auth_proxy.instructions.sdks import SNIPPETS
from symphony_auth_proxy.model import Bot, Client, Settings


@click.command()
@click.option(
    "--for",
    "sdk",
    type=click.Choice(list(SNIPPETS)),
    required=True,
    help="What the bot is written with; `node` is Symphony's older SDK for it.",
)
@config_option
@click.option("--client", "client_name", metavar="NAME", help="As whom the bot uses the proxy.")
@click.option("--bot", "bot_name", metavar="NAME", help="Default: the client's, or the file's.")
def client(
    sdk: str, config_path: Path | None, client_name: str | None, bot_name: str | None
) -> None:
    """Print what to put into a bot's own configuration.

    Hosts, proxy, trust store and, if the proxy answers logins, a throw-away key. The
    client's password is not printed, only where it goes.

    \b
    Examples:
      symphony-auth-proxy config client --for bdk-python
      symphony-auth-proxy config client --for spring --client pricing
      symphony-auth-proxy config client --for node --bot pricing-bot > config.json
    """
    settings = config.load(config_path)
    chosen = _client(settings, client_name, bot_name)
    bot = _bot(settings, chosen, bot_name)
    listen = bot.listen or settings.listen
    if not listen.port:
        problem = Problem("authProxy.listen", "has port 0, another one at each start; choose one")
        raise ConfigError([problem], source=str(settings.source))
    ca = settings.ca_directory / CERTIFICATE_FILE if is_loopback(listen.host) else None
    snippet = SNIPPETS[sdk](Access(bot, chosen, listen, settings.answer_logins, ca))
    click.echo(snippet.text, nl=False)
    for note in snippet.notes:
        click.echo("# " + note.replace("\n", " "), err=True)


def _client(settings: Settings, name: str | None, bot: str | None) -> Client | None:
    """The client that is named, or the only one that can be meant."""
    if name is None:
        able = [one for one in settings.clients if (bot in one.bots if bot else one.bots)]
        if len(able) == 1:
            return able[0]
    return chosen_client(settings, name)


def _bot(settings: Settings, client: Client | None, name: str | None) -> Bot:
    granted = [bot for bot in settings.bots if client is None or bot.username in client.bots]
    if client is not None and not granted:
        raise click.UsageError(f"{client.name} is granted no bot; it calls for users only.")
    found = next((bot for bot in granted if name in {None, bot.username}), None)
    if found is None:
        known = ", ".join(bot.username for bot in granted)
        whose = f"of {client.name}" if client is not None else "of the file"
        raise click.BadParameter(
            f"{name} is none of the bots {whose} ({known})", param_hint="--bot"
        )
    return found
