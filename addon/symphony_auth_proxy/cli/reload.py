"""`reload`: let the running proxy read its configuration again."""

from __future__ import annotations

from pathlib import Path

import click

from symphony_auth_proxy import config
from symphony_auth_proxy.cli.common import config_option
from symphony_auth_proxy.operations import control


@click.command()
@config_option
def reload(config_path: Path | None) -> None:
    """Read the configuration file again, without losing a request. SIGHUP does the same.

    Prints what has changed. A file with problems is refused as a whole: all of them are
    listed, the old configuration stays in force, and the exit code is 1.

    \b
    Examples:
      symphony-auth-proxy reload
      symphony-auth-proxy reload --config config.yaml
    """
    told = control.ask(config.find(config_path), "reload")
    for line in told["changes"] or ["nothing has changed"]:
        click.echo(line)
