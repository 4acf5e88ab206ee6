"""`status`: what the running proxy says about itself."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from symphony_auth_proxy import config
from symphony_auth_proxy.cli import status_view
from symphony_auth_proxy.cli.common import config_option
from symphony_auth_proxy.operations import control
from symphony_auth_proxy.operations.overview import overview

EVERY = 2.0
"""Seconds between two looks of `--watch`."""


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="All of it, as one line of JSON.")
@click.option("--watch", is_flag=True, help="Keep showing it, until Ctrl-C. Needs a terminal.")
def status(config_path: Path | None, as_json: bool, watch: bool) -> None:
    """Show the running proxy: bots, tokens, logins, errors.

    Its requests and refusals too: the same as the page http://symphony.proxy/ shows. Asks over
    a socket that only you can open. Tokens are shown as fingerprints. Exits with 1 when no proxy
    runs with this configuration; once it watches, it waits for the proxy to come back.

    \b
    Examples:
      symphony-auth-proxy status
      symphony-auth-proxy status --watch
      symphony-auth-proxy status --config config.yaml --json
    """
    if watch and as_json:
        raise click.UsageError("--watch and --json exclude each other.")
    if watch and not sys.stdout.isatty():
        raise click.UsageError("--watch needs a terminal; for programs there is --json.")
    path = config.find(config_path)

    def ask() -> dict[str, Any]:
        return control.ask(path, "status")

    told = ask()
    if as_json:
        click.echo(json.dumps(told))
    elif watch:
        _watch(ask, told)
    else:
        status_view.write(overview(told))


def _watch(ask: Callable[[], dict[str, Any]], told: dict[str, Any]) -> None:
    try:
        status_view.watch(ask, told, Console(), lambda: time.sleep(EVERY))
    except KeyboardInterrupt:
        return
