"""`run`: a program, and a proxy of its own for as long as the program lives."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import secrets
import signal
import sys
import tempfile
from pathlib import Path

import click

from symphony_auth_proxy import config, environment
from symphony_auth_proxy.ca import authority, truststores
from symphony_auth_proxy.cli.common import chosen_client, client_option, config_option
from symphony_auth_proxy.config import trust
from symphony_auth_proxy.environment import ProxyAddress
from symphony_auth_proxy.mitm import runner
from symphony_auth_proxy.model import Client, Origin, Settings, UpstreamProxy
from symphony_auth_proxy.passwords import PlainPassword
from symphony_auth_proxy.secret import Secret

_NOT_FOUND, _NOT_EXECUTABLE, _KILLED = 127, 126, 128
"""Exit codes as shells use them; the last plus a signal's number."""

_FORWARDED = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
]


@click.command(context_settings={"allow_interspersed_args": False})
@config_option
@client_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(config_path: Path | None, client_name: str | None, command: tuple[str, ...]) -> None:
    """Run COMMAND with a proxy of its own; the exit code is COMMAND's.

    The proxy listens on a free loopback port and ends with COMMAND. COMMAND gets the variables
    that tell it of the proxy and of its CA: HTTPS_PROXY, HTTP_PROXY, SSL_CERT_FILE,
    REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE, NODE_EXTRA_CA_CERTS, NODE_USE_ENV_PROXY (Node 22.21, 24
    and later) and JAVA_TOOL_OPTIONS. The CAs that it trusted before are included, so that other
    hosts keep working. NO_PROXY loses the entries that match Symphony's hosts. It gets no token
    and no key; variables that the configuration takes secrets from are removed.

    An HTTPS_PROXY that is set already becomes the way to Symphony, unless the file names a
    proxy; NO_PROXY counts for that.

    Where authProxy.clients are configured, the proxy admits COMMAND alone: with a password that
    was made for this run and the rights of the client NAME. Java programs do not take a
    password from variables: they need an Authenticator.

    \b
    Examples:
      symphony-auth-proxy run -- python bot.py
      symphony-auth-proxy run --config config.yaml -- curl https://acme.symphony.com/pod/v2/sessioninfo
      symphony-auth-proxy run --client pricing -- java Bot.java
    """
    path = config.find(config_path)
    inherited = dict(os.environ)
    proxy, password = _upstream(inherited), secrets.token_urlsafe(24)

    def load(chosen: Path | None) -> Settings:
        direct = environment.no_proxy(inherited)
        settings = config.load(chosen, default_proxy=proxy, direct=direct)
        client = chosen_client(settings, client_name)
        return _private(settings, client, password)

    settings = load(path)
    hosts = authority.hosts_of(settings)
    ca = authority.ensure(settings.ca_directory, hosts)
    with tempfile.TemporaryDirectory(prefix="symphony-auth-proxy-run-") as directory:
        system = trust.bundle((), inherited)
        files = truststores.write(Path(directory), inherited, system, ca.root)

        def variables(listen: Origin) -> dict[str, str]:
            user = next((client.name for client in settings.clients), None)
            address = ProxyAddress(listen, user, password)
            changes = environment.variables(inherited, address, files, hosts)
            kept = inherited.keys() - config.secret_variables(path) - {environment.PASSWORD}
            if proxy is not None:  # it is in use here, and its password no business of COMMAND's
                kept -= {"ALL_PROXY", "all_proxy"}
            result = {name: inherited[name] for name in kept} | changes
            return {name: value for name, value in result.items() if value is not None}

        proxied = runner.Run(
            config=str(path),
            listen=Origin("127.0.0.1", 0),
            confdir=str(settings.ca_directory),
            load=load,
        )
        child = _Child(command)

        async def main() -> int:
            child.heed_signals()
            return await runner.alongside(
                proxied, lambda started: child.run(variables(started.listeners[0]))
            )

        _log_warnings_to_stderr()
        code = asyncio.run(main())
    sys.exit(code)


def _upstream(inherited: dict[str, str]) -> UpstreamProxy | None:
    try:
        return environment.upstream(inherited)
    except ValueError as error:
        click.echo(
            f"Warning: the proxy that is set for https is not used: {error}. If Symphony cannot be "
            "reached without one, name it as `proxy` in the configuration.",
            err=True,
        )
        return None


def _private(settings: Settings, client: Client | None, password: str) -> Settings:
    """Return the settings of a proxy for one program: nobody else gets in, and what belongs to
    a proxy that may run beside it (its ports) is left to that one."""
    clients: tuple[Client, ...] = ()
    if client is not None:
        clients = (dataclasses.replace(client, password=PlainPassword(Secret(password))),)
    bots = tuple(dataclasses.replace(bot, listen=None) for bot in settings.bots)
    return dataclasses.replace(settings, clients=clients, bots=bots, admin_listen=None)


class _Child:
    """The program: started, told of signals, waited for."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._code: int | None = None

    async def run(self, variables: dict[str, str]) -> int:
        """Run it to its end. Returns the exit code, as a shell would."""
        try:
            self._process = await asyncio.create_subprocess_exec(*self._command, env=variables)
        except OSError as error:
            click.echo(f"{self._command[0]}: {error.strerror}", err=True)
            missing = isinstance(error, FileNotFoundError)
            self._code = _NOT_FOUND if missing else _NOT_EXECUTABLE
        else:
            code = await self._process.wait()
            self._code = code if code >= 0 else _KILLED - code
        return self._code

    def heed_signals(self) -> None:
        """Pass signals on. Those that were ignored before stay so, for the program as well."""
        loop = asyncio.get_running_loop()
        for number in _FORWARDED:
            if signal.getsignal(number) is not signal.SIG_IGN:
                with contextlib.suppress(NotImplementedError):  # Windows
                    loop.add_signal_handler(number, self._heed, number)

    def _heed(self, number: signal.Signals) -> None:
        if self._code is not None:
            sys.exit(self._code)  # requests of those it left behind are not waited for, then
        if self._process is None:
            sys.exit(_KILLED + number)
        if not (number in _OF_KEYS and _in_foreground()):
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


_OF_KEYS = {signal.SIGINT, getattr(signal, "SIGQUIT", None)}
"""What Ctrl-C and Ctrl-\\ send."""


def _in_foreground() -> bool:
    """Whether keys of the terminal reach the program by themselves: twice is once too often for
    a program that cleans up."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)


def _log_warnings_to_stderr() -> None:
    """Standard output is the program's; and of the proxy it should see no more than trouble."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("symphony-auth-proxy: %(message)s"))
    logging.getLogger().addHandler(handler)
