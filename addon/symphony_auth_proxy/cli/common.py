"""What all commands share: how errors end, and where the configuration comes from."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from symphony_auth_proxy.errors import ConfigError, SymphonyAuthProxyError
from symphony_auth_proxy.model import Client, Settings

CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

EX_CONFIG = 78
"""The exit code for an unusable configuration (sysexits.h)."""

config_option = click.option(
    "--config",
    "config_path",
    # One that cannot be read is an unusable configuration (78), not wrong usage.
    type=click.Path(path_type=Path, readable=False),
    help="The BDK configuration file. Default: $SYMPHONY_AUTH_PROXY_CONFIG, ./config.yaml, "
    "~/.symphony/config.yaml.",
)


client_option = click.option(
    "--client",
    "client_name",
    metavar="NAME",
    help="Which of authProxy.clients it is; needed where there are several.",
)


def chosen_client(settings: Settings, name: str | None) -> Client | None:
    """Return the client of that name, or the only one; None where none are configured.

    Raises click.BadParameter.
    """
    clients = {client.name: client for client in settings.clients}
    if name is None and len(clients) <= 1:
        return next(iter(clients.values()), None)
    if name not in clients:
        raise click.BadParameter(
            f"name one of the clients: {', '.join(clients)}"
            if clients
            else "no clients are configured",
            param_hint="--client",
        )
    return clients[name]


@contextmanager
def reporting_errors() -> Iterator[None]:
    """Turn this program's errors into a message, a way out and an exit code."""
    try:
        yield
    except SymphonyAuthProxyError as error:
        click.secho(f"Error: {error}", err=True, fg="red")
        if hint := error.hint():
            click.echo(f"What to do: {hint}", err=True)
        sys.exit(EX_CONFIG if isinstance(error, ConfigError) else 1)
