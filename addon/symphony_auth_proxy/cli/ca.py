"""`ca`: the proxy's own CA, which its clients trust."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import click
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate

from symphony_auth_proxy import config
from symphony_auth_proxy.ca import authority, truststores
from symphony_auth_proxy.ca.authority import Authority
from symphony_auth_proxy.ca.ca_files import KEY_FILE
from symphony_auth_proxy.cli.common import config_option
from symphony_auth_proxy.errors import SymphonyAuthProxyError


@click.group()
def ca() -> None:
    """Show, export or renew the proxy's own CA, which clients trust.

    It is made at the first start and can sign for the hosts of the configuration only.

    \b
    Examples:
      symphony-auth-proxy ca show
      symphony-auth-proxy ca export > proxy-ca.pem
      symphony-auth-proxy ca rotate
    """


@ca.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="All of it, as one line of JSON.")
def show(config_path: Path | None, as_json: bool) -> None:
    """Print fingerprint, expiry, hosts and files. Exits with 1 when there is no CA yet.

    \b
    Examples:
      symphony-auth-proxy ca show
      symphony-auth-proxy ca show --json
    """
    directory = config.load(config_path).ca_directory
    if not (directory / KEY_FILE).exists():
        raise SymphonyAuthProxyError(
            f"there is no CA in {directory} yet",
            hint="it is made at the first start, or by `symphony-auth-proxy ca export`",
        )
    found = authority.load(directory)
    if as_json:
        click.echo(json.dumps(_facts(found)))
    else:
        _print(found)
    _warn(found)


def _facts(found: Authority) -> dict[str, object]:
    return {
        "subject": found.subject,
        "fingerprint": found.fingerprint,
        "not_after": found.not_after.isoformat(),
        "hosts": found.hosts,
        "certificate": str(found.certificate),
        "key": str(found.directory / KEY_FILE),
    }


def _print(found: Authority) -> None:
    click.echo(f"subject       {found.subject}")
    click.echo(f"SHA-256       {found.fingerprint}")
    click.echo(f"valid until   {found.not_after:%Y-%m-%d %H:%M} UTC")
    click.echo(f"signs for     {'any host' if found.hosts is None else ', '.join(found.hosts)}")
    click.echo(f"clients trust {found.certificate}")
    click.echo(f"key           {found.directory / KEY_FILE}")


def _warn(found: Authority) -> None:
    for warning in found.warnings:
        click.secho(f"Warning: {warning}.", err=True, fg="yellow")


_FORMATS: dict[str, Callable[[Certificate], bytes]] = {
    "pem": lambda root: root.public_bytes(Encoding.PEM),
    "der": lambda root: root.public_bytes(Encoding.DER),
    "p12": lambda root: truststores.java([root]),
}


@ca.command()
@config_option
@click.option("--format", "form", type=click.Choice(list(_FORMATS)), default="pem")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path))
def export(config_path: Path | None, form: str, output: Path | None) -> None:
    """Write what clients must trust: no secret. Makes the CA if there is none yet.

    p12 is a trust store for Java. It opens without a password, and with any where a program
    insists on one.

    \b
    Examples:
      symphony-auth-proxy ca export > proxy-ca.pem
      symphony-auth-proxy ca export --format p12 -o proxy-ca.p12
      java -Djavax.net.ssl.trustStore=proxy-ca.p12 -jar bot.jar
    """
    settings = config.load(config_path)
    if form != "pem" and output is None and sys.stdout.isatty():
        raise click.UsageError(f"{form} is not for a terminal: give a file with -o.")
    found = authority.ensure(settings.ca_directory, authority.hosts_of(settings))
    data = _FORMATS[form](found.root)
    if output is None:
        click.echo(data, nl=False)
        return
    try:
        output.write_bytes(data)
    except OSError as error:
        raise click.BadParameter(f"{output}: {error.strerror}", param_hint="-o") from None
    click.echo(f"Wrote {output}: {found.subject}, {found.fingerprint}")


@ca.command()
@config_option
@click.option("--yes", is_flag=True, help="Do not ask; needed where nobody can be asked.")
def rotate(config_path: Path | None, yes: bool) -> None:
    """Make a new CA, and keep the old one beside it.

    It is for the hosts of the configuration as it is now. Clients that trust the old one
    only fail from the proxy's next reload or start on: give them the new certificate
    before.

    \b
    Examples:
      symphony-auth-proxy ca rotate
      symphony-auth-proxy ca rotate --yes && symphony-auth-proxy reload
    """
    settings = config.load(config_path)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("nobody can be asked here: add --yes.")
        click.confirm(
            f"Make a new CA in {settings.ca_directory}? All clients must get it.", abort=True
        )
    made, kept = authority.rotate(settings.ca_directory, authority.hosts_of(settings))
    _print(made)
    for file in kept:
        click.echo(f"kept          {file}")
    click.echo(
        f"\nNext: give {made.certificate} to all clients (for Java: `symphony-auth-proxy ca export "
        "--format p12`), then `symphony-auth-proxy reload` if the proxy runs. What was kept can be "
        "deleted once nobody trusts it any more."
    )
