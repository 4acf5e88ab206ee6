"""`env`: the variables that tell programs of a proxy that runs."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from symphony_auth_proxy import config, environment
from symphony_auth_proxy.ca import authority, ca_files, truststores
from symphony_auth_proxy.cli.common import chosen_client, client_option, config_option
from symphony_auth_proxy.config import trust
from symphony_auth_proxy.environment import ProxyAddress
from symphony_auth_proxy.errors import SymphonyAuthProxyError
from symphony_auth_proxy.model import Origin, Settings
from symphony_auth_proxy.operations import control

_TO_PUT_IN = f"${{{environment.PASSWORD}}}"
_HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (asked for, not bound)


@dataclass(frozen=True, slots=True)
class _Shell:
    """How a shell sets a variable, forgets one, and quotes."""

    set: str
    forget: str
    quote: Callable[[str], str]

    def line(self, name: str, value: str | None) -> str:
        if value is None:
            return self.forget.format(name)
        # The shell puts the password in: it is never known here.
        parts = (self.quote(part) if part else "" for part in value.split(_TO_PUT_IN))
        return self.set.format(name, f'"${environment.PASSWORD}"'.join(parts))


def _fish_quote(text: str) -> str:
    return "'" + re.sub(r"(['\\])", r"\\\1", text) + "'"


_SHELLS = {
    "sh": _Shell("export {}={}", "unset {}", shlex.quote),
    "fish": _Shell("set -gx {} {}", "set -e {}", _fish_quote),
}


@click.command()
@config_option
@client_option
@click.option("--shell", type=click.Choice(list(_SHELLS)), default="sh", show_default=True)
def env(config_path: Path | None, client_name: str | None, shell: str) -> None:
    """Print variables that make programs use the running proxy.

    For a shell to take in; the same as `symphony-auth-proxy run` sets. Where authProxy.clients
    are configured, put the client's password into SYMPHONY_PROXY_PASSWORD before,
    percent-encoded as in a URL: it is not printed, the shell puts it in.

    \b
    Examples:
      eval "$(symphony-auth-proxy env)"
      symphony-auth-proxy env --shell fish | source
      export SYMPHONY_PROXY_PASSWORD=…; eval "$(symphony-auth-proxy env --client pricing)"
    """
    path = config.find(config_path)
    settings = config.load(path)
    client = chosen_client(settings, client_name)
    hosts = authority.hosts_of(settings)
    ca = authority.ensure(settings.ca_directory, hosts)
    inherited = dict(os.environ)
    directory = settings.ca_directory / "for-clients"
    with ca_files.problems_of(directory):
        directory.mkdir(exist_ok=True)
        system = trust.bundle((), inherited)
        files = truststores.write(directory, inherited, system, ca.root)
    user = client.name if client is not None else None
    address = ProxyAddress(_listen(path, settings), user, _TO_PUT_IN)
    changes = environment.variables(inherited, address, files, hosts)
    for name, value in changes.items():
        click.echo(_SHELLS[shell].line(name, value))
    if client is not None and not inherited.get(environment.PASSWORD):
        click.echo(
            f"Set {environment.PASSWORD} to the password of {client.name} (percent-encoded) first.",
            err=True,
        )


def _listen(path: Path, settings: Settings) -> Origin:
    """Return where the proxy listens: the running one, else one that the file describes."""
    try:
        listeners = control.ask(path, "status")["listeners"]
        found = [config.parse_listen(listener) for listener in listeners]
    except SymphonyAuthProxyError as error:
        if settings.listen.port == 0:
            raise
        click.echo(f"Note: {error}. These are the variables for when one does.", err=True)
        found = []
    of_bots = {bot.listen for bot in settings.bots}
    place = next((one for one in found if one not in of_bots), settings.listen)
    return Origin(_HERE.get(place.host, place.host), place.port)
