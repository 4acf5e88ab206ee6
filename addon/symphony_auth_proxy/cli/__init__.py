"""The command `symphony-auth-proxy`; one module a command, loaded when it is used."""

from __future__ import annotations

import importlib

import click

from symphony_auth_proxy.cli.common import CONTEXT_SETTINGS, reporting_errors

_COMMANDS = (
    "serve",
    "run",
    "env",
    "demo",
    "sandbox",
    "login",
    "doctor",
    "explain",
    "status",
    "flush",
    "reload",
    "config",
    "keys",
    "ca",
    "share",
)


class _Commands(click.Group):
    """Loads a command's module when it is asked for: `keys` should not import mitmproxy."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"symphony_auth_proxy.cli.{cmd_name}")
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)
        return command


@click.command(cls=_Commands, context_settings=CONTEXT_SETTINGS)
@click.version_option(package_name="symphony-auth-proxy")
def cli() -> None:
    """An authenticating proxy for Symphony bots.

    It logs in with a bot's key or certificate, and adds the session token and the key
    manager token to the calls of any HTTP client that uses it as its proxy.

    \b
    Examples:
      symphony-auth-proxy demo                        see it work, nothing needed
      symphony-auth-proxy serve --config config.yaml  run it with your BDK file
      symphony-auth-proxy explain https://acme.symphony.com/pod/v2/sessioninfo
    """


def main() -> None:
    with reporting_errors():
        cli()
