"""`explain`: what would happen to a request, and why. No network."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlsplit

import click

from symphony_auth_proxy import config
from symphony_auth_proxy.cli.common import chosen_client, config_option
from symphony_auth_proxy.clock import SystemClock
from symphony_auth_proxy.core.decisions import (
    Caller,
    Destination,
    Inject,
    KeyManagerToken,
    LoginCall,
    PassThrough,
    Refuse,
    Request,
)
from symphony_auth_proxy.core.headers import BOT_HEADER
from symphony_auth_proxy.core.placeholder import Placeholders
from symphony_auth_proxy.core.routing import Routes
from symphony_auth_proxy.model import Origin


@click.command()
@click.argument("url")
@config_option
@click.option("--method", default="GET", show_default=True)
@click.option("--bot", metavar="NAME", help="As if the header Symphony-Bot named this bot.")
@click.option("--client", metavar="NAME", help="As if this client of the proxy sent it.")
def explain(
    url: str, config_path: Path | None, method: str, bot: str | None, client: str | None
) -> None:
    """Say which bot and headers a URL gets, and why, without network.

    Exits with 0 when tokens would be added, with 1 otherwise.

    \b
    Examples:
      symphony-auth-proxy explain https://acme.symphony.com/pod/v2/sessioninfo
      symphony-auth-proxy explain https://agent.acme.example/agent/v5/datafeeds --method POST
      symphony-auth-proxy explain https://acme.symphony.com/pod/v1/user --client pricing
    """
    parts = urlsplit(url)
    try:
        port = parts.port or {"https": 443, "http": 80}[parts.scheme]
        host = parts.hostname or ""
    except (ValueError, KeyError):
        raise click.BadParameter(
            "write a whole URL, as in https://host/path", param_hint="URL"
        ) from None
    settings = config.load(config_path)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = [(BOT_HEADER, bot)] if bot is not None else []
    # No placeholder is read here, so any key will do.
    placeholders = Placeholders(bytes(32), SystemClock().wall) if settings.answer_logins else None
    decision = Routes(settings, placeholders).decide(
        Destination(host, port, parts.scheme, authorities=(str(Origin(host, port)),)),
        Request(method.upper(), target, headers),
        Caller(chosen_client(settings, client)),
    )
    match decision:
        case Inject():
            click.echo(f"component         {decision.component}")
            click.echo(f"sent to           https://{decision.origin}")
            if decision.proxy is not None:
                click.echo(f"through           {decision.proxy.host}:{decision.proxy.port}")
            click.echo(f"bot               {decision.bot}")
            click.echo("sessionToken      added")
            click.echo(f"keyManagerToken   {_KEY_MANAGER[decision.key_manager]}")
        case PassThrough(why=why, origin=origin):
            click.echo("tokens            none are added")
            click.echo(f"why               {why}")
            if origin is not None:
                click.echo(f"sent to           https://{origin}")
            sys.exit(1)
        case LoginCall(passing=PassThrough(origin=origin)):
            click.echo("tokens            none are added")
            click.echo("why               a login: those of our own bots are answered here")
            click.echo(f"others sent to    https://{origin}")
            sys.exit(1)
        case Refuse(error):
            click.echo(f"refused           {error.status} {error.reason}")
            click.echo(f"why               {error}")
            if hint := error.hint():
                click.echo(f"what to do        {hint}")
            sys.exit(1)


_KEY_MANAGER = {
    KeyManagerToken.REQUIRED: "added, unless the bot is on Simplified Key Delivery",
    KeyManagerToken.IF_AT_HAND: "added if it is at hand; pod calls never wait for it",
    KeyManagerToken.NEVER: "not added: this host did not issue it",
}
