"""What all commands share: how errors end, and where the configuration comes from."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from symphony_auth_proxy.errors import ConfigError, SymphonyAuthProxyError

CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

EX_CONFIG = 78
"""The exit code for an unusable configuration (sysexits.h)."""

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="The BDK configuration file. Default: $SYMPHONY_AUTH_PROXY_CONFIG, ./config.yaml, "
    "~/.symphony/config.yaml.",
)


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
