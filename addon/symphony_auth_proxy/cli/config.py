"""`config`: what the proxy understood, the schema that lets editors help with writing it, the
hashes of clients' passwords and, in `config_client`, what bots need to be told."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from symphony_auth_proxy import config as configuration
from symphony_auth_proxy import passwords
from symphony_auth_proxy.cli.common import config_option
from symphony_auth_proxy.cli.config_client import client
from symphony_auth_proxy.secret import Secret

_LONGEST = 64 * 1024
"""Bytes of a password."""


@click.group()
def config() -> None:
    """Look at the configuration, and write its parts.

    \b
    Examples:
      symphony-auth-proxy config show
      symphony-auth-proxy config hash
      symphony-auth-proxy config client --for bdk-java
    """


config.add_command(client)


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


@config.command("hash")
def hash_password() -> None:
    """Print the hash of a client's password, for `passwordHash`.

    The password is asked for, twice and unseen; in a pipe it is the one line on standard
    input. It is never taken from the command line, which every user of the machine can list.

    \b
    Examples:
      symphony-auth-proxy config hash
      openssl rand -base64 24 | tee certs/pricing.password | symphony-auth-proxy config hash
    """
    password = _asked_for() if sys.stdin.isatty() else _piped()
    try:
        passwords.check(password)
    except ValueError as error:
        raise click.UsageError(f"This cannot be a password: {error}.") from None
    if len(password.reveal()) < passwords.LONG_ENOUGH:
        click.echo(f"This is short: take {passwords.LONG_ENOUGH} characters or more.", err=True)
    click.echo(passwords.hashed(password))


def _asked_for() -> Secret:
    return Secret(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


def _piped() -> Secret:
    """Read all there is. One line break at the end is the pipe's, not the password's."""
    data = sys.stdin.buffer.read(_LONGEST + 1)
    if len(data) > _LONGEST:
        raise click.UsageError("This cannot be a password: it is too long.")
    try:
        return Secret(data.decode().removesuffix("\n").removesuffix("\r"))
    except UnicodeDecodeError:
        raise click.UsageError("This cannot be a password: it is not text in UTF-8.") from None
