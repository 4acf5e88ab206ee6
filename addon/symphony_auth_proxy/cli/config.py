"""`config`: what the proxy understood, and the schema that lets editors help with writing it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from symphony_auth_proxy import config as configuration
from symphony_auth_proxy.cli.common import config_option


@click.group()
def config() -> None:
    """Look at the configuration.

    \b
    Examples:
      symphony-auth-proxy config show
      symphony-auth-proxy config schema
    """


@config.command()
@config_option
def show(config_path: Path | None) -> None:
    """Print the settings in effect, every secret masked.

    Comments tell what the file does not give itself, and what is worth a look. Exits with 78
    and the list of all problems when the file cannot be used.

    \b
    Examples:
      symphony-auth-proxy config show
      symphony-auth-proxy config show --config /etc/symphony/config.yaml
    """
    click.echo(configuration.show(config_path), nl=False)


@config.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file.

    An editor with a YAML language server completes and checks the file when its first line
    is `# yaml-language-server: $schema=` and the schema's path.

    \b
    Examples:
      symphony-auth-proxy config schema > symphony-auth-proxy.schema.json
    """
    click.echo(json.dumps(configuration.json_schema(), indent=2))
